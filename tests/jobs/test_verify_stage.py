"""The stage `verify`: what it writes, what stops it, and that processes find what one process finds."""

import json
import shutil
from pathlib import Path

import pytest

from cluster.storage import RunDir
from jobs.presets import smoke
from jobs.verify import IMAGES_PER_TASK, outside_files, verify
from pading.config import override
from pading.data.checks.verify import verify as verify_here
from pading.data.coco.source import read
from pading.shapes.layout import ShapesConfig
from pading.shapes.writer import write_shapes_world
from pading.splits.published import find_split

NUM_TRAIN = IMAGES_PER_TASK + 6  # more than one task's share


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_shapes_world(root, ShapesConfig(num_train=NUM_TRAIN, num_val=4))
    return root


@pytest.fixture
def root(world: Path, tmp_path: Path) -> Path:
    return shutil.copytree(world, tmp_path / "coco")


def run(root: Path, tmp_path: Path, split: str = "shapes-panoptic", **data: bool) -> dict[str, dict[str, int]]:
    """Run the stage as the pipeline does, into `tmp_path / "verify"`."""
    config = override(
        smoke(), {"data.root": str(root), "data.split": split} | {f"data.{k}": v for k, v in data.items()}
    )
    run_dir, folder = RunDir(tmp_path), tmp_path / "verify"
    run_dir.claim_work("verify", "digest")
    folder.mkdir(exist_ok=True)
    return verify(config, run_dir, folder)


def report(tmp_path: Path, part: str = "train") -> dict:
    return json.loads((tmp_path / "verify" / f"{part}.json").read_text())


def kept(root: Path) -> list[Path]:
    """Training photos of images without an unseen class."""
    split = find_split("shapes-panoptic")
    unseen = {split.classes.coco_ids[index] for index in split.classes.unseen}
    records = read(root, split, "train")
    return [each.image_path for each in records if not unseen & {one.coco_id for one in each.segments}]


@pytest.mark.parametrize("split", ["shapes-panoptic", "shapes-semantic", "shapes-instances"])
def test_a_sound_world_passes_and_leaves_its_counts(
    split: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = run(world, tmp_path, split)
    assert (counts["train"]["images"], counts["val"]["images"]) == (NUM_TRAIN, 4)
    for part in ("train", "val"):
        assert report(tmp_path, part)["num_errors"] == counts[part]["errors"] == 0
        assert report(tmp_path, part)["choices"]["kept"] == counts[part]["kept"] > 0
    said = capsys.readouterr().out
    assert f"train of {split}: train2017/ in {world}" in said
    assert "headers of train: 70/70 (100 %)" in said


@pytest.mark.parametrize("split", ["shapes-panoptic", "shapes-semantic", "shapes-instances"])
def test_processes_find_what_one_process_finds(split: str, root: Path, tmp_path: Path, ray_session: None) -> None:
    for photo in kept(root)[::5]:
        photo.write_bytes(photo.read_bytes()[:-200])
    with pytest.raises(ValueError, match="truncated or corrupt"):
        run(root, tmp_path, split, deep=True)
    for part, here in zip(("train", "val"), verify_here(root, find_split(split), deep=True), strict=True):
        assert report(tmp_path, part) == json.loads(here.to_json())


def test_an_error_stops_with_the_first_and_says_where_all_are(root: Path, tmp_path: Path) -> None:
    first, second = kept(root)[:2]
    first.unlink()
    second.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"is missing, but .*; or --skip-bad \(1 of 2 errors; all are listed in"
    ) as error:
        run(root, tmp_path)
    assert str(error.value).startswith(str(first))
    listed = json.loads((RunDir(tmp_path).work("verify") / "train.json").read_text())["findings"]
    assert [entry["file"] for entry in listed] == [str(first), str(second)]


def test_bad_images_pass_if_they_may_be_skipped(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = kept(root)[0]
    photo.unlink()
    assert run(root, tmp_path, skip_bad=True)["train"]["errors"] == 1
    assert report(tmp_path)["findings"][0]["file"] == str(photo)
    captured = capsys.readouterr()
    assert f"error: {photo}: is missing" in captured.out
    assert "1 errors, whose images the shards will lack" in captured.err


def test_what_no_skipping_cures_stops_all_the_same(root: Path, tmp_path: Path) -> None:
    val = sorted((root / "val2017").iterdir())[0]
    shutil.copy(kept(root)[0], val)  # a test photo that is trained on; of another size too, which could be skipped
    with pytest.raises(ValueError, match="is the same photo as"):
        run(root, tmp_path, skip_bad=True)
    (root / "annotations" / "panoptic_val2017.json").unlink()
    with pytest.raises(ValueError, match=r"no annotations/panoptic_val2017.json"):
        run(root, tmp_path, skip_bad=True)


def test_a_run_depends_on_annotation_files_or_on_the_list_of_label_maps(root: Path) -> None:
    def digests(split: str) -> dict[str, str]:
        return outside_files(override(smoke(), {"data.root": str(root), "data.split": split}))

    before = {name: digests(name) for name in ("shapes-panoptic", "shapes-semantic", "shapes-instances")}
    assert set(before["shapes-panoptic"]) == {"panoptic_train2017.json", "panoptic_val2017.json"}
    assert set(before["shapes-instances"]) == {"instances_train2017.json", "instances_val2017.json"}
    assert set(before["shapes-semantic"]) == {"label maps of train", "label maps of val"}
    with (root / "annotations" / "panoptic_train2017.json").open("a") as stream:
        stream.write("\n")
    sorted((root / "stuffthingmaps_trainval2017" / "val2017").iterdir())[0].unlink()
    assert digests("shapes-instances") == before["shapes-instances"]
    changed = {key for name in before for key, digest in digests(name).items() if digest != before[name][key]}
    assert changed == {"panoptic_train2017.json", "label maps of val"}
