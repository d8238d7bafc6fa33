"""What `predict` writes of one photo or frame after the other: outputs of one model in COCO's formats, and overlays."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from jobs.pictures import map_from
from pading.classes import ClassTable
from pading.data.images import COMPRESS_LEVEL
from pading.evaluate.inference import PanopticMap, instances, semantic_map, upsampled_masks
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.results import at_judged_size, enlarged, instance_entries, segment_colours, segments_info
from pading.evaluate.results_overlay import draw_overlay
from pading.evaluate.scorer import Scorer
from pading.splits.split import JUDGED, Task

Output = Literal["panoptic", "semantic", "instances", "overlay"]
ENDINGS: dict[Output, str] = {"panoptic": ".png", "semantic": "_semantic.png", "overlay": "_overlay.png"}
PANOPTIC, INSTANCES, BOXES = "panoptic.json", "instances.json", "boxes.json"
LAST_BYTE = 255
LEGEND_LINES = 2  # of a video, whose frames are all of one size


def possible_outputs(task: Task) -> tuple[Output, ...]:
    """Return what a model of a task can write: without stuff no map of classes, without things no instances."""
    judged = JUDGED[task]
    semantic: tuple[Output, ...] = ("semantic",) if "semantic" in judged else ()
    found: tuple[Output, ...] = ("instances",) if "instance" in judged else ()
    return ("panoptic", *semantic, *found, "overlay")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of one photo or frame: its entries of the JSON files, ready but for the image id, and its map."""

    entry: dict[str, Any]
    panoptic: PanopticMap
    overlay: Image.Image | None  # of a frame; that of a photo is a file


@dataclass(frozen=True, kw_only=True)
class ResultFiles:
    """The pictures of each photo or frame, in a folder, under its name.

    NAME.png            panoptic: id = R + 256 G + 65536 B; the ids of `panoptic.json`
    NAME_semantic.png   the COCO id of each pixel, in 8 bits or, where ids are larger, in 16
    NAME_overlay.png    the panoptic map over the photo, with names and a legend; of a video its frames' go into a video
    """

    folder: Path
    classes: ClassTable
    task: Task
    scorer: Scorer
    outputs: tuple[Output, ...]

    def paths(self, name: str, of_a_frame: bool = False) -> list[Path]:
        """Return the pictures that a photo or frame has when it is finished."""
        kinds = [output for output in self.outputs if output in ENDINGS and not (of_a_frame and output == "overlay")]
        return [self.folder / f"{name}{ENDINGS[output]}" for output in kinds]

    def write(
        self, name: str, image: UInt8[np.ndarray, "H W 3"], prediction: ImagePrediction, of_a_frame: bool = False
    ) -> Written:
        """Write the pictures of one photo or frame, each whole or not at all, and return the rest of its results."""
        size = image.shape[:2]
        prediction = at_judged_size(prediction)
        masks = upsampled_masks(prediction)
        probabilities = self.scorer.probabilities(prediction, self.classes)
        panoptic = map_from(probabilities, masks, self.classes, self.task, self.scorer.inference)
        entry: dict[str, Any] = {"name": name, "height": size[0], "width": size[1]}
        if "panoptic" in self.outputs:
            label_map = enlarged(panoptic.label_map, size)
            self._save(segment_colours(label_map), name, "panoptic")
            coco_ids = [self.classes.coco_ids[index] for index in panoptic.classes]
            entry["segments_info"] = segments_info(label_map, coco_ids)
        if "semantic" in self.outputs:
            of_pixels = semantic_map(probabilities, masks, self.classes, self.scorer.inference)
            self._save(self._class_ids(enlarged(of_pixels, size)), name, "semantic")
        if "instances" in self.outputs:
            found = instances(probabilities, masks, self.classes, self.scorer.inference)
            entry["instances"] = instance_entries(found, masks.is_positive.numpy(), self.classes, size)
        overlay = None
        if "overlay" in self.outputs:
            lines = LEGEND_LINES if of_a_frame else None
            overlay = draw_overlay(Image.fromarray(image), panoptic, self.classes, lines)
            if not of_a_frame:
                save_whole(overlay, self.folder / f"{name}{ENDINGS['overlay']}")
        return Written(entry=entry, panoptic=panoptic, overlay=overlay if of_a_frame else None)

    def categories(self) -> list[dict[str, Any]]:
        """Return the list `categories` of an annotation file."""
        return categories(self.classes)

    def _class_ids(self, found: Int[np.ndarray, "H W"]) -> np.ndarray:
        coco_ids = np.array(self.classes.coco_ids)
        return coco_ids.astype(np.uint8 if coco_ids.max() <= LAST_BYTE else np.uint16)[found]

    def _save(self, pixels: np.ndarray, name: str, output: Output) -> None:
        save_whole(Image.fromarray(pixels), self.folder / f"{name}{ENDINGS[output]}")


def categories(classes: ClassTable) -> list[dict[str, Any]]:
    """Return the list `categories` of an annotation file."""
    rows = zip(classes.coco_ids, classes.names, classes.is_thing, strict=True)
    return [{"id": coco_id, "name": name, "isthing": int(is_thing)} for coco_id, name, is_thing in rows]


def save_whole(picture: Image.Image, path: Path) -> None:
    """Write a PNG under a temporary name, then rename it, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    picture.save(partial, "PNG", compress_level=COMPRESS_LEVEL)
    partial.replace(path)
