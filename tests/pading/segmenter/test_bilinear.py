import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from pading.segmenter.bilinear import corners, padded_rows, read_bags, shares, steps
from pading.segmenter.pointwise import Pointwise, pointwise


def read(maps, places):
    """Interpolate (h, w, C) at places (N, 2)."""
    height, width = torch.tensor(maps.shape[:2], dtype=torch.int32)
    first, right, below = corners(places, height, width)
    return read_bags(padded_rows(maps[None])[0], first[:, None] + steps(width), shares(right, below, 1.0))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 5), width=st.integers(1, 5), far=st.floats(0.0, 3.0))
def test_bags_of_corners_equal_grid_sample_inside_on_the_border_and_outside(seed, height, width, far):
    random = torch.Generator().manual_seed(seed)
    maps = torch.randn(height, width, 3, generator=random, dtype=torch.float64)
    places = torch.rand(20, 2, generator=random, dtype=torch.float64) * (1 + 2 * far) - far
    places[:4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-0.5 / width, 0.5], [1 + 0.5 / width, 1 + 0.5 / height]])
    wanted = F.grid_sample(maps.permute(2, 0, 1)[None], (2 * places - 1)[None, None], align_corners=False)[0, :, 0].T
    torch.testing.assert_close(read(maps, places), wanted)


def test_gradients_of_table_places_and_weights_match_finite_differences():
    random = torch.Generator().manual_seed(0)
    table = torch.randn(7, 2, generator=random, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([[0, 0, 3], [6, 2, 0]], dtype=torch.int32)  # rows read twice, once and never
    weights = torch.randn(2, 3, generator=random, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda t, w: read_bags(t, rows, w), (table, weights))
    maps = torch.randn(3, 4, 2, generator=random, dtype=torch.float64, requires_grad=True)
    places = (torch.rand(6, 2, generator=random, dtype=torch.float64) * 1.2 - 0.1).requires_grad_()
    assert gradcheck(read, (maps, places))


def test_rows_that_no_bag_reads_get_no_gradient():
    table = torch.ones(5, 2, requires_grad=True)
    read_bags(table, torch.tensor([[1, 3]], dtype=torch.int32), torch.ones(1, 2)).sum().backward()
    assert table.grad[:, 0].tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("stride", [1, 2])
def test_a_pointwise_convolution_is_a_convolution(stride):
    x, weight, bias = torch.randn(2, 3, 4, 6), torch.randn(5, 3, 1, 1), torch.randn(5)
    torch.testing.assert_close(pointwise(x, weight, bias, stride), F.conv2d(x, weight, bias, stride))
    module = Pointwise(3, 5)
    torch.testing.assert_close(module(x), F.conv2d(x, module.weight, module.bias))
    assert module(x).is_contiguous(memory_format=torch.channels_last)
