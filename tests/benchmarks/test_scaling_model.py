"""Time, money and limits of made-up costs, worked by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._scaling_driver import index_of, whole_epoch
from benchmarks._scaling_model import STAGES, Costs, Machine, Workload, dollars, efficiency, stage_times, stored_bytes
from pading.data.views.order import TrainingOrder

COSTS = Costs(
    read_s=0.0,
    decode_s=0.01,
    shard_s=0.05,
    audit_s=0.01,
    train_flops=1e12,
    cache_s=0.0,
    forward_flops=4e11,
    region_flops=1e11,
    score_image_s=0.1,
    score_s=0.002,
    fit_s=60.0,
    trial_s=120.0,
    shard_bytes=131072.0,
    feature_bytes=10_000.0,
    prediction_bytes=1e6,
    weights_bytes=1e8,
    task_s=0.001,
    block_s=0.01,
    order_group_s=0.0,
)
MACHINE = Machine(
    gpu_tflops=10.0,
    cores_per_gpu=5.0,
    gpus_per_node=4,
    network_gb_s=10.0,
    storage_gb_s=1e6,
    dollars_per_gpu_hour=3.6,
    dollars_per_tb_month=20.0,
)
WORK = Workload(name="w", train_images=16_000, val_images=1600, epochs=10, batch=16, trials=10, fits=10, rows=10)


def stage(name: str, gpus: int, work: Workload = WORK, costs: Costs = COSTS, machine: Machine = MACHINE):
    return stage_times(costs, machine, work, gpus)[STAGES.index(name)]


def test_a_stage_on_one_gpu_takes_what_its_slowest_resource_takes() -> None:
    """160,000 images at 1e12 operations on 1e13 a second; their decoding would take 320 s on five cores."""
    pretrain = stage("pretrain", 1)
    assert (pretrain.seconds, pretrain.limit) == (pytest.approx(16_000), "GPUs")
    slow = stage("pretrain", 1, costs=replace(COSTS, decode_s=1.0))
    assert (slow.seconds, slow.limit) == (pytest.approx(160_000 / 5), "cores")
    assert stage("shard", 1).seconds == pytest.approx((17_600 * 0.05 + 16_000 * 0.01) / 5)


def test_summing_gradients_takes_time_from_two_nodes_on() -> None:
    """10,000 steps send 2e8 bytes each: 0.02 s a step on top of the work."""
    assert stage("pretrain", 8).seconds == pytest.approx(16_000 / 8 + 200)
    assert stage("pretrain", 4).seconds == pytest.approx(16_000 / 4)


def test_a_slow_network_stops_a_training_at_one_node() -> None:
    slow = replace(MACHINE, network_gb_s=0.01)
    assert stage("pretrain", 1, machine=slow).stops_at == 4
    assert stage("pretrain", 1, machine=replace(MACHINE, network_gb_s=1.0)).stops_at == pytest.approx(16_000 / 2000)


def test_ranks_beyond_the_batch_do_not_help() -> None:
    assert stage("pretrain", 64).seconds == stage("pretrain", 16).seconds
    assert stage("pretrain", 64, replace(WORK, batch=64)).seconds < stage("pretrain", 16).seconds / 3
    assert stage("pretrain", 1).stops_at == 16


def test_a_sweep_ends_with_its_last_trial() -> None:
    assert stage("sweep", 1).seconds == pytest.approx(10 * 120 / 5)
    assert stage("sweep", 2).seconds == stage("sweep", 64).seconds == pytest.approx(120)
    assert stage("sweep", 1).stops_at == 2


def test_a_row_more_costs_less_than_the_first() -> None:
    """1600 images: 0.1 s each for all rows, 0.002 s for each row, on five cores."""
    assert stage("evaluate", 1).seconds == pytest.approx(1600 * (0.1 + 10 * 0.002) / 5)


def test_the_driver_is_what_is_left_of_a_stage_that_is_spread_far() -> None:
    """17,600 images of 128 KiB fill 18 files; two passes of Ray Data spend 0.36 s on them."""
    far = stage("shard", 100_000)
    assert (far.seconds, far.limit) == (pytest.approx(2 * 18 * 0.01), "driver")
    assert far.stops_at == pytest.approx((17_600 * 0.05 + 16_000 * 0.01) / 5 / 0.36)
    more = replace(WORK, train_images=10**9)  # a million files, but no more blocks than the stage makes
    assert stage("shard", 10**9, more).seconds == pytest.approx(2 * 10_000 * 0.01)


def test_a_held_cluster_costs_its_gpus_from_the_first_stage_to_the_last() -> None:
    stages = stage_times(COSTS, MACHINE, WORK, 4)
    assert dollars(stages, MACHINE, 4) == pytest.approx(sum(one.seconds for one in stages) * 4 * 0.001)


def test_storage_is_what_images_leave() -> None:
    assert stored_bytes(COSTS, WORK) == {
        "shards": 17_600 * 131072,
        "features": 16_000 * 10_000,
        "predictions": 1600 * 1e6,
    }


@settings(max_examples=30, deadline=None)
@given(gpus=st.integers(1, 300), images=st.integers(1000, 10**9), batch=st.integers(1, 2048))
def test_no_cluster_beats_a_perfect_speed_up_and_none_is_slower_for_one_stage_alone(gpus, images, batch) -> None:
    work = replace(WORK, train_images=images, batch=batch)
    machine = replace(MACHINE, gpus_per_node=1)
    assert 0 < efficiency(COSTS, machine, work, gpus) <= 1 + 1e-9
    for one, more in zip(
        stage_times(COSTS, machine, work, gpus), stage_times(COSTS, machine, work, 2 * gpus), strict=True
    ):
        assert more.seconds <= one.seconds * 1.0000001 or (one.name == "pretrain" and gpus == 1)
        assert not math.isnan(one.stops_at)


def test_both_ways_of_the_benchmark_find_the_same_images() -> None:
    rows_per_group = tuple(file.rows_per_group for file in index_of(1003, 5).files)
    order = TrainingOrder(rows_per_group=rows_per_group, seed=0, batch_size=24)
    np.testing.assert_array_equal(whole_epoch(rows_per_group, 24, 0, 0), order.images_at(0, np.arange(1003)))


def test_a_made_up_index_holds_as_many_images_and_shards_as_it_was_asked_for() -> None:
    index = index_of(1003, 7)
    assert (index.num_images, len(index.files)) == (1003, 7)
    assert {rows for file in index.files for rows in file.rows_per_group[:-1]} == {16}
