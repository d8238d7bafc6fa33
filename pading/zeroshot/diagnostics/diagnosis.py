"""A fitted method, looked at from several sides: figures of each class, confusions, responses.

Axes: K classes, E text width.
"""

import dataclasses
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.zeroshot.diagnostics.confusion import (
    Confusion,
    class_means,
    confusions,
    nearest_means,
    nearest_texts,
    taken_for,
)
from pading.zeroshot.diagnostics.discrepancy import MOST_ROWS, ClassDiscrepancy, class_discrepancies
from pading.zeroshot.diagnostics.response_map import ResponseMap, response_map
from pading.zeroshot.features import Features
from pading.zeroshot.fit_generator import GeneratorFitConfig, synthesise
from pading.zeroshot.methods import Fitted
from pading.zeroshot.mmd import scaled_bandwidths


@dataclass(frozen=True, kw_only=True)
class ClassReport:
    """Figures of one class; None where there are too few real rows, or the generator has no primitives."""

    name: str
    is_seen: bool
    held_out: ClassDiscrepancy | None  # against training images that the generator did without; seen classes only
    val: ClassDiscrepancy | None  # against the queries of val images
    nearest_by_mean: str | None  # real class whose mean is nearest to the mean synthetic row
    nearest_by_rows: Confusion | None  # real class whose mean is nearest to most synthetic rows, itself included
    nearest_text: str
    text_cosine: float  # with that class
    effective_primitives: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
    """What there is to say about one fitted method."""

    classes: ClassTable
    reports: tuple[ClassReport, ...]
    of_synthetic: tuple[Confusion, ...]  # synthetic rows, by the nearest mean of real val queries
    of_classifier: tuple[Confusion, ...]  # real val queries, by the fitted classifier
    responses: ResponseMap | None
    synthetic: Features
    val: Features
    bandwidths: tuple[float, ...]

    def summary(self) -> dict[str, float]:
        """Return the figures to compare methods by; what nothing was measured for is left out.

        Discrepancies and spreads are medians over classes; "own_class_nearest" is the share of classes whose mean
        synthetic row is nearer to its real class than to any other.
        """
        found = {}
        for side, is_seen in (("seen", True), ("unseen", False)):
            reports = [report for report in self.reports if report.is_seen == is_seen]
            for name, column in (("held_out", [r.held_out for r in reports]), ("val", [r.val for r in reports])):
                measured = [discrepancy for discrepancy in column if discrepancy is not None]
                for figure in ("mmd", "floor", "ratio", "spread"):
                    if measured:
                        found[f"{name}_{figure}/{side}"] = median(getattr(one, figure) for one in measured)
            if with_rows := [r.nearest_by_mean == r.name for r in reports if r.val is not None]:
                found[f"own_class_nearest/{side}"] = fmean(with_rows)
        if self.responses is not None:
            found["effective_primitives"] = float(self.responses.effective.mean())
        return found

    def as_plain(self) -> dict[str, Any]:
        """Return what JSON can hold: everything but the features and the map."""
        return {
            "split": self.classes.name,
            "num_primitives": None if self.responses is None else self.responses.num_primitives,
            "bandwidths": list(self.bandwidths),
            "summary": self.summary(),
            "classes": [_plain_report(report) for report in self.reports],
            "synthetic_rows_look_like": [str(confusion) for confusion in self.of_synthetic],
            "val_queries_are_called": [str(confusion) for confusion in self.of_classifier],
        }


def look_into(
    fitted: Fitted,
    fitted_without: Fitted,
    held_out: Features,
    val: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    seed: int,
) -> Diagnosis:
    """Look at `fitted`; `fitted_without` is the same method, fitted without the images of `held_out`.

    The kernels are those of the default settings, whichever the method was fitted with, so that methods compare.
    Without val features, as of a segmenter that finds nothing yet, only the held-out images are compared with.

    Raises:
        ValueError: if the method has no generator.
    """
    if fitted.generator is None or fitted_without.generator is None:
        raise ValueError("a method without a generator has no synthetic features to look at")
    everything = tuple(range(classes.num_classes))
    synthetic = synthesise(fitted.generator, text, everything, MOST_ROWS, seed)
    without = synthesise(fitted_without.generator, text, classes.seen, MOST_ROWS, seed)
    objects = held_out.where(held_out.labels != classes.no_object)
    kernels = GeneratorFitConfig()
    widened = tuple(kernels.bandwidth_factor * bandwidth for bandwidth in kernels.bandwidths)
    bandwidths = scaled_bandwidths(objects.embeddings, widened, kernels.bandwidth_scale)
    on_held_out = class_discrepancies(without, objects, classes.seen, bandwidths, seed)
    on_val = class_discrepancies(synthetic, val, everything, bandwidths, seed)

    means = class_means(val, classes.num_classes)
    looks_like = by_mean = None
    if len(val):
        looks_like = taken_for(synthetic.labels, nearest_means(synthetic.embeddings, means), classes.num_classes)
        by_mean = nearest_means(class_means(synthetic, classes.num_classes), means).tolist()
    with torch.inference_mode():
        called = taken_for(val.labels, fitted.classifier(val.embeddings).argmax(dim=1), classes.num_classes)
    neighbours, cosines = nearest_texts(text)
    responses = fitted.generator.responses(text)
    mapped = None if responses is None else response_map(responses)
    unseen_first = (*classes.unseen, *classes.seen)
    return Diagnosis(
        classes=classes,
        reports=tuple(
            ClassReport(
                name=classes.names[index],
                is_seen=classes.is_seen[index],
                held_out=on_held_out.get(index),
                val=on_val.get(index),
                nearest_by_mean=None if by_mean is None else classes.names[by_mean[index]],
                nearest_by_rows=None if looks_like is None else _majority(looks_like[index], index, classes),
                nearest_text=classes.names[int(neighbours[index])],
                text_cosine=float(cosines[index]),
                effective_primitives=None if mapped is None else float(mapped.effective[index]),
            )
            for index in everything
        ),
        of_synthetic=() if looks_like is None else tuple(confusions(looks_like, classes, unseen_first)),
        of_classifier=tuple(confusions(called, classes, unseen_first)),
        responses=mapped,
        synthetic=synthetic,
        val=val,
        bandwidths=bandwidths,
    )


def _majority(shares: Float[Tensor, "K+1"], index: int, classes: ClassTable) -> Confusion:
    most = int(shares.argmax())
    return Confusion(of=classes.names[index], taken_for=classes.names[most], share=float(shares[most]))


def _plain_report(report: ClassReport) -> dict[str, Any]:
    plain = dataclasses.asdict(report)
    for name, found in (("held_out", report.held_out), ("val", report.val)):
        if found is not None:
            plain[name]["ratio"] = found.ratio
    return plain
