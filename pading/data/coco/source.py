"""One door to the data of the three tasks: scan a COCO folder, choose images by the published filter, load them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pading.data.coco.instances import InstanceRecord, ObjectRecord, load_instances, scan_instances
from pading.data.coco.layout import find_instances, find_panoptic, find_stuff
from pading.data.coco.panoptic import PanopticRecord, SegmentRecord, load_panoptic, scan_panoptic
from pading.data.coco.record import ImageRecord, LoadedImage
from pading.data.coco.stuff import StuffRecord, load_stuff, scan_stuff
from pading.data.errors import DataError, all_sound
from pading.data.images import MAX_PIXELS
from pading.splits.split import Part, Split

__all__ = ["Choice", "ImageRecord", "LoadedImage", "choose", "load", "read", "scan"]

Choice = Literal["kept", "unseen", "empty", "no-unseen"]


def scan(root: Path, split: Split, part: Part) -> Iterator[ImageRecord | DataError]:
    """Yield one light record for each sound image of a part, in the order of its source, and one error for each flaw.

    Nothing is opened but the annotation file.

    Raises:
        FileNotFoundError: if the folder has not the layout of the task.
        ValueError: if the annotation file does not read, so that nothing can be scanned.
    """
    match split.task:
        case "panoptic":
            yield from scan_panoptic(find_panoptic(Path(root), split.folder(part)), split.classes)
        case "semantic":
            yield from scan_stuff(find_stuff(Path(root), split.folder(part)), split.classes)
        case "instance":
            yield from scan_instances(find_instances(Path(root), split, part), split.classes)


def read(root: Path, split: Split, part: Part) -> list[ImageRecord]:
    """Return the records of a part.

    Raises:
        FileNotFoundError: if the folder has not the layout of the task.
        ValueError: if anything is wrong; the first flaw that a scan finds.
    """
    return all_sound(scan(root, split, part))


def choose(record: ImageRecord, split: Split, part: Part) -> Choice:
    """Return "kept", or why the published protocol leaves an image out.

    Panoptic training keeps images without an unseen segment, crowd or not. Semantic training keeps every image; its
    unseen pixels are hidden when it is loaded. Instance training keeps images with a seen and no unseen object, and
    instance tests those with an unseen one. Panoptic and semantic tests keep every image.
    """
    match record:
        case PanopticRecord():
            return "unseen" if part == "train" and _has_unseen(split, record.segments) else "kept"
        case InstanceRecord():
            has_unseen = _has_unseen(split, record.objects)
            if part == "val":
                return "kept" if has_unseen else "no-unseen"
            return "unseen" if has_unseen else "kept" if record.objects else "empty"
    return "kept"


def load(record: ImageRecord, split: Split, part: Part, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Return an image decoded, with areas counted; semantic training images show no pixel of an unseen class.

    Raises:
        FileNotFoundError: if one of its files is missing.
        ValueError: if one is damaged or larger than `max_pixels`, or they disagree.
    """
    match record:
        case PanopticRecord():
            return load_panoptic(record, split.classes, max_pixels)
        case StuffRecord():
            hidden = split.classes.unseen if part == "train" else ()
            return load_stuff(record, split.classes, hidden, max_pixels)
        case InstanceRecord():
            return load_instances(record, split.classes, max_pixels)
    raise TypeError(f"no reader of {type(record).__name__}")


def _has_unseen(split: Split, annotated: Iterable[SegmentRecord | ObjectRecord]) -> bool:
    is_seen, index = split.classes.is_seen, split.classes.index
    return any(not is_seen[index(one.coco_id)] for one in annotated)
