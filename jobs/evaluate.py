"""Stage `evaluate`: cached predictions x every classifier -> scores by image, what is said of them, and pictures."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from cluster.session import connect
from cluster.storage import RunDir, write_json
from cluster.tasks import as_they_end
from jobs.config import PipelineConfig, calibrated_inference, scored_tasks
from jobs.constants import choose_constants, described
from jobs.fit import fitted_rows
from jobs.pictures import write_pictures
from jobs.progress import Progress
from jobs.row_inputs import read_row_inputs, sources_of
from jobs.rows import CALIBRATED, ScoredRow
from jobs.scoring import ScoringPass, score_run
from jobs.shard import shard_classes
from pading.classes import ClassTable
from pading.evaluate.bootstrap import SeedScores, plain_comparison
from pading.evaluate.curve import with_ends
from pading.evaluate.grid_pages import chosen_curves, grid_markdown, grid_page
from pading.evaluate.per_image import QUALITIES
from pading.evaluate.row_report import RowReport, report_row
from pading.evaluate.row_scores import Asked
from pading.evaluate.score_files import write_scores
from pading.evaluate.unseen_world import unseen_world
from pading.randomness import derive_seed
from pading.segmenter.provenance import read_provenance
from pading.splits.split import Task

ROWS = "rows.json"
CURVES, PER_CLASS, COMPARISONS, SCORES = "curves.json", "per_class.json", "comparisons.json", "scores"
CONSTANTS = "constants.json"
WORK = "evaluate"
IDENTITY = ("method", "profile", "seed")


def evaluate(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Score every row on every val image and write what is said of it: a leaderboard row for each task, and the rest.

    One pass over the images gives the rows of all tasks: one model, three outputs. Rows say where the segmenter started
    from weights that knew unseen classes, or the sweep was judged on them.

    Raises:
        FileNotFoundError: if the segmenter's provenance is not there.
        ValueError: if a task is asked for that the truth cannot judge, or the images scored are not those of the val
            shards.
    """
    connect()
    classes, tasks = shard_classes(run_dir), scored_tasks(config)
    fitted = fitted_rows(run_dir)
    inputs = read_row_inputs(config, run_dir, (row["method"] for row in fitted))
    grids = choose_constants(config, run_dir, fitted, inputs)
    sources = sources_of(config, run_dir, fitted, grids)
    rows = evaluated_rows(config, fitted, sources)
    asked = asked_of(config, classes)
    scored_rows = [row.pop("source") for row in rows]
    scored = score_run(config, run_dir, scored_rows, inputs, asked, run_dir.work(WORK) / "scoring")
    is_leaky_run = read_provenance(run_dir.artefact("segmenter")).leaky
    marks = [{"leaky": True} if row.pop("leaky", False) or is_leaky_run else {} for row in rows]
    reports = _report_all(config, scored, rows, asked, folder)
    by_task = [(task, row, report.tasks[task]) for task in tasks for row, report in zip(rows, reports, strict=True)]
    write_json(
        folder / ROWS,
        [
            {"task": task, **row, "metrics": one.metrics, "intervals": one.intervals, **mark}
            for (task, row, one), mark in zip(by_task, [*marks] * len(tasks), strict=True)
        ],
    )
    write_json(folder / CURVES, [{"task": task, **row, **one.curve} for task, row, one in by_task if one.curve])
    write_json(
        folder / PER_CLASS,
        {
            "classes": [
                {"name": name, "is_seen": is_seen, "is_thing": is_thing}
                for name, is_seen, is_thing in zip(classes.names, classes.is_seen, classes.is_thing, strict=True)
            ],
            "rows": [{"task": task, **row, "values": one.values} for task, row, one in by_task],
        },
    )
    write_json(folder / COMPARISONS, [one for task in tasks for one in compared_rows(task, rows, reports)])
    if grids:
        write_json(folder / CONSTANTS, described(grids))
        curves = chosen_curves(grids)
        (folder / CONSTANTS).with_suffix(".md").write_text(grid_markdown(curves), encoding="utf-8")
        (folder / CONSTANTS).with_suffix(".html").write_text(grid_page(curves), encoding="utf-8")
    write_pictures(config, run_dir, sources, inputs, folder)
    return {"rows": len(by_task), "images": len(scored.image_ids)}


def evaluated_rows(
    config: PipelineConfig, fitted: Sequence[Mapping[str, Any]], sources: Sequence[ScoredRow]
) -> list[dict[str, Any]]:
    """Return method, profile, seed and source of every row: each of the run, and each with a calibration if asked.

    Rows whose calibration the run chooses have one already.
    """
    plain = [
        {name: row[name] for name in (*IDENTITY, "leaky") if name in row} | {"source": source}
        for row, source in zip(fitted, sources, strict=True)
    ]
    calibrated = calibrated_inference(config)
    if calibrated is None:
        return plain
    taken = {row["method"] for row in plain}
    return plain + [
        {**row, "method": f"{row['method']}{CALIBRATED}", "source": replace(row["source"], inference=calibrated)}
        for row in plain
        if not row["method"].endswith(CALIBRATED) and f"{row['method']}{CALIBRATED}" not in taken
    ]


def asked_of(config: PipelineConfig, classes: ClassTable) -> Asked:
    """Return what the configuration wants to be scored."""
    settings = config.evaluate
    return Asked(
        tasks=scored_tasks(config),
        world=unseen_world(classes) if settings.unseen_only else None,
        penalties=with_ends(settings.calibration) if settings.calibration else (),
    )


def compared_rows(task: Task, rows: Sequence[Mapping[str, Any]], reports: Sequence[RowReport]) -> list[dict[str, Any]]:
    """Return each pair of (method, profile), the later one less the earlier, over the seeds that both have."""
    groups: dict[tuple[str, str], list[tuple[int, RowReport]]] = {}
    for row, report in zip(rows, reports, strict=True):
        groups.setdefault((row["method"], row["profile"]), []).append((row["seed"], report))
    scores = {
        name: SeedScores(
            seeds=tuple(seed for seed, _ in group),
            estimates=np.stack([report.tasks[task].estimates for _, report in group]),
            replicates=np.stack([report.tasks[task].replicates for _, report in group]),
        )
        for name, group in groups.items()
    }
    compared = []
    for earlier, later in itertools.combinations(scores, 2):
        if not set(scores[earlier].seeds) & set(scores[later].seeds):
            continue
        first, second = ({"method": method, "profile": profile} for method, profile in (later, earlier))
        found = plain_comparison(scores[later], scores[earlier])
        for values in found.values():
            del values["deviation"]
        compared.append({"task": task, "quality": QUALITIES[task][0], "first": first, "second": second, **found})
    return compared


def _report_all(
    config: PipelineConfig, scored: ScoringPass, rows: Sequence[Mapping[str, Any]], asked: Asked, folder: Path
) -> list[RowReport]:
    """Return the reports of all rows, in order, and keep the scores of each."""
    (folder / SCORES).mkdir()
    seed = derive_seed(config.seed, "drawn images")
    names = [f"{row['method']}-{row['profile']}-seed{row['seed']}.npz" for row in rows]
    paths = [(folder / SCORES / name).resolve() for name in names]
    shared = ray.put(scored)

    def submit(number: int) -> ray.ObjectRef:
        return _report_row.remote(shared, number, paths[number], asked, config.evaluate.resamples, seed)

    progress, reports = Progress("report rows", len(rows)), dict[int, RowReport]()
    for number, reference in as_they_end(submit, range(len(rows))):
        reports[number] = ray.get(reference)
        progress.update(len(reports))
    return [reports[number] for number in range(len(rows))]


def report_and_keep(scored: ScoringPass, number: int, path: Path, asked: Asked, resamples: int, seed: int) -> RowReport:
    """Return the report of one row, and write its scores.

    Raises:
        ValueError: if the images scored are not those of the val shards.
    """
    torch.set_num_threads(1)
    (scores,) = scored.rows([number])
    write_scores(path, [scores])
    inside = unseen_world(scored.classes).classes
    return report_row(scores, scored.classes, inside, asked.penalties, resamples, seed)


@ray.remote(num_cpus=1)
def _report_row(scored: ScoringPass, number: int, path: Path, asked: Asked, resamples: int, seed: int) -> RowReport:
    return report_and_keep(scored, number, path, asked, resamples, seed)
