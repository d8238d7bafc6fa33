"""Photos (JPEG) and label images (PNG) to arrays and back; sizes are checked from the header, before decoding.

Every reader takes the name of the file to blame. Axes: H W pixels.
"""

import io
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt, UInt8, UInt32
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from pading.data.errors import DataError

MAX_PIXELS = 64_000_000  # a hundred times a large COCO photo; a decoded image takes 3 bytes a pixel
CORRUPT = "is truncated or corrupt"
DOWNLOAD_AGAIN = "download it again"
PNG_START = b"\x89PNG\r\n\x1a\n"
DECODE_ERRORS = (OSError, SyntaxError, ValueError)  # all that Pillow raised in 24,000 damaged files
COMPRESS_LEVEL = 1  # label images are tiny at any level; 1 writes several times faster than the default


def open_photo(stream: BinaryIO, file: str, max_pixels: int = MAX_PIXELS) -> JpegImageFile:
    """Read the header of a JPEG; nothing is decoded yet.

    Raises:
        ValueError: if it is no readable JPEG or has more than `max_pixels` pixels.
    """
    try:
        # The classes of the two formats are used directly: no other decoder can be reached from untrusted bytes.
        photo = JpegImageFile(stream)
    except DECODE_ERRORS as error:
        raise DataError(file, f"{CORRUPT} (not readable as JPEG: {error})", DOWNLOAD_AGAIN) from error
    _check_size(photo, file, max_pixels)
    return photo


def open_picture(stream: BinaryIO, file: str, max_pixels: int = MAX_PIXELS) -> JpegImageFile | PngImageFile:
    """Read the header of a photo that may be a JPEG or a PNG, whatever its name; nothing is decoded yet.

    Raises:
        ValueError: if it is neither or has more than `max_pixels` pixels.
    """
    is_png = stream.read(len(PNG_START)) == PNG_START
    stream.seek(0)
    return open_label_image(stream, file, max_pixels) if is_png else open_photo(stream, file, max_pixels)


def open_label_image(stream: BinaryIO, file: str, max_pixels: int = MAX_PIXELS) -> PngImageFile:
    """Read the header of a PNG; nothing is decoded yet.

    Raises:
        ValueError: if it is no readable PNG or has more than `max_pixels` pixels.
    """
    try:
        image = PngImageFile(stream)
    except DECODE_ERRORS as error:
        raise DataError(file, f"{CORRUPT} (not readable as PNG: {error})", DOWNLOAD_AGAIN) from error
    _check_size(image, file, max_pixels)
    return image


def decode_photo(photo: JpegImageFile, file: str) -> Image.Image:
    """Decode an opened photo to RGB; grey and CMYK photos are converted.

    Raises:
        ValueError: if the photo ends early or does not decode.
    """
    try:
        return photo.convert("RGB")
    except DECODE_ERRORS as error:
        raise DataError(file, f"{CORRUPT} ({error})", DOWNLOAD_AGAIN) from error


def decode_upright(photo: JpegImageFile | PngImageFile, file: str) -> Image.Image:
    """Decode an opened photo to RGB, turned as its camera says it was held.

    Raises:
        ValueError: if the photo ends early or does not decode.
    """
    try:
        return ImageOps.exif_transpose(photo).convert("RGB")
    except DECODE_ERRORS as error:
        raise DataError(file, f"{CORRUPT} ({error})", DOWNLOAD_AGAIN) from error


def decode_segment_ids(image: PngImageFile, file: str) -> UInt32[np.ndarray, "H W"]:
    """Return the segment id of each pixel of a panoptic PNG: R + 256 G + 65536 B, 0 = void.

    Raises:
        ValueError: if the PNG is not RGB, ends early or does not decode.
    """
    check_segment_colours(image, file)
    colours = _pixels(image, file)
    padded = np.zeros((*colours.shape[:2], 4), dtype=np.uint8)
    padded[..., :3] = colours
    return padded.view("<u4")[..., 0].astype(np.uint32, copy=False)


def decode_class_values(image: PngImageFile, file: str) -> UInt8[np.ndarray, "H W"]:
    """Return the 8-bit values of a grey PNG, or the palette indices of a coloured one; the colours mean nothing.

    Raises:
        ValueError: if the PNG is of another mode or depth, ends early or does not decode.
    """
    check_class_values(image, file)
    return _pixels(image, file)


def check_segment_colours(image: PngImageFile, file: str) -> None:
    """Check the header of a panoptic PNG.

    Raises:
        ValueError: if the PNG is not RGB of 8 bits.
    """
    # Pillow keeps the upper half of 16-bit colours, which may be other ids.
    if image.mode != "RGB" or image.tile[0].args != "RGB":
        what = f"is a PNG of mode {image.mode}" + (" of 16 bits" if image.mode == "RGB" else "")
        raise DataError(file, what, "give the panoptic PNG, whose RGB colours are segment ids")


def check_class_values(image: PngImageFile, file: str) -> None:
    """Check the header of a class map.

    Raises:
        ValueError: if the PNG is neither grey of 8 bits nor one with a palette.
    """
    # Pillow stretches grey of fewer than 8 bits to the full range, which would change the values.
    if image.mode not in ("L", "P") or (image.mode == "L" and image.tile[0].args != "L"):
        what = f"is a PNG of mode {image.mode}" + (" of fewer than 8 bits" if image.mode == "L" else "")
        raise DataError(file, what, "give a class map: 8-bit grey, or with a palette")


def encode_png(labels: UInt[np.ndarray, "H W"]) -> bytes:
    """Return labels of 8 or 16 bits as a grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def _pixels(image: PngImageFile, file: str) -> np.ndarray:
    try:
        return np.asarray(image)
    except DECODE_ERRORS as error:
        raise DataError(file, f"{CORRUPT} ({error})", DOWNLOAD_AGAIN) from error


def _check_size(image: Image.Image, file: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise DataError(
            file,
            f"the header says {image.width} x {image.height} pixels, more than the limit of {max_pixels}",
            "shrink the image, or raise max_pixels if you trust it",
        )
