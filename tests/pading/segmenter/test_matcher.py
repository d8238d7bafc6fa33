import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import linear_sum_assignment

from pading.segmenter.matcher import (
    LossWeights,
    assign,
    match,
    match_final,
    matching_cost,
    matching_cost_at_points,
)
from pading.segmenter.segmenter import Prediction
from pading.segmenter.targets import targets_from_batch
from tests.references.segmenter_loops import MASK2FORMER, MASKFORMER, cost_matrix


def stack(predictions):
    return torch.stack([p.class_logits for p in predictions]), torch.stack([p.mask_logits for p in predictions])


@pytest.mark.parametrize("weights", [MASK2FORMER, MASKFORMER])
def test_batched_cost_equals_the_loop_over_pixels(predictions, targets, label_maps, weights):
    class_logits, mask_logits = (x.detach() for x in stack(predictions))
    names = ("classification", "cross_entropy", "dice", "focal")
    named = LossWeights(**dict(zip(names, weights, strict=True)))
    cost = matching_cost(class_logits, mask_logits, targets, named).numpy()
    for layer in range(3):
        for image in range(4):
            arguments = (
                class_logits[layer, image],
                mask_logits[layer, image],
                label_maps[image],
                targets.classes[image],
            )
            expected, labels = cost_matrix(*(x.tolist() for x in arguments), weights=weights)
            assert_allclose(cost[layer, image][:, np.array(labels, dtype=int) - 1], expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), queries=st.integers(1, 6), segments=st.integers(0, 8))
def test_assignment_is_one_to_one_and_of_least_cost(seed, queries, segments):
    random = np.random.default_rng(seed)
    cost, is_segment = random.normal(size=(2, 3, queries, segments)), random.random((3, segments)) < 0.7
    found = assign(cost, is_segment)
    for layer in range(2):
        for image in range(3):
            chosen = found[layer, image] >= 0
            assert not (chosen & ~is_segment[image]).any()
            assert chosen.sum() == min(queries, is_segment[image].sum()) == len(set(found[layer, image][chosen]))
            mine = cost[layer, image][found[layer, image][chosen], np.flatnonzero(chosen)].sum()
            least = cost[layer, image][:, is_segment[image]]
            assert mine == pytest.approx(least[linear_sum_assignment(least)].sum())


def test_matching_follows_a_permutation_of_the_queries(predictions, targets):
    class_logits, mask_logits = stack(predictions)
    order = torch.tensor([3, 0, 4, 1, 2])
    found = match(class_logits, mask_logits, targets, LossWeights())
    permuted = match(class_logits[:, :, order], mask_logits[:, :, order], targets, LossWeights())
    torch.testing.assert_close(torch.where(permuted >= 0, order[permuted], -1), found)
    assert (found >= 0).any()


def test_a_perfect_query_is_matched_to_its_segment(targets):
    masks = 20 * (targets.masks[:, :3] - 0.5)
    classes = 20.0 * torch.nn.functional.one_hot(targets.classes[:, :3].clamp(min=0), 7)
    order = torch.tensor([2, 0, 1])
    labels, segments = match_final(Prediction(torch.zeros(4, 3, 8), classes[:, order], masks[:, order]), targets)
    assert segments.tolist() == [[2, 0, 1], [-1, -1, -1], [2, 0, 1], [2, 0, -1]]
    assert labels.tolist() == [[1, 3, 1], [6, 6, 6], [2, 0, 5], [0, 4, 6]]


def test_final_labels_are_classes_of_matched_segments_and_no_object_elsewhere(predictions, targets):
    labels, segments = match_final(predictions[-1], targets)
    assert (labels[segments < 0] == 6).all()
    image, query = (segments >= 0).nonzero(as_tuple=True)
    assert labels[image, query].tolist() == targets.classes[image, segments[image, query]].tolist()
    assert len(image) == int(targets.num_masks)


def test_segments_that_outnumber_the_queries_stay_unmatched():
    label_map = torch.tensor([[1, 2, 3]], dtype=torch.uint8).repeat_interleave(4, 1).expand(1, 1, 4, -1)
    targets = targets_from_batch(label_map, torch.tensor([[0, 1, 2]]))
    prediction = Prediction(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4), torch.randn(1, 2, 1, 3))
    labels, segments = match_final(prediction, targets)
    assert (labels < 3).all()
    assert len(set(segments[0].tolist())) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_predictions_that_are_not_finite_are_named_by_image(predictions, targets, value):
    class_logits, mask_logits = (x.detach().clone() for x in stack(predictions))
    mask_logits[1, 2, 0, 0, 0] = value
    with pytest.raises(ValueError, match=r"images \[12\] are not finite"):
        match(class_logits, mask_logits, targets, LossWeights())


def test_weights_scale_their_own_term(predictions, targets):
    class_logits, mask_logits = (x.detach() for x in stack(predictions))
    zero = LossWeights(classification=0, cross_entropy=0, dice=0)
    parts = [dataclasses.replace(zero, **{name: 1.0}) for name in ("classification", "cross_entropy", "dice", "focal")]
    costs = [matching_cost(class_logits, mask_logits, targets, part) for part in parts]
    total = matching_cost(class_logits, mask_logits, targets, LossWeights(focal=20.0))
    torch.testing.assert_close(2 * costs[0] + 5 * costs[1] + 5 * costs[2] + 20 * costs[3], total)


@pytest.mark.parametrize("num_points", [20, 5000])  # fewer and more than a table of 16 x 16 cells has rows
@torch.no_grad()
def test_costs_at_points_are_the_same_from_embeddings_and_from_maps(segmenter, targets, num_points):
    random = torch.Generator().manual_seed(3)
    large = dataclasses.replace(targets, masks=targets.masks.repeat(1, 1, 4, 4), valid=targets.valid.repeat(1, 4, 4))
    made = segmenter(torch.randint(0, 256, (4, 3, 64, 64), generator=random, dtype=torch.uint8))
    bare = [dataclasses.replace(prediction, mask_embeddings=None, mask_features=None) for prediction in made]
    points = torch.rand(num_points, 2, generator=random)
    weights = LossWeights(focal=20.0)
    mine, other = (matching_cost_at_points(p, large, weights, points) for p in (made, bare))
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
