"""What an ablation found: scores of every variant, over seeds and over drawn images, and its lines compared.

`ablation_pages.py` shows it to people. Qualities are in percent; null stands where there is no value.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64

from pading.classes import ClassTable
from pading.config import to_plain
from pading.evaluate.bootstrap import GROUPS, SeedScores, group_scores, interval, plain_comparison
from pading.evaluate.per_image import QUALITIES, ImageScores
from pading.evaluate.published import PUBLISHED_GAINS, published_beside
from pading.splits.split import Task
from pading.zeroshot.ablation import Line, Table, Variant

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class VariantResult:
    """What became of one variant: metrics of each seed that was fitted, and the reason for each that was not."""

    scores: SeedScores | None  # None if no seed was fitted
    metrics: dict[int, dict[str, float]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0  # fitting, all seeds


def judge(
    scores: Mapping[int, ImageScores],
    failures: Mapping[int, str],
    seconds: float,
    classes: ClassTable,
    weights: Float64[np.ndarray, "R N"],
) -> VariantResult:
    """Return the result of a variant from its scores by seed, with `weights` as drawn sets of the same images."""
    metrics: dict[int, dict[str, float]] = {}
    estimates, replicates = [], []
    for seed, one in scores.items():
        as_they_are = np.ones((1, len(one.image_ids)))
        groups = {name: group_scores(one.quality(name, as_they_are), classes)[0] for name in QUALITIES[one.task]}
        metrics[seed] = {
            f"{name}/{group}": float(value)
            for name, values in groups.items()
            for group, value in zip(GROUPS, values, strict=True)
        }
        main = QUALITIES[one.task][0]
        estimates.append(groups[main])
        replicates.append(group_scores(one.quality(main, weights), classes))
    pooled = (
        SeedScores(seeds=tuple(scores), estimates=np.stack(estimates), replicates=np.stack(replicates))
        if scores
        else None
    )
    return VariantResult(scores=pooled, metrics=metrics, failures=dict(failures), seconds=seconds)


def ablation_report(
    tables: Sequence[Table], results: Mapping[Variant, VariantResult], task: Task, split: str, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the whole ablation as data for JSON; `about` says what run it was and how it was judged."""
    numbers = {variant: number for number, variant in enumerate(results)}
    published = published_beside(task, split)
    return {
        "schema": SCHEMA_VERSION,
        "task": task,
        "quality": QUALITIES[task][0],
        "qualities": list(QUALITIES[task]),
        "split": split,
        **about,
        "tables": [
            {
                "name": table.name,
                "title": table.title,
                "axis": table.axis,
                "default": table.default,
                "lines": [
                    {
                        "label": line.label,
                        "variant": numbers[line.variant],
                        "comparisons": _comparisons(line, table, results),
                    }
                    for line in table.lines
                ],
            }
            for table in tables
        ],
        "variants": [_plain_variant(variant, result) for variant, result in results.items()],
        "published": {
            "rows": [
                {
                    "source": row.source,
                    "benchmark": row.benchmark,
                    "row": row.row,
                    "method": row.method,
                    "qualities": {name: groups._asdict() for name, groups in row.qualities.items()},
                }
                for row in published
            ],
            "gains": [{"source": gain.source, "table": gain.table, "text": gain.text} for gain in PUBLISHED_GAINS],
        },
    }


def _comparisons(line: Line, table: Table, results: Mapping[Variant, VariantResult]) -> list[dict[str, Any]]:
    variants = {other.label: other.variant for other in table.lines}
    mine = results[line.variant].scores
    compared = []
    for reference in line.references:
        theirs = results[variants[reference]].scores
        if mine is None or theirs is None or not set(mine.seeds) & set(theirs.seeds):
            continue
        compared.append({"reference": reference, **plain_comparison(mine, theirs)})
    return compared


def _plain_variant(variant: Variant, result: VariantResult) -> dict[str, Any]:
    names = next(iter(result.metrics.values()), {})
    by_name = {name: [metrics[name] for metrics in result.metrics.values()] for name in names}
    intervals = {}
    for group in GROUPS if result.scores is not None else ():
        found = interval(result.scores, group)  # type: ignore[arg-type]
        intervals[group] = [_finite(found.low), _finite(found.high)]
    return {
        "method": variant.method,
        "profile": variant.settings.profile,
        "settings": to_plain(variant.settings),
        "seeds": list(result.metrics),
        "mean": {name: _finite(statistics.fmean(values)) for name, values in by_name.items()},
        "deviation": {name: _finite(_deviation(values)) for name, values in by_name.items()},
        "intervals": intervals,
        "metrics": [{name: _finite(value) for name, value in metrics.items()} for metrics in result.metrics.values()],
        "failures": {str(seed): reason for seed, reason in result.failures.items()},
        "fit_seconds": round(result.seconds, 2),
    }


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation with n - 1 below; nothing can be said of a single value."""
    return statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
