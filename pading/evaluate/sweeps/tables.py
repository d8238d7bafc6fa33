"""The tables of a sweep as plain cells, which HTML and Markdown share: all trials, held-out classes, failures."""

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from pading.evaluate.sweeps.report import SweepDiagnosis
from pading.evaluate.sweeps.trials import Trial, Trials, short_names, spoken


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is read, and what a column is sorted by: None where there is no number."""

    text: str
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a table; `kind` says how it looks, `rank` which trial it is."""

    cells: tuple[Cell, ...]
    kind: str = ""
    rank: int | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose columns are names or numbers."""

    columns: tuple[str, ...]
    kinds: tuple[Literal["text", "number"], ...]
    rows: tuple[Row, ...]


def trial_table(trials: Trials) -> Table:
    """Return all trials, best first: settings, score, deviation over hold-outs, seconds, what became of it."""
    short = short_names(trials.settings)
    has_numbers = all(trial.number is not None for trial in trials.trials)
    has_discrepancies = any(trial.discrepancies for trial in trials.trials)
    columns = ["rank", *(["trial"] if has_numbers else []), *short.values(), "score", "± hold-outs", "seen", "held out"]
    columns += [*(["MMD²"] if has_discrepancies else []), "seconds", "state"]
    rows = []
    for trial in trials.trials:
        cells = [Cell(text=str(trial.rank), value=trial.rank)]
        cells += [Cell(text=str(trial.number), value=trial.number)] if has_numbers else []
        for name in trials.settings:
            value = trial.settings.get(name)
            cells.append(Cell(text=spoken(value), value=float(value) if isinstance(value, float | int) else None))
        cells += [_percent(trial.score), _percent(_deviation(trial))]
        cells += [_percent(trial.metrics.get(f"accuracy/{side}")) for side in ("seen", "unseen")]
        if has_discrepancies:
            cells.append(_number(fmean(trial.discrepancies.values()) if trial.discrepancies else None, ".3f"))
        cells += [_number(trial.seconds, ".1f"), Cell(text=_state(trial))]
        rows.append(Row(cells=tuple(cells), kind=trial.state, rank=trial.rank))
    words = {"state"} | {
        short[name]
        for name in trials.settings
        if any(isinstance(trial.settings.get(name), str) for trial in trials.trials)
    }
    kinds: list[Literal["text", "number"]] = ["text" if column in words else "number" for column in columns]
    return Table(columns=tuple(columns), kinds=tuple(kinds), rows=tuple(rows))


def class_table(diagnosis: SweepDiagnosis) -> Table:
    """Return the held-out classes: discrepancy and nearest real class under each generator."""
    columns, kinds = ["held-out class", "real rows", "chance"], ["text", "number", "number"]
    for name in diagnosis.generators:
        columns += [f"{name}: MMD²", f"{name}: nearest real class", f"{name}: own rows"]
        kinds += ["number", "text", "number"]
    rows = []
    for one in diagnosis.classes:
        cells = [Cell(text=one.name), Cell(text=str(one.num_real), value=one.num_real), _number(one.chance, ".4f")]
        for found in one.generators:
            cells += [_number(found.discrepancy, ".4f"), Cell(text=found.nearest), _percent(found.own_rows, " %")]
        is_lost = all(found.nearest != one.name for found in one.generators)
        rows.append(Row(cells=tuple(cells), kind="lost" if is_lost else ""))
    return Table(columns=tuple(columns), kinds=tuple(kinds), rows=tuple(rows))  # type: ignore[arg-type]


def failures(trials: Trials) -> list[tuple[str, str]]:
    """Return of each failed trial its settings and what went wrong, the last line of its error."""
    found = []
    for trial in trials.trials:
        if trial.state == "failed":
            settings = ", ".join(f"{name} {spoken(value)}" for name, value in trial.settings.items())
            lines = [line for line in (trial.error or "").splitlines() if line.strip()]
            found.append((settings, lines[-1].strip() if lines else "it ended without a score"))
    return found


def _state(trial: Trial) -> str:
    words = {"whole": "", "stopped": "stopped early"}.get(trial.state, trial.state)
    return ", ".join(filter(None, [words, "default" if trial.is_default else ""]))


def _deviation(trial: Trial) -> float | None:
    scores = list(trial.holdouts.values())
    return stdev(scores) if len(scores) > 1 else None


def _percent(value: float | None, unit: str = "") -> Cell:
    return (
        Cell(text="–") if value is None else Cell(text=f"{100 * value:.{0 if unit else 1}f}{unit}", value=100 * value)
    )


def _number(value: float | None, form: str) -> Cell:
    return Cell(text="–") if value is None else Cell(text=f"{value:{form}}", value=value)
