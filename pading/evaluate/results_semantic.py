"""Semantic result files: a folder of PNGs whose values are classes, counted against a folder of the same kind.

Axes: K classes, H W pixels.
"""

import io
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int16, UInt8

from pading.classes import ClassTable
from pading.data.coco.stuff import ABSENT, VOID, VOID_VALUE, stuff_coding
from pading.data.errors import DataError, MissingFileError
from pading.data.images import decode_class_values, open_label_image
from pading.data.sample import Segment
from pading.data.threads import map_in_threads
from pading.evaluate import semantic
from pading.evaluate.semantic import SemanticTally

Coding = Literal["coco-id", "coco-id-less-one", "train-id", "contiguous"]
ENDING, PREDICTED_ENDING = ".png", "_semantic.png"  # the second is what `predict` writes


@dataclass(frozen=True, kw_only=True)
class ClassMaps:
    """Two pictures of one image, and what their values mean: a class, VOID or ABSENT."""

    truth: Path
    result: Path


def class_of_value(coding: Coding, classes: ClassTable) -> Int16[np.ndarray, "256"]:
    """Return what each value of a class map means.

    Raises:
        ValueError: if a class has no value of 8 bits in this coding.
    """
    if coding != "coco-id":
        return np.array(stuff_coding(coding, classes).classes, dtype=np.int16)
    if (largest := max(classes.coco_ids)) >= VOID_VALUE:
        raise ValueError(f"COCO id {largest} of class table {classes.name!r} is beyond the {VOID_VALUE} of a class map")
    table = np.full(VOID_VALUE + 1, ABSENT, dtype=np.int16)
    table[VOID_VALUE] = VOID
    table[list(classes.coco_ids)] = np.arange(classes.num_classes)
    return table


def value_of_class(coding: Coding, classes: ClassTable) -> UInt8[np.ndarray, "K+1"]:
    """Return the value of each class in a coding, and last that of void.

    Raises:
        ValueError: if a class has no value of 8 bits in this coding.
    """
    meaning = class_of_value(coding, classes)
    values = np.full(classes.num_classes + 1, VOID_VALUE, dtype=np.uint8)
    values[meaning[meaning >= 0]] = np.flatnonzero(meaning >= 0)
    return values


def find_class_maps(truth: Path, results: Path) -> list[ClassMaps]:
    """Return the pair of each image of the truth, ascending by name; other files of the results are passed over.

    Raises:
        FileNotFoundError: if a folder is missing, the truth holds no PNG, or the results lack one.
    """
    for folder in (truth, results):
        if not folder.is_dir():
            raise MissingFileError(str(folder), "no such folder", "give a folder of class maps, one PNG an image")
    found = []
    for path in sorted(truth.glob(f"*{ENDING}")):
        candidates = [results / f"{path.stem}{ending}" for ending in (PREDICTED_ENDING, ENDING)]
        result = next((candidate for candidate in candidates if candidate.is_file()), None)
        if result is None:
            what = f"is missing, but there is a truth of that name in {truth}"
            raise MissingFileError(str(candidates[-1]), what, "predict every image, or give the truth of a part")
        found.append(ClassMaps(truth=path, result=result))
    if not found:
        raise MissingFileError(str(truth), "holds no PNG", "give the folder of the true class maps")
    return found


def read_class_map(path: Path, meaning: Int16[np.ndarray, "256"], num_classes: int) -> Int16[np.ndarray, "H W"]:
    """Return the class of each pixel, num_classes where it is void.

    Raises:
        ValueError: if the PNG is damaged, no class map, or has a value that means no class.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(str(path), f"cannot be read ({error.strerror})", "give a readable class map") from error
    values = decode_class_values(open_label_image(io.BytesIO(content), str(path)), str(path))
    of_pixels: np.ndarray = meaning[values]
    if (of_pixels == ABSENT).any():
        strange = int(values[of_pixels == ABSENT].min())
        what = f"{int((values == strange).sum())} pixels have value {strange}, which means no class"
        raise DataError(str(path), what, "say which coding the values are in, or give the split that they are of")
    return np.where(of_pixels == VOID, num_classes, of_pixels).astype(np.int16)


def count_semantic(
    pairs: list[ClassMaps],
    classes: ClassTable,
    truth_coding: Coding = "coco-id-less-one",
    coding: Coding = "coco-id-less-one",
) -> SemanticTally:
    """Return the tally of all images over K + 1 classes; the last is void, which only a result can be called.

    Raises:
        ValueError: if a picture does not read, a value means no class, or the sizes of a pair differ.
    """
    num_classes = classes.num_classes
    true_meaning, meaning = class_of_value(truth_coding, classes), class_of_value(coding, classes)
    segments = [
        Segment(segment_id=index + 1, class_index=index, is_crowd=False, area_px=0) for index in range(num_classes)
    ]

    def count(pair: ClassMaps) -> SemanticTally:
        true = read_class_map(pair.truth, true_meaning, num_classes)
        found = read_class_map(pair.result, meaning, num_classes)
        if true.shape != found.shape:
            what = f"is {found.shape[1]} x {found.shape[0]} pixels, its truth {true.shape[1]} x {true.shape[0]}"
            raise DataError(str(pair.result), what, "give maps at the size of the photo")
        labels = np.where(true == num_classes, 0, true + 1)
        return semantic.count_image(found, labels, segments, num_classes + 1)

    return reduce(add, map_in_threads(count, pairs))


def class_iou(tally: SemanticTally) -> Float64[np.ndarray, "K"]:
    """Return the IoU of each class of a tally of `count_semantic`."""
    iou: np.ndarray = tally.iou()[:-1]
    return iou
