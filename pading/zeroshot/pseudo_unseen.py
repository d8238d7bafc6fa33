"""Judge settings without touching unseen classes: hold out seen classes, fit as if they were unseen, and score.

The frozen segmenter did see the held-out classes, so their features are tidier than those of classes that are unseen in
earnest: use these scores to compare settings, not to predict results.
"""

import re
from collections import Counter
from typing import NamedTuple

import torch

from pading.classes import ClassTable
from pading.randomness import derive_seed, generator_for
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features, require_only, split_by_image
from pading.zeroshot.fit_classifier import expand_head
from pading.zeroshot.fit_inputs import FitTensors


class Problem(NamedTuple):
    """A fit that can be judged: what it may read, rows of other images with the answers, and the classes of both."""

    inputs: FitTensors
    rows: Features
    classes: ClassTable


def hold_out_classes(classes: ClassTable, fraction: float, seed: int) -> ClassTable:
    """Return a table of the seen classes alone, in which about `fraction` of them are declared unseen.

    True unseen classes are absent from the result and do not influence the choice. Things and stuff are held out in
    proportion, at least one of each kind that has two or more classes. Where names share words ("striped star",
    "striped disc"), a class stays in if it is the last one left to show a word that others shared.

    Raises:
        ValueError: if the fraction is not inside (0, 1), or no class can be held out.
    """
    return _hold_out(classes, fraction, seed, Counter())


def hold_out_in_turn(classes: ClassTable, fraction: float, number: int, seed: int) -> tuple[ClassTable, ...]:
    """Return hold-outs that share the classes out as folds do: those held out least often so far come first.

    The first ones do not depend on how many follow.

    Raises:
        ValueError: as `hold_out_classes` does.
    """
    tables: list[ClassTable] = []
    times_held_out: Counter[int] = Counter()
    for turn in range(number):
        table = _hold_out(classes, fraction, derive_seed(seed, "hold-out", turn), times_held_out)
        times_held_out.update(table.coco_ids[index] for index in table.unseen)
        tables.append(table)
    return tuple(tables)


def _hold_out(classes: ClassTable, fraction: float, seed: int, times_held_out: Counter[int]) -> ClassTable:
    if not 0 < fraction < 1:
        raise ValueError(f"cannot hold out a fraction {fraction} of the seen classes: choose one inside (0, 1)")
    words = {index: set(re.split(r"[^a-z0-9]+", classes.names[index].lower())) for index in classes.seen}
    occurrences = Counter(word for shared in words.values() for word in shared)
    left = occurrences.copy()
    drawn = torch.randperm(len(classes.seen), generator=generator_for(seed, "hold out classes")).tolist()
    order = sorted((classes.seen[i] for i in drawn), key=lambda index: times_held_out[classes.coco_ids[index]])
    held_out: set[int] = set()
    for is_thing in (True, False):
        members = [index for index in order if classes.is_thing[index] == is_thing]
        quota = min(max(1, round(fraction * len(members))), len(members) - 1)
        for index in members:
            if quota > 0 and all(left[word] > 1 or occurrences[word] == 1 for word in words[index]):
                held_out.add(index)
                left.subtract(words[index])
                quota -= 1
    if not held_out:
        raise ValueError(f"no class of {classes.name!r} can be held out: it has {len(classes.seen)} seen classes")
    return ClassTable(
        name=f"{classes.name}-pseudo-{seed}",
        names=tuple(classes.names[index] for index in classes.seen),
        coco_ids=tuple(classes.coco_ids[index] for index in classes.seen),
        is_thing=tuple(classes.is_thing[index] for index in classes.seen),
        is_seen=tuple(index not in held_out for index in classes.seen),
    )


def pseudo_unseen_problem(
    inputs: FitTensors, classes: ClassTable, pseudo_classes: ClassTable, scored_share: float, seed: int
) -> Problem:
    """Return what is fitted without the held-out classes, and rows of both groups to score it on.

    `pseudo_classes` is from `hold_out_classes`. Images are split: a share of them is scored on and never fitted on.
    Head rows of held-out classes, which were trained, start from the mean seen row whatever the profile.

    Raises:
        ValueError: if a feature has an unseen label, or there are too few images.
    """
    fitted_on, scored_on = split_by_image(inputs.features, scored_share, seed)
    require_only(scored_on, [*classes.seen, classes.no_object], classes)
    rows = _relabel(scored_on, [*kept_classes(classes, pseudo_classes), classes.no_object])
    allowed = without_held_out(inputs._replace(features=fitted_on), classes, pseudo_classes)
    return Problem(allowed, rows, pseudo_classes)


def without_held_out(inputs: FitTensors, classes: ClassTable, pseudo_classes: ClassTable) -> FitTensors:
    """Return what a fit may read if held-out classes are unseen: features, text and head as their table numbers them.

    Raises:
        ValueError: if a feature has an unseen label.
    """
    features, text, old_head = inputs
    require_only(features, [*classes.seen, classes.no_object], classes)
    kept = kept_classes(classes, pseudo_classes)
    outputs = [*kept, classes.no_object]
    head = expand_head(LinearClassifier(old_head.weight[outputs], old_head.bias[outputs]), pseudo_classes)
    features = _relabel(features, outputs)
    held_out = torch.tensor(pseudo_classes.unseen, device=features.labels.device)
    return FitTensors(features.where(~torch.isin(features.labels, held_out)), text[kept], head)


def kept_classes(classes: ClassTable, pseudo_classes: ClassTable) -> list[int]:
    """Return which class of the whole table each class of `hold_out_classes` is."""
    return [classes.index(coco_id) for coco_id in pseudo_classes.coco_ids]


def _relabel(features: Features, outputs: list[int]) -> Features:
    """Number labels by their position in `outputs`."""
    position = torch.full((max(outputs) + 1,), -1, device=features.labels.device)
    position[outputs] = torch.arange(len(outputs), device=features.labels.device)
    return Features(features.embeddings, position[features.labels], features.image_ids)
