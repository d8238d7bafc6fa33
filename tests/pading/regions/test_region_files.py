from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pading.data.errors import DataError, MissingFileError
from pading.evaluate.predictions import ImagePrediction, as_half
from pading.regions.files import (
    REGION_SCHEMA,
    from_row,
    region_file,
    region_writer,
    to_row,
    with_regions,
    write_regions,
)

QUERIES, WIDTH = 5, 24


def prediction(image_id: int) -> ImagePrediction:
    return ImagePrediction(
        image_id=image_id,
        height=8,
        width=8,
        content_height=8,
        content_width=8,
        input_px=8,
        query_embeddings=np.zeros((QUERIES, 3), np.float32),
        mask_logits=as_half(np.zeros((QUERIES, 2, 2))),
        label_maps=np.zeros((1, 8, 8), np.uint16),
        segments=(),
    )


def embeddings_of(image_id: int) -> np.ndarray:
    random = np.random.default_rng(image_id)
    vectors = random.normal(size=(QUERIES, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[random.integers(QUERIES)] = np.nan
    return vectors.astype(np.float32)


def written(folder: Path, ids: list[int], style: str = "crop") -> Path:
    path = region_file(folder, style)
    write_regions(path, ((image_id, embeddings_of(image_id)) for image_id in ids))
    return path


def test_what_is_written_is_read_to_half_precision_and_at_unit_length(tmp_path: Path) -> None:
    ids = list(range(100, 140))
    written(tmp_path, ids)
    found = list(with_regions((prediction(image_id) for image_id in ids), tmp_path, ["crop"]))
    assert [image.image_id for image in found] == ids
    for image in found:
        expected, values = embeddings_of(image.image_id), image.regions["crop"]
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected, atol=2e-4)
        lengths = np.linalg.norm(values, axis=1)
        assert (np.isnan(lengths) == np.isnan(expected[:, 0])).all()
        np.testing.assert_allclose(lengths[~np.isnan(lengths)], 1, atol=1e-6)


def test_rows_are_joined_by_image_id_whatever_the_order(tmp_path: Path) -> None:
    ids = list(range(50))
    written(tmp_path, ids)
    written(tmp_path, ids[::-1], "mask")
    asked = np.random.default_rng(0).permutation(ids)[:20].tolist()
    for image in with_regions((prediction(image_id) for image_id in asked), tmp_path, ["crop", "mask"]):
        np.testing.assert_array_equal(image.regions["crop"], image.regions["mask"])
        np.testing.assert_allclose(image.regions["crop"], embeddings_of(image.image_id), atol=2e-4)


def test_other_regions_of_a_prediction_are_kept(tmp_path: Path) -> None:
    written(tmp_path, [7])
    before = replace(prediction(7), regions={"own": np.ones((QUERIES, 2), np.float32)})
    (after,) = with_regions(iter([before]), tmp_path, ["crop"])
    assert set(after.regions) == {"own", "crop"}


def test_equal_embeddings_give_equal_files(tmp_path: Path) -> None:
    first, second = (written(tmp_path, [1, 2, 3], style) for style in ("crop", "mask"))
    assert first.read_bytes() == second.read_bytes()


def test_no_image_gives_a_file_without_rows(tmp_path: Path) -> None:
    written(tmp_path, [])
    assert list(with_regions(iter([]), tmp_path, ["crop"])) == []


def test_a_missing_style_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"pooled\.parquet: no region embeddings"):
        list(with_regions(iter([prediction(1)]), tmp_path, ["pooled"]))


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    written(tmp_path, [1])
    with pytest.raises(DataError, match=r"crop\.parquet: has no row of image 2"):
        list(with_regions(iter([prediction(2)]), tmp_path, ["crop"]))


def test_another_number_of_queries_is_refused(tmp_path: Path) -> None:
    write_regions(region_file(tmp_path, "crop"), [(1, embeddings_of(1)[:3])])
    with pytest.raises(DataError, match="image 1 has 3 queries here, 5 in its prediction"):
        list(with_regions(iter([prediction(1)]), tmp_path, ["crop"]))


def test_a_prediction_refuses_regions_of_other_queries() -> None:
    with pytest.raises(ValueError, match=r"region embeddings 'crop' \(3, 24\) are not one row for each of the 5"):
        replace(prediction(1), regions={"crop": embeddings_of(1)[:3]})


def test_a_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    ids = [1, 2, 3]
    path = written(tmp_path, ids)
    whole = path.read_bytes()
    noticed = 0
    for at in range(0, len(whole), len(whole) // 80):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        try:
            found = list(with_regions((prediction(image_id) for image_id in ids), tmp_path, ["crop"]))
        except DataError:
            noticed += 1
            continue
        for image in found:
            np.testing.assert_allclose(image.regions["crop"], embeddings_of(image.image_id), atol=2e-4)
    assert noticed > 30


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AttributeError), region_writer(region_file(tmp_path, "crop")) as add:
        add(1, None)
    assert list(tmp_path.iterdir()) == []


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [1, 2, 3])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"crop\.parquet: is truncated or corrupt"):
        list(with_regions(iter([prediction(1)]), tmp_path, ["crop"]))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"version": 9}, "has version 9"),
        ({"image_id": 4}, "image 4 is damaged"),
        ({"width": 2**40}, "is damaged"),
        ({"embeddings": b"no"}, "is damaged"),
    ],
)
def test_a_changed_field_is_refused(change: dict, what: str) -> None:
    with pytest.raises(DataError, match=what):
        from_row(to_row(3, embeddings_of(3)) | change, "crop.parquet")


@pytest.mark.parametrize("damage", ["other columns", "nulls"])
def test_other_columns_or_nulls_are_refused(tmp_path: Path, damage: str) -> None:
    table = pa.Table.from_pylist([to_row(1, embeddings_of(1))], schema=REGION_SCHEMA)
    if damage == "nulls":
        table = table.set_column(3, "width", pa.array([None], pa.int64()))
    else:
        table = table.drop_columns(["width"])
    pq.write_table(table, tmp_path / "crop.parquet")
    with pytest.raises(DataError, match=r"crop\.parquet: is truncated or corrupt"):
        list(with_regions(iter([prediction(1)]), tmp_path, ["crop"]))
