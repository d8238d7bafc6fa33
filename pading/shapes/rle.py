"""COCO's uncompressed run-length code of a mask: runs down the columns, first the length of the leading zeros."""

from typing import TypedDict

import numpy as np
from jaxtyping import Bool
from numpy import ndarray


class RunLengths(TypedDict):
    """A mask as COCO writes it; `size` is [height, width]."""

    counts: list[int]
    size: list[int]


def encode_mask(mask: Bool[ndarray, "H W"]) -> RunLengths:
    """Return the run lengths of a mask, starting with the zeros (0 of them if the first pixel is set)."""
    padded = np.concatenate(([False], mask.ravel(order="F")))
    starts = np.flatnonzero(padded[1:] != padded[:-1])
    counts = np.diff(starts, prepend=0, append=mask.size)
    return {"counts": counts.tolist(), "size": list(mask.shape)}
