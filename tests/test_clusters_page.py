"""The commands of docs/clusters.md: those that need no cloud are run, the files that the others name exist."""

import re
import shlex
from pathlib import Path

import pytest
import tyro

from cluster.storage import ROOT
from jobs.__main__ import main
from jobs.submit import Submit

PAGE = (ROOT / "docs" / "clusters.md").read_text()
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
SUBMITTED = [command for command in COMMANDS if command.startswith("pading submit ")]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("pading run ")])
def test_a_run_of_the_page_can_be_planned(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)[1:]
    words[words.index("--run-dir") + 1] = str(tmp_path / "run")
    assert main([*words, *([] if "--dry-run" in words else ["--dry-run"])]) == 0
    assert "estimate, from estimates.json" in capsys.readouterr().out


@pytest.mark.parametrize("command", SUBMITTED)
def test_a_submission_of_the_page_asks_for_a_run_that_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = tyro.cli(Submit, args=shlex.split(command)[2:])
    assert asked.command[0] == "python"
    assert (ROOT / asked.command[1]).is_file()
    words = list(asked.command[2:])
    if "--data.root" in words:
        words[words.index("--data.root") + 1] = str(ROOT)  # a folder that is there
    main(["run", *words, "--dry-run"])
    assert "leaderboard" in capsys.readouterr().out


def test_files_of_the_page_exist() -> None:
    named = set(re.findall(r"(cluster/(?:launch|kubernetes|compose)/[\w.-]+)", PAGE))
    assert len(named) >= 6
    assert [name for name in named if not (ROOT / name).is_file() and not name.endswith("/.env")] == []


def test_secrets_that_the_page_makes_are_those_that_the_manifests_read() -> None:
    from tests.references.cluster_file_rules import OUTSIDE_SECRETS

    made = {
        words[4]: {word.split("=")[1] for word in words if word.startswith("--from-literal=")}
        for words in map(shlex.split, COMMANDS)
        if words[:4] == ["kubectl", "create", "secret", "generic"]
    }
    assert made == OUTSIDE_SECRETS
