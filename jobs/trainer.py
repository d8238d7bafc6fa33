"""One rank's optimiser steps: micro-batches through the network, losses, gradients, and an account of all of it.

The loss of a step does not depend on how its images are split over ranks and micro-batches: it is normalised by the
segments of the whole step, and every part compares masks at the same points.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from jobs.config import PipelineConfig
from jobs.engine import Engine, make_engine
from jobs.history import History, mean_over_ranks
from jobs.timing import Stopwatch
from pading.data.views.batch import Batch
from pading.randomness import derive_seed, generator_for
from pading.segmenter.acceleration import accelerate
from pading.segmenter.criterion import losses_of_pairs, match_predictions
from pading.segmenter.optimisation import ScheduleConfig, adamw, learning_rate_factor
from pading.segmenter.segmenter import Segmenter
from pading.segmenter.targets import targets_from_batch


class Trainer:
    """Takes steps and keeps their history."""

    def __init__(
        self,
        config: PipelineConfig,
        segmenter: Segmenter,
        schedule: ScheduleConfig,
        *,
        rank: int = 0,
        world: int = 1,
        resume_from: Path | None = None,
    ) -> None:
        self._config, self._schedule, self._rank = config, schedule, rank
        settings = config.pretrain
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.segmenter = segmenter.to(self.device)
        accelerate(segmenter, checkpoint_activations=settings.checkpoint_activations, compile=settings.compile)
        self.stopwatch = Stopwatch(synchronised=settings.exact_timings)
        self.engine: Engine = make_engine(
            self.segmenter,
            adamw(self.segmenter, settings.optimiser),
            strategy=settings.strategy,
            rank_batch=settings.batch_size // world,
            clip=settings.clip,
            bf16=settings.bf16,
            accumulation=settings.accumulation,
            resume_from=resume_from,
            stopwatch=self.stopwatch,
        )
        self.history = History(settings.batch_size)
        self.first_step = 0
        if resume_from is not None:
            self.first_step = self.engine.load(resume_from)["step"]
            self.history.load(resume_from)

    def timed(self, stream: Iterator[tuple[int, Batch]]) -> Iterator[tuple[int, Batch]]:
        """Pass the stream on, and note how long it kept the trainer waiting."""
        while True:
            with self.stopwatch.measuring("data_wait"):
                item = next(stream, None)
            if item is None:
                return
            yield item

    def step(self, step: int, batch: Batch) -> None:
        """Take the optimiser step of a number, on this rank's images."""
        settings = self._config.pretrain
        batch = batch.to(self.device)
        with self.stopwatch.measuring("loss"):
            targets = targets_from_batch(batch.label_maps, batch.classes, batch.image_ids)
            num_masks = mean_over_ranks(targets.num_masks.float()) / settings.accumulation
        sums: dict[str, torch.Tensor] = {}
        parts = zip(batch.images.chunk(settings.accumulation), targets.split(settings.accumulation), strict=True)
        for part, (images, truth) in enumerate(parts):
            torch.manual_seed(derive_seed(self._config.seed, "dropout", step, self._rank, part))
            predictions = self.engine.model(images)
            draws = generator_for(self._config.seed, "points", step, device=self.device)
            with self.stopwatch.measuring("match"):
                matches = match_predictions(predictions, truth, settings.criterion, draws)
            with self.stopwatch.measuring("loss"):
                losses = losses_of_pairs(predictions, truth, *matches, num_masks, settings.criterion)
            self.engine.backward(torch.stack(list(losses.values())).sum())
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss.detach() / settings.accumulation
        gradient_norm = self.engine.step(learning_rate_factor(step, self._schedule))
        self.history.add(sums, gradient_norm, self.stopwatch.lap())

    def end_line(self, steps: int) -> dict[str, Any]:
        """Close a line of the history after a number of steps; every rank calls it."""
        rate = self._config.pretrain.optimiser.learning_rate * learning_rate_factor(steps - 1, self._schedule)
        return self.history.end_line(steps, rate)
