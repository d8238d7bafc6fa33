"""The rows of the results table: what each method is, and how it is fitted on cached features.

| method            | generator  | aligned with text  | classifier                                        |
|-------------------|------------|--------------------|---------------------------------------------------|
| `supervised`      | -          | -                  | the segmenter's own head, unseen classes silenced |
| `projection`      | -          | -                  | cosine with class text (*)                        |
| `gmmn`            | GMMN       | -                  | head retrained with synthetic unseen features     |
| `wgan`            | GMMN       | -                  | same                                              |
| `primitive`       | primitives | -                  | same                                              |
| `primitive+align` | primitives | features           | same                                              |
| `pading`          | primitives | their related part | same                                              |

(*) The segmenter's own head where it was trained under one, and else fitted on seen features. Under one, `supervised`
and the head that is retrained are a linear one fitted on seen features (`segmenter_head.py`).

All generators of a profile share one discrepancy, optimiser, schedule and classifier fit, so that the rows differ in
what the table says and in nothing else; `wgan` has a critic in the discrepancy's place, and an optimiser that suits it.
What a profile says is in `profiles.py`; under `released`, generator and head are fitted in turns, everywhere else one
after the other.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar, get_args

from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.classifier import Classifier, CosineClassifier, LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.fit_classifier import (
    ClassifierFitConfig,
    ProjectionConfig,
    fit_projection,
    retrain_head,
    silence_unseen,
)
from pading.zeroshot.fit_generator import GeneratorFitConfig, Structure, fit_generator, synthesise
from pading.zeroshot.fit_wgan import fit_wgan
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.gmmn import Gmmn, GmmnConfig
from pading.zeroshot.released.fit import ReleasedConfig, fit_interleaved
from pading.zeroshot.released.generator import ReleasedGenerator
from pading.zeroshot.standardise import Standardised
from pading.zeroshot.wgan import WganConfig

Method = Literal["supervised", "projection", "gmmn", "wgan", "primitive", "primitive+align", "pading"]
METHODS: tuple[Method, ...] = get_args(Method)
Profile = Literal["paper", "released", "best"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
STRUCTURE: dict[str, Structure] = {
    "gmmn": "none",
    "primitive": "none",
    "primitive+align": "features",
    "pading": "related",
}
GENERATIVE = tuple(method for method in METHODS if method == "wgan" or method in STRUCTURE)  # they have a generator

Result = TypeVar("Result")


class Fitted(NamedTuple):
    """What fitting a method leaves: its classifier, and the generator of those that have one."""

    classifier: Classifier
    generator: Standardised | None = None


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Every setting of every method; a method reads the parts that it uses. Defaults are those of the profile `best`.

    The profile decides which loop is run, `released` or ours, and names the row; the settings that go with it come from
    `profiles.py`. `generator` and `classifier` are settings of our loop, `released` of the published one.
    """

    profile: Profile = "best"
    standardise_text: bool = True
    """Generators read class text without what all names share, on one scale (docs/decisions/0003); off: raw."""
    primitive: PrimitiveConfig = field(default_factory=PrimitiveConfig)
    gmmn: GmmnConfig = field(default_factory=GmmnConfig)
    wgan: WganConfig = field(default_factory=WganConfig)
    generator: GeneratorFitConfig = field(default_factory=GeneratorFitConfig)
    classifier: ClassifierFitConfig = field(default_factory=ClassifierFitConfig)
    released: ReleasedConfig = field(default_factory=ReleasedConfig)
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)


def fit_method(
    method: Method,
    config: MethodConfig,
    features: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    old_head: LinearClassifier,
    seed: int,
    own_projection: CosineClassifier | None = None,
) -> Generator[dict[str, float], None, Fitted]:
    """Fit one row of the table on cached training features: yield metrics named by stage, return what was fitted.

    `own_projection` is the segmenter's head where it was trained under class text: then nothing is fitted for that row.

    Raises:
        ValueError: if the method is unknown or the profile lacks it, the text has not one row a class, or a feature has
            an unseen label.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    if method in GENERATIVE and not has_row(method, config.profile):
        raise ValueError(f"the published code has no {method!r}: fit it under the profile 'paper' or 'best'")
    _require_rows(text, classes)
    if method == "supervised":
        return Fitted(silence_unseen(old_head, classes))
    if method == "projection":
        if own_projection is not None:
            return Fitted(own_projection)
        projecting = fit_projection(config.projection, features, text, classes, seed)
        return Fitted((yield from _prefixed("projection", projecting)))
    generator = build_generator(method, config, text, features.embeddings.shape[1], seed)
    generator = generator.to(features.embeddings.device)
    if config.profile == "released":
        head = yield from fit_interleaved(
            generator, STRUCTURE[method], config.released, features, text, classes, old_head, seed
        )
        return Fitted(head, generator)
    for metrics in train_generator(method, config, generator, features, text, classes, seed):
        yield {f"generator/{name}": value for name, value in metrics.items()}
    retraining = retrain_by_generator(generator, config, features, text, classes, old_head, seed)
    return Fitted((yield from _prefixed("classifier", retraining)), generator)


def has_row(method: Method, profile: Profile) -> bool:
    """Return whether the method depends on the profile and is defined under it; the published code has no critic."""
    return method in STRUCTURE or (method == "wgan" and profile != "released")


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
    randomness, text_width = generator_for(seed, "generator weights"), text.shape[1]
    generator: Gmmn | PrimitiveGenerator | ReleasedGenerator
    if method in ("gmmn", "wgan"):
        generator = Gmmn(config.gmmn, text_width, width, randomness)
    elif config.profile == "released":
        generator = ReleasedGenerator(config.released.generator, text_width, width, randomness)
    else:
        generator = PrimitiveGenerator(config.primitive, text_width, width, randomness)
    return Standardised(generator, text, standardise_text=config.standardise_text)


def train_generator(
    method: Method,
    config: MethodConfig,
    generator: Standardised,
    features: Features,
    text: Float[Tensor, "K E"],
    classes: ClassTable,
    seed: int,
) -> Iterator[dict[str, float]]:
    """Fit what `build_generator` returned in place by the method's objective, yielding metrics."""
    if method == "wgan":
        return fit_wgan(generator, config.wgan, config.generator, features, text, classes, seed)
    return fit_generator(generator, STRUCTURE[method], config.generator, features, text, classes, seed)


def finish(fit: Generator[dict[str, float], None, Result], between: Callable[[], None] | None = None) -> Result:
    """Run a fit to its end and return its result; `between` is called after each report."""
    while True:
        try:
            next(fit)
        except StopIteration as end:
            result: Result = end.value
            return result
        if between is not None:
            between()


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
