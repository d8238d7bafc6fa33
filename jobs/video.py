"""Videos in and out, by OpenCV: frames as RGB, and a picture for each."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from jobs.progress import say
from pading.data.errors import DataError
from pading.data.images import MAX_PIXELS

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
USUAL_RATE = 25.0  # of frames a second, where a video does not say


def video_length(path: Path, every: int, limit: int) -> int:
    """Return how many frames `video_frames` will give, as far as the header of the video knows."""
    with _opened(path) as capture:
        num_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    return wanted_frames(num_frames, every, limit)


def wanted_frames(num_frames: int, every: int, limit: int) -> int:
    """Return how many frames are left of a number of them: one in `every`, `limit` at most (0: all)."""
    wanted = math.ceil(num_frames / every)
    return min(wanted, limit) if limit else wanted


def video_rate(path: Path) -> float:
    """Return the frames a second of a video."""
    with _opened(path) as capture:
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if math.isfinite(rate) and rate > 0 else USUAL_RATE


def video_frames(path: Path, every: int, limit: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number and the RGB pixels of one frame in `every`, `limit` at most (0: all).

    Raises:
        ValueError: if the file is no video that OpenCV reads, or holds no frame.
    """
    with _opened(path) as capture:
        number = given = 0
        while (not limit or given < limit) and capture.grab():
            if number % every == 0:
                is_there, frame = capture.retrieve()
                if not is_there:
                    raise DataError(str(path), f"frame {number} does not decode", "convert the video again")
                yield number, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                given += 1
            number += 1
        listed = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    if given == 0:
        raise DataError(str(path), "holds no frame", "give a video, or convert it to .mp4")
    if not limit and number < listed:
        say(f"  {path}: ends after {number} of the {listed:.0f} frames that its header tells of")


@contextlib.contextmanager
def video_writer(path: Path, frames_per_second: float) -> Iterator[Callable[[Image.Image], None]]:
    """Yield what adds a picture to a video, whose file appears when it is whole.

    All pictures must have the even sides of the first.

    Raises:
        ValueError: if the ending is of no codec, or the codec is not there.
    """
    if path.suffix not in CODECS:
        raise ValueError(f"{path.name}: no codec for this ending; choose from {', '.join(CODECS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")  # the codec's container goes by the ending
    writers: list[cv2.VideoWriter] = []
    size: list[tuple[int, int]] = []

    def add(picture: Image.Image) -> None:
        if not writers:
            _quieten()
            code = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
            writer = cv2.VideoWriter(str(partial), code, frames_per_second, picture.size)
            if not writer.isOpened():
                raise ValueError(f"{path}: OpenCV has no codec {CODECS[path.suffix]}; try another --video-ending")
            writers.append(writer)
            size.append(picture.size)
        if picture.size != size[0]:
            what = f"a frame of {picture.size} pixels in a video of {size[0]}"
            raise DataError(str(path), what, "give frames of one size")
        writers[0].write(cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR))

    try:
        yield add
        if not writers:
            raise DataError(str(path), "no frame to write", "give a video with frames that read")
        writers[0].release()
        partial.replace(path)
    finally:
        for writer in writers:
            writer.release()
        partial.unlink(missing_ok=True)


def _quieten() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: what is wrong with a video is one error of ours."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once, when a video is first opened
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    _quieten()
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)  # others would read it as a picture
    try:
        width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if not capture.isOpened() or min(width, height) < 1:
            raise DataError(str(path), "is no video that OpenCV reads", "convert it to .mp4, or give its frames")
        if width * height > MAX_PIXELS:
            raise DataError(str(path), f"has frames of {width:.0f} x {height:.0f} pixels", "scale the video down")
        yield capture
    finally:
        capture.release()
