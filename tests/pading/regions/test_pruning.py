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


def masks_of(shares: list[list[float]]) -> torch.Tensor:
    """Return mask logits of one row of pixels, by their sigmoids."""
    return torch.tensor(shares, dtype=torch.float64).logit()[:, None]


def test_a_query_is_left_out_where_it_is_everywhere_far_below_another() -> None:
    logits = logits_of([0.9, 0.9, 0.04, 0.06, 0.03])
    masks = masks_of([[0.99, 0.99, 0.01], [0.99, 0.01, 0.01], [0.99, 0.99, 0.01], [0.99, 0.5, 0.01], [0.2, 0.01, 0.99]])
    #  at the last pixel .009 is the most of the first four, and the last query has .0297 there; .06 * .99 > .05 * .891
    assert worth_encoding(logits, masks, 0.05).tolist() == [True, True, False, True, True]
    assert worth_encoding(logits[:3], masks[:3], 0.05).tolist() == [True, True, False]


def test_two_queries_that_are_as_strong_are_both_encoded() -> None:
    assert worth_encoding(logits_of([0.5, 0.5]), masks_of([[0.9], [0.9]]), 0.99).all()


def test_with_zero_all_are_encoded() -> None:
    nothing = torch.full((2, 1, 1), -torch.inf)
    assert worth_encoding(logits_of([0.5, 0.0]), nothing, 0.0).all()
    assert not worth_encoding(logits_of([0.5, 0.0]), nothing, 0.01).any()


@given(st.integers(0, 1000), st.floats(0.001, 0.9))
@settings(max_examples=25, deadline=None)
def test_what_is_left_out_is_negligible_at_every_pixel(seed: int, negligible: float) -> None:
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(scale=4, size=(12, 7)))
    masks = torch.from_numpy(random.normal(scale=4, size=(12, 3, 5)))
    is_chosen = worth_encoding(logits, masks, negligible).tolist()
    for query in range(12):
        shares = []
        for row in range(3):
            for column in range(5):
                strengths = [
                    float(logits[other].softmax(0)[:-1].sum() * masks[other, row, column].sigmoid())
                    for other in range(12)
                ]
                shares.append(strengths[query] / max(strengths))
        assert is_chosen[query] == (max(shares) > negligible)


def test_a_shift_of_the_class_logits_changes_nothing() -> None:
    logits, masks = logits_of([0.4, 0.03, 0.005]), masks_of([[0.9], [0.9], [0.9]])
    assert torch.equal(worth_encoding(logits, masks, 0.05), worth_encoding(logits + 500, masks, 0.05))


@pytest.mark.parametrize("negligible", [-0.1, 1.0])
def test_a_share_that_is_none_is_refused(negligible: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        worth_encoding(logits_of([0.5]), masks_of([[0.9]]), negligible)
