"""The benchmarks by name: the four published ones of COCO, the shapes world's three, and the user's own from a file."""

import difflib
from collections.abc import Callable
from pathlib import Path

from pading.shapes.classes import shapes_classes, shapes_thing_classes
from pading.splits.coco_classes import (
    coco_instances_48_17,
    coco_instances_65_15,
    coco_panoptic_119_14,
    coco_stuff_156_15,
)
from pading.splits.own import SPLIT_SUFFIXES, read_split
from pading.splits.split import Expectation, Split

COCO_2017 = (
    Expectation(part="train", what="images", count=118_287, source="COCO 2017"),
    Expectation(part="val", what="images", count=5_000, source="COCO 2017"),
)
COCO_2014 = (
    Expectation(part="train", what="images", count=82_783, source="COCO 2014"),
    Expectation(part="val", what="images", count=40_504, source="COCO 2014"),
)
ZSI = "reported by ZSI, not verified"


def coco_panoptic() -> Split:
    """Return PADing's panoptic benchmark: training images show no unseen class, all validation images count."""
    kept = (
        Expectation(part="train", what="kept", count=45_617, source="PADing, Sec. 4.1"),
        Expectation(part="val", what="kept", count=5_000, source="PADing, Sec. 4.1"),
    )
    return Split(
        name="coco-panoptic-119-14", task="panoptic", classes=coco_panoptic_119_14(), expected=COCO_2017 + kept
    )


def coco_stuff() -> Split:
    """Return SPNet's semantic benchmark: every image is kept, unseen pixels are hidden from training."""
    kept = (
        Expectation(part="train", what="kept", count=118_287, source="SPNet's protocol keeps every image"),
        Expectation(part="val", what="kept", count=5_000, source="SPNet's protocol keeps every image"),
    )
    return Split(name="coco-stuff-156-15", task="semantic", classes=coco_stuff_156_15(), expected=COCO_2017 + kept)


def coco_instances_48() -> Split:
    """Return ZSI's smaller instance benchmark, on COCO 2014."""
    kept = (
        Expectation(part="train", what="kept", count=73_774, source=ZSI),
        Expectation(part="val", what="kept", count=2_729, source=ZSI),
    )
    return Split(
        name="coco-instances-48-17",
        task="instance",
        classes=coco_instances_48_17(),
        train="train2014",
        val="val2014",
        expected=COCO_2014 + kept,
    )


def coco_instances_65() -> Split:
    """Return ZSI's larger instance benchmark, on COCO 2014."""
    kept = (
        Expectation(part="train", what="kept", count=62_300, source=ZSI),
        Expectation(part="val", what="kept", count=10_098, source=ZSI),
    )
    return Split(
        name="coco-instances-65-15",
        task="instance",
        classes=coco_instances_65_15(),
        train="train2014",
        val="val2014",
        expected=COCO_2014 + kept,
    )


def shapes_panoptic() -> Split:
    """Return the panoptic benchmark of the shapes world."""
    return Split(name="shapes-panoptic", task="panoptic", classes=shapes_classes())


def shapes_semantic() -> Split:
    """Return the semantic benchmark of the shapes world."""
    return Split(name="shapes-semantic", task="semantic", classes=shapes_classes())


def shapes_instances() -> Split:
    """Return the instance benchmark of the shapes world."""
    return Split(name="shapes-instances", task="instance", classes=shapes_thing_classes())


_PUBLISHED: dict[str, Callable[[], Split]] = {
    "coco-panoptic-119-14": coco_panoptic,
    "coco-stuff-156-15": coco_stuff,
    "coco-instances-48-17": coco_instances_48,
    "coco-instances-65-15": coco_instances_65,
    "shapes-panoptic": shapes_panoptic,
    "shapes-semantic": shapes_semantic,
    "shapes-instances": shapes_instances,
}
SPLIT_NAMES = tuple(_PUBLISHED)


def find_split(name: str) -> Split:
    """Return a published split by its name, or the user's own by the path of its file (.json or .txt).

    Raises:
        ValueError: if there is no such name, or the file does not describe a split.
        FileNotFoundError: if there is no such file.
    """
    if Path(name).suffix in SPLIT_SUFFIXES:
        return read_split(Path(name), find_published, SPLIT_NAMES)
    return find_published(name)


def find_published(name: str) -> Split:
    """Return a published split.

    Raises:
        ValueError: if there is none of this name.
    """
    if name not in _PUBLISHED:
        near = difflib.get_close_matches(name, SPLIT_NAMES, n=1, cutoff=0.5)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(
            f"no split {name!r}{meant}; the splits are {', '.join(SPLIT_NAMES)}, "
            "or give the path of your own split, a .json or .txt file"
        )
    return _PUBLISHED[name]()
