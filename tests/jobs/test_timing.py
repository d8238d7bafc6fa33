import time

import pytest
import torch

from jobs.timing import StepSeconds, Stopwatch


class Slow(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.02)
        return x


def test_parts_add_up_until_a_lap() -> None:
    stopwatch, model = Stopwatch(synchronised=False), Slow()
    stopwatch.watch(model)
    for _ in range(2):
        model(torch.ones(1))
    stopwatch.start()
    stopwatch.stop("optimizer")
    seconds = stopwatch.lap()
    assert 0.04 <= seconds.forward < 5
    assert 0 < seconds.optimizer < seconds.forward
    assert seconds.backward == 0
    assert stopwatch.lap() == StepSeconds()


def test_a_call_without_gradients_is_no_part_of_a_step() -> None:
    stopwatch, model = Stopwatch(synchronised=True), Slow()
    stopwatch.watch(model)
    with torch.no_grad():
        model(torch.ones(1))
    assert stopwatch.lap().forward == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_synchronised_watch_sees_the_work_of_the_gpu() -> None:
    square = torch.randn(8192, 8192, device="cuda")
    torch.cuda.synchronize()
    found = []
    for synchronised in (False, True):
        stopwatch = Stopwatch(synchronised=synchronised)
        stopwatch.start()
        for _ in range(10):
            square @ square
        stopwatch.stop("forward")
        found.append(stopwatch.lap().forward)
        torch.cuda.synchronize()
    assert found[1] > 5 * found[0]
