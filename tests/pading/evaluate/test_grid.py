"""Grids of constants: their points are the metrics of the table, means and choices by hand."""

import pytest

from pading.evaluate.grid import GridPoint, best_point, mean_points
from pading.evaluate.grid_pages import Curves, chosen_curves, grid_markdown, grid_page


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
    means = {0.0: NAN, 0.5: 2.0, 0.6: 5.0, 1.0: 5.0}
    grid = [point(weight, 0.0, 5, 5, hm) for weight, hm in means.items()]
    assert best_point(grid) is grid[2]
    with pytest.raises(ValueError, match="no point of the grid has a harmonic mean"):
        best_point(grid[:1])


def test_pages_show_each_constant_at_the_best_value_of_the_other() -> None:
    grid = [
        point(weight, penalty, 50.0, 10 * weight + penalty, 20 * weight - penalty)
        for weight in (0.5, 1.0)
        for penalty in (0.0, 0.1)
    ]
    curves = chosen_curves({("zegformer+cal", "best"): grid})
    text = grid_markdown(curves)
    assert "zegformer+cal (best): lambda 1.00, gamma 0" in text
    assert "| 0.5 | 50.0 | 5.0 | 10.0 |" in text
    assert "| 0.1 | 50.0 | 10.1 | 19.9 |" in text
    assert "| 0.1 | 50.0 | 5.1 | 9.9 |" not in text  # lambda 0.5 is not the best
    html = grid_page(curves)
    assert html.count("<svg") == 6
    assert "<script" not in html


def test_a_constant_that_does_not_vary_has_no_table_and_a_missing_value_no_dot() -> None:
    grid = [point(2 / 3, penalty, 50.0, NAN if penalty else 10.0, NAN if penalty else 16.0) for penalty in (0.0, 0.1)]
    curves = chosen_curves({("zegformer-seg+cal", "best"): grid})
    assert "lambda | seen" not in grid_markdown(curves)
    assert grid_page(curves).count("<svg") == 3
    assert "nan" not in grid_page(curves)
    assert "| 0.1 | 50.0 | - | - |" in grid_markdown(curves)


def test_curves_cross_where_their_page_says_and_it_says_what_they_are() -> None:
    pairs = [(weight, penalty) for weight in (0.5, 1.0) for penalty in (0.0, 0.1)]
    grid = [point(weight, penalty, 50.0, 10 * weight + penalty, 20.0) for weight, penalty in pairs]
    row = ("pading+img", "<best>")
    curves = Curves(title="Of <unseen> classes", note="To read & no more.", grids={row: grid}, crossings={row: grid[1]})
    text, html = grid_markdown(curves), grid_page(curves)
    assert text.startswith("# Of <unseen> classes\n\nTo read & no more.")
    assert "pading+img (<best>): lambda 0.50, gamma 0.1" in text
    assert "| 1 | 50.0 | 10.1 | 20.0 |" in text  # lambda 1 at gamma 0.1
    assert "| 1 | 50.0 | 10.0 | 20.0 |" not in text
    assert "Of &lt;unseen&gt; classes" in html
    assert "To read &amp; no more." in html
    assert "(&lt;best&gt;)" in html
