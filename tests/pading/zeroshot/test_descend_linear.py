import math

import pytest
import torch
import torch.nn.functional as F

from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.descend_linear import descend_linear

ROWS, WIDTH, OUTPUTS, STEPS = 60, 7, 5, 40


def problem():
    random = torch.Generator().manual_seed(0)
    embeddings = torch.randn(ROWS, WIDTH, generator=random)
    labels = torch.randint(OUTPUTS, (ROWS,), generator=random)
    weights = torch.tensor([1.0, 5.0, 1.0, 0.1, 2.0])
    batches = torch.randint(ROWS, (STEPS, 16), generator=random)
    head = LinearClassifier(torch.randn(OUTPUTS, WIDTH, generator=random), torch.randn(OUTPUTS, generator=random))
    return head, embeddings, labels, weights, batches


def by_autograd(head, embeddings, labels, weights, batches, learning_rate, weight_decay):
    optimizer = torch.optim.AdamW(head.parameters(), lr=learning_rate, weight_decay=weight_decay)
    losses = []
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / len(batches)))
        loss = F.cross_entropy(head(embeddings[batch]), labels[batch], weight=weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_descent_is_the_one_of_autograd():
    ours, theirs = problem(), problem()
    losses = [metrics["loss"] for metrics in descend_linear(*ours, 1e-2, 1e-1, report_every=1)]
    assert losses == pytest.approx(by_autograd(*theirs, 1e-2, 1e-1), rel=1e-6)
    torch.testing.assert_close(ours[0].weight, theirs[0].weight, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours[0].bias, theirs[0].bias, rtol=1e-6, atol=1e-6)


def test_reports_come_every_so_often_and_the_head_is_then_up_to_date():
    head, *rest = problem()
    seen = []
    for metrics in descend_linear(head, *rest, 1e-2, 0.0, report_every=15):
        seen.append((metrics["step"], head.weight.detach().clone()))
    assert [step for step, _ in seen] == [15, 30, 40]
    assert not torch.equal(seen[0][1], seen[1][1])
    assert torch.equal(seen[-1][1], head.weight)


def test_a_first_step_worked_by_hand():
    # one row x = 2 of class 0, two outputs, zero head: p = (1/2, 1/2), loss log 2; Adam's first step is the sign
    head = LinearClassifier(torch.zeros(2, 1), torch.zeros(2))
    batches = torch.zeros(1, 1, dtype=torch.int64)
    (metrics,) = descend_linear(head, torch.tensor([[2.0]]), torch.tensor([0]), torch.ones(2), batches, 0.1, 0.0, 1)
    assert metrics == {"step": 1.0, "loss": pytest.approx(math.log(2))}
    torch.testing.assert_close(head.weight.detach(), torch.tensor([[0.1], [-0.1]]))
    torch.testing.assert_close(head.bias.detach(), torch.tensor([0.1, -0.1]))
