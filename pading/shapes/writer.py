"""Writing the shapes world in COCO's own formats: photos, panoptic and stuff-thing PNGs, panoptic and instances JSON.

`write_images` may run in many workers at once, on any share of the indices; `write_annotations` joins what they return.
"""

import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from PIL import Image
from scipy import ndimage

from pading.shapes.classes import shapes_classes
from pading.shapes.layout import MAX_TRAIN, SPLITS, ShapesConfig
from pading.shapes.rle import encode_mask
from pading.shapes.scene import Scene, render_scene

JPEG_QUALITY = 92
FIRST_IMAGE_ID = {"train": 1, "val": MAX_TRAIN + 1}
VOID_VALUE = 255
INSTANCE_IDS_PER_IMAGE = 100


class ImageRecord(TypedDict):
    """What the annotation files say about one image."""

    image: dict[str, Any]
    panoptic: dict[str, Any]
    instances: list[dict[str, Any]]


def write_shapes_world(root: Path, config: ShapesConfig) -> None:
    """Write a whole world in this process, train and val; a small one, or one that may take its time."""
    for split in SPLITS:
        records = write_images(root, config, split, range(config.num_images(split)))
        write_annotations(root, config, split, records)


def write_images(root: Path, config: ShapesConfig, split: str, indices: Iterable[int]) -> list[ImageRecord]:
    """Write photos and label images of the given scenes; return what `write_annotations` needs, ready for JSON.

    Raises:
        ValueError: if the split has no such image.
    """
    config.num_images(split)
    photos = root / f"{split}2017"
    panoptic = root / "annotations" / f"panoptic_{split}2017"
    stuff_things = root / "stuffthingmaps_trainval2017" / f"{split}2017"
    for folder in (photos, panoptic, stuff_things):
        folder.mkdir(parents=True, exist_ok=True)
    records = []
    for index in indices:
        scene = render_scene(config, split, index)
        record = _record(scene, FIRST_IMAGE_ID[split] + index)
        photo = Image.fromarray(scene.image)
        _write_image(photos / record["image"]["file_name"], photo, format="JPEG", quality=JPEG_QUALITY)
        label_name = record["panoptic"]["file_name"]
        for folder, label_image in ((panoptic, _panoptic_image(scene)), (stuff_things, _stuff_thing_image(scene))):
            _write_image(folder / label_name, label_image, format="PNG", compress_level=1)
        records.append(record)
    return records


def write_annotations(root: Path, config: ShapesConfig, split: str, records: Sequence[ImageRecord]) -> None:
    """Write the panoptic and the instances JSON of a split from the records of all its images, in any order.

    Raises:
        ValueError: if an image of the split is missing or occurs twice.
    """
    ordered = sorted(records, key=lambda record: record["image"]["id"])
    seen_ids = [record["image"]["id"] for record in ordered]
    expected = range(FIRST_IMAGE_ID[split], FIRST_IMAGE_ID[split] + config.num_images(split))
    if seen_ids != list(expected):
        raise ValueError(
            f"split {split!r} has {len(expected)} images but {len(seen_ids)} records ({len(set(seen_ids))} distinct): "
            "pass what write_images returned for every index once"
        )
    table = shapes_classes()
    categories = [
        {"id": coco_id, "name": name, "isthing": int(is_thing), "supercategory": "thing" if is_thing else "stuff"}
        for coco_id, name, is_thing in zip(table.coco_ids, table.names, table.is_thing, strict=True)
    ]
    head = {
        "info": {"description": f"shapes world, seed {config.seed}", "version": "1.0", "year": 2017},
        "licenses": [{"id": 1, "name": "public domain", "url": ""}],
        "images": [record["image"] for record in ordered],
    }
    panoptic = [record["panoptic"] for record in ordered]
    instances = [annotation for record in ordered for annotation in record["instances"]]
    things = [category for category in categories if category["isthing"]]
    folder = root / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / f"panoptic_{split}2017.json", {**head, "annotations": panoptic, "categories": categories})
    _write_json(folder / f"instances_{split}2017.json", {**head, "annotations": instances, "categories": things})


def _record(scene: Scene, image_id: int) -> ImageRecord:
    table = shapes_classes()
    height, width = scene.label_map.shape
    segments_info: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    boxes = ndimage.find_objects(scene.label_map, len(scene.segments))
    for position, (segment, (rows, columns)) in enumerate(zip(scene.segments, boxes, strict=True)):
        described = {
            "category_id": table.coco_ids[segment.class_index],
            "iscrowd": int(segment.is_crowd),
            "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
            "area": segment.area_px,
        }
        segments_info.append({"id": segment.segment_id, **described})
        if table.is_thing[segment.class_index]:
            instance_id = image_id * INSTANCE_IDS_PER_IMAGE + len(instances)
            mask = encode_mask(scene.label_map == position + 1)
            instances.append({"id": instance_id, "image_id": image_id, "segmentation": mask, **described})
    name = f"{image_id:012d}"
    return {
        "image": {"id": image_id, "file_name": f"{name}.jpg", "height": height, "width": width, "license": 1},
        "panoptic": {"image_id": image_id, "file_name": f"{name}.png", "segments_info": segments_info},
        "instances": instances,
    }


def _panoptic_image(scene: Scene) -> Image.Image:
    """Return segment ids as colours: id = R + 256 G + 65536 B."""
    ids = np.array([0, *(segment.segment_id for segment in scene.segments)])
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=1).astype(np.uint8)
    return Image.fromarray(colours[scene.label_map])


def _stuff_thing_image(scene: Scene) -> Image.Image:
    """Return the class of each pixel as its COCO id less one."""
    coco_ids = shapes_classes().coco_ids
    values = [VOID_VALUE, *(coco_ids[segment.class_index] - 1 for segment in scene.segments)]
    return Image.fromarray(np.array(values, dtype=np.uint8)[scene.label_map])


def _write_image(path: Path, image: Image.Image, format: str, **options: int) -> None:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    _replace(path, buffer.getvalue())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _replace(path, json.dumps(content, separators=(",", ":")).encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it, so that no reader ever sees half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
