"""Optimiser steps in one process: what they depend on, and what they do not."""

from pathlib import Path

import pytest
import torch

from jobs.config import PipelineConfig
from jobs.trainer import Trainer
from pading.config import override
from pading.data.views.batch import Batch
from pading.segmenter.initialisation import initialise
from pading.segmenter.segmenter import Segmenter

CLASSES, STEPS = 5, 4
SETTINGS = {
    "pretrain.strategy": "ddp",
    "pretrain.workers": 1,
    "pretrain.batch_size": 4,
    "pretrain.bf16": False,
    "pretrain.warmup_steps": 0,
    "pretrain.optimiser.learning_rate": 1e-5,  # Adam makes a full step of a gradient that is mere rounding
    "segmenter.queries": 6,
}
PUBLISHED = {  # its norms are frozen; those of the tiny backbone see a micro-batch at a time
    "segmenter.backbone": "resnet18",
    "segmenter.pixel_decoder": "deformable",
    "segmenter.mask_decoder": "published",
    "segmenter.encoder_layers": 1,
    "segmenter.decoder_layers": 2,
    "segmenter.cell_head": False,
}


def config_of(**changes) -> PipelineConfig:
    renamed = {name.replace("__", "."): value for name, value in changes.items()}
    return override(PipelineConfig(preset="any"), {**SETTINGS, **PUBLISHED, **renamed})


def trainer_of(config: PipelineConfig, resume_from: Path | None = None) -> Trainer:
    segmenter = initialise(Segmenter(config.segmenter, CLASSES), torch.Generator().manual_seed(0))
    return Trainer(config, segmenter.train(), config.pretrain.schedule_over(STEPS), resume_from=resume_from)


def batch_of(step: int) -> Batch:
    random = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 4, (4, 1, 4, 4), generator=random, dtype=torch.uint8)
    return Batch(
        images=torch.randint(0, 256, (4, 3, 64, 64), generator=random, dtype=torch.uint8),
        label_maps=labels.repeat_interleave(16, 2).repeat_interleave(16, 3),
        classes=torch.randint(0, CLASSES, (4, 3), generator=random),
        image_ids=torch.arange(4),
    )


def run(trainer: Trainer, first: int, last: int) -> list[dict]:
    for step in range(first, last):
        trainer.step(step, batch_of(step))
        trainer.end_line(step + 1)
    return trainer.history.lines


@pytest.mark.parametrize("num_points", [0, 200])
def test_micro_batches_change_only_rounding(num_points: int) -> None:
    # Uniform points alone: of uncertain ones, rounding may choose another where two are equally uncertain.
    points = {"pretrain__criterion__num_points": num_points, "pretrain__criterion__importance": 0.0}
    whole, parts = (run(trainer_of(config_of(pretrain__accumulation=n, **points)), 0, STEPS) for n in (1, 4))
    for line, other in zip(whole, parts, strict=True):
        for name in ("loss/class", "loss/mask", "loss/dice"):
            assert other[name] == pytest.approx(line[name], rel=1e-5), (line["step"], name)
    assert parts[0]["gradient_norm"] == pytest.approx(whole[0]["gradient_norm"], rel=1e-5)


def test_two_steps_saved_and_two_more_are_four(tmp_path: Path) -> None:
    config = config_of(pretrain__criterion__num_points=100)
    through = trainer_of(config)
    lines = run(through, 0, 2)
    through.engine.save(tmp_path, {"step": 2})
    through.history.save(tmp_path)
    lines = run(through, 2, STEPS)
    resumed = trainer_of(config, tmp_path)
    assert resumed.first_step == 2
    again = run(resumed, 2, STEPS)
    figures = ("step", "learning_rate", "loss/class", "loss/mask", "loss/dice", "gradient_norm")
    assert [[line[name] for name in figures] for line in again] == [[line[name] for name in figures] for line in lines]
    for name, weight in through.segmenter.state_dict().items():
        assert torch.equal(weight, resumed.segmenter.state_dict()[name]), name


def test_every_part_of_a_step_is_timed() -> None:
    trainer = trainer_of(config_of())
    for step, batch in trainer.timed(iter([(0, batch_of(0))])):
        trainer.step(step, batch)
    line = trainer.end_line(1)
    parts = [line[f"seconds/{part}"] for part in ("data_wait", "forward", "match", "loss", "backward", "optimizer")]
    assert all(part > 0 for part in parts)
    assert 0.5 * line["seconds/step"] < sum(parts) <= line["seconds/step"]
