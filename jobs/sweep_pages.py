"""The pages of a sweep: what the stage adds to its trials, and the verb `sweep-report`, which draws them again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.progress import say
from jobs.shard import shard_classes
from jobs.sweep_diagnosis import sweep_diagnosis
from pading.classes import ClassTable
from pading.config import override
from pading.data.errors import MissingFileError
from pading.evaluate.sweeps.files import MARKDOWN, PAGE, write_sweep_pages
from pading.evaluate.sweeps.report import plain_diagnosis, read_report
from pading.evaluate.sweeps.trials import REPORT
from pading.zeroshot.features import Features
from pading.zeroshot.fit_inputs import FitTensors
from pading.zeroshot.methods import MethodConfig

PAGES = (PAGE, MARKDOWN, REPORT)
OBJECTIVE = "accuracy/hm"  # of sweeps that have no report of their own
CHOSEN, DEFAULT = "chosen settings", "default settings"


@dataclass(frozen=True, kw_only=True)
class SweepReportCommand:
    """Draw the pages of finished sweeps again, from their files."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories, or folders of sweeps."""
    objective: Annotated[str, tyro.conf.arg(help="Name of the score in trials.json of a sweep without pages.")] = (
        OBJECTIVE
    )


def redraw(command: SweepReportCommand) -> None:
    """Write sweep.html, sweep.md and sweep.json of each sweep again; nothing is fitted, nothing else is changed.

    Raises:
        FileNotFoundError: if there is no sweep.
        ValueError: if a file of it is damaged.
    """
    for path in command.runs:
        folder = path / "sweep" if (path / "sweep").is_dir() else path
        if not folder.is_dir():
            raise MissingFileError(str(folder), "no such folder", "name a run directory with a finished sweep")
        page, *_ = write_sweep_pages(folder, read_report(folder, command.objective))
        say(str(page))


def first_hold_out_diagnosis(
    allowed: FitTensors,
    rows: Features,
    classes: ClassTable,
    config: MethodConfig,
    chosen: Mapping[str, Any],
    default: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Return what chosen and default settings make of the classes of a hold-out, as the report's JSON has it."""
    settings = {CHOSEN: override(config, chosen)}
    if chosen != default:
        settings[DEFAULT] = override(config, default)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # thousands of tiny operations: a second thread only waits
    try:
        return plain_diagnosis(sweep_diagnosis(allowed, rows, classes, settings, seed))
    finally:
        torch.set_num_threads(threads)


def sweep_facts(config: PipelineConfig, run_dir: RunDir, allowed: FitTensors) -> dict[str, str]:
    """Return what one must know of a sweep, by name."""
    classes = shard_classes(run_dir)
    return {
        "run": run_dir.root.name,
        "preset": config.preset,
        "split": f"{classes.name}, {len(classes.seen)} seen and {len(classes.unseen)} unseen classes",
        "features": f"{len(allowed.features)} of training images, cached",
        "seed": str(config.seed),
    }


def write_pages(
    folder: Path,
    *,
    objective: str,
    trials: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any],
    default: Mapping[str, Any],
    facts: Mapping[str, str],
    diagnosis: Mapping[str, Any] | None = None,
    comparison: Mapping[str, Any] | None = None,
    leaky: bool = False,
) -> list[Path]:
    """Write the pages of a sweep into its folder and return them.

    Raises:
        ValueError: if a record is not what it should be.
    """
    report = {
        "objective": objective,
        "facts": dict(facts),
        "trials": list(trials),
        "best": dict(best),
        "default": dict(default),
        "comparison": comparison,
        "diagnosis": diagnosis,
        "leaky": leaky,
    }
    return write_sweep_pages(folder, report)
