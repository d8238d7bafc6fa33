import math

import pytest
import torch
from torch.autograd import gradcheck

from pading.segmenter.penalties import cross_entropy, focal, mean_penalty


def test_penalties_worked_by_hand():
    logits, masks, valid = torch.zeros(1, 4), torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert mean_penalty(cross_entropy, logits, masks, valid).item() == pytest.approx(math.log(2))  # on each of three
    two_inside_one_outside = (0.25 + 0.25 + 0.75) / 4 * math.log(2) / 3  # (1 - p)^2 is 1/4
    assert mean_penalty(focal, logits, masks, valid).item() == pytest.approx(two_inside_one_outside)


def test_the_focal_loss_forgives_what_is_nearly_right_more_than_cross_entropy_does():
    sure, inside = torch.tensor([[4.0]]), torch.ones(1, 1)
    wrong = -sure
    eased = [
        mean_penalty(each, sure, inside, inside) / mean_penalty(each, wrong, inside, inside)
        for each in (cross_entropy, focal)
    ]
    assert eased[1] < 1e-3 * eased[0]


@pytest.mark.parametrize("penalise", [cross_entropy, focal])
def test_a_cell_half_owned_costs_the_mean_of_one_inside_and_one_outside(penalise):
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(5, 1, generator=random, dtype=torch.float64)
    one = torch.ones_like(logits)
    half, inside, outside = (mean_penalty(penalise, logits, share * one, one) for share in (0.5, 1.0, 0.0))
    torch.testing.assert_close(half, (inside + outside) / 2)


@pytest.mark.parametrize("penalise", [cross_entropy, focal])
def test_gradients_match_finite_differences(penalise):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, generator=random, dtype=torch.float64, requires_grad=True)
    valid = torch.rand(3, 6, generator=random, dtype=torch.float64)
    masks = valid * torch.rand(3, 6, generator=random, dtype=torch.float64)
    assert gradcheck(lambda x: mean_penalty(penalise, x, masks, valid), (logits,))


@pytest.mark.parametrize("penalise", [cross_entropy, focal])
def test_logits_of_any_size_give_finite_losses_and_gradients(penalise):
    logits = torch.tensor([[-200.0, 200.0, -200.0, 200.0]], requires_grad=True)
    loss = mean_penalty(penalise, logits, torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.ones(1, 4)).sum()
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
