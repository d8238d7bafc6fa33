"""Stage `sweep`: search generator settings over the cached features; the winner feeds `fit`."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.resources import Request, offered, shortfall
from cluster.session import connect
from cluster.storage import RunDir, write_json
from jobs.cache import prediction_files
from jobs.config import PipelineConfig
from jobs.devices import uses_gpus
from jobs.fit_inputs import sample_fit_inputs
from jobs.progress import Progress, say
from jobs.sweep_pages import mean_discrepancies, write_pages
from jobs.sweep_records import sweep_records
from jobs.tracker import send_all, tracker_of
from pading.config import to_plain
from pading.data.errors import DataError
from pading.evaluate.matched import all_matched_queries
from pading.evaluate.predictions import read_predictions
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.pseudo_unseen import hold_out_in_turn
from tuning.confirm import Verdict
from tuning.journal import TrialRecord, to_plain_record
from tuning.proposals import points_of_grid, resolve_search
from tuning.space import applied, current_point, read_space, require_space, space_to_plain
from tuning.sweep import SweepPlan, best_so_far, confirm, leader, sweep
from tuning.trial import OBJECTIVES, TrialInputs, metric_of

BEST, TRIALS = "best.json", "trials.json"
SWEEP, SWEEPS = "sweep", "sweeps"
PLACES = ("name", "cpus_per_trial", "gpus_per_trial")  # change no score
LEAK = "NOT A ZERO-SHOT SWEEP: trials are judged on truly unseen classes; the rows that use its winner will be marked"


def artefact_name(config: PipelineConfig) -> str:
    """Return the folder of a sweep: the pipeline's own, or one beside it by its name."""
    return f"{SWEEPS}/{config.sweep.name}" if config.sweep.name else SWEEP


def sweep_settings(config: PipelineConfig) -> dict[str, Any]:
    """Return what trials and winner depend on; a space counts by what it holds."""
    settings = {name: value for name, value in to_plain(config.sweep).items() if name not in PLACES}
    settings["space"] = space_to_plain(read_space(config.sweep.space))
    return {"sweep": settings, "method": to_plain(config.method), "seed": config.seed}


def require_search(config: PipelineConfig) -> None:
    """Check the search space against the settings that it is to change.

    Raises:
        ValueError: if there is no such space, it names what is no setting, or a grid of it is asked for and cannot be.
    """
    space = read_space(config.sweep.space)
    require_space(space, config.method)
    if resolve_search(config.sweep.search, space, config.sweep.trials) == "grid":
        points_of_grid(space, current_point(config.method, space))


def needs(config: PipelineConfig, has_gpus: bool) -> list[Request]:
    """Return what one trial takes; more of it at once only makes a sweep faster."""
    gpus = {"GPU": config.sweep.gpus_per_trial} if has_gpus and config.sweep.gpus_per_trial else {}
    return [Request(resources={"CPU": config.sweep.cpus_per_trial, **gpus})]


def search(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write every trial and the winner's settings, and tell MLflow; the settings as they are compete as trial 0.

    The best trial wins only if it beats them again on fresh hold-outs; otherwise they stay.

    Raises:
        ValueError: if no trial can be placed on the cluster, or the space does not fit the settings.
        RuntimeError: if no trial was judged on every hold-out.
    """
    connect()
    has_gpus = uses_gpus()
    if missing := shortfall(needs(config, has_gpus), offered()):
        raise ValueError(f"no trial can be placed ({missing}): ask for less by --sweep.cpus-per-trial, gpus-per-trial")
    plan = _plan(config, has_gpus)
    inputs = trial_inputs(config, run_dir, device="cuda" if plan.gpus_per_trial else "cpu")
    current = current_point(config.method, plan.space)
    total = plan.trials
    if resolve_search(plan.search, plan.space, plan.trials) == "grid":
        total = len(points_of_grid(plan.space, current))
    work = run_dir.work(artefact_name(config)).resolve()
    progress = Progress("trials", total)
    records = sweep(inputs, plan, work, lambda ended: progress.update(ended, best_so_far(work, plan.objective)))
    best, found = _choose(inputs, plan, records)
    trials = [described(record, config) for record in ranked(records, config)]
    chosen = described(best, config) | {
        "is_current": best.number == 0,
        "leaky": inputs.is_leaky,
        "verdict": None if found is None else found.to_plain(),
    }
    write_json(folder / TRIALS, trials)
    write_json(folder / BEST, chosen)
    metric = metric_of(config.sweep.objective)
    say(f"  {len(records)} trials; chosen ({metric} {best.mean(metric):.3f} on {_judged_on(inputs)}): {best.settings}")
    pages = write_pages(folder, config, run_dir, inputs, trials, chosen, current)
    told = sweep_records(config, run_dir, sweep_settings(config), trials, chosen, pages)
    send_all(tracker_of(run_dir), told, run_dir)
    states = [record.state for record in records]
    return {"trials": len(records), "stopped": states.count("stopped"), "failed": states.count("failed")}


def trial_inputs(config: PipelineConfig, run_dir: RunDir, device: str = "cpu") -> TrialInputs:
    """Return what the trials of a run share, and say what was left out of it.

    Raises:
        ValueError: if no class can be held out, or no image's features fit into the rows allowed.
    """
    wanted = config.sweep
    cached, num_rows = sample_fit_inputs(run_dir, wanted.max_feature_rows, config.seed)
    if len(cached.labels) < num_rows:
        say(f"  {len(cached.labels)} of {num_rows} cached features, whole images drawn (--sweep.max-feature-rows)")
    number = wanted.holdouts + wanted.confirm
    inputs = TrialInputs(
        cached=cached,
        config=config.method,
        hold_outs=hold_out_in_turn(cached.classes, wanted.holdout_fraction, number, config.seed),
        seed=config.seed,
        device=device,
        timeout_s=wanted.timeout_s,
    )
    if not wanted.leak_unseen_classes:
        return inputs
    say(f"  WARNING: {LEAK}")
    return dataclasses.replace(inputs, leaked=labelled_val(cached, run_dir))


def labelled_val(cached: FitInputs, run_dir: RunDir) -> FitInputs:
    """Return the queries of val images that match a true segment, with its class, seen or unseen, as features."""
    rows = all_matched_queries(image for path in prediction_files(run_dir) for image in read_predictions(path))
    return dataclasses.replace(
        cached, embeddings=rows.embeddings.numpy(), labels=rows.labels.numpy(), image_ids=rows.image_ids.numpy()
    )


def ranked(records: Sequence[TrialRecord], config: PipelineConfig) -> list[TrialRecord]:
    """Return trials best first: those judged on every hold-out, those that were stopped, those that failed."""
    order, metric = ("complete", "stopped", "failed"), metric_of(config.sweep.objective)
    return sorted(records, key=lambda record: (order.index(record.state), -(record.mean(metric) or 0.0), record.number))


def described(record: TrialRecord, config: PipelineConfig) -> dict[str, Any]:
    """Return a trial as JSON keeps it: its record, and the means of what it scored."""
    plain, objective = to_plain_record(record), metric_of(config.sweep.objective)
    means = {name: record.mean(name) for name in ("accuracy/seen", "accuracy/unseen", *map(metric_of, OBJECTIVES))}
    by_hold_out = {f"holdout/{place}": score[objective] for place, score in enumerate(record.scores)}
    metrics = {name: value for name, value in (means | by_hold_out).items() if value is not None}
    metrics |= mean_discrepancies(record)
    del plain["scores"]
    return {**plain, objective: record.mean(objective), "metrics": metrics}


def winner(config: PipelineConfig, run_dir: RunDir) -> dict[str, Any]:
    """Return what the sweep has chosen.

    Raises:
        DataError: if the file is not what `sweep` writes.
    """
    path = run_dir.artefact(artefact_name(config)) / BEST
    try:
        best: dict[str, Any] = json.loads(path.read_text())
        if not isinstance(best["settings"], dict) or not isinstance(best["leaky"], bool):
            raise ValueError("settings or mark are missing")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(str(path), f"is no winner of a sweep ({error})", "run the stage 'sweep' again") from error
    return best


def winning_method(config: PipelineConfig, run_dir: RunDir) -> MethodConfig:
    """Return the method settings with the sweep's winner applied."""
    return applied(config.method, winner(config, run_dir)["settings"])


def is_leaky_sweep(config: PipelineConfig, run_dir: RunDir) -> bool:
    """Return whether the winner was chosen by its scores on truly unseen classes."""
    return bool(winner(config, run_dir)["leaky"])


def _plan(config: PipelineConfig, has_gpus: bool) -> SweepPlan:
    wanted = config.sweep
    return SweepPlan(
        space=read_space(wanted.space),
        search=wanted.search,
        schedule=wanted.schedule,
        objective=wanted.objective,
        trials=wanted.trials,
        concurrent=wanted.concurrent,
        hold_outs=wanted.holdouts,
        cpus_per_trial=wanted.cpus_per_trial,
        gpus_per_trial=wanted.gpus_per_trial if has_gpus else 0.0,
    )


def _choose(inputs: TrialInputs, plan: SweepPlan, records: Sequence[TrialRecord]) -> tuple[TrialRecord, Verdict | None]:
    """Return the trial that wins, and by what, if it had to win again."""
    best, current = leader(records, plan.objective), records[0]
    num_fresh = len(inputs.hold_outs) - plan.hold_outs
    if best.number == current.number or not num_fresh:
        return best, None
    if current.state == "failed":
        say(f"  the settings as they are failed ({current.error}), so nothing is compared with them")
        return best, None
    fits = Progress("confirm the winner, fits", 2 * num_fresh).update
    found = confirm(inputs, plan, best.settings, current.settings, fits)
    say(
        f"  trial {best.number} less the settings as they are, on {num_fresh} fresh hold-outs: "
        f"{found.difference:+.3f} (above {found.low:+.3f} with 95 % confidence): "
        f"{'better' if found.is_better else 'within chance, they stay'}"
    )
    return (best if found.is_better else current), found


def _judged_on(inputs: TrialInputs) -> str:
    return "truly UNSEEN classes, leaky" if inputs.is_leaky else "held-out classes"
