"""Grids of constants: their points are the metrics of the table, means and choices by hand."""

import pytest

from pading.evaluate.grid import GridPoint, best_point, mean_points


def point(weight: float, penalty: float, seen: float, unseen: float, hm: float) -> GridPoint:
    return GridPoint(weight=weight, seen_penalty=penalty, seen=seen, unseen=unseen, hm=hm)


NAN = float("nan")


def test_the_mean_of_grids_is_taken_point_by_point() -> None:
    first = [point(0.5, 0.0, 40.0, 10.0, 16.0), point(0.5, 0.1, 30.0, 20.0, 24.0)]
    second = [point(0.5, 0.0, 50.0, 20.0, 28.0), point(0.5, 0.1, 40.0, 40.0, 40.0)]
    assert mean_points([first, second]) == [point(0.5, 0.0, 45.0, 15.0, 22.0), point(0.5, 0.1, 35.0, 30.0, 32.0)]


def test_grids_over_other_constants_have_no_mean() -> None:
    with pytest.raises(ValueError, match="2 grids that are not over the same constants"):
        mean_points([[point(0.5, 0.0, 1, 1, 1)], [point(0.6, 0.0, 1, 1, 1)]])
    with pytest.raises(ValueError, match="0 grids"):
        mean_points([])


def test_the_best_point_has_the_largest_harmonic_mean_and_is_the_first_of_equals() -> None:
    grid = [point(0.0, 0.0, 1, 1, NAN), point(0.5, 0.0, 9, 1, 2.0), point(0.6, 0.0, 5, 5, 5.0), point(1.0, 0.0, 5, 5, 5.0)]  # fmt: skip
    assert best_point(grid) is grid[2]
    with pytest.raises(ValueError, match="no point of the grid has a harmonic mean"):
        best_point(grid[:1])
