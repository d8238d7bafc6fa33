"""Judge settings without touching unseen classes: hold out seen classes, fit as if they were unseen, and score.

The frozen segmenter did see the held-out classes, so their features are tidier than those of classes that are unseen in
earnest: use these scores to compare settings, not to predict results.
"""

import re
from collections import Counter
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.accuracy import query_accuracy
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features, require_only
from pading.zeroshot.fit_classifier import expand_head
from pading.zeroshot.fit_inputs import FitTensors
from pading.zeroshot.methods import (
    GENERATIVE,
    Method,
    MethodConfig,
    build_generator,
    finish,
    fit_method,
    retrain_by_generator,
    train_generator,
)


def hold_out_classes(classes: ClassTable, fraction: float, seed: int) -> ClassTable:
    """Return a table of the seen classes alone, in which about `fraction` of them are declared unseen.

    True unseen classes are absent from the result and do not influence the choice. Things and stuff are held out in
    proportion, at least one of each kind that has two or more classes. Where names share words ("striped star",
    "striped disc"), a class stays in if it is the last one left to show a word that others shared.

    Raises:
        ValueError: if the fraction is not inside (0, 1), or no class can be held out.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"cannot hold out a fraction {fraction} of the seen classes: choose one inside (0, 1)")
    words = {index: set(re.split(r"[^a-z0-9]+", classes.names[index].lower())) for index in classes.seen}
    occurrences = Counter(word for shared in words.values() for word in shared)
    left = occurrences.copy()
    order = torch.randperm(len(classes.seen), generator=generator_for(seed, "hold out classes")).tolist()
    held_out: set[int] = set()
    for is_thing in (True, False):
        members = [classes.seen[i] for i in order if classes.is_thing[classes.seen[i]] == is_thing]
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


def pseudo_unseen_score(
    method: Method,
    config: MethodConfig,
    fitted_on: Features,
    scored_on: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    pseudo_classes: ClassTable,
    old_head: LinearClassifier,
    seed: int,
) -> Iterator[dict[str, float]]:
    """Fit without the held-out classes and yield the accuracy on features of both, at every report of the generator.

    `pseudo_classes` is from `hold_out_classes`; the two feature sets are from `split_by_image`, both of seen classes.
    Methods without a generator and the profile `released`, which fits both in turns, yield once. Each score refits the
    classifier, so that scores of one trial compare. Head rows of held-out classes, which were trained, start from the
    mean seen row whatever the profile.

    Raises:
        ValueError: if a feature has an unseen label, or the score lacks features of either group.
    """
    require_only(scored_on, [*classes.seen, classes.no_object], classes)
    scored_on = _relabel(scored_on, [*kept_classes(classes, pseudo_classes), classes.no_object])
    fitted_on, text, old_head = without_held_out(FitTensors(fitted_on, text, old_head), classes, pseudo_classes)
    if method not in GENERATIVE or config.profile == "released":
        fitted = finish(fit_method(method, config, fitted_on, text, pseudo_classes, old_head, seed))
        yield query_accuracy(fitted.classifier, scored_on, pseudo_classes)
        return
    generator = build_generator(method, config, text, fitted_on.embeddings.shape[1], seed)
    generator = generator.to(fitted_on.embeddings.device)
    for metrics in train_generator(method, config, generator, fitted_on, text, pseudo_classes, seed):
        head = finish(retrain_by_generator(generator, config, fitted_on, text, pseudo_classes, old_head, seed))
        yield metrics | query_accuracy(head, scored_on, pseudo_classes)


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
