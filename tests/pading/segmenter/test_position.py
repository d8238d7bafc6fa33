import math

import pytest
import torch

from pading.segmenter.position import published_positions, sine_positions

CPU = torch.device("cpu")


def test_a_vector_holds_sine_and_cosine_of_row_then_column():
    grid = sine_positions(2, 4, 4, CPU).view(2, 4, 4)
    row, column = 2 * math.pi * 1.5 / 2, 2 * math.pi * 2.5 / 4
    expected = torch.tensor([math.sin(row), math.cos(row), math.sin(column), math.cos(column)])
    torch.testing.assert_close(grid[1, 2], expected)


def test_cells_of_one_map_differ():
    grid = sine_positions(6, 6, 16, CPU)
    assert torch.cdist(grid, grid).fill_diagonal_(1).min() > 0.1


def test_a_coarse_cell_lies_between_the_fine_cells_that_it_covers():
    fine, coarse = sine_positions(8, 8, 64, CPU).view(8, 8, 64), sine_positions(4, 4, 64, CPU).view(4, 4, 64)
    distance = (fine.reshape(64, 64) - coarse[1, 2]).norm(dim=1).view(8, 8)
    assert sorted(distance.flatten().topk(4, largest=False).indices.tolist()) == [
        2 * 8 + 4,
        2 * 8 + 5,
        3 * 8 + 4,
        3 * 8 + 5,
    ]


def test_widths_that_do_not_split_in_four_are_refused():
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        sine_positions(2, 2, 6, CPU)


def test_published_positions_are_sines_and_cosines_of_the_far_edge_side_by_side():
    positions = published_positions(2, 4, 8, CPU)
    assert positions.shape == (8, 8)
    row, column = 2 * math.pi * 1 / 2, 2 * math.pi * 3 / 4  # of the cell in row 0 and column 2
    expected = [f(angle * factor) for angle in (row, column) for factor in (1.0, 0.01) for f in (math.sin, math.cos)]
    torch.testing.assert_close(positions[2], torch.tensor(expected), rtol=0, atol=1e-5)


def test_published_positions_need_a_multiple_of_four():
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        published_positions(2, 2, 6, CPU)
