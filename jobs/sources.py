"""What `predict` is given: photos, folders of photos, videos, and folders of the frames of one; each with a name."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pading.data.coco.layout import NO_FILE_NAME
from pading.data.errors import DataError, MissingFileError
from pading.data.images import DECODE_ERRORS, decode_upright, open_picture

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")
VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
Kind = Literal["photo", "video", "frames"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A photo or a video; `name` is that of its results, and `stamp` changes when it does."""

    name: str
    path: Path
    kind: Kind
    stamp: str


def find_sources(
    paths: Sequence[Path], *, recursive: bool = False, as_frames: bool = False, skipped: Path | None = None
) -> list[Source]:
    """Return what the paths name, folders in the order of their files' names, each file once.

    A result is named by the path of its photo inside the folder that was given, or by the file name; if that would name
    two alike, all are named by their paths below the folder that they have in common.

    Args:
        paths: photos, videos and folders.
        recursive: look into the folders of a folder too.
        as_frames: a folder is the frames of one video.
        skipped: a folder of results, which are no photos.

    Raises:
        FileNotFoundError: if there is no such file or folder, or a folder holds nothing.
        ValueError: if a file has another ending, a name cannot be printed, or two photos of one folder differ by their
            endings alone.
    """
    found: dict[Path, tuple[str, Kind]] = {}
    for given in paths:
        for path, name, kind in _expanded(given, recursive, as_frames, skipped):
            found.setdefault(path.resolve(), (name, kind))
    names = [name for name, _ in found.values()]
    if len(set(names)) < len(names):
        common = Path(os.path.commonpath([path.parent for path in found]))
        names = [path.relative_to(common).with_suffix("").as_posix() for path in found]
    if taken := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(
            f"two photos or videos would both have the results {taken[0]!r}; rename one or predict it by itself"
        )
    return [
        Source(name=name, path=path, kind=kind, stamp=_stamp(path))
        for name, (path, (_, kind)) in zip(names, found.items(), strict=True)
    ]


def frame_files(folder: Path) -> list[Path]:
    """Return the frames of a folder, in the order of their names, numbers by their value: frame9 before frame10.

    Raises:
        FileNotFoundError: if it holds none.
    """
    files = [path for path in folder.iterdir() if path.suffix.lower() in PHOTO_ENDINGS and _is_shown(path)]
    if not files:
        raise MissingFileError(str(folder), "holds no JPEG or PNG", "give a folder of frames")
    return sorted(files, key=lambda path: _by_number(path.name))


def read_photo(path: Path) -> np.ndarray:
    """Return a photo as RGB (H, W, 3), turned as its camera says it was held.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JPEG or PNG, ends early, or is too large.
    """
    if not path.is_file():
        raise MissingFileError(str(path), "no such photo", "check the path")
    try:
        with path.open("rb") as handle:
            return np.asarray(decode_upright(open_picture(handle, str(path)), str(path)))
    except DataError:
        raise
    except DECODE_ERRORS as error:
        raise DataError(str(path), f"cannot be read ({error})", "give a JPEG or PNG") from error


def _expanded(given: Path, recursive: bool, as_frames: bool, skipped: Path | None) -> Iterator[tuple[Path, str, Kind]]:
    if given.is_dir() and as_frames:
        frame_files(given)
        yield given, given.resolve().name, "frames"
    elif given.is_dir():
        inside = given.rglob("*") if recursive else given.iterdir()
        files = sorted(
            (path for path in inside if path.suffix.lower() in PHOTO_ENDINGS + VIDEO_ENDINGS and _is_shown(path)),
            key=lambda path: [_by_number(part) for part in path.relative_to(given).parts],
        )
        if skipped is not None:
            files = [path for path in files if not path.resolve().is_relative_to(skipped.resolve())]
        if not files:
            remedy = "give a folder with JPEG, PNG or video files" + ("" if recursive else ", or add --recursive")
            raise MissingFileError(str(given), "holds no photo", remedy)
        for path in files:
            yield path, path.relative_to(given).with_suffix("").as_posix(), _kind(path)
    elif given.is_file():
        yield given, given.stem, _kind(given)
    else:
        raise MissingFileError(str(given), "no such photo", "check the path")


def _kind(path: Path) -> Kind:
    if NO_FILE_NAME.search(str(path)):
        raise DataError(ascii(str(path)), "a file name with control characters", "rename that file")
    ending = path.suffix.lower()
    if ending in PHOTO_ENDINGS:
        return "photo"
    if ending in VIDEO_ENDINGS:
        return "video"
    endings = ", ".join(PHOTO_ENDINGS + VIDEO_ENDINGS)
    raise DataError(str(path), f"ends in {ending!r}", f"give files that end in one of {endings}")


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_file()


def _by_number(name: str) -> list[tuple[int, str]]:
    """Return a key under which runs of digits compare by their value."""
    parts, digits = [""], False
    for letter in name:
        if (letter.isascii() and letter.isdigit()) != digits:
            parts.append("")
            digits = not digits
        parts[-1] += letter
    return [(int(part), part) if part.isascii() and part.isdigit() else (-1, part) for part in parts]


def _stamp(path: Path) -> str:
    """Return what changes when a file, or a file of a folder, is written again."""
    files = frame_files(path) if path.is_dir() else [path]
    states = [file.stat() for file in files]
    newest = max(state.st_mtime_ns for state in states)
    return f"{len(files)} files, {sum(state.st_size for state in states)} bytes, {newest}"
