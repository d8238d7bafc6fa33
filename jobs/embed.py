"""Stage `embed`: class names -> `embeddings.npz`, from files, an open_clip model, or the shapes world's own model."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from cluster.storage import RunDir, file_digest
from jobs.clip import LOCAL_FOLDER, embed_names
from jobs.config import EmbedConfig, PipelineConfig, class_table
from jobs.progress import Progress, say
from jobs.shapes_clip import train_shapes_clip
from pading.classes import ClassTable
from pading.text.embeddings import TextEmbeddings, clean_name, name_collisions
from pading.text.files import load_text_files, split_paths
from pading.text.neighbours import indistinguishable, nearest_neighbours, neighbour_table

EMBEDDINGS = "embeddings.npz"
NEIGHBOURS = "neighbours.json"
CLIP_FOLDER = "clip"
_SHOWN = 5


def embed(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write one unit vector per class name, and beside it the seen classes nearest to every unseen one.

    Raises:
        ValueError: if a file is damaged or its rows are not the class table's, or no source of embeddings was named.
    """
    classes = class_table(config)
    if config.embed.file:
        embeddings = load_text_files(config.embed.file, config.embed.names, classes)
    elif config.embed.model:
        embeddings = embed_by_clip(config.embed, classes, config.embed.model)
    elif config.is_synthetic:
        progress = Progress("train the shapes world's CLIP", config.embed.clip.steps)
        torch.set_num_threads(1)  # matrices this small are slower on more, much slower where something else runs
        train_shapes_clip(
            folder / CLIP_FOLDER,
            config.embed.clip,
            classes,
            lambda step, steps, loss: progress.update(step, f"loss {loss:.3f}"),
        )
        embeddings = embed_by_clip(config.embed, classes, f"{LOCAL_FOLDER}{folder / CLIP_FOLDER}")
    else:
        raise ValueError(
            "text embeddings: give --embed.file FILE (.npz, .npy, .txt), or --embed.model NAME (open_clip)"
        )
    embeddings.save(folder / EMBEDDINGS)
    say(f"  {len(embeddings.names)} names x {embeddings.matrix.shape[1]}, from {embeddings.model}")
    _report(config.embed, embeddings, classes, folder)
    return {"classes": len(embeddings.names), "width": int(embeddings.matrix.shape[1]), "model": embeddings.model}


def outside_files(config: PipelineConfig) -> dict[str, str]:
    """Return the digests of supplied embedding files and of their lists of names, in the order in which they are used.

    Raises:
        FileNotFoundError: if one does not exist.
    """
    digests = {}
    for setting, files in (("file", config.embed.file), ("names", config.embed.names)):
        for position, path in enumerate(split_paths(files)):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such text embedding file; check --embed.{setting}")
            digests[f"{setting}:{position}:{path.name}"] = file_digest(path)
    return digests


def read_embeddings(run_dir: RunDir) -> TextEmbeddings:
    """Return the embeddings that this run uses."""
    return TextEmbeddings.load(run_dir.artefact("text") / EMBEDDINGS)


def embed_by_clip(config: EmbedConfig, classes: ClassTable, model: str) -> TextEmbeddings:
    """Encode names as the table spells them, or as they are spoken; either way the rows keep the table's names."""
    names = [clean_name(name) for name in classes.names] if config.clean_names else classes.names
    embeddings = embed_names(names, config.templates, model=model, pretrained=config.pretrained)
    return dataclasses.replace(embeddings, names=classes.names)


def _report(config: EmbedConfig, embeddings: TextEmbeddings, classes: ClassTable, folder: Path) -> None:
    """Write and say which seen classes are near each unseen one, and which names or vectors are not told apart."""
    neighbours = nearest_neighbours(embeddings, classes)
    alike, collisions = indistinguishable(embeddings), name_collisions(classes.names)
    content = {
        "neighbours": {name: [dataclasses.asdict(near) for near in nearest] for name, nearest in neighbours.items()},
        "indistinguishable": alike,
        "names_alike_when_cleaned": collisions,
        "respelled": embeddings.respelled,
    }
    (folder / NEIGHBOURS).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for first, second in alike[:_SHOWN]:
        say(f"  warning: {first!r} and {second!r} have the same text embedding; no classifier can tell them apart")
    if config.clean_names or embeddings.respelled:
        for group in collisions[:_SHOWN]:
            say(f"  warning: cleaned, {' and '.join(map(repr, group))} are one name")
    if embeddings.respelled:
        shown = ", ".join(f"{name} as {found}" for name, found in embeddings.respelled[:_SHOWN])
        say(f"  {len(embeddings.respelled)} classes were found under another spelling: {shown}")
    say("  unseen class -> nearest seen classes (cosine)")
    for line in neighbour_table(neighbours):
        say(f"    {line}")
