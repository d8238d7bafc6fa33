"""Stage `regions`: ZegFormer's image branch runs once over the masks of each val image; rows read what it said.

Choosing its weight, its calibration or its prompts afterwards costs no pass of a network over images.
"""

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.data
import torch

from cluster.filesystem import open_location
from cluster.resources import Request
from cluster.session import connect
from cluster.storage import Manifest, RunDir, file_digest, write_json
from jobs.cache import prediction_files
from jobs.clip import LOCAL_FOLDER, load_clip
from jobs.clip_tower import require_tokens
from jobs.config import PipelineConfig, class_table
from jobs.devices import uses_gpus
from jobs.embed import CLIP_FOLDER, embed_by_clip
from jobs.progress import Progress, say
from jobs.region_encoder import RegionEncoder, RegionSources
from jobs.shard import shard_files, shard_folder, shard_index
from pading.config import to_plain
from pading.data.errors import DataError, MissingFileError
from pading.data.shards.photos import photo_places
from pading.evaluate.predictions import num_groups
from pading.regions.files import region_file, region_writer
from pading.text.embeddings import TextEmbeddings

TEXT, CLIP = "text.npz", "clip.json"
GIVE_CLIP = "give the image branch a CLIP by --regions.model ViT-B-16 --regions.pretrained FILE_OR_TAG"
PROMPTS = ("templates", "clean_names")  # settings that the texts alone depend on


def regions(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write `STYLE.parquet` for each style, the texts of the same CLIP, and what that CLIP is.

    After a change of prompts alone, the files of the images are taken over from the artefact that is there.

    Raises:
        ValueError: if no CLIP is named, it cannot be loaded, or a style asks for what it has not.
    """
    model, pretrained = clip_source(config, run_dir)
    text, described = _text_branch(config, model, pretrained)
    text.save(folder / TEXT)
    say(f"  {len(text.names)} names x {text.matrix.shape[1]}, from {text.model}")
    write_json(folder / CLIP, described)
    files = [region_file(folder, style) for style in config.regions.styles]
    kept = _files_to_keep(config, run_dir)
    if kept:
        for file in files:
            shutil.copyfile(kept / file.name, file)
        say(f"  other prompts: the images' embeddings are those of {kept}")
        num_images = shard_index(config, run_dir, "val").num_images
    else:
        num_images = _encode_images(config, run_dir, folder, (model, pretrained))
    return {"images": num_images, "files": {file.name: file_digest(file) for file in files}}


def needs(config: PipelineConfig, has_gpus: bool) -> list[Request]:
    """Return what the stage cannot do without: its actors, and a CPU to read and write with."""
    chosen = config.regions
    actor = {"CPU": chosen.cpus_per_actor} | ({"GPU": chosen.gpus_per_actor} if has_gpus else {})
    return [Request(resources=actor, count=chosen.actors), Request(resources={"CPU": 1})]


def require_clip(config: PipelineConfig) -> None:
    """Check that the image branch, where it is on, has a CLIP to ask.

    Raises:
        ValueError: if none is named and the run will have none of its own; says how to name one.
    """
    if config.regions.styles and not config.regions.model and not config.has_own_clip:
        styles = " ".join(config.regions.styles)
        raise ValueError(f"--regions.styles {styles}: this run has no CLIP of its own; {GIVE_CLIP}")


def region_settings(config: PipelineConfig) -> dict[str, Any]:
    """Return the settings that the artefact depends on."""
    chosen = to_plain(config.regions)
    names = ("styles", "model", "pretrained", "templates", "negligible")
    return {**{name: chosen[name] for name in names}, "clean_names": config.embed.clean_names}


def region_inputs(config: PipelineConfig) -> tuple[str, ...]:
    """Return the artefacts that the stage reads; the run's own CLIP is beside its texts."""
    return ("shards", "segmenter", "cache", *(() if config.regions.model else ("text",)))


def outside_files(config: PipelineConfig) -> dict[str, str]:
    """Return the digests of weights that were given as files.

    Raises:
        FileNotFoundError: if a folder that was given does not exist.
    """
    weights = Path(config.regions.pretrained)
    digests = {f"pretrained:{weights.name}": file_digest(weights)} if weights.is_file() else {}
    if config.regions.model.startswith(LOCAL_FOLDER):
        folder = Path(config.regions.model.removeprefix(LOCAL_FOLDER))
        if not folder.is_dir():
            raise MissingFileError(str(folder), "no such folder of a CLIP model", "check --regions.model")
        digests |= {f"model:{path.name}": file_digest(path) for path in sorted(folder.glob("open_clip*"))}
    return digests


def clip_source(config: PipelineConfig, run_dir: RunDir) -> tuple[str, str]:
    """Return model and weights of the image branch, paths made absolute: workers may start elsewhere.

    Raises:
        ValueError: if none is named and the run has none of its own.
    """
    chosen = config.regions
    if not chosen.model:
        own = run_dir.artefact("text").absolute() / CLIP_FOLDER
        if not own.is_dir():
            raise ValueError(f"this run has no CLIP of its own: {GIVE_CLIP}, or leave --regions.styles empty")
        return f"{LOCAL_FOLDER}{own}", ""
    folder = chosen.model.removeprefix(LOCAL_FOLDER)
    model = chosen.model if folder == chosen.model else f"{LOCAL_FOLDER}{Path(folder).absolute()}"
    weights = Path(chosen.pretrained)
    return model, str(weights.absolute()) if weights.is_file() else chosen.pretrained


def region_text(run_dir: RunDir) -> TextEmbeddings:
    """Return the classes' texts with the image branch's own prompts, from the CLIP that encoded the regions."""
    return TextEmbeddings.load(run_dir.artefact("regions") / TEXT)


def logit_scale(run_dir: RunDir) -> float:
    """Return the factor on cosines that the image branch's CLIP was trained with."""
    return float(_described(run_dir)["logit_scale"])


def region_styles(run_dir: RunDir) -> tuple[str, ...]:
    """Return the styles that were encoded; none where the stage was not run."""
    return tuple(_described(run_dir)["styles"]) if run_dir.artefact("regions").is_dir() else ()


def _described(run_dir: RunDir) -> dict[str, Any]:
    file = run_dir.artefact("regions") / CLIP
    try:
        described: dict[str, Any] = json.loads(file.read_text())
        sound = described["logit_scale"] > 0 and all(isinstance(style, str) for style in described["styles"])
    except FileNotFoundError as error:
        raise MissingFileError(str(file), "no such file", "run the stage 'regions' first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(str(file), f"does not describe the image branch ({error!r})", "redo the stage") from error
    if not sound:
        raise DataError(str(file), "does not describe the image branch", "redo the stage 'regions'")
    return described


def _text_branch(config: PipelineConfig, model: str, pretrained: str) -> tuple[TextEmbeddings, dict[str, Any]]:
    """Return the texts and the description of a CLIP; the first to need its weights, and to say what is wrong."""
    chosen = config.regions
    try:
        clip = load_clip(model, pretrained)
        if "pooled" in chosen.styles:
            require_tokens(clip)
        prompts = replace(config.embed, templates=chosen.templates, pretrained=pretrained)
        text = embed_by_clip(prompts, class_table(config), model)
    except ValueError as error:
        raise ValueError(f"stage 'regions': {error}; {GIVE_CLIP}") from error
    with torch.no_grad():
        scale = float(clip.model.logit_scale.exp())
    styles = list(chosen.styles)
    return text, {"model": clip.name, "logit_scale": scale, "image_px": clip.image_px, "styles": styles}


def _files_to_keep(config: PipelineConfig, run_dir: RunDir) -> Path | None:
    """Return the folder that is there, if it differs from what is wanted in prompts alone and its files are whole."""
    folder = run_dir.artefact("regions")
    found = Manifest.read(folder)
    if found is None:
        return None
    inputs = {name: _digest(run_dir, name) for name in region_inputs(config)} | outside_files(config)
    wanted = region_settings(config)
    changed = {name for name in wanted if wanted[name] != found.settings.get(name)}
    digests = found.counts.get("files", {})
    is_whole = all((folder / name).is_file() and file_digest(folder / name) == digests[name] for name in digests)
    return folder if changed and changed <= set(PROMPTS) and found.inputs == inputs and is_whole else None


def _digest(run_dir: RunDir, name: str) -> str:
    manifest = Manifest.read(run_dir.artefact(name))
    return manifest.digest if manifest else ""


def _encode_images(config: PipelineConfig, run_dir: RunDir, folder: Path, clip: tuple[str, str]) -> int:
    connect()
    chosen = config.regions
    shards = shard_folder(config, run_dir, "val")
    index = shard_index(config, run_dir, "val")
    filesystem, _ = open_location(shards)
    paths = shard_files(config, run_dir, "val")
    groups = {path: file.rows_per_group for path, file in zip(paths, index.files, strict=True)}
    sources = RegionSources(
        segmenter=run_dir.artefact("segmenter").resolve(),
        clip=clip,
        shards=shards,
        photos=photo_places(filesystem, groups),
    )
    files = [path.resolve() for path in prediction_files(run_dir)]
    items = [{"file": str(file), "group": group} for file in files for group in range(num_groups(file))]
    dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        RegionEncoder,
        fn_constructor_args=(chosen, sources),
        batch_size=1,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=chosen.actors),
        num_cpus=chosen.cpus_per_actor,
        num_gpus=chosen.gpus_per_actor if uses_gpus() else 0,
    )
    progress, done = Progress("encode regions of val images", index.num_images), 0
    with ExitStack() as stack:
        add = {style: stack.enter_context(region_writer(region_file(folder, style))) for style in chosen.styles}
        for done, row in enumerate(dataset.iter_rows(), start=1):
            for style in chosen.styles:
                add[style](int(row["image_id"]), row[style])
            progress.update(done)
    if done != index.num_images:
        raise ValueError(f"{done} images encoded, the val shards hold {index.num_images}; redo the cache stage")
    return done
