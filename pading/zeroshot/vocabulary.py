"""Changing what a model can name: classes come and go, and all that is numbered by class follows.

Two tables agree on a class by its COCO id. A class that comes is unseen and gets the last number before no-object, so
no other number changes. Axes: N rows, K classes, D feature width, E text width.
"""

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from pading.classes import ClassTable
from pading.text.names import spoken_forms
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features


def add_class(classes: ClassTable, name: str, *, coco_id: int, is_thing: bool) -> ClassTable:
    """Return the table with an unseen class after the others.

    Raises:
        ValueError: if the name is empty, means a class of the table, or the id is taken.
    """
    if not spoken_forms(name):
        raise ValueError(f"{name!r} is no name: say what the class is called")
    for known in classes.names:
        if spoken_forms(name) & spoken_forms(known):
            raise ValueError(f"the model knows {known!r} already: {name!r} would be the same class twice")
    if coco_id in classes.coco_ids or coco_id < 1:
        taken = (
            repr(classes.names[classes.index(coco_id)]) if coco_id in classes.coco_ids else "no class: they start at 1"
        )
        raise ValueError(
            f"id {coco_id} is that of {taken}; the next free one is {max(classes.coco_ids, default=0) + 1}"
        )
    return ClassTable(
        name=classes.name,
        names=(*classes.names, name),
        coco_ids=(*classes.coco_ids, coco_id),
        is_thing=(*classes.is_thing, is_thing),
        is_seen=(*classes.is_seen, False),
    )


def remove_class(classes: ClassTable, name: str) -> ClassTable:
    """Return the table without a class; those after it move up by one.

    Raises:
        ValueError: if there is no such class, or no seen class would be left.
    """
    if name not in classes.names:
        raise ValueError(f"the model knows no {name!r}; it knows {', '.join(classes.names)}")
    kept = [index for index, known in enumerate(classes.names) if known != name]
    if not any(classes.is_seen[index] for index in kept):
        raise ValueError(f"{name!r} is the last seen class: a classifier needs real features of at least one")
    return ClassTable(
        name=classes.name,
        names=tuple(classes.names[index] for index in kept),
        coco_ids=tuple(classes.coco_ids[index] for index in kept),
        is_thing=tuple(classes.is_thing[index] for index in kept),
        is_seen=tuple(classes.is_seen[index] for index in kept),
    )


def renumbered(old: ClassTable, new: ClassTable) -> Int64[Tensor, "K+1"]:
    """Return the number in `new` of every class of `old`, -1 where it has none, and last that of no-object."""
    numbers = {coco_id: index for index, coco_id in enumerate(new.coco_ids)}
    return torch.tensor([*(numbers.get(coco_id, -1) for coco_id in old.coco_ids), new.no_object])


def carry_features(features: Features, old: ClassTable, new: ClassTable) -> Features:
    """Return the real features that a fit under `new` may use, numbered as `new` has it.

    Features of a class that is gone are left out, and so are those of one that came back by name, as an unseen class.

    Raises:
        ValueError: if a label is not of `old`.
    """
    if len(features) and not 0 <= int(features.labels.min()) <= int(features.labels.max()) <= old.no_object:
        raise ValueError(
            f"features have labels up to {int(features.labels.max())}, class table {old.name!r} has {old.num_classes} "
            "classes: use the table of the cache"
        )
    labels = renumbered(old, new)[features.labels]
    usable = torch.isin(labels, torch.tensor([*new.seen, new.no_object]))
    return Features(features.embeddings, labels, features.image_ids).where(usable)


def carry_head(head: LinearClassifier, old: ClassTable, new: ClassTable) -> LinearClassifier:
    """Return a head with the outputs of `new`, rows of known classes as they were; a class that came is never chosen.

    Raises:
        ValueError: if the head has not the outputs of `old`.
    """
    if len(head.bias) != old.num_classes + 1:
        raise ValueError(
            f"head has {len(head.bias)} outputs, class table {old.name!r} needs {old.num_classes + 1}: "
            "use the head and the table of one segmenter"
        )
    numbers = renumbered(old, new)
    weight = torch.zeros(new.num_classes + 1, head.weight.shape[1])
    bias = torch.full((new.num_classes + 1,), -math.inf)
    weight[numbers[numbers >= 0]] = head.weight.detach()[numbers >= 0]
    bias[numbers[numbers >= 0]] = head.bias.detach()[numbers >= 0]
    return LinearClassifier(weight, bias)
