import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from pading.randomness import generator_for
from pading.zeroshot.disentangle import DisentangleConfig, Disentangler, Parts, disentanglement, gaussian_prior
from tests.references import zeroshot_losses as reference


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_prior_is_zero_for_a_standardised_batch():
    rows = normal(50, 3)
    standardised = (rows - rows.mean(dim=0)) / rows.std(dim=0, correction=0)
    torch.testing.assert_close(gaussian_prior(standardised).item(), 0.0, rtol=0, atol=1e-12)


def test_prior_worked_by_hand():
    # one dimension {0, 4}: mean 2, variance 4, so (4 + 4 - log 4 - 1) / 2
    rows = torch.tensor([[0.0], [4.0]], dtype=torch.float64)
    torch.testing.assert_close(gaussian_prior(rows).item(), (7 - math.log(4)) / 2)


def test_prior_equals_the_literal_loops_and_its_gradient_is_right():
    rows = 1 + 2 * normal(6, 3)
    torch.testing.assert_close(gaussian_prior(rows).item(), reference.gaussian_prior(rows.numpy()))
    assert gradcheck(gaussian_prior, (rows.requires_grad_(),))


def test_prior_of_a_collapsed_batch_is_large_and_its_gradient_finite():
    rows = torch.ones(4, 2, requires_grad=True)
    value = gaussian_prior(rows)
    value.backward()
    assert value > 5
    assert rows.grad.isfinite().all()


def test_prior_needs_two_rows():
    with pytest.raises(ValueError, match="moments of 1 rows"):
        gaussian_prior(torch.ones(1, 2))


def test_terms_are_classification_prior_and_mean_absolute_error():
    disentangler = Disentangler(6, 4, generator_for(0, "test")).double()
    features, text, labels = normal(5, 6), normal(3, 4, seed=1), torch.tensor([0, 2, 1, 1, 0])
    config = DisentangleConfig(related_weight=2, unrelated_weight=3, reconstruction_weight=5, temperature=0.5)
    parts = disentangler(features)
    terms = disentanglement(disentangler, parts, features, labels, text, config)
    projected = text @ disentangler.text.weight.T + disentangler.text.bias
    expected = 0.0
    for related, label in zip(parts.related, labels, strict=True):
        scores = [F.cosine_similarity(related, row, dim=0) / 0.5 for row in projected]
        expected -= 2 * (scores[label] - torch.stack(scores).logsumexp(0)) / 5
    torch.testing.assert_close(terms["related"], expected)
    torch.testing.assert_close(terms["unrelated"], 3 * gaussian_prior(parts.unrelated))
    torch.testing.assert_close(terms["reconstruction"], 5 * (parts.reconstruction - features).abs().mean())


def test_reconstruction_sees_both_parts():
    disentangler = Disentangler(6, 4, generator_for(0, "test"))
    parts: Parts = disentangler(torch.randn(5, 6, generator=generator_for(1)))
    parts.reconstruction.sum().backward()
    for encoder in (disentangler.related, disentangler.unrelated):
        assert encoder[0].weight.grad.abs().sum() > 0


def test_first_weights_depend_on_the_generator_alone():
    first, second = (Disentangler(6, 4, generator_for(3, "test")).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
