import pytest
import torch

from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.confidence import matching_factor, mean_confidence, with_confidence_of
from pading.zeroshot.fit_classifier import silence_unseen
from tests.references.zeroshot_world import world_of_combinations


def head(scale=1.0, seed=0):
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed))
    return LinearClassifier(scale * weight, scale * torch.arange(5.0))


ROWS = torch.randn(300, 8, generator=torch.Generator().manual_seed(9))


def test_confidence_is_the_mean_of_the_largest_probabilities():
    logits = torch.tensor([[0.0, 0.0], [0.0, 3.0]]).log1p()  # probabilities 1/2 1/2 and 1/5 4/5
    assert mean_confidence(logits) == pytest.approx((0.5 + 0.8) / 2)
    assert mean_confidence(logits, 2.0) == pytest.approx((0.5 + 16 / 17) / 2)


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_a_scaled_copy_gets_its_scale_back(scale):
    assert matching_factor(head(scale), head(), ROWS) == pytest.approx(1 / scale, rel=1e-4)


def test_another_head_becomes_as_sure_and_names_the_same_classes():
    unsure = head(0.3, seed=1)
    sure = with_confidence_of(head(), unsure, ROWS)
    assert mean_confidence(sure(ROWS)) == pytest.approx(mean_confidence(head()(ROWS)), abs=1e-4)
    assert torch.equal(sure(ROWS).argmax(dim=1), unsure(ROWS).argmax(dim=1))


def test_silenced_classes_do_not_disturb_the_reference():
    world = world_of_combinations()
    reference = silence_unseen(world.old_head, world.classes)
    assert 0.01 < matching_factor(world.old_head, reference, world.train.embeddings) < 64


def test_many_rows_are_thinned_evenly():
    many = ROWS.repeat_interleave(100, dim=0)
    assert matching_factor(head(0.5), head(), many) == pytest.approx(2.0, rel=1e-3)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no row to compare"):
        matching_factor(head(), head(), ROWS[:0])
