"""What every reader yields for one image before anything is opened, and what it returns once the image is loaded."""

from dataclasses import dataclass
from pathlib import Path

from pading.data.errors import DataError, MissingFileError
from pading.data.sample import Sample

DOWNLOAD_OR_UNPACK = "download or unpack it again"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """What a data set says about one image; nothing is opened or decoded."""

    image_id: int
    file_name: str
    image_path: Path
    annotation_path: Path  # the file to blame: it lists this image


@dataclass(frozen=True, kw_only=True)
class LoadedImage:
    """The photo as found, the same decoded with its truth, and how much of the truth was hidden."""

    jpeg: bytes
    sample: Sample
    hidden_px: int  # pixels of unseen classes made void; 0 except in semantic training data


def read_listed(path: Path, record: ImageRecord) -> bytes:
    """Return the content of a file that belongs to an image.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is there, but cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise missing_file(path, record) from error
    except OSError as error:
        raise unreadable_file(path, record, error) from error


def unreadable_file(path: Path, record: ImageRecord, error: OSError) -> DataError:
    """Return the error of a file that the record names and that is there, but does not open."""
    what = f"cannot be read ({error.strerror}), but {record.annotation_path} lists it"
    return DataError(str(path), what, "give a readable file of that name")


def missing_file(path: Path, record: ImageRecord) -> MissingFileError:
    """Return the error of a file that the record names and that is not there."""
    what = f"is missing, but {record.annotation_path} lists it for image id {record.image_id}"
    return MissingFileError(str(path), what, DOWNLOAD_OR_UNPACK)


def check_size(width_height: tuple[int, int], file: str, expected: tuple[int, int], source: Path) -> None:
    """Check the width and height in a header against those that another file, `source`, gives.

    Raises:
        ValueError: if the sizes differ.
    """
    if width_height != expected:
        what = f"is {width_height[0]} x {width_height[1]} pixels, but {expected[0]} x {expected[1]} in {source}"
        raise DataError(file, what, "the two are of different releases or resized: take both from one")
