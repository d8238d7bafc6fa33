import pytest
import torch
from numpy.testing import assert_allclose
from torch.autograd import gradcheck

from pading.segmenter.deformable import DeformableAttention, deformable_attention
from tests.references.deformable_loops import deformable_attention as by_loops

SIZES = [(2, 3), (4, 5)]
CELLS = 26


def inputs(seed=0, queries=6, dtype=torch.float64):
    """Values of two images and places of which some lie outside, on the border and on cell centres."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(2, CELLS, 2, 3, generator=random, dtype=dtype)
    places = torch.rand(2, queries, 2, 2, 4, 2, generator=random, dtype=dtype) * 1.6 - 0.3
    places[0, 0, 0, 0, 0] = torch.tensor([0.5, 0.25])
    places[0, 0, 0, 1, 0] = torch.tensor([0.0, 1.0])
    weights = torch.randn(2, queries, 2, 2, 4, generator=random, dtype=dtype)
    return values, places, weights


def test_the_bag_of_rows_equals_the_loop_over_corners():
    values, places, weights = inputs()
    read = deformable_attention(values, SIZES, places, weights)
    assert_allclose(read, by_loops(values.numpy(), SIZES, places.numpy(), weights.numpy()), rtol=1e-12, atol=1e-12)


def test_gradients_match_finite_differences():
    values, places, weights = inputs(queries=2)
    places = places + 0.013  # off the cell centres, where interpolation has a kink
    arguments = tuple(x.requires_grad_() for x in (values, places, weights))
    assert gradcheck(lambda v, p, w: deformable_attention(v, SIZES, p, w), arguments)


def test_a_place_at_a_cell_centre_reads_that_cell_of_its_own_image_and_head():
    values = torch.arange(2.0 * CELLS * 2).view(2, CELLS, 2, 1)
    places = torch.tensor([(3 + 0.5) / 5, (2 + 0.5) / 4]).expand(2, 1, 2, 2, 1, 2)
    weights = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2, 1).expand(2, 1, 2, 2, 1)
    cell = 6 + 2 * 5 + 3  # behind the six cells of the first level
    read = deformable_attention(values, SIZES, places, weights)
    torch.testing.assert_close(read[:, 0], values[:, cell, :, 0])


def test_places_far_outside_read_nothing():
    values, places, weights = inputs(dtype=torch.float32)
    assert not deformable_attention(values, SIZES, places + 40, weights).any()
    assert not deformable_attention(values, SIZES, places - 40, weights).any()


def test_a_module_that_starts_as_rings_reads_the_mean_of_its_rings():
    attention = DeformableAttention(16, 4, 2, 3)
    attention.start_as_rings()
    offsets = attention.offsets.bias.view(4, 2, 3, 2)
    torch.testing.assert_close(offsets[:, 0], offsets[:, 1])
    torch.testing.assert_close(offsets[:, 0].abs().amax(dim=2), torch.tensor([1.0, 2.0, 3.0]).expand(4, -1))
    torch.testing.assert_close(offsets[0, 0], torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]))
    constant = torch.ones(1, CELLS, 16)
    inside = torch.tensor([[0.5, 0.5]])
    attention.offsets.bias.data.mul_(0.01)  # so that nothing is read from outside
    read = attention(torch.randn(1, 1, 16), constant, SIZES, inside)
    torch.testing.assert_close(read, attention.out(attention.value(constant[:, :1])))


def test_offsets_are_in_cells_of_each_level():
    attention = DeformableAttention(4, 1, 2, 1)
    attention.start_as_rings()  # one cell to the right on either level
    values = torch.zeros(1, CELLS, 4)
    values[0, 1] = 1.0  # row 0, column 1 of 2 x 3
    values[0, 6 + 3] = 2.0  # row 0, column 3 of 4 x 5
    with torch.no_grad():
        for layer in (attention.value, attention.out):
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
    for reference, expected in (([0.5 / 3, 0.5 / 2], 1.0), ([2.5 / 5, 0.5 / 4], 2.0)):
        read = attention(torch.zeros(1, 1, 4), values, SIZES, torch.tensor([reference]))
        assert read[0, 0, 0].item() >= 0.5 * expected - 1e-6


def test_places_stay_exact_under_autocast():
    attention = DeformableAttention(16, 4, 2, 3)
    attention.start_as_rings()
    query, cells, reference = torch.randn(1, 5, 16), torch.randn(1, CELLS, 16), torch.rand(5, 2)
    with torch.autocast("cpu", torch.bfloat16):
        half = attention(query, cells, SIZES, reference)
    exact = attention(query, cells, SIZES, reference)
    assert half.dtype == torch.bfloat16
    assert (half - exact).norm() < 0.02 * exact.norm()


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="a width of 10 does not split into 4 heads"):
        DeformableAttention(10, 4, 1, 1)
