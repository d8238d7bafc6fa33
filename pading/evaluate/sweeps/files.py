"""The pages of a sweep, written: `sweep.json`, `sweep.md`, `sweep.html`."""

import json
from pathlib import Path
from typing import Any

from pading.evaluate.leaderboard import write_whole
from pading.evaluate.sweeps.markdown import markdown_page
from pading.evaluate.sweeps.page import html_page
from pading.evaluate.sweeps.report import sweep_report
from pading.evaluate.sweeps.trials import REPORT

MARKDOWN, PAGE = "sweep.md", "sweep.html"


def write_sweep_pages(folder: Path, plain: dict[str, Any]) -> list[Path]:
    """Write all pages of a report (see `sweep_report`) into a folder, each whole, JSON last; return them.

    Raises:
        DataError: if the report is not what it should be; nothing is written.
    """
    report = sweep_report(folder / REPORT, plain)
    texts = {
        PAGE: html_page(report),
        MARKDOWN: markdown_page(report),
        REPORT: json.dumps(plain, indent=1) + "\n",
    }
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]
