"""What the README tells people to type works."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from jobs.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]
SUBMIT = "pading submit "  # needs a cluster; tests/jobs/test_submit.py has one
PADING = [command for command in COMMANDS if command.startswith("pading ") and not command.startswith(SUBMIT)]


def test_the_readme_shows_the_two_commands_and_the_verbs() -> None:
    assert {"make demo", "make test"} <= set(COMMANDS)
    assert {shlex.split(command)[1] for command in PADING} >= {
        "run",
        "sweep",
        "predict",
        "verify",
        "ablate",
        "curves",
        "diagnose",
        "export",
        "teach",
        "draw",
        "results",
        "--help",
    }


@pytest.mark.parametrize("command", PADING)
def test_a_command_of_the_readme_runs(command: str, smoke_run: Path, tmp_path: Path) -> None:
    """Commands on the smoke preset are run; those that take a quarter of an hour are planned, by `--dry-run`."""
    run_dir = shutil.copytree(smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns("work"))
    arguments = shlex.split(command)[1:]
    vectors = run_dir / "text" / "embeddings.npz"
    stand_ins = {
        "PHOTO.jpg": str(sorted((run_dir / "shapes" / "val2017").glob("*.jpg"))[0]),
        "COCO_FOLDER": str(run_dir / "shapes"),
        "CLIP_VECTORS.npy": str(vectors),
        "RUN": str(run_dir),
        "out": str(tmp_path / "out"),
        "runs/demo": str(run_dir),
    }
    arguments = [stand_ins.get(argument, argument) for argument in arguments]
    for flag, place in (("--run-dir", run_dir), ("--model", run_dir), ("--out", tmp_path / "out")):
        if flag in arguments:
            arguments[arguments.index(flag) + 1] = str(place)
    if not {"--run-dir", "--model", "draw", "leaderboard", "results"} & set(arguments):
        arguments += [] if "--help" in arguments else ["--run-dir", str(tmp_path / "fresh")]
    if {"shapes", "coco-mini"} & set(arguments[1:2]):
        arguments += ["--dry-run"]
        if arguments[1] == "shapes":
            arguments[arguments.index("--run-dir") + 1] = str(tmp_path / "fresh")
    assert main(arguments) == 0


@pytest.mark.parametrize("start", ["ray job submit ", SUBMIT])
def test_a_cluster_command_names_a_script_and_flags_that_exist(start: str, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = [command for command in COMMANDS if command.startswith(start)]
    script, preset, *_ = shlex.split(command.split("-- ")[1])[1:]
    assert (ROOT / script).is_file()
    assert main(["run", preset, "--dry-run", "--run-dir", "nowhere"]) == 0
    assert "leaderboard" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench"])
def test_the_makefile_has_the_target(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_file_that_the_docs_link_to_exists() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), (page, link)
