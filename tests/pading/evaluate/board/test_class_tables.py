import re

from pading.evaluate.board.class_tables import class_values, compared_bars, every_class, shown_order
from pading.evaluate.board.findings import ClassName
from pading.evaluate.board.marks import Marks
from pading.evaluate.leaderboard import tables
from tests.boards import CLASSES, class_scores, score_rows

LINES = tables(score_rows())["panoptic"]
MARKS = Marks.of((line.method, line.profile) for line in LINES)
VALUES = class_values(class_scores(), "panoptic", "pq", LINES)


def rows_of(table: str) -> list[str]:
    return re.findall(r"<tr[^>]*>.*?</tr>", table.split("<tbody>")[1])


def test_lines_that_were_not_measured_have_no_values():
    assert list(VALUES) == ["gmmn (best)", "pading (best)", "supervised (best)"]
    assert class_values(class_scores(), "semantic", "pq", LINES) == {}
    assert class_values(class_scores(), "panoptic", "sq", LINES) == {}


def test_unseen_classes_come_first_then_the_best_and_classes_without_any_value_are_left_out():
    classes = (*CLASSES, ClassName(name="ghost", is_seen=False, is_thing=True))
    values = {"a": (10.0, 5.0, 50.0, None), "b": (None, 9.0, None, None)}
    assert shown_order(classes, values) == [1, 2, 0]
    assert shown_order(CLASSES, {"a": (None, 5.0, 1.0), "b": (9.0, 9.0, None)}) == [1, 2, 0]


def test_bars_are_as_long_as_values_and_differences_are_first_minus_second():
    unseen, disc, sea = rows_of(compared_bars("panoptic", CLASSES, VALUES))
    assert "class=unseen" in unseen
    assert "star &lt;/script&gt; &lt;b&gt;&#x27;&quot;&amp; *" in unseen
    assert re.findall(r"width:([\d.]+)%", unseen) == ["40.0", "45.0"]
    assert unseen.endswith("\N{MINUS SIGN}5.0</td></tr>")
    assert disc.endswith("+10.0</td></tr>")
    assert sea.endswith("<td class=bar data-value=''>–</td><td class=difference data-value=''>–</td></tr>")


def test_a_single_line_is_compared_with_itself():
    table = compared_bars("panoptic", CLASSES, {"gmmn (best)": VALUES["gmmn (best)"]})
    assert 'data-first="gmmn (best)" data-second="gmmn (best)"' in table


def test_the_whole_table_has_a_column_a_line_and_shades_by_value():
    table = every_class(CLASSES, VALUES, LINES, MARKS)
    assert re.findall(r'data-line="([^"]+)"', table) == list(VALUES)
    first = rows_of(table)[0]
    assert re.findall(r"--share:(\d+)%", first) == ["40", "45", "0"]
