"""The search: Ray Tune over plain function trials that read cached features from the object store."""

import contextlib
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import ray
import torch
from ray import tune
from ray.tune.logger import JsonLoggerCallback
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from cluster.interrupts import interrupts_raised
from cluster.tasks import as_they_end
from tuning.confirm import Fresh, Verdict, fresh_scores, verdict
from tuning.journal import Journal, TrialRecord
from tuning.proposals import Search, points_of_grid, proposer, resolve_search
from tuning.searcher import CPU_SECONDS, ERROR, NUMBER, SCORES, SETTINGS, VALUE, JournalSearcher
from tuning.space import Settings, Space, current_point, require_space
from tuning.trial import Objective, TrialInputs, metric_of, run_trial

Schedule = Literal["asha", "fifo"]
DEATHS = 3  # of its worker after each of which a trial is begun again; settings that cannot work are no death
REDUCTION = 3  # of the trials that come to a hold-out, the best third goes on to the next
JOURNAL, TUNE = "trials.jsonl", "tune"
QUIET = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """How a space is searched."""

    space: Space
    search: Search
    schedule: Schedule
    objective: Objective
    trials: int
    concurrent: int
    hold_outs: int  # the first of the inputs', that every trial is judged on; the others confirm the winner
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0


def sweep(inputs: TrialInputs, plan: SweepPlan, folder: Path, on_end: Callable[[int], None]) -> list[TrialRecord]:
    """Run the search and return one record for each trial, by number.

    Trial 0 has the settings as they are. Trials that fail are recorded and the search goes on; a killed search started
    again on the same folder does the trials that are missing, and no other. A trial whose worker dies is begun again.
    Under the schedule `fifo`, trials and scores depend on the inputs and the plan alone; under `asha` also on which
    trial was quicker.

    Raises:
        ValueError: if the space does not fit the settings.
        DataError: if the journal in the folder is damaged.
        OSError: if the disk does not take the journal.
        RuntimeError: if no trial was judged on every hold-out.
    """
    require_space(plan.space, inputs.config)
    start = current_point(inputs.config, plan.space)
    search = resolve_search(plan.search, plan.space, plan.trials)
    num_trials = len(points_of_grid(plan.space, start)) if search == "grid" else plan.trials
    journal = Journal(folder / JOURNAL)
    if len(journal.records) < num_trials:
        searcher = JournalSearcher(
            proposer(search, plan.space, start, metric_of(plan.objective), inputs.seed),
            journal,
            num_trials=num_trials,
            num_hold_outs=plan.hold_outs,
            window=plan.concurrent if plan.schedule == "fifo" and search == "tpe" else 0,
            on_end=on_end,
        )
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_trainable, inputs=inputs, plan=plan),
                {"cpu": plan.cpus_per_trial, "gpu": plan.gpus_per_trial},
            ),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=_scheduler(plan, journal.in_order()),
                num_samples=len(searcher.waiting),
                max_concurrent_trials=plan.concurrent,
                reuse_actors=True,  # a worker takes seconds to start
                trial_dirname_creator=lambda trial: f"trial-{trial.config[NUMBER]}",
            ),
            # Tune keeps its own memory of a sweep here, which nobody reads: the journal is ours.
            run_config=tune.RunConfig(
                name=f"from-{len(journal.records)}",
                storage_path=str(folder / TUNE),
                callbacks=[JsonLoggerCallback()],  # what Tune reads at the end
                failure_config=tune.FailureConfig(max_failures=DEATHS),
                verbose=0,
            ),
        )
        with _quietly(), interrupts_raised():
            tuner.fit()
        if searcher.broken is not None:
            raise searcher.broken
    records = journal.in_order()
    if all(record.state != "complete" for record in records):
        reason = next((record.error for record in records if record.error), "all were stopped")
        raise RuntimeError(f"none of {len(records)} trials was judged on every hold-out; the first: {reason}")
    return records


def best_so_far(folder: Path, objective: Objective) -> str:
    """Return the best trial of a search under way in words; nothing before one was judged on every hold-out.

    Raises:
        DataError: if the journal in the folder is damaged.
    """
    records = Journal(folder / JOURNAL).in_order()
    if all(record.state != "complete" for record in records):
        return ""
    best, metric = leader(records, objective), metric_of(objective)
    return f"best {metric} {best.mean(metric):.3f}, trial {best.number}"


def leader(records: Sequence[TrialRecord], objective: Objective) -> TrialRecord:
    """Return the trial of the highest mean among those that were judged on every hold-out; of equals the first."""
    complete = [record for record in records if record.state == "complete"]
    return max(complete, key=lambda record: (record.mean(metric_of(objective)), -record.number))


def confirm(
    inputs: TrialInputs, plan: SweepPlan, candidate: Settings, current: Settings, on_end: Callable[[int], None]
) -> Verdict:
    """Fit a candidate and the settings as they are on the hold-outs that no trial has seen, and compare.

    Raises:
        ValueError: if there are fewer than two such hold-outs.
    """
    shared = ray.put(inputs)
    numbers = range(plan.hold_outs, len(inputs.hold_outs))
    task = _fresh_scores.options(num_cpus=plan.cpus_per_trial, num_gpus=plan.gpus_per_trial)
    sides = {"candidate": dict(candidate), "current": dict(current)}
    fits: dict[tuple[str, int], Fresh] = {}
    for fit, reference in as_they_end(
        lambda fit: task.remote(shared, sides[fit[0]], fit[1]), [(side, number) for side in sides for number in numbers]
    ):
        fits[fit] = ray.get(reference)
        on_end(len(fits))
    ours, theirs = ([fits[side, number] for number in numbers] for side in sides)
    return verdict(ours, theirs, plan.objective)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep Tune from printing tables, and reports from being written thrice; it takes both by the environment."""
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _scheduler(plan: SweepPlan, records: Sequence[TrialRecord]) -> TrialScheduler:
    """Return a scheduler that knows what the trials of an earlier process scored, as if it had seen them."""
    if plan.schedule == "fifo" or plan.hold_outs < 2:
        return FIFOScheduler()
    scheduler = AsyncHyperBandScheduler(
        metric=VALUE, mode="max", max_t=plan.hold_outs, grace_period=1, reduction_factor=REDUCTION
    )
    for record in records:
        if record.state == "failed":
            continue
        past: Any = SimpleNamespace(trial_id=f"past-{record.number}")
        scheduler.on_trial_add(None, past)
        for report in _reports(record.scores, plan.objective):
            scheduler.on_trial_result(None, past, report)
        scheduler.on_trial_remove(None, past)
    return scheduler


def _reports(scores: Sequence[Mapping[str, float]], objective: Objective) -> list[dict[str, float]]:
    """Return what a trial reported after each hold-out: the mean so far."""
    values = [score[metric_of(objective)] for score in scores]
    return [
        {"training_iteration": place, VALUE: statistics.fmean(values[:place])} for place in range(1, len(values) + 1)
    ]


def _trainable(config: dict[str, Any], inputs: TrialInputs, plan: SweepPlan) -> None:
    torch.set_num_threads(max(1, int(plan.cpus_per_trial)))
    scores: list[dict[str, float]] = []
    start = time.thread_time()
    try:
        for score in run_trial(inputs, config[SETTINGS], plan.hold_outs):
            scores.append(score)
            value = statistics.fmean(each[metric_of(plan.objective)] for each in scores)
            tune.report({VALUE: value, SCORES: list(scores), CPU_SECONDS: time.thread_time() - start})
    except Exception as error:  # settings that cannot work are a finding, not the end of the sweep
        seconds = time.thread_time() - start
        tune.report({VALUE: math.nan, SCORES: scores, CPU_SECONDS: seconds, ERROR: f"{type(error).__name__}: {error}"})


@ray.remote
def _fresh_scores(inputs: TrialInputs, settings: dict[str, Any], number: int) -> Fresh:
    torch.set_num_threads(1)
    return fresh_scores(inputs, settings, number)
