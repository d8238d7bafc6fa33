"""Verb `teach`: a model learns a class by name alone, or forgets one; seconds, from the cached features of its run."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from jobs.cache import feature_files, prediction_files
from jobs.clip import LOCAL_FOLDER
from jobs.embed import CLIP_FOLDER, embed_by_clip
from jobs.model import Model, open_model, require_free, write_model
from jobs.progress import say
from jobs.teach_report import nearest_names, quality_lines
from pading.classes import ClassTable
from pading.segmenter.weights import load_segmenter
from pading.text.embeddings import TextEmbeddings
from pading.text.files import load_text_files
from pading.zeroshot.classifier import LinearClassifier, load_classifier
from pading.zeroshot.features import read_features
from pading.zeroshot.generator_files import load_generator
from pading.zeroshot.methods import GENERATIVE, finish, retrain_by_generator
from pading.zeroshot.restrain import restrain
from pading.zeroshot.segmenter_head import linear_head
from pading.zeroshot.standardise import Standardised
from pading.zeroshot.vocabulary import add_class, carry_features, carry_head, remove_class


@dataclass(frozen=True, kw_only=True)
class Teach:
    """Teach a model a class by name, or make it forget one. No image is needed, and no other class changes its number.

    The new class is one more unseen class: the saved generator imagines its features from the name, and the classifier
    is retrained with them. A forgotten class loses its output and its text; real features of a seen one are left out.
    """

    name: tyro.conf.Positional[str] = ""
    """What to teach, such as "striped hexagon"."""
    forget: str = ""
    """A class to remove instead."""
    model: Annotated[Path, tyro.conf.arg(aliases=["--run-dir"])]
    """A finished run, or a folder that `teach` wrote."""
    out: Path
    """Folder for the new model; the old one stays as it is."""
    thing: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """The new class is a thing, which can be counted; so it is if nothing is said."""
    stuff: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """The new class is stuff."""
    coco_id: Annotated[int, tyro.conf.arg(name="id")] = 0
    """Category id of the new class in COCO files; 0: the next free one."""
    embedding: str = ""
    """File with the name's vector, where the model's text embeddings came from a file."""
    largest_share: float = 0.005
    """What the new class may take of the cached real objects; more finds it more often and costs old classes."""
    report: bool = True
    """Score the other classes before and after, on cached predictions."""
    method: str = "pading"
    """Row of the leaderboard to teach, of a run."""
    profile: str = ""
    """Profile of that row; empty: the first that was fitted."""
    seed: Annotated[int, tyro.conf.arg(help="Seed of that row.")] = 0


def teach(command: Teach) -> None:
    """Write a model that has learned a class by name, or forgotten one.

    Raises:
        FileNotFoundError: if a file of the model is not there.
        ValueError: if the model is unfinished or damaged, has no generator, knows the name (to teach) or does not (to
            forget), or the name has no vector of the right width.
    """
    start = time.monotonic()
    torch.set_num_threads(1)  # as `fit`: equal inputs give equal classifiers; and matrices are small
    _check(command)
    model = open_model(command.model, command.method, command.profile, command.seed)
    if model.config.method not in GENERATIVE:
        raise ValueError(
            f"method {model.config.method!r} has no generator that could imagine a class; "
            f"choose --method {', '.join(GENERATIVE)}"
        )
    if model.config.settings.profile == "released":
        raise ValueError(
            "the published code fits generator and classifier in turns, so its classifier cannot be fitted alone; "
            "choose --profile best or paper"
        )
    generator = load_generator(model.fitted)
    classes, embeddings = _learned(model, command) if command.name else _forgotten(model, command.forget)
    classifier = _retrained(model, generator, classes, embeddings, command.largest_share)
    write_model(command.out, model, classes, embeddings, classifier, generator)
    verb, name = ("taught", classes.names[-1]) if command.name else ("forgot", command.forget)
    kind = ""
    if command.name:
        kind = f" ({'thing' if classes.is_thing[-1] else 'stuff'}, id {classes.coco_ids[-1]})"
    say(f"{verb} {name!r}{kind} in {time.monotonic() - start:.1f} s: {classes.num_classes} classes -> {command.out}")
    if command.name:
        say(f"  nearest in text: {nearest_names(embeddings)}")
    if command.report:
        before, files = load_classifier(model.fitted), prediction_files(model.run_dir())
        for line in quality_lines(model, before, classifier, classes, files):
            say(line)
        say(f"  {time.monotonic() - start:.1f} s in all")


def _check(command: Teach) -> None:
    if bool(command.name.strip()) == bool(command.forget):
        raise ValueError('say what to do: teach "NAME", or --forget NAME')
    if command.thing and command.stuff:
        raise ValueError("--thing and --stuff: a class is one of them")
    if command.forget and (command.thing or command.stuff or command.coco_id or command.embedding):
        raise ValueError("--forget takes no --thing, --stuff, --id or --embedding: the class has all of these")
    require_free(command.out)


def _learned(model: Model, command: Teach) -> tuple[ClassTable, TextEmbeddings]:
    """Return class table and text embeddings with a row for the new name."""
    name = " ".join(command.name.split())
    cached = dict(zip(model.cached_classes.names, model.cached_classes.coco_ids, strict=True))
    taken = set(model.classes.coco_ids) | set(cached.values())
    coco_id = command.coco_id or cached.get(name, max(taken) + 1)
    if coco_id in cached.values() and coco_id != cached.get(name, 0) and coco_id not in model.classes.coco_ids:
        raise ValueError(f"id {coco_id} means another class in the cached predictions; choose --id {max(taken) + 1}")
    classes = add_class(model.classes, name, coco_id=coco_id, is_thing=not command.stuff)
    return classes, model.embeddings().with_row(_embed(model, name, command.embedding))


def _forgotten(model: Model, name: str) -> tuple[ClassTable, TextEmbeddings]:
    """Return class table and text embeddings without the row of a name."""
    return remove_class(model.classes, name), model.embeddings().without(name)


def _embed(model: Model, name: str, file: str) -> TextEmbeddings:
    """Return the one row of a name, from a file or from the model that embedded the others."""
    embed = model.config.embed
    alone = ClassTable(name=name, names=(name,), coco_ids=(1,), is_thing=(True,), is_seen=(False,))
    if file:
        return load_text_files(file, "", alone)
    if embed.file:
        raise ValueError(
            f"the text embeddings of {model.root} came from {embed.file}: give the vector of {name!r}, made in the "
            "same way, by --embedding FILE"
        )
    return embed_by_clip(embed, alone, embed.model or f"{LOCAL_FOLDER}{model.text / CLIP_FOLDER}")


def _retrained(
    model: Model, generator: Standardised, classes: ClassTable, embeddings: TextEmbeddings, largest_share: float
) -> LinearClassifier:
    """Return the classifier of a class table, fitted as the model's own was; classes that came by name are restrained.

    A taught class has the weight of the run's unseen classes, which the score is to count: unrestrained, it would take
    seen classes over that are much like it.
    """
    features = read_features(feature_files(model.run_dir()))
    head = linear_head(load_segmenter(model.segmenter).class_head, features, model.cached_classes)
    features = carry_features(features, model.cached_classes, classes)
    text = torch.from_numpy(embeddings.matrix)
    old_head = carry_head(head, model.cached_classes, classes)
    settings, seed = model.config.settings, model.config.seed
    classifier = finish(retrain_by_generator(generator, settings, features, text, classes, old_head, seed))
    taught = [row for row in classes.unseen if classes.names[row] not in model.cached_classes.names]
    objects = features.embeddings[features.labels != classes.no_object]
    return restrain(classifier, taught, objects, largest_share) if taught else classifier
