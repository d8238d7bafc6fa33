"""The rows of the results table: what each method is, and how it is fitted on cached features.

| method            | generator  | aligned with text  | classifier                                        |
|-------------------|------------|--------------------|---------------------------------------------------|
| `supervised`      | -          | -                  | the segmenter's own head, unseen classes silenced |
| `projection`      | -          | -                  | cosine with class text, fitted on seen features   |
| `gmmn`            | GMMN       | -                  | head retrained with synthetic unseen features     |
| `primitive`       | primitives | -                  | same                                              |
| `primitive+align` | primitives | features           | same                                              |
| `pading`          | primitives | their related part | same                                              |

All generators share one discrepancy, noise width, optimiser, schedule and classifier fit, so that the rows differ in
what the table says and in nothing else.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar, get_args

from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.classifier import Classifier, LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.fit_classifier import (
    ClassifierFitConfig,
    ProjectionConfig,
    fit_projection,
    retrain_head,
    silence_unseen,
)
from pading.zeroshot.fit_generator import GeneratorFitConfig, Structure, fit_generator, synthesise
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.gmmn import Gmmn, GmmnConfig
from pading.zeroshot.standardise import Standardised

Method = Literal["supervised", "projection", "gmmn", "primitive", "primitive+align", "pading"]
METHODS: tuple[Method, ...] = get_args(Method)
STRUCTURE: dict[str, Structure] = {
    "gmmn": "none",
    "primitive": "none",
    "primitive+align": "features",
    "pading": "related",
}

Result = TypeVar("Result")


class Fitted(NamedTuple):
    """What fitting a method leaves: its classifier, and the generator of those that have one."""

    classifier: Classifier
    generator: Standardised | None = None


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Every setting of every method; a method reads the parts that it uses."""

    profile: Literal["paper"] = "paper"
    primitive: PrimitiveConfig = field(default_factory=PrimitiveConfig)
    gmmn: GmmnConfig = field(default_factory=GmmnConfig)
    generator: GeneratorFitConfig = field(default_factory=GeneratorFitConfig)
    classifier: ClassifierFitConfig = field(default_factory=ClassifierFitConfig)
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)


def fit_method(
    method: Method,
    config: MethodConfig,
    features: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    old_head: LinearClassifier,
    seed: int,
) -> Generator[dict[str, float], None, Fitted]:
    """Fit one row of the table on cached training features: yield metrics named by stage, return what was fitted.

    Raises:
        ValueError: if the method is unknown, the text has not one row a class, or a feature has an unseen label.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    _require_rows(text, classes)
    if method == "supervised":
        return Fitted(silence_unseen(old_head, classes))
    if method == "projection":
        projecting = fit_projection(config.projection, features, text, classes, seed)
        return Fitted((yield from _prefixed("projection", projecting)))
    generator = build_generator(method, config, text, features.embeddings.shape[1], seed)
    generator = generator.to(features.embeddings.device)
    for metrics in fit_generator(generator, STRUCTURE[method], config.generator, features, text, classes, seed):
        yield {f"generator/{name}": value for name, value in metrics.items()}
    retraining = retrain_by_generator(generator, config, features, text, classes, old_head, seed)
    return Fitted((yield from _prefixed("classifier", retraining)), generator)


def retrain_by_generator(
    generator: Standardised,
    config: MethodConfig,
    features: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    old_head: LinearClassifier,
    seed: int,
) -> Generator[dict[str, float], None, LinearClassifier]:
    """Retrain the head on real features of seen classes and what a fitted generator makes of the unseen names.

    The unseen classes may be others than those that the generator was fitted beside.

    Raises:
        ValueError: if a feature has an unseen label.
    """
    synthetic = synthesise(generator, text, classes.unseen, config.classifier.synthetic_per_class, seed)
    return (yield from retrain_head(config.classifier, features, synthetic, classes, old_head, seed))


def build_generator(
    method: Method, config: MethodConfig, text: Float[Tensor, "K E"], width: int, seed: int
) -> Standardised:
    """Return the untrained generator of a method that has one; it reads class texts of the scale of `text`."""
    randomness = generator_for(seed, "generator weights")
    if method == "gmmn":
        return Standardised(Gmmn(config.gmmn, text.shape[1], width, randomness), text)
    return Standardised(PrimitiveGenerator(config.primitive, text.shape[1], width, randomness), text)


def finish(fit: Generator[dict[str, float], None, Result]) -> Result:
    """Run a fit to its end without looking at its metrics, and return its result."""
    while True:
        try:
            next(fit)
        except StopIteration as end:
            result: Result = end.value
            return result


def _prefixed(stage: str, fit: Generator[dict[str, float], None, Result]) -> Generator[dict[str, float], None, Result]:
    while True:
        try:
            metrics = next(fit)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield {f"{stage}/{name}": value for name, value in metrics.items()}


def _require_rows(text: Float[Tensor, "K E"], classes: ClassTable) -> None:
    if text.ndim != 2 or len(text) != classes.num_classes:
        raise ValueError(
            f"text embeddings of shape {tuple(text.shape)} for class table {classes.name!r}: "
            f"pass one row for each of its {classes.num_classes} classes"
        )
