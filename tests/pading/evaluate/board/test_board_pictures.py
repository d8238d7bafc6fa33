from dataclasses import replace

import pytest

from pading.evaluate.board.feature_planes import SIZE, FeaturePlanes, Places, draw_plane
from pading.evaluate.board.pictures import picture_grid
from tests.boards import panels, planes, svg_tree


def drawn(found: FeaturePlanes, number: int) -> dict[str, list[str]]:
    """Return the paths of dots and of crosses, and the places of names and lines, of one generator."""
    tree = svg_tree(draw_plane(found, found.generators[number]))
    paths = list(tree.iter("path"))
    return {
        "dots": [path.attrib["d"] for path in paths if path.attrib.get("class") == "real"],
        "crosses": [path.attrib["d"] for path in paths if "class" not in path.attrib],
        "lines": [" ".join(line.attrib[name] for name in ("x1", "y1", "x2", "y2")) for line in tree.iter("line")],
        "names": [text.text or "" for text in tree.iter("text")],
    }


def test_real_features_lie_at_the_same_places_in_every_drawing():
    first, second = drawn(planes(), 0), drawn(planes(), 1)
    assert first["dots"] == second["dots"]
    assert first["crosses"] != second["crosses"]
    assert first["names"] == ["star", "<ring>"]


def test_every_feature_is_drawn_once_inside_the_plane():
    found = drawn(planes(), 0)
    assert [path.count("h0") for path in found["dots"]] == [1, 1]
    assert [path.count("M") for path in found["crosses"]] == [2, 1]
    for path in found["dots"]:
        x, y = map(float, path.removeprefix("M").removesuffix("h0").split())
        assert 0 < x < SIZE
        assert 0 < y < SIZE


def test_a_line_leads_from_the_synthetic_middle_to_the_real_one():
    (_, ring) = drawn(planes(), 1)["lines"]
    x1, y1, x2, y2 = map(float, ring.split())  # from (4, 5) to (5, 5)
    assert x1 < x2
    assert y1 == y2


def test_a_class_without_real_features_has_no_line_but_a_name():
    found = replace(planes(), real=Places(x=(0.0,), y=(0.0,), labels=(0,)))
    assert len(drawn(found, 0)["lines"]) == 1
    assert drawn(found, 0)["names"] == ["star", "<ring>"]


@pytest.mark.parametrize("places", [Places(x=(), y=(), labels=()), Places(x=(1.0, 1.0), y=(2.0, 2.0), labels=(0, 0))])
def test_features_all_in_one_place_make_a_drawing(places: Places):
    alone = replace(planes(), real=places, generators=(replace(planes().generators[0], synthetic=places),))
    assert drawn(alone, 0)["dots"][0].count("h0") == len(places.x)


def test_a_picture_has_its_cells_in_order_and_unseen_classes_come_first():
    grid = picture_grid(panels())
    assert grid.count("data:image/webp;base64,") == 3
    captions = [part.split("<")[0] for part in grid.split("<figcaption>")[1:]]
    assert captions == ["photo", "ground truth", "&lt;pading&gt;"]
    assert 'alt="image 7: &lt;pading&gt;"' in grid
    assert grid.index("&lt;star&gt; *") < grid.index("disc")
    assert grid.count("swatch unseen") == 1
