"""Small leaderboards to draw pages of, and their drawings as trees."""

import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
from PIL import Image

from pading.evaluate.board.board import Board
from pading.evaluate.board.feature_planes import ClassOnPlane, FeaturePlanes, GeneratorOnPlane, Places
from pading.evaluate.board.findings import ClassName, ClassScores, Curve, Difference, PairedComparison
from pading.evaluate.leaderboard import check_rows
from pading.evaluate.panel_files import Panels, PicturedClass, PicturedImage

# method, profile, seed -> PQ of seen classes, of unseen ones, harmonic mean
SCORES = {
    ("gmmn", "best", 0): (60.0, 39.0, 47.3),
    ("gmmn", "best", 1): (61.0, 41.0, 49.0),
    ("pading", "best", 0): (55.0, 38.0, 44.9),
    ("pading", "paper", 0): (52.0, 20.0, 28.9),
    ("supervised", "best", 0): (66.0, 0.0, 0.0),
}


def svg_tree(svg: str) -> ET.Element:
    """Attributes without quotes are HTML, not XML: quote them."""
    return ET.fromstring(re.sub(r'=([^\s"\'<>]+)(?=[\s/>])', r'="\1"', svg))


def score_rows(task: str = "panoptic", quality: str = "pq") -> list[dict[str, Any]]:
    rows = []
    for (method, profile, seed), (seen, unseen, hm) in SCORES.items():
        values = {f"{quality}/seen": seen, f"{quality}/unseen": unseen, f"{quality}/hm": hm, f"{quality}/ausuc": hm / 2}
        bounds = {name: [value - 2, value + 2] for name, value in values.items() if "ausuc" not in name}
        identity = {"task": task, "method": method, "profile": profile, "seed": seed}
        rows.append({**identity, "metrics": values, "intervals": bounds})
    return check_rows(rows)


def curve(method: str, profile: str = "best", area: float = 25.0) -> Curve:
    return Curve(
        task="panoptic",
        method=method,
        profile=profile,
        quality="pq",
        penalties=(-1.0, 0.0, 1.0),
        seen=(60.0, 55.0, 0.0),
        unseen=(0.0, 38.0, 45.0),
        area=area,
    )


def comparison(first: str, second: str, difference: float, spread: float = 1.0) -> PairedComparison:
    found = Difference(
        difference=difference,
        low=difference - spread,
        high=difference + spread,
        probability_better=0.9,
        seeds_better=2,
        num_seeds=3,
    )
    groups = {side: found for side in ("seen", "unseen", "hm")}
    return PairedComparison(
        task="panoptic", quality="pq", first=(first, "best"), second=(second, "best"), groups=groups
    )


CLASSES = (
    ClassName(name="disc", is_seen=True, is_thing=True),
    ClassName(name="star </script> <b>'\"&", is_seen=False, is_thing=True),
    ClassName(name="sea", is_seen=True, is_thing=False),
)


def class_scores() -> ClassScores:
    values = {
        ("panoptic", "gmmn", "best"): (70.0, 40.0, 50.0),
        ("panoptic", "pading", "best"): (60.0, 45.0, None),
        ("panoptic", "supervised", "best"): (80.0, 0.0, 52.0),
    }
    return ClassScores(classes=CLASSES, lines={line: {"pq": column} for line, column in values.items()})


def planes() -> FeaturePlanes:
    generators = [
        GeneratorOnPlane(
            method=method,
            profile="best",
            seed=0,
            own_nearest=75.0,
            synthetic=Places(x=(0.0, 1.0, 4.0), y=(1.0, 1.0, shift), labels=(0, 0, 1)),
        )
        for method, shift in (("gmmn", 4.0), ("pading", 5.0))
    ]
    classes = (ClassOnPlane(name="star", colour="#aa3300"), ClassOnPlane(name="<ring>", colour="#0033aa"))
    return FeaturePlanes(
        classes=classes, real=Places(x=(0.0, 5.0), y=(0.0, 5.0), labels=(0, 1)), generators=tuple(generators)
    )


def panels() -> Panels:
    picture = io.BytesIO()
    Image.fromarray(np.full((6, 8, 3), 90, np.uint8)).save(picture, format="WEBP")
    present = (
        PicturedClass(name="disc", colour="#00aa00", is_seen=True),
        PicturedClass(name="<star>", colour="#aa0000", is_seen=False),
    )
    image = PicturedImage(image_id=7, cells=(picture.getvalue(),) * 3, classes=present)
    return Panels(headings=("photo", "ground truth", "<pading>"), images=(image,))


def whole_board() -> Board:
    """A board with every part."""
    return Board(
        rows=[*score_rows(), *score_rows("semantic", "miou")],
        split="shapes",
        notes=["Preset `tiny`, by <hand>."],
        curves=(curve("gmmn"), curve("pading", "paper", area=12.0)),
        class_scores=class_scores(),
        comparisons=(comparison("gmmn", "pading", 3.0), comparison("pading", "supervised", 40.0)),
        panels=panels(),
        planes=planes(),
    )
