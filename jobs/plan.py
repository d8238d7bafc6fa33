"""`run --dry-run`: what would be done and skipped, whether it fits on the cluster, how long it may take; no work."""

import json
import shutil
from pathlib import Path

from cluster.resources import Offer, offered, shortfall
from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.devices import uses_gpus
from jobs.estimates import MEASURED, Estimate, estimate
from jobs.pipeline import chosen_stages
from jobs.progress import format_seconds, say
from jobs.stage import Stage
from pading.config import to_plain

GIGABYTE = 1e9


def plan(config: PipelineConfig, run_dir: RunDir, *, first: str, last: str, force: bool) -> None:
    """Print what a run would do, stage by stage, on the cluster that it would join, or else on this machine.

    Raises:
        ValueError: if a name is no stage of this run, an artefact has other settings, or a stage cannot be placed.
    """
    chosen = chosen_stages(config, first, last)
    say(json.dumps(to_plain(config), indent=1))
    offer = offered()
    has_gpus = uses_gpus(offer)
    say(f"{offer}; GPUs are {'used' if has_gpus else 'not used'}")
    say(f"{'stage':12} {'':10} {'needs':28} {'takes':>9} {'disk':>9} artefact")
    refused, to_do = [], []
    for stage in chosen:
        is_current = not force and not to_do and stage.is_finished(config, run_dir)
        needs = stage.needs(config, has_gpus)
        asked = " + ".join(str(request) for request in needs) or "nothing"
        expected = estimate(stage.name, config, offer, has_gpus=has_gpus)
        if is_current:
            expected = Estimate(0, 0)
        else:
            to_do.append((stage, expected))
            if missing := shortfall(needs, offer):
                refused.append(f"{stage.name} ({missing})")
        say(
            f"{stage.name:12} {'up to date' if is_current else 'to do':10} {asked:28} {_time(expected):>9} "
            f"{_size(expected.num_bytes):>9} {run_dir.artefact(stage.output)}"
        )
    _say_totals(to_do, run_dir)
    if refused:
        raise ValueError(f"{'; '.join(refused)}: {_remedy(offer)}")


def _say_totals(to_do: list[tuple[Stage, Estimate]], run_dir: RunDir) -> None:
    """Print the sums, and say what they are: measured on other runs, scaled; and where nothing was measured."""
    unknown = [stage.name for stage, expected in to_do if expected.seconds is None]
    seconds = sum(expected.seconds or 0 for _, expected in to_do)
    num_bytes = sum(expected.num_bytes for _, expected in to_do)
    free = shutil.disk_usage(_nearest_folder(run_dir.root)).free
    rest = f", without {', '.join(unknown)}, of which nothing like it was measured" if unknown else ""
    say(f"estimate, from {MEASURED.name}: {format_seconds(seconds)}{rest}; {_size(num_bytes)}, of {_size(free)} free")
    if num_bytes > free:
        say(f"warning: {run_dir.root} may run out of space")


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _time(expected: Estimate) -> str:
    return "unknown" if expected.seconds is None else f"~{format_seconds(expected.seconds)}"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / GIGABYTE:.1f} GB" if num_bytes >= GIGABYTE / 10 else f"{num_bytes / 1e6:.1f} MB"


def _remedy(offer: Offer) -> str:
    return (
        f"{offer}; ask for less (--pretrain.workers, --pretrain.cpus-per-worker, --cache.actors, "
        "--cache.cpus-per-actor), or say in PADING_MAY_ADD what the autoscaler may start"
    )
