"""Verb `predict`: photos in; panoptic PNG + JSON in COCO's format and an overlay picture out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image

from cluster.storage import write_json
from jobs.model import open_model
from jobs.pictures import map_of
from jobs.progress import Progress, say
from pading.classes import ClassTable
from pading.data.images import MAX_PIXELS
from pading.data.sample import Sample
from pading.evaluate.extract import predict_samples
from pading.evaluate.inference import PanopticMap
from pading.evaluate.panels import draw_map
from pading.segmenter.weights import load_segmenter
from pading.zeroshot.classifier import load_classifier

PHOTO_FORMATS = ("JPEG", "PNG")


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Segment photos with a finished run: seen classes and those known by name only."""

    photos: tyro.conf.Positional[tuple[Path, ...]]
    """JPEG or PNG files."""
    model: Annotated[Path, tyro.conf.arg(aliases=["--run-dir"])]
    """A run directory whose `fit` stage is finished, or a folder that `teach` wrote."""
    out: Path = Path("predictions")
    """Folder for NAME.png (COCO panoptic), panoptic.json and NAME_overlay.png."""
    method: str = "pading"
    """Row of the leaderboard to use, of a run."""
    seed: Annotated[int, tyro.conf.arg(help="Seed of that row.")] = 0


def predict(command: Predict) -> None:
    """Write a COCO panoptic result and an overlay for every photo.

    Raises:
        ValueError: if the run has no such method, or a file is not a photo.
    """
    model = open_model(command.model, command.method, command.seed)
    config, classes = model.config, model.classes
    segmenter, classifier = load_segmenter(model.segmenter), load_classifier(model.fitted)
    command.out.mkdir(parents=True, exist_ok=True)
    annotations = []
    progress = Progress("predict", len(command.photos))
    for number, path in enumerate(command.photos, start=1):
        image = read_photo(path)
        height, width = image.shape[:2]
        nothing = np.zeros((1, height, width), np.uint16)
        sample = Sample(image_id=number, file_name=path.name, image=image, label_maps=nothing, segments=())
        (prediction,) = predict_samples(segmenter, [sample], config.input_px)
        panoptic = map_of(prediction, classifier, classes, config.task, config.inference)
        annotations.append(write_coco(command.out, path, number, panoptic, classes))
        draw_map(Image.fromarray(image), panoptic, classes).save(command.out / f"{path.stem}_overlay.png")
        progress.update(number, path.name)
    categories = [
        {"id": coco_id, "name": name, "isthing": int(is_thing)}
        for coco_id, name, is_thing in zip(classes.coco_ids, classes.names, classes.is_thing, strict=True)
    ]
    write_json(command.out / "panoptic.json", {"annotations": annotations, "categories": categories})
    say(f"{len(annotations)} photos -> {command.out}")


def read_photo(path: Path) -> np.ndarray:
    """Return a photo as RGB (H, W, 3).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JPEG or PNG, ends early, or is too large.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such photo; check the path")
    try:
        with Image.open(path, formats=PHOTO_FORMATS) as photo:
            if photo.width * photo.height > MAX_PIXELS:
                raise ValueError(f"{photo.width} x {photo.height} pixels")
            return np.asarray(photo.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is not a readable JPEG or PNG of at most {MAX_PIXELS} pixels ({error})") from error


def write_coco(folder: Path, photo: Path, image_id: int, panoptic: PanopticMap, classes: ClassTable) -> dict[str, Any]:
    """Write the panoptic PNG (id = R + 256 G + 65536 B) and return its entry for the JSON; found names are said."""
    ids = panoptic.label_map.astype(np.uint32)  # the ids of segments are their positions
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], axis=2).astype(np.uint8)).save(
        folder / f"{photo.stem}.png"
    )
    areas = np.bincount(ids.ravel(), minlength=len(panoptic.classes) + 1)
    names = [classes.names[index] + ("" if classes.is_seen[index] else " *") for index in panoptic.classes]
    say(f"  {photo.name}: {', '.join(names) or 'nothing found'}")
    return {
        "image_id": image_id,
        "file_name": f"{photo.stem}.png",
        "segments_info": [
            {"id": number, "category_id": classes.coco_ids[index], "area": int(areas[number]), "iscrowd": 0}
            for number, index in enumerate(panoptic.classes.tolist(), start=1)
        ],
    }
