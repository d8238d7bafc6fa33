"""A fitted generator on disk: `generator.safetensors` beside `generator.json`, enough to draw equal samples again."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from pading.config import from_plain, to_plain
from pading.data.errors import DataError, MissingFileError
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.gmmn import Gmmn, GmmnConfig
from pading.zeroshot.released.generator import ReleasedGenerator, ReleasedGeneratorConfig
from pading.zeroshot.standardise import Standardised

SCHEMA_VERSION = 1
WEIGHTS_NAME = "generator.safetensors"
CONFIG_NAME = "generator.json"
_REMEDY = "fit the method again"


class Kind(NamedTuple):
    """A form of generator: its settings, and the network that is made of (settings, text width, width, randomness)."""

    config: type
    network: type[nn.Module]


# A further form is one entry here; its network keeps its settings as `config` and the feature width as `width`.
KINDS = {
    "primitive": Kind(PrimitiveConfig, PrimitiveGenerator),
    "gmmn": Kind(GmmnConfig, Gmmn),
    "released": Kind(ReleasedGeneratorConfig, ReleasedGenerator),
}


def save_generator(folder: Path, generator: Standardised) -> None:
    """Write weights and description into a folder, which is made if absent; the description is written last.

    Raises:
        ValueError: if it is no generator of a known kind.
    """
    network: Any = generator.generator
    kinds = [name for name, kind in KINDS.items() if type(network) is kind.network]
    if not kinds:
        raise ValueError(f"a {type(network).__name__} cannot be saved: the kinds are {', '.join(KINDS)}")
    description = {
        "schema": SCHEMA_VERSION,
        "kind": kinds[0],
        "config": to_plain(network.config),
        "text_width": len(generator.offset),
        "width": network.width,
    }
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{WEIGHTS_NAME}.unfinished"
    save_file({name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}, unfinished)
    unfinished.replace(folder / WEIGHTS_NAME)
    unfinished = folder / f".{CONFIG_NAME}.unfinished"
    unfinished.write_text(json.dumps(description, indent=1) + "\n")
    unfinished.replace(folder / CONFIG_NAME)


def load_generator(folder: Path) -> Standardised:
    """Read a generator that `save_generator` wrote, on the CPU.

    Raises:
        MissingFileError: if the folder holds none.
        DataError: if a file is damaged, of another schema or kind, or does not fit the other.
    """
    for path in (folder / CONFIG_NAME, folder / WEIGHTS_NAME):
        if not path.is_file():
            raise MissingFileError(str(path), "no such generator", _REMEDY)
    generator = _build(folder / CONFIG_NAME)
    path = folder / WEIGHTS_NAME
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(str(path), f"is not a readable safetensors file ({error})", _REMEDY) from error
    expected = generator.state_dict()
    if odd := sorted(expected.keys() ^ state.keys()):
        raise DataError(str(path), f"has other tensors than {CONFIG_NAME} says, such as {odd[0]!r}", _REMEDY)
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape or state[name].dtype != tensor.dtype:
            found, said = (f"{value.dtype} {tuple(value.shape)}" for value in (state[name], tensor))
            raise DataError(str(path), f"{name!r} is {found}, {CONFIG_NAME} says {said}", _REMEDY)
        if not state[name].isfinite().all():
            raise DataError(str(path), f"{name!r} holds values that are not finite", _REMEDY)
    generator.load_state_dict(state)
    return generator


def _build(path: Path) -> Standardised:
    """Return the generator that a description asks for; its weights and scale mean nothing yet."""
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["schema"] != SCHEMA_VERSION or description["kind"] not in KINDS:
            found = f"schema {description['schema']!r}, kind {description['kind']!r}"
            raise ValueError(f"{found}; this code reads schema {SCHEMA_VERSION} of {', '.join(KINDS)}")
        kind = KINDS[description["kind"]]
        text_width, width = int(description["text_width"]), int(description["width"])
        network = kind.network(from_plain(kind.config, description["config"]), text_width, width, torch.Generator())
        return Standardised(network, torch.eye(2, text_width))
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, RecursionError) as error:  # torch: sizes
        raise DataError(str(path), f"does not describe a generator ({error!r})", _REMEDY) from error
