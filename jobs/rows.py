"""The rows of a run's results: what each is called, which fit it reads, and how it scores an image.

| row                | classifier   | image branch | how                                       |
|--------------------|--------------|--------------|-------------------------------------------|
| each method        | its own      | -            | softmax of its logits                     |
| `zegformer-seg`    | `projection` | -            | the same, seen classes penalised          |
| `zegformer-img`    | `projection` | `crop+mask`  | CLIP alone, seen classes penalised        |
| `zegformer`        | `projection` | `crop+mask`  | both fused, seen classes penalised        |
| `zegformer-pooled` | `projection` | `pooled`     | the same, from one encoding of the photo  |
| `pading+img`       | `pading`     | `crop+mask`  | both fused                                |
| ...`+cal`          | same         | same         | lambda and gamma chosen, see constants.py |

Rows that read one classifier share its folder, so that nothing is fitted twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from pading.classes import ClassTable
from pading.evaluate.fusion import ImageBranch, fused_scorer, image_scorer
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction, read_predictions
from pading.evaluate.scorer import Scorer, head_scorer
from pading.regions.files import with_regions
from pading.zeroshot.classifier import Classifier, load_classifier
from pading.zeroshot.methods import METHODS, Method
from pading.zeroshot.zegformer import ZegformerConfig

RowName = Literal[
    Method,
    "zegformer-seg",
    "zegformer-img",
    "zegformer",
    "zegformer-pooled",
    "pading+img",
    "zegformer-seg+cal",
    "zegformer+cal",
    "pading+img+cal",
]
Branches = Literal["queries", "regions", "both"]
CALIBRATED = "+cal"  # ends the name of a row with a calibration of its own


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a row is made: whose classifier it reads, which branches speak, and by which constants."""

    fitted: Method
    branches: Branches = "queries"
    style: str = ""  # of the region embeddings; empty: it reads none
    is_penalised: bool = False  # whether seen classes lose ZegFormer's gamma
    is_calibrated: bool = False  # whether lambda and gamma are chosen by the run, not given


_SEG = Recipe(fitted="projection", is_penalised=True)
_BOTH = replace(_SEG, branches="both", style="crop+mask")
_PADING = Recipe(fitted="pading", branches="both", style="crop+mask")
RECIPES: Mapping[str, Recipe] = {
    **{method: Recipe(fitted=method) for method in METHODS},
    "zegformer-seg": _SEG,
    "zegformer-img": replace(_BOTH, branches="regions"),
    "zegformer": _BOTH,
    "zegformer-pooled": replace(_BOTH, style="pooled"),
    "pading+img": _PADING,
    "zegformer-seg+cal": replace(_SEG, is_calibrated=True),
    "zegformer+cal": replace(_BOTH, is_calibrated=True),
    "pading+img+cal": replace(_PADING, is_penalised=True, is_calibrated=True),
}


@dataclass(frozen=True, kw_only=True)
class ScoredRow:
    """What is scored: a fitted classifier's folder, which branches speak, and how probabilities become outputs."""

    folder: Path
    inference: InferenceConfig
    branches: Branches = "queries"
    style: str = ""
    constants: ZegformerConfig = field(default_factory=ZegformerConfig)


@dataclass(frozen=True, kw_only=True, eq=False)
class RowInputs:
    """What rows read besides their classifiers and the cached predictions; small enough to send to every task."""

    classes: ClassTable
    regions: Path | None = None  # folder of the region embeddings; None: no row of the run reads any
    styles: tuple[str, ...] = ()
    region_text: Float32[np.ndarray, "K E"] | None = None
    logit_scale: float = 0.0

    def branch(self, style: str) -> ImageBranch:
        """Return the image branch of a style.

        Raises:
            ValueError: if the run has none.
        """
        if self.region_text is None or style not in self.styles:
            has = ", ".join(self.styles) or "none"
            raise ValueError(f"there are no region embeddings {style!r} (there is {has}); {remedy([style])}")
        return ImageBranch(text=self.region_text, logit_scale=self.logit_scale, style=style)

    def predictions(self, path: Path, groups: Sequence[int] | None = None) -> Iterator[ImagePrediction]:
        """Yield the cached predictions of a file, or of some of its row groups, with the regions that rows read."""
        predictions = read_predictions(path, groups)
        return predictions if self.regions is None else with_regions(predictions, self.regions, self.styles)

    def first_images(self, files: Iterable[Path], number: int) -> Iterator[ImagePrediction]:
        """Yield the first cached predictions of several files, in order."""
        return islice(chain.from_iterable(self.predictions(file) for file in files), number)


def styles_read(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the styles of region embeddings that these rows read, each once."""
    return tuple(dict.fromkeys(recipe.style for method in methods if (recipe := RECIPES[method]).style))


def require_styles(methods: Iterable[str], styles: Sequence[str]) -> None:
    """Check that a run with region embeddings of these styles can make the rows.

    Raises:
        ValueError: naming the first row that cannot be made, and the flags that would change it.
    """
    for method in methods:
        if (style := RECIPES[method].style) and style not in styles:
            has = ", ".join(styles) or "none"
            raise ValueError(f"row {method!r} reads region embeddings {style!r}, the run has {has}: {remedy([style])}")


def remedy(styles: Sequence[str]) -> str:
    """Return what a user does to have region embeddings of some styles."""
    return f"give --regions.styles {' '.join(styles)} (and a CLIP with weights), or leave the row out of --fit.methods"


def scored_row(recipe: Recipe, folder: Path, inference: InferenceConfig, constants: ZegformerConfig) -> ScoredRow:
    """Return what a recipe makes of the classifier in a folder, by these constants."""
    if recipe.is_penalised:
        inference = replace(inference, seen_penalty=constants.seen_penalty)
    return ScoredRow(
        folder=folder, inference=inference, branches=recipe.branches, style=recipe.style, constants=constants
    )


def grid_scorers(
    name: str,
    recipe: Recipe,
    grid: Iterable[tuple[float, float]],
    given: ZegformerConfig,
    classifier: Classifier,
    inference: InferenceConfig,
    inputs: RowInputs,
) -> list[Scorer]:
    """Return the scorer of a recipe under each pair of lambda and gamma; the other constants are as given.

    Raises:
        ValueError: if the recipe reads region embeddings that the run has not.
    """
    scorers = []
    for weight, penalty in grid:
        constants = replace(given, weight=weight, seen_penalty=penalty)
        row = scored_row(recipe, Path(f"{name}, lambda {weight:.2f}, gamma {penalty:g}"), inference, constants)
        scorers.append(scorer_by(row, classifier, inputs))
    return scorers


def scorer_of(row: ScoredRow, inputs: RowInputs) -> Scorer:
    """Return the scorer of a row.

    Raises:
        ValueError: if the classifier is damaged, or the row reads region embeddings that the run has not.
    """
    return scorer_by(row, load_classifier(row.folder), inputs)


def scorer_by(row: ScoredRow, classifier: Classifier, inputs: RowInputs) -> Scorer:
    """Return the scorer of a row whose classifier was read already.

    Raises:
        ValueError: if the row reads region embeddings that the run has not.
    """
    name = row.folder.name
    if row.branches == "queries":
        return head_scorer(name, classifier, row.inference)
    branch = inputs.branch(row.style)
    if row.branches == "regions":
        return image_scorer(name, classifier, branch, row.constants, row.inference)
    return fused_scorer(name, classifier, branch, inputs.classes, row.constants, row.inference)
