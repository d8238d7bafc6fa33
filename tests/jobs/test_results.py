"""Result files of a finished run, judged by our counting, by the official tools, and by the leaderboard."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.judged import ResultFilesGiven, find_judged
from jobs.official import comparison_lines, largest_difference
from jobs.score import score_files


@pytest.fixture(scope="module")
def results(smoke_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    assert main(["results", str(smoke_run), "--method", "projection", "--out", str(out)]) == 0
    return out


def leaderboard(smoke_run: Path, task: str) -> dict[str, float]:
    rows = json.loads((smoke_run / "leaderboard.json").read_text())
    (row,) = (r for r in rows if (r["task"], r["method"], r["seed"]) == (task, "projection", 0))
    return row["metrics"]


@pytest.mark.parametrize("task", ["panoptic", "semantic", "instance"])
def test_the_files_score_as_the_leaderboard_says(task: str, smoke_run: Path, results: Path) -> None:
    listed = leaderboard(smoke_run, task)
    for judged in find_judged(ResultFilesGiven(results=results, task=task)):
        found = score_files(judged)
        shared = found.keys() & listed.keys()
        assert {"pq/seen", "miou/seen", "ap50/seen", "box_ap50/seen"} & shared
        for name in shared:
            assert found[name] == pytest.approx(listed[name], abs=1e-9, nan_ok=True), name
        assert judged.leaderboard == listed


@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_the_official_tools_agree(task: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["official", str(results), "--task", task]) == 0
    out = capsys.readouterr().out
    assert "largest difference" in out
    assert "nothing official" not in out


def test_without_the_official_panoptic_tool_the_command_says_how_to_get_it(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        import panopticapi  # noqa: F401
    except ModuleNotFoundError:
        assert main(["official", str(results), "--task", "panoptic"]) == 1
        captured = capsys.readouterr()
        assert "pip install 'pading[official]'" in captured.err
        assert "pq/unseen" in captured.out
    else:
        assert main(["official", str(results), "--task", "panoptic"]) == 0


def test_the_truth_beside_the_results_is_that_of_the_data(smoke_run: Path, results: Path) -> None:
    own = json.loads((smoke_run / "shapes" / "annotations" / "panoptic_val2017.json").read_text())
    written = json.loads((results / "truth" / "panoptic.json").read_text())
    assert [i["id"] for i in written["images"]] == [i["id"] for i in own["images"]]
    assert [i["file_name"] for i in written["images"]] == [i["file_name"] for i in own["images"]]
    for mine, theirs in zip(written["annotations"], own["annotations"], strict=True):
        assert mine["file_name"] == theirs["file_name"]
        fields = ("id", "category_id", "iscrowd", "area")
        assert [[s[f] for f in fields] for s in mine["segments_info"]] == [
            [s[f] for f in fields] for s in theirs["segments_info"]
        ]
    annotations = smoke_run / "shapes" / "annotations"
    for first, second in (
        (results / "truth" / "panoptic", annotations / "panoptic_val2017"),
        (results / "truth" / "semantic", smoke_run / "shapes" / "stuffthingmaps_trainval2017" / "val2017"),
    ):
        names = sorted(path.name for path in second.iterdir())
        assert sorted(path.name for path in first.iterdir()) == names
        for name in names:
            np.testing.assert_array_equal(np.asarray(Image.open(first / name)), np.asarray(Image.open(second / name)))


@pytest.mark.parametrize(
    ("task", "file", "truth"),
    [
        ("panoptic", "panoptic.json", "annotations/panoptic_val2017.json"),
        ("instance", "instances.json", "annotations/instances_val2017.json"),
        ("semantic", "semantic", "stuffthingmaps_trainval2017/val2017"),
    ],
)
def test_single_files_score_against_the_data_of_the_user(
    task: str, file: str, truth: str, smoke_run: Path, results: Path, tmp_path: Path
) -> None:
    """The instances of the shapes world do not overlap, so that its own file is the truth of the panoptic one."""
    arguments = ["--truth", str(smoke_run / "shapes" / truth), "--split", "shapes-panoptic", "--task", task]
    numbers = tmp_path / "numbers.json"
    assert main(["score", str(results / file), *arguments, "--json", str(numbers)]) == 0
    (found,) = json.loads(numbers.read_text()).values()
    listed = leaderboard(smoke_run, task)
    for name in found.keys() & listed.keys():
        assert found[name] == pytest.approx(listed[name], abs=1e-9), name


def test_results_of_predict_can_be_scored(smoke_run: Path, results: Path, tmp_path: Path) -> None:
    """Online and cached predictions give the same files, but for batches and half precision of nothing else."""
    photos, out = smoke_run / "shapes" / "val2017", tmp_path / "out"
    arguments = ["--method", "projection", "--out", str(out), "--outputs", "semantic"]
    assert main(["predict", str(photos), "--model", str(smoke_run), *arguments]) == 0
    truth = smoke_run / "shapes" / "stuffthingmaps_trainval2017" / "val2017"
    given = ResultFilesGiven(results=out, truth=truth, split="shapes-panoptic", task="semantic", coding="coco-id")
    (judged,) = find_judged(given)
    assert score_files(judged)["miou/all"] == pytest.approx(
        score_files(find_judged(ResultFilesGiven(results=results, task="semantic"))[0])["miou/all"], abs=0.1
    )


def test_a_difference_fails_the_command(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = shutil.copytree(results, tmp_path / "out")
    path = copied / "results.json"
    described = json.loads(path.read_text())
    described["leaderboard"]["semantic"]["miou/seen"] += 0.01
    path.write_text(json.dumps(described))
    assert main(["official", str(copied), "--task", "semantic"]) == 1
    assert "semantic: numbers differ by up to 0.01 percent" in capsys.readouterr().err


def test_distances_count_what_only_one_side_has() -> None:
    ours = {"pq/seen": 50.0, "pq/unseen": float("nan")}
    assert largest_difference(ours, ours, {"pq/seen": 50.0, "pq/unseen": None}) == 0
    assert largest_difference({"pq/seen": float("nan")}, ours, {}) == float("inf")
    assert largest_difference({}, ours, {"pq/seen": 50.5, "other": 3.0}) == 0.5
    assert comparison_lines({}, ours, {})[1].split() == ["pq/seen", "50.0000"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results", "{run}", "--task", "depth"], None),
        (["results", "{run}", "--out", "{results}"], "is there already; give another --out"),
        (["results", "{run}", "--method", "none", "--out", "{tmp}/o"], "no 'none' with seed 0 was fitted"),
        (["results", "{tmp}", "--out", "{tmp}/o"], "give the --run-dir of a finished run"),
        (["score", "{tmp}/none.json"], "give --truth and --split for other files"),
        (["score", "{results}", "--split", "shapes-panoptic"], "has its own truth and classes"),
        (
            ["score", "{results}/none.json", "--truth", "{results}/truth/panoptic.json", "--split", "shapes-panoptic"],
            "none.json: no such file",
        ),
        (["score", "{results}", "--truth", "{results}", "--split", "moon"], "has its own truth and classes"),
    ],
)
def test_a_wrong_command_is_one_clear_line(
    arguments: list[str],
    message: str | None,
    smoke_run: Path,
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    formatted = [argument.format(run=smoke_run, results=results, tmp=tmp_path) for argument in arguments]
    if message is None:
        with pytest.raises(SystemExit):
            main(formatted)
        return
    assert main(formatted) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert message in stderr
