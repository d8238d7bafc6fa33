"""The shapes world's own CLIP: a small open_clip model, trained on captioned crops in under a minute of one core.

As a public CLIP does, it meets things of no split, and classes that the run calls unseen, unless it is told not to.
Crops are contrasted with captions of single words, and a name is taught to lie along the sum of its words, which is
what carries over to names that it was not taught.
Axes: N crops, B crops of a step, U captions, K classes and things of no split, S pixels, E width.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from numpy import ndarray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from jobs.clip import import_open_clip
from pading.classes import ClassTable
from pading.randomness import derive_seed, generator_for
from pading.shapes.captions import MODIFIER_TEMPLATES, NOUN_TEMPLATES, WHOLE_TEMPLATES
from pading.shapes.classes import class_parts, class_pool, world_names
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import Scene, render_scene_of

# The templates to embed the shapes world's class names with.
SHAPES_TEMPLATES = ("{}", "a photo of {}", "a photo of the large {}.", "a photo of the small {}.")
PIXEL_MEAN, PIXEL_DEVIATION = (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)
CONTEXT_LENGTH = 16
CUT_OUT_GREY = 115
MOST_THINGS, MOST_STUFF = 5, 3  # of a scene that crops are cut from


@dataclass(frozen=True, kw_only=True)
class ShapesClipConfig:
    """Sizes and schedule; a step sees `batch` crops, every caption of a word and `whole_captions` captions of names."""

    crop_px: int = 32
    num_crops: int = 12_000
    embed_dim: int = 64
    vision_width: int = 8
    text_width: int = 64
    steps: int = 600
    batch: int = 256
    whole_captions: int = 32
    learning_rate: float = 6e-3
    weight_decay: float = 0.05
    composition_weight: float = 1.0
    knows_unseen: bool = True
    """Whether crops and captions show the run's unseen classes, as the web shows a public CLIP those of a benchmark.
    Segmenter and generators see no pixel of them either way."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.crop_px % 32:
            raise ValueError(f"crop_px is {self.crop_px}: the vision tower needs a multiple of 32")
        if self.text_width % 32:
            raise ValueError(f"text_width is {self.text_width}: attention heads are 32 wide; take a multiple of 32")

    def model(self) -> dict:
        """Return open_clip's description of the model."""
        vision = {"layers": [1, 1, 1, 1], "width": self.vision_width, "image_size": self.crop_px}
        text = {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": 49408,  # open_clip's tokenizer
            "width": self.text_width,
            "heads": self.text_width // 32,
            "layers": 1,
        }
        return {"embed_dim": self.embed_dim, "vision_cfg": vision, "text_cfg": text}


@dataclass(frozen=True, kw_only=True, eq=False)
class Captions:
    """Captions of known names, and of their words: which are true of a class, and which may be asked of it."""

    wholes: tuple[str, ...]
    whole_classes: Int64[Tensor, "U"]
    words: tuple[str, ...]
    is_true: Bool[Tensor, "K U"]
    is_asked: Bool[Tensor, "K U"]


def known_classes(config: ShapesClipConfig, classes: ClassTable) -> tuple[int, ...]:
    """Return what the model may see and read: everything in the world, or without what the run's table calls unseen."""
    hidden = set() if config.knows_unseen else {classes.names[k] for k in classes.unseen}
    return tuple(k for k, name in enumerate(world_names()) if name not in hidden)


def known_captions(known: tuple[int, ...]) -> Captions:
    """Return all captions that training may use; the name of a class that is not known occurs in none.

    A word is asked of a class only if putting it into the class's name gives no name that is hidden. Where "striped
    star" is, nothing that is striped is ever a star in training; asked about it, the model would learn just that.
    """
    names = world_names()
    known_names = {names[k] for k in known}
    stuff = class_pool(is_thing=False)
    modifiers = {class_parts(k)[0]: MODIFIER_TEMPLATES for k in known}
    nouns = {class_parts(k)[1]: NOUN_TEMPLATES[k not in stuff] for k in known}
    said = [(template.format(word), word) for word, group in (modifiers | nouns).items() for template in group]

    def is_asked(modifier: str, noun: str, word: str) -> bool:
        swapped = {f"{word} {noun}", f"{modifier} {word}"} & set(names)
        return swapped <= known_names

    parts = [class_parts(k) for k in range(len(names))]
    return Captions(
        wholes=tuple(template.format(names[k]) for k in known for template in WHOLE_TEMPLATES),
        whole_classes=torch.tensor([k for k in known for _ in WHOLE_TEMPLATES]),
        words=tuple(text for text, _ in said),
        is_true=torch.tensor([[word in pair for _, word in said] for pair in parts]),
        is_asked=torch.tensor([[is_asked(*pair, word) for _, word in said] for pair in parts]),
    )


def known_crops(
    config: ShapesClipConfig, known: tuple[int, ...]
) -> tuple[UInt8[Tensor, "N 3 S S"], Int64[Tensor, "N"]]:
    """Return crops of segments, in scenes of known classes alone, and their classes; half of the scenes are cut out."""
    world = ShapesConfig(seed=derive_seed(config.seed, "shapes clip"))
    stuff = [k for k in known if k in class_pool(is_thing=False)]
    things = [k for k in known if k not in stuff]
    crops: list[ndarray] = []
    labels: list[int] = []
    index = 0
    while len(crops) < config.num_crops:
        random = np.random.default_rng(derive_seed(world.seed, "classes", index))
        num_things, num_stuff = int(random.integers(1, MOST_THINGS + 1)), int(random.integers(2, MOST_STUFF + 1))
        shown = [*random.choice(stuff, num_stuff, replace=False), *random.choice(things, num_things)]
        scene = render_scene_of(world, [int(k) for k in shown], index)
        for crop, label in crops_of(scene, config.crop_px, is_cut_out=bool(index % 2)):
            crops.append(crop)
            labels.append(label)
        index += 1
    stacked = torch.from_numpy(np.stack(crops[: config.num_crops]))
    return stacked.permute(0, 3, 1, 2).contiguous(), torch.tensor(labels[: config.num_crops])


def crops_of(scene: Scene, crop_px: int, *, is_cut_out: bool) -> Iterator[tuple[UInt8[ndarray, "S S 3"], int]]:
    """Yield the tight box of each segment as a square, and its class; cut out, the other segments are grey.

    It is what the image branch shows of a mask: with a margin around, seen things were named right less often.
    """
    for label, segment in enumerate(scene.segments, start=1):
        if segment.is_crowd:
            continue
        inside = scene.label_map == label
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        box = tuple(slice(at[0], at[-1] + 1) for at in (rows, columns))
        pixels = scene.image[box]
        if is_cut_out:
            pixels = np.where(inside[box][..., None], pixels, np.uint8(CUT_OUT_GREY))
        yield (
            np.asarray(Image.fromarray(pixels).resize((crop_px, crop_px), Image.Resampling.BILINEAR)),
            segment.class_index,
        )


def train_shapes_clip(
    folder: Path,
    config: ShapesClipConfig,
    classes: ClassTable,
    on_progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> None:
    """Train the model and write it as an open_clip folder, to be loaded as "local-dir:FOLDER".

    Args:
        folder: where to write.
        config: sizes and schedule.
        classes: the run's; what is unseen in it may be kept from the model.
        on_progress: called with the step, the number of steps and the loss.
    """
    open_clip = import_open_clip()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "shapes clip", "weights"))
        model = open_clip.CLIP(**config.model())
    tokenize = open_clip.SimpleTokenizer(context_length=CONTEXT_LENGTH)
    known = known_classes(config, classes)
    for step, loss in enumerate(fit(model, tokenize, config, known), start=1):
        on_progress(step, config.steps, loss)
    preprocess = {"mean": PIXEL_MEAN, "std": PIXEL_DEVIATION, "interpolation": "bilinear", "resize_mode": "squash"}
    folder.mkdir(parents=True, exist_ok=True)
    described = {"model_cfg": config.model(), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(described, indent=1))
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )


def fit(
    model: Any,
    tokenize: Callable[[list[str]], Int64[Tensor, "U L"]],
    config: ShapesClipConfig,
    known: tuple[int, ...],
) -> Iterator[float]:
    """Train the model in place, yielding the loss of each step."""
    pixels, labels = known_crops(config, known)
    captions = known_captions(known)
    words, wholes = tokenize(list(captions.words)), tokenize(list(captions.wholes))
    # Of 49,408 random token vectors some fifty are read; training them would cost more than the rest of the step.
    model.token_embedding.weight.requires_grad_(False).mul_(10)
    optimizer, schedule = _optimizer(model, config)
    random = generator_for(config.seed, "shapes clip", "batches")
    model.train()
    model.visual.to(memory_format=torch.channels_last)  # two thirds of the time, on a CPU
    for _ in range(config.steps):
        rows = torch.randint(len(pixels), (config.batch,), generator=random)
        crops = turned(normalise(pixels[rows]), random).contiguous(memory_format=torch.channels_last)
        image_vectors = model.encode_image(crops, normalize=True)
        word_vectors = model.encode_text(words, normalize=True)
        logits = model.logit_scale.exp() * image_vectors @ word_vectors.T
        loss = contrast(logits, captions.is_true[labels[rows]], captions.is_asked[labels[rows]])
        some = torch.randperm(len(wholes), generator=random)[: config.whole_captions]
        whole_vectors = model.encode_text(wholes[some], normalize=True)
        of_words = captions.is_true[captions.whole_classes[some]].float() @ word_vectors
        loss = loss + config.composition_weight * (1 - F.cosine_similarity(whole_vectors, of_words)).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        yield float(loss.detach())


def contrast(
    logits: Float[Tensor, "B U"], is_true: Bool[Tensor, "B U"], is_asked: Bool[Tensor, "B U"]
) -> Float[Tensor, ""]:
    """Return CLIP's symmetric cross entropy where several captions are true of a crop, and some pairs are not asked.

    For each crop, the target is uniform over its true captions, among those asked of it; for each caption, uniform over
    the crops that it is true of. Captions that are true of no crop have no target and do not count.
    """
    asked = logits.masked_fill(~is_asked, -1e4)
    return (_cross_entropy(asked, is_true) + _cross_entropy(asked.T, is_true.T)) / 2


def _cross_entropy(logits: Float[Tensor, "B U"], is_true: Bool[Tensor, "B U"]) -> Float[Tensor, ""]:
    has_target = is_true.any(1)
    target = F.normalize(is_true[has_target].to(logits.dtype), p=1.0, dim=1)
    return F.cross_entropy(logits[has_target], target)


def normalise(pixels: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """Return what the vision tower expects."""
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_DEVIATION))
    return (pixels.float() / 255 - mean) / deviation


def turned(squares: Float[Tensor, "B 3 S S"], random: torch.Generator) -> Float[Tensor, "B 3 S S"]:
    """Return all squares in one of the eight positions that a square can lie in; nothing here has an upright one."""
    is_flipped, is_mirrored, is_transposed = (torch.rand(3, generator=random) < 0.5).tolist()
    squares = squares.flip([axis for axis, flips in ((-2, is_flipped), (-1, is_mirrored)) if flips])
    return squares.mT if is_transposed else squares


def _optimizer(
    model: nn.Module, config: ShapesClipConfig
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in trained if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps, pct_start=0.1)
    return optimizer, schedule
