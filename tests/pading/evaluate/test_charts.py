import re
import xml.etree.ElementTree as ET

import pytest

from pading.evaluate.charts import LEFT, PANEL_HEIGHT, PANEL_WIDTH, Difference, Point, curve_panel, forest_chart


def parsed(svg: str) -> ET.Element:
    """Attributes without quotes are HTML, not XML: quote them."""
    return ET.fromstring(re.sub(r'=([^\s"\'<>]+)(?=[\s/>])', r'="\1"', svg))


def point(label: str, value: float | None, spread: float = 1.0) -> Point:
    bounds = (None, None) if value is None else (value - spread, value + spread)
    return Point(label=label, value=value, deviation=0.5, low=bounds[0], high=bounds[1])


def test_a_larger_value_stands_higher_and_later_ones_further_right():
    svg = parsed(curve_panel("PQ", "tau", [point("a", 10), point("b", 30), point("c", 20)], colour="hm", default="b"))
    circles = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in svg.iter("circle")]
    assert [x for x, _ in circles] == sorted(x for x, _ in circles)
    assert circles[1][1] < circles[2][1] < circles[0][1]
    assert all(LEFT < x < PANEL_WIDTH and 0 < y < PANEL_HEIGHT for x, y in circles)
    (default,) = [line for line in svg.iter("line") if line.attrib.get("class") == "default"]
    assert float(default.attrib["x1"]) == circles[1][0]


def test_a_value_that_is_not_known_keeps_its_place_without_a_dot():
    svg = parsed(curve_panel("PQ", "tau", [point("a", 10), point("b", None), point("c", 20)], colour="hm", default=""))
    assert len(list(svg.iter("circle"))) == 2
    assert {"a", "b", "c"} <= {text.text for text in svg.iter("text")}


@pytest.mark.parametrize("values", [[], [None], [5.0], [0.0, 0.0], [-3.0, 1e-9]])
def test_any_values_make_a_panel(values: list[float | None]):
    points = [point(str(number), value, spread=0.0) for number, value in enumerate(values)]
    assert parsed(curve_panel("<PQ>", "a & b", points, colour="hm", default="")).tag == "svg"


def test_a_difference_is_right_of_zero_exactly_if_it_is_positive():
    differences = [
        Difference(label="up", value=2.0, low=1.0, high=3.0, text="+2"),
        Difference(label="down", value=-4.0, low=-5.0, high=-3.0, text="-4"),
        Difference(label="even", value=0.0, low=-1.0, high=1.0, text="0"),
    ]
    svg = parsed(forest_chart("difference", differences))
    (zero,) = [float(line.attrib["x1"]) for line in svg.iter("line") if line.attrib.get("class") == "zero"]
    up, down, even = [float(circle.attrib["cx"]) for circle in svg.iter("circle")]
    assert (down < zero < up, even == zero) == (True, True)
    assert [circle.attrib["fill"] for circle in svg.iter("circle")] == ["var(--hm)", "var(--unseen)", "var(--faint)"]
