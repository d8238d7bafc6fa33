import json
import time
from pathlib import Path

from cluster.status import Status


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
