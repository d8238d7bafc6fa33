"""What `predict` does with its sources: photos one after the other, each video into a video of its own."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jobs.predict_stream import Picture, frame_pictures, photo_pictures, predicted
from jobs.prediction_journal import Journal
from jobs.progress import Progress, say
from jobs.result_files import ResultFiles, Written
from jobs.sources import Source, frame_files
from jobs.video import USUAL_RATE, video_length, video_rate, video_writer, wanted_frames
from pading.data.errors import DataError, MissingFileError
from pading.segmenter.segmenter import Segmenter

NAMED_ONE_BY_ONE = 20  # of more photos only the progress is told


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """Which frames of a video are predicted, and what becomes of their overlays."""

    every: int = 1
    """One frame in so many."""
    limit: int = 0
    """So many frames at most; 0: all."""
    frame_rate: float = 0.0
    """Frames a second of the overlay video; 0: as the video has them, 25 for a folder of frames."""
    ending: Literal[".mp4", ".avi"] = ".mp4"
    """What the overlay video ends in: .mp4 by the codec mp4v, .avi by MJPG."""

    def __post_init__(self) -> None:
        if self.every < 1 or self.limit < 0 or not 0 <= self.frame_rate < float("inf"):
            raise ValueError(
                f"every {self.every}, limit {self.limit}, frame_rate {self.frame_rate}: one frame in 1 or more, "
                "limit and rate 0 or more"
            )


@dataclass(frozen=True, kw_only=True)
class PredictWork:
    """A model at work on one source after the other; what is finished goes into the journal."""

    files: ResultFiles
    journal: Journal
    segmenter: Segmenter
    input_px: int
    batch_size: int
    video: VideoConfig
    skip_bad: bool

    def photos(self, sources: Sequence[Source]) -> list[str]:
        """Finish the photos that are not, and return what was wrong with those that do not read."""
        pending = [source for source in sources if not self._is_finished(source)]
        if len(pending) < len(sources):
            say(f"  {len(sources) - len(pending)} of {len(sources)} photos are finished already")
        progress = Progress("predict", len(sources), begun=len(sources) - len(pending))
        bad = []
        for done, (picture, written) in enumerate(self._written(photo_pictures(pending)), progress.begun + 1):
            if written is None:
                bad.append(_left_out(picture.error))
            else:
                self.journal.add({"file_name": picture.file_name, **written.entry}, picture.stamp)
                if len(sources) <= NAMED_ONE_BY_ONE:
                    say(f"  {picture.name}: {self._names(written) or 'nothing found'}")
            progress.update(done, picture.name)
        return bad

    def film(self, source: Source) -> list[str]:
        """Finish a video, from its first frame on if an earlier command did not get to its end; return what was wrong.

        A frame that does not read spoils the video, unless it may be skipped.
        """
        overlay = self.files.folder / f"{source.name}_overlay{self.video.ending}" if self._has_overlay else None
        if self.journal.has(source.name, source.stamp) and (overlay is None or overlay.is_file()):
            say(f"  {source.name} is finished already")
            return []
        try:
            names = self._frames(source, overlay)
        except (DataError, MissingFileError) as error:
            return [_left_out(error)]
        self.journal.add({"name": source.name, "frames": names}, source.stamp)
        say(f"  {source.name}: {len(names)} frames" + (f" -> {overlay}" if overlay else ""))
        return []

    @property
    def _has_overlay(self) -> bool:
        return "overlay" in self.files.outputs

    def _frames(self, source: Source, overlay: Path | None) -> list[str]:
        frames = frame_pictures(source, self.video.every, self.video.limit)
        progress = Progress(f"predict {source.name}", self._num_frames(source))
        names = []
        with video_writer(overlay, self._rate(source)) if overlay else contextlib.nullcontext() as add:
            for done, (picture, written) in enumerate(self._written(frames, of_a_video=True), start=1):
                if written is None:
                    if picture.error is not None and not self.skip_bad:
                        raise picture.error
                    _left_out(picture.error)
                    continue
                self.journal.add({"file_name": picture.file_name, **written.entry}, picture.stamp)
                names.append(picture.name)
                if add is not None and written.overlay is not None:
                    add(written.overlay)
                progress.update(done, picture.name)
        return names

    def _is_finished(self, source: Source) -> bool:
        return self.journal.has(source.name, source.stamp) and all(
            path.is_file() for path in self.files.paths(source.name)
        )

    def _written(
        self, pictures: Iterator[Picture], of_a_video: bool = False
    ) -> Iterator[tuple[Picture, Written | None]]:
        for picture, prediction in predicted(pictures, self.segmenter, self.input_px, self.batch_size):
            if picture.pixels is None or prediction is None:
                yield picture, None
            else:
                yield picture, self.files.write(picture.name, picture.pixels, prediction, of_a_video)

    def _names(self, written: Written) -> str:
        classes = self.files.classes
        return ", ".join(
            classes.names[index] + ("" if classes.is_seen[index] else " *") for index in written.panoptic.classes
        )

    def _num_frames(self, source: Source) -> int:
        every, limit = self.video.every, self.video.limit
        if source.kind == "video":
            return video_length(source.path, every, limit)
        return wanted_frames(len(frame_files(source.path)), every, limit)

    def _rate(self, source: Source) -> float:
        if self.video.frame_rate:
            return self.video.frame_rate
        return video_rate(source.path) / self.video.every if source.kind == "video" else USUAL_RATE


def _left_out(error: Exception | None) -> str:
    say(f"  left out: {error}")
    return str(error)
