"""JPEG bytes to RGB pixels as fast as it goes, whole or at a coarser scale of the transform.

The fast decoder is strict: a photo that it would have to repair is an error, never grey pixels. Photos whose header or
colours (CMYK) it does not know are left to Pillow, which decodes the rest to the same pixels. Axes: H W pixels.
"""

import io

import numpy as np
import simplejpeg
from jaxtyping import UInt8

from pading.data.errors import DataError
from pading.data.images import CORRUPT, DOWNLOAD_AGAIN, decode_photo, open_photo

FACTORS = (1, 2, 4, 8)  # how many times coarser a JPEG can be decoded at little cost
FAST_COLOURS = ("YCbCr", "RGB", "Gray")
OTHER_SIZE = "write the shards again"


def decode_jpeg(
    jpeg: bytes, file: str, height_width: tuple[int, int], factor: int = 1
) -> UInt8[np.ndarray, "height width 3"]:
    """Decode a photo of a known size at 1 / factor of it, rounded up; the size is checked before anything is decoded.

    Raises:
        ValueError: if the photo is of another size, ends early or is damaged; names the file.
    """
    try:
        *found, colours, _ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError:
        return _decode_with_pillow(jpeg, file, height_width, factor)
    _check_size(file, (found[0], found[1]), height_width)
    if colours not in FAST_COLOURS:
        return _decode_with_pillow(jpeg, file, height_width, factor)
    height, width = (-(-side // factor) for side in height_width)
    try:
        image: np.ndarray = simplejpeg.decode_jpeg(jpeg, "RGB", min_height=height, min_width=width)
    except ValueError as error:
        raise DataError(file, f"{CORRUPT} ({error})", DOWNLOAD_AGAIN) from error
    return image


def _decode_with_pillow(jpeg: bytes, file: str, height_width: tuple[int, int], factor: int) -> np.ndarray:
    photo = open_photo(io.BytesIO(jpeg), file)
    _check_size(file, (photo.height, photo.width), height_width)
    return np.asarray(decode_photo(photo, file).reduce(factor))


def _check_size(file: str, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if found != expected:
        what = f"photo is {found[1]} x {found[0]}, label map {expected[1]} x {expected[0]}"
        raise DataError(file, what, OTHER_SIZE)
