"""Stage `leaderboard`: evaluated rows -> MLflow runs, `leaderboard.{json,csv,md,html}` and a table to read here."""

import json
import shutil
from pathlib import Path
from typing import Any

from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.evaluate import ROWS
from jobs.feature_planes import feature_planes
from jobs.pictures import CONTACT_SHEET
from jobs.progress import say
from jobs.row_records import leaderboard_records
from jobs.shard import shard_classes
from jobs.tracker import send_all, tracker_of
from pading.evaluate.board.board import read_board
from pading.evaluate.leaderboard_pages import terminal_table, write_leaderboard
from pading.segmenter.provenance import read_provenance


def publish(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write the leaderboard files into the run directory and one MLflow run per row; the tracker may be down.

    Raises:
        OSError: if it is down and the disk has no room for what it should be told.
        ValueError: if a file of the evaluation is not what `evaluate` writes.
    """
    evaluation = run_dir.artefact("evaluation")
    rows = json.loads((evaluation / ROWS).read_text())
    shutil.copy(evaluation / CONTACT_SHEET, folder / CONTACT_SHEET)
    split, planes = shard_classes(run_dir).name, feature_planes(config, run_dir)
    write_leaderboard(run_dir.root, read_board(evaluation, rows, split, notes_of(config, run_dir), planes))
    say(terminal_table(rows))
    tracker = tracker_of(run_dir)
    missing = send_all(tracker, leaderboard_records(config, run_dir), run_dir)
    return {"rows": len(rows), "mlflow": tracker.shown_uri, "spooled": missing}


def notes_of(config: PipelineConfig, run_dir: RunDir) -> list[str]:
    """Return what the tables have to be read with: the start, the split, what the world's CLIP knows."""
    classes = shard_classes(run_dir)
    sizes = f"{len(classes.seen)} seen and {len(classes.unseen)} unseen classes"
    return [
        f"Segmenter started from {read_provenance(run_dir.artefact('segmenter')).line}.",
        f"Preset `{config.preset}`, split `{classes.name}`: {sizes}.",
        *_what_its_clip_knows(config),
        "All values in percent, over the val images; mean ± standard deviation over seeds of generator and classifier "
        "on one frozen segmenter.",
    ]


def _what_its_clip_knows(config: PipelineConfig) -> list[str]:
    """Return a note on the shapes world's own CLIP, where the run's texts are from it."""
    if not config.has_own_clip:
        return []
    knows = "has seen pictures and read names of unseen classes, as a public CLIP has"
    hidden = "was kept from pictures and names of unseen classes (`embed.clip.knows_unseen` is off)"
    return [f"The world's own CLIP {knows if config.embed.clip.knows_unseen else hidden}."]
