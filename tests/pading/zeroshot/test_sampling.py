import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.randomness import generator_for
from pading.zeroshot.sampling import draw_by_class


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 8), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_rows_are_of_the_class_and_classes_of_a_step_are_distinct(labels, classes_per_step, rows_per_class):
    labels = torch.tensor(labels)
    draws = draw_by_class(labels, 4, classes_per_step, rows_per_class, generator_for(0))
    assert draws.rows.shape == (4, min(classes_per_step, len(labels.unique())), rows_per_class)
    assert torch.equal(labels[draws.rows], draws.classes.unsqueeze(2).expand_as(draws.rows))
    assert all(len(step.unique()) == len(step) for step in draws.classes)


def test_rare_classes_are_as_likely_as_common_ones_and_every_row_is_reached():
    labels = torch.tensor([7] * 3 + [2] * 97)
    draws = draw_by_class(labels, 2000, 1, 4, generator_for(0))
    assert 900 < (draws.classes == 7).sum() < 1100
    assert len(draws.rows.unique()) == 100


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(ValueError, match="no feature to draw from"):
        draw_by_class(torch.zeros(0, dtype=torch.int64), 1, 1, 1, generator_for(0))
