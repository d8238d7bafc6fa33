"""The pipeline: all stages in order, each skipped when its artefact is there; `status.json` says how far it is."""

import contextlib
import hashlib
import time
from typing import Any

from cluster.status import Status
from cluster.storage import RunDir, write_json
from jobs import (
    cache,
    embed,
    evaluate,
    fit,
    initial_weights,
    leaderboard,
    pretrain,
    regions,
    row_inputs,
    shapes,
    shard,
    sweep,
    verify,
)
from jobs.config import PipelineConfig, scored_tasks, split_of
from jobs.failures import one_line
from jobs.progress import format_seconds, say
from jobs.rows import require_styles
from jobs.stage import Stage
from pading.config import to_plain
from pading.evaluate.sweeps.trials import REPORT


def _coco_files(config: PipelineConfig) -> dict[str, str]:
    """Digest the annotations of a COCO folder that is not ours; its images are checked when they are read."""
    return {} if config.is_synthetic else verify.outside_files(config)


# How a training is spread over machines; it takes the same steps, and may be resumed elsewhere.
PLACES = (
    "workers",
    "cpus_per_worker",
    "threads_per_worker",
    "accumulation",
    "decoders",
    "read_ahead",
    "max_failures",
    "checkpoint_activations",
    "compile",
    "exact_timings",
)


def _of(*names: str) -> Any:
    """Return a function that picks these parts of a configuration."""
    return lambda config: {name: to_plain(getattr(config, name)) for name in names}


SHAPES = Stage(name="shapes", output="shapes", inputs=(), settings=_of("shapes"), work=shapes.draw_shapes)
TURNED_OFF = {"regions": "--regions.styles crop+mask turns it on"}


def stages(config: PipelineConfig) -> list[Stage]:
    """Return the stages of a run in order; only a synthetic run draws its world, and the image branch can be off.

    Raises:
        ValueError: if a row reads region embeddings that the run does not make, or the search space is none.
    """
    require_styles(config.fit.methods, config.regions.styles)
    sweep.require_search(config)
    world = (SHAPES.output,) if config.is_synthetic else ()
    split = split_of(config)
    table = hashlib.sha256(split.classes.to_json().encode()).hexdigest()[:16]
    benchmark = {"task": split.task, "class_table": table, "train": split.train, "val": split.val}

    def checks(config: PipelineConfig) -> dict[str, Any]:
        return {**benchmark, "deep": config.data.deep, "skip_bad": config.data.skip_bad}

    def shards(config: PipelineConfig) -> dict[str, Any]:
        data = config.data
        return {**benchmark, "shard_mb": data.shard_mb, "skip_bad": data.skip_bad, "shards": data.shards}

    def pretraining(config: PipelineConfig) -> dict[str, Any]:
        data = config.data
        return {
            **_of("segmenter", "seed")(config),
            "pretrain": {name: value for name, value in to_plain(config.pretrain).items() if name not in PLACES},
            "input_px": data.input_px,
            "max_segments": data.max_segments,
        }

    image_branch = Stage(
        name="regions",
        output="regions",
        inputs=regions.region_inputs(config),
        settings=regions.region_settings,
        outside=regions.outside_files,
        work=regions.regions,
        needs=regions.needs,
    )
    return [
        *([SHAPES] if config.is_synthetic else []),
        Stage(name="verify", output="verify", inputs=world, settings=checks, outside=_coco_files, work=verify.verify),
        Stage(
            name="shard",
            output="shards",
            inputs=world,  # not `verify`, which makes nothing that is read
            settings=shards,
            outside=_coco_files,
            work=shard.write_shards,
        ),
        Stage(
            name="embed",
            output="text",
            inputs=(),
            settings=lambda config: {"class_table": table, **_of("embed", "seed")(config)},
            outside=embed.outside_files,
            work=embed.embed,
        ),
        Stage(
            name="pretrain",
            output="segmenter",
            inputs=("shards", "text") if config.segmenter.class_head == "text" else ("shards",),
            settings=pretraining,
            outside=initial_weights.outside_files,
            work=pretrain.pretrain,
            needs=pretrain.needs,
        ),
        Stage(
            name="cache",
            output="cache",
            inputs=("shards", "segmenter"),
            settings=lambda config: {"no_object_per_image": config.cache.no_object_per_image, "seed": config.seed},
            work=cache.cache,
            needs=cache.needs,
        ),
        *([image_branch] if config.regions.styles else []),
        Stage(
            name="sweep",
            output=sweep.artefact_name(config),
            inputs=("cache", "segmenter", "text"),
            settings=sweep.sweep_settings,
            work=sweep.search,
            needs=sweep.needs,
            schema_version=2,
            workplace=sweep.artefact_name(config),
            redrawn=(REPORT,),
        ),
        Stage(
            name="fit",
            output="classifiers",
            inputs=("cache", "segmenter", "text", sweep.artefact_name(config)),
            settings=_of("method", "fit", "task"),
            work=fit.fit,
        ),
        Stage(
            name="evaluate",
            output="evaluation",
            inputs=("cache", "classifiers", "segmenter", *row_inputs.row_artefacts(config)),
            settings=lambda config: {
                **_of("inference", "seed")(config),
                **row_inputs.row_settings(config),
                **to_plain(config.evaluate),
                "tasks": list(scored_tasks(config)),
            },
            work=evaluate.evaluate,
        ),
        Stage(
            name="leaderboard",
            output="leaderboard",
            inputs=("evaluation", "segmenter"),
            settings=_of("preset"),
            work=leaderboard.publish,
        ),
    ]


def run_pipeline(config: PipelineConfig, run_dir: RunDir, *, first: str, last: str, force: bool) -> None:
    """Run the stages from `first` to `last`, both included; empty names mean the ends.

    Raises:
        ValueError: if a name is no stage of this run, a stage's input is missing, or an artefact has other settings.
    """
    chosen = chosen_stages(config, first, last)
    with run_dir.locked():
        if not (config.sweep.name and [stage.name for stage in chosen] == ["sweep"]):  # a sweep aside is not the run
            write_json(run_dir.root / "config.json", to_plain(config))
        status = Status(run_dir.status, config.preset)
        status.plan([stage.name for stage in chosen])
        start = time.monotonic()
        try:
            for number, stage in enumerate(chosen, start=1):
                _run_stage(stage, config, run_dir, status, force=force, title=f"[{number}/{len(chosen)}] {stage.name}")
            status.finish("succeeded")
        except BaseException:
            with contextlib.suppress(OSError):  # the disk may be what failed, and is what has to be told
                status.finish("failed")
            raise
        say(f"done in {format_seconds(time.monotonic() - start)}: {run_dir.root}")


def chosen_stages(config: PipelineConfig, first: str, last: str) -> list[Stage]:
    """Return the stages between two names, if what they need from outside is named.

    Raises:
        ValueError: if a name is no stage of this run, or the image branch is among them and has no CLIP.
    """
    chosen = select(stages(config), first, last)
    if any(stage.name == "regions" for stage in chosen):
        regions.require_clip(config)
    return chosen


def select(all_stages: list[Stage], first: str, last: str) -> list[Stage]:
    """Return the stages between two names.

    Raises:
        ValueError: if a name is unknown or the two are in the wrong order.
    """
    names = [stage.name for stage in all_stages]
    for name in filter(None, (first, last)):
        if name not in names:
            remedy = TURNED_OFF.get(name, "")
            raise ValueError(f"no stage {name!r} in this run; it has {', '.join(names)}{remedy and '; '}{remedy}")
    begin, end = names.index(first or names[0]), names.index(last or names[-1])
    if begin > end:
        raise ValueError(f"stage {first!r} comes after {last!r}; the order is {', '.join(names)}")
    return all_stages[begin : end + 1]


def _run_stage(
    stage: Stage, config: PipelineConfig, run_dir: RunDir, status: Status, *, force: bool, title: str
) -> None:
    start = time.monotonic()
    output = run_dir.artefact(stage.output)
    status.update(stage.name, "running")
    try:
        say(title)
        outcome = stage.run(config, run_dir, force=force)
    except BaseException as error:
        with contextlib.suppress(OSError):
            status.update(stage.name, "failed", since=start, error=one_line(error))
        raise
    status.update(stage.name, outcome, since=start, output=output)
    said = "up to date" if outcome == "skipped" else f"done in {format_seconds(time.monotonic() - start)}"
    say(f"{title}: {said}")
