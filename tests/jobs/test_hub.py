import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.hub import fetch, is_hub_id

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ASK = """
import json, sys
from jobs.hub import fetch
for name in json.loads(sys.argv[1]):
    try:
        print(json.dumps(str(fetch(name))))
    except OSError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | list[str]]:
    """What an offline process with a cache of one repository gives for each name."""
    home = tmp_path_factory.mktemp("hub")
    repository = home / "hub" / "models--owner--name"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    names = ["owner/name", f"owner/name@{COMMIT}", "owner/other", "owner/name@v2"]
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(names)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))
    assert Path(str(found["owner/name"])) == snapshot.resolve()
    return found


def test_a_repository_in_the_cache_needs_no_network(answers: dict[str, str | list[str]]) -> None:
    assert answers[f"owner/name@{COMMIT}"] == answers["owner/name"]


@pytest.mark.parametrize("name", ["owner/other", "owner/name@v2"])
def test_a_repository_out_of_reach_is_one_line_with_a_remedy(answers: dict[str, str | list[str]], name: str) -> None:
    kind, message = answers[name]
    assert kind == "OSError"
    assert message.startswith(f"{name}: no such folder, and the hub does not give it (")
    assert message.endswith("check the name and the network, unset HF_HUB_OFFLINE, or give a folder of this machine")
    assert "\n" not in message


def test_a_local_folder_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert fetch(str(tmp_path)) == tmp_path
    assert fetch("owner/name") == Path("owner/name")  # a folder comes before a repository of its name


def test_a_file_is_no_folder_of_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(NotADirectoryError, match=r"model\.safetensors is a file; give the folder"):
        fetch(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("name", ["runs/demo/segmenter", "/none", "nobody", "a b/c", "../x", "./x", "owner/näme"])
def test_a_path_to_nothing_asks_no_hub(name: str) -> None:
    assert not is_hub_id(name)
    with pytest.raises(FileNotFoundError, match="no such folder, nor a hub id like owner/name"):
        fetch(name)
