import itertools
import json

import pytest

from jobs.presets import PRESETS
from pading.config import override
from pading.data.errors import DataError, MissingFileError
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.profiles import paper
from tuning.dimensions import Choice, Range
from tuning.space import (
    LARGEST_GRID,
    SPACES,
    applied,
    current_point,
    grid,
    grid_size,
    read_space,
    require_space,
    space_to_plain,
)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_named_space_fits_every_preset_and_starts_where_it_is(name, preset):
    config = PRESETS[preset]().method
    require_space(SPACES[name], config)
    assert applied(config, current_point(config, SPACES[name])) == config


def test_the_grid_of_the_papers_table_is_its_eight_numbers():
    assert [point["primitive.num_primitives"] for point in grid(SPACES["paper-table-3"])] == list(range(100, 801, 100))


def test_a_grid_is_every_combination():
    space = {"a": Choice(values=(1, 2, 3)), "b": Choice(values=("x", "y"))}
    assert [tuple(point.values()) for point in grid(space)] == list(itertools.product((1, 2, 3), "xy"))
    assert grid_size(space) == 6
    assert grid_size({**space, "c": Range(low=0.0, high=1.0)}) is None


def test_a_grid_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"'generator\.tau' is a range: list its values"):
        grid({"a": Choice(values=(1,)), "generator.tau": Range(low=0.1, high=1.0)})
    wide = {str(place): Choice(values=tuple(range(100))) for place in range(3)}
    with pytest.raises(ValueError, match=f"has 1000000 points, of which {LARGEST_GRID} are allowed"):
        grid(wide)


def test_bandwidths_can_be_named_one_by_one():
    config = applied(MethodConfig(), {"generator.bandwidths.1": 6.5, "generator.bandwidth_factor": 2.0})
    assert config.generator.bandwidths == (2.0, 6.5, 10.0, 20.0, 40.0, 80.0)
    assert current_point(config, SPACES["bandwidths"])["generator.bandwidths.1"] == 6.5


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "the search space is empty"),
        ({"generator.tua": Range(low=0.1, high=1.0)}, "near it: .*generator.tau"),
        ({"tau": Range(low=0.1, high=1.0)}, "'tau', which is no setting; near it: generator.tau"),
        ({"generator": Choice(values=(1,))}, "which is no setting"),
        ({"generator.bandwidths.6": Range(low=1.0, high=2.0)}, "which is no setting"),
        ({"primitive.num_primitives": Range(low=1.0, high=2.0)}, "primitive.num_primitives: 1.0 is not int"),
        ({"primitive.dropout": Range(low=0.0, high=1.0)}, "primitive.dropout: .*a probability below 1"),
        ({"generator.tau": Range(low=-1.0, high=1.0)}, "generator.tau: .*must be positive"),
        ({"profile": Choice(values=("best", "released"))}, "has a loop of its own"),
    ],
)
def test_a_space_that_does_not_fit_is_refused_by_name(space, message):
    with pytest.raises(ValueError, match=message):
        require_space(space, MethodConfig())


def test_a_profile_brings_all_its_settings_but_the_budget():
    config = override(MethodConfig(), {"generator.steps": 77, "projection.steps": 5})
    found = applied(config, {"profile": "paper", "generator.tau": 0.4})
    assert (found.generator.steps, found.classifier.steps, found.projection.steps) == (77, 77, 5)
    assert (found.generator.tau, found.generator.mmd) == (0.4, paper().generator.mmd)
    assert applied(config, {"profile": "best"}) == config


def test_a_file_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(space_to_plain(SPACES["all"])))
    assert read_space(str(file)) == SPACES["all"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it holds no object"),
        ("{", "is no search space"),
        ('{"generator.tau": {"log": [0, 1]}}', "generator.tau: a logarithmic range"),
        ("[" * 100_000, "is no search space"),
        ("\xff", "is no search space"),
    ],
)
def test_a_file_that_is_no_space_is_named(text, message, tmp_path):
    file = tmp_path / "bad.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message) as caught:
        read_space(str(file))
    assert "bad.json" in str(caught.value)


def test_a_space_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'lambda-tau'"):
        read_space("lambdatau")
    with pytest.raises(MissingFileError, match="no such file"):
        read_space(str(tmp_path / "none.json"))
    large = tmp_path / "large.json"
    large.write_text(" " * 1_000_001)
    with pytest.raises(DataError, match="more than 1000000 bytes"):
        read_space(str(large))
