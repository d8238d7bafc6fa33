"""The configuration of a run: one dataclass a stage, composed into one for the pipeline; and what follows from it."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from cluster.storage import RunDir
from jobs.engine import Strategy
from jobs.region_encoder import RegionsConfig
from jobs.rows import RowName
from jobs.shapes_clip import ShapesClipConfig
from jobs.sweep_config import SweepConfig
from pading.classes import ClassTable
from pading.config import from_plain, override
from pading.data.views.jitter import JitterConfig
from pading.evaluate.curve import PENALTIES, with_ends
from pading.evaluate.inference import InferenceConfig
from pading.segmenter.criterion import CriterionConfig
from pading.segmenter.optimisation import OptimiserConfig, ScheduleConfig
from pading.segmenter.segmenter import SegmenterConfig, tiny
from pading.shapes.classes import shapes_classes
from pading.shapes.layout import ShapesConfig
from pading.splits.own import SPLIT_SUFFIXES
from pading.splits.published import find_split
from pading.splits.split import JUDGED, Split, Task
from pading.text.embeddings import PROMPT_TEMPLATES
from pading.zeroshot.methods import METHODS, MethodConfig, Profile
from pading.zeroshot.zegformer import ZegformerConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images are read, and how they are kept. An empty root means the shapes world, drawn by the run itself."""

    root: str = ""
    split: str = "shapes-panoptic"  # a published benchmark, or the user's own split file
    train: str = ""  # folder of the training photos such as train2017; empty: the split's own
    val: str = ""
    shards: str = ""  # where the shards lie, such as s3://bucket/folder; empty: inside the run directory
    shard_mb: float = 128.0
    input_px: int = 96  # side of the square network input
    max_segments: int = 24
    deep: Annotated[bool, tyro.conf.arg(aliases=["--deep"])] = False
    """`verify` decodes every image too, not only headers and JSON."""
    skip_bad: Annotated[bool, tyro.conf.arg(aliases=["--skip-bad"])] = False
    """Bad images go to quarantine.json and are left out, instead of stopping the job."""


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Where text embeddings come from: a file, an open_clip model, or (both empty) the shapes world's own model."""

    file: str = ""  # .npz of this project, .npy or text vectors; several, joined by commas, stand side by side
    names: str = ""  # names of the rows of a bare matrix: a JSON list, or one name a line
    model: str = ""  # open_clip model name or local-dir:FOLDER
    pretrained: str = ""  # open_clip tag or weights file
    templates: tuple[str, ...] = PROMPT_TEMPLATES
    clean_names: bool = True  # "tree-merged" is asked for as "tree"
    clip: ShapesClipConfig = field(default_factory=ShapesClipConfig)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How the segmenter is trained."""

    workers: int = 2
    cpus_per_worker: float = 0.5  # a share for scheduling; leaves room for the stream on a two-core machine
    threads_per_worker: int = 1
    strategy: Strategy = "zero1"
    batch_size: int = 32  # images per optimiser step, over all workers
    accumulation: int = 1  # micro-batches that a worker's share of a step is cut into
    epochs: int = 20
    checkpoint_steps: int = 0  # 0: once an epoch
    validation_images: int = 64  # scored on seen classes at each checkpoint; 0: none
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    criterion: CriterionConfig = field(default_factory=CriterionConfig)
    jitter: JitterConfig = field(default_factory=JitterConfig)
    warmup_steps: int = 50
    schedule: Literal["constant", "cosine", "polynomial", "step"] = "cosine"
    clip: float = 1.0
    bf16: bool = True
    checkpoint_activations: bool = False  # half the memory or less, for a third more time
    compile: bool = False  # backbone and pixel decoder by torch.compile; minutes at the start
    exact_timings: bool = False  # waits for the GPU after each part of a step: true shares, slower training
    decoders: int = 2  # threads of a worker that decode images
    read_ahead: int = 4  # batches of a worker that are being decoded, or wait decoded
    max_failures: int = 3
    init_from: str = ""
    """Start from a whole segmenter: a folder (ours, or transformers' Mask2Former) or a hub id such as owner/name. Its
    architecture must be the run's. Weights that knew unseen classes mark the leaderboard as leaky."""
    backbone_weights: str = ""
    """Start the backbone from a file of timm's weights, or "hub" for those that timm publishes; empty: random."""

    def __post_init__(self) -> None:
        if self.init_from and self.backbone_weights:
            raise ValueError(
                f"init_from {self.init_from!r} holds a backbone already; "
                f"leave backbone_weights {self.backbone_weights!r} out"
            )
        if self.workers < 1 or self.accumulation < 1 or self.batch_size % (self.workers * self.accumulation):
            parts = f"{self.workers} workers x {self.accumulation} micro-batches"
            raise ValueError(f"batch_size {self.batch_size} does not split evenly over {parts}")
        if self.checkpoint_steps < 0 or self.validation_images < 0:
            raise ValueError("checkpoint_steps and validation_images must be at least 0")

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
class FitConfig:
    """Which rows the leaderboard gets: methods x profiles x seeds.

    The profile `best` has the settings under `method`, with the sweep's winner; the others have their own.
    """

    methods: tuple[RowName, ...] = (*METHODS, "zegformer-seg")  # see jobs/rows.py
    profiles: tuple[Profile, ...] = ("best",)
    seeds: tuple[int, ...] = (0, 1, 2)
    profile_steps: int = 0  # of each generator and classifier fit under `paper` and `released`; 0: as published

    def __post_init__(self) -> None:
        for name, asked in (("methods", self.methods), ("profiles", self.profiles), ("seeds", self.seeds)):
            if not asked or len(set(asked)) != len(asked):
                raise ValueError(f"fit.{name} is {asked}: name at least one, each once")
        if self.profile_steps < 0:
            raise ValueError(f"fit.profile_steps is {self.profile_steps}: it may not be negative")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Which outputs of one model are scored, in which settings, and how sure one may be of the scores."""

    tasks: tuple[Task, ...] = ()  # empty: all that the split's truth can judge, for a panoptic one all three
    unseen_only: bool = True  # also score the plain zero-shot setting, in which nothing seen can be predicted
    calibration: tuple[float, ...] = PENALTIES
    """Seen penalties of the trade-off curve, which has two more at its ends; none: no curve."""
    resamples: int = 1000  # sets of images drawn for intervals and comparisons
    seen_penalty: float | None = None
    """Give every method another row, METHOD+cal, whose seen classes have this penalty; see `inference.seen_penalty`."""
    unseen_score_threshold: float | None = None
    """The same, with this threshold for unseen classes; see `inference.unseen_score_threshold`."""

    def __post_init__(self) -> None:
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks {', '.join(self.tasks)}: name each once")
        with_ends(self.calibration)
        if self.resamples < 1:
            raise ValueError(f"evaluate.resamples is {self.resamples}; draw at least one set of images")


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """One whole run."""

    preset: str
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    shapes: ShapesConfig = field(default_factory=ShapesConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    segmenter: SegmenterConfig = field(default_factory=tiny)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    regions: RegionsConfig = field(default_factory=RegionsConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    zegformer: ZegformerConfig = field(default_factory=ZegformerConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    @property
    def is_synthetic(self) -> bool:
        """Whether the run draws its own images: no folder was given, and the shapes world has every class."""
        return not self.data.root and set(split_of(self).classes.names) <= set(shapes_classes().names)

    @property
    def has_own_clip(self) -> bool:
        """Whether the run trains the shapes world's own CLIP: it draws its images and was given no other texts."""
        return self.is_synthetic and not self.embed.file and not self.embed.model

    @property
    def task(self) -> Task:
        """What the split asks for."""
        return split_of(self).task


def scored_tasks(config: PipelineConfig) -> tuple[Task, ...]:
    """Return the tasks that `evaluate` scores, in their usual order.

    Raises:
        ValueError: if the split's truth cannot judge one of them.
    """
    possible, wanted = JUDGED[config.task], config.evaluate.tasks
    if impossible := [task for task in wanted if task not in possible]:
        raise ValueError(
            f"the truth of the {config.task} split {config.data.split!r} cannot judge {impossible[0]!r}; "
            f"choose --evaluate.tasks from {', '.join(possible)}"
        )
    return tuple(task for task in possible if task in (wanted or possible))


def calibrated_inference(config: PipelineConfig) -> InferenceConfig | None:
    """Return how the rows METHOD+cal become outputs; None if none are asked for."""
    wanted = config.evaluate
    if wanted.seen_penalty is None and wanted.unseen_score_threshold is None:
        return None
    changes = {name: getattr(wanted, name) for name in ("seen_penalty", "unseen_score_threshold")}
    return override(config.inference, {name: value for name, value in changes.items() if value is not None})


def split_of(config: PipelineConfig) -> Split:
    """Return the benchmark of a run; in folders other than its own, the counts published for it do not apply.

    Raises:
        ValueError: if there is none of that name, or the file does not describe one.
    """
    split = find_split(config.data.split)
    folders = {"train": config.data.train or split.train, "val": config.data.val or split.val}
    if folders == {"train": split.train, "val": split.val}:
        return split
    return replace(split, train=folders["train"], val=folders["val"], expected=())


def with_absolute_split(config: PipelineConfig) -> PipelineConfig:
    """Return the configuration with the path of the user's own split made absolute: workers may start elsewhere."""
    path = Path(config.data.split)
    is_file = path.suffix in SPLIT_SUFFIXES
    return override(config, {"data.split": str(path.absolute())}) if is_file else config


def class_table(config: PipelineConfig) -> ClassTable:
    """Return the classes of a run."""
    return split_of(config).classes


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
