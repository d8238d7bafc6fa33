"""A small made-up world of labelled features, for tests of fits: classes are two-word combinations, text composes too.

Features are linear in the words of the class, plus noise, layer-normalised. It shows that a fit works, nothing else.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features

WIDTH, TEXT_WIDTH = 16, 12
SHAPES, PATTERNS = ("disc", "star", "ring"), ("plain", "striped", "dotted")
UNSEEN = ("striped star", "dotted ring")


class World(NamedTuple):
    classes: ClassTable
    train: Features  # seen classes and no-object
    test: Features  # every class
    text: torch.Tensor
    old_head: LinearClassifier


def world_of_combinations(seed: int = 0, rows_per_class: int = 40) -> World:
    randomness = generator_for(seed, "world")
    names = tuple(f"{pattern} {shape}" for shape in SHAPES for pattern in PATTERNS)
    classes = ClassTable(
        name="combinations",
        names=names,
        coco_ids=tuple(range(11, 20)),
        is_thing=(True,) * 6 + (False,) * 3,
        is_seen=tuple(name not in UNSEEN for name in names),
    )
    words = torch.tensor([[i // 3, 3 + i % 3] for i in range(9)])
    centres = torch.randn(6, WIDTH, generator=randomness)[words].sum(dim=1)
    text = F.normalize(torch.randn(6, TEXT_WIDTH, generator=randomness)[words].sum(dim=1), dim=1)

    def sample(labels: torch.Tensor, first_image: int) -> Features:
        with_background = torch.cat([centres, torch.zeros(1, WIDTH)])
        rows = with_background[labels] + 0.5 * torch.randn(len(labels), WIDTH, generator=randomness)
        images = first_image + torch.arange(len(labels)) % 20
        return Features(F.layer_norm(rows, (WIDTH,)), labels, images)

    seen = torch.tensor([*classes.seen, classes.no_object, classes.no_object])
    train = sample(seen.repeat_interleave(rows_per_class), 0)
    test = sample(torch.arange(9).repeat_interleave(rows_per_class), 100)
    # The best linear head for equal spheres: centre means, the background at the origin.
    weight = torch.cat([F.layer_norm(centres, (WIDTH,)), torch.zeros(1, WIDTH)])
    bias = torch.cat([torch.full((9,), -8.0), torch.zeros(1)])
    return World(classes, train, test, text, LinearClassifier(weight, bias))
