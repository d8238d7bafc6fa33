"""Small sweeps to draw pages of."""

from typing import Any

from pading.evaluate.sweeps.report import GeneratorOnClass, HeldOutClass, SweepDiagnosis, plain_diagnosis
from tests.boards import planes

OBJECTIVE = "accuracy/hm"
DEFAULT = {"generator.tau": 0.1, "primitive.num_primitives": 400}


def trial(number: int, tau: float, primitives: int, scores: tuple[float, ...], **fields: Any) -> dict[str, Any]:
    """A trial with a score on each of some hold-outs; no score, no hold-out."""
    mean = sum(scores) / len(scores) if scores else None
    metrics = {f"holdout/{at}": score for at, score in enumerate(scores)}
    if mean is not None:
        metrics |= {OBJECTIVE: mean, "accuracy/seen": mean + 0.1, "accuracy/unseen": mean - 0.1, "mmd/star": 1 - mean}
    settings = {"generator.tau": tau, "primitive.num_primitives": primitives}
    return {
        "number": number,
        "settings": settings,
        OBJECTIVE: mean,
        "metrics": metrics,
        "seconds": 2.0 + number,
        "error": "",
        **fields,
    }


def trials() -> list[dict[str, Any]]:
    """Ten whole trials, in which the score grows with the number of primitives and not with tau; two others."""
    whole = [
        trial(number, 0.02 * 1.5**number, (100, 200)[number % 2], scores)
        for number, scores in enumerate(
            ((0.5 + 0.1 * (n % 2) + 0.001 * n, 0.7 + 0.1 * (n % 2)) for n in range(1, 10)), 1
        )
    ]
    return [
        trial(0, 0.1, 400, (0.58, 0.78)),
        *whole,
        trial(10, 0.3, 100, (0.4,)),
        trial(11, 0.4, 200, (), error="Traceback\n  File\nValueError: loss is <nan> | no number", seconds=0.5),
    ]


def best() -> dict[str, Any]:
    """The best of them, trial 9."""
    return trials()[9]


def comparison(difference: float = 2.0) -> dict[str, Any]:
    """The best trial and the default on three fresh hold-outs."""
    found = {
        "difference": difference,
        "low": difference - 1,
        "high": difference + 1,
        "deviation": 0.5,
        "probability_better": 0.98,
        "seeds_better": 3,
        "num_seeds": 3,
    }
    empty = dict.fromkeys(found)
    return {
        "is_better": difference > 1,
        "candidate": [0.70, 0.80, 0.75],
        "current": [0.69, 0.77, 0.73],
        "by_images": {"seen": empty | {"seeds_better": 0, "num_seeds": 3}, "unseen": found, "hm": found},
    }


def diagnosis() -> SweepDiagnosis:
    """Two held-out classes under two generators."""
    generators = (
        GeneratorOnClass(discrepancy=0.5, nearest="star", own_rows=0.75),
        GeneratorOnClass(discrepancy=None, nearest="<disc>", own_rows=0.0),
    )
    classes = [
        HeldOutClass(name=name, num_real=number, chance=0.01, generators=generators)
        for name, number in (("star", 40), ("<ring>", 3))
    ]
    return SweepDiagnosis(generators=("chosen", "default"), classes=tuple(classes), planes=planes())


def report(**fields: Any) -> dict[str, Any]:
    """A report with every part."""
    return {
        "objective": OBJECTIVE,
        "facts": {"run": "<demo>", "seed": "0"},
        "trials": trials(),
        "best": best(),
        "default": DEFAULT,
        "comparison": comparison(),
        "diagnosis": plain_diagnosis(diagnosis()),
        "leaky": False,
        **fields,
    }
