"""The pages of a sweep: every trial is on them, in a browser they sort, and without their script they are whole."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pading.data.errors import DataError
from pading.evaluate.sweeps.files import write_sweep_pages
from pading.evaluate.sweeps.markdown import markdown_page
from pading.evaluate.sweeps.page import html_page
from pading.evaluate.sweeps.panels import cost_chart, search_chart
from pading.evaluate.sweeps.parallel import parallel_coordinates
from pading.evaluate.sweeps.report import plain_diagnosis, read_report, sweep_report
from pading.evaluate.sweeps.versus import FRESH, IMAGES, SEARCHED, candidate, comparisons, verdict
from tests.boards import svg_tree
from tests.browser import CHROMIUM, Browser, chromium
from tests.sweeps import DEFAULT, OBJECTIVE, comparison, diagnosis, report, trial, trials

SVG = "{http://www.w3.org/2000/svg}"


def read(**fields):
    return sweep_report(Path("sweep.json"), report(**fields))


PAGE = html_page(read())


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Path]]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: install Debian's package `chromium` to run this test")
    folder = tmp_path_factory.mktemp("page")
    (folder / "sweep.html").write_text(PAGE, encoding="utf-8")
    with chromium(folder / "profile") as found:
        yield found, folder / "sweep.html"


def test_a_browser_complains_of_nothing_and_asks_nobody(browser: tuple[Browser, Path]) -> None:
    tab, page = browser
    tab.open(page)
    assert tab.complaints() == []
    assert tab.requested() == [page.resolve().as_uri()]


def test_a_click_sorts_trials_and_those_without_a_value_stay_last(browser: tuple[Browser, Path]) -> None:
    tab, page = browser
    tab.open(page)
    tau = "[...document.querySelectorAll('tr[data-line]')].map(row => row.cells[3].textContent)"
    score = "[...document.querySelectorAll('tr[data-line]')].map(row => row.cells[4].dataset.value)"
    button = "document.querySelector('table.sortable th[data-column=\"{}\"] button').click()"
    tab.evaluate(button.format(3))
    assert [float(value) for value in tab.evaluate(tau)] == sorted(
        (float(value) for value in tab.evaluate(tau)), reverse=True
    )
    for _ in range(2):
        tab.evaluate(button.format(4))
        values = tab.evaluate(score)
        assert values[-1] == ""
        assert "" not in values[:-1]


def test_a_trial_is_lit_wherever_it_is_drawn(browser: tuple[Browser, Path]) -> None:
    tab, page = browser
    tab.open(page)
    tab.evaluate(
        "document.querySelector('tr[data-line=\"2\"]').dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))"
    )
    lit = tab.evaluate("[...document.querySelectorAll('.on')].map(part => part.tagName + part.dataset.line)")
    assert set(lit) == {"TR2", "path2", "circle2", "rect2"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_scripts_everything_can_be_read(browser: tuple[Browser, Path], scheme: str) -> None:
    tab, page = browser
    tab.open(page, scheme=scheme, scripts=False)
    assert tab.complaints() == []
    assert tab.call("Page.getLayoutMetrics")["cssContentSize"]["width"] <= 1280


def test_every_trial_is_a_line_of_the_chart_and_a_row_of_the_table():
    tree = svg_tree(parallel_coordinates(read().trials))
    lines = [part for part in tree.iter() if "trial" in part.get("class", "").split()]
    assert len(lines) == 12
    assert sorted(int(line.get("data-line")) for line in lines) == list(range(1, 13))
    assert [line.get("class") for line in lines if "chosen" in line.get("class")] == ["trial chosen"]
    assert lines[-1].get("data-line") == "1"  # the best on top
    assert PAGE.count("<tr class=whole data-line=") == 9
    assert PAGE.count("<tr class=chosen data-line=") == 1


def test_a_trial_without_a_whole_score_ends_before_the_last_axis():
    tree = svg_tree(parallel_coordinates(read().trials))
    corners = {part.get("class"): part.get("d").count("C") for part in tree.iter() if part.get("data-line")}
    assert corners["trial chosen"] == 2  # tau, primitives, score
    assert corners["trial failed"] == corners["trial stopped"] == 1


def test_the_best_so_far_never_falls_and_ends_at_the_best():
    tree = svg_tree(search_chart(read().trials))
    steps = [
        point.split(",") for point in next(p for p in tree.iter() if p.get("class") == "best").get("points").split()
    ]
    heights = [float(y) for _, y in steps]
    assert heights == sorted(heights, reverse=True)
    chosen = next(part for part in tree.iter() if part.get("class") == "dot chosen")
    assert heights[-1] == pytest.approx(float(chosen.get("cy")))


def test_an_unknown_order_is_said_and_costs_stand_by_rank():
    records = [{name: value for name, value in one.items() if name != "number"} for one in trials()]
    page = html_page(read(trials=records))
    assert "The order of these trials was not recorded" in page
    assert "Seconds of each trial, by rank" in page
    assert cost_chart(read(trials=[one | {"seconds": None} for one in records]).trials) == ""


def test_failed_trials_are_said_with_the_last_line_of_their_error():
    assert "ValueError: loss is &lt;nan&gt; | no number" in PAGE
    assert "<nan>" not in PAGE
    text = markdown_page(read())
    assert "ValueError: loss is &lt;nan> \\| no number" in text
    assert "1 stopped early, 1 failed" in text


def test_what_others_wrote_is_never_markup():
    nasty = "<script>alert(1)</script>'\""
    records = [one | {"settings": one["settings"] | {nasty: nasty}} for one in trials()]
    page = html_page(read(trials=records, best=records[9], facts={nasty: nasty}))
    assert "<script>alert" not in page
    assert html.escape(nasty, quote=False) in page or html.escape(nasty) in page


def test_markdown_has_the_same_tables():
    text = markdown_page(read())
    table = text[text.index("## Trials") : text.index("## Failed")].splitlines()[2:-1]
    assert len([line for line in table if line.startswith("|")]) == 2 + 12
    assert len({line.count("|") - line.count("\\|") for line in table if line.startswith("|")}) == 1
    for title in (SEARCHED, FRESH, IMAGES):
        assert f"{title}:" in text
    assert "nan" not in text.replace("&lt;nan>", "")


def test_a_leaky_sweep_says_so_first():
    for text in (html_page(read(leaky=True)), markdown_page(read(leaky=True))):
        assert "LEAKY" in text
        assert "No image, mask or feature of a truly unseen class" not in text
    assert "LEAKY" not in PAGE


def test_the_verdict_depends_on_the_fresh_fits():
    better, unclear = read(), read(comparison=comparison(0.5))
    assert "is better than the default on 3 fresh hold-outs" in verdict(better.trials, better.comparison)
    assert "not clearly better" in verdict(unclear.trials, unclear.comparison)
    stays = read(best=trials()[0], comparison=comparison(0.5))
    assert verdict(stays.trials, stays.comparison).endswith("; the default stays.")
    assert candidate(stays.trials).number == 9
    alone = read(comparison=None)
    assert "It was not fitted again" in verdict(alone.trials, None)
    assert "were no trial" in verdict(read(default=None).trials, None)
    worst = [trial(0, 0.1, 400, (0.9, 0.9)), *trials()[1:]]
    first = read(trials=worst, best=worst[0], comparison=None)
    assert verdict(first.trials, None) == "No trial scored higher than the default settings; they stay."
    assert comparisons(first.trials, None) == []


def test_differences_are_paired_by_hold_out():
    ((title, lines),) = comparisons(read(comparison=None).trials, None)
    assert title == SEARCHED
    values = [line.value for line in lines]
    assert values == pytest.approx([100 * (0.609 - 0.58), 100 * (0.8 - 0.78), 50 * (0.029 + 0.02)])
    assert lines[-1].low < lines[-1].value < lines[-1].high


def test_held_out_classes_stand_beside_their_plane():
    assert "Synthetic features of held-out classes" in PAGE
    assert "&lt;ring&gt;" in PAGE
    assert "75 % of crosses" in PAGE
    assert "Synthetic features" not in html_page(read(diagnosis=None))


def test_a_diagnosis_survives_its_json():
    again = sweep_report(Path("x"), json.loads(json.dumps(report()))).diagnosis
    assert plain_diagnosis(again) == plain_diagnosis(diagnosis())


def test_pages_are_drawn_the_same_from_their_own_json(tmp_path: Path) -> None:
    paths = write_sweep_pages(tmp_path, report())
    assert [path.name for path in paths] == ["sweep.html", "sweep.md", "sweep.json"]
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_sweep_pages(tmp_path, read_report(tmp_path, OBJECTIVE))] == before


def test_a_damaged_report_leaves_old_pages_alone(tmp_path: Path) -> None:
    (page, *_) = write_sweep_pages(tmp_path, report())
    before = page.read_bytes()
    with pytest.raises(DataError, match="a list of trials is missing"):
        write_sweep_pages(tmp_path, report(trials=[]))
    assert page.read_bytes() == before


@pytest.mark.parametrize("number", [1, 2])
def test_a_sweep_of_one_or_two_trials_has_a_page(number: int) -> None:
    records = [trial(at, 0.1 * (1 + at), 400, (0.5,)) for at in range(number)]
    page = html_page(read(trials=records, best=records[0], comparison=None, diagnosis=None))
    assert not re.search(r"nan|inf\b", re.sub(r"<style>.*</style>|<script>.*</script>", "", page, flags=re.DOTALL))
    assert DEFAULT["generator.tau"] == 0.1
