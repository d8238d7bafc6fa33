"""Fit classifiers of query embeddings: retrain a linear head with synthetic unseen features, or project to text.

Axes: R rows, K classes, S steps, D feature width, E text width.
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.classifier import TEMPERATURE, CosineClassifier, LinearClassifier
from pading.zeroshot.confidence import with_confidence_of
from pading.zeroshot.descend_linear import descend_linear
from pading.zeroshot.features import Features, require_only
from pading.zeroshot.initialise import xavier_uniform

NO_OBJECT_WEIGHT = 0.1  # Mask2Former


@dataclass(frozen=True, kw_only=True)
class ClassifierFitConfig:
    """Loss weights and schedule of a classifier fit; every step takes real rows and synthetic unseen rows."""

    unseen_weight: float = 5.0  # PADing's code, panoptic
    no_object_weight: float = NO_OBJECT_WEIGHT
    synthetic_per_class: int = 500
    match_confidence: bool = True
    """Scale the logits until the head is as sure of real seen rows as the old one (docs/decisions/0008)."""
    steps: int = 1000  # a longer fit forgets unseen classes
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4  # PADing's code
    real_rows: int = 256
    synthetic_rows: int = 64
    report_every: int = 500

    def __post_init__(self) -> None:
        counts = (self.synthetic_per_class, self.steps, self.real_rows, self.synthetic_rows, self.report_every)
        if min(counts) < 1:
            raise ValueError(
                f"synthetic_per_class, steps, real_rows, synthetic_rows, report_every are {counts}: all >= 1"
            )
        if min(self.unseen_weight, self.no_object_weight) < 0:
            raise ValueError(f"class weights {self.unseen_weight} and {self.no_object_weight}: none may be negative")


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """Schedule of a cosine head's fit."""

    temperature: float = TEMPERATURE
    no_object_weight: float = NO_OBJECT_WEIGHT
    steps: int = 1500
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4
    rows: int = 256
    report_every: int = 500


def retrain_head(
    config: ClassifierFitConfig,
    real: Features,
    synthetic: Features,
    classes: ClassTable,
    old_head: LinearClassifier,
    seed: int,
) -> Generator[dict[str, float], None, LinearClassifier]:
    """Retrain the head on real seen, real no-object and synthetic unseen features; yield metrics, return the new head.

    The loss is a weighted cross-entropy over K + 1 outputs: 1 for seen classes, `unseen_weight` and `no_object_weight`
    for the others, normalised by the sum of weights. With `match_confidence` all logits are multiplied by one factor in
    the end, which changes no answer but how sure it is.

    Raises:
        ValueError: if a real feature has an unseen label, or a synthetic one a seen label.
    """
    require_only(real, [*classes.seen, classes.no_object], classes)
    require_only(synthetic, classes.unseen, classes)
    device = real.embeddings.device
    weights = torch.ones(classes.num_classes + 1, device=device)
    weights[list(classes.unseen)] = config.unseen_weight
    weights[classes.no_object] = config.no_object_weight
    randomness = generator_for(seed, "classifier batches", device=device)
    rows = _draw(len(real), config.steps, config.real_rows, randomness)
    if len(synthetic):
        extra = _draw(len(synthetic), config.steps, config.synthetic_rows, randomness)
        rows = torch.cat([rows, len(real) + extra], dim=1)
    classifier = expand_head(old_head, classes).to(device)
    yield from descend_linear(
        classifier,
        torch.cat([real.embeddings, synthetic.embeddings.detach()]),
        torch.cat([real.labels, synthetic.labels]),
        weights, rows, config.learning_rate, config.weight_decay, config.report_every,
    )  # fmt: skip
    objects = real.embeddings[real.labels != classes.no_object]
    if config.match_confidence and len(objects):
        return with_confidence_of(silence_unseen(old_head, classes).to(device), classifier, objects)
    return classifier


def expand_head(old_head: LinearClassifier, classes: ClassTable) -> LinearClassifier:
    """Return a copy of a head in which every unseen row is the mean seen row; no-object stays last.

    Raises:
        ValueError: if the head has not K + 1 outputs.
    """
    if len(old_head.bias) != classes.num_classes + 1:
        raise ValueError(
            f"old head has {len(old_head.bias)} outputs, class table {classes.name!r} needs {classes.num_classes + 1}: "
            "use the head and the table of one segmenter"
        )
    weight, bias = old_head.weight.detach().clone(), old_head.bias.detach().clone()
    seen, unseen = list(classes.seen), list(classes.unseen)
    weight[unseen], bias[unseen] = weight[seen].mean(dim=0), bias[seen].mean()
    return LinearClassifier(weight, bias)


def silence_unseen(old_head: LinearClassifier, classes: ClassTable) -> LinearClassifier:
    """Return a copy of a head that can never emit an unseen class: their logits are minus infinity."""
    head = expand_head(old_head, classes)
    with torch.no_grad():
        head.weight[list(classes.unseen)] = 0
        head.bias[list(classes.unseen)] = -math.inf
    return head


def fit_projection(
    config: ProjectionConfig, real: Features, text: Float[Tensor, "K E"], classes: ClassTable, seed: int
) -> Generator[dict[str, float], None, CosineClassifier]:
    """Fit a cosine head on the frozen features of seen classes; yield metrics, return the head with all K text rows.

    Only seen texts and no-object compete while fitting; all K texts compete in the head that is returned. The segmenter
    was trained with its own linear head: this differs from ZegFormer, which trains the network under the cosine head.

    Raises:
        ValueError: if a real feature has an unseen label.
    """
    require_only(real, [*classes.seen, classes.no_object], classes)
    device, width, text_width = real.embeddings.device, real.embeddings.shape[1], text.shape[1]
    seen = torch.tensor(classes.seen, device=device)
    column = torch.full((classes.num_classes + 1,), -1, device=device)
    column[seen] = torch.arange(len(seen), device=device)
    column[classes.no_object] = len(seen)
    initial = generator_for(seed, "projection weights")
    fitted = CosineClassifier(
        xavier_uniform(text_width, width, initial), torch.zeros(text_width), text[seen].cpu(),
        xavier_uniform(1, text_width, initial)[0], config.temperature,
    ).to(device)  # fmt: skip
    weights = torch.ones(len(seen) + 1, device=device)
    weights[-1] = config.no_object_weight
    rows = _draw(len(real), config.steps, config.rows, generator_for(seed, "projection batches", device=device))
    yield from _descend(
        fitted, real.embeddings, column[real.labels], weights, rows, config.learning_rate, config.weight_decay,
        config.report_every,
    )  # fmt: skip
    return CosineClassifier(fitted.weight, fitted.bias, text, fitted.no_object, config.temperature).to(device)


def _draw(num_rows: int, steps: int, batch: int, randomness: torch.Generator) -> Int64[Tensor, "S B"]:
    if not num_rows:
        raise ValueError("there is no real feature to fit a classifier on: cache features first")
    return torch.randint(num_rows, (steps, batch), generator=randomness, device=randomness.device)


def _descend(
    classifier: CosineClassifier,
    embeddings: Float[Tensor, "R D"],
    labels: Int64[Tensor, "R"],
    class_weights: Float[Tensor, "K+1"],
    rows: Int64[Tensor, "S B"],
    learning_rate: float,
    weight_decay: float,
    report_every: int,
) -> Iterator[dict[str, float]]:
    """Minimise the weighted cross-entropy over pre-drawn batches, with a cosine decay of the learning rate."""
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
    for step, batch in enumerate(rows):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / len(rows)))
        loss = F.cross_entropy(classifier(embeddings[batch]), labels[batch], weight=class_weights)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if (step + 1) % report_every == 0 or step + 1 == len(rows):
            yield {"step": step + 1.0, "loss": float(loss.detach())}
