"""The pages of a sweep: what the stage adds to its trials, and the verb `sweep-report`, which draws them again."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.progress import say
from jobs.sweep_diagnosis import sweep_diagnosis
from pading.data.errors import MissingFileError
from pading.evaluate.sweeps.files import write_sweep_pages
from pading.evaluate.sweeps.report import plain_diagnosis, read_report
from pading.randomness import derive_seed
from tuning.journal import TrialRecord
from tuning.space import applied
from tuning.trial import DISCREPANCY, TrialInputs, metric_of, problem_of

CHOSEN, DEFAULT, BOTH = "chosen", "default", "chosen, the default"
FIRST = 0  # the hold-out that is looked at


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """Draw the pages of finished sweeps again, from their files."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories, or folders of sweeps such as RUN/sweeps/NAME."""
    objective: Annotated[str, tyro.conf.arg(help="Name of the score, of a sweep that has no sweep.json.")] = metric_of(
        "hm"
    )


def sweep_report(command: SweepReport) -> None:
    """Write sweep.html, sweep.md and sweep.json of each sweep again; nothing is fitted.

    Raises:
        FileNotFoundError: if there is no sweep.
        ValueError: if a file of it is damaged, or no sweep is named.
    """
    if not command.runs:
        raise ValueError("no sweep is named: give run directories, or folders of sweeps")
    for path in command.runs:
        folder = path / "sweep" if (path / "sweep").is_dir() else path
        if not folder.is_dir():
            raise MissingFileError(str(folder), "no such folder", "name a run directory with a finished sweep")
        page, *_ = write_sweep_pages(folder, read_report(folder, command.objective))
        say(str(page))


def write_pages(
    folder: Path,
    config: PipelineConfig,
    run_dir: RunDir,
    inputs: TrialInputs,
    trials: Sequence[Mapping[str, Any]],
    chosen: Mapping[str, Any],
    current: Mapping[str, Any],
) -> list[Path]:
    """Write the pages of a sweep into its folder and return them; `current` are the settings as they were.

    Chosen and current settings are fitted once more, on the first hold-out, to look at what their generators make.
    """
    classes = inputs.cached.classes
    facts = {
        "run": run_dir.root.name,
        "sweep": config.sweep.name or "the pipeline's own",
        "preset": config.preset,
        "split": f"{classes.name}: {len(classes.seen)} seen and {len(classes.unseen)} unseen classes",
        "search": f"{config.sweep.search} over {config.sweep.space}, schedule {config.sweep.schedule}",
        "cached features": str(len(inputs.cached.labels)),
        "seed": str(config.seed),
    }
    report = {
        "objective": metric_of(config.sweep.objective),
        "facts": facts,
        "trials": list(trials),
        "best": dict(chosen),
        "default": dict(current),
        "comparison": chosen["verdict"],
        "diagnosis": None if inputs.is_leaky else diagnosis(inputs, chosen["settings"], current),
        "leaky": inputs.is_leaky,
    }
    return write_sweep_pages(folder, report)


def diagnosis(inputs: TrialInputs, chosen: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Return what settings make of the classes of the first hold-out, as the report has it."""
    first, second = applied(inputs.config, chosen), applied(inputs.config, current)
    settings = {BOTH: first} if first == second else {CHOSEN: first, DEFAULT: second}
    problem = problem_of(dataclasses.replace(inputs, device="cpu"), FIRST)
    seed = derive_seed(inputs.seed, "hold-out", FIRST)  # the trial's own
    return plain_diagnosis(sweep_diagnosis(*problem, settings, seed))


def mean_discrepancies(record: TrialRecord) -> dict[str, float]:
    """Return the discrepancy of each held-out class: the mean over the hold-outs in which it was held out."""
    names = sorted({name for score in record.scores for name in score if name.startswith(DISCREPANCY)})
    return {name: statistics.fmean(score[name] for score in record.scores if name in score) for name in names}
