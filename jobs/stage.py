"""A stage: a function from files to one artefact folder, skipped when an equal artefact is already there."""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from cluster.resources import Request
from cluster.storage import ROOT, Manifest, RunDir, digests_of_files, written_whole
from jobs.config import PipelineConfig

Outcome = Literal["succeeded", "skipped"]
Needs = Callable[[PipelineConfig, bool], list[Request]]


def needs_a_task(config: PipelineConfig, has_gpus: bool) -> list[Request]:
    """Return what a stage of Ray tasks cannot do without; more nodes only make it faster."""
    return [Request(resources={"CPU": 1})]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the pipeline. `work` fills an empty folder and returns counts for the manifest."""

    name: str
    output: str
    inputs: tuple[str, ...]  # outputs of earlier stages
    settings: Callable[[PipelineConfig], dict[str, Any]]
    work: Callable[[PipelineConfig, RunDir, Path], dict[str, Any]]
    outside: Callable[[PipelineConfig], dict[str, str]] = field(default=lambda config: {})
    needs: Needs = needs_a_task  # of the cluster, at one time, where there are GPUs and where there are none
    schema_version: int = 1
    workplace: str = ""  # what its unfinished work is called; empty: its name
    redrawn: tuple[str, ...] = ()  # files of the artefact that a verb draws again

    @property
    def unfinished(self) -> str:
        """Name of the folder that holds what the stage resumes from."""
        return self.workplace or self.name

    def planned(self, config: PipelineConfig, run_dir: RunDir) -> Manifest:
        """Return the manifest that the artefact must have.

        Raises:
            ValueError: if an earlier stage has not been run.
        """
        digests = dict(self.outside(config))
        for name in self.inputs:
            manifest = Manifest.read(run_dir.artefact(name))
            if manifest is None:
                raise ValueError(f"stage {self.name!r} needs {run_dir.artefact(name)}; run the stages before it first")
            digests[name] = manifest.digest
        settings = self.settings(config)
        return Manifest(stage=self.name, schema_version=self.schema_version, settings=settings, inputs=digests)

    def is_finished(self, config: PipelineConfig, run_dir: RunDir) -> bool:
        """Return whether an equal artefact exists.

        Raises:
            ValueError: if an artefact with other settings or inputs lies in its place.
        """
        found = Manifest.read(run_dir.artefact(self.output))
        if found is None:
            return False
        planned = self.planned(config, run_dir)
        if found.digest == planned.digest:
            return True
        changes = "; ".join(found.differences(planned)[:4])
        raise ValueError(
            f"{run_dir.artefact(self.output)} was made with other settings ({changes}): "
            f"redo it with `--from {self.name} --force`, or use another --run-dir"
        )

    def require_whole_inputs(self, run_dir: RunDir) -> None:
        """Check that files of earlier stages are as they were written.

        Raises:
            ValueError: naming a file that is gone or was changed, and the stage to redo.
        """
        for name in self.inputs:
            if manifest := Manifest.read(run_dir.artefact(name)):
                manifest.require_whole(run_dir.artefact(name))

    def run(self, config: PipelineConfig, run_dir: RunDir, *, force: bool) -> Outcome:
        """Make the artefact, or leave an equal one alone.

        Raises:
            ValueError: if an artefact with other settings lies in its place, or a file that it reads was changed.
        """
        if not force and self.is_finished(config, run_dir):
            return "skipped"
        planned = self.planned(config, run_dir)
        self.require_whole_inputs(run_dir)
        if force:
            shutil.rmtree(run_dir.work(self.unfinished), ignore_errors=True)
        run_dir.claim_work(self.unfinished, planned.digest)
        start = time.monotonic()
        with written_whole(run_dir.artefact(self.output)) as folder:
            counts = self.work(config, run_dir, folder)
            seconds = round(time.monotonic() - start, 2)
            made = replace(planned, counts=counts, code_version=code_version(), seconds=seconds)
            replace(made, files=digests_of_files(folder, self.redrawn)).write(folder)
        shutil.rmtree(run_dir.work(self.unfinished), ignore_errors=True)
        return "succeeded"


def code_version() -> str:
    """Return the checkout's commit, or the installed version where the code is not a checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        from importlib.metadata import version

        return version("pading")
