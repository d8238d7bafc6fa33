"""Cached predictions of the frozen segmenter: one parquet row per image, ground truth included.

The segmenter runs once over each validation image; every classifier is then judged on these rows. Axes: Q queries, D
query embedding, h w mask pixels at the network's stride, L layers of overlapping segments, H W pixels of the photo.
"""

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Float16, Float32, UInt8, UInt16

from pading.data.sample import Segment, only_layer, segments_from_plain, segments_to_plain

LARGEST_LOGIT, SMALLEST_LOGIT = 65504.0, np.float16(6e-8)  # of half precision
PREDICTION_VERSION = 3
ROWS_PER_GROUP = 16  # what a reader holds in memory at once
LARGEST_IMAGE_PX = 2**28  # refuses absurd sizes in a damaged row before memory is asked for

_SEGMENT = pa.struct(
    [("segment_id", pa.int64()), ("class_index", pa.int64()), ("is_crowd", pa.bool_()), ("area_px", pa.int64())]
)
PREDICTION_SCHEMA = pa.schema(
    [
        ("version", pa.int64()),
        ("image_id", pa.int64()),
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("content_height", pa.int64()),
        ("content_width", pa.int64()),
        ("input_px", pa.int64()),
        ("num_queries", pa.int64()),
        ("embedding_width", pa.int64()),
        ("mask_height", pa.int64()),
        ("mask_width", pa.int64()),
        ("query_embeddings", pa.binary()),  # little-endian float32, (Q, D)
        ("mask_logits", pa.binary()),  # zstd of little-endian float16, (Q, h, w): all low bytes, then all high ones
        ("num_layers", pa.int64()),
        ("label_maps", pa.binary()),  # zstd of little-endian uint16, (L, H, W)
        ("segments", pa.list_(_SEGMENT)),
        ("checksum", pa.int64()),  # CRC-32 of all the above, whoever writes the file
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePrediction:
    """What the segmenter said about one image, and the truth about it.

    The network saw the photo letterboxed: resized to (content_height, content_width), in the top left corner of a
    square of input_px. In label_maps 0 is unlabelled and i + 1 is segments[i], as in a `Sample`.

    `regions` has, by style, the unit CLIP image embedding of what lies under each query's mask. It is cached in files
    of its own and put in by `with_regions` (pading/regions/files.py). A row of NaN is a query that was not encoded,
    for it cannot matter: the image branch should call it no-object.
    """

    image_id: int
    height: int
    width: int
    content_height: int
    content_width: int
    input_px: int
    query_embeddings: Float32[np.ndarray, "Q D"]
    mask_logits: Float16[np.ndarray, "Q h w"]
    label_maps: UInt16[np.ndarray, "L H W"]
    segments: tuple[Segment, ...]
    regions: Mapping[str, Float32[np.ndarray, "Q E"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.label_maps.ndim != 3 or self.label_maps.shape[1:] != (self.height, self.width):
            raise ValueError(
                f"image {self.image_id}: label maps {self.label_maps.shape} are not layers of "
                f"{(self.height, self.width)}"
            )
        if not (0 < self.content_height <= self.input_px and 0 < self.content_width <= self.input_px):
            raise ValueError(
                f"image {self.image_id}: content {(self.content_height, self.content_width)} does not fit "
                f"the network input of {self.input_px} px; give the letterboxed size of the photo"
            )
        if self.mask_logits.ndim != 3 or len(self.query_embeddings) != len(self.mask_logits):
            raise ValueError(
                f"image {self.image_id}: query embeddings {self.query_embeddings.shape} and mask logits "
                f"{self.mask_logits.shape} must share their first axis, the queries"
            )
        if self.mask_logits.dtype != np.float16:
            raise ValueError(f"image {self.image_id}: mask logits are {self.mask_logits.dtype}; call as_half first")
        for style, embeddings in self.regions.items():
            if embeddings.ndim != 2 or len(embeddings) != len(self.mask_logits):
                raise ValueError(
                    f"image {self.image_id}: region embeddings {style!r} {embeddings.shape} are not one row for each "
                    f"of the {len(self.mask_logits)} queries"
                )

    @property
    def label_map(self) -> UInt16[np.ndarray, "H W"]:
        """The only layer of the truth.

        Raises:
            ValueError: if there are several.
        """
        return only_layer(self.label_maps, self.image_id)


def renumber_truth(prediction: ImagePrediction, numbers: Sequence[int]) -> ImagePrediction:
    """Return a prediction whose truth has other class numbers; segments of a class without one (-1) become unlabelled.

    Raises:
        ValueError: if a segment's class has no entry in `numbers`.
    """
    if any(segment.class_index >= len(numbers) for segment in prediction.segments):
        raise ValueError(f"image {prediction.image_id} has a class beyond the {len(numbers)} that have new numbers")
    kept = [label for label, segment in enumerate(prediction.segments, 1) if numbers[segment.class_index] >= 0]
    labels = np.zeros(len(prediction.segments) + 1, dtype=np.uint16)
    labels[kept] = np.arange(1, len(kept) + 1)
    segments = [prediction.segments[label - 1] for label in kept]
    return replace(
        prediction,
        label_maps=labels[prediction.label_maps],
        segments=tuple(replace(segment, class_index=numbers[segment.class_index]) for segment in segments),
    )


def as_half(mask_logits: Float[np.ndarray, "*shape"]) -> Float16[np.ndarray, "*shape"]:
    """Return mask logits in half precision; the half-plane {logit > 0} stays the same.

    Raises:
        ValueError: if a logit is NaN.
    """
    if np.isnan(mask_logits).any():
        raise ValueError(f"{int(np.isnan(mask_logits).sum())} mask logits are NaN; the segmenter's weights are damaged")
    half = np.clip(mask_logits, -LARGEST_LOGIT, LARGEST_LOGIT).astype(np.float16)
    vanished: np.ndarray = np.where(half == 0, np.sign(mask_logits).astype(np.float16) * SMALLEST_LOGIT, half)
    return vanished


def to_row(prediction: ImagePrediction) -> dict[str, Any]:
    """Return the prediction as one parquet row, see PREDICTION_SCHEMA."""
    num_queries, mask_height, mask_width = prediction.mask_logits.shape
    codec = pa.Codec("zstd", 3)
    row = {
        "version": PREDICTION_VERSION,
        "image_id": prediction.image_id,
        "height": prediction.height,
        "width": prediction.width,
        "content_height": prediction.content_height,
        "content_width": prediction.content_width,
        "input_px": prediction.input_px,
        "num_queries": num_queries,
        "embedding_width": prediction.query_embeddings.shape[1],
        "mask_height": mask_height,
        "mask_width": mask_width,
        "query_embeddings": prediction.query_embeddings.astype("<f4").tobytes(),
        "mask_logits": codec.compress(_byte_planes(prediction.mask_logits), asbytes=True),
        "num_layers": len(prediction.label_maps),
        "label_maps": codec.compress(prediction.label_maps.astype("<u2").tobytes(), asbytes=True),
        "segments": segments_to_plain(prediction.segments),
    }
    return row | {"checksum": _checksum(row)}


def from_row(row: dict[str, Any]) -> ImagePrediction:
    """Return the prediction that `to_row` encoded.

    Raises:
        ValueError: if the row has another version, lacks a column, or is damaged.
    """
    missing = [name for name in PREDICTION_SCHEMA.names if row.get(name) is None]
    if missing:
        raise ValueError(f"prediction row lacks columns {missing}; run the cache stage again")
    if row["version"] != PREDICTION_VERSION:
        raise ValueError(
            f"prediction row has version {row['version']}, this code reads {PREDICTION_VERSION}; "
            "run the cache stage again"
        )
    if row["checksum"] != _checksum(row):
        raise ValueError(f"prediction row of image {row['image_id']} is damaged: its checksum differs")
    height, width, num_queries = int(row["height"]), int(row["width"]), int(row["num_queries"])
    mask_shape = (num_queries, int(row["mask_height"]), int(row["mask_width"]))
    embedding_shape = (num_queries, int(row["embedding_width"]))
    return ImagePrediction(
        image_id=int(row["image_id"]),
        height=height,
        width=width,
        content_height=int(row["content_height"]),
        content_width=int(row["content_width"]),
        input_px=int(row["input_px"]),
        query_embeddings=_array("query_embeddings", row["query_embeddings"], "<f4", embedding_shape),
        mask_logits=_from_byte_planes(_decompressed("mask_logits", row["mask_logits"], "u1", (2, *mask_shape))),
        label_maps=_decompressed("label_maps", row["label_maps"], "<u2", (int(row["num_layers"]), height, width)),
        segments=segments_from_plain(row["segments"]),
    )


def write_predictions(path: Path, predictions: Iterable[ImagePrediction]) -> None:
    """Write predictions to one parquet file, group by group, under a temporary name until it is complete."""
    unfinished = path.with_name(path.name + ".unfinished")
    with pq.ParquetWriter(
        unfinished, PREDICTION_SCHEMA, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        rows: list[dict[str, Any]] = []
        for prediction in predictions:
            rows.append(to_row(prediction))
            if len(rows) == ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA))
    os.replace(unfinished, path)


def num_groups(path: Path) -> int:
    """Return how many row groups a file of predictions has.

    Raises:
        ValueError: if the file is not parquet; the message names it.
    """
    try:
        return int(pq.read_metadata(path).num_row_groups)
    except pa.ArrowException as error:
        raise ValueError(f"predictions file {path} cannot be read ({error}); delete it and cache again") from error


def read_predictions(path: Path, groups: Sequence[int] | None = None) -> Iterator[ImagePrediction]:
    """Yield the predictions of one parquet file, or of some of its row groups, holding one row group at a time.

    Raises:
        ValueError: if the file is not parquet, is damaged, or was written by another version; the message names it.
    """
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups) if groups is None else groups:
                for row in file.read_row_group(group).cast(PREDICTION_SCHEMA).to_pylist():
                    yield from_row(row)
    except FileNotFoundError:
        raise
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(f"predictions file {path} cannot be read ({error}); delete it and cache again") from error


def _checksum(row: dict[str, Any]) -> int:
    payload = ("query_embeddings", "mask_logits", "label_maps")
    numbers = [row[name] for name in PREDICTION_SCHEMA.names if name not in (*payload, "segments", "checksum")]
    numbers += [segment[part.name] for segment in row["segments"] for part in _SEGMENT]
    checksum = zlib.crc32(" ".join(str(number) for number in numbers).encode())
    for name in payload:
        checksum = zlib.crc32(row[name], checksum)
    return checksum


def _byte_planes(halves: Float16[np.ndarray, "*shape"]) -> bytes:
    """Return all low bytes, then all high ones: signs and exponents side by side compress, digits do not."""
    return halves.astype("<f2").reshape(-1, 1).view(np.uint8).T.tobytes()


def _from_byte_planes(planes: UInt8[np.ndarray, "2 *shape"]) -> Float16[np.ndarray, "*shape"]:
    halves: np.ndarray = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view("<f2")[..., 0].astype(np.float16)
    return halves


def _decompressed(column: str, compressed: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    size_bytes = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    if not 0 <= size_bytes <= LARGEST_IMAGE_PX * np.dtype(dtype).itemsize:
        raise ValueError(f"column {column}: shape {shape} is out of bounds")
    try:
        content = pa.Codec("zstd").decompress(compressed, decompressed_size=size_bytes, asbytes=True)
    except OSError as error:
        raise ValueError(f"column {column}: {error}") from error
    return _array(column, content, dtype, shape)


def _array(column: str, content: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    flat = np.frombuffer(content, dtype=dtype)
    if flat.size != int(np.prod(shape, dtype=object)):
        raise ValueError(f"column {column}: {flat.size} values do not fill shape {shape}")
    return flat.reshape(shape).astype(np.dtype(dtype).newbyteorder("="), copy=True)
