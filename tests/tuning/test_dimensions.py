import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning.dimensions import Choice, Range, from_plain, to_plain

SHARES = st.floats(0, 1, exclude_max=True)
KINDS = (
    Choice(values=(50, 100, 200)),
    Choice(values=("paper", "best")),
    Range(low=2.0, high=64.0),
    Range(low=0.03, high=0.5, is_log=True),
    Range(low=1, high=4, is_whole=True),
    Range(low=8, high=512, is_whole=True, is_log=True),
)


@given(st.sampled_from(KINDS), SHARES)
@settings(max_examples=100, deadline=None)
def test_what_is_drawn_lies_inside_and_a_sampler_could_have_drawn_it(dimension, share):
    value = dimension.at(share)
    assert dimension.distribution()._contains(dimension.distribution().to_internal_repr(dimension.to_drawn(value)))
    assert dimension.from_drawn(dimension.to_drawn(value)) == value


@pytest.mark.parametrize("dimension", KINDS)
def test_a_dimension_is_the_same_after_json(dimension):
    assert from_plain(to_plain(dimension)) == dimension


def test_shares_of_the_way_by_hand():
    assert [Choice(values=("a", "b")).at(share) for share in (0.0, 0.49, 0.5, 0.99)] == ["a", "a", "b", "b"]
    assert Range(low=1.0, high=100.0, is_log=True).at(0.5) == pytest.approx(10.0)
    assert Range(low=2.0, high=4.0).at(0.25) == 2.5
    assert [Range(low=1, high=3, is_whole=True).at(share) for share in (0.0, 0.34, 0.99)] == [1, 2, 3]


def test_numbers_in_order_are_neighbours_and_names_are_not():
    assert Choice(values=(50, 100, 200)).distribution().high == 2
    assert Choice(values=("a", "b")).distribution().choices == (0, 1)
    assert Choice(values=(True, False)).distribution().choices == (0, 1)


def test_what_could_not_be_drawn_is_said():
    with pytest.raises(ValueError, match="not in"):
        Choice(values=(50, 100)).to_drawn(75)
    for value in (1.0, True, "2"):
        with pytest.raises(ValueError, match=r"is not between 2\.0 and 64\.0"):
            Range(low=2.0, high=64.0).to_drawn(value)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([1, 2], "is no dimension"),
        ({"log": [1, 2], "choice": [1]}, "is no dimension"),
        ({"logarithm": [1, 2]}, "choose one of choice, uniform, log"),
        ({"log": 3}, "give a list"),
        ({"log": [1, 2, 3]}, "give two numbers"),
        ({"log": [True, 2]}, "give two numbers"),
        ({"log": ["a", "b"]}, "give two numbers"),
        ({"log": [0, 1]}, "must begin above 0"),
        ({"uniform": [2, 1]}, "the smaller one first"),
        ({"uniform": [0, float("inf")]}, "the smaller one first"),
        ({"whole": [0.5, 2]}, "give whole ends"),
        ({"choice": []}, "at least one value"),
        ({"choice": [1, 1]}, "each once"),
    ],
)
def test_what_is_no_dimension_is_refused(plain, message):
    with pytest.raises(ValueError, match=message):
        from_plain(plain)
