"""What `predict` writes: the three outputs of one model in COCO's formats, and an overlay to look at."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from cluster.storage import write_json
from jobs.pictures import map_from
from pading.classes import ClassTable
from pading.data.coco.masks import compress
from pading.evaluate.inference import (
    PanopticMap,
    UpsampledMasks,
    instances,
    semantic_map,
    upsampled_masks,
)
from pading.evaluate.panels import draw_map
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.scorer import Scorer
from pading.splits.split import JUDGED, Task

PANOPTIC, INSTANCES = "panoptic.json", "instances.json"
PANOPTIC_ENDING, SEMANTIC_ENDING, OVERLAY_ENDING = ENDINGS = (".png", "_semantic.png", "_overlay.png")
LAST_BYTE = 255


@dataclass(kw_only=True)
class ResultFiles:
    """Results of one photo after the other; a split without instances or without stuff has no such output.

    NAME.png            panoptic: id = R + 256 G + 65536 B; the ids of `panoptic.json`
    NAME_semantic.png   the COCO id of each pixel, in 8 bits or, where ids are larger, in 16
    `instances.json`    COCO's result list: category, score, run lengths; the best 100 guesses of each photo
    NAME_overlay.png    the panoptic map over the photo
    """

    folder: Path
    classes: ClassTable
    task: Task
    scorer: Scorer
    panoptic: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    written: set[str] = field(default_factory=set)

    def add(self, name: str, image: UInt8[np.ndarray, "H W 3"], prediction: ImagePrediction) -> PanopticMap:
        """Write the pictures of one photo, keep its entries for the JSON files, and return its panoptic map.

        Raises:
            ValueError: if a picture of an earlier photo has the name of one of this photo.
        """
        names = {f"{name}{ending}" for ending in ENDINGS}
        if taken := sorted(names & self.written):
            raise ValueError(f"two photos would both be written to {self.folder / taken[0]}; predict them separately")
        self.written.update(names)
        masks = upsampled_masks(prediction)
        probabilities = self.scorer.probabilities(prediction, self.classes)
        panoptic = map_from(probabilities, masks, self.classes, self.task, self.scorer.inference)
        self.panoptic.append(self._write_panoptic(name, prediction.image_id, panoptic))
        if "semantic" in JUDGED[self.task]:
            self._write_semantic(name, semantic_map(probabilities, masks, self.classes, self.scorer.inference))
        if "instance" in JUDGED[self.task]:
            self.instances.extend(self._instances(prediction.image_id, probabilities, masks))
        draw_map(Image.fromarray(image), panoptic, self.classes).save(self.folder / f"{name}{OVERLAY_ENDING}")
        return panoptic

    def finish(self) -> None:
        """Write the JSON files."""
        rows = zip(self.classes.coco_ids, self.classes.names, self.classes.is_thing, strict=True)
        categories = [{"id": coco_id, "name": name, "isthing": int(is_thing)} for coco_id, name, is_thing in rows]
        write_json(self.folder / PANOPTIC, {"annotations": self.panoptic, "categories": categories})
        if "instance" in JUDGED[self.task]:
            write_json(self.folder / INSTANCES, self.instances)

    def _write_panoptic(self, name: str, image_id: int, panoptic: PanopticMap) -> dict[str, Any]:
        ids = panoptic.label_map.astype(np.uint32)  # the ids of segments are their positions
        pixels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], axis=2).astype(np.uint8)
        Image.fromarray(pixels).save(self.folder / f"{name}{PANOPTIC_ENDING}")
        areas = np.bincount(ids.ravel(), minlength=len(panoptic.classes) + 1)
        return {
            "image_id": image_id,
            "file_name": f"{name}{PANOPTIC_ENDING}",
            "segments_info": [
                {"id": number, "category_id": self.classes.coco_ids[index], "area": int(areas[number]), "iscrowd": 0}
                for number, index in enumerate(panoptic.classes.tolist(), start=1)
            ],
        }

    def _write_semantic(self, name: str, found: Int64[np.ndarray, "H W"]) -> None:
        coco_ids = np.array(self.classes.coco_ids)
        depth = np.uint8 if coco_ids.max() <= LAST_BYTE else np.uint16
        Image.fromarray(coco_ids[found].astype(depth)).save(self.folder / f"{name}{SEMANTIC_ENDING}")

    def _instances(
        self, image_id: int, probabilities: Float[Tensor, "Q K+1"], masks: UpsampledMasks
    ) -> list[dict[str, Any]]:
        found = instances(probabilities, masks, self.classes, self.scorer.inference)
        codes = compress(masks.is_positive.numpy())  # once a query: several guesses may share its mask
        is_empty = ~masks.is_positive.flatten(1).any(dim=1).numpy()
        size = list(masks.is_positive.shape[1:])
        return [
            {
                "image_id": image_id,
                "category_id": self.classes.coco_ids[index],
                "score": score,
                "segmentation": {"size": size, "counts": codes[query]},
            }
            for query, index, score in zip(
                *map(np.ndarray.tolist, (found.queries, found.classes, found.scores)), strict=True
            )
            if not is_empty[query]
        ]
