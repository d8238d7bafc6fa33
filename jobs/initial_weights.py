"""What the training of a segmenter starts from: random weights, those of a backbone, or a whole published segmenter."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from cluster.storage import file_digest, written_whole
from jobs.config import PipelineConfig
from jobs.hub import fetch, is_hub_id
from jobs.progress import say
from pading.classes import ClassTable
from pading.config import override
from pading.randomness import generator_for
from pading.segmenter.class_heads import TextHead
from pading.segmenter.initialisation import initialise
from pading.segmenter.pretrained import CLASSES_FILE, load_pretrained, read_papers, take_over, write_papers
from pading.segmenter.provenance import PROVENANCE_FILE, Provenance, judge
from pading.segmenter.segmenter import Segmenter, SegmenterConfig
from pading.segmenter.timm_backbone import TimmBackbone, hub_weights, load_backbone_weights
from pading.segmenter.weights import save_segmenter

SeenText = Float32[np.ndarray, "S E"]  # one row a seen class, in the order of the table
HUB = "hub"  # of --pretrain.backbone-weights: the weights that timm publishes
ONLY_IN_TRAINING = {"drop_path_rate"}  # settings that no weight depends on


def initial_segmenter(
    config: PipelineConfig, classes: ClassTable, seen_text: SeenText | None = None
) -> tuple[Segmenter, Provenance]:
    """Return a segmenter before its first step, and where its weights come from; the rest depends on the seed alone.

    A text head is given the texts of the seen classes; the unseen ones are silent in it.

    Raises:
        OSError: if weights that were asked for are not there.
        ValueError: if they cannot be read, or are of another architecture than `config.segmenter`.
    """
    untrained = Segmenter(config.segmenter, classes.num_classes)
    segmenter = initialise(untrained, generator_for(config.seed, "segmenter"))
    if isinstance(segmenter.class_head, TextHead) and seen_text is not None:
        segmenter.class_head.set_text(torch.tensor(seen_text), classes.seen)
    if config.pretrain.init_from:
        return segmenter, _start_from(segmenter, config.pretrain.init_from, classes)
    if config.pretrain.backbone_weights:
        return segmenter, _load_backbone(segmenter, config.pretrain.backbone_weights)
    return segmenter, Provenance()


def staged_start(
    config: PipelineConfig, classes: ClassTable, folder: Path, seen_text: SeenText | None = None
) -> tuple[PipelineConfig, Provenance]:
    """Write the first weights to `folder`, and return the configuration under which every rank starts from there.

    So one process asks the hub, once, and all ranks start from the same bytes. A random start needs no file and leaves
    the configuration as it is.

    Raises:
        OSError: if weights that were asked for are not there.
        ValueError: if they cannot be read, or are of another architecture than `config.segmenter`.
    """
    if not (config.pretrain.init_from or config.pretrain.backbone_weights):
        return config, Provenance()
    if not folder.is_dir():
        segmenter, provenance = initial_segmenter(config, classes, seen_text)
        with written_whole(folder) as partial:
            save_segmenter(partial, segmenter)
            write_papers(partial, classes, provenance)
    _, provenance = read_papers(folder)
    say(f"  starts from {provenance.line}")
    if provenance.source:
        say(f"  the class head keeps the rows of {provenance.num_kept} of {len(classes.seen)} seen classes")
    if provenance.leaky:
        say(f"  WARNING: NOT A ZERO-SHOT RUN: {provenance.reason}; every row of its leaderboard will be marked leaky")
    settled = {"pretrain.backbone_weights": "", "pretrain.init_from": str(folder.resolve())}
    return override(config, settled), provenance


def outside_files(config: PipelineConfig) -> dict[str, str]:
    """Return the digests of the files of this machine that training starts from; a hub id is its own identity.

    Raises:
        FileNotFoundError: if a folder or file does not exist.
    """
    settings, digests = config.pretrain, {}
    source = Path(settings.init_from)
    if settings.init_from and not source.is_dir() and not is_hub_id(settings.init_from):
        raise FileNotFoundError(f"{source}: no such folder, nor a hub id like owner/name; check --pretrain.init-from")
    if settings.init_from and source.is_dir():
        papers = [source / name for name in (CLASSES_FILE, PROVENANCE_FILE, "config.json")]
        for path in [*sorted(source.glob("*.safetensors")), *(path for path in papers if path.is_file())]:
            digests[f"init_from:{path.name}"] = file_digest(path)
    elif settings.backbone_weights not in ("", HUB):
        path = Path(settings.backbone_weights)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file of weights; check --pretrain.backbone-weights")
        digests[f"backbone_weights:{path.name}"] = file_digest(path)
    return digests


def check_architecture(found: SegmenterConfig, wanted: SegmenterConfig, source: str) -> None:
    """Compare the architecture of weights with the one that is to be trained.

    Raises:
        ValueError: naming the first setting that differs, and the options that would set all that do.
    """
    names = [field.name for field in dataclasses.fields(wanted) if field.name not in ONLY_IN_TRAINING]
    differing = [name for name in names if getattr(found, name) != getattr(wanted, name)]
    if differing:
        first = differing[0]
        raise ValueError(
            f"{source} has segmenter.{first} {getattr(found, first)!r}, this run {getattr(wanted, first)!r}; "
            f"give {' '.join(_option(name, getattr(found, name)) for name in differing)}"
        )


def _start_from(segmenter: Segmenter, name: str, classes: ClassTable) -> Provenance:
    source = load_pretrained(fetch(name))
    check_architecture(source.segmenter.config, segmenter.config, name)
    num_kept = take_over(segmenter, source, classes)
    provenance = judge(name, file_digest(source.weights_file), source.trained_names, source.origin, classes)
    return dataclasses.replace(provenance, num_kept=num_kept)


def _load_backbone(segmenter: Segmenter, name: str) -> Provenance:
    backbone = segmenter.backbone
    if not isinstance(backbone, TimmBackbone):
        raise ValueError(
            f"--pretrain.backbone-weights {name} needs a network of timm, not {segmenter.config.backbone!r}; "
            "choose one, such as --segmenter.backbone resnet50"
        )
    if name != HUB:
        load_backbone_weights(backbone, Path(name))
        return Provenance(backbone=name, backbone_digest=file_digest(Path(name)))
    try:
        published = hub_weights(segmenter.config.backbone)
    except Exception as error:  # of timm, the hub or the network: the remedy is the same
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = "check the network, or give a file by --pretrain.backbone-weights FILE"
        raise OSError(f"timm does not give weights of {segmenter.config.backbone} ({cause}); {remedy}") from error
    load_backbone_weights(backbone, published)
    return Provenance(backbone=f"timm {segmenter.config.backbone}", backbone_digest=_digest(published))


def _digest(state: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        found.update(name.encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def _option(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--segmenter.{'' if value else 'no-'}{flag}"
    return f"--segmenter.{flag} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"
