"""How much a class that came by name may take of the rows of known classes."""

import pytest
import torch

from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.restrain import restrain


def head_over(gaps: list[float], num_outputs: int = 3) -> tuple[LinearClassifier, torch.Tensor]:
    """A head whose output 1 exceeds output 0 by each gap on one row, and the rows; the last output is far below."""
    weight = torch.zeros(num_outputs, 1)
    weight[1] = 1
    bias = torch.full((num_outputs,), -100.0)
    bias[:2] = 0
    return LinearClassifier(weight, bias), torch.tensor(gaps)[:, None]


def taken(classifier: LinearClassifier, rows: torch.Tensor, newcomer: int = 1) -> int:
    return int((classifier(rows).argmax(dim=1) == newcomer).sum())


def test_a_newcomer_takes_its_share_and_no_more():
    head, rows = head_over([3.0, 2.0, 1.0, -1.0])
    assert taken(head, rows) == 3
    for share, expected in ((0.0, 0), (0.25, 1), (0.49, 1), (0.5, 2), (0.74, 2)):
        restrained = restrain(head, [1], rows, share)
        assert taken(restrained, rows) == expected
    assert restrain(head, [1], rows, 0.25).bias[1] == -2.0  # by hand: the second of them is no more than even


def test_who_takes_less_than_the_share_stays_as_it_is():
    head, rows = head_over([3.0, -2.0, -1.0, -1.0])
    same = restrain(head, [1], rows, 0.5)
    assert torch.equal(same.bias, head.bias)
    assert torch.equal(same.weight, head.weight)


def test_what_one_newcomer_may_take_does_not_depend_on_another():
    torch.manual_seed(0)
    head, rows = LinearClassifier(torch.randn(5, 4), torch.randn(5)), torch.randn(2000, 4)
    both, reverse = restrain(head, [1, 3], rows, 0.01), restrain(head, [3, 1], rows, 0.01)
    assert torch.equal(both.bias, reverse.bias)
    alone = LinearClassifier(both.weight[[0, 1, 2, 4]], both.bias[[0, 1, 2, 4]])
    assert taken(alone, rows) <= 20
    assert taken(head, rows) > 200
    assert torch.equal(head.bias[[0, 2, 4]], both.bias[[0, 2, 4]])


def test_a_share_that_is_none_and_no_rows_are_refused():
    head, rows = head_over([1.0])
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match="at least 0 and below 1"):
            restrain(head, [1], rows, share)
    with pytest.raises(ValueError, match="no row that a newcomer could take"):
        restrain(head, [1], rows[:0], 0.1)
