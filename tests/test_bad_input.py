"""Bad input to the pipeline: one clear line with file and remedy, a non-zero exit, nothing half-written."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.presets import smoke
from pading.data.coco.source import ImageRecord, choose, read
from pading.data.shards.rows import read_rows
from pading.shapes.writer import write_shapes_world
from pading.splits.published import find_split
from tests.references.damaged_images import (
    cut,
    cut_the_last_bytes,
    empty,
    jpeg_size_bomb,
    other_format,
    other_size,
    turned,
)

TRAIN_JSON = Path("annotations") / "panoptic_train2017.json"


@pytest.fixture(scope="module")
def world(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shapes world that the preset draws. Copy it, do not change it."""
    root = tmp_path_factory.mktemp("world")
    write_shapes_world(root, smoke().shapes)
    return root


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


def name_a_file_outside(root: Path) -> str:
    document = json.loads((root / TRAIN_JSON).read_text())
    document["images"][0]["file_name"] = "../../secret.jpg"
    (root / TRAIN_JSON).write_text(json.dumps(document))
    return r"panoptic_train2017\.json: file_name '\.\./\.\./secret\.jpg' leads out of train2017/; give names relative"


def train_on_a_test_photo(root: Path) -> str:
    twin = min((root / "val2017").iterdir())
    shutil.copy(_kept_photo(root), twin)
    return rf"{twin.name}: is the same photo as .*{_kept_photo(root).name}, which is trained on; remove it from one"


def write_other_classes(root: Path) -> str:
    label = min((root / "stuffthingmaps_trainval2017" / "train2017").iterdir())
    with Image.open(label) as image:
        size = image.size
    Image.new("L", size, 254).save(label)
    return rf"{label.name}: {size[0] * size[1]} pixels have value 254, which no class has"


def remove_a_label_map(root: Path) -> str:
    label = min((root / "stuffthingmaps_trainval2017" / "train2017").iterdir())
    label.unlink()
    return rf"{label.stem}\.jpg: has no label map of that name in .*; add it or remove the photo"


def give_runs_that_do_not_fill(root: Path) -> str:
    return _edit_first_object(root, segmentation={"size": [4, 4], "counts": [3, 99]}) + r"run lengths do not add up"


def give_a_box_that_is_no_number(root: Path) -> str:
    return _edit_first_object(root, bbox=[float("nan"), 0, 1, 1]) + r"'bbox' is \[nan, 0, 1, 1\]; give"


def _edit_first_object(root: Path, **changes: object) -> str:
    path = root / "annotations" / "instances_train2017.json"
    document = json.loads(path.read_text())
    document["annotations"][0].update(changes)
    path.write_text(json.dumps(document))
    first = document["annotations"][0]
    return rf"instances_train2017\.json: image id {first['image_id']}: annotation {first['id']}: "


def _kept_photo(root: Path) -> Path:
    """The last training photo whose image holds no unseen class: it is surely read."""
    return _kept(root, "shapes-panoptic")[-1].image_path


def _kept(root: Path, name: str) -> list[ImageRecord]:
    split = find_split(name)
    return [record for record in read(root, split, "train") if choose(record, split, "train") == "kept"]


def _shard(root: Path, run_dir: Path, split: str, *flags: str) -> int:
    """Run the pipeline from a folder to its shards."""
    where = ["--run-dir", str(run_dir), "--data.root", str(root), "--data.split", split]
    return main(["run", "smoke", *where, "--until", "shard", *flags])


@pytest.mark.parametrize(
    ("split", "damage"),
    [
        ("shapes-panoptic", truncate_photo),
        ("shapes-panoptic", plant_segment_id),
        ("shapes-panoptic", remove_photo),
        ("shapes-panoptic", remove_folder),
        ("shapes-panoptic", use_unknown_category),
        ("shapes-panoptic", cut_json),
        ("shapes-panoptic", name_a_file_outside),
        ("shapes-panoptic", train_on_a_test_photo),
        ("shapes-semantic", write_other_classes),
        ("shapes-semantic", remove_a_label_map),
        ("shapes-instances", give_runs_that_do_not_fill),
        ("shapes-instances", give_a_box_that_is_no_number),
    ],
)
def test_a_damaged_folder_stops_with_one_line(
    split: str, damage: Callable[[Path], str], world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run_dir = tmp_path / "coco", tmp_path / "run"
    shutil.copytree(world, root)
    expected = damage(root)
    assert _shard(root, run_dir, split) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert re.search(expected, line), line
    assert not (run_dir / "shards").exists()
    assert not list(run_dir.glob(".*.partial"))
    assert json.loads((run_dir / "status.json").read_text())["state"] == "failed"


@pytest.mark.parametrize("verb", ["run", "shard"])
def test_other_classes_stop_even_where_bad_images_are_skipped(
    verb: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run_dir = tmp_path / "coco", tmp_path / "run"
    shutil.copytree(world, root)
    document = json.loads((root / TRAIN_JSON).read_text())
    document["categories"][0]["name"], document["categories"][1]["name"] = "second", "first"
    (root / TRAIN_JSON).write_text(json.dumps(document))
    where = ["--run-dir", str(run_dir), "--data.root", str(root), "--skip-bad"]
    assert main([verb, "smoke", *where, *(["--until", "shard"] if verb == "run" else [])]) == 1
    assert re.search(r"error: .*panoptic_train2017\.json: category id .* is 'second'", capsys.readouterr().err)
    assert not (run_dir / "shards").exists()


@pytest.mark.parametrize("split", ["shapes-panoptic", "shapes-semantic", "shapes-instances"])
def test_skipping_bad_images_leaves_out_exactly_these(split: str, world: Path, tmp_path: Path) -> None:
    """Some photos are damaged, each in another way: found by header, by decoding only, or not there at all."""
    root, run_dir = tmp_path / "coco", tmp_path / "run"
    shutil.copytree(world, root)
    kept = _kept(root, split)
    ways = (cut, cut_the_last_bytes, empty, other_format, other_size, turned, jpeg_size_bomb)
    bad = kept[1::2][: 2 * len(ways)]
    for number, record in enumerate(bad):
        damaged = ways[number % len(ways)](record.image_path.read_bytes(), np.random.default_rng(number))
        record.image_path.write_bytes(damaged)
    bad[-1].image_path.unlink()
    assert _shard(root, run_dir, split, "--skip-bad") == 0
    assert json.loads((run_dir / "status.json").read_text())["state"] == "succeeded"
    quarantine = json.loads((run_dir / "shards" / "quarantine.json").read_text())
    assert sorted(int(Path(entry["file"]).stem) for entry in quarantine["train"]) == [one.image_id for one in bad]
    for entry in quarantine["train"]:
        assert entry["what"]
        assert entry["remedy"]
        assert entry["image_id"] in (int(Path(entry["file"]).stem), None)  # a label map without photo is no image
    assert quarantine["val"] == []
    left = [record.image_id for record in kept if record not in bad]
    shards = sorted((run_dir / "shards" / "train").glob("*.parquet"))
    assert [row["image_id"] for shard in shards for row in read_rows(shard)] == left
    index = json.loads((run_dir / "shards" / "train" / "index.json").read_text())
    assert (index["counts"]["kept"], index["counts"]["quarantined"]) == (len(left), len(bad))


def test_embeddings_of_the_wrong_length_are_refused(
    smoke_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = tmp_path / "vectors.npy"
    np.save(vectors, np.ones((5, 8), np.float32))
    assert main(["embed", "smoke", "--run-dir", str(tmp_path / "run"), "--embed.file", str(vectors)]) == 1
    stderr = capsys.readouterr().err
    assert f"{vectors}: has 5 rows, class table 'shapes' has 33" in stderr
    assert stderr.count("\n") == 1
    assert not (tmp_path / "run" / "text").exists()


def test_a_missing_embedding_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["embed", "smoke", "--run-dir", str(tmp_path / "run"), "--embed.file", str(tmp_path / "none.npy")]
    assert main(arguments) == 1
    assert "none.npy: no such text embedding file; check --embed.file" in capsys.readouterr().err
