import math

import pytest
import torch

from pading.segmenter.points import (
    generator_on,
    importance_points,
    sample,
    sample_labelled,
    sample_together,
    uncertain_points,
    uniform_points,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_samples_are_bilinear_between_cell_centres_and_fade_beyond_the_border():
    maps = torch.tensor([[[1.0, 3.0], [5.0, 7.0]]])
    points = torch.tensor([[[0.25, 0.25], [0.5, 0.25], [0.5, 0.5], [1.0, 0.75]]])
    assert sample(maps, points).tolist() == [[1.0, 2.0, 4.0, 3.5]]
    assert sample_labelled(maps, points).tolist() == [[1.0, 2.0, 4.0, 7.0]]


def test_sampling_together_equals_sampling_each_map():
    maps, points = torch.randn(5, 4, 6, generator=generator()), torch.rand(7, 2, generator=generator(1))
    torch.testing.assert_close(sample_together(maps, points).T, sample(maps, points.expand(5, -1, -1)))


def test_uncertain_points_are_the_candidates_nearest_to_the_outline():
    step = torch.linspace(-3, 3, 7).expand(1, 7, 7)  # the logit is 0 at x = 1/2
    x = torch.tensor([0.1, 0.45, 0.8, 0.52, 0.3])
    candidates = torch.stack([x, torch.full_like(x, 0.5)], dim=1)
    chosen = uncertain_points(step, candidates, 2)
    assert sorted(chosen[0, :, 0].tolist()) == pytest.approx([0.45, 0.52])


def draw(logits, valid=None, **changes):
    settings = {"num_points": 400, "oversample": 3.0, "importance": 0.75, **changes}
    return importance_points(logits, torch.ones_like(logits) if valid is None else valid, generator(), **settings)


def test_three_quarters_of_the_points_gather_at_the_outline():
    points = draw(torch.linspace(-30, 30, 16).expand(3, 16, 16))
    assert points.shape == (3, 400, 2)
    near = ((points[..., 0] - 0.5).abs() < 0.15).float().mean(dim=1)
    assert (near > 0.75).all()
    assert (draw(torch.linspace(-30, 30, 16).expand(3, 16, 16), importance=0.0)[..., 0] - 0.5).abs().mean() > 0.2


def test_more_masks_than_fit_at_once_are_drawn_alike():
    logits = torch.linspace(-30, 30, 8).expand(300, 8, 8)
    points = draw(logits, num_points=20)
    assert points.shape == (300, 20, 2)
    assert len(points.sort(dim=1).values.unique(dim=0)) == 1


def test_points_of_a_mask_do_not_depend_on_the_others():
    logits = torch.randn(5, 8, 8, generator=generator(2))
    together = draw(logits, num_points=40)
    assert len(together.unique(dim=0)) == 5
    for index in range(5):
        assert torch.equal(draw(logits[index : index + 1], num_points=40)[0], together[index])


def test_nothing_is_uncertain_where_nothing_is_labelled():
    valid = torch.ones(1, 16, 16)
    valid[:, :8] = 0
    points = draw(torch.zeros(1, 16, 16), valid, importance=1.0, oversample=4.0)
    assert (points[..., 1] > 0.5 - 1 / 16).all()


def test_no_masks_have_no_points():
    assert draw(torch.zeros(0, 4, 4)).shape == (0, 400, 2)


def test_points_depend_on_the_generator_alone():
    device = torch.device("cpu")
    first, again = (uniform_points(5, device, generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, uniform_points(5, device, generator(4)))
    assert math.isclose(uniform_points(4000, device, generator()).mean().item(), 0.5, abs_tol=0.02)


def test_a_generator_of_another_device_only_gives_its_seed():
    own = generator(5)
    assert generator_on(torch.device("cpu"), own) is own
