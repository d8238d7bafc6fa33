"""Fit a generator to real features of seen classes (PADing, eq. 7), and draw synthetic features from it.

Axes: G groups of a step (a class, or a single row where rows are drawn by image), U unseen classes, N rows of each,
K classes, D feature width, E text width.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.segmenter.optimisation import ScheduleConfig, learning_rate_factor
from pading.zeroshot.alignment import TAU
from pading.zeroshot.disentangle import Disentangler
from pading.zeroshot.features import Features, require_only
from pading.zeroshot.mmd import BANDWIDTHS, BandwidthScale, Estimator, mmd, mmd_per_class, safe_root, scaled_bandwidths
from pading.zeroshot.sampling import draw_by_class, draw_by_image
from pading.zeroshot.standardise import FeatureGenerator
from pading.zeroshot.structure import StructureConfig, structure_losses

# What is aligned with text: nothing, features as they are, or their related part (with the disentanglement terms).
Structure = Literal["none", "features", "related"]
Schedule = Literal["constant", "cosine", "polynomial", "step"]
MILESTONES = (0.7, 0.925)  # PADing's code, panoptic: steps 14,000 and 18,500 of 20,000


@dataclass(frozen=True, kw_only=True)
class GeneratorFitConfig:
    """Objective and schedule of a generator fit."""

    mmd: Literal["pooled", "per_class"] = "per_class"
    estimator: Estimator = "unbiased"
    root: bool = False
    bandwidths: tuple[float, ...] = BANDWIDTHS
    bandwidth_scale: BandwidthScale = "median"  # features carry the gain of their normalisation, the width does not
    bandwidth_factor: float = 16.0  # on top of the scale
    structure_weight: float = 0.01  # lambda of eq. (7); PADing's code has 1e-4 to 1e-3, but divides by all pairs
    tau: float = TAU
    structure: StructureConfig = field(default_factory=StructureConfig)
    steps: int = 1000
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"  # of the learning rate; "step" multiplies it by 0.1 at each of MILESTONES
    draw: Literal["by_class", "by_image"] = "by_class"
    classes_per_step: int = 16  # drawn by class: so many classes, and so many rows of each
    rows_per_class: int = 8
    images_per_step: int = 12  # drawn by image: every object row of so many images
    report_every: int = 100

    def __post_init__(self) -> None:
        if self.root and self.estimator == "unbiased":
            raise ValueError("the root of an unbiased discrepancy, which may be negative: set estimator to 'biased'")
        if self.draw == "by_image" and self.mmd == "per_class":
            raise ValueError(
                "rows drawn by image are too few of a class to compare class by class: set mmd to 'pooled'"
            )
        if self.structure_weight < 0 or self.tau <= 0 or self.bandwidth_factor <= 0:
            raise ValueError(
                f"structure_weight {self.structure_weight} may not be negative; tau {self.tau} and bandwidth_factor "
                f"{self.bandwidth_factor} must be positive"
            )
        counts = (self.steps, self.classes_per_step, self.images_per_step, self.report_every)
        if min(*counts, self.rows_per_class - 1) < 1:
            raise ValueError(
                f"steps, classes_per_step, images_per_step and report_every are {counts}: all must be at least 1, "
                f"rows_per_class {self.rows_per_class} at least 2"
            )


def fit_generator(
    generator: FeatureGenerator,
    structure: Structure,
    config: GeneratorFitConfig,
    real: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    seed: int,
) -> Iterator[dict[str, float]]:
    """Fit `generator` in place, yielding metrics every `report_every` steps and after the last.

    The loss is eq. (7), L_G + lambda (L_A + L_D): the discrepancy of real and synthetic seen features, the alignment
    with text, and the disentanglement terms; the last two as `structure` says. Rows without an object are not used.

    Raises:
        ValueError: if a real feature has an unseen label, or nothing but no-object is left.
    """
    require_only(real, [*classes.seen, classes.no_object], classes)
    real = real.where(real.labels != classes.no_object)
    device = real.embeddings.device
    batches = _draw(real, config, generator_for(seed, "generator batches", device=device))
    noise_source = generator_for(seed, "generator noise", device=device)
    bandwidths = tuple(config.bandwidth_factor * bandwidth for bandwidth in config.bandwidths)
    bandwidths = scaled_bandwidths(real.embeddings, bandwidths, config.bandwidth_scale)
    unseen = torch.tensor(classes.unseen, dtype=torch.int64, device=device)
    parameters = list(generator.parameters())
    disentangler: Disentangler | None = None
    if structure == "related":
        disentangler = Disentangler(
            real.embeddings.shape[1], text.shape[1], generator_for(seed, "disentangler weights")
        ).to(device)
        parameters += list(disentangler.parameters())
    optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
    schedule = ScheduleConfig(num_steps=config.steps, shape=config.schedule, milestones=MILESTONES)
    for step, rows in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(step, schedule)
        labels, real_rows = real.labels[rows[:, 0]], real.embeddings[rows]  # (G,), (G, N, D)
        sampled = labels if structure == "none" else torch.cat([labels, unseen])
        synthetic = generator(text[sampled], _noise(generator, len(sampled), rows.shape[1], noise_source))
        losses = {"mmd": _discrepancy(synthetic[: len(labels)], real_rows, bandwidths, config)}
        if structure != "none" and config.structure_weight > 0:
            seen, imagined = torch.cat([real_rows, synthetic[: len(labels)]]), synthetic[len(labels) :]
            terms = structure_losses(
                disentangler, seen, imagined, labels.repeat(2), unseen, text, config.tau, config.structure
            )
            losses |= {name: config.structure_weight * value for name, value in terms.items()}
        loss = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if (step + 1) % config.report_every == 0 or step + 1 == config.steps:
            yield {"step": step + 1.0, "loss": float(loss.detach())} | {
                f"loss/{name}": float(v.detach()) for name, v in losses.items()
            }


@torch.no_grad()
def synthesise(
    generator: FeatureGenerator, text: Float[Tensor, "K E"], wanted: tuple[int, ...], rows_per_class: int, seed: int
) -> Features:
    """Draw `rows_per_class` synthetic features for each wanted class; they carry no gradient, and image id -1."""
    noise = _noise(generator, len(wanted), rows_per_class, generator_for(seed, "synthetic noise", device=text.device))
    labels: Int64[Tensor, "R"] = torch.tensor(wanted, dtype=torch.int64, device=text.device)
    embeddings = generator(text[labels], noise).flatten(0, 1)
    labels = labels.repeat_interleave(rows_per_class)
    return Features(embeddings, labels, torch.full_like(labels, -1))


def _draw(real: Features, config: GeneratorFitConfig, randomness: torch.Generator) -> Iterable[Int64[Tensor, "G N"]]:
    """Return the row numbers of every step; those drawn by image are groups of one row each."""
    if config.draw == "by_image":
        return (
            rows.unsqueeze(1)
            for rows in draw_by_image(real.image_ids, config.steps, config.images_per_step, randomness)
        )
    return draw_by_class(real.labels, config.steps, config.classes_per_step, config.rows_per_class, randomness).rows


def _noise(generator: FeatureGenerator, num_classes: int, rows: int, source: torch.Generator) -> Float[Tensor, "K N D"]:
    return torch.randn(num_classes, rows, generator.noise_width, generator=source, device=source.device)


def _discrepancy(
    synthetic: Float[Tensor, "G N D"],
    real: Float[Tensor, "G N D"],
    bandwidths: tuple[float, ...],
    config: GeneratorFitConfig,
) -> Float[Tensor, ""]:
    if config.mmd == "pooled":
        value = mmd(synthetic.flatten(0, 1), real.flatten(0, 1), bandwidths, config.estimator)
    else:
        value = mmd_per_class(synthetic, real, bandwidths, config.estimator)
    return safe_root(value) if config.root else value
