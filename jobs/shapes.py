"""Stage `shapes`: draw the synthetic world into the run directory as real COCO files."""

from functools import partial
from pathlib import Path
from typing import Any

import ray

from cluster.session import connect
from cluster.storage import RunDir
from cluster.tasks import in_order
from jobs.config import PipelineConfig
from jobs.progress import Progress
from pading.shapes.layout import SPLITS, ShapesConfig
from pading.shapes.writer import ImageRecord, write_annotations, write_images

IMAGES_PER_TASK = 250


def draw_shapes(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write both splits; every image depends on the seed and its index alone, so tasks may run anywhere."""
    connect()
    counts = {}
    for split in SPLITS:
        num_images = config.shapes.num_images(split)
        shares = [
            list(range(start, min(start + IMAGES_PER_TASK, num_images)))
            for start in range(0, num_images, IMAGES_PER_TASK)
        ]
        progress = Progress(f"draw {split} images", num_images)
        records: list[ImageRecord] = []
        for reference in in_order(partial(_draw.remote, folder, config.shapes, split), shares):
            records += ray.get(reference)
            progress.update(len(records))
        write_annotations(folder, config.shapes, split, records)
        counts[f"{split}_images"] = len(records)
    return counts


@ray.remote
def _draw(folder: Path, shapes: ShapesConfig, split: str, indices: list[int]) -> list[ImageRecord]:
    return write_images(folder, shapes, split, indices)
