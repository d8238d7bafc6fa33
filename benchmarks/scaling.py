"""What the pipeline takes on 1, 8 and 64 GPUs, for COCO and for a billion images, and where each stage stops scaling.

Three parts. *Measured* in this run, on one core: what an image costs in every stage, how many operations its networks
take, how many bytes it leaves. *Simulated* in this run: what driver and readers do for data sets of any number of
shards. *Assumed*, by options: what a GPU sustains, what comes with it and what it costs. Time and money follow.

The ratio is that of the CPU seconds in which a reader finds its images of 256 steps in ten million, by laying out the
whole epoch and by shuffling only the windows that the steps fall into.
"""

import argparse
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from benchmarks import _scaling_driver as driver
from benchmarks._scaling_costs import IMAGES, ImageCosts, measured
from benchmarks._scaling_driver import Spent, alone
from benchmarks._scaling_model import (
    STAGES,
    Costs,
    Machine,
    Workload,
    dollars,
    efficiency,
    stage_times,
    stored_bytes,
)
from cluster.session import connect
from jobs.progress import format_seconds
from pading.data.sample import Sample
from pading.data.shards.rows import ROWS_PER_GROUP, encode_row
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene
from pading.splits.published import shapes_panoptic

SHARDS, COMPARED_IMAGES = 20_000, 10_000_000
GPUS = (1, 8, 64)
COCO = Workload(name="COCO, 49 epochs, batches of 16", train_images=45_617, val_images=5_000, epochs=49, batch=16)
WORKLOADS = (
    COCO,
    replace(COCO, name="COCO, 49 epochs, batches of 128", batch=128),
    Workload(name="1e9 images, 1 epoch, batches of 1024", train_images=10**9, val_images=5_000, epochs=1, batch=1024),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling")
    parser.add_argument("--images", type=float, nargs="+", default=[1e6, 1e7, 1e8], help="sizes of simulated data sets")
    parser.add_argument("--tasks", type=int, nargs="+", default=[1000, 4000], help="Ray tasks that do nothing")
    parser.add_argument("--gpu-tflops", type=float, default=20.0, help="that the segmenter sustains")
    parser.add_argument("--cores-per-gpu", type=float, default=6.0)
    parser.add_argument("--gpus-per-node", type=int, default=8)
    parser.add_argument("--network-gb-s", type=float, default=6.25, help="of a GPU to other nodes")
    parser.add_argument("--storage-gb-s", type=float, default=2.0, help="of a node")
    parser.add_argument("--dollars-per-gpu-hour", type=float, default=4.10)
    parser.add_argument("--dollars-per-tb-month", type=float, default=23.0)
    options = parser.parse_args(sys.argv[2:])
    torch.set_num_threads(1)
    machine = Machine(
        gpu_tflops=options.gpu_tflops,
        cores_per_gpu=options.cores_per_gpu,
        gpus_per_node=options.gpus_per_node,
        network_gb_s=options.network_gb_s,
        storage_gb_s=options.storage_gb_s,
        dollars_per_gpu_hour=options.dollars_per_gpu_hour,
        dollars_per_tb_month=options.dollars_per_tb_month,
    )
    order_group_s = print_data_sets([int(size) for size in options.images])
    peer, ours = print_order()
    print_scores()
    task_s, block_s, task_ratio = print_tasks(options.tasks)
    images = measured(rows, shapes_panoptic().classes)
    print_images(images)
    costs = costs_of(images, task_s=task_s, block_s=block_s, order_group_s=order_group_s)
    print_clusters(costs, machine)
    result = {"benchmark": "scaling", "ratio": peer / ours, "ours": ours, "peer": peer}
    result |= {"unit": "CPU seconds of a reader for 256 steps in ten million images", "task_ratio": task_ratio}
    result |= {f"efficiency at 64, {work.name}": efficiency(costs, machine, work, 64) for work in WORKLOADS}
    print(json.dumps(result))


def rows() -> Iterator[dict]:
    """Yield rows of shards with scenes of the size and the bytes of COCO's photos."""
    config = ShapesConfig(image_px=640, num_train=IMAGES, size_jitter=0.2)
    for number in range(IMAGES):
        scene = render_scene(config, "train", number)
        jpeg = io.BytesIO()
        Image.fromarray(scene.image).save(jpeg, "JPEG", quality=97)
        label_maps = scene.label_map[None].astype(np.uint16)
        sample = Sample(
            image_id=number,
            file_name=f"{number}.jpg",
            image=scene.image,
            label_maps=label_maps,
            segments=tuple(scene.segments),
        )
        yield encode_row(jpeg.getvalue(), sample)


def print_data_sets(sizes: Sequence[int]) -> float:
    """Print what an index and a round of training take by size; return a reader's seconds for a row group."""
    print(f"a data set of {SHARDS} shards, row groups of 16: CPU s and MB above what the process held")
    print(f"{'images':>14}{'write index':>18}{'read index':>18}{'a round of steps':>18}")
    for size in sizes:
        found = [alone(work, size, SHARDS) for work in (driver.index_writing, driver.read_index, driver.plan_round)]
        print(f"{size:14,}" + "".join(map(shown, found)))
    by_shards = [alone(driver.read_index, sizes[0], number) for number in (SHARDS // 10, SHARDS)]
    print(f"{sizes[0]:,} images, index read: {SHARDS // 10} shards{shown(by_shards[0])}, {SHARDS}{shown(by_shards[1])}")
    records = alone(driver.list_records, times := 200)
    print(f"records of a COCO folder of {times * driver.RECORDS:,} images:{shown(records)}")
    return found[-1].seconds / (sizes[-1] / ROWS_PER_GROUP)


def print_order() -> tuple[float, float]:
    """Print both ways to find the images of a round; return their seconds."""
    peer = alone(driver.plan_round_by_epoch, COMPARED_IMAGES, SHARDS)
    ours = alone(driver.plan_round, COMPARED_IMAGES, SHARDS)
    print(f"\na round of steps in {COMPARED_IMAGES:,} images:{shown(peer)} by the whole epoch,{shown(ours)} by windows")
    return peer.seconds, ours.seconds


def print_tasks(numbers: Sequence[int]) -> tuple[float, float, float]:
    """Print what tasks and blocks take of the driver; return its seconds for one, and at once over in a window."""
    connect(num_cpus=2)
    driver.tasks_in_a_window(200)  # starts the workers
    print(f"\n{'tasks':>14}{'in a window':>18}{'all at once':>18}   CPU s of the driver, MB")
    for number in numbers:
        window, at_once = driver.tasks_in_a_window(number), driver.tasks_at_once(number)
        print(f"{number:14,}{shown(window)}{shown(at_once)}")
    blocks = driver.blocks_of_data(num_blocks := 400)
    print(f"Ray Data, {num_blocks} blocks that hold nothing: {1000 * blocks.seconds / num_blocks:.1f} ms each")
    return window.seconds / numbers[-1], blocks.seconds / num_blocks, at_once.seconds / window.seconds


def print_scores() -> None:
    """Print what it takes to collect the scores of many rows from the files of a pass."""
    print(f"\n{'rows':>14}{'one by one':>18}{'16 together':>18}   scores of 1,024 images in 16 files")
    for number in (32, 128):
        found = [alone(driver.merge_scores, 1024, number, together) for together in (1, 16)]
        print(f"{number:14,}" + "".join(map(shown, found)))


def print_images(images: ImageCosts) -> None:
    """Print what was measured of an image."""
    print("\none image, one core")
    for name, seconds in images.seconds.items():
        operations = f"{images.flops[name] / 1e9:12.0f} GFLOP" if name in images.flops else ""
        print(f"{name:>14}{1000 * seconds:14.2f} ms{operations}")
    print("bytes: " + ", ".join(f"{name} {number:,.0f}" for name, number in images.num_bytes.items()))


def costs_of(images: ImageCosts, *, task_s: float, block_s: float, order_group_s: float) -> Costs:
    """Return the costs that the model takes; what the network does not take of an image is left to cores."""
    seconds, flops, num_bytes = images.seconds, images.flops, images.num_bytes
    return Costs(
        read_s=seconds["read"],
        decode_s=seconds["decode"],
        shard_s=seconds["shard"],
        audit_s=seconds["audit"],
        train_flops=flops["train"],
        cache_s=seconds["decode"] + max(seconds["features"] - seconds["forward"], 0.0),
        forward_flops=flops["forward"],
        region_flops=flops["regions"],
        score_image_s=seconds["score image"],
        score_s=seconds["score row"],
        fit_s=seconds["fit"],
        trial_s=seconds["trial"],
        shard_bytes=num_bytes["shard"],
        feature_bytes=num_bytes["features"],
        prediction_bytes=num_bytes["predictions"],
        weights_bytes=num_bytes["weights"],
        task_s=task_s,
        block_s=block_s,
        order_group_s=order_group_s,
    )


def print_clusters(costs: Costs, machine: Machine) -> None:
    """Print time, what it waits for and money, for each workload and size of cluster."""
    print(f"\nassumed: {machine}")
    for work in WORKLOADS:
        by_gpus = {gpus: stage_times(costs, machine, work, gpus) for gpus in GPUS}
        print(f"\n{work.name}")
        print(f"{'':>14}" + "".join(f"{f'{gpus} GPUs':>22}" for gpus in GPUS) + f"{'stops at':>14}")
        for number, name in enumerate(STAGES):
            times = [by_gpus[gpus][number] for gpus in GPUS]
            cells = "".join(f"{format_seconds(time.seconds):>12}, {time.limit:8}" for time in times)
            print(f"{name:>14}{cells}{times[0].stops_at:10,.0f} GPUs")
        totals = [sum(stage.seconds for stage in by_gpus[gpus]) for gpus in GPUS]
        print(f"{'together':>14}" + "".join(f"{format_seconds(total):>12}{'':10}" for total in totals))
        prices = [dollars(by_gpus[gpus], machine, gpus) for gpus in GPUS]
        print(f"{'dollars':>14}" + "".join(f"{price:12,.0f}{'':10}" for price in prices))
        stored = stored_bytes(costs, work)
        each = ", ".join(f"{name} {number / 1e12:,.3f} TB" for name, number in stored.items())
        month = sum(stored.values()) / 1e12 * machine.dollars_per_tb_month
        print(f"{'storage':>14}  {each}: {month:,.0f} dollars a month")


def shown(spent: Spent) -> str:
    return f"{spent.seconds:8.2f} s {spent.peak_mb:5.0f} MB"


if __name__ == "__main__":
    main()
