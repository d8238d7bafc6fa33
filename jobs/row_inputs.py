"""What the rows of a run read besides classifiers and predictions: settings, and the image branch if any row has it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.regions import logit_scale, region_styles, region_text
from jobs.rows import RECIPES, RowInputs, ScoredRow, require_styles, scored_row, styles_read
from jobs.shard import shard_classes
from pading.config import to_plain
from pading.evaluate.grid import GridPoint, best_point

REGIONS = "regions"
Grids = Mapping[tuple[str, str], list[GridPoint]]  # by method and profile, of the rows whose constants the run chooses


def row_artefacts(config: PipelineConfig) -> tuple[str, ...]:
    """Return what the rows of a run read besides classifiers and predictions."""
    return (REGIONS,) if styles_read(config.fit.methods) else ()


def row_settings(config: PipelineConfig) -> dict[str, Any]:
    """Return the settings that decide how rows score an image, and of calibrated ones how constants are chosen."""
    settings: dict[str, Any] = {"zegformer": to_plain(config.zegformer)}
    if any(RECIPES[method].is_calibrated for method in config.fit.methods):
        settings |= {"seed": config.seed, "sweep": to_plain(config.sweep)}
    return settings


def read_row_inputs(config: PipelineConfig, run_dir: RunDir, methods: Iterable[str]) -> RowInputs:
    """Return what these rows read.

    Raises:
        ValueError: if a row reads region embeddings that the run has not.
    """
    methods, classes = tuple(methods), shard_classes(run_dir)
    styles = styles_read(methods)
    if not styles:
        return RowInputs(classes=classes)
    require_styles(methods, region_styles(run_dir))
    return RowInputs(
        classes=classes,
        regions=run_dir.artefact(REGIONS).resolve(),
        styles=styles,
        region_text=region_text(run_dir).for_classes(classes).matrix,
        logit_scale=logit_scale(run_dir),
    )


def sources_of(
    config: PipelineConfig, run_dir: RunDir, rows: Iterable[Mapping[str, Any]], grids: Grids
) -> list[ScoredRow]:
    """Return what is scored for each row of the run: its classifier, by the configured constants or the best of a grid.

    Raises:
        KeyError: if there is no grid of a row whose constants the run chooses.
    """
    folder = run_dir.artefact("classifiers").resolve()
    chosen = {key: best_point(points) for key, points in grids.items()}
    sources = []
    for row in rows:
        recipe, constants = RECIPES[row["method"]], config.zegformer
        if recipe.is_calibrated:
            point = chosen[row["method"], row["profile"]]
            constants = replace(constants, weight=point.weight, seen_penalty=point.seen_penalty)
        sources.append(scored_row(recipe, folder / row["folder"], config.inference, constants))
    return sources
