import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.evaluate.board.forest import forest, verdict
from pading.evaluate.board.frame import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Frame
from pading.evaluate.board.labels import CHARACTER_PX, HEIGHT_PX, place_labels
from pading.evaluate.board.marks import SHAPES, Marks
from pading.evaluate.board.scatter import published_scatter, scatter
from pading.evaluate.board.tradeoff import tradeoff
from pading.evaluate.leaderboard import check_rows, tables
from pading.evaluate.published import published_beside
from tests.boards import comparison, curve, score_rows, svg_tree

LINES = tables(score_rows())["panoptic"]
MARKS = Marks.of((line.method, line.profile) for line in LINES)
QUALITIES = st.floats(0, 100)


def drawn_of(svg: str, key: str) -> list[str]:
    """Return the tags that are drawn for a line, but for its bars and its names."""
    groups = [group for group in svg_tree(svg).iter("g") if group.attrib.get("data-line") == key]
    return [part.tag for group in groups for part in group if part.tag not in ("line", "text")]


def test_a_method_keeps_its_colour_and_a_profile_its_shape():
    best, paper = MARKS.mark("pading", "best"), MARKS.mark("pading", "paper")
    assert best.paint == paper.paint != MARKS.mark("gmmn", "best").paint
    assert (best.shape, paper.shape) == SHAPES[:2]
    calibrated = MARKS.mark("pading+cal", "best")
    assert (calibrated.paint, calibrated.is_hollow, best.is_hollow) == (best.paint, True, False)


def test_the_profile_is_named_only_where_it_is_not_the_first():
    assert MARKS.label("pading", "paper") == "pading · paper"
    assert MARKS.label("pading", "best") == "pading"
    assert Marks.of([("pading", "paper")]).label("pading", "paper") == "pading"


def test_better_is_up_and_to_the_right():
    frame = Frame.around([(40, 0), (60, 30)], "PQ")
    (x1, y1), (x2, y2) = frame.place(40, 0), frame.place(60, 30)
    assert LEFT <= x1 < x2 <= WIDTH - RIGHT
    assert HEIGHT - BOTTOM >= y1 > y2 >= TOP


@given(points=st.lists(st.tuples(QUALITIES, QUALITIES), max_size=6))
@settings(deadline=None, max_examples=40)
def test_every_point_is_inside_its_frame(points: list[tuple[float, float]]):
    frame = Frame.around(points, "PQ")
    for point in points:
        x, y = frame.place(*point)
        assert LEFT - 1e-6 <= x <= WIDTH - RIGHT + 1e-6
        assert TOP - 1e-6 <= y <= HEIGHT - BOTTOM + 1e-6
    assert frame.background()


def test_a_contour_joins_points_of_one_harmonic_mean():
    frame = Frame.around([(20, 5), (80, 60)], "PQ")
    tree = svg_tree(f"<svg>{''.join(frame.background())}</svg>")
    curves = [part.attrib["points"].split() for part in tree.iter("polyline")]
    levels = [float(part.text.split()[1]) for part in tree.iter("text") if part.attrib.get("class") == "contour"]
    assert len(curves) == len(levels) > 1
    for points, level in zip(curves, levels, strict=True):
        for x, y in (map(float, point.split(",")) for point in points):
            across, up = (x - LEFT) / (WIDTH - LEFT - RIGHT), (HEIGHT - BOTTOM - y) / (HEIGHT - TOP - BOTTOM)
            seen = frame.seen[0] + across * (frame.seen[1] - frame.seen[0])
            unseen = frame.unseen[0] + up * (frame.unseen[1] - frame.unseen[0])
            assert 2 * seen * unseen / (seen + unseen) == pytest.approx(level, rel=0.02)


@given(points=st.lists(st.tuples(st.floats(0, 200), st.floats(0, 200)), min_size=1, max_size=8))
@settings(deadline=None, max_examples=40)
def test_labels_touch_neither_each_other_nor_the_frame(points: list[tuple[float, float]]):
    texts = ["pading · paper"] * len(points)
    boxes = []
    for text, place in zip(texts, place_labels(points, texts, (0, 0, 200, 200)), strict=True):
        if place is not None:
            x, baseline, anchor = place
            width = CHARACTER_PX * len(text)
            left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
            boxes.append((left, baseline - 4 - HEIGHT_PX / 2, left + width, baseline - 4 + HEIGHT_PX / 2))
    for at, one in enumerate(boxes):
        assert min(one[0], one[1]) >= 0
        assert max(one[2], one[3]) <= 200
        for other in boxes[:at]:
            assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def test_a_lonely_point_is_named_to_its_right():
    assert place_labels([(50, 50)], ["a"], (0, 0, 200, 200)) == [(58, 54, "start")]


def test_the_scatter_has_a_mark_and_two_bars_for_each_line():
    svg = scatter("panoptic", "pq", LINES, MARKS)
    assert drawn_of(svg, "gmmn (best)") == ["circle"]
    assert drawn_of(svg, "pading (paper)") == ["polygon"]
    (bars,) = [
        group
        for group in svg_tree(svg).iter("g")
        if group.attrib.get("class") == "bars" and group.attrib["data-line"] == "gmmn (best)"
    ]
    across, upright = (bar.attrib for bar in bars)
    assert float(across["x2"]) > float(across["x1"])
    assert across["y1"] == across["y2"]
    assert float(upright["y2"]) < float(upright["y1"])
    assert upright["x1"] == upright["x2"]
    assert "gmmn (best): seen 60.5 ± 0.7 [58.5, 62.5]; unseen 40.0 ± 1.4 [38.0, 42.0]" in svg


def test_a_line_without_a_value_is_not_on_the_scatter():
    rows = [
        *score_rows(),
        {"task": "panoptic", "method": "x", "profile": "best", "seed": 0, "metrics": {"pq/seen": 50}},
    ]
    lines = tables(check_rows(rows))["panoptic"]
    assert len(lines) == len(LINES) + 1
    assert scatter("panoptic", "pq", lines, MARKS) == scatter("panoptic", "pq", LINES, MARKS)


def test_no_lines_still_make_a_frame():
    assert svg_tree(scatter("panoptic", "pq", [], Marks.of([]))).tag == "svg"


def test_published_figures_are_drawn_by_themselves():
    rows = published_beside("panoptic", "shapes")
    tree = svg_tree(published_scatter(rows, "pq"))
    titles = [part.text for part in tree.iter("title")]
    assert "PADing: 41.5 seen, 15.3 unseen; PADing, Tab. 1" in titles
    assert len(titles) == len(rows)
    assert published_scatter(rows, "miou") == published_scatter([], "pq") == ""
    assert published_beside("weather", "shapes") == []


def test_the_mark_of_a_curve_is_where_the_penalty_is_nearest_to_none():
    svg = tradeoff("panoptic", "pq", [curve("gmmn"), curve("pading+cal", area=math.nan)], MARKS)
    tree = svg_tree(svg)
    frame = Frame.around([(60, 0), (55, 38), (0, 45)], "PQ")
    x, y = frame.place(55, 38)
    marks = [(float(part.attrib["cx"]), float(part.attrib["cy"])) for part in tree.iter("circle")]
    assert marks == [pytest.approx((x, y), abs=0.06)] * 2
    texts = [part.text for part in tree.iter("title")]
    assert "gmmn 25.0" in texts
    assert not any("nan" in text for text in texts)
    assert tradeoff("panoptic", "pq", [], MARKS) == ""


def test_a_difference_is_clear_only_if_its_interval_holds_no_zero():
    found = [comparison("a", "b", value).groups["hm"] for value in (2.0, -2.0, 0.5, -0.5, 1.0)]
    assert [verdict(one) for one in found] == ["better", "worse", "unclear", "unclear", "unclear"]


def test_the_forest_follows_the_order_of_the_lines_and_leaves_out_other_tasks():
    pairs = [comparison("supervised", "gmmn", -40.0), comparison("gmmn", "pading", 0.5)]
    table = forest("panoptic", pairs, LINES, MARKS)
    rows = table.split("<tbody>")[1].split("</tr>")
    assert [row.split("class=")[1].split()[0] for row in rows[:2]] == ["unclear", "worse"]
    assert 'data-lines="gmmn (best)&#10;pading (best)"' in rows[0]
    assert "<td data-value='0.9'>90 %</td><td data-value='2'>2 of 3</td>" in rows[0]
    assert forest("semantic", pairs, LINES, MARKS) == forest("panoptic", [], LINES, MARKS) == ""


@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_every_whisker_is_inside_the_axis_and_right_of_zero_if_positive(values: list[float]):
    table = forest("panoptic", [comparison("gmmn", "pading", value) for value in values], LINES, MARKS)
    for value, row in zip(values, table.split("<tbody>")[1].split("</tr>"), strict=False):
        zero, start, dot = (float(part.split("%")[0]) for part in row.split("left:")[1:])
        width = float(row.split("width:")[1].split("%")[0])
        assert 0 <= start <= dot <= start + width + 0.2 <= 100.5
        assert (dot - zero) * value >= 0
