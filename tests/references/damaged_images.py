"""Ways to damage a JPEG or a PNG, and forms of both that are legal but rare: content, generator -> content."""

import functools
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

Damage = Callable[[bytes, np.random.Generator], bytes]
SOF_MARKERS = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")
ADAM7 = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))


def flip_bits(content: bytes, random: np.random.Generator) -> bytes:
    return _flip(content, random, len(content))


def flip_header_bits(content: bytes, random: np.random.Generator) -> bytes:
    return _flip(content, random, min(len(content), 700))


def cut(content: bytes, random: np.random.Generator) -> bytes:
    return content[: int(random.integers(0, len(content)))]


def cut_the_last_bytes(content: bytes, random: np.random.Generator) -> bytes:
    return content[: -int(random.integers(1, 40))]


def empty(content: bytes, random: np.random.Generator) -> bytes:
    return b""


def zero_a_run(content: bytes, random: np.random.Generator) -> bytes:
    start = int(random.integers(0, len(content)))
    length = min(int(random.integers(8, 4096)), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def drop_a_run(content: bytes, random: np.random.Generator) -> bytes:
    start = int(random.integers(0, len(content)))
    return content[:start] + content[start + int(random.integers(1, 512)) :]


def repeat_a_run(content: bytes, random: np.random.Generator) -> bytes:
    start, stop = sorted(int(value) for value in random.integers(0, len(content), 2))
    return content[:stop] + content[start:]


def append_noise(content: bytes, random: np.random.Generator) -> bytes:
    return content + random.bytes(int(random.integers(1, 2000)))


def noise(content: bytes, random: np.random.Generator) -> bytes:
    return random.bytes(int(random.integers(1, 3000)))


def other_format(content: bytes, random: np.random.Generator) -> bytes:
    """GIF, BMP, TIFF, WebP, a portable pixmap, PostScript, HTML: whatever a broken download leaves."""
    texts = (
        b"<html>404 not found</html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"version https://git",
    )
    formats = ("GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO")
    choice = int(random.integers(len(texts) + len(formats)))
    return texts[choice] if choice < len(texts) else _save(_open(content).convert("RGB"), formats[choice - len(texts)])


def other_size(content: bytes, random: np.random.Generator) -> bytes:
    image = _open(content)
    resized = image.resize((image.width + int(random.integers(1, 9)), image.height), Image.Resampling.NEAREST)
    return _save(resized, str(image.format))


def turned(content: bytes, random: np.random.Generator) -> bytes:
    image = _open(content)
    return _save(image.transpose(Image.Transpose.ROTATE_90).resize((image.height, image.width + 1)), str(image.format))


def jpeg_size_bomb(content: bytes, random: np.random.Generator) -> bytes:
    """Say in the frame header that the photo has up to 65535 x 65535 pixels."""
    start = max(content.find(marker) for marker in SOF_MARKERS)
    sides = [int(side) for side in random.choice([20_000, 40_000, 65_535], 2)]
    return content[: start + 5] + struct.pack(">HH", *sides) + content[start + 9 :]


def jpeg_zero_size(content: bytes, random: np.random.Generator) -> bytes:
    start = max(content.find(marker) for marker in SOF_MARKERS)
    return content[: start + 5] + struct.pack(">HH", 0, 0) + content[start + 9 :]


def jpeg_cmyk(content: bytes, random: np.random.Generator) -> bytes:
    return _save(_open(content).convert("CMYK"), "JPEG")


def jpeg_grey(content: bytes, random: np.random.Generator) -> bytes:
    return _save(_open(content).convert("L"), "JPEG")


def jpeg_progressive(content: bytes, random: np.random.Generator) -> bytes:
    return _save(_open(content), "JPEG", progressive=True, quality=int(random.integers(20, 96)))


def jpeg_with_orientation(content: bytes, random: np.random.Generator) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = int(random.integers(2, 9))
    return _save(_open(content), "JPEG", exif=exif, quality=95)


def jpeg_of_many_scans(content: bytes, random: np.random.Generator) -> bytes:
    """Repeat the scans of a progressive photo: each costs a pass over all pixels."""
    progressive = jpeg_progressive(content, random)
    start = progressive.find(b"\xff\xda")
    return progressive[:-2] + progressive[start:-2] * int(random.integers(2, 20)) + progressive[-2:]


def png_size_bomb(content: bytes, random: np.random.Generator) -> bytes:
    sides = [int(side) for side in random.choice([60_000, 2**20, 2**31 - 1], 2)]
    return _with_header(content, lambda header: struct.pack(">II", *sides) + header[8:])


def png_zero_size(content: bytes, random: np.random.Generator) -> bytes:
    return _with_header(content, lambda header: struct.pack(">II", 0, 0) + header[8:])


def png_other_header(content: bytes, random: np.random.Generator) -> bytes:
    """Any bit depth, colour type, compression, filter and interlacing in a header of a right checksum."""
    fields = bytes(
        int(random.choice(choices)) for choices in ((1, 2, 4, 8, 16, 32), range(8), (0, 1), (0, 1), (0, 1, 2))
    )
    return _with_header(content, lambda header: header[:8] + fields)


def png_other_mode(content: bytes, random: np.random.Generator) -> bytes:
    mode = str(random.choice(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]))
    image = _open(content).convert("L" if mode == "I;16" else mode)
    return _save(Image.fromarray(np.asarray(image).astype(np.uint16)) if mode == "I;16" else image, "PNG")


def png_16_bit_colours(content: bytes, random: np.random.Generator) -> bytes:
    pixels = np.asarray(_open(content).convert("RGB")).astype(">u2") * 257
    return _png(pixels.shape[1], pixels.shape[0], 16, 2, 0, _filtered(pixels.astype(">u2")))


def png_interlaced(content: bytes, random: np.random.Generator) -> bytes:
    """The same image in the seven passes of Adam7: legal, and rarely written."""
    image = _open(content)
    pixels = np.asarray(image)
    passes = [pixels[top::down, left::right] for top, down, left, right in ADAM7]
    data = b"".join(_filtered(part) for part in passes if part.size)
    return _png(image.width, image.height, 8, 2 if pixels.ndim == 3 else 0, 1, data)


def png_data_bomb(content: bytes, random: np.random.Generator) -> bytes:
    """Pixel data that unpack to a hundred times the size that the header says."""
    image = _open(content)
    return _png(
        image.width, image.height, 8, 2 if image.mode == "RGB" else 0, 0, bytes(100 * image.width * image.height)
    )


@functools.cache
def _bomb() -> bytes:
    """200 MB of zeros, packed."""
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(2_000_000)) for _ in range(100)) + packer.flush()


def png_text_bomb(content: bytes, random: np.random.Generator) -> bytes:
    """A comment that unpacks to 200 MB, before the pixels."""
    return content[:33] + _chunk(b"zTXt", b"comment\0\0" + _bomb()) + content[33:]


def png_planted(content: bytes, random: np.random.Generator) -> bytes:
    """Another value in a block of pixels: a sound file that says something else."""
    image = _open(content)
    pixels = np.array(image)
    top, left = (int(random.integers(0, side)) for side in pixels.shape[:2])
    pixels[top : top + 9, left : left + 9] = random.integers(0, 256, pixels.shape[2:])
    return _save(Image.fromarray(pixels), "PNG")


def png_values_up(content: bytes, random: np.random.Generator) -> bytes:
    """Every value one higher, as where COCO ids are written instead of COCO ids less one."""
    return _save(Image.fromarray(np.asarray(_open(content)) + np.uint8(1)), "PNG")


def png_void(content: bytes, random: np.random.Generator) -> bytes:
    """Nothing labelled."""
    image = _open(content)
    return _save(Image.new(image.mode, image.size, 255 if image.mode == "L" else 0), "PNG")


def png_coloured(content: bytes, random: np.random.Generator) -> bytes:
    """The same values as indices of a palette, for grey images."""
    image = _open(content)
    if image.mode == "L":
        image.putpalette(random.bytes(768))
    return _save(image, "PNG")


def png_wrong_checksum(content: bytes, random: np.random.Generator) -> bytes:
    start = content.find(b"IDAT")
    length = struct.unpack(">I", content[start - 4 : start])[0]
    end = start + 4 + length
    return content[:end] + bytes(4) + content[end + 4 :]


SHARED: tuple[Damage, ...] = (
    flip_bits,
    flip_header_bits,
    cut,
    cut_the_last_bytes,
    empty,
    zero_a_run,
    drop_a_run,
    repeat_a_run,
    append_noise,
    noise,
    other_format,
    other_size,
    turned,
)
JPEG_DAMAGE: tuple[Damage, ...] = (
    *SHARED,
    flip_bits,  # twice: the likeliest accident
    jpeg_size_bomb,
    jpeg_zero_size,
    jpeg_cmyk,
    jpeg_grey,
    jpeg_progressive,
    jpeg_with_orientation,
    jpeg_of_many_scans,
)
PNG_DAMAGE: tuple[Damage, ...] = (
    *SHARED,
    png_size_bomb,
    png_zero_size,
    png_other_header,
    png_other_mode,
    png_16_bit_colours,
    png_interlaced,
    png_data_bomb,
    png_text_bomb,
    png_wrong_checksum,
    png_planted,
    png_planted,
    png_values_up,
    png_void,
    png_coloured,
)


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def _save(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _flip(content: bytes, random: np.random.Generator, reach: int) -> bytes:
    damaged = bytearray(content)
    for position in random.integers(0, reach, int(random.integers(1, 9))):
        damaged[position] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_header(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    return content[:8] + _chunk(b"IHDR", change(content[16:29])) + content[33:]


def _filtered(pixels: np.ndarray) -> bytes:
    """Rows of a PNG, each after a zero: no filter."""
    return b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in pixels)


def _png(width: int, height: int, depth: int, colour: int, interlace: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks
