import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.regions.pruning import worth_encoding


def logits_of(objectness: list[float]) -> torch.Tensor:
    """Return logits of two classes, equally likely, and no-object."""
    rest = torch.tensor(objectness, dtype=torch.float64)
    return torch.stack([rest / 2, rest / 2, 1 - rest], dim=1).log()


def test_a_query_is_left_out_if_all_its_classes_together_are_negligible() -> None:
    logits = logits_of([0.5, 0.021, 0.019, 0.0])
    assert worth_encoding(logits, 0.02).tolist() == [True, True, False, False]


def test_with_zero_all_are_encoded() -> None:
    assert worth_encoding(logits_of([0.5, 0.0]), 0.0).all()


@given(st.integers(0, 1000), st.floats(0.001, 0.9))
@settings(max_examples=25, deadline=None)
def test_what_is_left_out_has_no_class_above_the_bound(seed: int, negligible: float) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(scale=6, size=(40, 7)))
    is_chosen = worth_encoding(logits, negligible)
    probabilities = logits.softmax(1)[:, :-1].numpy()
    assert (probabilities[~is_chosen].sum(1) <= negligible + 1e-12).all()
    assert (probabilities[is_chosen].sum(1) > negligible - 1e-12).all()


def test_a_shift_of_the_logits_changes_nothing() -> None:
    logits = logits_of([0.4, 0.03, 0.005])
    np.testing.assert_array_equal(worth_encoding(logits, 0.02), worth_encoding(logits + 500, 0.02))


@pytest.mark.parametrize("negligible", [-0.1, 1.0])
def test_a_bound_that_is_no_probability_is_refused(negligible: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        worth_encoding(logits_of([0.5]), negligible)
