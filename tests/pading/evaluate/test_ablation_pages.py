import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pading.classes import ClassTable
from pading.evaluate.ablation import VariantResult, ablation_report, judge
from pading.evaluate.ablation_grids import grids, signed
from pading.evaluate.ablation_pages import PAGES, html_page, markdown_page, terminal_tables, write_ablation
from pading.evaluate.bootstrap import draw_weights
from pading.evaluate.per_image import ImageScores
from pading.zeroshot.ablation import TABLES, ablation_tables, variants_of
from pading.zeroshot.methods import METHODS, MethodConfig

CLASSES = ClassTable(
    name="three", names=("a", "b", "c"), coco_ids=(1, 2, 3), is_thing=(True,) * 3, is_seen=(True, True, False)
)
NUM_IMAGES, NUM_SEEDS = 12, 3
ABOUT = {
    "preset": "<shapes>",
    "profile": "paper",
    "num_images": NUM_IMAGES,
    "num_seen": 2,
    "num_unseen": 1,
    "num_seeds": NUM_SEEDS,
    "num_resamples": 40,
    "segmenter": "random weights",
    "leaky": False,
}


def scores_of(quality: float) -> ImageScores:
    """Every class in every image, matched once with this IoU: PQ is the quality, in any set of images."""
    pairs = np.repeat(np.arange(NUM_IMAGES), 3), np.tile(np.arange(3), NUM_IMAGES)
    return ImageScores(
        task="panoptic",
        num_classes=3,
        image_ids=np.arange(NUM_IMAGES),
        pair_image_ids=pairs[0],
        pair_classes=pairs[1],
        counts=np.tile([1.0, 1.0, quality, 1.0, 1.0], (3 * NUM_IMAGES, 1)),
        detections=None,
    )


@pytest.fixture(scope="module")
def report() -> dict:
    """Variant v with seed s has PQ 20 + 2 v + s in every group; `projection` failed with seed 1, `gmmn` with all."""
    tables = ablation_tables({"paper": MethodConfig()}, "paper")
    weights = draw_weights(NUM_IMAGES, 40, seed=0)
    results: dict = {}
    for number, variant in enumerate(variants_of(tables)):
        failed = {"projection": [1], "gmmn": [0, 1, 2]}.get(variant.method, [])
        scores = {s: scores_of((20 + 2 * number + s) / 100) for s in range(NUM_SEEDS) if s not in failed}
        reasons = {seed: "ValueError: 7 & <8> | heads" for seed in failed}
        results[variant] = judge(scores, reasons, 1.5, CLASSES, weights)
    return ablation_report(tables, results, "panoptic", "three", ABOUT)


def line_of(report: dict, table: str, label: str) -> tuple[dict, dict]:
    (lines,) = [one["lines"] for one in report["tables"] if one["name"] == table]
    (line,) = [one for one in lines if one["label"] == label]
    return line, report["variants"][line["variant"]]


def test_means_deviations_and_comparisons_are_those_of_the_seeds(report: dict):
    line, variant = line_of(report, "rows", "primitive+align")
    assert variant["mean"]["pq/hm"] == pytest.approx(31.0)  # 30, 31, 32
    assert variant["deviation"]["pq/hm"] == pytest.approx(1.0)
    assert variant["intervals"]["hm"] == pytest.approx([31.0, 31.0])
    above, whole = line["comparisons"]
    assert (above["reference"], whole["reference"]) == ("primitive", "pading")
    assert above["hm"]["difference"] == pytest.approx(2.0)
    assert (above["hm"]["probability_better"], above["hm"]["seeds_better"]) == (1.0, 3)
    assert (whole["hm"]["probability_better"], whole["hm"]["num_seeds"]) == (0.0, 3)


def test_a_failed_seed_leaves_the_others_and_a_failed_variant_leaves_its_line(report: dict):
    line, variant = line_of(report, "rows", "projection")
    assert variant["seeds"] == [0, 2]
    assert variant["mean"]["pq/seen"] == pytest.approx(23.0)  # 22, 24
    assert line["comparisons"][0]["hm"]["num_seeds"] == 2
    line, variant = line_of(report, "rows", "gmmn")
    assert (variant["seeds"], variant["mean"], line["comparisons"]) == ([], {}, [])
    assert variant["failures"] == dict.fromkeys(("0", "1", "2"), "ValueError: 7 & <8> | heads")
    assert [one["reference"] for one in line_of(report, "rows", "primitive")[0]["comparisons"]] == ["pading"]


def test_a_variant_of_several_tables_is_one_entry(report: dict):
    whole = line_of(report, "rows", "pading")[0]["variant"]
    assert line_of(report, "profiles", "paper")[0]["variant"] == whole
    assert line_of(report, "primitives", "400")[0]["variant"] == whole
    assert len(report["variants"]) == len({line["variant"] for table in report["tables"] for line in table["lines"]})


def test_table_1_has_its_columns_in_the_papers_order_and_the_published_ones_apart(report: dict):
    table = report["tables"][0]
    scores, _, published = grids(report, table)
    assert scores.spans == (("", 1), ("seen", 3), ("unseen", 3), ("harmonic mean", 3), ("published, COCO", 3))
    assert scores.columns[1:10] == ("PQ", "SQ", "RQ") * 3
    assert [row[0].text.split(" ")[0] for row in scores.rows] == list(METHODS)
    pading = scores.rows[-1]
    assert [cell.text for cell in pading[-3:]] == ["41.5", "15.3", "22.3"]
    assert {cell.kind for cell in pading[-3:]} == {"published"}
    assert [row[1].kind for row in scores.rows].count("best") == 1
    assert published.spans[0][0] == "published, COCO"
    assert all(cell.kind == "published" for row in published.rows for cell in row)


def test_tab_3_has_a_column_for_each_number_of_primitives(report: dict):
    (table,) = [one for one in report["tables"] if one["name"] == "primitives"]
    (grid,) = grids(report, table)
    assert grid.columns == ("primitives", "100", "200", "300", "400 (default)", "500", "600", "700", "800")
    assert [row[0].text for row in grid.rows[:3]] == ["PQ seen", "PQ unseen", "PQ harmonic mean"]
    assert grid.rows[3][4].text == "-"  # the default is not compared with itself


class Checker(HTMLParser):
    """Collects what a page would fetch or run, and whether its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.foreign += [
            str(value) for name, value in attrs if name in ("src", "href") and not f"{value}".startswith("data:")
        ]
        self.foreign += [tag] if tag in ("script", "link", "iframe") else []
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_nothing_of_the_network(report: dict):
    page = html_page(report)
    checker = Checker()
    checker.feed(page)
    assert (checker.open, checker.foreign) == ([], [])
    assert page.count("<svg") == 2 + 3 * 3  # steps and whole of the rows; three panels of three curves
    assert not re.search(r"\b(nan|inf|None)\b", page)
    assert "prefers-color-scheme: dark" in page
    assert "&lt;shapes&gt;" in page
    assert "<shapes>" not in page


def test_every_page_says_what_failed_and_what_was_published(report: dict):
    for page in (markdown_page(report), html_page(report)):
        assert "gmmn, seed 2: ValueError: 7 &" in page
        assert "published, COCO" in page
        assert "projection (2 of 3 seeds)" in page
        assert "from 100 to 400 primitives" in page
    assert "failed" in terminal_tables(report)


def test_markdown_tables_have_as_many_cells_in_every_row(report: dict):
    blocks = re.findall(r"(?:^\|.*\n)+", markdown_page(report), re.MULTILINE)
    assert len(blocks) == 3 + 2 + 3
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1


def test_the_terminal_shows_each_table_with_differences(report: dict):
    text = terminal_tables(report)
    assert [line.split(":")[0] for line in text.splitlines() if line and not line.startswith(" ")] == list(TABLES)
    (line,) = [line for line in text.splitlines() if line.strip().startswith("primitive+align")]
    assert "31.0 ± 1.0" in line
    assert "−2.0 [−2.0, −2.0] against pading" in line


def test_the_files_are_written_and_the_json_is_strict(report: dict, tmp_path: Path):
    write_ablation(tmp_path / "ablation", report)
    assert {path.name for path in (tmp_path / "ablation").iterdir()} == set(PAGES)
    text = (tmp_path / "ablation" / "ablation.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == json.loads(json.dumps(report))


def test_a_leaky_start_is_said(report: dict):
    assert "not a zero-shot result" not in markdown_page(report)
    leaky = {**copy.deepcopy(report), "leaky": True}
    assert "not a zero-shot result" in markdown_page(leaky)
    assert "not a zero-shot result" in html_page(leaky)


def test_an_ablation_of_which_everything_failed_still_makes_pages():
    tables = ablation_tables({"paper": MethodConfig()}, "paper")
    nothing = {variant: VariantResult(scores=None, failures={0: "no"}) for variant in variants_of(tables)}
    report = ablation_report(tables, nothing, "panoptic", "three", ABOUT)
    checker = Checker()
    checker.feed(html_page(report))
    assert checker.open == []
    assert markdown_page(report).count("failed") >= len(METHODS)


@pytest.mark.parametrize(
    ("value", "text"), [(1.26, "+1.3"), (-0.26, "−0.3"), (0.04, "0.0"), (-0.04, "0.0"), (0, "0.0")]
)
def test_a_difference_has_a_sign_unless_it_rounds_to_nothing(value: float, text: str):
    assert signed(value) == text
