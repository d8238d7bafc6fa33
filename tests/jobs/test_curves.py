"""The verb `curves`: which constants it varies, that its curves cross at the leaderboard's numbers, what it refuses."""

import json
import shutil
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.curves import cross_of, described
from jobs.rows import RECIPES
from pading.evaluate.grid import PENALTIES, WEIGHTS, GridPoint
from pading.evaluate.grid_pages import Curves
from pading.zeroshot.zegformer import ZegformerConfig

GIVEN = ZegformerConfig(weight=0.7, seen_penalty=0.25)


@pytest.fixture
def copied_run(smoke_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return shutil.copytree(smoke_run, tmp_path / "copy", ignore=shutil.ignore_patterns("work"))


def test_each_constant_that_a_row_reads_is_varied_with_the_other_as_given() -> None:
    cross = cross_of(RECIPES["zegformer"], GIVEN)
    assert {penalty for weight, penalty in cross if weight != 0.7} == {0.25}
    assert {weight for weight, _ in cross} == {*WEIGHTS, 0.7}
    assert {penalty for weight, penalty in cross if weight == 0.7} == {*PENALTIES, 0.25}
    assert len(cross) == len(set(cross)) == len(WEIGHTS) + len(PENALTIES) + 1


@pytest.mark.parametrize("row", ["zegformer-seg", "zegformer-img"])
def test_a_row_of_one_branch_has_no_lambda(row: str) -> None:
    assert cross_of(RECIPES[row], GIVEN) == [(0.7, penalty) for penalty in sorted({*PENALTIES, 0.25})]


def test_a_row_without_penalty_has_no_gamma_and_others_have_neither() -> None:
    assert cross_of(RECIPES["pading+img"], GIVEN) == [(weight, 0.0) for weight in sorted({*WEIGHTS, 0.7})]
    assert cross_of(RECIPES["pading"], GIVEN) == []
    assert cross_of(RECIPES["zegformer+cal"], GIVEN) == []


def test_a_group_without_a_class_in_the_images_is_null_in_the_file() -> None:
    point = GridPoint(weight=0.5, seen_penalty=0.0, seen=50.0, unseen=float("nan"), hm=float("nan"))
    row = ("zegformer", "best")
    (found,) = described(Curves(title="", note="", grids={row: [point]}, crossings={row: point}), "panoptic", 3)["rows"]
    assert found["points"] == [{"weight": 0.5, "seen_penalty": 0.0, "seen": 50.0, "unseen": None, "hm": None}]


def test_curves_cross_at_the_numbers_of_the_leaderboard(copied_run: Path) -> None:
    assert main(["curves", "smoke", "--run-dir", str(copied_run), "--tasks", "panoptic", "semantic"]) == 0
    rows = json.loads((copied_run / "evaluation" / "rows.json").read_text())
    for task, quality in (("panoptic", "pq"), ("semantic", "miou")):
        found = json.loads((copied_run / "curves" / f"{task}.json").read_text())
        assert {row["method"] for row in found["rows"]} == {
            "zegformer-seg", "zegformer-img", "zegformer", "zegformer-pooled", "pading+img"
        }  # fmt: skip
        for row in found["rows"]:
            (evaluated,) = [one for one in rows if (one["task"], one["method"]) == (task, row["method"])]
            for side in ("seen", "unseen", "hm"):
                value = evaluated["metrics"][f"{quality}/{side}"]
                assert row["at"][side] == (None if value is None else pytest.approx(value, abs=1e-9))
        assert f"zegformer ({found['rows'][0]['profile']})" in (copied_run / "curves" / f"{task}.md").read_text()
        assert (copied_run / "curves" / f"{task}.html").read_text().count("<svg") == 3 * (1 + 1 + 2 + 2 + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "0"], "--images is 0: look at one image at least"),
        (["--tasks", "panoptic", "panoptic"], "name each once"),
    ],
    ids=["no image", "a task twice"],
)
def test_a_wrong_question_is_one_clear_line(
    smoke_run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["curves", "smoke", "--run-dir", str(smoke_run), *arguments]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_a_run_without_such_rows_is_told_what_to_name(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = copied_run / "classifiers" / "classifiers.json"
    content = json.loads(index.read_text())
    content["rows"] = [row for row in content["rows"] if row["method"] == "pading"]
    index.write_text(json.dumps(content))
    assert main(["curves", "smoke", "--run-dir", str(copied_run)]) == 1
    assert "name zegformer-seg in --fit.methods" in capsys.readouterr().err
