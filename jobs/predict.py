"""Verb `predict`: photos in; panoptic, semantic and instance results in COCO's formats and an overlay picture out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from jobs.model import open_model
from jobs.progress import Progress, say
from jobs.result_files import ResultFiles
from pading.data.images import MAX_PIXELS
from pading.data.sample import Sample
from pading.evaluate.extract import predict_samples
from pading.evaluate.scorer import head_scorer
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
    """Folder for NAME.png with panoptic.json, NAME_semantic.png (the COCO id of each pixel), instances.json (COCO's
    results) and NAME_overlay.png."""
    method: str = "pading"
    """Row of the leaderboard to use, of a run."""
    profile: str = ""
    """Profile of that row; empty: the first that was fitted."""
    seed: Annotated[int, tyro.conf.arg(help="Seed of that row.")] = 0


def predict(command: Predict) -> None:
    """Write COCO results of the three tasks and an overlay for every photo.

    Raises:
        ValueError: if the run has no such method, a file is not a photo, or two photos have one name.
    """
    model = open_model(command.model, command.method, command.profile, command.seed)
    config, classes = model.config, model.classes
    segmenter = load_segmenter(model.segmenter)
    scorer = head_scorer(model.fitted.name, load_classifier(model.fitted), config.inference)
    command.out.mkdir(parents=True, exist_ok=True)
    results = ResultFiles(folder=command.out, classes=classes, task=config.task, scorer=scorer)
    progress = Progress("predict", len(command.photos))
    for number, path in enumerate(command.photos, start=1):
        image = read_photo(path)
        height, width = image.shape[:2]
        nothing = np.zeros((1, height, width), np.uint16)
        sample = Sample(image_id=number, file_name=path.name, image=image, label_maps=nothing, segments=())
        (prediction,) = predict_samples(segmenter, [sample], config.input_px)
        found = results.add(path.stem, image, prediction).classes
        names = [classes.names[index] + ("" if classes.is_seen[index] else " *") for index in found]
        say(f"  {path.name}: {', '.join(names) or 'nothing found'}")
        progress.update(number, path.name)
    results.finish()
    say(f"{len(command.photos)} photos -> {command.out}")


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
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable JPEG or PNG of at most {MAX_PIXELS} pixels ({error})") from error
