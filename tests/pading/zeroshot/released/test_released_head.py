import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.released.head import ReleasedHeadConfig, class_weights, initial_head, no_object_factor
from tests.references import zeroshot_released as reference
from tests.references.zeroshot_world import world_of_combinations

CLASSES = world_of_combinations().classes  # nine classes, 4 and 8 unseen
OLD = LinearClassifier(
    torch.arange(30.0).view(10, 3), torch.arange(10.0)
)  # row k is (3k, 3k + 1, 3k + 2), and its bias k


def rows_of(head):
    return torch.cat([head.weight, head.bias.unsqueeze(1)], dim=1).detach()


def test_a_panoptic_head_starts_as_pretrained():
    assert torch.equal(rows_of(initial_head(OLD, CLASSES, ReleasedHeadConfig())), rows_of(OLD))


def test_other_heads_start_with_zero_rows_for_unseen_classes():
    rows = rows_of(initial_head(OLD, CLASSES, ReleasedHeadConfig(unseen_rows="zero")))
    changed = torch.tensor([4, 8])
    assert not rows[changed].any()
    kept = torch.tensor([k for k in range(10) if k not in (4, 8)])
    assert torch.equal(rows[kept], rows_of(OLD)[kept])


def test_the_published_slip_moves_no_object_to_the_first_unseen_class_and_only_when_asked():
    assert not ReleasedHeadConfig().zero_no_object_row
    rows = rows_of(initial_head(OLD, CLASSES, ReleasedHeadConfig(unseen_rows="zero", zero_no_object_row=True)))
    assert rows[4].tolist() == [27, 28, 29, 9]  # the old no-object row
    assert not rows[[8, 9]].any()
    assert torch.equal(rows[[0, 7]], rows_of(OLD)[[0, 7]])


def test_the_pretrained_head_is_left_alone():
    before = rows_of(OLD).clone()
    initial_head(OLD, CLASSES, ReleasedHeadConfig(zero_no_object_row=True)).weight.data.zero_()
    assert torch.equal(rows_of(OLD), before)


def features(labels, images):
    return Features(torch.zeros(len(labels), 3), torch.tensor(labels), torch.tensor(images))


def test_a_cached_no_object_row_stands_for_the_unmatched_queries_of_its_images():
    # Two images of 10 queries, 3 matched: 17 unmatched, of which 2 are kept: 8.5 each.
    kept = features([0, 1, 9, 3, 9], [1, 1, 1, 2, 2])
    assert no_object_factor(kept, CLASSES, 10) == 8.5
    assert no_object_factor(kept, CLASSES, 1) == 1.0
    assert no_object_factor(features([0, 1], [1, 1]), CLASSES, 10) == 1.0
    everything = features([0] + [9] * 9, [1] * 10)
    assert no_object_factor(everything, CLASSES, 10) == 1.0


def test_the_loss_is_divided_by_the_sum_of_the_weights_of_its_rows():
    # Ten outputs. Rows: a seen class, an unseen one and no-object, with weights 1, 5 and 0.1 (every query is cached).
    # The head says log 2 for the right class and 0 for the others where it is asked for class 0: log((9 + 2) / 2), and
    # nothing elsewhere: log 10. The loss is (1 log 5.5 + 5 log 10 + 0.1 log 10) / 6.1.
    config = ReleasedHeadConfig(queries_per_image=2)
    weights = class_weights(features([0, 9], [1, 1]), CLASSES, config)
    assert weights.tolist() == pytest.approx([1, 1, 1, 1, 5, 1, 1, 1, 5, 0.1])
    logits = torch.zeros(3, 10, dtype=torch.float64)
    logits[0, 0] = math.log(2)
    labels = torch.tensor([0, 4, 9])
    found = F.cross_entropy(logits, labels, weights.double())
    assert float(found) == pytest.approx((math.log(5.5) + 5.1 * math.log(10)) / 6.1)
    expected = reference.cross_entropy(logits.numpy(), labels.tolist(), weights.tolist())
    assert float(found) == pytest.approx(expected)


def test_weighing_up_equals_seeing_every_query():
    # Four unmatched queries alike, of which one is cached: the same loss, sum and divisor both.
    logits = torch.randn(2, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    config = ReleasedHeadConfig(queries_per_image=5)
    all_rows, kept = features([0, 9, 9, 9, 9], [1] * 5), features([0, 9], [1] * 2)
    losses = [
        F.cross_entropy(logits[[0, *[1] * (len(rows) - 1)]], rows.labels, class_weights(rows, CLASSES, config).double())
        for rows in (all_rows, kept)
    ]
    torch.testing.assert_close(*losses)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="unseen_per_step 0"):
        ReleasedHeadConfig(unseen_per_step=0)
    with pytest.raises(ValueError, match="none may be negative"):
        ReleasedHeadConfig(unseen_weight=-1.0)
    two = dataclasses.replace(CLASSES, names=("a", "b"), coco_ids=(1, 2), is_thing=(True, True), is_seen=(True, False))
    with pytest.raises(ValueError, match=r"old head has 10 outputs, class table .* needs 3"):
        initial_head(OLD, two, ReleasedHeadConfig())
