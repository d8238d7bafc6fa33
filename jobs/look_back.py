"""Verb `leaderboard RUN...`: the tables of finished runs, side by side; and what MLflow missed, sent again."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from cluster.storage import RunDir
from jobs.presets import PRESETS
from jobs.progress import say
from jobs.shard import shard_classes
from jobs.tracker import tracker_of
from pading.classes import ClassTable
from pading.data.errors import MissingFileError
from pading.evaluate.leaderboard import read_leaderboard
from pading.evaluate.leaderboard_pages import terminal_table

FILE = "leaderboard.json"
ORIGIN = "@"  # between profile and run, in the tables of several runs


@dataclass(frozen=True, kw_only=True)
class LookBack:
    """Show the tables of finished runs again, merged; best values are starred over all of them."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Run directories; the name of a preset means runs/PRESET."""
    run_dir: Annotated[Path | None, tyro.conf.arg(help="One run directory.")] = None
    sync: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """First send MLflow what waits in mlflow_spool.jsonl of each run; what it has already is not doubled."""


def is_look_back(arguments: Sequence[str]) -> bool:
    """Whether the arguments of `leaderboard` name finished runs, and no preset whose stage is to be run."""
    names_runs = bool(arguments) and not arguments[0].startswith("-") and arguments[0] not in PRESETS
    return names_runs or "--sync" in arguments


def look_back(command: LookBack) -> None:
    """Print one table for each split and task of the runs; with --sync, replay what waits on disk before.

    Raises:
        FileNotFoundError: if a folder holds no leaderboard.
        ValueError: if a file is damaged, records were meant for another tracker, or some still wait.
    """
    runs = _run_dirs(command)
    waiting = sum(_sync(run_dir) for run_dir in runs) if command.sync else 0
    if not command.sync or all((run_dir.root / FILE).is_file() for run_dir in runs):
        for line in _tables(runs):
            say(line)
    if waiting:
        raise ValueError(f"MLflow did not take {waiting} runs; they wait on disk, the same command tries again")


def _run_dirs(command: LookBack) -> list[RunDir]:
    named = [command.run_dir] if command.run_dir else []
    for path in command.runs:
        if str(path) not in PRESETS:
            named.append(path)
        elif command.run_dir is None:  # `leaderboard PRESET --run-dir DIR --sync`: the directory is said
            named.append(Path("runs") / path)
    roots = [path.absolute() for path in named or [Path("runs") / "shapes"]]
    for root in roots:
        if not root.is_dir():
            raise MissingFileError(
                str(root), "no such run directory", f"name one, or one of the presets {', '.join(PRESETS)}"
            )
    return [RunDir(root) for root in dict.fromkeys(roots)]


def _sync(run_dir: RunDir) -> int:
    """Replay the spool of a run, say what came of it, and return how many records still wait."""
    tracker = tracker_of(run_dir)
    records = tracker.spool.records()
    if not records:
        say(f"{run_dir.root}: nothing waits for MLflow")
        return 0
    meant = sorted({record.tracker for record in records} - {"", tracker.shown_uri})
    if meant and "MLFLOW_TRACKING_URI" not in os.environ:
        raise ValueError(
            f"{tracker.spool.path}: its runs are meant for {', '.join(meant)}; set MLFLOW_TRACKING_URI to that, "
            f"or to {tracker.shown_uri} to keep them here"
        )
    waiting = tracker.replay(tracker.spool)
    say(
        f"{run_dir.root}: {max(len(records) - waiting, 0)} of {len(records)} runs sent to MLflow at {tracker.shown_uri}"
    )
    return waiting


def _tables(runs: Sequence[RunDir]) -> list[str]:
    """Return the tables of the runs; those of different splits stand apart, because their scores do not compare."""
    by_split: dict[ClassTable, list[RunDir]] = {}
    for run_dir in runs:
        if not (run_dir.root / FILE).is_file():
            remedy = "run the stage first: pading leaderboard PRESET --run-dir DIR"
            raise MissingFileError(str(run_dir.root / FILE), "no such file", remedy)
        by_split.setdefault(shard_classes(run_dir), []).append(run_dir)
    labels = _labels([run_dir.root for run_dir in runs])
    lines = []
    for classes, group in by_split.items():
        rows: list[dict[str, Any]] = []
        for run_dir in group:
            of_run = read_leaderboard(run_dir.root / FILE)
            if len(runs) > 1:
                of_run = [row | {"profile": f"{row['profile']} {ORIGIN}{labels[run_dir.root]}"} for row in of_run]
            rows += of_run
        origins = [f"{ORIGIN}{labels[run_dir.root]}: {run_dir.root}" for run_dir in group] if len(runs) > 1 else []
        split = f"split {classes.name}: {len(classes.seen)} seen, {len(classes.unseen)} unseen classes"
        lines += [split, "", terminal_table(rows), *([""] if origins else []), *origins, ""]
    return lines[:-1]


def _labels(roots: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest ends of the paths that tell them apart."""
    length = 1
    while len({root.parts[-length:] for root in roots}) < len(roots):
        length += 1
    return {root: "/".join(root.parts[-length:]) for root in roots}
