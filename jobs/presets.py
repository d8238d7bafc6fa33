"""Whole runs as functions: a preset returns the complete configuration of a pipeline."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cluster.storage import RunDir
from jobs.engine import Strategy
from jobs.shapes_clip import SHAPES_TEMPLATES, ShapesClipConfig
from pading.classes import ClassTable
from pading.coco_classes import coco_panoptic_119_14
from pading.config import from_plain, override
from pading.evaluate.inference import InferenceConfig
from pading.segmenter.criterion import CriterionConfig
from pading.segmenter.optimisation import OptimiserConfig, ScheduleConfig
from pading.segmenter.segmenter import SegmenterConfig, tiny
from pading.shapes.classes import shapes_classes
from pading.shapes.layout import ShapesConfig
from pading.text import PROMPT_TEMPLATES
from pading.zeroshot.methods import Method, MethodConfig

CLASS_TABLES: dict[str, Callable[[], ClassTable]] = {
    "shapes": shapes_classes,
    "coco-panoptic-119-14": coco_panoptic_119_14,
}


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images are. An empty root means the shapes world, drawn into the run directory."""

    root: str = ""
    classes: Literal["shapes", "coco-panoptic-119-14"] = "shapes"
    images_per_shard: int = 500
    input_px: int = 96  # side of the square that every image is letterboxed into
    max_segments: int = 24
    verify_decodes: bool = False  # `verify` decodes every image too, not only headers and JSON


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Where text embeddings come from: a file, an open_clip model, or (both empty) the shapes world's own model."""

    file: str = ""  # .npz of this project, or .npy with one row a class
    model: str = ""  # open_clip model name or local-dir:FOLDER
    pretrained: str = ""  # open_clip tag or weights file
    templates: tuple[str, ...] = PROMPT_TEMPLATES
    clip: ShapesClipConfig = field(default_factory=ShapesClipConfig)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How the segmenter is trained."""

    workers: int = 2
    cpus_per_worker: float = 0.5  # a share for scheduling; leaves room for the stream on a two-core machine
    threads_per_worker: int = 1
    strategy: Strategy = "zero1"
    batch_size: int = 32  # images per optimiser step, over all workers
    epochs: int = 20
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    criterion: CriterionConfig = field(default_factory=CriterionConfig)
    turns: bool = False  # augment by quarter turns too, for worlds that have no up and down
    warmup_steps: int = 50
    schedule: Literal["constant", "cosine", "polynomial"] = "cosine"
    clip: float = 1.0
    bf16: bool = True
    keep_decoded: bool = True  # decoded images stay in the object store between epochs; off for worlds that do not fit
    shuffle_rows: int = 2048
    max_failures: int = 3

    def __post_init__(self) -> None:
        if self.workers < 1 or self.batch_size % self.workers:
            raise ValueError(f"batch_size {self.batch_size} does not split evenly over {self.workers} workers")

    def schedule_over(self, steps_per_epoch: int) -> ScheduleConfig:
        """Return the learning-rate schedule of the whole training."""
        num_steps = steps_per_epoch * self.epochs
        return ScheduleConfig(
            num_steps=num_steps, warmup_steps=min(self.warmup_steps, num_steps - 1), shape=self.schedule
        )


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """How the frozen segmenter is run over the shards."""

    actors: int = 2
    batch_size: int = 32
    cpus_per_actor: float = 0.5  # actors that take every CPU would leave none to read and write with
    gpus_per_actor: float = 1.0  # counts only where there is a GPU
    no_object_per_image: int = 4  # unmatched queries kept per training image


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """The search over generator settings; judged on seen classes held out as pseudo-unseen, never on unseen ones."""

    trials: int = 8
    concurrent: int = 2
    holdouts: int = 3  # different hold-outs that a trial's score is the mean of
    holdout_fraction: float = 0.2


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Which rows the leaderboard gets."""

    methods: tuple[Method, ...] = ("supervised", "projection", "gmmn", "primitive", "primitive+align", "pading")
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """One whole run."""

    preset: str
    task: str = "panoptic"
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    shapes: ShapesConfig = field(default_factory=ShapesConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    segmenter: SegmenterConfig = field(default_factory=tiny)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)

    @property
    def is_synthetic(self) -> bool:
        """Whether the run draws its own images."""
        return self.data.classes == "shapes" and not self.data.root


def class_table(config: PipelineConfig) -> ClassTable:
    """Return the classes of a run."""
    return CLASS_TABLES[config.data.classes]()


def data_root(config: PipelineConfig, run_dir: RunDir) -> Path:
    """Return the folder with the images of a run: the one it draws, or the one it was given."""
    return run_dir.artefact("shapes") if config.is_synthetic else coco_root(config)


def coco_root(config: PipelineConfig) -> Path:
    """Return the COCO folder that a run was given.

    Raises:
        ValueError: if none was given, or it is not a folder.
    """
    if not config.data.root:
        raise ValueError(f"preset {config.preset!r} reads COCO files: give their folder by --data.root DIR")
    root = Path(config.data.root)
    if not root.is_dir():
        raise ValueError(f"--data.root {root}: no such folder; it holds train2017/, val2017/ and annotations/")
    return root


def shapes() -> PipelineConfig:
    """Run the demo: the synthetic world, every method, three seeds; under fifteen minutes on two cores."""
    return override(
        PipelineConfig(preset="shapes"),
        {
            "data.images_per_shard": 125,
            "embed.templates": SHAPES_TEMPLATES,
            "embed.clip.crop_px": 32,
            "embed.clip.num_crops": 6000,
            "embed.clip.steps": 300,
            "shapes.num_train": 8000,
            "pretrain.epochs": 13,
            "pretrain.turns": True,
            # Chosen on seen classes held out as if unseen; 5 is PADing's, for COCO.
            "method.classifier.unseen_weight": 10.0,
        },
    )


def smoke() -> PipelineConfig:
    """Run every stage at toy size in under two minutes on two cores; its numbers mean nothing."""
    return override(
        replace(shapes(), preset="smoke"),
        {
            "shapes.num_train": 96,
            "shapes.num_val": 24,
            "data.images_per_shard": 24,
            "embed.clip.crop_px": 32,
            "embed.clip.num_crops": 200,
            "embed.clip.steps": 20,
            "pretrain.epochs": 2,
            "pretrain.batch_size": 8,
            "pretrain.warmup_steps": 1,
            "sweep.trials": 2,
            "sweep.holdouts": 1,
            "method.generator.steps": 20,
            "method.classifier.steps": 20,
            "method.projection.steps": 20,
            "fit.seeds": (0,),
        },
    )


def coco_mini() -> PipelineConfig:
    """Run the real 119/14 split on a hundred COCO photos with the tiny segmenter; a few minutes, low numbers."""
    return override(
        PipelineConfig(preset="coco-mini"),
        {
            "data.classes": "coco-panoptic-119-14",
            "data.images_per_shard": 16,
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
    return override(
        PipelineConfig(preset="coco-panoptic"),
        {
            "data.classes": "coco-panoptic-119-14",
            "data.images_per_shard": 1000,
            "data.input_px": 512,
            "data.max_segments": 100,
            "pretrain.keep_decoded": False,
            "embed.model": "ViT-B-16",
            "embed.pretrained": "openai",
        },
    )


PRESETS: dict[str, Callable[[], PipelineConfig]] = {
    "smoke": smoke,
    "shapes": shapes,
    "coco-mini": coco_mini,
    "coco-panoptic": coco_panoptic,
}


def read_config(run_dir: RunDir) -> PipelineConfig:
    """Return the configuration that a run was last started with.

    Raises:
        FileNotFoundError: if the directory holds no run.
        ValueError: if the file is not a configuration of this version.
    """
    path = run_dir.root / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the --run-dir of a finished run")
    return from_plain(PipelineConfig, json.loads(path.read_text()))
