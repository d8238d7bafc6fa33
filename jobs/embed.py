"""Stage `embed`: class names -> `embeddings.npz`, from a file, an open_clip model, or the shapes world's own model."""

from pathlib import Path
from typing import Any

import torch

from cluster.storage import RunDir, file_digest
from jobs.clip import LOCAL_FOLDER, embed_names
from jobs.presets import PipelineConfig, class_table
from jobs.progress import Progress, say
from jobs.shapes_clip import train_shapes_clip
from pading.text import TextEmbeddings, load_for_classes

EMBEDDINGS = "embeddings.npz"
CLIP_FOLDER = "clip"


def embed(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write one unit vector per class name.

    Raises:
        ValueError: if the file's rows are not the class table's, or no source of embeddings was named.
    """
    classes = class_table(config)
    if config.embed.file:
        embeddings = load_for_classes(Path(config.embed.file), classes)
    elif config.embed.model:
        embeddings = embed_names(
            classes.names, config.embed.templates, model=config.embed.model, pretrained=config.embed.pretrained
        )
    elif config.is_synthetic:
        progress = Progress("train the shapes world's CLIP", config.embed.clip.steps)
        torch.set_num_threads(1)  # matrices this small are slower on more, much slower where something else runs
        train_shapes_clip(
            folder / CLIP_FOLDER, config.embed.clip, lambda step, steps, loss: progress.update(step, f"loss {loss:.3f}")
        )
        embeddings = embed_names(classes.names, config.embed.templates, model=f"{LOCAL_FOLDER}{folder / CLIP_FOLDER}")
    else:
        raise ValueError("text embeddings: give --embed.file FILE.npz|FILE.npy, or --embed.model NAME (open_clip)")
    embeddings.save(folder / EMBEDDINGS)
    say(f"  {len(embeddings.names)} names x {embeddings.matrix.shape[1]}, from {embeddings.model}")
    return {"classes": len(embeddings.names), "width": int(embeddings.matrix.shape[1]), "model": embeddings.model}


def outside_files(config: PipelineConfig) -> dict[str, str]:
    """Return the digest of a supplied embedding file.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    if not config.embed.file:
        return {}
    path = Path(config.embed.file)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such text embedding file; check --embed.file")
    return {f"file:{path.name}": file_digest(path)}


def read_embeddings(run_dir: RunDir) -> TextEmbeddings:
    """Return the embeddings that this run uses."""
    return TextEmbeddings.load(run_dir.artefact("text") / EMBEDDINGS)
