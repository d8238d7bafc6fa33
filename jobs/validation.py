"""How well a segmenter in training does on validation images: its own head on seen classes, all ranks together.

Nothing is chosen by these figures and unseen classes are not scored: they are to watch a long training by.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from cluster.filesystem import open_location
from jobs.config import PipelineConfig
from jobs.stream import Shards
from pading.classes import ClassTable
from pading.data.sample import Sample
from pading.data.shards.rows import decode_row, read_row_group
from pading.evaluate.extract import image_predictions, letterboxed
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.evaluate.scorer import Scorer
from pading.splits.split import JUDGED

SEEN = "/seen"


@dataclass(frozen=True, kw_only=True)
class ValidationSet:
    """A rank's share of the first images of the validation shards, decoded."""

    samples: tuple[Sample, ...]
    batch_size: int
    num_batches: int  # of every rank: weights that are sharded are gathered by all or by none

    @staticmethod
    def read(shards: Shards, num_images: int, rank: int, world: int, batch_size: int = 16) -> "ValidationSet":
        """Read every `world`-th of the first `num_images` images, from the `rank`-th on."""
        rows = islice(_rows(shards), rank, num_images, world)
        most = -(-min(num_images, sum(map(sum, shards.rows_per_group))) // world)
        return ValidationSet(
            samples=tuple(map(decode_row, rows)), batch_size=batch_size, num_batches=-(-most // batch_size)
        )


def validate(
    model: nn.Module, images: ValidationSet, config: PipelineConfig, classes: ClassTable, device: torch.device
) -> dict[str, float]:
    """Return the metrics of seen classes, in percent, over the images of all ranks; every rank calls it."""
    if dist.is_initialized():
        for buffer in model.buffers():  # running statistics: a checkpoint keeps those of the first rank
            dist.broadcast(buffer, src=0)
    model.eval()
    tallies: list[ImageTally] = []
    with torch.no_grad():
        for batch in range(images.num_batches):
            samples = images.samples[batch * images.batch_size :][: images.batch_size]
            tallies += _score(model, samples, config, classes, device)
    model.train()
    by_rank: list[list[ImageTally]] = [tallies]
    if dist.is_initialized():
        by_rank = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(by_rank, tallies)
    found = metrics(ImageTally.total([tally for rank in by_rank for tally in rank]), classes)
    return {name: value for name, value in found.items() if name.endswith(SEEN)}


def _score(
    model: nn.Module, samples: tuple[Sample, ...], config: PipelineConfig, classes: ClassTable, device: torch.device
) -> list[ImageTally]:
    """Return the tally of each sample; the model runs even where this rank has none left."""
    size_px = config.data.input_px
    pixels = letterboxed(samples, size_px) if samples else torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8)
    prediction = model(pixels.to(device))[-1]
    probabilities = prediction.class_logits.float().softmax(dim=-1).cpu()
    tallies = []
    for index, image in enumerate(image_predictions(prediction, samples, size_px)):
        scorer = Scorer(name="segmenter", classify=partial(_constant, probabilities[index]), inference=config.inference)
        tallies += evaluate_image(image, [scorer], classes, JUDGED[config.task])
    return tallies


def _constant(probabilities: torch.Tensor, _: ImagePrediction) -> torch.Tensor:
    return probabilities


def _rows(shards: Shards) -> Iterator[dict[str, Any]]:
    filesystem, folder = open_location(shards.folder)
    for name, groups in zip(shards.names, shards.rows_per_group, strict=True):
        for group in range(len(groups)):
            yield from read_row_group(filesystem, f"{folder}/{name}", group).to_pylist()
