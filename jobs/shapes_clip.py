"""The shapes world's own CLIP: a small open_clip model, trained on captioned crops in about a minute of two cores.

It never meets an unseen combination, in a crop or in a caption, and learns each word from seen classes. A caption is
true of a crop or false, however often it occurs in a batch, so the loss is one yes/no question for each pair.
Axes: N crops, B crops of a step, U captions, K classes, S pixels, E width.
"""

import functools
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
from pading.randomness import derive_seed, generator_for
from pading.shapes.captions import MODIFIER_TEMPLATES, NOUN_TEMPLATES, WHOLE_TEMPLATES
from pading.shapes.classes import class_parts, shapes_classes
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import Scene, render_scene

# The templates to embed the shapes world's class names with.
SHAPES_TEMPLATES = ("{}", "a photo of {}", "a photo of the large {}.", "a photo of the small {}.")
PIXEL_MEAN, PIXEL_DEVIATION = (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)
CONTEXT_LENGTH = 16
CROP_MARGIN_PX = 2
CUT_OUT_GREY = 115


@dataclass(frozen=True, kw_only=True)
class ShapesClipConfig:
    """Sizes and schedule; `mix_rate` of the crops of a step are blends, of which the captions of both are true."""

    crop_px: int = 32
    num_crops: int = 12_000
    embed_dim: int = 64
    vision_width: int = 16
    text_width: int = 64
    steps: int = 600
    batch: int = 128
    whole_captions: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    composition_weight: float = 1.0
    mix_rate: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.crop_px % 32:
            raise ValueError(f"crop_px is {self.crop_px}: the vision tower needs a multiple of 32")
        if self.text_width % 32:
            raise ValueError(f"text_width is {self.text_width}: attention heads are 32 wide; take a multiple of 32")
        if not 0 <= self.mix_rate <= 1:
            raise ValueError(f"mix_rate is {self.mix_rate}: must lie in [0, 1]")

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
    """Every caption of a seen class or of one of its words; `is_true` says of which classes."""

    texts: tuple[str, ...]
    num_wholes: int  # the first ones
    is_true: Bool[Tensor, "K U"]


def seen_captions() -> Captions:
    """Return all captions that training may use; no unseen combination occurs in any."""
    table = shapes_classes()
    wholes = {table.names[k]: WHOLE_TEMPLATES for k in table.seen}
    modifiers = {class_parts(k)[0]: MODIFIER_TEMPLATES for k in table.seen}
    nouns = {class_parts(k)[1]: NOUN_TEMPLATES[table.is_thing[k]] for k in table.seen}
    pairs = [
        (template.format(words), frozenset(words.split()))
        for group in (wholes, modifiers, nouns)
        for words, templates in group.items()
        for template in templates
    ]
    is_true = [[said <= set(class_parts(k)) for _, said in pairs] for k in range(table.num_classes)]
    num_wholes = len(wholes) * len(WHOLE_TEMPLATES)
    return Captions(texts=tuple(text for text, _ in pairs), num_wholes=num_wholes, is_true=torch.tensor(is_true))


def seen_crops(config: ShapesClipConfig) -> tuple[UInt8[Tensor, "N 3 S S"], Int64[Tensor, "N"]]:
    """Return crops of segments, in scenes without unseen classes, and their classes; half of the scenes are cut out."""
    seed = derive_seed(config.seed, "shapes clip")
    world = ShapesConfig(num_train=config.num_crops + 1, train_unseen_rate=0.0, seed=seed)
    crops: list[ndarray] = []
    labels: list[int] = []
    index = 0
    while len(crops) < config.num_crops:
        scene = render_scene(world, "train", index)
        for crop, label in crops_of(scene, config.crop_px, is_cut_out=bool(index % 2)):
            crops.append(crop)
            labels.append(label)
        index += 1
    stacked = torch.from_numpy(np.stack(crops[: config.num_crops]))
    return stacked.permute(0, 3, 1, 2).contiguous(), torch.tensor(labels[: config.num_crops])


def crops_of(scene: Scene, crop_px: int, *, is_cut_out: bool) -> Iterator[tuple[UInt8[ndarray, "S S 3"], int]]:
    """Yield a square crop around each segment and its class; cut out, the other segments are grey."""
    for label, segment in enumerate(scene.segments, start=1):
        if segment.is_crowd:
            continue
        inside = scene.label_map == label
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        box = tuple(slice(max(at[0] - CROP_MARGIN_PX, 0), at[-1] + 1 + CROP_MARGIN_PX) for at in (rows, columns))
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
    on_progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> None:
    """Train the model and write it as an open_clip folder, to be loaded as "local-dir:FOLDER".

    Args:
        folder: where to write.
        config: sizes and schedule.
        on_progress: called with the step, the number of steps and the loss.
    """
    open_clip = import_open_clip()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "shapes clip", "weights"))
        model = open_clip.CLIP(**config.model())
    tokenize = open_clip.SimpleTokenizer(context_length=CONTEXT_LENGTH)
    for step, loss in enumerate(fit(model, tokenize, config), start=1):
        on_progress(step, config.steps, loss)
    preprocess = {"mean": PIXEL_MEAN, "std": PIXEL_DEVIATION, "interpolation": "bilinear", "resize_mode": "squash"}
    folder.mkdir(parents=True, exist_ok=True)
    described = {"model_cfg": config.model(), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(described, indent=1))
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )


def fit(model: Any, tokenize: Callable[[list[str]], Int64[Tensor, "U L"]], config: ShapesClipConfig) -> Iterator[float]:
    """Train the model in place, yielding the loss of each step."""
    pixels, labels = seen_crops(config)
    captions = seen_captions()
    tokens = tokenize(list(captions.texts))
    names, words = _names_and_words(tokenize)
    # Of 49,408 random token vectors some fifty are read; training them would cost more than the rest of the step.
    model.token_embedding.weight.requires_grad_(False).mul_(10)
    bias = nn.Parameter(torch.tensor([-4.0]))
    optimizer, schedule = _optimizer(model, bias, config)
    random = generator_for(config.seed, "shapes clip", "batches")
    draw = functools.partial(torch.rand, generator=random)
    parts = torch.arange(captions.num_wholes, len(captions.texts))
    model.train()
    for _ in range(config.steps):
        rows = torch.randint(len(pixels), (config.batch,), generator=random)
        asked = torch.cat([parts, torch.randperm(captions.num_wholes, generator=random)[: config.whole_captions]])
        is_true = captions.is_true[labels[rows]][:, asked]
        images, is_true = _blend(normalise(pixels[rows]), is_true, round(config.mix_rate * config.batch), draw)
        axes = [axis for axis in (-1, -2) if draw(()) < 0.5]
        image_vectors = model.encode_image(images.flip(axes), normalize=True)
        text_vectors = model.encode_text(tokens[asked], normalize=True)
        logits = model.logit_scale.exp() * image_vectors @ text_vectors.T + bias
        loss = F.binary_cross_entropy_with_logits(logits, is_true.float(), reduction="sum") / config.batch
        whole = model.encode_text(names, normalize=True)
        of_words = model.encode_text(words.flatten(0, 1), normalize=True).unflatten(0, (-1, 2)).sum(1)
        loss = loss + config.composition_weight * (1 - F.cosine_similarity(whole, of_words)).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        yield loss.item()


def normalise(pixels: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """Return what the vision tower expects."""
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_DEVIATION))
    return (pixels.float() / 255 - mean) / deviation


def _blend(
    images: Float[Tensor, "B 3 S S"], is_true: Bool[Tensor, "B U"], count: int, draw: Callable[..., Tensor]
) -> tuple[Float[Tensor, "B 3 S S"], Bool[Tensor, "B U"]]:
    """Blend the first `count` crops with the last ones.

    In seen classes some words exclude each other ("striped" is never "star"); in a blend any two may meet.
    """
    share = 0.3 + 0.4 * draw((count, 1, 1, 1))
    others = images.flip(0)[:count]
    mixed = share * images[:count] + (1 - share) * others
    either = is_true[:count] | is_true.flip(0)[:count]
    return torch.cat([mixed, images[count:]]), torch.cat([either, is_true[count:]])


def _names_and_words(tokenize: Callable[[list[str]], Tensor]) -> tuple[Int64[Tensor, "K L"], Int64[Tensor, "K 2 L"]]:
    """Return the tokens of the seen names, and of the two words of each."""
    table = shapes_classes()
    names = tokenize([table.names[k] for k in table.seen])
    words = tokenize([word for k in table.seen for word in class_parts(k)])
    return names, words.view(len(names), 2, -1)


def _optimizer(
    model: nn.Module, bias: nn.Parameter, config: ShapesClipConfig
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [bias, *(weight for weight in trained if weight.ndim <= 1)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps, pct_start=0.1)
    return optimizer, schedule
