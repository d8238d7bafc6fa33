import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.diagnostics.response_map import effective_number, response_map


def test_the_effective_number_counts_primitives_that_fire_alike():
    one = torch.tensor([1.0, 0, 0, 0])
    two = torch.tensor([0, 0.5, 0.5, 0])
    four = torch.full((4,), 0.25)
    responses = torch.stack([torch.stack([one, one]), torch.stack([two, four]), torch.stack([four, four])])
    torch.testing.assert_close(effective_number(responses), torch.tensor([1.0, 3.0, 4.0]).double())


def test_the_map_shows_the_primitives_that_tell_classes_apart():
    # Primitive 1 fires for the first class, 3 for the second, 0 and 2 for both alike.
    responses = torch.tensor([[[0.2, 0.5, 0.2, 0.1]], [[0.2, 0.1, 0.2, 0.5]]])
    found = response_map(responses, most=2)
    assert found.chosen.tolist() == [1, 3]
    torch.testing.assert_close(found.lift, torch.tensor([[5 / 3, 1 / 3], [1 / 3, 5 / 3]]).double())
    assert found.num_primitives == 4


def test_columns_stand_in_the_order_of_the_classes_that_they_fire_for():
    responses = torch.softmax(3 * torch.randn(5, 2, 40, generator=generator_for(0)), dim=2)
    found = response_map(responses, most=25)
    strongest = found.lift.argmax(dim=0).tolist()
    assert strongest == sorted(strongest)
    assert found.lift.shape == (5, 25)
    assert len(set(found.chosen.tolist())) == 25


def test_fewer_primitives_than_columns_are_all_shown():
    assert response_map(torch.full((3, 2, 4), 0.25)).lift.tolist() == [[pytest.approx(1.0)] * 4] * 3
