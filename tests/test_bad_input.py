"""Bad input to the pipeline: one clear line with file and remedy, a non-zero exit, nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.__main__ import main

TRAIN_JSON = Path("annotations") / "panoptic_train2017.json"


def truncate_photo(root: Path) -> str:
    photo = _kept_photo(root)
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    return rf"{photo.name}.* truncated or corrupt .*download it again"


def plant_segment_id(root: Path) -> str:
    label = root / "annotations" / "panoptic_train2017" / _kept_photo(root).with_suffix(".png").name
    pixels = np.array(Image.open(label))
    pixels[:3, :3] = (1, 2, 3)
    Image.fromarray(pixels).save(label)
    return rf"{label.name}.* has segment id {1 + 2 * 256 + 3 * 65536}, which .*panoptic_train2017\.json lacks"


def remove_photo(root: Path) -> str:
    photo = _kept_photo(root)
    photo.unlink()
    return rf"{photo.name}: is missing, but .*; download or unpack it again"


def remove_folder(root: Path) -> str:
    shutil.rmtree(root / "annotations" / "panoptic_val2017")
    return r"no annotations/panoptic_val2017/; a COCO panoptic folder has"


def use_unknown_category(root: Path) -> str:
    document = json.loads((root / TRAIN_JSON).read_text())
    document["annotations"][0]["segments_info"][0]["category_id"] = 999
    (root / TRAIN_JSON).write_text(json.dumps(document))
    return r"panoptic_train2017\.json.*category id 999"


def cut_json(root: Path) -> str:
    (root / TRAIN_JSON).write_text((root / TRAIN_JSON).read_text()[:500])
    return r"panoptic_train2017\.json.* truncated or corrupt"


def _kept_photo(root: Path) -> Path:
    """The last training photo whose image holds no unseen class: it is surely read."""
    from pading.data.coco import has_unseen, read_panoptic
    from pading.shapes.classes import shapes_classes

    classes = shapes_classes()
    return [r for r in read_panoptic(root, "train2017", classes) if not has_unseen(r, classes)][-1].image_path


@pytest.mark.parametrize(
    "damage", [truncate_photo, plant_segment_id, remove_photo, remove_folder, use_unknown_category, cut_json]
)
def test_a_damaged_folder_stops_with_one_line(
    damage: Callable[[Path], str], smoke_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    root, run_dir = tmp_path / "coco", tmp_path / "run"
    shutil.copytree(smoke_run / "shapes", root)
    expected = damage(root)
    assert main(["run", "smoke", "--run-dir", str(run_dir), "--data.root", str(root), "--until", "shard"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert re.search(expected, line), line
    assert not (run_dir / "shards").exists()
    assert not list(run_dir.glob(".*.partial"))
    assert json.loads((run_dir / "status.json").read_text())["state"] == "failed"


def test_embeddings_of_the_wrong_length_are_refused(
    smoke_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = tmp_path / "vectors.npy"
    np.save(vectors, np.ones((5, 8), np.float32))
    assert main(["embed", "smoke", "--run-dir", str(tmp_path / "run"), "--embed.file", str(vectors)]) == 1
    stderr = capsys.readouterr().err
    assert f"{vectors} has 5 rows, class table 'shapes' has 33" in stderr
    assert stderr.count("\n") == 1
    assert not (tmp_path / "run" / "text").exists()


def test_a_missing_embedding_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["embed", "smoke", "--run-dir", str(tmp_path / "run"), "--embed.file", str(tmp_path / "none.npy")]
    assert main(arguments) == 1
    assert "none.npy: no such text embedding file; check --embed.file" in capsys.readouterr().err
