"""The generator's fit as its equations read, without a thought for speed: the peer of `generator_step`."""

import copy
import math
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.disentangle import Disentangler
from pading.zeroshot.features import Features
from pading.zeroshot.fit_generator import GeneratorFitConfig, Structure
from pading.zeroshot.generator import PrimitiveGenerator
from pading.zeroshot.sampling import draw_by_class

Layout = Literal["row", "repeated", "sequence"]


class PlainGenerator(nn.Module):
    """Eq. (1)-(2) for one text and one noise a row.

    Rows attend one by one: to primitives that are projected once ("row") or for each of them ("repeated", as decoders
    in DETR's manner do, the released one included); or all rows together, as one sequence ("sequence").
    """

    def __init__(self, like: PrimitiveGenerator, layout: Layout) -> None:
        super().__init__()
        self.heads, self.layout = like.heads, layout
        self.text, self.query, self.key = (copy.deepcopy(layer) for layer in (like.text, like.query, like.key))
        self.value, self.output = copy.deepcopy(like.value), copy.deepcopy(like.output)
        self.primitives = nn.Parameter(like.primitives.detach().clone())

    def forward(self, text: Tensor, noise: Tensor) -> Tensor:
        text = self.text(text)
        queries, primitives = self.query(text).unsqueeze(1), self.primitives.unsqueeze(0)  # (N, 1, D), (1, P, D)
        if self.layout == "repeated":
            primitives = primitives.repeat(len(text), 1, 1)
        elif self.layout == "sequence":
            queries = queries.transpose(0, 1)
        query, key, value = (self.by_head(rows) for rows in (queries, self.key(primitives), self.value(primitives)))
        attention = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(query.shape[3]), dim=3)
        attended = (attention @ value).transpose(1, 2).reshape(text.shape)
        return self.output(text + attended + noise)

    def by_head(self, rows: Tensor) -> Tensor:
        return rows.view(*rows.shape[:2], self.heads, -1).transpose(1, 2)


def plain_fit(
    generator: PlainGenerator,
    structure: Structure,
    config: GeneratorFitConfig,
    real: Features,
    text: Tensor,
    classes: ClassTable,
    seed: int,
) -> Iterator[dict[str, float]]:
    """Fit as `fit_generator` does, with the same draws and the same noise."""
    device = text.device
    draws = draw_by_class(
        real.labels, config.steps, config.classes_per_step, config.rows_per_class,
        generator_for(seed, "generator batches", device=device),
    )  # fmt: skip
    noise_source = generator_for(seed, "generator noise", device=device)
    disentangler = Disentangler(real.embeddings.shape[1], text.shape[1], generator_for(seed, "disentangler weights"))
    disentangler = disentangler.to(device)
    parameters = list(generator.parameters())
    if structure == "related":
        parameters += list(disentangler.parameters())
    optimizer = torch.optim.Adam(parameters, lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    unseen = torch.tensor(classes.unseen, device=device)
    unseen_labels = unseen.repeat_interleave(config.rows_per_class)
    for step in range(config.steps):
        labels = draws.classes[step].repeat_interleave(config.rows_per_class)  # one a row
        real_rows = real.embeddings[draws.rows[step].flatten()]
        sampled = labels if structure == "none" else torch.cat([labels, unseen_labels])
        noise = torch.randn(len(sampled), real_rows.shape[1], generator=noise_source, device=device)
        synthetic = generator(text[sampled], noise)
        loss = moments_apart(synthetic[: len(labels)], real_rows, config.bandwidths)
        if structure == "related":
            rows, row_labels = torch.cat([real_rows, synthetic]), torch.cat([labels, sampled])
            loss = loss + config.structure_weight * structure_loss(
                disentangler, rows, row_labels, 2 * len(labels), text, config
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % config.report_every == 0:
            yield {"step": step + 1.0, "loss": float(loss.detach())}


def moments_apart(generated: Tensor, real: Tensor, bandwidths: tuple[float, ...]) -> Tensor:
    """Eq. (3): three blocks of kernels a bandwidth."""
    total = generated.new_zeros(())
    for bandwidth in bandwidths:
        total = total + kernel(generated, generated, bandwidth).mean()
        total = total + kernel(real, real, bandwidth).mean()
        total = total - 2 * kernel(generated, real, bandwidth).mean()
    return total


def kernel(first: Tensor, second: Tensor, bandwidth: float) -> Tensor:
    return torch.exp(-(torch.cdist(first, second) ** 2) / (2 * bandwidth))


def structure_loss(
    disentangler: Disentangler,
    rows: Tensor,
    labels: Tensor,
    num_seen: int,
    text: Tensor,
    config: GeneratorFitConfig,
) -> Tensor:
    """Eq. (4)-(6) on rows of which the first `num_seen` are of seen classes."""
    weights = config.structure.disentangle
    related, unrelated = disentangler.related(rows), disentangler.unrelated(rows)
    rebuilt = disentangler.decoder(torch.cat([related, unrelated], dim=1))
    scores = cosines(related, disentangler.text(text))
    mean, variance = unrelated.mean(dim=0), unrelated.var(dim=0, unbiased=False)
    loss = weights.related_weight * F.cross_entropy(scores / weights.temperature, labels)
    loss = loss + weights.unrelated_weight * 0.5 * (mean**2 + variance - variance.log() - 1).mean()
    loss = loss + weights.reconstruction_weight * (rebuilt - rows).abs().mean()
    row_text = text[labels]
    seen, unseen, seen_text, unseen_text = (
        part for both in (related, row_text) for part in (both[:num_seen], both[num_seen:])
    )
    for first, second, first_text, second_text in (
        (seen, seen, seen_text, seen_text),
        (unseen, unseen, unseen_text, unseen_text),
        (seen, unseen, seen_text, unseen_text),
    ):
        wanted = relation(first_text, second_text, config.tau)
        found = relation(first, second, config.tau)
        loss = loss + (wanted * (wanted.log() - found.log())).sum(dim=1).mean()
    return loss


def relation(first: Tensor, second: Tensor, tau: float) -> Tensor:
    return torch.softmax(cosines(first, second) / tau, dim=1)


def cosines(first: Tensor, second: Tensor) -> Tensor:
    return F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
