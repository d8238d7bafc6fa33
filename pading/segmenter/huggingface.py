"""A Mask2Former or MaskFormer as transformers saves it, `model.safetensors` beside `config.json`, to and from ours.

Read and written here without transformers. Images differ: theirs come normalised, ours in 0-255.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pading.config import override
from pading.segmenter.huggingface_maskformer import (
    MODEL_TYPE,
    maskformer_from_huggingface,
    maskformer_pieces,
    maskformer_to_huggingface,
)
from pading.segmenter.huggingface_names import RESNET_DEPTHS, SILENT, SWIN_SIZES, Piece, SwinSizes, pieces
from pading.segmenter.segmenter import Segmenter, SegmenterConfig, r50

MODEL_TYPES = ("mask2former", MODEL_TYPE)
WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
BOTTLENECK_WIDTHS = (256, 512, 1024, 2048)
NUMBERED = re.compile(r"(label|class)[ _-]?\d+", re.IGNORECASE)  # what a class is called that nobody has named
# What our Mask2Former does not vary, and transformers' default for each: it leaves defaults out of its files.
FIXED = {
    "activation_function": "relu",
    "common_stride": 4,
    "dropout": 0.0,
    "enforce_input_projection": False,
    "pre_norm": False,
}


def load_huggingface(folder: Path) -> Segmenter:
    """Return the segmenter in a folder of transformers', on the CPU and in evaluation mode.

    Raises:
        ValueError: naming the file that is missing or unreadable, the setting that our network does not have, or the
            tensors that are missing, unknown or of another shape.
    """
    try:
        config = config_from_huggingface(_read_config(folder / CONFIG_FILE))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / CONFIG_FILE} does not describe a segmenter of ours: {error}") from error
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ValueError(f"{path} is missing; save the model by transformers' save_pretrained into one file")
    try:
        theirs = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    try:
        state = state_from_huggingface(theirs, config)
        segmenter = Segmenter(config, len(state["class_head.bias"]) - 1)
        check_shapes(state, segmenter.state_dict())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    segmenter.load_state_dict(state)
    return segmenter.eval()


def save_huggingface(folder: Path, segmenter: Segmenter, names: Sequence[str]) -> None:
    """Write a segmenter and the names of its classes such that transformers' `from_pretrained(folder)` reads them.

    Raises:
        ValueError: if transformers has no such segmenter, or there is not one name a class.
    """
    if len(names) != segmenter.num_classes:
        raise ValueError(f"{len(names)} names for a segmenter of {segmenter.num_classes} classes; give one a class")
    state = state_to_huggingface(segmenter.state_dict(), segmenter.config)
    description = config_to_huggingface(segmenter.config, names)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / f".{WEIGHTS_FILE}.partial", metadata={"format": "pt"})
    (folder / f".{CONFIG_FILE}.partial").write_text(json.dumps(description, indent=2) + "\n")
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        os.replace(folder / f".{name}.partial", folder / name)


def state_from_huggingface(theirs: Mapping[str, Tensor], config: SegmenterConfig) -> dict[str, Tensor]:
    """Return our tensors by name.

    Raises:
        ValueError: naming a tensor that is missing, unknown, or that does not split into query, key and value.
    """
    swapped = [Piece(piece.theirs, piece.ours, piece.their_part, piece.our_part) for piece in _table(config)]
    return _rename({name: tensor for name, tensor in theirs.items() if not name.endswith(SILENT)}, swapped)


def state_to_huggingface(ours: Mapping[str, Tensor], config: SegmenterConfig) -> dict[str, Tensor]:
    """Return transformers' tensors by name; counters of batches that our network does not keep are left out.

    Raises:
        ValueError: if a tensor is missing or unknown.
    """
    kept = {name: tensor.detach().cpu() for name, tensor in ours.items() if not name.endswith(SILENT)}
    return _rename(kept, _table(config))


def check_shapes(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Compare tensors with those of a network.

    Raises:
        ValueError: naming the first that differs in shape.
    """
    for name, tensor in found.items():
        if name not in expected or tensor.shape != expected[name].shape:
            shape = tuple(expected[name].shape) if name in expected else "no such tensor"
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, its configuration says {shape}")


def config_from_huggingface(described: Mapping[str, Any]) -> SegmenterConfig:
    """Return our configuration of a `config.json`.

    Raises:
        ValueError: naming the setting that our network does not have.
    """
    if described.get("model_type") not in MODEL_TYPES:
        raise ValueError(f"model_type is {described.get('model_type')!r}, not one of {', '.join(MODEL_TYPES)}")
    backbone = described.get("backbone_config") or {}
    if described["model_type"] == MODEL_TYPE:
        return maskformer_from_huggingface(described, _backbone_name(backbone))
    for name, value in FIXED.items():
        if described.get(name, value) != value:
            raise ValueError(f"{name} is {described[name]!r}; this network has {value!r}")
    widths = {described.get(name, 256) for name in ("hidden_dim", "feature_size", "mask_feature_size")}
    if len(widths) > 1:
        raise ValueError(f"hidden_dim, feature_size and mask_feature_size differ: {sorted(widths)}")
    changes = {
        "backbone": _backbone_name(backbone),
        "drop_path_rate": backbone.get("drop_path_rate", 0.0),
        "encoder_layers": described.get("encoder_layers", 6),
        "encoder_feedforward_width": described.get("encoder_feedforward_dim", 1024),
        "width": widths.pop(),
        "queries": described.get("num_queries", 100),
        "decoder_layers": described.get("decoder_layers", 10) - 1,
        "heads": described.get("num_attention_heads", 8),
        "feedforward_width": described.get("dim_feedforward", 2048),
    }
    return override(r50(), changes)


def config_to_huggingface(config: SegmenterConfig, names: Sequence[str]) -> dict[str, Any]:
    """Return the `config.json` of a segmenter of these classes."""
    if config.mask_decoder == "maskformer":
        return maskformer_to_huggingface(config, _describe_backbone(config), names)
    return {
        "architectures": ["Mask2FormerForUniversalSegmentation"],
        "model_type": "mask2former",
        **FIXED,
        "backbone_config": _describe_backbone(config),
        "encoder_layers": config.encoder_layers,
        "encoder_feedforward_dim": config.encoder_feedforward_width,
        "hidden_dim": config.width,
        "feature_size": config.width,
        "mask_feature_size": config.width,
        "num_queries": config.queries,
        "decoder_layers": config.decoder_layers + 1,  # theirs counts the learned queries as a layer
        "num_attention_heads": config.heads,
        "dim_feedforward": config.feedforward_width,
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
    }


def names_from_huggingface(described: Mapping[str, Any], num_classes: int) -> tuple[str, ...] | None:
    """Return the class names in a `config.json`, or None where it names none, or by number only as LABEL_0 does.

    Raises:
        ValueError: if `id2label` does not name every class.
    """
    labels = described.get("id2label")
    if labels is None:
        return None
    if not isinstance(labels, dict) or {*labels} != {str(index) for index in range(num_classes)}:
        raise ValueError(f"id2label does not name the classes 0 to {num_classes - 1}, which its weights have")
    names = tuple(labels[str(index)] for index in range(num_classes))
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("id2label has a name that is empty or no text")
    return None if any(NUMBERED.fullmatch(name) for name in names) else names


def _backbone_name(described: Mapping[str, Any]) -> str:
    kind = described.get("model_type")
    depths = tuple(described.get("depths", (3, 4, 6, 3) if kind == "resnet" else (2, 2, 6, 2)))
    if kind == "swin":
        heads = tuple(described.get("num_heads", (3, 6, 12, 24)))
        sizes = SwinSizes(described.get("embed_dim", 96), depths, heads, described.get("window_size", 7))
        for name, known in SWIN_SIZES.items():
            if known == sizes:
                return name
        raise ValueError(f"backbone is a swin of {sizes}, which is none of {', '.join(SWIN_SIZES)}")
    if kind == "resnet" and tuple(described.get("hidden_sizes", BOTTLENECK_WIDTHS)) == BOTTLENECK_WIDTHS:
        for name, known_depths in RESNET_DEPTHS.items():
            if known_depths == depths and not described.get("downsample_in_bottleneck", False):
                return name
    raise ValueError(f"backbone {kind!r} of depths {depths} is neither a swin nor one of {', '.join(RESNET_DEPTHS)}")


def _describe_backbone(config: SegmenterConfig) -> dict[str, Any]:
    stages = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
    if config.backbone in RESNET_DEPTHS:
        depths = list(RESNET_DEPTHS[config.backbone])
        return {"model_type": "resnet", "depths": depths, "hidden_sizes": list(BOTTLENECK_WIDTHS), **stages}
    sizes = SWIN_SIZES[config.backbone]
    return {
        "model_type": "swin",
        "embed_dim": sizes.width,
        "depths": list(sizes.depths),
        "num_heads": list(sizes.heads),
        "window_size": sizes.window,
        "drop_path_rate": config.drop_path_rate,
        **stages,
    }


def _table(config: SegmenterConfig) -> list[Piece]:
    return maskformer_pieces(config) if config.mask_decoder == "maskformer" else pieces(config)


def _rename(source: Mapping[str, Tensor], table: list[Piece]) -> dict[str, Tensor]:
    """Return the tensors of the right side of a table from those of its left side."""
    names = {piece.ours for piece in table}
    if missing := sorted(names - source.keys()):
        raise ValueError(f"{len(missing)} tensors are missing, e.g. {missing[0]}")
    if unknown := sorted(source.keys() - names):
        raise ValueError(f"{len(unknown)} tensors are unknown, e.g. {unknown[0]}")
    parts: dict[str, list[Tensor]] = {}
    for piece in table:  # pieces of one tensor come in the order query, key, value
        tensor = source[piece.ours]
        if piece.our_part is not None:
            if len(tensor) % 3:
                raise ValueError(f"{piece.ours} has shape {tuple(tensor.shape)}: not query, key and value")
            tensor = tensor.chunk(3)[piece.our_part]
        parts.setdefault(piece.theirs, []).append(tensor)
    return {
        name: torch.cat(tensors) if len(tensors) > 1 else tensors[0].clone(memory_format=torch.contiguous_format)
        for name, tensors in parts.items()
    }


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError("the file is missing; it lies beside the weights that transformers saves")
    described = json.loads(path.read_text())  # a ValueError where it is no JSON
    if not isinstance(described, dict):
        raise ValueError(f"it holds a {type(described).__name__}, not settings by name")
    return described
