"""A model that stands alone: what `predict` and `teach` read, a finished run or the folder that `teach` wrote.

MODEL/model.json      settings, and the run whose cached features and predictions it is taught from
MODEL/classes.json, cached_classes.json      what it can name, and what the labels of the cache mean
MODEL/segmenter/, text/, fitted/             weights; text embeddings and their CLIP; classifier and generator
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster.storage import Manifest, RunDir, write_json, written_whole
from jobs.clip import LOCAL_FOLDER
from jobs.config import EmbedConfig, read_config
from jobs.embed import CLIP_FOLDER, EMBEDDINGS
from jobs.fit import fitted_rows, fitted_settings
from jobs.rows import CALIBRATED, RECIPES, RowInputs, RowName, ScoredRow, scored_row, scorer_of
from jobs.shard import shard_classes
from pading.classes import ClassTable
from pading.config import from_plain, to_plain
from pading.data.errors import DataError, MissingFileError
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.scorer import Scorer
from pading.splits.split import Task
from pading.text.embeddings import TextEmbeddings
from pading.zeroshot.classifier import Classifier, save_classifier
from pading.zeroshot.generator_files import save_generator
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.standardise import Standardised
from pading.zeroshot.zegformer import ZegformerConfig

SCHEMA_VERSION = 1
MODEL_FILE, CLASSES_FILE, CACHED_CLASSES_FILE = "model.json", "classes.json", "cached_classes.json"
SEGMENTER, TEXT, FITTED = "segmenter", "text", "fitted"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What a model is besides its weights; `run` is the run directory that it was fitted in, with that cache."""

    method: RowName
    seed: int
    task: Task
    input_px: int
    inference: InferenceConfig
    settings: MethodConfig
    embed: EmbedConfig
    run: str
    cache_digest: str
    zegformer: ZegformerConfig = field(default_factory=ZegformerConfig)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model on disk: `segmenter`, `text` and `fitted` are folders."""

    root: Path
    config: ModelConfig
    classes: ClassTable
    cached_classes: ClassTable
    segmenter: Path
    text: Path
    fitted: Path

    def embeddings(self) -> TextEmbeddings:
        """Return the text embeddings of its classes.

        Raises:
            ValueError: if they are damaged, or of other classes.
        """
        return TextEmbeddings.load(self.text / EMBEDDINGS).for_classes(self.classes)

    def run_dir(self) -> RunDir:
        """Return the run with the cached features and predictions.

        Raises:
            MissingFileError: if its cache is gone.
            ValueError: if it was made again since.
        """
        run_dir = RunDir(Path(self.config.run))
        folder = run_dir.artefact("cache")
        manifest = Manifest.read(folder)
        if manifest is None:
            raise MissingFileError(str(folder), "no finished cache", "a model is taught from the cache of its run")
        if manifest.digest != self.config.cache_digest:
            raise ValueError(f"{folder} was made again since {self.root} was fitted; run the stage 'fit' again")
        return run_dir


def open_model(folder: Path, method: str, profile: str, seed: int) -> Model:
    """Return the model of a folder; of a run, the one with this method, profile (empty: the first fitted) and seed.

    A taught model has but one.

    Raises:
        FileNotFoundError: if there is neither.
        ValueError: if the run is unfinished or has no such method, or a file is damaged.
    """
    folder = folder.absolute()
    return _open_taught(folder) if (folder / MODEL_FILE).is_file() else _open_run(RunDir(folder), method, profile, seed)


def scored_row_of(model: Model) -> ScoredRow:
    """Return how the row of a model scores an image, by the configured constants.

    Raises:
        ValueError: if the run chose the constants on its val images: they are no part of a model.
    """
    method, config = model.config.method, model.config
    recipe = RECIPES[method]
    if recipe.is_calibrated:
        raise ValueError(
            f"row {method!r} has constants that its run chose: choose --method {method.removesuffix(CALIBRATED)}, or "
            f"{recipe.fitted}"
        )
    return scored_row(recipe, model.fitted, config.inference, config.zegformer)


def scorer_of_photos(model: Model) -> Scorer:
    """Return what says of a photo's queries which class they are.

    Raises:
        ValueError: if the row reads what is cached of val images alone.
    """
    recipe = RECIPES[model.config.method]
    if recipe.style:
        raise ValueError(
            f"row {model.config.method!r} reads what CLIP says of the regions of val images, and no photo: choose "
            f"--method {recipe.fitted} or zegformer-seg"
        )
    return scorer_of(scored_row_of(model), RowInputs(classes=model.classes))


def write_model(
    folder: Path,
    model: Model,
    classes: ClassTable,
    embeddings: TextEmbeddings,
    classifier: Classifier,
    generator: Standardised,
) -> None:
    """Write a model of other classes, with what it shares with `model`; the folder appears when it is whole.

    Raises:
        ValueError: if there is something in its place.
    """
    require_free(folder)
    with written_whole(folder.absolute()) as partial:
        shutil.copytree(model.segmenter, partial / SEGMENTER)
        if (model.text / CLIP_FOLDER).is_dir():
            shutil.copytree(model.text / CLIP_FOLDER, partial / TEXT / CLIP_FOLDER)
        embeddings.save(partial / TEXT / EMBEDDINGS)
        save_classifier(partial / FITTED, classifier)
        save_generator(partial / FITTED, generator)
        (partial / CLASSES_FILE).write_text(classes.to_json())
        (partial / CACHED_CLASSES_FILE).write_text(model.cached_classes.to_json())
        write_json(partial / MODEL_FILE, {"schema": SCHEMA_VERSION, **to_plain(model.config)})


def require_free(folder: Path) -> None:
    """Check that a folder may be written.

    Raises:
        ValueError: if there is something in its place.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already; give another --out, or remove it")


def _open_run(run_dir: RunDir, method: str, profile: str, seed: int) -> Model:
    config = read_config(run_dir)
    cache = Manifest.read(run_dir.artefact("cache"))
    if Manifest.read(run_dir.artefact("classifiers")) is None or cache is None:
        raise ValueError(f"{run_dir.root} has no finished classifiers; run its stages up to 'fit' first")
    row = row_of(fitted_rows(run_dir), method, profile, seed)
    settings = fitted_settings(run_dir, row["profile"])
    return Model(
        root=run_dir.root,
        config=from_plain(
            ModelConfig,
            {
                "method": method,
                "seed": seed,
                "task": config.task,
                "input_px": config.data.input_px,
                "inference": config.inference,
                "settings": settings,
                "embed": _anywhere(config.embed),
                "run": str(run_dir.root),
                "cache_digest": cache.digest,
                "zegformer": config.zegformer,
            },
        ),
        classes=shard_classes(run_dir),
        cached_classes=shard_classes(run_dir),
        segmenter=run_dir.artefact("segmenter"),
        text=run_dir.artefact("text"),
        fitted=run_dir.artefact("classifiers") / row["folder"],
    )


def row_of(fitted: Sequence[dict[str, Any]], method: str, profile: str, seed: int) -> dict[str, Any]:
    """Return the row with this method, profile (empty: the first that was fitted) and seed.

    Raises:
        ValueError: if there is none; the message lists those that there are.
    """
    for row in fitted:
        if (method, profile or row["profile"], seed) == (row["method"], row["profile"], row["seed"]):
            return row
    has = ", ".join(f"{row['method']} ({row['profile']}, seed {row['seed']})" for row in fitted)
    wanted = f" and profile {profile!r}" if profile else ""
    raise ValueError(f"no {method!r} with seed {seed}{wanted} was fitted; there is {has}")


def _anywhere(embed: EmbedConfig) -> EmbedConfig:
    """Return settings in which the folder of a local CLIP is absolute: a model may be read from elsewhere."""
    if not embed.model.startswith(LOCAL_FOLDER):
        return embed
    return replace(embed, model=f"{LOCAL_FOLDER}{Path(embed.model.removeprefix(LOCAL_FOLDER)).absolute()}")


def _open_taught(folder: Path) -> Model:
    path = folder / MODEL_FILE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if (schema := plain.pop("schema", None)) != SCHEMA_VERSION:
            raise ValueError(f"schema {schema!r}, this code reads {SCHEMA_VERSION}")
        config = from_plain(ModelConfig, plain)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(str(path), f"does not describe a model ({error})", "teach it again from its run") from error
    return Model(
        root=folder,
        config=config,
        classes=_read_classes(folder / CLASSES_FILE),
        cached_classes=_read_classes(folder / CACHED_CLASSES_FILE),
        segmenter=folder / SEGMENTER,
        text=folder / TEXT,
        fitted=folder / FITTED,
    )


def _read_classes(path: Path) -> ClassTable:
    try:
        return ClassTable.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(str(path), f"is no class table ({error})", "teach the model again from its run") from error
