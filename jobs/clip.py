"""CLIP models through open_clip: load one from a name, a file or a folder, and encode class names with it.

The only module that imports open_clip, and only after torchvision was made importable. Axes: K classes, E text width.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pading.segmenter.torchvision_on_cpu import make_torchvision_importable
from pading.text.embeddings import PROMPT_TEMPLATES, TextEmbeddings, prompts_for, unit_rows

LOCAL_FOLDER = "local-dir:"
HUB = "hf-hub:"


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A CLIP model in evaluation mode with what its towers expect.

    Pixels are RGB in [0, 1], normalised as (pixel - mean) / deviation, on a square of `image_px`.
    """

    name: str
    model: Any  # open_clip's CLIP or CustomTextCLIP, which have encode_text and encode_image in common
    tokenize: Callable[[list[str]], Int64[Tensor, "N L"]]
    image_px: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


def embed_names(
    names: Sequence[str],
    templates: Sequence[str] = PROMPT_TEMPLATES,
    *,
    model: str,
    pretrained: str = "",
    batch: int = 256,
) -> TextEmbeddings:
    """Return the prompt ensemble of each name: the unit mean, over templates and synonyms, of unit prompt vectors.

    Args:
        names: class names; ", " separates synonyms. Pass them through `clean_name` to drop COCO's suffixes.
        templates: prompts with a place for the name.
        model: an open_clip model name, "local-dir:FOLDER" or "hf-hub:NAME".
        pretrained: a tag or a checkpoint file, for a model given by its name.
        batch: prompts encoded at once.

    Raises:
        ValueError: as `load_clip` and `prompts_for`.
    """
    clip = load_clip(model, pretrained)
    prompts = [prompts_for(name, tuple(templates)) for name in names]
    owner = torch.tensor([row for row, group in enumerate(prompts) for _ in group])
    vectors = encode_texts(clip, [prompt for group in prompts for prompt in group], batch)
    sums = torch.zeros(len(names), vectors.shape[1]).index_add_(0, owner, vectors)
    return TextEmbeddings(
        names=tuple(names), templates=tuple(templates), model=clip.name, matrix=unit_rows(sums.numpy(), clip.name)
    )


@torch.inference_mode()
def encode_texts(clip: Clip, texts: Sequence[str], batch: int = 256) -> Float[Tensor, "N E"]:
    """Return the unit vectors of texts."""
    chunks = [clip.tokenize(list(texts[at : at + batch])) for at in range(0, len(texts), batch)]
    return torch.cat([clip.model.encode_text(chunk, normalize=True) for chunk in chunks]).float()


def load_clip(model: str, pretrained: str = "") -> Clip:
    """Return a CLIP model with weights.

    Raises:
        ValueError: if the name is unknown, no weights are named, or they cannot be had (no network, no such file).
    """
    open_clip = import_open_clip()
    if not model.startswith((LOCAL_FOLDER, HUB)):
        _check_name(open_clip, model, pretrained)
    named = f"{model} {pretrained}".strip()
    try:
        network = open_clip.create_model(model, pretrained=pretrained or None, require_pretrained=True)
        tokenize = open_clip.get_tokenizer(model)
    except Exception as error:  # open_clip, its hub client and torch raise anything here
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"CLIP model {named!r} could not be loaded: {cause}. "
            "Without network, give a checkpoint file as `pretrained`, "
            f"or a folder with open_clip_config.json and weights as {LOCAL_FOLDER}FOLDER"
        ) from error
    expects = open_clip.get_model_preprocess_cfg(network)
    size = expects["size"]
    return Clip(
        name=named,
        model=network.eval(),
        tokenize=tokenize,
        image_px=size if isinstance(size, int) else size[0],
        mean=tuple(expects["mean"]),
        deviation=tuple(expects["std"]),
    )


def import_open_clip() -> Any:
    """Return the open_clip module, imported on first use."""
    make_torchvision_importable()
    import open_clip

    return open_clip


def _check_name(open_clip: Any, model: str, pretrained: str) -> None:
    known = open_clip.list_models()
    if model not in known:
        near = difflib.get_close_matches(model, known, n=3, cutoff=0.3)
        raise ValueError(
            f"open_clip has no model {model!r}; near names: {', '.join(near)}; or give {LOCAL_FOLDER}FOLDER"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained not in tags and not Path(pretrained).is_file():
        raise ValueError(
            f"CLIP model {model!r} has no weights {pretrained!r} and there is no such file; "
            f"give a checkpoint file or one of the tags {', '.join(tags)}"
        )
