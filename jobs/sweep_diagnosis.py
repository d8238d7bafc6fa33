"""Why the chosen settings of a sweep do what they do: synthetic features of held-out classes beside real ones.

It looks at the first hold-out of the search: at seen classes, on images that no fit reads. Truly unseen classes do not
occur, so the page of a sweep may show it before anything is settled.
"""

from collections.abc import Mapping
from statistics import fmean

import numpy as np
import torch
from jaxtyping import Float

from jobs.tsne import embed_on_plane
from pading.classes import ClassTable
from pading.evaluate.board.feature_planes import ClassOnPlane, FeaturePlanes, GeneratorOnPlane, Places
from pading.evaluate.panel_files import css_colour
from pading.evaluate.sweeps.report import GeneratorOnClass, HeldOutClass, SweepDiagnosis
from pading.zeroshot.diagnostics.held_out import HeldOutLook, look_at_held_out
from pading.zeroshot.features import Features, concatenate
from pading.zeroshot.fit_inputs import FitTensors
from pading.zeroshot.methods import MethodConfig, finish, fit_method

MOST_POINTS = 900  # on the plane, real and synthetic rows of all generators together: seconds of t-SNE
MOST_EACH = 30  # of a class and a generator


def sweep_diagnosis(
    allowed: FitTensors, rows: Features, classes: ClassTable, settings: Mapping[str, MethodConfig], seed: int
) -> SweepDiagnosis:
    """Fit PADing under each of some named settings and look at what it makes of the held-out classes.

    `allowed` is what a fit may read if the held-out classes are unseen, `rows` are real features of other images with
    labels of `classes`, in which the held-out classes are the unseen ones.

    Raises:
        ValueError: if a feature to fit on is of a held-out class, or there is no real row.
    """
    torch.set_num_threads(1)  # thousands of tiny operations: a second thread only waits
    features, text, head = allowed
    looks: list[list[HeldOutLook]] = []
    made: list[Features] = []
    for config in settings.values():
        fitted = finish(fit_method("pading", config, features, text, classes, head, seed))
        assert fitted.generator is not None  # of this method there is one
        look, synthetic = look_at_held_out(fitted.generator, rows, text, classes, seed)
        looks.append(look)
        made.append(synthetic)
    return SweepDiagnosis(
        generators=tuple(settings),
        classes=tuple(_held_out_class(of_class) for of_class in zip(*looks, strict=True)),
        planes=_planes(rows, made, looks, classes, seed),
    )


def _held_out_class(looks: tuple[HeldOutLook, ...]) -> HeldOutClass:
    """Return a class as all generators show it."""
    generators = [
        GeneratorOnClass(discrepancy=look.discrepancy, nearest=look.nearest, own_rows=look.own_rows) for look in looks
    ]
    first = looks[0]
    return HeldOutClass(name=first.name, num_real=first.num_real, chance=first.chance, generators=tuple(generators))


def _planes(
    rows: Features, made: list[Features], looks: list[list[HeldOutLook]], classes: ClassTable, seed: int
) -> FeaturePlanes:
    each = min(MOST_EACH, max(2, MOST_POINTS // (len(classes.unseen) * (1 + len(made)))))
    parts = [_first_of_each(part, classes.unseen, each) for part in (rows, *made)]
    plane = embed_on_plane(torch.cat([part.embeddings for part in parts]).numpy(), seed)
    places = np.split(plane, np.cumsum([len(part) for part in parts])[:-1])
    return FeaturePlanes(
        classes=tuple(ClassOnPlane(name=classes.names[at], colour=css_colour(at)) for at in classes.unseen),
        real=_places(parts[0], places[0], classes.unseen),
        generators=tuple(
            GeneratorOnPlane(
                method="pading",
                profile="",
                seed=seed,
                own_nearest=100 * fmean(one.own_rows for one in look),
                synthetic=_places(part, where, classes.unseen),
            )
            for look, part, where in zip(looks, parts[1:], places[1:], strict=True)
        ),
    )


def _first_of_each(rows: Features, wanted: tuple[int, ...], most: int) -> Features:
    """Return the first rows of each wanted class."""
    chosen = [torch.nonzero(rows.labels == index).flatten()[:most] for index in wanted]
    return concatenate([Features(rows.embeddings[part], rows.labels[part], rows.image_ids[part]) for part in chosen])


def _places(rows: Features, where: Float[np.ndarray, "N 2"], wanted: tuple[int, ...]) -> Places:
    index = {label: at for at, label in enumerate(wanted)}
    x, y = (tuple(column.tolist()) for column in where.T)
    return Places(x=x, y=y, labels=tuple(index[label] for label in rows.labels.tolist()))
