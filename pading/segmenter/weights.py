"""A segmenter on disk: `weights.safetensors` beside `config.json`, enough to build it again."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pading.config import from_plain, to_plain
from pading.segmenter.segmenter import Segmenter, SegmenterConfig

WEIGHTS_FILE = "weights.safetensors"
CONFIG_FILE = "config.json"
SCHEMA = 1


def save_segmenter(folder: Path, segmenter: Segmenter) -> None:
    """Write weights and configuration to `folder`, each under a temporary name and then renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in segmenter.state_dict().items()}
    description = {"schema": SCHEMA, "num_classes": segmenter.num_classes, "config": to_plain(segmenter.config)}
    save_file(state, folder / f".{WEIGHTS_FILE}.partial")
    (folder / f".{CONFIG_FILE}.partial").write_text(json.dumps(description, indent=1) + "\n")
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        os.replace(folder / f".{name}.partial", folder / name)


def load_segmenter(folder: Path) -> Segmenter:
    """Return the segmenter that `save_segmenter` wrote, on the CPU and in evaluation mode.

    Raises:
        ValueError: naming the file that is missing, unreadable, of another schema, or that does not fit the other.
    """
    segmenter = Segmenter(*_read_description(folder / CONFIG_FILE))
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ValueError(f"{path} is missing; pretrain a segmenter or point to the folder of one")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    expected = segmenter.state_dict()
    if missing := sorted(expected.keys() - state.keys()):
        raise ValueError(f"{path} lacks {len(missing)} tensors of its configuration, e.g. {missing[0]}")
    if unknown := sorted(state.keys() - expected.keys()):
        raise ValueError(f"{path} holds {len(unknown)} tensors that its configuration does not have, e.g. {unknown[0]}")
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise ValueError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, its configuration says {tuple(tensor.shape)}"
            )
    segmenter.load_state_dict(state)
    return segmenter.eval()


def _read_description(path: Path) -> tuple[SegmenterConfig, int]:
    if not path.is_file():
        raise ValueError(f"{path} is missing; pretrain a segmenter or point to the folder of one")
    try:
        description: dict[str, Any] = json.loads(path.read_text())
        if description["schema"] != SCHEMA:
            raise ValueError(f"schema {description['schema']}, this version reads {SCHEMA}")
        return from_plain(SegmenterConfig, description["config"]), int(description["num_classes"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not describe a segmenter: {error!r}") from error
