"""Eq. (3)-(7) as printed, by literal loops: what the profile `paper` minimises."""

import pytest
import torch
from torch.autograd import gradcheck

from pading.randomness import generator_for
from pading.zeroshot.disentangle import Disentangler
from pading.zeroshot.fit_generator import fit_generator
from pading.zeroshot.methods import build_generator
from pading.zeroshot.mmd import mmd, scaled_bandwidths
from pading.zeroshot.profiles import PAPER_DEVIATIONS, paper, with_steps
from pading.zeroshot.structure import structure_losses
from tests.references import zeroshot_losses as reference
from tests.references import zeroshot_released as released
from tests.references.zeroshot_world import WIDTH, world_of_combinations

CONFIG = paper().generator


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_discrepancy_is_the_printed_sum_with_deviations():
    real, generated = 9 * normal(5, 4), 3 + 9 * normal(4, 4, seed=1)
    found = mmd(generated, real, scaled_bandwidths(real, CONFIG.bandwidths, CONFIG.bandwidth_scale), CONFIG.estimator)
    expected = released.printed_discrepancy(generated.numpy(), real.numpy(), PAPER_DEVIATIONS)
    assert float(found) == pytest.approx(expected)
    assert gradcheck(
        lambda a, b: mmd(a, b, CONFIG.bandwidths, "biased"), (generated.requires_grad_(), real.requires_grad_())
    )


def structure(disentangler, seen, unseen, text):
    """The paper's terms of two seen rows, real and synthetic, and one synthetic row of each of three unseen classes."""
    labels = torch.tensor([0, 3, 0, 3]), torch.tensor([1, 2, 4])
    return structure_losses(
        disentangler, seen.unsqueeze(1), unseen.unsqueeze(1), *labels, text, CONFIG.tau, CONFIG.structure
    )


def test_structure_is_summed_over_groups_and_averaged_over_rows_real_and_synthetic():
    disentangler = Disentangler(6, 5, generator_for(0)).double()
    seen, unseen, text = normal(4, 6), normal(3, 6, seed=1), normal(5, 5, seed=2)
    found = {name: value.item() for name, value in structure(disentangler, seen, unseen, text).items()}
    rows = torch.cat([seen, unseen])
    related, unrelated, rebuilt = (part.detach().numpy() for part in disentangler(rows))
    labels, projected = [0, 3, 0, 3, 1, 2, 4], disentangler.text(text).detach().numpy()
    scores = released.cosines(related, projected) / 0.1
    expected = {
        "related": released.cross_entropy(scores, labels, [1.0] * 5),
        "unrelated": reference.gaussian_prior(unrelated),
        "reconstruction": abs(rebuilt - rows.numpy()).mean(),
        "alignment": reference.relationship_alignment(
            related[:4], text[labels[:4]].numpy(), related[4:], text[labels[4:]].numpy(), 0.1
        ),
    }
    assert found == pytest.approx(expected)


def test_gradients_of_the_structure_are_right_and_text_is_a_fixed_target():
    disentangler = Disentangler(6, 5, generator_for(0)).double()
    inputs = normal(4, 6).requires_grad_(), normal(3, 6, seed=1).requires_grad_()
    text = normal(5, 5, seed=2)
    assert gradcheck(lambda a, b: sum(structure(disentangler, a, b, text).values()), inputs)
    text.requires_grad_()
    structure(disentangler, *inputs, text)["alignment"].backward()
    assert text.grad is None


def test_a_step_takes_every_object_of_its_images_and_weighs_the_structure_by_lambda():
    world = world_of_combinations()
    config = with_steps(paper(), 1).generator
    generator = build_generator("pading", paper(), world.text, WIDTH, 0)
    (metrics,) = fit_generator(generator, "related", config, world.train, world.text, world.classes, 0)
    assert metrics["loss"] == pytest.approx(sum(v for name, v in metrics.items() if name.startswith("loss/")))
    assert metrics["loss/related"] == pytest.approx(0.01 * 2, abs=0.02)  # 0.01 log 9, a little more at the start


def test_rows_drawn_by_image_cannot_be_compared_class_by_class():
    with pytest.raises(ValueError, match="set mmd to 'pooled'"):
        type(CONFIG)(draw="by_image", mmd="per_class")
