import pytest
import torch
from torch.autograd import gradcheck

from pading.zeroshot.alignment import relationship_alignment
from tests.references import zeroshot_losses as reference


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_alignment_equals_the_literal_loops():
    rows = normal(4, 3), normal(4, 5, seed=1), normal(3, 3, seed=2), normal(3, 5, seed=3)
    expected = reference.relationship_alignment(*(row.numpy() for row in rows), 0.3)
    torch.testing.assert_close(relationship_alignment(*rows, 0.3).item(), expected)


def test_alignment_is_zero_when_features_relate_as_texts_do():
    text_seen, text_unseen = normal(5, 4), normal(2, 4, seed=1)
    rotation = torch.linalg.qr(normal(4, 4, seed=2)).Q
    value = relationship_alignment(3 * text_seen @ rotation, text_seen, 0.5 * text_unseen @ rotation, text_unseen)
    torch.testing.assert_close(value.item(), 0.0, rtol=0, atol=1e-12)
    assert relationship_alignment(text_seen.flip(0), text_seen, text_unseen, text_unseen) > 0.1


def test_gradients_are_right():
    text = normal(3, 4, seed=2), normal(2, 4, seed=3)
    seen, unseen = normal(3, 4).requires_grad_(), normal(2, 4, seed=1).requires_grad_()
    assert gradcheck(lambda a, b: relationship_alignment(a, text[0], b, text[1], 0.5), (seen, unseen))


def test_text_is_a_target_and_gets_no_gradient():
    seen, text = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_()
    relationship_alignment(seen, text, normal(2, 4, seed=2), normal(2, 4, seed=3)).backward()
    assert text.grad is None
    assert seen.grad.abs().sum() > 0


def test_what_cannot_be_aligned_is_refused():
    rows = torch.ones(2, 3)
    with pytest.raises(ValueError, match="tau is 0"):
        relationship_alignment(rows, rows, rows, rows, tau=0)
    with pytest.raises(ValueError, match="2 seen rows with 1 texts"):
        relationship_alignment(rows, rows[:1], rows, rows)
    with pytest.raises(ValueError, match="0 unseen rows"):
        relationship_alignment(rows, rows, rows[:0], rows[:0])
