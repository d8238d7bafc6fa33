import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.wgan import Critic, WganConfig, gradient_penalty, wasserstein_distance

TEXT_WIDTH, WIDTH = 3, 4


def critic():
    return Critic(WganConfig(hidden=6), TEXT_WIDTH, WIDTH, generator_for(0, "critic")).double()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear_critic(direction):
    """A critic of value direction . x + 5, positive where it is asked: one hidden unit that never leaks."""
    network = Critic(WganConfig(hidden=1), TEXT_WIDTH, len(direction), generator_for(0)).double()
    with torch.no_grad():
        network.hidden.weight.zero_()
        network.hidden.weight[0, TEXT_WIDTH:] = torch.tensor(direction)
        network.hidden.bias.fill_(100.0)
        network.output.weight.fill_(1.0)
        network.output.bias.fill_(-95.0)
    return network


def test_penalty_of_a_linear_critic_worked_by_hand():
    # the gradient is (3, 4) everywhere, of length 5: (5 - 1)^2
    network, rows = linear_critic([3.0, 4.0]), normal(2, 5, 2)
    penalty = gradient_penalty(network, normal(2, TEXT_WIDTH), rows, -rows, torch.zeros(2, 5, 1).double())
    assert penalty.item() == pytest.approx(16.0)


def test_a_linear_critic_of_slope_one_has_no_penalty_and_measures_the_distance_of_the_means():
    network, text = linear_critic([0.6, 0.8]), normal(1, TEXT_WIDTH)
    synthetic = normal(1, 7, 2)
    real = synthetic + torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert gradient_penalty(network, text, real, synthetic, torch.rand(1, 7, 1).double()).item() == pytest.approx(0.0)
    assert wasserstein_distance(network, text, real, synthetic).item() == pytest.approx(5.0)


def test_value_equals_the_two_layers_row_by_row():
    network, text, rows = critic(), normal(2, TEXT_WIDTH), normal(2, 5, WIDTH, seed=1)
    hidden = network.hidden(torch.cat([text[1], rows[1, 3]]))
    expected = network.output(torch.where(hidden > 0, hidden, 0.2 * hidden)).squeeze()
    torch.testing.assert_close(network(text, rows)[1, 3], expected)


def test_slope_and_its_gradients_are_those_of_autograd():
    network, text, rows = critic(), normal(2, TEXT_WIDTH), normal(2, 5, WIDTH, seed=1).requires_grad_()
    (expected,) = torch.autograd.grad(network(text, rows).sum(), rows, create_graph=True)
    slope = network.slope(text, rows)
    torch.testing.assert_close(slope, expected)
    weights = (network.hidden.weight, network.output.weight)
    for ours, theirs in zip(
        torch.autograd.grad((slope.norm(dim=2) - 1).square().mean(), weights),
        torch.autograd.grad((expected.norm(dim=2) - 1).square().mean(), weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_penalty_is_taken_between_real_and_synthetic_rows():
    # value |x| with a leak of 0.2 left of zero: slope 1 on the right, 0.2 on the left
    network = Critic(WganConfig(hidden=1), 1, 1, generator_for(0)).double()
    with torch.no_grad():
        network.hidden.weight.copy_(torch.tensor([[0.0, 1.0]]))
        network.output.weight.fill_(1.0)
    real, synthetic = torch.full((1, 1, 1), 2.0).double(), torch.full((1, 1, 1), -1.0).double()
    penalties = [
        gradient_penalty(network, normal(1, 1), real, synthetic, torch.full((1, 1, 1), share).double()).item()
        for share in (0.2, 0.5)  # at -0.4 and 0.5
    ]
    assert penalties == pytest.approx([0.64, 0.0])


def test_impossible_settings_are_refused():
    for config in (
        lambda: WganConfig(hidden=0),
        lambda: WganConfig(critic_steps=0),
        lambda: WganConfig(penalty_weight=-1.0),
    ):
        with pytest.raises(ValueError, match="must be at least 1, learning_rate"):
            config()
    with pytest.raises(ValueError, match="must lie in"):
        WganConfig(betas=(0.5, 1.0))
    with pytest.raises(ValueError, match="learning_rate 0"):
        WganConfig(learning_rate=0.0)
