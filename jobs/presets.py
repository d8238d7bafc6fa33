"""Whole runs as functions: a preset returns the complete configuration of a pipeline."""

from collections.abc import Callable
from dataclasses import replace

from jobs.config import FitConfig, PipelineConfig
from jobs.shapes_clip import SHAPES_TEMPLATES
from pading.config import override
from pading.segmenter.segmenter import maskformer_r50, r50

MASKFORMER_WEIGHTS = {"classification": 1.0, "cross_entropy": 0.0, "focal": 20.0, "dice": 1.0}


def shapes() -> PipelineConfig:
    """Run the demo: the synthetic world, every method, three seeds; under fifteen minutes on two cores."""
    return override(
        PipelineConfig(preset="shapes"),
        {
            "data.shard_mb": 1.0,
            "embed.templates": SHAPES_TEMPLATES,
            "regions.styles": ("crop+mask", "pooled"),
            "regions.templates": SHAPES_TEMPLATES,
            "fit.methods": (*FitConfig().methods, "zegformer-img", "zegformer", "zegformer-pooled", "pading+img"),
            "shapes.num_train": 8000,
            "pretrain.epochs": 13,
            "pretrain.jitter.turns": True,
            # Chosen on seen classes held out as if unseen; 5 is PADing's, for COCO.
            "method.classifier.unseen_weight": 10.0,
            # A quarter of the published steps, five times those of `best`: the ablation ends within half an hour.
            "fit.profile_steps": 5000,
        },
    )


def smoke() -> PipelineConfig:
    """Run every stage at toy size in under two minutes on two cores; its numbers mean nothing."""
    return override(
        replace(shapes(), preset="smoke"),
        {
            "shapes.num_train": 96,
            "shapes.num_val": 24,
            "data.shard_mb": 0.1,
            "embed.clip.num_crops": 200,
            "embed.clip.steps": 20,
            "embed.clip.batch": 64,
            "pretrain.epochs": 2,
            "pretrain.batch_size": 8,
            "pretrain.warmup_steps": 1,
            "sweep.trials": 2,
            "sweep.holdouts": 1,
            "sweep.confirm": 2,
            "method.generator.steps": 20,
            "method.classifier.steps": 20,
            "method.projection.steps": 20,
            "fit.profile_steps": 20,
            "fit.seeds": (0,),
        },
    )


def coco_mini() -> PipelineConfig:
    """Run the real 119/14 split on a hundred COCO photos with the tiny segmenter; a few minutes, low numbers."""
    return override(
        PipelineConfig(preset="coco-mini"),
        {
            "data.split": "coco-panoptic-119-14",
            "data.shard_mb": 4.0,
            "data.input_px": 128,
            "segmenter.queries": 32,
            "pretrain.epochs": 40,
            "pretrain.batch_size": 8,
            "sweep.trials": 3,
            "fit.seeds": (0,),
        },
    )


def coco_panoptic() -> PipelineConfig:
    """Run the 119/14 panoptic split of COCO 2017."""
    return override(_coco("coco-panoptic"), {"data.split": "coco-panoptic-119-14", "data.input_px": 928})


def coco_stuff() -> PipelineConfig:
    """Run the 156/15 semantic split of COCO-Stuff 2017."""
    return override(
        _coco("coco-stuff"),
        {
            "data.split": "coco-stuff-156-15",
            "data.input_px": 640,
            "pretrain.epochs": 16,  # 120,000 steps
            "pretrain.schedule": "polynomial",
            "pretrain.warmup_steps": 0,
            "pretrain.optimiser.weight_decay": 1e-4,
            "pretrain.jitter.mode": "shortest-edge",
            "pretrain.jitter.colour": True,
        },
    )


def coco_stuff_zegformer() -> PipelineConfig:
    """Run the 156/15 semantic split of COCO-Stuff 2017 as ZegFormer: MaskFormer, trained under the text of classes."""
    return override(
        replace(coco_stuff(), preset="coco-stuff-zegformer", segmenter=replace(maskformer_r50(), class_head="text")),
        {
            "pretrain.batch_size": 32,
            "pretrain.epochs": 16,  # 60,000 steps
            "pretrain.criterion.num_points": 0,  # whole masks
            **{f"pretrain.criterion.weights.{name}": weight for name, weight in MASKFORMER_WEIGHTS.items()},
        },
    )


def coco_instances_48_17() -> PipelineConfig:
    """Run the 48/17 instance split of COCO 2014."""
    return _coco_instances("coco-instances-48-17")


def coco_instances_65_15() -> PipelineConfig:
    """Run the 65/15 instance split of COCO 2014."""
    return _coco_instances("coco-instances-65-15")


def _coco_instances(split: str) -> PipelineConfig:
    """Return the run of an instance split; unseen classes weigh less in the classifier than for the other tasks."""
    return override(_coco(split), {"data.split": split, "data.input_px": 960, "method.classifier.unseen_weight": 2.0})


def _coco(preset: str) -> PipelineConfig:
    """Return what the runs over whole COCO have in common: PADing's released settings."""
    return override(
        replace(PipelineConfig(preset=preset), segmenter=r50()),
        {
            "data.max_segments": 100,
            "pretrain.backbone_weights": "hub",  # ImageNet
            "pretrain.batch_size": 16,
            "pretrain.epochs": 49,  # 140,350 steps of the 119/14 split
            "pretrain.schedule": "step",
            "pretrain.warmup_steps": 10,
            "pretrain.clip": 0.01,
            "pretrain.optimiser.learning_rate": 1e-4,
            "pretrain.optimiser.backbone_factor": 0.1,
            "pretrain.criterion.num_points": 12_544,
            "pretrain.checkpoint_steps": 1000,
            "pretrain.validation_images": 256,
            "pretrain.jitter.mode": "large-scale",
            "embed.model": "ViT-B-16",
            "embed.pretrained": "openai",
        },
    )


PRESETS: dict[str, Callable[[], PipelineConfig]] = {
    "smoke": smoke,
    "shapes": shapes,
    "coco-mini": coco_mini,
    "coco-panoptic": coco_panoptic,
    "coco-stuff": coco_stuff,
    "coco-stuff-zegformer": coco_stuff_zegformer,
    "coco-instances-48-17": coco_instances_48_17,
    "coco-instances-65-15": coco_instances_65_15,
}
