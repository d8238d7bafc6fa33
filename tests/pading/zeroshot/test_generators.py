import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.dropout import drop
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.gmmn import Gmmn, GmmnConfig
from tests.references import zeroshot_losses as reference


def build(kind, seed=0):
    randomness = generator_for(seed, "test")
    if kind == "gmmn":
        return Gmmn(GmmnConfig(hidden=10, dropout=0.0), 5, 8, randomness)
    hidden = 10 if kind == "deep" else 0
    config = PrimitiveConfig(hidden=hidden, dropout=0.0, num_primitives=7, heads=2)
    return PrimitiveGenerator(config, 5, 8, randomness)


def inputs():
    randomness = generator_for(1, "inputs")
    return torch.randn(3, 5, generator=randomness).double(), torch.randn(3, 4, 8, generator=randomness).double()


@pytest.mark.parametrize("temperature", [1.0, 7.0])
def test_primitive_generator_equals_the_literal_equations(temperature):
    config = PrimitiveConfig(hidden=0, dropout=0.0, num_primitives=7, heads=2, attention_temperature=temperature)
    generator = PrimitiveGenerator(config, 5, 8, generator_for(0, "test")).double()
    torch.nn.init.normal_(generator.query.bias, generator=generator_for(2))  # zero biases would hide a missing one
    text, noise = inputs()
    weights = {name: value.detach().numpy() for name, value in generator.state_dict().items()}
    expected = reference.attention(text.numpy(), weights.pop("primitives"), weights, 2, noise.numpy(), temperature)
    torch.testing.assert_close(generator(text, noise).detach(), torch.from_numpy(expected))


def test_responses_are_the_weights_by_which_features_are_put_together():
    generator = build("primitive").double()
    text, noise = inputs()
    responses = generator.responses(text)
    assert responses.shape == (3, 2, 7)
    torch.testing.assert_close(responses.sum(dim=2), torch.ones(3, 2).double())
    values = generator.value(generator.primitives).view(7, 2, 4)
    attended = torch.einsum("khp,phd->khd", responses, values).flatten(1)
    expected = generator.output(generator.text(text).unsqueeze(1) + attended.unsqueeze(1) + noise)
    torch.testing.assert_close(generator(text, noise), expected)


def test_a_hidden_layer_stands_between_what_is_assembled_and_the_output():
    plain, deep = build("primitive").double(), build("deep").double()
    deep.load_state_dict(
        plain.state_dict()
        | {name: value for name, value in deep.state_dict().items() if "put" in name or "hidden" in name}
    )
    text, noise = inputs()
    plain.output = torch.nn.Identity()
    hidden = deep.hidden.weight @ plain(text, noise)[2, 3] + deep.hidden.bias
    expected = deep.output.weight @ torch.where(hidden > 0, hidden, 0.2 * hidden) + deep.output.bias
    torch.testing.assert_close(deep(text, noise)[2, 3], expected)


def test_gmmn_equals_its_two_layers_row_by_row():
    generator = build("gmmn").double()
    text, noise = inputs()
    hidden = generator.hidden.weight @ torch.cat([text[2], noise[2, 3]]) + generator.hidden.bias
    expected = generator.output.weight @ torch.where(hidden > 0, hidden, 0.2 * hidden) + generator.output.bias
    torch.testing.assert_close(generator(text, noise)[2, 3], expected)


@pytest.mark.parametrize("kind", ["primitive", "deep", "gmmn"])
def test_samples_depend_on_their_own_class_and_noise_only(kind):
    generator = build(kind).double()
    text, noise = inputs()
    torch.testing.assert_close(generator(text[1:2], noise[1:2, 2:3]), generator(text, noise)[1:2, 2:3])


@pytest.mark.parametrize("kind", ["primitive", "deep", "gmmn"])
def test_every_parameter_gets_a_gradient(kind):
    generator = build(kind)
    text, noise = (value.float() for value in inputs())
    generator(text, noise).square().sum().backward()
    # a key bias shifts all scores of a query alike, so it cannot matter
    assert {name for name, p in generator.named_parameters() if p.grad.abs().sum() < 1e-3} <= {"key.bias"}


@pytest.mark.parametrize("kind", ["primitive", "deep", "gmmn"])
def test_first_weights_depend_on_the_generator_alone(kind):
    first, second, other = (build(kind, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_impossible_shapes_are_refused():
    with pytest.raises(ValueError, match="0 primitives"):
        PrimitiveConfig(num_primitives=0)
    with pytest.raises(ValueError, match="hidden width -1"):
        PrimitiveConfig(hidden=-1)
    with pytest.raises(ValueError, match="hidden width 0"):
        GmmnConfig(hidden=0)
    with pytest.raises(ValueError, match="width 8 is not a multiple of 3 heads"):
        PrimitiveGenerator(PrimitiveConfig(heads=3), 5, 8, generator_for(0))


def test_dropout_zeroes_the_asked_share_and_keeps_the_mean():
    noise = torch.randn(200_000, generator=generator_for(4))
    dropped = drop(torch.ones(200_000), noise, 0.3)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.005)  # five standard deviations
    assert drop(noise, noise, 0.0) is noise


@pytest.mark.parametrize(
    "generator",
    [
        Gmmn(GmmnConfig(hidden=10, dropout=0.4), 5, 8, generator_for(0)),
        PrimitiveGenerator(PrimitiveConfig(hidden=0, num_primitives=7, heads=2), 5, 8, generator_for(0)),
        PrimitiveGenerator(PrimitiveConfig(hidden=10, num_primitives=7, heads=2), 5, 8, generator_for(0)),
    ],
    ids=["gmmn", "primitive", "deep"],
)
def test_with_dropout_a_sample_is_still_a_function_of_its_text_and_noise(generator):
    text = torch.randn(3, 5, generator=generator_for(1))
    noise = torch.randn(3, 4, generator.noise_width, generator=generator_for(2))
    torch.testing.assert_close(generator(text, noise), generator(text, noise))
    other = noise.clone()
    other[..., generator.width :] *= -1  # another mask, the same Z
    assert not torch.allclose(generator(text, other), generator(text, noise))


@pytest.mark.parametrize("config", [lambda: GmmnConfig(dropout=1.0), lambda: PrimitiveConfig(dropout=-0.1)])
def test_a_dropout_that_is_no_probability_is_refused(config):
    with pytest.raises(ValueError, match="dropout"):
        config()


def test_uniform_noise_is_the_gaussian_one_through_its_distribution_function():
    config = GmmnConfig(hidden=10, dropout=0.0, noise="uniform")
    generator = Gmmn(config, 5, 8, generator_for(0, "test")).double()
    plain = Gmmn(GmmnConfig(hidden=10, dropout=0.0), 5, 8, generator_for(0, "test")).double()
    text, noise = inputs()
    uniform = torch.distributions.Normal(0.0, 1.0).cdf(noise)
    assert 0 < uniform.min() < uniform.max() < 1
    torch.testing.assert_close(generator(text, noise), plain(text, uniform))


def test_the_first_bias_of_the_gmmn_is_a_setting():
    weights = Gmmn(GmmnConfig(bias=0.01), 5, 8, generator_for(0)).state_dict()
    assert weights["hidden.bias"].tolist() == pytest.approx([0.01] * 256)
    assert weights["output.bias"].tolist() == pytest.approx([0.01] * 8)
