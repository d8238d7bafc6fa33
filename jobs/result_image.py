"""The pictures of one val image in a folder of results, those of its truth, and what the JSON files say of it."""

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from PIL import Image

from jobs.pictures import map_from
from jobs.result_files import save_whole
from pading.classes import ClassTable
from pading.evaluate.inference import instances, semantic_map, upsampled_masks
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.results import (
    instance_entries,
    segment_colours,
    segments_info,
    true_instances,
    true_segment_ids,
    true_segments_info,
)
from pading.evaluate.results_semantic import value_of_class
from pading.evaluate.scorer import Scorer
from pading.splits.split import Task

TRUTH, PANOPTIC_FOLDER, SEMANTIC_FOLDER = "truth", "panoptic", "semantic"


class ResultPart(TypedDict):
    """Entries of the JSON files that are of one image."""

    image: dict[str, Any]
    panoptic: list[dict[str, Any]]
    true_panoptic: list[dict[str, Any]]
    instances: list[dict[str, Any]]
    boxes: list[dict[str, Any]]
    true_instances: list[dict[str, Any]]


def write_image(
    image: ImagePrediction,
    photo: str,
    scorer: Scorer,
    classes: ClassTable,
    split_task: Task,
    tasks: tuple[Task, ...],
    folder: Path,
) -> ResultPart:
    """Write the PNGs of one image, found and true, named as its photo, and return the rest of its results.

    Raises:
        ValueError: if a class of a semantic result has no value of 8 bits, or the scorer fails.
    """
    masks = upsampled_masks(image)
    probabilities = scorer.probabilities(image, classes)
    size, name = (image.height, image.width), str(Path(photo).with_suffix(""))
    part = ResultPart(
        image={"id": image.image_id, "file_name": photo, "height": size[0], "width": size[1]},
        panoptic=[],
        true_panoptic=[],
        instances=[],
        boxes=[],
        true_instances=[],
    )
    if "panoptic" in tasks:
        found = map_from(probabilities, masks, classes, split_task, scorer.inference)
        file_name = f"{name}.png"
        listed = {"image_id": image.image_id, "file_name": file_name}
        coco_ids = [classes.coco_ids[index] for index in found.classes]
        part["panoptic"].append({**listed, "segments_info": segments_info(found.label_map, coco_ids)})
        part["true_panoptic"].append({**listed, "segments_info": true_segments_info(image, classes)})
        _save(segment_colours(found.label_map), folder / PANOPTIC_FOLDER / file_name)
        _save(segment_colours(true_segment_ids(image)), folder / TRUTH / PANOPTIC_FOLDER / file_name)
    if "semantic" in tasks:
        values = value_of_class("coco-id-less-one", classes)
        of_pixels = semantic_map(probabilities, masks, classes, scorer.inference)
        _save(values[of_pixels], folder / SEMANTIC_FOLDER / f"{name}.png")
        true = np.array([values[-1], *(values[segment.class_index] for segment in image.segments)])
        _save(true[image.label_map], folder / TRUTH / SEMANTIC_FOLDER / f"{name}.png")
    if "instance" in tasks:
        guesses = instances(probabilities, masks, classes, scorer.inference)
        for entry in instance_entries(guesses, masks.is_positive.numpy(), classes, size):
            listed = {"image_id": image.image_id, **entry}
            box = listed.pop("bbox")
            part["instances"].append(listed)
            part["boxes"].append({**{key: listed[key] for key in ("image_id", "category_id", "score")}, "bbox": box})
        part["true_instances"] += true_instances(image, classes)
    return part


def _save(pixels: np.ndarray, path: Path) -> None:
    save_whole(Image.fromarray(pixels), path)
