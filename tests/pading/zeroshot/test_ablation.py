import dataclasses

import pytest

from pading.config import override
from pading.zeroshot.ablation import CURVES, FULL, TABLES, ablation_tables, variants_of
from pading.zeroshot.methods import METHODS, MethodConfig

SETTINGS = MethodConfig()
PROFILES = {"paper": override(SETTINGS, {"generator.tau": 0.3}), "best": SETTINGS}


def only(name: str, settings: MethodConfig = SETTINGS):
    (table,) = ablation_tables({"best": settings}, "best", [name])
    return table


def test_the_rows_are_all_methods_in_order_each_against_what_it_adds_to_and_against_the_whole():
    lines = only("rows").lines
    assert tuple(line.label for line in lines) == METHODS
    assert [line.references for line in lines] == [
        (FULL,),
        ("supervised", FULL),
        ("projection", FULL),
        ("gmmn", FULL),
        ("gmmn", FULL),
        ("primitive", FULL),
        ("primitive+align",),
    ]


def test_the_profiles_are_compared_with_the_best_one_which_is_compared_with_nothing():
    (table,) = ablation_tables(PROFILES, "best", ["profiles"])
    assert [(line.label, line.references) for line in table.lines] == [("paper", ("best",)), ("best", ())]
    assert [line.variant.settings for line in table.lines] == list(PROFILES.values())


def test_tab_3_runs_from_a_hundred_to_eight_hundred_primitives():
    lines = only("primitives").lines
    assert [line.variant.settings.primitive.num_primitives for line in lines] == list(range(100, 801, 100))
    assert {line.variant.method for line in lines} == {FULL}


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_changes_its_setting_and_nothing_else(name: str):
    table, field = only(name), CURVES[name].field
    for line in table.lines:
        value = line.variant.settings
        for part in field.split("."):
            value = getattr(value, part)
        assert line.label == f"{value:g}"
        assert line.variant.settings == override(SETTINGS, {field: value})


def test_a_default_that_is_no_value_of_the_curve_becomes_one_in_its_place_and_all_are_compared_with_it():
    table = only("tau", override(SETTINGS, {"generator.tau": 0.07}))
    assert [line.label for line in table.lines] == ["0.02", "0.05", "0.07", "0.1", "0.2", "0.5"]
    assert table.default == "0.07"
    assert {line.label: line.references for line in table.lines}.pop("0.07") == ()
    assert all(line.references == ("0.07",) for line in table.lines if line.label != "0.07")


def test_every_reference_is_a_line_of_its_table_and_labels_are_unique():
    for table in ablation_tables(PROFILES, "best"):
        labels = [line.label for line in table.lines]
        assert len(set(labels)) == len(labels)
        assert all(set(line.references) <= set(labels) - {line.label} for line in table.lines)


def test_what_several_tables_show_is_one_variant():
    tables = ablation_tables(PROFILES, "best")
    assert [table.name for table in tables] == list(TABLES)
    variants = variants_of(tables)
    num_lines = sum(len(table.lines) for table in tables)
    assert len(variants) == len(set(variants)) == num_lines - (len(TABLES) - 1)  # PADing as it is, in every table
    assert [line.variant for table in tables for line in table.lines].count(variants[METHODS.index(FULL)]) == 5


def test_tables_come_in_their_own_order_whatever_the_order_asked_for():
    assert [table.name for table in ablation_tables(PROFILES, "best", ["tau", "rows"])] == ["rows", "tau"]


@pytest.mark.parametrize(("names", "message"), [(["rows", "colour"], "'colour'"), ([], "choose from rows, profiles")])
def test_an_unknown_table_is_refused(names: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        ablation_tables(PROFILES, "best", names)


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="no profile 'released': there are paper, best"):
        ablation_tables(PROFILES, "released")


def test_settings_can_be_looked_up_by_variant():
    assert dataclasses.replace(SETTINGS) == SETTINGS
    assert len({dataclasses.replace(SETTINGS): 1, SETTINGS: 2}) == 1
