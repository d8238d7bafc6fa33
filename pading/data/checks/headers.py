"""The quick part of a check: files are opened for their headers, nothing is decoded."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pading.data.checks.findings import Finding
from pading.data.checks.survey import ChosenImage
from pading.data.coco.instances import InstanceRecord
from pading.data.coco.panoptic import PanopticRecord
from pading.data.coco.record import ImageRecord, check_size, missing_file, unreadable_file
from pading.data.coco.stuff import StuffRecord
from pading.data.errors import DataError, MissingFileError
from pading.data.images import check_class_values, check_segment_colours, open_label_image, open_photo
from pading.data.threads import map_in_threads

Size = tuple[int, int]  # width, height


def header_findings(images: Sequence[ChosenImage]) -> Iterator[list[Finding]]:
    """Yield what is wrong with the files of each image, in order: missing, unreadable, of another size or kind."""
    return map_in_threads(_findings, images)


def _findings(image: ChosenImage) -> list[Finding]:
    record, found = image.record, []
    source, size = record.annotation_path, _listed_size(record)
    for path, size_of in _files(record):
        try:
            found_size = _size(path, record, size_of)
            if size is None:  # nothing is listed for label maps: they must be of the size of their photo
                source, size = path, found_size
            check_size(found_size, str(path), size, source)
        except (DataError, MissingFileError) as error:
            found.append(image.blame(error))
    return found


def _listed_size(record: ImageRecord) -> Size | None:
    return (record.width, record.height) if isinstance(record, PanopticRecord | InstanceRecord) else None


def _files(record: ImageRecord) -> Iterator[tuple[Path, Callable[[BinaryIO, str], Size]]]:
    """Yield the files of an image and how to read the size of each."""
    yield record.image_path, _photo_size
    if isinstance(record, PanopticRecord):
        yield record.label_path, _panoptic_size
    elif isinstance(record, StuffRecord):
        yield record.label_path, _class_map_size


def _size(path: Path, record: ImageRecord, size_of: Callable[[BinaryIO, str], Size]) -> Size:
    try:
        with path.open("rb") as stream:
            return size_of(stream, str(path))
    except FileNotFoundError as error:
        raise missing_file(path, record) from error
    except OSError as error:
        raise unreadable_file(path, record, error) from error


def _photo_size(stream: BinaryIO, file: str) -> Size:
    return open_photo(stream, file).size


def _panoptic_size(stream: BinaryIO, file: str) -> Size:
    image = open_label_image(stream, file)
    check_segment_colours(image, file)
    return image.size


def _class_map_size(stream: BinaryIO, file: str) -> Size:
    image = open_label_image(stream, file)
    check_class_values(image, file)
    return image.size
