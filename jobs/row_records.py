"""The leaderboard in MLflow: a run for each row, and their parent, which stands for the whole pipeline run."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.run_record import Dataset, RunRecord, table_json
from cluster.storage import Manifest, RunDir
from jobs.config import PipelineConfig
from jobs.evaluate import ROWS
from jobs.shard import shard_classes
from jobs.tracker import shard_datasets
from pading.segmenter.provenance import read_provenance

PIPELINES = "pading/runs"  # the experiment of the parents; that of a task holds its rows
IDENTITY = ("task", "method", "profile", "seed")
PER_CLASS, CURVES, COMPARISONS = "per_class.json", "curves.json", "comparisons.json"
CURVE = "curve.json"
PAGES = ("leaderboard.html", "leaderboard.md", "leaderboard.json", "config.json")


def leaderboard_records(config: PipelineConfig, run_dir: RunDir) -> list[RunRecord]:
    """Return what MLflow is told of a run that was evaluated: the pipeline run, then every row.

    Raises:
        ValueError: if a file of the evaluation is not what `evaluate` writes.
    """
    evaluation = run_dir.artefact("evaluation")
    manifest = Manifest.read(evaluation)
    assert manifest is not None  # the stage is finished
    rows = json.loads((evaluation / ROWS).read_text())
    split, datasets = shard_classes(run_dir).name, shard_datasets(config, run_dir)
    parent = _pipeline(config, run_dir, manifest.digest, split, datasets, rows)
    tables: dict[tuple, dict[str, str]] = {}
    for name, found in ((PER_CLASS, _per_class_tables(evaluation)), (CURVE, _curve_tables(evaluation))):
        for identity, text in found:
            tables.setdefault(identity, {})[name] = text
    return [parent, *(_row(config, run_dir, parent, row, split, datasets, tables) for row in rows)]


def _pipeline(
    config: PipelineConfig,
    run_dir: RunDir,
    identity: str,
    split: str,
    datasets: tuple[Dataset, ...],
    rows: list[dict[str, Any]],
) -> RunRecord:
    folders = sorted(path.parent for path in run_dir.root.glob("*/manifest.json"))
    manifests = [manifest for manifest in map(Manifest.read, folders) if manifest is not None]
    evaluation = run_dir.artefact("evaluation")
    pages = [*(run_dir.root / name for name in PAGES), evaluation / COMPARISONS]
    files = [*pages, *sorted(evaluation.glob("*.png"))]
    return RunRecord(
        experiment=PIPELINES,
        key=identity,
        name=run_dir.root.resolve().name,
        params={"preset": config.preset, "split": split, "seed": config.seed, "evaluation": identity},
        tags={
            "stage": "pipeline",
            "split": split,
            "run_dir": run_dir.root.resolve(),
            "code_version": ", ".join(sorted({manifest.code_version for manifest in manifests})),
            "leaky": str(_is_leaky(run_dir, rows)).lower(),
        },
        metrics={"num_rows": len(rows)} | {f"seconds/{manifest.stage}": manifest.seconds for manifest in manifests},
        artifacts=[file for file in files if file.is_file()],
        datasets=datasets,
    )


def _is_leaky(run_dir: RunDir, rows: list[dict[str, Any]]) -> bool:
    return read_provenance(run_dir.artefact("segmenter")).leaky or any(row.get("leaky", False) for row in rows)


def _row(
    config: PipelineConfig,
    run_dir: RunDir,
    parent: RunRecord,
    row: Mapping[str, Any],
    split: str,
    datasets: tuple[Dataset, ...],
    tables: Mapping[tuple, Mapping[str, str]],
) -> RunRecord:
    name = f"{row['method']}-{row['profile']}-seed{row['seed']}"
    metrics = {key: value for key, value in row["metrics"].items() if value is not None and math.isfinite(value)}
    for quality, ends in row.get("intervals", {}).items():
        bounds = zip(("low", "high"), ends, strict=True)
        metrics |= {f"{quality}.{end}": value for end, value in bounds if value is not None and math.isfinite(value)}
    return RunRecord(
        experiment=f"pading/{row['task']}",
        key=f"{parent.key}/{name}",
        name=name,
        params={"preset": config.preset, "evaluation": parent.key},
        tags={key: row[key] for key in ("method", "profile", "seed")}
        | {"split": split, "stage": "evaluate", "leaky": str(row.get("leaky", False)).lower()}
        | {"run_dir": run_dir.root.resolve()},
        metrics=metrics,
        tables=tables.get(tuple(row[key] for key in IDENTITY), {}),
        datasets=datasets,
        parent=parent.key,
        parent_experiment=parent.experiment,
    )


def _per_class_tables(evaluation: Path) -> Iterator[tuple[tuple, str]]:
    """Yield the scores of each row by class, where the evaluation kept them."""
    file = evaluation / PER_CLASS
    if not file.is_file():
        return
    with _blamed_on(file):
        found = json.loads(file.read_text())
        classes = [(entry["name"], entry["is_seen"], entry["is_thing"]) for entry in found["classes"]]
        for row in found["rows"]:
            values = row["values"]
            columns = zip(*values.values(), strict=True) if values else ([] for _ in classes)
            lines = [[*entry, *scores] for entry, scores in zip(classes, columns, strict=True)]
            yield tuple(row[key] for key in IDENTITY), table_json(["class", "is_seen", "is_thing", *values], lines)


def _curve_tables(evaluation: Path) -> Iterator[tuple[tuple, str]]:
    """Yield the trade-off between seen and unseen quality of each row that has one."""
    file = evaluation / CURVES
    if not file.is_file():
        return
    with _blamed_on(file):
        for curve in json.loads(file.read_text()):
            columns = ("seen_penalty", "seen", "unseen")
            lines = list(zip(*(curve[column] for column in columns), strict=True))
            yield tuple(curve[key] for key in IDENTITY), table_json(columns, lines)


@contextlib.contextmanager
def _blamed_on(file: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not what `evaluate` writes ({error!r}); run evaluate again") from error
