"""Which rows each step of a fit looks at: so many of a class, drawn for all steps at once, or all of some images.

Axes: S steps, G classes of a step, N rows of each class, R rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor


class Draws(NamedTuple):
    """For every step its classes (distinct) and, for each of them, row numbers (with repetition)."""

    classes: Int64[Tensor, "S G"]
    rows: Int64[Tensor, "S G N"]


def draw_by_class(
    labels: Int64[Tensor, "R"], steps: int, classes_per_step: int, rows_per_class: int, randomness: torch.Generator
) -> Draws:
    """Draw class-balanced batches: every class that occurs is as likely as any other, however many rows it has.

    Where fewer than `classes_per_step` classes occur, each step takes all of them. The draws depend on the labels and
    on `randomness` only.

    Raises:
        ValueError: if there is no row.
    """
    if not len(labels):
        raise ValueError("there is no feature to draw from: cache features of at least one seen class first")
    order = labels.argsort(stable=True)
    occurring, counts = torch.unique_consecutive(labels[order], return_counts=True)
    starts = counts.cumsum(0) - counts
    width = min(classes_per_step, len(occurring))
    chosen = torch.rand(steps, len(occurring), generator=randomness, device=labels.device).argsort(dim=1)[:, :width]
    position = torch.rand(steps, width, rows_per_class, generator=randomness, device=labels.device)
    offsets = (position * counts[chosen].unsqueeze(2)).long()  # below the count: float32 draws are at most 1 - 2^-24
    offsets = torch.minimum(offsets, counts[chosen].unsqueeze(2) - 1)
    return Draws(occurring[chosen], order[starts[chosen].unsqueeze(2) + offsets])


def draw_by_image(
    image_ids: Int64[Tensor, "R"], steps: int, images_per_step: int, randomness: torch.Generator
) -> Iterator[Int64[Tensor, "_"]]:
    """Yield, for each step, the numbers of all rows of some random images, as the published training has them.

    Images come in a random order, all of them before any comes again; rows of an image stay in their order. How many
    rows a step has depends on its images.

    Raises:
        ValueError: if there is no row, or no image is asked for.
    """
    if not len(image_ids):
        raise ValueError("there is no feature to draw from: cache features of at least one seen class first")
    if images_per_step < 1:
        raise ValueError(f"{images_per_step} images a step: ask for at least one")
    return _rows_of_images(image_ids, steps, images_per_step, randomness)


def _rows_of_images(
    image_ids: Int64[Tensor, "R"], steps: int, images_per_step: int, randomness: torch.Generator
) -> Iterator[Int64[Tensor, "_"]]:
    device = image_ids.device
    order = image_ids.argsort(stable=True)
    _, counts = torch.unique_consecutive(image_ids[order], return_counts=True)
    starts = counts.cumsum(0) - counts
    waiting = torch.empty(0, dtype=torch.int64, device=device)  # images of the orders drawn so far
    for _ in range(steps):
        while len(waiting) < images_per_step:
            waiting = torch.cat([waiting, torch.randperm(len(counts), generator=randomness, device=device)])
        images, waiting = waiting[:images_per_step], waiting[images_per_step:]
        sizes = counts[images]
        ends = sizes.cumsum(0)
        within = torch.arange(int(ends[-1]), device=device) - (ends - sizes).repeat_interleave(sizes)
        yield order[starts[images].repeat_interleave(sizes) + within]
