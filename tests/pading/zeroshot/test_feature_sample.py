import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pading.zeroshot.feature_sample import read_feature_sample
from pading.zeroshot.features import Features, concatenate, write_features


@pytest.fixture
def parts(tmp_path):
    """Three parts of a hundred images in all, image i with 1 + i % 5 rows."""
    images = torch.arange(100)
    ids = images.repeat_interleave(1 + images % 5)
    whole = Features(torch.randn(len(ids), 4), torch.arange(len(ids)) % 7, ids)
    paths = []
    for number, (first, last) in enumerate(((0, 30), (30, 31), (31, 100))):
        path = tmp_path / f"part-{number}.parquet"
        write_features(path, whole.where((ids >= first) & (ids < last)))
        paths.append(path)
    return paths, whole


def test_a_cache_that_fits_is_read_whole(parts):
    paths, whole = parts
    found, num_rows = read_feature_sample(paths, len(whole), 0)
    assert num_rows == len(whole)
    assert torch.equal(found.embeddings, whole.embeddings)


@pytest.mark.parametrize("max_rows", [5, 50, 250])
def test_a_sample_is_of_whole_images_in_order_and_nearly_full(parts, max_rows):
    paths, whole = parts
    found, num_rows = read_feature_sample(paths, max_rows, 0)
    assert num_rows == len(whole)
    assert max_rows - 5 < len(found) <= max_rows
    chosen = torch.isin(whole.image_ids, found.image_ids)
    for name, column in vars(whole.where(chosen)).items():
        assert torch.equal(getattr(found, name), column), name


def test_which_images_are_drawn_depends_on_the_seed_and_not_on_the_files(parts, tmp_path):
    paths, whole = parts
    one = tmp_path / "one.parquet"
    write_features(one, whole)
    first, other = (read_feature_sample(paths, 100, seed)[0] for seed in (0, 1))
    assert torch.equal(read_feature_sample([one], 100, 0)[0].embeddings, first.embeddings)
    assert not torch.equal(first.image_ids, other.image_ids)


def test_what_cannot_be_sampled_is_refused(parts, tmp_path):
    paths, whole = parts
    with pytest.raises(ValueError, match="allow at least 1"):
        read_feature_sample(paths, 0, 0)
    large = tmp_path / "large.parquet"
    write_features(large, concatenate([whole.where(whole.image_ids == 4)]))
    with pytest.raises(ValueError, match="one image alone are more than 4 rows"):
        read_feature_sample([large], 4, 0)
    foreign = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"x": [1]}), foreign)
    with pytest.raises(ValueError, match=r"foreign.parquet has schema version none"):
        read_feature_sample([foreign], 4, 0)
    foreign.write_bytes(b"not parquet")
    with pytest.raises(ValueError, match=r"foreign.parquet is corrupt"):
        read_feature_sample([foreign], 4, 0)
