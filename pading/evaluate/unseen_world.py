"""The plain zero-shot setting: a world of unseen classes alone, in which nothing seen can be predicted.

Seen objects are unlabelled there, as in the benchmarks that have only unseen ones in their truth, and an image without
an unseen object is not of that world. Axes: Q queries, K classes, U unseen classes, M true segments.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.evaluate.counting import PreparedImage
from pading.evaluate.predictions import renumber_truth


@dataclass(frozen=True, kw_only=True, eq=False)
class UnseenWorld:
    """A table of the unseen classes, and the number in it of every class: -1 for a seen one."""

    classes: ClassTable
    members: tuple[int, ...]
    numbers: tuple[int, ...]

    def prepared(self, everything: PreparedImage) -> PreparedImage | None:
        """Return an image with the truth of this world, nothing costly done again; None if it has no part in it."""
        image = everything.image
        kept = [index for index, segment in enumerate(image.segments) if self.numbers[segment.class_index] >= 0]
        if not kept:
            return None
        labels = np.array([self.numbers[image.segments[index].class_index] for index in kept], dtype=np.int64)
        of_masks, of_boxes = (
            replace(overlap, iou=overlap.iou[:, kept], classes=labels, is_crowd=overlap.is_crowd[kept])
            for overlap in everything.overlaps
        )
        return PreparedImage(
            image=renumber_truth(image, self.numbers), masks=everything.masks, overlaps=(of_masks, of_boxes)
        )

    def probabilities(self, everything: Float[Tensor, "Q K1"]) -> Float[Tensor, "Q U1"]:
        """Return the probabilities given that no class is seen; a query that leaves none of it is no object."""
        inside = everything[:, [*self.members, len(self.numbers)]].clone()
        total = inside.sum(dim=1, keepdim=True)
        inside[(total == 0)[:, 0], -1] = 1.0
        return inside / inside.sum(dim=1, keepdim=True)


def unseen_world(classes: ClassTable) -> UnseenWorld:
    """Return the world of a table's unseen classes."""
    members = classes.unseen
    numbers = np.full(classes.num_classes, -1)
    numbers[list(members)] = np.arange(len(members))
    return UnseenWorld(
        classes=ClassTable(
            name=f"{classes.name}, unseen",
            names=tuple(classes.names[index] for index in members),
            coco_ids=tuple(classes.coco_ids[index] for index in members),
            is_thing=tuple(classes.is_thing[index] for index in members),
            is_seen=(False,) * len(members),
        ),
        members=members,
        numbers=tuple(numbers.tolist()),
    )
