"""A sweep over the cached features of a run: trials a minute, what Ray Tune adds to the work, memory of more trials.

The work is what the trials' own threads computed; the rest of the process tree's CPU time (driver, raylet, the control
store, dashboard, start of the workers) is what scheduling costs. Memory is compared between a short and a long sweep.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._process_tree import Cost, ProcessTree
from cluster.session import connect
from cluster.storage import RunDir
from jobs.config import read_config
from jobs.sweep import trial_inputs
from pading.config import override
from tuning.journal import TrialRecord
from tuning.space import read_space
from tuning.sweep import SweepPlan, sweep
from tuning.trial import TrialInputs

SHORT = 8  # trials of the sweep that memory is compared with


def main() -> None:
    """Print what a sweep costs, then the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sweep_trials")
    parser.add_argument("--run-dir", type=Path, required=True, help="a run up to `cache`")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--concurrent", type=int, default=2)
    parser.add_argument("--space", default="pading")
    parser.add_argument("--search", default="tpe", choices=("tpe", "random"))
    parser.add_argument("--schedule", default="asha", choices=("asha", "fifo"))
    parser.add_argument("--steps", type=int, default=0, help="of both fits of a trial; 0: as the run has them")
    options = parser.parse_args(sys.argv[2:])
    run_dir = RunDir(options.run_dir.absolute())
    config = read_config(run_dir)
    if options.steps:
        config = override(config, {"method.generator.steps": options.steps, "method.classifier.steps": options.steps})
    connect(num_cpus=options.concurrent)
    inputs = trial_inputs(config, run_dir)

    def run(trials: int) -> tuple[list[TrialRecord], Cost]:
        plan = SweepPlan(
            space=read_space(options.space),
            search=options.search,
            schedule=options.schedule,
            objective="hm",
            trials=trials,
            concurrent=options.concurrent,
            hold_outs=config.sweep.holdouts,
        )
        return measured(inputs, plan, trials)

    _, short = run(SHORT)
    start = time.perf_counter()
    records, long = run(options.trials)
    minutes = (time.perf_counter() - start) / 60
    work = sum(record.cpu_seconds for record in records)
    spent = long.cpu_ms / 1000 * len(records)
    states = [record.state for record in records]
    extra_mb = (long.peak_mb - short.peak_mb) / max(options.trials - SHORT, 1)
    print(f"{len(records)} trials of {config.sweep.holdouts} hold-outs, {states.count('stopped')} stopped early")
    print(f"  {len(records) / minutes:6.1f} trials a minute ({options.concurrent} at once)")
    print(
        f"  {work / len(records):6.2f} CPU seconds of work a trial; {spent / len(records):.2f} with all that Ray adds"
    )
    print(f"  {100 * (spent - work) / work:6.1f} % of the work is added by scheduling and the start of workers")
    print(
        f"  {extra_mb:6.2f} MB a trial more ({short.peak_mb:.0f} MB at most in {SHORT} trials, then {long.peak_mb:.0f})"
    )
    ours, peer = spent / len(records), work / len(records)
    result = {"benchmark": "sweep_trials", "unit": "CPU seconds a trial", "ours": ours, "peer": peer}
    print(json.dumps({**result, "ratio": peer / ours, "overhead": ours / peer - 1, "extra_mb": extra_mb}))


def measured(inputs: TrialInputs, plan: SweepPlan, trials: int) -> tuple[list[TrialRecord], Cost]:
    """Return the trials of a sweep, and what all processes spent on it."""
    with tempfile.TemporaryDirectory() as folder, ProcessTree() as tree:
        tree.begin()
        records = sweep(inputs, plan, Path(folder), lambda ended: None)
        return records, tree.end(trials)


if __name__ == "__main__":
    main()
