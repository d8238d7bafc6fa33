"""Verb `ablate`: every variant of the ablation's tables x every seed, fitted and scored on what a run has cached."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from cluster.session import connect
from cluster.storage import Manifest, RunDir
from jobs.ablation_fits import Fit, fit_missing, planned_fits
from jobs.ablation_records import record_ablation
from jobs.ablation_scores import score_missing, scores_of
from jobs.config import PipelineConfig
from jobs.fit import profile_settings
from jobs.pipeline import run_pipeline, select, stages
from jobs.progress import Progress, say
from jobs.shard import shard_classes, shard_index
from pading.evaluate.ablation import VariantResult, ablation_report, judge
from pading.evaluate.ablation_pages import terminal_tables, write_ablation
from pading.evaluate.bootstrap import draw_weights
from pading.randomness import derive_seed
from pading.segmenter.provenance import read_provenance
from pading.zeroshot.ablation import TABLES, Variant, ablation_tables, variants_of
from pading.zeroshot.methods import PROFILES, MethodConfig

INPUTS = ("cache", "segmenter", "text")


@dataclass(frozen=True, kw_only=True)
class Ablate:
    """Fit and score every line of the ablation's tables, on what a run has cached."""

    config: Annotated[PipelineConfig, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """The run; runs/PRESET by default. Stages that it lacks, up to `cache`, are run first."""
    seeds: int = 5
    """Fits of each variant: seeds 0, 1, ..."""
    tables: str = ",".join(TABLES)
    """Which tables, joined by commas."""
    resamples: int = 2000
    """Sets of images drawn for intervals."""
    dry_run: bool = False
    """Print the tables and their lines, and do no work."""


def ablate(command: Ablate, run_dir: RunDir) -> None:
    """Write `ablation/` and one MLflow run for each fit; what is fitted or scored already is not done again.

    Raises:
        ValueError: if a table is unknown, a number is not positive, an earlier stage fails, or a fit failed; then the
            pages are written first.
    """
    if command.seeds < 1 or command.resamples < 1:
        raise ValueError(f"--seeds {command.seeds} and --resamples {command.resamples}: both must be at least 1")
    config = command.config
    tables = ablation_tables(profiles_of(config), config.method.profile, command.tables.split(","))
    variants = variants_of(tables)
    if command.dry_run:
        for table in tables:
            say(f"{table.name:12} {', '.join(line.label for line in table.lines)}")
        say(f"{len(variants)} variants x {command.seeds} seeds = {len(variants) * command.seeds} fits")
        return
    earlier = select(stages(config), "", "cache")
    if not all(stage.is_finished(config, run_dir) for stage in earlier):
        run_pipeline(config, run_dir, first="", last="cache", force=False)
    with run_dir.locked():
        connect()
        inputs = {name: _digest_of(run_dir, name) for name in INPUTS}
        work = run_dir.work("ablation")
        fits = planned_fits(variants, range(command.seeds), inputs, work / "fits")
        num_done = sum(fit.is_done for fit in fits)
        say(f"{len(fits)} fits of {len(variants)} variants; {num_done} are there already")
        failures = fit_missing(run_dir, fits)
        fitted = [fit for fit in fits if fit not in failures]
        score_missing(config, run_dir, fitted, work / "scoring")
        results = _judge_all(command, run_dir, fits, failures)
        split = shard_classes(run_dir).name
        report = ablation_report(tables, results, config.task, split, _about(command, run_dir))
        folder = run_dir.artefact("ablation")
        write_ablation(folder, report)
        say(terminal_tables(report))
        record_ablation(config, run_dir, inputs, fitted, results, report, folder)
        say(f"wrote {folder / 'ablation.html'}")
    if failures:
        shown = "; ".join(f"{fit.name}: {reason}" for fit, reason in list(failures.items())[:3])
        raise ValueError(f"{len(failures)} of {len(fits)} fits failed ({shown}); the others are in {folder}")


def profiles_of(config: PipelineConfig) -> dict[str, MethodConfig]:
    """Return the settings of every profile in this run; the run's own stand for the profile that they are made from."""
    others = {profile: profile_settings(config, profile, config.method) for profile in PROFILES}
    return others | {config.method.profile: config.method}


def _digest_of(run_dir: RunDir, name: str) -> str:
    manifest = Manifest.read(run_dir.artefact(name))
    assert manifest is not None  # the stage is finished
    return manifest.digest


def _judge_all(
    command: Ablate, run_dir: RunDir, fits: Sequence[Fit], failures: dict[Fit, str]
) -> dict[Variant, VariantResult]:
    """Return the result of every variant; the same images are drawn for all."""
    config, classes = command.config, shard_classes(run_dir)
    num_images = shard_index(config, run_dir, "val").num_images
    weights = draw_weights(num_images, command.resamples, derive_seed(config.seed, "drawn images"))
    by_variant: dict[Variant, list[Fit]] = {}
    for fit in fits:
        by_variant.setdefault(fit.variant, []).append(fit)
    results: dict[Variant, VariantResult] = {}
    progress = Progress("judge variants", len(by_variant))
    for variant, group in by_variant.items():
        fitted = [fit for fit in group if fit not in failures]
        results[variant] = judge(
            {fit.seed: scores_of(config, fit, classes) for fit in fitted},
            {fit.seed: failures[fit] for fit in group if fit in failures},
            sum(fit.seconds for fit in fitted),
            classes,
            weights,
        )
        progress.update(len(results))
    return results


def _about(command: Ablate, run_dir: RunDir) -> dict[str, Any]:
    config, classes = command.config, shard_classes(run_dir)
    provenance = read_provenance(run_dir.artefact("segmenter"))
    return {
        "preset": config.preset,
        "profile": config.method.profile,
        "num_images": shard_index(config, run_dir, "val").num_images,
        "num_seen": len(classes.seen),
        "num_unseen": len(classes.unseen),
        "num_seeds": command.seeds,
        "num_resamples": command.resamples,
        "segmenter": provenance.line,
        "leaky": provenance.leaky,
    }
