"""Everything that a page of a sweep shows, as dataclasses and as the JSON that it can be drawn from again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pading.config import from_plain, to_plain
from pading.data.errors import DataError, MissingFileError
from pading.evaluate.board.feature_planes import FeaturePlanes
from pading.evaluate.sweeps.trials import BEST, COMPARISON, REMEDY, REPORT, TRIALS, Trials, read_trials

GROUPS = ("seen", "unseen", "hm")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Candidate minus default in one group of classes, in points, with its 95 % interval over sets of drawn images."""

    difference: float
    low: float
    high: float
    probability_better: float
    seeds_better: int
    num_seeds: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The best trial's settings and the default, both fitted again where no trial was judged.

    Scores, from 0 to 1, are on fresh hold-outs, a pair each.
    """

    is_better: bool
    candidate: tuple[float, ...]
    current: tuple[float, ...]
    groups: Mapping[str, Difference]


@dataclass(frozen=True, kw_only=True)
class GeneratorOnClass:
    """The synthetic features of one held-out class, made by one generator."""

    discrepancy: float | None  # squared and unbiased; None of a class with too few real rows
    nearest: str  # real class whose mean is nearest to the mean synthetic row
    own_rows: float  # share of synthetic rows that are nearest to their own class, 0 to 1


@dataclass(frozen=True, kw_only=True)
class HeldOutClass:
    """A seen class that the generators did without; `chance` is what halves of its real rows are apart."""

    name: str
    num_real: int
    chance: float | None
    generators: tuple[GeneratorOnClass, ...]  # in the order of the diagnosis


@dataclass(frozen=True, kw_only=True)
class SweepDiagnosis:
    """The generators of the chosen settings and of the default, looked at on the first hold-out."""

    generators: tuple[str, ...]
    classes: tuple[HeldOutClass, ...]
    planes: FeaturePlanes


@dataclass(frozen=True, kw_only=True, eq=False)
class SweepReport:
    """A sweep as its pages show it; `facts` are what one must know of it, by name."""

    facts: Mapping[str, str]
    trials: Trials
    comparison: Comparison | None  # None: nothing was fitted again
    diagnosis: SweepDiagnosis | None
    is_leaky: bool  # truly unseen classes were looked at


def sweep_report(path: Path, plain: Any) -> SweepReport:
    """Check the JSON of a report; `path` is named in errors.

    It has "objective", "trials" and "best" as the search wrote them, and may have "default" (settings), "facts" (names
    and words), "comparison" ("is_better", "candidate" and "current" with a score a fresh hold-out, "by_images" as
    `bootstrap.plain_comparison` returns it), "diagnosis" and "leaky".

    Raises:
        DataError: if a part is not what it should be.
    """
    if not isinstance(plain, dict) or not isinstance(plain.get("objective"), str):
        raise DataError(str(path), "'objective', the name of the score, is missing", REMEDY)
    facts, diagnosis = plain.get("facts") or {}, plain.get("diagnosis")
    if not isinstance(facts, dict):
        raise DataError(str(path), f"'facts' is {facts!r}, expected an object", REMEDY)
    try:
        looked_into = None if diagnosis is None else from_plain(SweepDiagnosis, diagnosis)
    except ValueError as error:
        raise DataError(str(path), f"'diagnosis' is damaged ({error})", REMEDY) from error
    return SweepReport(
        facts={str(name): str(value) for name, value in facts.items()},
        trials=read_trials(path, plain["objective"], plain.get("trials"), plain.get("best"), plain.get("default")),
        comparison=None if plain.get("comparison") is None else _comparison(path, plain["comparison"]),
        diagnosis=looked_into,
        is_leaky=plain.get("leaky", False) is not False,
    )


def read_report(folder: Path, objective: str) -> dict[str, Any]:
    """Return the JSON of a sweep's report from its folder; of an older sweep, what its trials say.

    Raises:
        MissingFileError: if the folder holds no sweep.
        DataError: if a file is not JSON.
    """
    report = _read(folder / REPORT)
    if report is not None:
        found: dict[str, Any] = report
        return found
    trials, best = _read(folder / TRIALS), _read(folder / BEST)
    if trials is None or best is None:
        raise MissingFileError(str(folder / TRIALS), "no such file", "run the stage `sweep` first")
    told = best if isinstance(best, dict) else {}
    comparison = _read(folder / COMPARISON) or told.get("verdict")
    return {
        "objective": objective,
        "trials": trials,
        "best": best,
        "comparison": comparison,
        "leaky": told.get("leaky", False),
    }


def plain_diagnosis(diagnosis: SweepDiagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON can hold it; places are rounded to what a drawing can show."""
    plain: dict[str, Any] = to_plain(diagnosis)
    for places in (plain["planes"]["real"], *(one["synthetic"] for one in plain["planes"]["generators"])):
        for axis in ("x", "y"):
            places[axis] = [round(value, 2) for value in places[axis]]
    return plain


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise DataError(str(path), f"is not JSON ({error})", REMEDY) from error


def _comparison(path: Path, plain: Any) -> Comparison:
    """Return a comparison; groups without a value are left out."""
    try:
        pairs = from_plain(_Pairs, {name: plain[name] for name in _Pairs.__dataclass_fields__})
        groups = {group: _difference(plain["by_images"][group]) for group in GROUPS if group in plain["by_images"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(str(path), f"'comparison' is damaged ({error})", REMEDY) from error
    if len(pairs.candidate) != len(pairs.current):
        what = f"'comparison' has {len(pairs.candidate)} and {len(pairs.current)} scores, expected pairs"
        raise DataError(str(path), what, REMEDY)
    present = {group: found for group, found in groups.items() if found is not None}
    return Comparison(is_better=pairs.is_better, candidate=pairs.candidate, current=pairs.current, groups=present)


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    is_better: bool
    candidate: tuple[float, ...]
    current: tuple[float, ...]


def _difference(entry: Mapping[str, Any]) -> Difference | None:
    values = {name: entry[name] for name in Difference.__dataclass_fields__}
    return None if None in values.values() else from_plain(Difference, values)
