"""What the rows of a run read besides classifiers and predictions: settings, and the image branch if any row has it."""

from collections.abc import Iterable
from typing import Any

from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.regions import logit_scale, region_styles, region_text
from jobs.rows import RECIPES, RowInputs, require_styles, styles_read
from jobs.shard import shard_classes
from pading.config import to_plain

REGIONS = "regions"


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
    settings = {"classes": classes, "inference": config.inference, "zegformer": config.zegformer}
    styles = styles_read(methods)
    if not styles:
        return RowInputs(**settings)
    require_styles(methods, region_styles(run_dir))
    return RowInputs(
        **settings,
        regions=run_dir.artefact(REGIONS).resolve(),
        styles=styles,
        region_text=region_text(run_dir).for_classes(classes).matrix,
        logit_scale=logit_scale(run_dir),
    )
