"""The command line: `pading VERB [PRESET] [--run-dir DIR] [flags]`; flags are fields of the preset's configuration."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from cluster.storage import RunDir
from jobs.ablate import Ablate, ablate
from jobs.config import PipelineConfig, with_absolute_split
from jobs.curves import DrawCurves, draw_curves
from jobs.diagnose import Diagnose, diagnose
from jobs.draw import Draw, draw
from jobs.export import Export, export
from jobs.failures import exit_code
from jobs.look_back import LookBack, is_look_back, look_back
from jobs.official import Official, official
from jobs.pipeline import run_pipeline
from jobs.plan import plan
from jobs.predict import Predict, predict
from jobs.presets import PRESETS
from jobs.progress import complain, say
from jobs.results import Results, results
from jobs.score import Score, score
from jobs.submit import Submit, submit
from jobs.sweep_check import CheckSweep, check_sweep
from jobs.sweep_pages import SweepReport, sweep_report
from jobs.teach import Teach, teach

DEFAULT_PRESET = "shapes"
STAGE_VERBS = (
    "verify",
    "shapes",
    "shard",
    "embed",
    "pretrain",
    "cache",
    "regions",
    "sweep",
    "fit",
    "evaluate",
    "leaderboard",
)
# Verbs that take no preset's configuration: what is asked, and what is done.
COMMANDS: dict[str, tuple[type, Callable[[Any], int | None]]] = {
    "predict": (Predict, predict),
    "teach": (Teach, teach),
    "diagnose": (Diagnose, diagnose),
    "curves": (DrawCurves, draw_curves),
    "check-sweep": (CheckSweep, check_sweep),
    "sweep-report": (SweepReport, sweep_report),
    "draw": (Draw, draw),
    "export": (Export, export),
    "results": (Results, results),
    "score": (Score, score),
    "official": (Official, official),
    "submit": (Submit, submit),
}
HELP = f"""usage: pading VERB [PRESET] [--run-dir DIR] [flags]

verbs
  run          all stages in order; stages that are up to date are skipped
  {", ".join(STAGE_VERBS[:6])},
  {", ".join(STAGE_VERBS[6:])}
               one stage of a run
  leaderboard RUN... [--sync]
               the tables of finished runs again, merged; --sync sends MLflow what it missed
  ablate       every line of the papers' tables x several seeds, compared, on what a run has cached
  predict      masks and names for photos and videos, from a finished run or a taught model
  teach        a class by name, without images: a new model that knows it; or --forget one
  diagnose     what a fitted method's synthetic features look like beside real ones
  curves       what lambda and gamma do to the rows of ZegFormer, to read
  check-sweep  whether a sweep's scores order settings as truly unseen classes do; chooses nothing
  sweep-report the pages of finished sweeps again, from their files
  draw         pictures of the shapes world with the things that you name
  export       the shards of a run as WebDataset tar files, or its segmenter
  results      one row's results for every val image, as the files that COCO's official tools read
  score        anybody's COCO result files: seen, unseen, harmonic mean
  official     the same by the official tools, compared
  submit       a command as a job on a Ray cluster: pading submit [--address URL] -- COMMAND

presets        {", ".join(PRESETS)} (default: {DEFAULT_PRESET})

`pading VERB PRESET --help` lists every flag with its default."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Run the pipeline, or a part of it."""

    config: Annotated[PipelineConfig, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """Where everything goes; runs/PRESET by default."""
    from_stage: Annotated[str, tyro.conf.arg(name="from")] = ""
    """First stage to run; the ones before it must be finished."""
    until: str = ""
    """Last stage to run."""
    force: bool = False
    """Redo the chosen stages even where they are up to date or were made with other settings."""
    dry_run: bool = False
    """Print the resolved plan and do no work."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; a failure is one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        say(HELP)
        return 0 if arguments else 2
    verb, rest = arguments[0], arguments[1:]
    if verb in COMMANDS or (verb == "leaderboard" and is_look_back(rest)):
        form, work = COMMANDS.get(verb, (LookBack, look_back))
        command = tyro.cli(form, args=rest, prog=f"pading {verb}", description=work.__doc__)
        return exit_code(lambda: work(command), trace=None)
    if verb not in ("run", "ablate", *STAGE_VERBS):
        complain(f"error: no verb {verb!r}; choose one of {', '.join(('run', *STAGE_VERBS, 'ablate', *COMMANDS))}")
        return 2
    preset = DEFAULT_PRESET
    if rest and not rest[0].startswith("-"):
        preset, rest = rest[0], rest[1:]
    if preset not in PRESETS:
        complain(f"error: no preset {preset!r}; choose one of {', '.join(PRESETS)}")
        return 2
    if verb == "ablate":
        return _ablate(preset, rest)
    default = Run(config=PRESETS[preset]())
    run = tyro.cli(Run, default=default, args=rest, prog=f"pading {verb} {preset}", description=PRESETS[preset].__doc__)
    run_dir = _run_dir(run.run_dir, preset)
    first, last = (run.from_stage, run.until) if verb == "run" else (verb, verb)
    force = run.force or verb == "verify"  # asked for by name, it looks again: the folder may have changed
    config = with_absolute_split(run.config)
    if run.dry_run:
        return exit_code(lambda: plan(config, run_dir, first=first, last=last, force=force), trace=None)
    return exit_code(
        lambda: run_pipeline(config, run_dir, first=first, last=last, force=force),
        trace=run_dir.root / "error.log",
    )


def _ablate(preset: str, arguments: list[str]) -> int:
    default = Ablate(config=PRESETS[preset]())
    command = tyro.cli(
        Ablate, default=default, args=arguments, prog=f"pading ablate {preset}", description=Ablate.__doc__
    )
    command = replace(command, config=with_absolute_split(command.config))
    run_dir = _run_dir(command.run_dir, preset)
    return exit_code(lambda: ablate(command, run_dir), trace=run_dir.root / "error.log")


def _run_dir(chosen: Path | None, preset: str) -> RunDir:
    return RunDir((chosen or Path("runs") / preset).absolute())  # workers may start elsewhere


if __name__ == "__main__":
    raise SystemExit(main())
