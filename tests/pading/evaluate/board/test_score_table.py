import math
import re

from pading.evaluate.board.marks import Marks
from pading.evaluate.board.score_table import number_cell, published_table, score_table, views_table
from pading.evaluate.leaderboard import check_rows, tables
from pading.evaluate.published import published_beside
from tests.boards import score_rows

ROWS = score_rows()
LINES = tables(ROWS)["panoptic"]
MARKS = Marks.of((line.method, line.profile) for line in LINES)


def heads(table: str) -> list[str]:
    return re.findall(r"<th[^>]*>([^<]*)</th>", table)


def test_columns_stand_under_the_quality_that_they_are_of():
    table = score_table("panoptic", LINES, MARKS)
    assert heads(table) == ["method", "profile", "seeds", "PQ", "seen", "unseen", "HM", "AUSUC"]
    assert "<th colspan=4 scope=colgroup class=span>PQ</th>" in table
    assert 'data-column=5 data-kind=number aria-label="pq hm"' in table


def test_a_row_names_its_line_and_a_seed_alone_has_no_deviation():
    first, *_, last = re.findall(r"<tr data-line.*?</tr>", score_table("panoptic", LINES, MARKS))
    assert 'data-line="gmmn (best)"' in first
    assert "±" in first
    assert last.count("±") == 0
    assert "<td data-value=1>1</td>" in last


def test_other_protocols_have_a_table_where_they_were_measured():
    assert views_table("panoptic", "pq", LINES, MARKS) == ""
    views = {"zsi/pq/unseen": 55.5, "zero/pq/seen": 50.0, "zero/pq/hm": None, "zsi/sq/unseen": 1.0}
    rows = check_rows([{**ROWS[0], "metrics": {**ROWS[0]["metrics"], **views}}, *ROWS[1:]])
    table = views_table("panoptic", "pq", tables(rows)["panoptic"], MARKS)
    assert heads(table) == [
        "method",
        "profile",
        "seeds",
        "unseen classes alone",
        "absent classes as 0",
        "unseen",
        "seen",
    ]
    assert "<td class=best data-value='55.5'>55.5" in table
    assert table.count("data-value=''>–</td>") == 2 * (len(LINES) - 1)
    assert "other" not in score_table("panoptic", tables(rows)["panoptic"], MARKS)


def test_published_figures_have_their_source():
    table = published_table(published_beside("semantic", "shapes"), "miou")
    assert "<tr><td>CaGNet</td><td class=name>PADing, Tab. 4</td><td data-value='33.5'>33.5</td>" in table
    assert published_table([], "miou") == ""


def test_no_value_is_a_dash_that_sorts_last():
    assert number_cell(None) == number_cell(math.nan) == "<td data-value=''>–</td>"
