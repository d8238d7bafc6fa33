"""Masks of instances, as COCO writes them: outlines or run lengths, checked before COCO's own tool sees them.

The tool trusts its input: a wrong run length makes it read or write beyond its memory. Axes: H W pixels.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pycocotools import mask as coco_mask

from pading.data.coco.fields import MAX_IMAGE_PIXELS
from pading.data.errors import DataError

STEPS_A_PIXEL = 5  # COCO's tool rounds corners to fifths of a pixel before it does anything else
MAX_COORDINATE = 1_000_000
MAX_OUTLINE_STEPS = 2**25  # the tool takes 8 bytes for each step along an outline
MAX_CODE_LENGTH = 7  # characters of 5 bits: enough for the difference of any two runs
POLYGON_REMEDY = "give x and y of at least three corners, in pixels"


@dataclass(frozen=True, kw_only=True, slots=True)
class Polygons:
    """The outlines of one object, corners rounded as the rasteriser rounds them, so that no pixel can differ."""

    corners: bytes  # int32: x, y, x, y ... in fifths of a pixel, one outline after the other
    lengths: tuple[int, ...]  # how many of these numbers each outline has


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """The mask of one object as run lengths down the columns, the first of pixels outside; they add up to H W."""

    counts: bytes  # int32
    height: int
    width: int


Shape = Polygons | Runs


def read_shape(segmentation: Any, where: str, file: Path) -> Shape:
    """Return the mask that an annotation has under `segmentation`: outlines, or run lengths, compressed or not.

    Raises:
        ValueError: if it is none of these, a coordinate is not finite, or the run lengths do not fill the image.
    """
    if isinstance(segmentation, list):
        return _read_polygons(segmentation, where, file)
    if isinstance(segmentation, dict):
        return _read_runs(segmentation, where, file)
    what = f"{where}: 'segmentation' is a {type(segmentation).__name__}"
    raise DataError(str(file), what, "give a list of polygons, or run lengths with their size")


def run_lengths(shapes: Sequence[Shape], height: int, width: int) -> list[Int64[np.ndarray, "_"]]:
    """Return the mask of each shape in an image as run lengths, outlines filled by COCO's own tool."""
    outlines = [_outlines(shape) for shape in shapes if isinstance(shape, Polygons)]
    flat = [corners for group in outlines for corners in group]
    filled = iter(coco_mask.frPyObjects(flat, height, width) if flat else ())
    found = []
    for shape in shapes:
        if isinstance(shape, Runs):
            found.append(np.frombuffer(shape.counts, dtype=np.int32).astype(np.int64))
        else:
            parts = [next(filled) for _ in shape.lengths]
            whole = parts[0] if len(parts) == 1 else coco_mask.merge(parts)
            found.append(decompress(whole["counts"]))
    return found


def compress(masks: Bool[np.ndarray, "N H W"]) -> list[str]:
    """Return each mask's run lengths in COCO's compressed form: what result files hold under `counts`."""
    columns_first = np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8)
    return [encoded["counts"].decode("ascii") for encoded in coco_mask.encode(columns_first)]


def boxes(codes: Sequence[str], size: tuple[int, int]) -> Float64[np.ndarray, "N 4"]:
    """Return (left, top, width, height) of masks in COCO's compressed form, of an image of (height, width)."""
    found: np.ndarray = coco_mask.toBbox([{"size": list(size), "counts": code} for code in codes])
    return found.reshape(-1, 4)


def overlaps(
    found: Sequence[Shape], true: Sequence[Shape], is_crowd: Sequence[bool], height: int, width: int
) -> Float64[np.ndarray, "N M"]:
    """Return the IoU of each mask found with each true one; of a crowd, the share of the mask found that lies in it.

    Raises:
        ValueError: if the run lengths of a mask are of an image of another size.
    """
    if not found or not true:
        return np.zeros((len(found), len(true)))
    encoded = []
    for counts in run_lengths([*found, *true], height, width):
        if counts.sum() != height * width:
            raise ValueError(f"a mask has run lengths of {counts.sum()} pixels in an image of {height} x {width}")
        encoded.append({"size": [height, width], "counts": counts.tolist()})
    encoded = coco_mask.frPyObjects(encoded, height, width)
    return _overlaps(encoded[: len(found)], encoded[len(found) :], is_crowd)


def box_overlaps(
    found: Float64[np.ndarray, "N 4"], true: Float64[np.ndarray, "M 4"], is_crowd: Sequence[bool]
) -> Float64[np.ndarray, "N M"]:
    """Return what `overlaps` does, of boxes (left, top, width, height)."""
    return _overlaps(found, true, is_crowd) if len(found) and len(true) else np.zeros((len(found), len(true)))


def decompress(code: bytes) -> Int64[np.ndarray, "_"]:
    """Return the run lengths of COCO's compressed form.

    A number takes one or more characters of 5 bits from "0" on, the lowest first; the sixth bit says that another
    follows, the highest of the last is the sign. From the fourth number on, each is less the one two before.

    Raises:
        ValueError: if a character is none of these, or the code ends within a number.
    """
    codes = np.frombuffer(code, dtype=np.uint8).astype(np.int64) - ord("0")
    last = np.flatnonzero(codes & 32 == 0)  # of each number
    if not codes.size or codes.min() < 0 or codes.max() > 63 or not last.size or last[-1] != codes.size - 1:
        raise ValueError("no run lengths in COCO's compressed form")
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    if lengths.max() > MAX_CODE_LENGTH:
        raise ValueError("a compressed run length is longer than any image")
    shifts = 5 * (np.arange(codes.size) - np.repeat(first, lengths))
    numbers = np.add.reduceat((codes & 31) << shifts, first)
    numbers -= np.where(codes[last] & 16, np.int64(1) << 5 * lengths, 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _overlaps(found: Any, true: Any, is_crowd: Sequence[bool]) -> Float64[np.ndarray, "N M"]:
    ratios: np.ndarray = coco_mask.iou(found, true, [int(crowd) for crowd in is_crowd])
    return ratios


def _read_polygons(parts: list[Any], where: str, file: Path) -> Polygons:
    lengths = tuple(len(part) if isinstance(part, list) else 0 for part in parts)
    if not lengths or min(lengths) < 6 or any(length % 2 for length in lengths):
        raise DataError(str(file), f"{where}: polygons of {list(lengths[:9])} numbers", POLYGON_REMEDY)
    try:
        corners = np.array(array("d", parts[0] if len(parts) == 1 else [number for part in parts for number in part]))
    except (TypeError, OverflowError) as error:
        raise DataError(str(file), f"{where}: a polygon has what is no number ({error})", POLYGON_REMEDY) from error
    farthest = float(np.abs(corners).max())
    if not farthest <= MAX_COORDINATE:  # nor is NaN
        raise DataError(str(file), f"{where}: a polygon has a corner at {farthest}", POLYGON_REMEDY)
    steps = corners * STEPS_A_PIXEL
    if corners.size * farthest * STEPS_A_PIXEL > MAX_OUTLINE_STEPS:  # no outline is longer; hardly ever true
        points = np.concatenate([steps[-2:], steps]).reshape(-1, 2)
        if (num_steps := float(np.abs(np.diff(points, axis=0)).max(axis=1).sum())) > MAX_OUTLINE_STEPS:
            what = f"{where}: the polygons are {num_steps / STEPS_A_PIXEL:.0f} pixels long"
            raise DataError(str(file), what, "give the outline of one object")
    return Polygons(corners=(steps + 0.5).astype(np.int32).tobytes(), lengths=lengths)


def _read_runs(segmentation: dict[str, Any], where: str, file: Path) -> Runs:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise DataError(str(file), f"{where}: run lengths without a size", "give 'size' as [height, width]")
    height, width = size
    try:
        if isinstance(counts, str):
            lengths = decompress(counts.encode("ascii"))
        else:
            lengths = np.array(array("q", counts if isinstance(counts, list) else [None]), dtype=np.int64)
    except (TypeError, OverflowError, ValueError) as error:
        raise DataError(str(file), f"{where}: run lengths do not read ({error})", "give COCO's run lengths") from error
    num_pixels = height * width
    if num_pixels > MAX_IMAGE_PIXELS or not ((lengths >= 0) & (lengths <= num_pixels)).all():
        fits = False
    else:
        fits = int(lengths.sum()) == num_pixels
    if not fits:
        what = f"{where}: run lengths do not add up to {height} x {width} pixels"
        raise DataError(str(file), what, "give lengths of zeros and ones in turn, zeros first, down the columns")
    return Runs(counts=lengths.astype(np.int32).tobytes(), height=height, width=width)


def _outlines(shape: Polygons) -> list[np.ndarray]:
    """Return corners that COCO's tool rounds to the stored ones: it cuts 5 x + 0.5 off, towards zero."""
    steps = np.frombuffer(shape.corners, dtype=np.int32)
    corners = (steps - 0.75 * (steps < 0)) / STEPS_A_PIXEL
    return np.split(corners, np.cumsum(shape.lengths)[:-1])
