"""Synthetic features of seen classes that a generator did without, beside their real ones: honest, and yet of use.

Nothing here looks at a truly unseen class, so settings may be compared by it. Axes: K classes, E text width.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.zeroshot.diagnostics.confusion import class_means, nearest_means
from pading.zeroshot.diagnostics.discrepancy import FEWEST_ROWS, MOST_ROWS, drawn_rows, halves_discrepancy
from pading.zeroshot.features import Features
from pading.zeroshot.fit_generator import GeneratorFitConfig, synthesise
from pading.zeroshot.mmd import mmd, scaled_bandwidths
from pading.zeroshot.standardise import Standardised


@dataclass(frozen=True, kw_only=True)
class HeldOutLook:
    """What a generator makes of one class that it did without."""

    name: str
    num_real: int
    discrepancy: float | None  # squared and unbiased; None of a class with too few real rows
    chance: float | None  # the same between random halves of the real rows
    nearest: str  # real class whose mean is nearest to the mean synthetic row
    own_rows: float  # share of synthetic rows that are nearest to their own class's real mean


def held_out_discrepancies(
    generator: Standardised, real: Features, text: Float[Tensor, "K E"], classes: ClassTable, seed: int
) -> dict[str, float]:
    """Return the squared discrepancy of synthetic and real rows of each unseen class of the table, by name.

    Of a class with many rows 256 are compared; classes with fewer than four are left out. The kernels are those of the
    default settings, whichever the generator was fitted with, so that generators compare.
    """
    synthetic = synthesise(generator, text, classes.unseen, MOST_ROWS, seed)
    bandwidths = default_bandwidths(real, classes)
    found = {}
    for index in classes.unseen:
        theirs = drawn_rows(real.embeddings[real.labels == index], seed, "real", index)
        if len(theirs) >= FEWEST_ROWS:
            ours = synthetic.embeddings[synthetic.labels == index]
            found[classes.names[index]] = float(mmd(ours, theirs, bandwidths, "unbiased"))
    return found


def look_at_held_out(
    generator: Standardised, real: Features, text: Float[Tensor, "K E"], classes: ClassTable, seed: int
) -> tuple[list[HeldOutLook], Features]:
    """Return what there is to say about each unseen class of the table, and the synthetic rows that say it.

    A class may have no real row.

    Raises:
        ValueError: if there is no real row of any class.
    """
    discrepancies = held_out_discrepancies(generator, real, text, classes, seed)
    synthetic = synthesise(generator, text, classes.unseen, MOST_ROWS, seed)
    bandwidths = default_bandwidths(real, classes)
    means = class_means(real, classes.num_classes)
    of_rows = nearest_means(synthetic.embeddings, means)
    of_means = nearest_means(class_means(synthetic, classes.num_classes)[list(classes.unseen)], means).tolist()
    looks = []
    for index, nearest in zip(classes.unseen, of_means, strict=True):
        rows = real.embeddings[real.labels == index]
        measured = drawn_rows(rows, seed, "real", index)
        chance = halves_discrepancy(measured, bandwidths, seed) if len(measured) >= FEWEST_ROWS else None
        own = (of_rows[synthetic.labels == index] == index).double().mean()
        looks.append(
            HeldOutLook(
                name=classes.names[index],
                num_real=len(rows),
                discrepancy=discrepancies.get(classes.names[index]),
                chance=chance,
                nearest=classes.names[nearest],
                own_rows=float(own),
            )
        )
    return looks, synthetic


def default_bandwidths(real: Features, classes: ClassTable) -> tuple[float, ...]:
    """Return the kernels of the default settings on the scale of some real features, no-object rows left out."""
    kernels = GeneratorFitConfig()
    widened = tuple(kernels.bandwidth_factor * bandwidth for bandwidth in kernels.bandwidths)
    objects = real.where(real.labels != classes.no_object)
    return scaled_bandwidths(objects.embeddings, widened, kernels.bandwidth_scale)
