import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from pading.randomness import generator_for
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.mmd import BANDWIDTHS, mmd
from pading.zeroshot.released.objective import auxiliary_classification, root_discrepancy
from tests.references import zeroshot_released as reference


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_root_discrepancy_equals_the_literal_loops():
    x, y = 2 * normal(5, 4), 1 + 2 * normal(5, 4, seed=1)
    expected = reference.root_discrepancy(x.numpy(), y.numpy())
    assert float(root_discrepancy(x, y)) == pytest.approx(expected, abs=1.1e-4)  # the root's floor


def test_two_points_worked_by_hand():
    # One row each at squared distance 4: k(0) = 6 kernels, k(4) = sum exp(-2 / v) over v = 2, 5, 10, 20, 40, 80; the
    # squared discrepancy is 12 - 2 k(4).
    apart = sum(math.exp(-2 / v) for v in (2, 5, 10, 20, 40, 80))
    value = root_discrepancy(torch.zeros(1, 1, dtype=torch.float64), torch.full((1, 1), 2.0, dtype=torch.float64))
    assert float(value) == pytest.approx(math.sqrt(12 - 2 * apart), abs=1.1e-4)


def test_the_root_has_a_finite_gradient_where_both_samples_are_one():
    x = normal(4, 3).requires_grad_()
    root_discrepancy(x, x.detach().clone()).backward()
    assert x.grad.isfinite().all()


def test_gradients_are_right():
    x, y = 2 * normal(3, 2), 1 + normal(3, 2, seed=1)
    assert gradcheck(root_discrepancy, (x.requires_grad_(), y.requires_grad_()))
    head = LinearClassifier(normal(5, 3), normal(5))
    labels = torch.tensor([0, 3, 1])
    assert gradcheck(lambda a: auxiliary_classification(a, labels, head, 4), (normal(3, 3).requires_grad_(),))


def worlds(kind, draws=60, num_rows=92, classes=30):
    """Real and generated rows of width 256 and squared length 256: centres plus spread, |x - y|^2 about 100 in a class.

    A unit Gaussian vector of width D has squared length D, so shares a + b = 1 of centre and spread give 2 D b inside a
    class: b = 100 / 512; between classes it is 2 D = 512.
    """
    randomness = torch.Generator().manual_seed(0)

    def gaussian(*shape):
        return torch.randn(*shape, generator=randomness, dtype=torch.float64)

    b = 100 / 512
    for _ in range(draws):
        centres = math.sqrt(1 - b) * gaussian(classes, 256)
        labels = torch.randint(classes, (num_rows,), generator=randomness)
        imagined = labels if kind == "same" else (labels + 1) % classes
        real = centres[labels] + math.sqrt(b) * gaussian(num_rows, 256)
        generated = centres[imagined] + math.sqrt(b) * gaussian(num_rows, 256)
        yield (gaussian(num_rows, 256) if kind == "noise" else generated), real


# By hand, for kernels summed over v. inside = sum exp(-100 / 2v) = .2865 + .5353 + .0821 + .0067 + .0000 = .9107 and
# between = sum exp(-512 / 2v) = .0017 + .0408 = .0424 (v = 40 and 80; the rest is nothing); k(x, x) = 6.
# same:  labels agree row by row, so all pairs cancel but those of a row with itself and with its partner:
#        2 / 92 (6 - .9107) = .1106, root .333
# moved: a pair is of one class 1 time in 30 within a set (unless it is a row with itself) and across the sets:
#        m = .9107 / 30 + .0424 * 29 / 30 = .0714; 2 (6 - m) / 92 = .1289, root .359
# noise: across and among the generated rows everything is `between`; among real rows 1 pair in 30 is not:
#        2 (6 - .0424) / 92 + 91 / 92 (.9107 - .0424) / 30 = .1582, root .398
@pytest.mark.parametrize(("kind", "by_hand"), [("same", 0.333), ("moved", 0.359), ("noise", 0.398)])
def test_the_range_of_the_published_loss_is_narrow(kind, by_hand):
    values = [float(root_discrepancy(*pair)) for pair in worlds(kind)]
    assert sum(values) / len(values) == pytest.approx(by_hand, abs=0.004)


def test_without_bias_and_root_equal_distributions_score_zero():
    draws = torch.stack([torch.stack(pair) for pair in worlds("same", draws=30, classes=1)])
    values = mmd(draws[:, 0], draws[:, 1], BANDWIDTHS, "unbiased")
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(len(values))
    assert values.std() < 0.1 * 0.333**2


def test_only_the_first_outputs_take_part():
    head, rows, labels = LinearClassifier(normal(6, 3), normal(6)), normal(4, 3, seed=2), torch.tensor([0, 2, 1, 2])
    logits = rows @ head.weight.T + head.bias
    torch.testing.assert_close(auxiliary_classification(rows, labels, head, 3), F.cross_entropy(logits[:, :3], labels))
    everything = F.cross_entropy(logits, labels)  # no-object included: the published slice of 156 cuts nothing here
    torch.testing.assert_close(auxiliary_classification(rows, labels, head, 156), everything)


def test_the_head_gets_no_gradient_from_the_generators_classification():
    head = LinearClassifier(*(torch.randn(*s, generator=generator_for(0)) for s in ((6, 3), (6,))))
    rows = torch.randn(4, 3, generator=generator_for(1)).requires_grad_()
    auxiliary_classification(rows, torch.tensor([0, 2, 1, 2]), head, 156).backward()
    assert rows.grad.abs().sum() > 0
    assert head.weight.grad is None
    assert head.bias.grad is None


def test_labels_beyond_the_outputs_are_refused():
    head = LinearClassifier(torch.zeros(6, 3), torch.zeros(6))
    with pytest.raises(ValueError, match="a label is 4, but only the first 3 outputs take part"):
        auxiliary_classification(torch.zeros(2, 3), torch.tensor([1, 4]), head, 3)
