"""Verb `predict`: photos and videos in; results in COCO's formats and overlays to look at out."""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from cluster.storage import file_digest
from jobs.model import Model, open_model, scorer_of_photos
from jobs.predict_work import PredictWork, VideoConfig
from jobs.prediction_journal import Journal
from jobs.prediction_lists import write_prediction_lists
from jobs.progress import say
from jobs.result_files import Output, ResultFiles, possible_outputs
from jobs.sources import Source, find_sources
from pading.config import to_plain
from pading.segmenter.weights import load_segmenter


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Segment photos and videos with a finished run: seen classes and those known by name only."""

    photos: tyro.conf.Positional[tuple[Path, ...]]
    """JPEG or PNG files, videos, and folders of them."""
    model: Annotated[Path, tyro.conf.arg(aliases=["--run-dir"])]
    """A run directory whose `fit` stage is finished, or a folder that `teach` wrote."""
    out: Path = Path("predictions")
    """Folder for NAME.png with panoptic.json, NAME_semantic.png (the COCO id of each pixel), instances.json (COCO's
    results) and NAME_overlay.png, of a video NAME_overlay.mp4."""
    outputs: tuple[Output, ...] = ()
    """Which of these to write; none named: all that the model's task has."""
    method: str = "pading"
    """Row of the leaderboard to use, of a run."""
    profile: str = ""
    """Profile of that row; empty: the first that was fitted."""
    seed: Annotated[int, tyro.conf.arg(help="Seed of that row.")] = 0
    recursive: bool = False
    """Look into the folders of a folder too."""
    frames: bool = False
    """Each folder holds the frames of one video, in the order of their names."""
    video: VideoConfig = field(default_factory=VideoConfig)
    batch_size: int = 8
    """Photos that go through the network together, and as many that are decoded ahead."""
    skip_bad: bool = False
    """Photos and frames that do not read are no failure."""
    again: bool = False
    """Do again what a command before this one has finished."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be at least 1")


def predict(command: Predict) -> None:
    """Write what is asked for of every photo and frame; what an earlier command finished is not done again.

    Raises:
        FileNotFoundError: if there is no such photo, folder or model.
        ValueError: if the run has no such method or output, or the method only for val images, results would lie over a
            photo or over one another, or, without `--skip-bad`, a photo does not read; the others are finished all
            the same.
    """
    model = open_model(command.model, command.method, command.profile, command.seed)
    outputs = _outputs(command, model)
    found = find_sources(command.photos, recursive=command.recursive, as_frames=command.frames, skipped=command.out)
    sources = [source if source.kind == "photo" else _with_video(source, command.video) for source in found]
    scorer = scorer_of_photos(model)
    files = ResultFiles(
        folder=command.out, classes=model.classes, task=model.config.task, scorer=scorer, outputs=outputs
    )
    photos = [source for source in sources if source.kind == "photo"]
    _require_apart(sources, files)
    with contextlib.closing(Journal.open(command.out, _settings(model, outputs), again=command.again)) as journal:
        work = PredictWork(
            files=files,
            journal=journal,
            segmenter=load_segmenter(model.segmenter).to("cuda" if torch.cuda.is_available() else "cpu"),
            input_px=model.config.input_px,
            batch_size=command.batch_size,
            video=command.video,
            skip_bad=command.skip_bad,
        )
        bad = work.photos(photos) if photos else []
        for source in sources:
            bad += work.film(source) if source.kind != "photo" else []
        num_finished = write_prediction_lists(journal, sources, files)
    what = "photos" if len(photos) == len(sources) else "photos and frames"
    say(f"{num_finished} {what} -> {command.out}")
    if bad and not command.skip_bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise ValueError(f"{bad[0]}{more}; all others are finished, --skip-bad accepts that")


def _with_video(source: Source, config: VideoConfig) -> Source:
    """Return a video that counts as changed when other frames of it are asked for."""
    return dataclasses.replace(source, stamp=f"{source.stamp}; {to_plain(config)}")


def _outputs(command: Predict, model: Model) -> tuple[Output, ...]:
    possible = possible_outputs(model.config.task)
    if impossible := [output for output in command.outputs if output not in possible]:
        raise ValueError(
            f"a model of the task {model.config.task} has no output {impossible[0]!r}; "
            f"choose --outputs from {' '.join(possible)}"
        )
    return tuple(output for output in possible if output in (command.outputs or possible))


def _settings(model: Model, outputs: Sequence[Output]) -> dict[str, Any]:
    """Return what the results depend on besides the photos, as JSON has it."""
    weights = {
        f"{folder.name}/{path.name}": file_digest(path)
        for folder in (model.segmenter, model.fitted)
        for path in sorted(folder.glob("*.safetensors"))
    }
    return {
        "weights": weights,
        "classes": list(model.classes.names),
        "inference": to_plain(model.config.inference),
        "outputs": list(outputs),
    }


def _require_apart(sources: Sequence[Source], files: ResultFiles) -> None:
    photos = [source for source in sources if source.kind == "photo"]
    originals = {photo.path.resolve() for photo in photos}
    films = {source.name for source in sources} - {photo.name for photo in photos}
    owners: dict[Path, str] = {}
    for photo in photos:
        for path in files.paths(photo.name):
            if path.resolve() in originals:
                raise ValueError(f"{path} is a photo that its results would overwrite; give another --out")
            if (other := owners.setdefault(path, photo.name)) != photo.name:
                raise ValueError(
                    f"results of {photo.name!r} and {other!r} would both be written to {path}; predict them separately"
                )
        if film := films.intersection(parent.as_posix() for parent in Path(photo.name).parents):
            raise ValueError(
                f"results of {photo.name!r} would lie among those of the video {film.pop()!r}; predict them separately"
            )
