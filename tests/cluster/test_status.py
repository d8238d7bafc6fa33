import json
import time
from pathlib import Path

import pytest

from cluster.status import Status
from tests.disks import small_disk


def test_every_change_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    status = Status(path, "smoke")
    status.plan(["shard", "fit"])
    assert json.loads(path.read_text())["stages"][0] == {
        "name": "shard",
        "state": "waiting",
        "seconds": 0.0,
        "output": None,
    }
    status.update("shard", "succeeded", since=time.monotonic() - 2, output=tmp_path / "shards")
    status.update("fit", "failed", error="no features")
    status.finish("failed")
    read = json.loads(path.read_text())
    assert (read["state"], read["preset"]) == ("failed", "smoke")
    assert read["stages"][0]["state"] == "succeeded"
    assert 2 <= read["stages"][0]["seconds"] < 10
    assert read["stages"][0]["output"] == str(tmp_path / "shards")
    assert read["stages"][1]["error"] == "no features"


def test_a_full_disk_still_learns_that_the_run_failed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        status = Status(disk.root / "status.json", "tiny")
        status.plan(["shard"])
        disk.leave(0)
        status.update("shard", "failed", error="no room")
        status.finish("failed")
        told = json.loads(status.path.read_text())
        assert (told["state"], told["stages"][0]["error"]) == ("failed", "no room")
        with pytest.raises(OSError, match="No space left"):  # what does not fit leaves the file as it was
            status.update("shard", "failed", error="no room " * 10_000)
        assert json.loads(status.path.read_text()) == told
