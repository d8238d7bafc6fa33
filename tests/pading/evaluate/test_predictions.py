import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pading.data.sample import Segment
from pading.evaluate import predictions as predictions_module
from pading.evaluate.predictions import (
    PREDICTION_SCHEMA,
    ImagePrediction,
    as_half,
    from_row,
    read_predictions,
    renumber_truth,
    to_row,
    write_predictions,
)


def random_prediction(seed: int, *, num_segments: int = 3, height: int = 20, width: int = 30) -> ImagePrediction:
    rng = np.random.default_rng(seed)
    return ImagePrediction(
        image_id=2**40 + seed,
        height=height,
        width=width,
        content_height=16,
        content_width=24,
        input_px=24,
        query_embeddings=rng.normal(size=(5, 7)).astype(np.float32),
        mask_logits=as_half(rng.normal(scale=4, size=(5, 6, 6)).astype(np.float32)),
        label_maps=rng.integers(0, num_segments + 1, (1, height, width)).astype(np.uint16),
        segments=tuple(
            Segment(segment_id=100 + i, class_index=i % 4, is_crowd=i == 1, area_px=9 * i) for i in range(num_segments)
        ),
    )


def assert_same(one: ImagePrediction, two: ImagePrediction) -> None:
    for field in dataclasses.fields(ImagePrediction):
        first, second = getattr(one, field.name), getattr(two, field.name)
        if isinstance(first, np.ndarray):
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second)
        else:
            assert first == second, field.name


def test_half_precision_keeps_every_sign_and_eleven_bits():
    logits = np.linspace(-10, 10, 40001).astype(np.float32)
    halves = as_half(logits)
    np.testing.assert_array_equal(np.sign(halves), np.sign(logits))
    np.testing.assert_allclose(halves.astype(np.float32), logits, rtol=2**-11, atol=1e-7)


def test_halves_by_hand():
    tiny = np.float32(1e-30)
    logits = np.array([0.0, -0.0, tiny, -tiny, 0.1, 2049.0, 1e9, -np.inf], dtype=np.float32)
    assert as_half(logits).tolist() == [0, 0, 2**-24, -(2**-24), 1638 / 2**14, 2048, 65504, -65504]


def test_nan_is_refused():
    with pytest.raises(ValueError, match="1 mask logits are NaN"):
        as_half(np.array([0.0, np.nan], dtype=np.float32))


def test_files_return_what_was_written_across_row_groups(tmp_path):
    written = [random_prediction(seed, num_segments=seed % 4, height=10 + seed) for seed in range(35)]
    write_predictions(tmp_path / "val.parquet", iter(written))
    assert [path.name for path in tmp_path.iterdir()] == ["val.parquet"]
    assert pq.ParquetFile(tmp_path / "val.parquet").num_row_groups == 3
    read = list(read_predictions(tmp_path / "val.parquet"))
    assert len(read) == len(written)
    for one, two in zip(written, read, strict=True):
        assert_same(one, two)


def test_rows_have_the_columns_and_types_of_the_schema():
    row = to_row(random_prediction(0))
    assert list(row) == PREDICTION_SCHEMA.names
    assert pa.Table.from_pylist([row]).schema.equals(PREDICTION_SCHEMA)


@pytest.mark.parametrize("num_segments", [0, 3])
def test_rows_that_another_writer_put_into_parquet_are_read(tmp_path, num_segments):
    written = [random_prediction(seed, num_segments=num_segments) for seed in range(3)]
    pq.write_table(pa.Table.from_pylist([to_row(prediction) for prediction in written]), tmp_path / "val.parquet")
    for one, two in zip(written, read_predictions(tmp_path / "val.parquet"), strict=True):
        assert_same(one, two)


def test_an_empty_file_reads_as_no_predictions(tmp_path):
    write_predictions(tmp_path / "none.parquet", [])
    assert list(read_predictions(tmp_path / "none.parquet")) == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "val.parquet"
    write_predictions(path, [random_prediction(1)])

    def broken():
        yield random_prediction(2)
        raise RuntimeError("segmenter died")

    with pytest.raises(RuntimeError, match="segmenter died"):
        write_predictions(path, broken())
    assert_same(next(read_predictions(path)), random_prediction(1))


def test_a_flipped_byte_never_passes_for_a_prediction(tmp_path):
    path = tmp_path / "val.parquet"
    written = [random_prediction(seed) for seed in range(4)]
    write_predictions(path, written)
    intact = path.read_bytes()
    for position in range(4, len(intact), 97):
        damaged = bytearray(intact)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            read = list(read_predictions(path))
        except ValueError:
            continue
        for one, two in zip(written, read, strict=True):  # a byte of the footer that says nothing about the rows
            assert_same(one, two)


@pytest.mark.parametrize("column", ["query_embeddings", "mask_logits", "label_maps"])
def test_a_flipped_byte_of_a_payload_is_an_error_that_names_file_and_image(tmp_path, column):
    path = tmp_path / "val.parquet"
    write_predictions(path, [random_prediction(seed) for seed in range(4)])
    content = bytearray(path.read_bytes())
    content[content.index(to_row(random_prediction(2))[column]) + 5] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"val\.parquet cannot be read .*image {2**40 + 2} is damaged"):
        list(read_predictions(path))


def test_text_is_not_a_predictions_file(tmp_path):
    (tmp_path / "val.parquet").write_text("not parquet")
    with pytest.raises(ValueError, match=r"val\.parquet cannot be read"):
        list(read_predictions(tmp_path / "val.parquet"))
    with pytest.raises(FileNotFoundError):
        list(read_predictions(tmp_path / "absent.parquet"))


def test_rows_of_another_version_or_with_wrong_sizes_are_refused():
    row = to_row(random_prediction(0))
    with pytest.raises(ValueError, match="version 99"):
        from_row(row | {"version": 99})
    with pytest.raises(ValueError, match=r"lacks columns \['label_maps'\]"):
        from_row({name: value for name, value in row.items() if name != "label_maps"})
    with pytest.raises(ValueError, match="is damaged: its checksum differs"):
        from_row(row | {"embedding_width": 8})
    with pytest.raises(ValueError, match="is damaged: its checksum differs"):
        from_row(row | {"mask_logits": row["mask_logits"][:-1]})
    with pytest.raises(ValueError, match="is damaged: its checksum differs"):
        from_row(row | {"segments": row["segments"][1:]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding_width": 8}, "column query_embeddings: 35 values do not fill"),
        ({"mask_height": 7}, "column mask_logits"),
        ({"mask_logits": b"not compressed"}, "column mask_logits"),
        ({"height": 2**40}, r"column label_maps: shape .* is out of bounds"),
        ({"height": -20}, r"column label_maps: shape .* is out of bounds"),
    ],
)
def test_a_row_whose_bytes_do_not_fill_its_sizes_is_refused_even_with_a_right_checksum(change, message):
    row = to_row(random_prediction(0)) | change
    row["checksum"] = predictions_module._checksum(row)
    with pytest.raises(ValueError, match=message):
        from_row(row)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 21}, r"label maps \(1, 20, 30\) are not layers of \(21, 30\)"),
        ({"content_width": 25}, "does not fit the network input of 24 px"),
        ({"query_embeddings": np.zeros((4, 7), np.float32)}, "must share their first axis"),
        ({"mask_logits": np.zeros((5, 6, 6), np.float32)}, "call as_half first"),
    ],
)
def test_contradictory_predictions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(random_prediction(0), **change)


def test_renumbered_truth_has_the_same_pixels_and_a_class_without_number_becomes_unlabelled():
    prediction = random_prediction(0, num_segments=4)  # of classes 0, 1, 2, 3
    assert_same(renumber_truth(prediction, [0, 1, 2, 3]), prediction)
    changed = renumber_truth(prediction, [5, -1, 0, -1])
    assert [segment.class_index for segment in changed.segments] == [5, 0]
    assert [segment.segment_id for segment in changed.segments] == [100, 102]
    before, after = prediction.label_maps, changed.label_maps
    assert after.dtype == np.uint16
    for old, new in ((0, 0), (1, 1), (2, 0), (3, 2), (4, 0)):
        assert (after[before == old] == new).all()
    np.testing.assert_array_equal(changed.mask_logits, prediction.mask_logits)


def test_a_class_that_has_no_entry_among_the_new_numbers_is_refused():
    with pytest.raises(ValueError, match="has a class beyond the 2 that have new numbers"):
        renumber_truth(random_prediction(0, num_segments=4), [0, 1])
