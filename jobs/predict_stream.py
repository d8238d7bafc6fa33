"""Photos and frames, decoded in a thread of their own, through the network in batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.read_ahead import batches, read_ahead
from jobs.sources import Source, frame_files, read_photo
from jobs.video import video_frames
from pading.data.errors import DataError, MissingFileError
from pading.data.sample import Sample
from pading.evaluate.extract import predict_samples
from pading.evaluate.predictions import ImagePrediction
from pading.segmenter.segmenter import Segmenter


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A photo or frame by the name of its results; without pixels if it could not be read, `error` says why."""

    name: str
    file_name: str
    stamp: str
    pixels: np.ndarray | None
    error: DataError | MissingFileError | None = None


def photo_pictures(sources: Iterable[Source]) -> Iterator[Picture]:
    """Yield photos, those that do not read too."""
    for source in sources:
        try:
            pixels, error = read_photo(source.path), None
        except (DataError, MissingFileError) as found:
            pixels, error = None, found
        file_name = f"{source.name}{source.path.suffix}"
        yield Picture(name=source.name, file_name=file_name, stamp=source.stamp, pixels=pixels, error=error)


def frame_pictures(source: Source, every: int, limit: int) -> Iterator[Picture]:
    """Yield one frame in `every` of a video or a folder of frames, `limit` at most (0: all).

    Raises:
        ValueError: if the video does not read.
    """
    if source.kind == "video":
        for number, pixels in video_frames(source.path, every, limit):
            name = f"{source.name}/{number:06d}"
            yield Picture(name=name, file_name=name, stamp=source.stamp, pixels=pixels)
        return
    files = frame_files(source.path)[::every]
    frames = [
        Source(name=f"{source.name}/{path.stem}", path=path, kind="photo", stamp=source.stamp)
        for path in (files[:limit] if limit else files)
    ]
    yield from photo_pictures(frames)


def predicted(
    pictures: Iterable[Picture], segmenter: Segmenter, input_px: int, batch_size: int
) -> Iterator[tuple[Picture, ImagePrediction | None]]:
    """Yield each picture with what the segmenter says about it, in order; nothing of one that could not be read.

    As many pictures as are in a batch are decoded ahead: memory does not grow with their number.
    """
    for batch in batches(read_ahead(pictures, batch_size), batch_size):
        samples = [sample for picture in batch if (sample := _sample(picture)) is not None]
        found: Sequence[ImagePrediction] = predict_samples(segmenter, samples, input_px) if samples else ()
        of_readable = iter(found)
        for picture in batch:
            yield picture, None if picture.pixels is None else next(of_readable)


def _sample(picture: Picture) -> Sample | None:
    if picture.pixels is None:
        return None
    nothing = np.zeros((1, *picture.pixels.shape[:2]), np.uint16)
    return Sample(image_id=0, file_name=picture.name, image=picture.pixels, label_maps=nothing, segments=())
