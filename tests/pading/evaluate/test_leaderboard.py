import copy
import csv
import io
import json
import math
from pathlib import Path

import pytest

from pading.evaluate.board.board import Board
from pading.evaluate.board.page import board_page
from pading.evaluate.leaderboard import LEAKY_NOTE, check_rows, read_leaderboard, tables
from pading.evaluate.leaderboard_pages import csv_table, markdown_page, terminal_table, write_leaderboard


def row(method: str, seed: int = 0, *, task: str = "panoptic", profile: str = "best", **metrics: float) -> dict:
    named = {key.replace("_", "/"): value for key, value in metrics.items()}
    return {"task": task, "method": method, "profile": profile, "seed": seed, "metrics": named}


ROWS = [
    row("gmmn", 0, pq_hm=10.0, pq_seen=40.0),
    row("gmmn", 1, pq_hm=14.0, pq_seen=42.0),
    row("pading", 0, pq_hm=20.0, pq_seen=39.0),
    row("supervised", 0, pq_seen=45.0),
    row("pading", 0, task="semantic", miou_hm=30.0),
]


def test_rows_come_back_from_the_file_as_they_were_written(tmp_path: Path):
    rows = [{**ROWS[0], "intervals": {"pq/hm": [9.0, 11.0]}}, *ROWS[1:]]
    write_leaderboard(tmp_path / "deep", Board(rows=rows))
    assert read_leaderboard(tmp_path / "deep" / "leaderboard.json") == rows
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {
        f"leaderboard.{end}" for end in ("json", "csv", "md", "html")
    }


def test_the_json_is_strict_where_a_metric_is_not_a_number(tmp_path: Path):
    write_leaderboard(tmp_path, Board(rows=[row("pading", pq_hm=math.nan, pq_seen=math.inf)]))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    (read,) = json.loads((tmp_path / "leaderboard.json").read_text(), parse_constant=refuse)
    assert read["metrics"] == {"pq/hm": None, "pq/seen": None}


def test_seeds_are_averaged_with_their_sample_deviation():
    gmmn = next(line for line in tables(ROWS)["panoptic"] if line.method == "gmmn")
    assert gmmn.num_seeds == 2
    assert gmmn.scores["pq/hm"].mean == 12.0
    assert gmmn.scores["pq/hm"].deviation == pytest.approx(math.sqrt(8))


def test_a_seed_without_a_metric_does_not_spoil_the_mean():
    (line,) = tables([row("gmmn", 0, pq_hm=4.0), row("gmmn", 1, pq_hm=math.nan), row("gmmn", 2)])["panoptic"]
    assert (line.scores["pq/hm"].mean, line.scores["pq/hm"].deviation) == (4.0, 0.0)


def test_lines_are_sorted_by_harmonic_mean_and_those_without_come_last():
    for rows in (ROWS, ROWS[::-1]):
        assert [line.method for line in tables(rows)["panoptic"]] == ["pading", "gmmn", "supervised"]


def test_profiles_are_lines_of_their_own():
    lines = tables([row("pading", pq_hm=1.0), row("pading", profile="paper", pq_hm=2.0)])["panoptic"]
    assert [(line.profile, line.num_seeds) for line in lines] == [("paper", 1), ("best", 1)]


def test_the_markdown_shows_only_measured_columns_and_bolds_the_best():
    page = markdown_page(ROWS, ["Made on a laptop."])
    assert "| method | profile | seeds | pq/seen | pq/hm |" in page
    assert "| pading | best | 1 | 39.0 | **20.0** |" in page
    assert "| gmmn | best | 2 | 41.0 ± 1.4 | 12.0 ± 2.8 |" in page
    assert "| supervised | best | 1 | **45.0** | - |" in page
    assert "## semantic\n\n| method | profile | seeds | miou/hm |" in page
    assert page.endswith("Made on a laptop.\n")


def test_each_task_has_a_table_with_its_own_qualities_panoptic_first():
    everything = {"pq_hm": 1.0, "miou_hm": 2.0, "ap50_hm": 3.0}
    rows = [
        row("pading", task="instance", ap50_hm=3.0),
        row("pading", task="weather", pq_hm=4.0),
        row("pading", task="semantic", miou_hm=2.0),
        row("pading", **everything),
    ]
    assert list(tables(rows)) == ["panoptic", "semantic", "instance", "weather"]
    page = markdown_page(rows)
    assert [line for line in page.splitlines() if line.startswith(("## ", "| method"))] == [
        "## panoptic",
        "| method | profile | seeds | pq/hm |",
        "## semantic",
        "| method | profile | seeds | miou/hm |",
        "## instance",
        "| method | profile | seeds | ap50/hm |",
        "## weather",
        "| method | profile | seeds | pq/hm |",
    ]


def test_a_tie_is_best_twice():
    assert markdown_page([row("a", pq_hm=1.0), row("b", pq_hm=1.0)]).count("**1.0**") == 2


def test_the_terminal_table_is_aligned_and_stars_the_best():
    text = terminal_table(ROWS[:3])
    assert text.splitlines() == [
        "panoptic",
        "method  profile  seeds      pq/seen        pq/hm",
        "pading  best         1        39.0         20.0*",
        "gmmn    best         2  41.0 ± 1.4*  12.0 ± 2.8",
    ]


def test_a_pipe_in_a_name_does_not_end_a_cell():
    assert "a\\|b" in markdown_page([row("a|b", pq_hm=2.0)])


def test_an_interval_of_a_line_is_the_mean_of_its_seeds_and_needs_all_of_them():
    bounds = {"pq/hm": [8.0, 12.0]}, {"pq/hm": [10.0, 18.0]}
    rows = [{**one, "intervals": interval} for one, interval in zip(ROWS[:2], bounds, strict=True)]
    (line,) = tables(rows)["panoptic"]
    assert (line.scores["pq/hm"].low, line.scores["pq/hm"].high) == (9.0, 15.0)
    assert line.scores["pq/hm"].has_interval
    assert not line.scores["pq/seen"].has_interval
    for lacking in (ROWS[1], {**ROWS[1], "intervals": {"pq/hm": [None, None]}}):
        (line,) = tables([rows[0], lacking])["panoptic"]
        assert not line.scores["pq/hm"].has_interval


def test_the_csv_has_a_record_a_row_with_every_metric_and_bound():
    rows = [
        {**row("gmmn", pq_hm=10.0, zsi_pq=1.5), "intervals": {"pq/hm": [9.0, 11.0]}, "leaky": True},
        row('pad"ing, too', 1, pq_seen=2.5),
    ]
    text = csv_table(check_rows(rows))
    assert text.splitlines()[0] == "task,method,profile,seed,leaky,pq/seen,pq/hm,zsi/pq,pq/hm/low,pq/hm/high"
    assert list(csv.reader(io.StringIO(text)))[1:] == [
        ["panoptic", "gmmn", "best", "0", "true", "", "10.0", "1.5", "9.0", "11.0"],
        ["panoptic", 'pad"ing, too', "best", "1", "false", "2.5", "", "", "", ""],
    ]


def test_an_empty_leaderboard_is_still_a_page(tmp_path: Path):
    write_leaderboard(tmp_path, Board(rows=[]))
    assert read_leaderboard(tmp_path / "leaderboard.json") == []
    assert terminal_table([]) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "0"}, r"row 1, field 'seed': expected int, found '0'"),
        ({"seed": True}, r"row 1, field 'seed': expected int, found True"),
        ({"task": None}, r"row 1, field 'task': expected str, found None"),
        ({"metrics": {"pq/hm": "high"}}, r"row 1, field 'metrics\.pq/hm': expected a number or null, found 'high'"),
        ({"colour": 1}, r"row 1, field 'colour': not a field; valid: task, method"),
        ({"leaky": "true"}, r"row 1, field 'leaky': expected bool, found 'true'"),
        ({"leaky": 1}, r"row 1, field 'leaky': expected bool, found 1"),
        ({"intervals": []}, r"row 1, field 'intervals': expected dict, found \[\]"),
        ({"intervals": {"pq/hm": [1]}}, r"row 1, field 'intervals\.pq/hm': expected \[low, high\], found \[1\]"),
        ({"intervals": {"pq/hm": [1, "2"]}}, r"row 1, field 'intervals\.pq/hm': expected \[low, high\]"),
        ({"method": "gmmn"}, r"row 1, field 'seed': \('panoptic', 'gmmn', 'best', 0\) occurs twice"),
    ],
)
def test_a_row_that_breaks_the_contract_is_named_by_file_and_field(tmp_path: Path, change: dict, message: str):
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps([ROWS[0], {**ROWS[2], **change}]))
    with pytest.raises(ValueError, match=r"leaderboard\.json, " + message):
        read_leaderboard(path)


def test_a_missing_field_is_named():
    broken = copy.deepcopy(ROWS)
    del broken[2]["profile"]
    with pytest.raises(ValueError, match="row 2, field 'profile': expected str, it is missing"):
        check_rows(broken)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("{}", "expected a list of rows, found dict"),
        ("[1]", "row 0: expected an object, found int"),
    ],
)
def test_a_file_that_is_no_leaderboard_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "leaderboard.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_leaderboard(tmp_path / "leaderboard.json")


LEAKY = [{**ROWS[0], "leaky": True}, {**ROWS[1], "leaky": False}, ROWS[2]]


def test_a_leaky_row_marks_its_line_in_every_form(tmp_path: Path):
    write_leaderboard(tmp_path, Board(rows=LEAKY))
    assert read_leaderboard(tmp_path / "leaderboard.json") == LEAKY
    assert [(line.method, line.is_leaky) for line in tables(LEAKY)["panoptic"]] == [("pading", False), ("gmmn", True)]
    markdown, page = markdown_page(LEAKY), board_page(Board(rows=LEAKY))
    assert "| gmmn † | best | 2 |" in markdown
    assert "| pading | best | 1 |" in markdown
    assert markdown.endswith(f"{LEAKY_NOTE}\n")
    assert page.count("gmmn †</td>") == 1
    assert "pading †" not in page
    assert f"<p class=warning>{LEAKY_NOTE}</p>" in page
    assert [line.split()[:2] for line in terminal_table(LEAKY).splitlines()[2:4]] == [["pading", "best"], ["gmmn", "†"]]
    assert terminal_table(LEAKY).endswith(LEAKY_NOTE)


def test_a_leaderboard_without_leaks_has_no_mark():
    assert "†" not in markdown_page(ROWS) + board_page(Board(rows=ROWS)) + terminal_table(ROWS)


def test_nothing_is_written_when_a_row_is_wrong(tmp_path: Path):
    with pytest.raises(ValueError, match="row 0"):
        write_leaderboard(tmp_path, Board(rows=[{"task": "panoptic"}]))
    assert not list(tmp_path.iterdir())
