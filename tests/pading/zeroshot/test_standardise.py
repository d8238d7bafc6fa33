import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.standardise import TYPICAL_LENGTH, Standardised


class Echo(torch.nn.Module):
    noise_width = 4

    def forward(self, text, noise):
        return text.unsqueeze(1) + noise


def test_the_generator_reads_texts_of_mean_zero_and_typical_length():
    text = torch.nn.functional.normalize(torch.randn(9, 4, generator=generator_for(0)) * 0.1 + 1, dim=1)
    read = Standardised(Echo(), text)(text, torch.zeros(9, 1, 4)).squeeze(1)
    torch.testing.assert_close(read.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(read.square().sum(dim=1).mean().sqrt(), torch.tensor(TYPICAL_LENGTH))


def test_one_text_is_read_the_same_alone_and_among_others():
    text = torch.randn(5, 4, generator=generator_for(1))
    generator, noise = Standardised(Echo(), text), torch.randn(5, 2, 4, generator=generator_for(2))
    torch.testing.assert_close(generator(text[3:4], noise[3:4]), generator(text, noise)[3:4])
    assert generator.noise_width == 4


def test_responses_are_to_the_text_that_the_generator_reads():
    text = torch.randn(5, 4, generator=generator_for(1)) + 3
    primitives = PrimitiveGenerator(PrimitiveConfig(num_primitives=6, heads=2), 4, 8, generator_for(0))
    generator = Standardised(primitives, text)
    read = (text - text.mean(dim=0)) * generator.scale
    torch.testing.assert_close(generator.responses(text), primitives.responses(read).detach())
    assert Standardised(Echo(), text).responses(text) is None


def test_equal_texts_do_not_divide_by_zero():
    assert Standardised(Echo(), torch.ones(3, 4))(torch.ones(3, 4), torch.zeros(3, 1, 4)).isfinite().all()


def test_a_single_text_is_refused():
    with pytest.raises(ValueError, match="1 class texts: pass at least two"):
        Standardised(Echo(), torch.ones(1, 4))


def test_raw_text_passes_as_it_is():
    text, noise = torch.randn(5, 4, generator=generator_for(3)), torch.randn(5, 2, 4, generator=generator_for(2))
    generator = Standardised(Echo(), text, standardise_text=False)
    assert torch.equal(generator.read(text), text)
    assert torch.equal(generator(text, noise), Echo()(text, noise))
