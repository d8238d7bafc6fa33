"""The loop of PADing's code: generator and class head take turns, one step each, on the same images.

Axes: R rows of a step, N of them objects, U unseen classes, K classes, D feature width, E text width.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.segmenter.optimisation import ScheduleConfig, learning_rate_factor
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features, require_only
from pading.zeroshot.fit_generator import MILESTONES, Schedule, Structure
from pading.zeroshot.released.generator import ReleasedGenerator, ReleasedGeneratorConfig
from pading.zeroshot.released.head import ReleasedHeadConfig, class_weights, initial_head
from pading.zeroshot.released.objective import auxiliary_classification, root_discrepancy
from pading.zeroshot.released.structure import ReleasedDisentangler, ReleasedStructureConfig, structure_terms
from pading.zeroshot.sampling import draw_by_image
from pading.zeroshot.standardise import Standardised


@dataclass(frozen=True, kw_only=True)
class ReleasedConfig:
    """Every setting of the published loop; defaults are those of the panoptic task, `profiles.py` has all."""

    generator: ReleasedGeneratorConfig = field(default_factory=ReleasedGeneratorConfig)
    structure: ReleasedStructureConfig = field(default_factory=ReleasedStructureConfig)
    head: ReleasedHeadConfig = field(default_factory=ReleasedHeadConfig)
    structure_weight: float = 1e-4  # lambda of eq. (7)
    auxiliary_weight: float = 0.001
    auxiliary_outputs: int = 156  # a constant of the code; see `auxiliary_classification`
    images_per_step: int = 12
    steps: int = 20_000
    learning_rate: float = 5e-4  # of Adam, which has everything but the head
    schedule: Schedule = "step"  # of Adam alone
    report_every: int = 500

    def __post_init__(self) -> None:
        counts = (self.auxiliary_outputs, self.images_per_step, self.steps, self.report_every)
        if min(counts) < 1:
            raise ValueError(
                f"auxiliary_outputs, images_per_step, steps and report_every are {counts}: all must be at least 1"
            )
        if min(self.structure_weight, self.auxiliary_weight) < 0:
            raise ValueError(
                f"structure_weight {self.structure_weight} and auxiliary_weight {self.auxiliary_weight}: "
                "neither may be negative"
            )


def fit_interleaved(
    generator: Standardised,
    structure: Structure,
    config: ReleasedConfig,
    real: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    old_head: LinearClassifier,
    seed: int,
) -> Generator[dict[str, float], None, LinearClassifier]:
    """Fit `generator` in place and a class head beside it; yield metrics, return the head.

    A step takes every cached row of `images_per_step` images that show an object. The generator imitates the object
    rows, one synthetic row for each. Then the head is fitted on all rows and on one fresh synthetic row of each of
    `unseen_per_step` unseen classes, from the generator as it is after its step.

    Raises:
        ValueError: if a real feature has an unseen label, nothing but no-object is left, or the head has not K + 1
            outputs.
    """
    require_only(real, [*classes.seen, classes.no_object], classes)
    device, width = real.embeddings.device, real.embeddings.shape[1]
    seen, unseen = (torch.tensor(group, dtype=torch.int64, device=device) for group in (classes.seen, classes.unseen))
    is_object = real.labels != classes.no_object
    shows_object = torch.isin(real.image_ids, real.image_ids[is_object])
    candidates = shows_object.nonzero().squeeze(1)
    batches = draw_by_image(
        real.image_ids[candidates], config.steps, config.images_per_step,
        generator_for(seed, "released images", device=device),
    )  # fmt: skip
    weights = class_weights(real, classes, config.head)
    noise, choices, patterns = (
        generator_for(seed, f"released {purpose}", device=device) for purpose in ("noise", "choices", "patterns")
    )
    disentangler: ReleasedDisentangler | None = None
    parameters = list(generator.parameters())
    if structure == "related":
        dropout, randomness = config.structure.dropout, generator_for(seed, "disentangler weights")
        disentangler = ReleasedDisentangler(width, dropout, randomness).to(device)
        parameters += list(disentangler.parameters())
    adam = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
    head = initial_head(old_head, classes, config.head).to(device)
    sgd = torch.optim.SGD(
        head.parameters(), lr=config.head.learning_rate, momentum=config.head.momentum,
        weight_decay=config.head.weight_decay,
    )  # fmt: skip
    schedule = ScheduleConfig(num_steps=config.steps, shape=config.schedule, milestones=MILESTONES)
    for step, batch in enumerate(batches):
        for group in adam.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(step, schedule)
        rows = candidates[batch]
        # The generator's step: one synthetic row for each object row.
        objects = rows[is_object[rows]]
        labels = real.labels[objects]
        synthetic = sample(generator, text[labels], noise)
        losses = {
            "mmd": root_discrepancy(synthetic, real.embeddings[objects]),
            "auxiliary": config.auxiliary_weight
            * auxiliary_classification(synthetic, labels, head, config.auxiliary_outputs),
        }
        if structure != "none" and config.structure_weight > 0 and len(unseen):
            inner = generator.generator
            assert isinstance(inner, ReleasedGenerator)  # no other generator is aligned with text
            terms = structure_terms(
                disentangler, synthetic, labels, sample(generator, text[unseen], noise),
                inner.project(generator.read(text)), seen, unseen, config.structure, patterns,
            )  # fmt: skip
            losses |= {name: config.structure_weight * value for name, value in terms.items()}
        loss = torch.stack(list(losses.values())).sum()
        _descend(adam, loss)
        # The head's step, on the same images and on what the generator now makes of some unseen classes.
        chosen = unseen[torch.randperm(len(unseen), generator=choices, device=device)[: config.head.unseen_per_step]]
        with torch.no_grad():
            imagined = sample(generator, text[chosen], noise)
        head_loss = F.cross_entropy(
            head(torch.cat([real.embeddings[rows], imagined])), torch.cat([real.labels[rows], chosen]), weights
        )
        _descend(sgd, head_loss)
        if (step + 1) % config.report_every == 0 or step + 1 == config.steps:
            yield (
                {"generator/step": step + 1.0, "generator/loss": float(loss.detach())}
                | {f"generator/loss/{name}": float(value.detach()) for name, value in losses.items()}
                | {"classifier/step": step + 1.0, "classifier/loss": float(head_loss.detach())}
            )
    return head


def sample(generator: Standardised, text: Float[Tensor, "N E"], randomness: torch.Generator) -> Float[Tensor, "N D"]:
    """Return one synthetic feature for each text, from fresh noise; gradients flow."""
    noise = torch.randn(len(text), 1, generator.noise_width, generator=randomness, device=text.device)
    synthetic: Float[Tensor, "N 1 D"] = generator(text, noise)
    return synthetic.squeeze(1)


def _descend(optimizer: torch.optim.Optimizer, loss: Float[Tensor, ""]) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
