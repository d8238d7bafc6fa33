"""ZegFormer's equations: by hand, against literal loops, at both ends of lambda, and for queries without a region."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from pading.randomness import generator_for
from pading.zeroshot.zegformer import ZegformerConfig, fuse, geometric_means, region_probabilities
from tests.references import zegformer_loops as literal

IS_SEEN = torch.tensor([True, True, False, False])
OF_QUERIES = torch.tensor([[0.64, 0.04, 0.08, 0.04, 0.2], [0.1, 0.1, 0.1, 0.1, 0.6]], dtype=torch.float64)
OF_REGIONS = torch.tensor([[0.1, 0.1, 0.6, 0.0, 0.2], [0.0, 0.0, 0.0, 0.4, 0.6]], dtype=torch.float64)


def world(seed: int, queries: int = 5, classes: int = 6, width: int = 4):
    randomness = generator_for(seed, "zegformer")
    draw = lambda *shape: torch.randn(*shape, generator=randomness, dtype=torch.float64)  # noqa: E731
    is_seen = torch.rand(classes, generator=randomness) < 0.5
    is_seen[0] = True
    return draw(queries, width), draw(classes, width), 3 * draw(queries, classes + 1), is_seen


def test_by_the_published_constants_worked_by_hand() -> None:
    means = geometric_means(OF_QUERIES, OF_REGIONS, IS_SEEN, ZegformerConfig())
    average = 0.1  # (0.1 + 0.1) / 2
    of_seen = [0.64 ** (2 / 3) * average ** (1 / 3), 0.04 ** (2 / 3) * average ** (1 / 3)]
    expected = [*of_seen, 0.08 ** (1 / 3) * 0.6 ** (2 / 3), 0.0]
    assert means[0].tolist() == pytest.approx(expected)


def test_the_average_over_seen_classes_is_taken_after_no_object_was_dropped() -> None:
    """Twice the no-object leaves half the average: it is not made to sum to one again."""
    sure, unsure = OF_REGIONS[:1], OF_REGIONS[:1].clone()
    unsure[:, :4] /= 2
    unsure[:, 4] = 0.6
    config = ZegformerConfig(weight=0.5)
    means = [geometric_means(OF_QUERIES[:1], regions, IS_SEEN, config) for regions in (sure, unsure)]
    assert_close(means[1], means[0] / math.sqrt(2))


def test_at_one_seen_classes_are_the_classifiers_and_unseen_ones_the_regions() -> None:
    means = geometric_means(OF_QUERIES, OF_REGIONS, IS_SEEN, ZegformerConfig(weight=1.0))
    assert_close(means[:, :2], OF_QUERIES[:, :2])
    assert_close(means[:, 2:], OF_REGIONS[:, 2:4])


def test_at_zero_unseen_classes_are_the_classifiers_and_seen_ones_are_all_alike() -> None:
    means = geometric_means(OF_QUERIES, OF_REGIONS, IS_SEEN, ZegformerConfig(weight=0.0))
    assert_close(means[:, 2:], OF_QUERIES[:, 2:4])
    assert_close(means[:, :2], OF_REGIONS[:, :2].mean(dim=1, keepdim=True).expand(-1, 2))


def test_fusing_all_classes_has_no_average() -> None:
    config = ZegformerConfig(fused_classes="all")
    means = geometric_means(OF_QUERIES, OF_REGIONS, IS_SEEN, config)
    assert_close(means, OF_QUERIES[:, :4] ** (1 / 3) * OF_REGIONS[:, :4] ** (2 / 3))


@given(seed=st.integers(0, 10**6), weight=st.floats(0, 1), objectness=st.sampled_from(["kept", "borrowed"]),
       fused_classes=st.sampled_from(["unseen", "all"]))  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_both_branches_equal_the_literal_loops(seed, weight, objectness, fused_classes) -> None:
    regions, text, logits, is_seen = world(seed)
    regions[2] = torch.nan
    config = ZegformerConfig(weight=weight, objectness=objectness, fused_classes=fused_classes)
    of_regions = region_probabilities(regions, text, 7.0, logits, objectness)
    expected = literal.region_probabilities(regions.tolist(), text.tolist(), 7.0, logits.tolist(), objectness)
    assert_close(of_regions, torch.tensor(expected, dtype=torch.float64))
    of_queries = logits.softmax(dim=1)
    arguments = (of_queries.tolist(), expected, is_seen.tolist(), weight, fused_classes)
    means = torch.tensor(literal.geometric_means(*arguments), dtype=torch.float64)
    assert_close(geometric_means(of_queries, of_regions, is_seen, config), means)
    fused = torch.tensor(literal.fuse(*arguments), dtype=torch.float64)
    assert_close(fuse(of_queries, of_regions, is_seen, config), fused)


def test_of_both_rules_the_classes_have_the_odds_of_clip() -> None:
    regions, text, logits, _ = world(1)
    kept, borrowed = (region_probabilities(regions, text, 7.0, logits, rule) for rule in ("kept", "borrowed"))
    assert_close(kept[:, :-1] / kept[:, :1], borrowed[:, :-1] / borrowed[:, :1])
    assert_close(kept[:, -1], logits.softmax(dim=1)[:, -1])
    for probabilities in (kept, borrowed):
        assert_close(probabilities.sum(dim=1), torch.ones(5, dtype=torch.float64))


def test_the_length_of_a_region_and_of_a_text_does_not_count() -> None:
    regions, text, logits, _ = world(2)
    expected = region_probabilities(regions, text, 7.0, logits, "kept")
    assert_close(region_probabilities(9 * regions, text / 5, 7.0, logits, "kept"), expected)


@pytest.mark.parametrize("weight", [0.2, 0.5, 2 / 3])
def test_a_query_without_a_region_is_left_to_the_classifier_and_the_others_do_not_notice(weight: float) -> None:
    regions, text, logits, is_seen = world(3)
    pruned = regions.clone()
    pruned[1] = torch.nan
    config = ZegformerConfig(weight=weight)
    both = [
        fuse(logits.softmax(dim=1), region_probabilities(given, text, 7.0, logits, "kept"), is_seen, config)
        for given in (regions, pruned)
    ]
    others = [0, 2, 3, 4]
    assert torch.equal(both[0][others], both[1][others])
    assert torch.equal(both[1][1], logits.softmax(dim=1)[1])
    assert region_probabilities(pruned, text, 7.0, logits, "kept")[1].tolist() == [0.0] * text.shape[0] + [1.0]


@given(seed=st.integers(0, 10**6), weight=st.floats(0.05, 0.95))
@settings(max_examples=25, deadline=None)
def test_fused_rows_are_distributions_with_the_classifiers_no_object_and_the_order_of_the_means(seed, weight) -> None:
    regions, text, logits, is_seen = world(seed)
    config = ZegformerConfig(weight=weight)
    of_queries, of_regions = logits.softmax(dim=1), region_probabilities(regions, text, 7.0, logits, "kept")
    fused = fuse(of_queries, of_regions, is_seen, config)
    assert_close(fused.sum(dim=1), torch.ones(5, dtype=torch.float64))
    assert torch.equal(fused[:, -1], of_queries[:, -1])
    means = geometric_means(of_queries, of_regions, is_seen, config)
    assert torch.equal(fused[:, :-1].argmax(dim=1), means.argmax(dim=1))


@pytest.mark.parametrize("weight", [0.5, 2 / 3, 1.0])
def test_odds_between_seen_classes_are_those_of_the_classifier(weight: float) -> None:
    fused = fuse(OF_QUERIES, OF_REGIONS, IS_SEEN, ZegformerConfig(weight=weight))
    assert float(fused[0, 0] / fused[0, 1]) == pytest.approx(0.64 / 0.04)


def test_a_classifier_that_is_sure_of_no_object_stays_so_in_single_precision() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0, 300.0]])
    of_regions = region_probabilities(torch.ones(1, 3), torch.eye(4, 3) + 0.1, 100.0, logits, "kept")
    fused = fuse(logits.softmax(dim=1), of_regions, IS_SEEN, ZegformerConfig())
    assert fused.tolist() == [[0.0, 0.0, 0.0, 0.0, 1.0]]


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weight is 1\.5: lambda is a share"):
        ZegformerConfig(weight=1.5)
    with pytest.raises(ValueError, match="no class is seen"):
        fuse(OF_QUERIES, OF_REGIONS, torch.zeros(4, dtype=torch.bool), ZegformerConfig())
