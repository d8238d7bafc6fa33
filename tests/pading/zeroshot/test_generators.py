import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.gmmn import Gmmn, GmmnConfig
from tests.references import zeroshot_losses as reference


def build(kind, seed=0):
    randomness = generator_for(seed, "test")
    if kind == "gmmn":
        return Gmmn(GmmnConfig(hidden=10), 5, 8, randomness)
    return PrimitiveGenerator(PrimitiveConfig(num_primitives=7, heads=2), 5, 8, randomness)


def inputs():
    randomness = generator_for(1, "inputs")
    return torch.randn(3, 5, generator=randomness).double(), torch.randn(3, 4, 8, generator=randomness).double()


@pytest.mark.parametrize("temperature", [1.0, 7.0])
def test_primitive_generator_equals_the_literal_equations(temperature):
    config = PrimitiveConfig(num_primitives=7, heads=2, attention_temperature=temperature)
    generator = PrimitiveGenerator(config, 5, 8, generator_for(0, "test")).double()
    torch.nn.init.normal_(generator.query.bias, generator=generator_for(2))  # zero biases would hide a missing one
    text, noise = inputs()
    weights = {name: value.detach().numpy() for name, value in generator.state_dict().items()}
    expected = reference.attention(text.numpy(), weights.pop("primitives"), weights, 2, noise.numpy(), temperature)
    torch.testing.assert_close(generator(text, noise).detach(), torch.from_numpy(expected))


def test_gmmn_equals_its_two_layers_row_by_row():
    generator = build("gmmn").double()
    text, noise = inputs()
    hidden = generator.hidden.weight @ torch.cat([text[2], noise[2, 3]]) + generator.hidden.bias
    expected = generator.output.weight @ torch.where(hidden > 0, hidden, 0.2 * hidden) + generator.output.bias
    torch.testing.assert_close(generator(text, noise)[2, 3], expected)


@pytest.mark.parametrize("kind", ["primitive", "gmmn"])
def test_samples_depend_on_their_own_class_and_noise_only(kind):
    generator = build(kind).double()
    text, noise = inputs()
    torch.testing.assert_close(generator(text[1:2], noise[1:2, 2:3]), generator(text, noise)[1:2, 2:3])


@pytest.mark.parametrize("kind", ["primitive", "gmmn"])
def test_every_parameter_gets_a_gradient(kind):
    generator = build(kind)
    text, noise = (value.float() for value in inputs())
    generator(text, noise).square().sum().backward()
    # a key bias shifts all scores of a query alike, so it cannot matter
    assert {name for name, p in generator.named_parameters() if p.grad.abs().sum() < 1e-3} <= {"key.bias"}


@pytest.mark.parametrize("kind", ["primitive", "gmmn"])
def test_first_weights_depend_on_the_generator_alone(kind):
    first, second, other = (build(kind, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_impossible_shapes_are_refused():
    with pytest.raises(ValueError, match="0 primitives"):
        PrimitiveConfig(num_primitives=0)
    with pytest.raises(ValueError, match="hidden width is 0"):
        GmmnConfig(hidden=0)
    with pytest.raises(ValueError, match="width 8 is not a multiple of 3 heads"):
        PrimitiveGenerator(PrimitiveConfig(heads=3), 5, 8, generator_for(0))
