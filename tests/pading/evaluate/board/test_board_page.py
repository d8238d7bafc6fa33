"""The page in a real browser: it sorts, filters, compares, asks nobody for anything and is whole without its script."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from pading.evaluate.board.board import Board
from pading.evaluate.board.page import board_page
from tests.boards import score_rows, whole_board
from tests.browser import CHROMIUM, Browser, chromium

PAGE = board_page(whole_board())
ROWS = "table.scores[data-task=panoptic] tbody tr"
METHODS = (
    f"[...document.querySelectorAll('{ROWS}')].map(row => row.cells[0].textContent + ' ' + row.cells[1].textContent)"
)
VISIBLE = f"[...document.querySelectorAll('{ROWS}')].filter(row => row.checkVisibility()).map(row => row.dataset.line)"
BARS = """[...document.querySelectorAll('table.compared tbody tr')].map(row =>
    [row.dataset.class, row.cells[1].textContent, row.cells[2].textContent, row.cells[3].textContent])"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Path]]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: install Debian's package `chromium` to run this test")
    folder = tmp_path_factory.mktemp("page")
    page = folder / "leaderboard.html"
    page.write_text(PAGE, encoding="utf-8")
    with chromium(folder / "profile") as browser:
        yield browser, page


@pytest.fixture
def browser(started: tuple[Browser, Path]) -> Browser:
    """A browser with the page open."""
    found, page = started
    found.open(page)
    return found


def head(column: int) -> str:
    return f"document.querySelector('table.scores[data-task=panoptic] th[data-column=\"{column}\"]')"


def choose(select: str, value: str) -> str:
    return f"(() => {{ const s = {select}; s.value = {json.dumps(value)}; s.dispatchEvent(new Event('input')); }})()"


def test_the_page_complains_of_nothing_and_no_request_leaves_it(
    browser: Browser, started: tuple[Browser, Path]
) -> None:
    assert browser.complaints() == []
    assert browser.requested() == [started[1].resolve().as_uri()]
    assert browser.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_a_click_sorts_a_column_and_a_second_one_turns_it_round(browser: Browser) -> None:
    assert browser.evaluate(METHODS) == ["gmmn best", "pading best", "pading paper", "supervised best"]
    browser.evaluate(f"{head(3)}.querySelector('button').click()")
    assert browser.evaluate(METHODS) == ["supervised best", "gmmn best", "pading best", "pading paper"]
    assert browser.evaluate(f"{head(3)}.getAttribute('aria-sort')") == "descending"
    browser.evaluate(f"{head(3)}.querySelector('button').click()")
    assert browser.evaluate(METHODS) == ["pading paper", "pading best", "gmmn best", "supervised best"]
    assert browser.evaluate(f"{head(3)}.getAttribute('aria-sort')") == "ascending"
    browser.evaluate(f"{head(0)}.querySelector('button').click()")
    assert browser.evaluate(METHODS)[0] == "gmmn best"
    assert browser.evaluate(f"[{head(0)}, {head(3)}].map(h => h.getAttribute('aria-sort'))") == ["ascending", "none"]


def test_the_keyboard_sorts_too(browser: Browser) -> None:
    browser.evaluate(f"{head(4)}.querySelector('button').focus()")
    browser.press("Enter")
    assert browser.evaluate(f"{head(4)}.getAttribute('aria-sort')") == "descending"
    browser.press("Enter")
    assert browser.evaluate(METHODS)[0] == "supervised best"


def test_a_text_hides_rows_and_dims_what_is_drawn_of_them(browser: Browser) -> None:
    search = "document.querySelector('#filters input')"
    browser.evaluate(choose(search, "PAD"))
    assert browser.evaluate(VISIBLE) == ["pading (best)", "pading (paper)"]
    assert browser.evaluate("document.querySelector('#filters output').textContent") == "4 of 8 rows"
    dimmed = "[...new Set([...document.querySelectorAll('svg .off')].map(part => part.dataset.line))].sort()"
    assert browser.evaluate(dimmed) == ["gmmn (best)", "supervised (best)"]
    assert browser.evaluate("document.querySelectorAll('svg [data-line^=pading].off').length") == 0
    browser.evaluate(choose(search, ""))
    assert len(browser.evaluate(VISIBLE)) == 4
    assert browser.evaluate("document.querySelectorAll('svg .off').length") == 0


def test_method_and_profile_can_be_chosen_and_comparisons_follow(browser: Browser) -> None:
    browser.evaluate(choose("document.querySelector('select[aria-label=profile]')", "paper"))
    assert browser.evaluate(VISIBLE) == ["pading (paper)"]
    browser.evaluate(choose("document.querySelector('select[aria-label=profile]')", ""))
    browser.evaluate(choose("document.querySelector('select[aria-label=method]')", "supervised"))
    assert browser.evaluate(VISIBLE) == ["supervised (best)"]
    shown = (
        "[...document.querySelectorAll('.forest tbody tr')].filter(row => !row.hidden).map(row => row.dataset.lines)"
    )
    assert browser.evaluate(shown) == ["pading (best)\nsupervised (best)"]


def test_two_lines_of_the_readers_choice_are_compared_class_by_class(browser: Browser) -> None:
    assert browser.evaluate(BARS)[0] == ["1", "40.0", "45.0", "\N{MINUS SIGN}5.0"]
    browser.evaluate(choose("document.querySelectorAll('.choose select')[1]", "supervised (best)"))
    assert browser.evaluate(BARS) == [
        ["1", "40.0", "0.0", "+40.0"],
        ["0", "70.0", "80.0", "\N{MINUS SIGN}10.0"],
        ["2", "50.0", "52.0", "\N{MINUS SIGN}2.0"],
    ]
    heads = "[...document.querySelectorAll('table.compared th')].map(head => head.textContent)"
    assert browser.evaluate(heads) == ["class", "gmmn (best)", "supervised (best)", "difference"]
    browser.evaluate(choose("document.querySelectorAll('.choose select')[1]", "pading (best)"))
    assert browser.evaluate(BARS)[1:] == [["0", "70.0", "60.0", "+10.0"], ["2", "50.0", "–", "–"]]


def test_pointing_at_a_row_lights_its_line_everywhere(browser: Browser) -> None:
    row = "document.querySelector('tr[data-line=\"pading (best)\"]')"
    browser.evaluate(f"{row}.dispatchEvent(new MouseEvent('mouseover', {{bubbles: true}}))")
    lit = "[...document.querySelectorAll('svg .on')].map(part => part.dataset.line)"
    assert set(browser.evaluate(lit)) == {"pading (best)"}
    assert browser.evaluate("document.body.classList.contains('lit')")


@pytest.mark.parametrize("width", [420, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window_and_follows_the_readers_colours(
    started: tuple[Browser, Path], width: int, scheme: str
) -> None:
    browser, page = started
    browser.open(page, width, scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 26)"}[scheme]


def test_without_its_script_the_page_is_whole(started: tuple[Browser, Path]) -> None:
    browser, page = started
    browser.open(page, scripts=False)
    browser.call(
        "Emulation.setScriptExecutionDisabled", value=False
    )  # to look at it; the page's own has had its chance
    assert browser.evaluate(METHODS) == ["gmmn best", "pading best", "pading paper", "supervised best"]
    assert browser.evaluate(BARS)[0] == ["1", "40.0", "45.0", "\N{MINUS SIGN}5.0"]
    assert browser.evaluate("document.querySelectorAll('button, input, select').length") == 0
    assert browser.complaints() == []


def test_another_script_than_its_own_may_not_run(browser: Browser) -> None:
    made = "Object.assign(document.createElement('script'), {textContent: 'window.x = 1'})"
    browser.evaluate(f"document.body.append({made})")
    assert browser.evaluate("typeof window.x") == "undefined"


def test_what_was_not_measured_is_left_out_and_said() -> None:
    page = board_page(Board(rows=score_rows()))
    for title in ("Is A better than B", "Class by class", "What a penalty", "<h2>Pictures", "<h2>Features"):
        assert title in PAGE
        assert title not in page
    missing = "scores class by class, trade-off curves, paired comparisons, pictures, features of generators"
    assert f"Not measured in this run: {missing}. Score again with `--from evaluate --force`" in page
    assert "Not measured" not in PAGE


def test_names_from_files_cannot_become_markup() -> None:
    evil = "</script><script>alert(1)</script>\"'<b>&"
    rows = [{**row, "method": evil} for row in score_rows()[2:3]]
    page = board_page(replace(whole_board(), rows=rows, split=evil, notes=[evil]))
    assert page.count("<script") == page.count("</script>") == 2
    assert evil not in page
    assert html.escape(evil) in page
    assert not re.search(r"<b>(?!\d|In|Seen|Read|Mind|&lt;star&gt; \*)", page.split("<h3>Class by class")[0])


def test_the_data_of_the_page_is_its_rows() -> None:
    block = re.search(r"<script type=application/json id=board-data>(.*?)</script>", PAGE)
    assert block is not None
    data = json.loads(block[1])
    assert data["rows"] == list(whole_board().rows)
    assert data["classes"]["panoptic"]["pading (best)"] == [60.0, 45.0, None]


def test_best_values_stand_out_and_intervals_are_printed() -> None:
    assert (
        "<td class=best data-value='48.15'>48.1 <small>± 1.2</small><small class=interval>[46.1, 50.1]</small>" in PAGE
    )
    assert PAGE.count("<figure") >= 2 * 2 + 3 + 2


def test_an_empty_board_is_still_a_page() -> None:
    assert "How to read this" in board_page(Board(rows=[]))
    assert {field.name for field in fields(Board)} >= {"rows", "notes"}
