import pytest
import torch
import torch.nn.functional as F

from pading.segmenter.pointwise import Pointwise, pointwise


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("has_bias", [True, False])
def test_it_is_a_convolution_with_its_gradients(stride, has_bias):
    x, weight = maps(2, 3, 5, 4).requires_grad_(), maps(6, 3, 1, 1, seed=1).requires_grad_()
    bias = maps(6, seed=2).requires_grad_() if has_bias else None
    learned = [tensor for tensor in (x, weight, bias) if tensor is not None]
    mine, other = pointwise(x, weight, bias, stride), F.conv2d(x, weight, bias, stride)
    torch.testing.assert_close(mine, other)
    along = maps(*other.shape, seed=3)
    for gradient, wanted in zip(
        torch.autograd.grad(mine, learned, along), torch.autograd.grad(other, learned, along), strict=True
    ):
        torch.testing.assert_close(gradient, wanted)


def test_what_does_not_learn_gets_no_gradient():
    x, weight = maps(1, 3, 2, 2), maps(4, 3, 1, 1, seed=1).requires_grad_()
    pointwise(x, weight, None).sum().backward()
    assert x.grad is None
    torch.testing.assert_close(weight.grad[:, :, 0, 0], x.sum(dim=(0, 2, 3)).expand(4, -1))


def test_the_result_owns_its_memory_with_channels_together():
    made = pointwise(maps(2, 3, 4, 5).requires_grad_(), maps(6, 3, 1, 1), None)
    assert not made._is_view()
    assert made.is_contiguous(memory_format=torch.channels_last)


def test_a_change_in_place_has_the_gradient_of_a_change_in_a_copy():
    x, weight = maps(2, 3, 4, 5).requires_grad_(), maps(6, 3, 1, 1, seed=1)
    (in_place,) = torch.autograd.grad(pointwise(x, weight, None).add_(1).relu_().square().sum(), x)
    (in_a_copy,) = torch.autograd.grad((F.conv2d(x, weight) + 1).relu().square().sum(), x)
    torch.testing.assert_close(in_place, in_a_copy)


def test_autocast_makes_the_product_in_half_precision_and_its_gradients_in_that_of_the_weights():
    layer, x = Pointwise(8, 16), maps(2, 8, 3, 3).float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    assert made.dtype == torch.bfloat16
    made.float().square().sum().backward()
    exact = torch.nn.Conv2d(8, 16, 1)
    exact.load_state_dict(layer.state_dict())
    again = x.detach().clone().requires_grad_()
    exact(again).square().sum().backward()
    for mine, other in [(x, again), (layer.weight, exact.weight), (layer.bias, exact.bias)]:
        assert mine.grad.dtype == torch.float32
        assert (mine.grad - other.grad).norm() < 0.02 * other.grad.norm()  # a bfloat16 has 8 bits
