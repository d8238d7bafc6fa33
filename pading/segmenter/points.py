"""Places in [0, 1]^2 where masks are compared: uniform for matching, near the predicted outlines for the loss.

Axes: N masks, B images, C maps of an image, P points, h w map sides; a point is (x, y).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pading.segmenter.bilinear import corners, padded_rows, read_bags, shares, steps

MASKS_AT_ONCE = 128  # bounds the memory of logits at the candidates, three times as many as points
CERTAIN = 1e4  # a logit nowhere near an outline


def sample(maps: Float[Tensor, "N h w"], points: Float[Tensor, "N P 2"]) -> Float[Tensor, "N P"]:
    """Return each map at its own points, interpolated bilinearly between cell centres, with zeros around the map."""
    return F.grid_sample(maps[:, None], (2 * points - 1)[:, :, None], align_corners=False)[:, 0, :, 0]


def sample_labelled(valid: Float[Tensor, "N h w"], points: Float[Tensor, "N P 2"]) -> Float[Tensor, "N P"]:
    """Return how much of each point is labelled: like `sample`, but a map goes on beyond its border."""
    grid = (2 * points - 1)[:, :, None]
    return F.grid_sample(valid[:, None], grid, padding_mode="border", align_corners=False)[:, 0, :, 0]


def sample_together(maps: Float[Tensor, "C h w"], points: Float[Tensor, "P 2"]) -> Float[Tensor, "P C"]:
    """Return many maps at the same points: a point reads its four cells of all maps in one go."""
    return sample_table(table_of(maps), (maps.shape[1], maps.shape[2]), points)


def table_of(maps: Float[Tensor, "C h w"]) -> Float[Tensor, "R C"]:
    """Return maps as a table of cells, to be sampled more than once."""
    return padded_rows(maps.permute(1, 2, 0)[None])[0]


def sample_table(
    table: Float[Tensor, "R C"], size: tuple[int, int], points: Float[Tensor, "P 2"]
) -> Float[Tensor, "P C"]:
    """Return maps of a height and a width, given as a table, at the same points."""
    height, width = torch.tensor(size, dtype=torch.int32, device=table.device)
    first, right, below = corners(points, height, width)
    return read_bags(table, first[:, None] + steps(width), shares(right, below, 1.0))


def uncertain_points(
    logits: Float[Tensor, "N h w"], candidates: Float[Tensor, "O 2"], num_points: int
) -> Float[Tensor, "N P 2"]:
    """Return for each mask the `num_points` candidates where its logit is nearest to 0 (PointRend)."""
    certainty = sample_together(logits, candidates).abs_().T.contiguous()  # (N, O)
    return candidates[certainty.topk(num_points, dim=1, largest=False, sorted=False).indices]


def importance_points(
    logits: Float[Tensor, "N h w"],
    valid: Float[Tensor, "N h w"],
    generator: torch.Generator,
    *,
    num_points: int,
    oversample: float,
    importance: float,
) -> Float[Tensor, "N P 2"]:
    """Return random points for every mask: a share `importance` of them uncertain, the others uniform.

    Uncertain ones are the best of `oversample * num_points` uniform candidates. Where nothing is labelled there is
    nothing to be uncertain about. All masks choose among the same candidates and share the uniform points, so what is
    drawn does not depend on which masks there are: workers, or parts of a batch, whose generators agree come to the
    loss of the whole.
    """
    device = logits.device
    generator = generator_on(device, generator)
    num_uncertain = int(importance * num_points)
    candidates = torch.rand(int(oversample * num_points), 2, generator=generator, device=device)
    uniform = torch.rand(num_points - num_uncertain, 2, generator=generator, device=device)
    outlines = logits.masked_fill(valid == 0, CERTAIN)
    uncertain = [uncertain_points(some, candidates, num_uncertain) for some in torch.split(outlines, MASKS_AT_ONCE)]
    return torch.cat([torch.cat(uncertain), uniform.expand(len(logits), -1, -1)], dim=1)


def uniform_points(num_points: int, device: torch.device, generator: torch.Generator) -> Float[Tensor, "P 2"]:
    """Return points drawn uniformly from the image."""
    return torch.rand(num_points, 2, generator=generator_on(device, generator), device=device)


def generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """Return a generator for a device: the given one, or one whose seed it draws, so that no points are carried."""
    if generator.device == device:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator(device).manual_seed(int(seed))
