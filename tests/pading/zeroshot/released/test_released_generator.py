import math

import pytest
import torch
from torch.autograd import gradcheck

from pading.randomness import generator_for
from pading.zeroshot.released.generator import ReleasedGenerator, ReleasedGeneratorConfig
from tests.references import zeroshot_released as reference

SMALL = {"num_layers": 2, "heads": 2, "hidden": 5, "num_primitives": 3}
MASKS = {"own_head": 2, "own": 8, "weight": 6, "cross": 8, "hidden": 5, "last": 8}  # entries of one layer of SMALL


def build(seed=0, **changes):
    config = ReleasedGeneratorConfig(**(SMALL | changes))
    generator = ReleasedGenerator(config, 4, 8, generator_for(seed, "test")).double()
    with torch.no_grad():
        for (
            parameter
        ) in generator.parameters():  # fresh layers are alike and their biases zero, which could hide a slip
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator_for(9), dtype=torch.float64))
    return generator


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def split_noise(noise):
    """Take the noise of one sample apart: the added part of each layer, and masks for a rate of 0.1."""
    quantile = torch.special.ndtri(torch.tensor(0.9, dtype=torch.float64)).item()
    added, masks = [], []
    for part in noise.chunk(2):
        first, *rest = part.split([8, *MASKS.values()])
        added.append(first.numpy())
        masks.append({name: ((m < quantile) / 0.9).numpy() for name, m in zip(MASKS, rest, strict=True)})
        masks[-1]["weight"] = masks[-1]["weight"].reshape(2, 3)
    return added, masks


@pytest.mark.parametrize("seed", [1, 2])
def test_generator_equals_the_literal_layers(seed):
    generator = build(dropout=0.1)
    text, noise = normal(3, 4), normal(3, 2, generator.noise_width, seed=seed)
    weights = {name: value.detach().numpy() for name, value in generator.state_dict().items()}
    found = generator(text, noise).detach()
    for k in range(3):
        for n in range(2):
            expected = reference.generate(weights, text[k].numpy(), 2, 2, *split_noise(noise[k, n]))
            torch.testing.assert_close(found[k, n], torch.from_numpy(expected))


def test_a_layer_reads_one_noise_vector_and_six_masks():
    # z: 8; one weight a head: 2; own attention: 8; 2 heads x 3 primitives: 6; cross attention: 8; hidden: 5; last: 8
    assert build(dropout=0.1).noise_width == 2 * (8 + 2 + 8 + 6 + 8 + 5 + 8)
    assert build(dropout=0.0).noise_width == 2 * 8
    released = ReleasedGeneratorConfig(dropout=0.0)
    assert ReleasedGenerator(released, 512, 256, generator_for(0)).noise_width == 3 * 256


@pytest.mark.parametrize("layer", [0, 1])
def test_every_layer_has_noise_of_its_own(layer):
    generator, text, noise = build(dropout=0.0), normal(1, 4), normal(1, 1, 16)
    other = noise.clone()
    other[..., 8 * layer : 8 * (layer + 1)] *= -1  # a constant would be normalised away
    assert not torch.allclose(generator(text, noise), generator(text, other))


def test_samples_are_layer_normalised_like_the_real_features():
    generator = ReleasedGenerator(ReleasedGeneratorConfig(**SMALL), 4, 8, generator_for(0))
    samples = generator(normal(3, 4).float(), normal(3, 5, generator.noise_width).float())
    torch.testing.assert_close(samples.mean(dim=2), torch.zeros(3, 5), rtol=0, atol=1e-5)
    torch.testing.assert_close(samples.square().mean(dim=2), torch.ones(3, 5), rtol=0, atol=1e-3)


def test_samples_depend_on_their_own_class_and_noise_only():
    generator = build(dropout=0.1)
    text, noise = normal(3, 4), normal(3, 4, generator.noise_width)
    torch.testing.assert_close(generator(text[1:2], noise[1:2, 2:3]), generator(text, noise)[1:2, 2:3])


def test_gradients_are_right():
    generator = build(dropout=0.1)
    noise = normal(2, 1, generator.noise_width)
    assert gradcheck(lambda text: generator(text, noise), (normal(2, 4).requires_grad_(),))


def test_every_parameter_gets_a_gradient():
    generator = build(dropout=0.0)
    (generator(normal(3, 4), normal(3, 4, 16)) * normal(3, 4, 8, seed=5)).sum().backward()
    # a key bias shifts all scores of a query alike, so it cannot matter
    still = {name for name, p in generator.named_parameters() if p.grad.abs().sum() < 1e-6}
    assert still <= {"layers.0.key.bias", "layers.1.key.bias"}


def test_layers_start_alike_and_from_the_given_randomness_alone():
    torch.manual_seed(0)
    first = ReleasedGenerator(ReleasedGeneratorConfig(), 16, 32, generator_for(3)).state_dict()
    torch.manual_seed(1)
    second = ReleasedGenerator(ReleasedGeneratorConfig(), 16, 32, generator_for(3)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(first["layers.0.query.weight"], first["layers.2.query.weight"])
    assert first["primitives"].shape == (400, 32)
    assert float(first["primitives"].std()) == pytest.approx(1, abs=0.03)
    # torch's attention draws one stacked (3 x 32, 32) matrix, Xavier: sqrt(6 / (96 + 32)); others within 1 / sqrt(32)
    assert 0.95 < float(first["layers.0.value.weight"].abs().max()) / math.sqrt(6 / 128) <= 1
    assert 0.95 < float(first["layers.0.expand.weight"].abs().max()) * math.sqrt(32) <= 1


def test_impossible_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(0, 8, 1024, 400\): all must be at least 1"):
        ReleasedGeneratorConfig(num_layers=0)
    with pytest.raises(ValueError, match="dropout is 1"):
        ReleasedGeneratorConfig(dropout=1.0)
    with pytest.raises(ValueError, match="width 8 is not a multiple of 3 heads"):
        ReleasedGenerator(ReleasedGeneratorConfig(heads=3), 4, 8, generator_for(0))
