"""Time and money of every stage on a cluster of any size, from what an image costs one core or one GPU.

A stage takes as long as the slowest of what it needs at the same time: GPUs, cores, storage, the network between
ranks, and the driver, which is one process whatever the size of the cluster. What does not shrink with the cluster says
where a stage stops scaling.
"""

import math
from dataclasses import dataclass

from jobs.scoring import GROUPS_PER_PART
from jobs.shard_parts import MAX_BLOCKS
from jobs.stream import MAX_ROUNDS, STEPS_PER_ROUND
from pading.data.shards.rows import ROWS_PER_GROUP

SHARD_BYTES = 128 * 2**20  # of photos in a file, `data.shard_mb`


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What was measured: seconds of one core an image where nothing else is said."""

    read_s: float  # a row group of shards, packed
    decode_s: float  # photo and labels into a training batch
    shard_s: float  # encoding and writing
    audit_s: float  # decoding labels again, counting every pixel, hashing
    train_flops: float
    cache_s: float  # what a forward pass needs beside the network: decoding, matching
    forward_flops: float
    region_flops: float  # of an image's masks that are encoded
    score_image_s: float  # once for all rows
    score_s: float  # for each of them
    fit_s: float  # one fit of generator and classifier
    trial_s: float  # fits on every hold-out
    shard_bytes: float
    feature_bytes: float
    prediction_bytes: float
    weights_bytes: float
    task_s: float  # of the driver, for a Ray task
    block_s: float  # of the driver, for a block of Ray Data
    order_group_s: float  # of a reader, for each row group of the data set, once a round


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a GPU comes with. None of it was measured here."""

    gpu_tflops: float  # that the segmenter sustains
    cores_per_gpu: float
    gpus_per_node: int
    network_gb_s: float  # of a GPU to other nodes, while gradients are summed; inside a node that takes no time
    storage_gb_s: float  # that a node reads or writes
    dollars_per_gpu_hour: float
    dollars_per_tb_month: float


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is asked of the pipeline."""

    name: str
    train_images: int
    val_images: int
    epochs: int
    batch: int  # images of a step, of all ranks together: there is no rank without one
    trials: int = 64
    fits: int = 35  # seven methods, five seeds
    rows: int = 50


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """How long a stage takes, and by what."""

    name: str
    seconds: float
    limit: str  # what it waits for
    stops_at: float  # GPUs after which more of them help no more


def stage_times(costs: Costs, machine: Machine, work: Workload, gpus: int) -> list[StageTime]:
    """Return the time of every stage on so many GPUs, and the cores and nodes that come with them."""
    shares = {name: _needs(costs, machine, work, name) for name in STAGES}
    return [_slowest(name, need, machine, work, gpus) for name, need in shares.items()]


def dollars(stages: list[StageTime], machine: Machine, gpus: int) -> float:
    """Return the price of a cluster that is held from the first stage to the last."""
    return sum(stage.seconds for stage in stages) / 3600 * gpus * machine.dollars_per_gpu_hour


def stored_bytes(costs: Costs, work: Workload) -> dict[str, float]:
    """Return what a run leaves on storage."""
    return {
        "shards": (work.train_images + work.val_images) * costs.shard_bytes,
        "features": work.train_images * costs.feature_bytes,
        "predictions": work.val_images * costs.prediction_bytes,
    }


def efficiency(costs: Costs, machine: Machine, work: Workload, gpus: int) -> float:
    """Return the share of a perfect speed-up that so many GPUs give the whole run."""
    one, many = (sum(s.seconds for s in stage_times(costs, machine, work, number)) for number in (1, gpus))
    return one / (many * gpus)


STAGES = ("shard", "pretrain", "cache", "regions", "sweep", "fit", "evaluate")


@dataclass(frozen=True, kw_only=True)
class _Needs:
    """Seconds of one core and one GPU, bytes of storage; seconds that no cluster shortens, by what takes them."""

    core_s: float = 0.0
    gpu_s: float = 0.0
    num_bytes: float = 0.0
    serial: dict[str, float]
    parts: float = math.inf  # pieces that the work falls into


def _needs(costs: Costs, machine: Machine, work: Workload, stage: str) -> _Needs:
    images, both = work.train_images, work.train_images + work.val_images
    files = math.ceil(both * costs.shard_bytes / SHARD_BYTES)
    flop_s = 1 / (machine.gpu_tflops * 1e12)
    if stage == "shard":  # one pass to write, one to audit
        core_s = both * costs.shard_s + images * costs.audit_s
        blocks = 2 * min(files, MAX_BLOCKS)
        return _Needs(core_s=core_s, num_bytes=2 * both * costs.shard_bytes, serial={"driver": blocks * costs.block_s})
    if stage == "pretrain":
        seen, ranks = images * work.epochs, work.batch
        steps = math.ceil(seen / work.batch)
        groups = images / ROWS_PER_GROUP
        return _Needs(
            core_s=seen * (costs.read_s + costs.decode_s),
            gpu_s=seen * costs.train_flops * flop_s,
            num_bytes=seen * costs.shard_bytes,
            serial={
                "network": steps * 2 * costs.weights_bytes / (machine.network_gb_s * 1e9),
                "order": min(MAX_ROUNDS, steps / STEPS_PER_ROUND) * groups * costs.order_group_s,
            },
            parts=ranks,
        )
    if stage == "cache":
        return _Needs(
            core_s=both * (costs.read_s + costs.cache_s),
            gpu_s=both * costs.forward_flops * flop_s,
            num_bytes=both * costs.shard_bytes + sum(stored_bytes(costs, work).values()),
            serial={"driver": files * costs.block_s},
        )
    val, val_groups = work.val_images, math.ceil(work.val_images / ROWS_PER_GROUP)
    if stage == "regions":
        return _Needs(gpu_s=val * costs.region_flops * flop_s, serial={"driver": val_groups * costs.block_s})
    if stage == "sweep":
        return _Needs(core_s=work.trials * costs.trial_s, serial={}, parts=work.trials)
    if stage == "fit":
        return _Needs(core_s=work.fits * costs.fit_s, serial={}, parts=work.fits)
    parts = math.ceil(val_groups / GROUPS_PER_PART)
    return _Needs(
        core_s=val * (costs.score_image_s + work.rows * costs.score_s),
        serial={"driver": parts * costs.task_s},
        parts=parts,
    )


def _slowest(name: str, need: _Needs, machine: Machine, work: Workload, gpus: int) -> StageTime:
    ranks = min(gpus, need.parts) if need.gpu_s else gpus
    cores = min(ranks * machine.cores_per_gpu, need.parts if not need.gpu_s else math.inf)
    nodes = math.ceil(ranks / machine.gpus_per_node)
    bounds = {
        "GPUs": need.gpu_s / ranks,
        "cores": need.core_s / max(cores, 1),
        "storage": need.num_bytes / (nodes * machine.storage_gb_s * 1e9),
    }
    waits = {what: seconds for what, seconds in need.serial.items() if what != "network"}
    if nodes > 1:  # after each step, in turn with it
        bounds["GPUs"] += need.serial.get("network", 0.0)
    limit, seconds = max((bounds | waits).items(), key=lambda bound: bound[1])
    return StageTime(name=name, seconds=seconds, limit=limit, stops_at=_stops_at(need, machine))


def _stops_at(need: _Needs, machine: Machine) -> float:
    """Return where the work of all GPUs together, spread evenly, takes as long as what cannot be spread."""
    spread = max(need.gpu_s, need.core_s / machine.cores_per_gpu)
    by_parts = need.parts if need.gpu_s else need.parts / machine.cores_per_gpu
    by_serial = {what: spread / seconds for what, seconds in need.serial.items() if seconds > 0}
    if "network" in by_serial:
        by_serial["network"] = max(by_serial["network"], machine.gpus_per_node)
    return min(by_parts, *by_serial.values(), math.inf)
