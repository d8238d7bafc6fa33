import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cluster.storage import RunDir, written_whole
from jobs.config import DataConfig, PipelineConfig
from jobs.shard import (
    audited_training_shards,
    shard_classes,
    shard_files,
    shard_folder,
    shard_index,
    train_index,
    write_shards,
)
from pading.data.coco.source import choose, read
from pading.data.shards.audit import LeakAudit
from pading.data.shards.rows import read_rows
from pading.shapes.layout import ShapesConfig
from pading.shapes.writer import write_shapes_world
from pading.splits.published import find_split

pytestmark = pytest.mark.usefixtures("ray_session")
SHARD_MB = 0.02  # some seven photos of the world


@pytest.fixture(scope="module")
def clean_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_shapes_world(root, ShapesConfig(num_train=48, num_val=8, image_px=48))
    return root


@pytest.fixture
def world(clean_world: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(clean_world, tmp_path / "world", copy_function=shutil.copy2)


def config_of(root: Path, split: str = "shapes-panoptic", **data: Any) -> PipelineConfig:
    return PipelineConfig(preset="test", data=DataConfig(root=str(root), split=split, shard_mb=SHARD_MB, **data))


def shard(config: PipelineConfig, root: Path) -> RunDir:
    """Run the stage as the pipeline does."""
    run_dir = RunDir(root)
    run_dir.claim_work("shard", "one")
    with written_whole(run_dir.artefact("shards")) as folder:
        write_shards(config, run_dir, folder)
    return run_dir


def kept(root: Path, part: Any) -> list[int]:
    split = find_split("shapes-panoptic")
    return [r.image_id for r in read(root, split, part) if choose(r, split, part) == "kept"]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def finished(clean_world: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> RunDir:
    """Shards inside a run directory. Read them, do not change them."""
    return shard(config_of(clean_world), tmp_path_factory.mktemp("finished") / "run")


def test_shards_hold_the_kept_images_in_the_order_of_the_annotations(clean_world: Path, finished: RunDir) -> None:
    config = config_of(clean_world)
    for part in ("train", "val"):
        files = shard_files(config, finished, part)
        ids = [row["image_id"] for file in files for row in read_rows(file)]
        assert ids == kept(clean_world, part)
        index = shard_index(config, finished, part)
        assert index.num_images == index.counts["kept"] == len(ids)
        assert [Path(file).name for file in files] == [file.name for file in index.files]
    assert len(train_index(config, finished).files) > 2
    counts = train_index(config, finished).counts
    assert counts["found"] == 48 == counts["kept"] + counts["unseen"]
    assert counts["quarantined"] == 0
    assert shard_classes(finished) == find_split("shapes-panoptic").classes


def test_the_audit_counts_what_the_index_counts(clean_world: Path, finished: RunDir) -> None:
    index = audited_training_shards(config_of(clean_world), finished)
    file = finished.artefact("shards") / "leak_audit.json"
    audit = LeakAudit.from_json(file.read_text(), str(file))
    assert audit.files == {shard.name: shard.sha256 for shard in index.files}
    assert audit.tally.class_pixels == index.class_pixels
    assert (audit.tally.num_images, audit.tally.num_unseen_pixels) == (index.num_images, 0)
    assert sum(index.class_pixels) + audit.tally.num_unlabelled_pixels == audit.tally.num_pixels


@pytest.mark.parametrize("protocol", ["", "file://", "fsspec+file://"])
def test_shards_at_a_location_are_those_of_the_run_directory(
    protocol: str, clean_world: Path, finished: RunDir, tmp_path: Path
) -> None:
    config = config_of(clean_world, shards=f"{protocol}{tmp_path}/there")
    run_dir = shard(config, tmp_path / "run")
    here, there = files_below(finished.artefact("shards")), files_below(tmp_path / "there")
    here.pop("location")
    assert there == here
    papers = files_below(run_dir.artefact("shards"))
    assert papers.pop("location").decode() == config.data.shards
    assert papers == {name: content for name, content in here.items() if not name.endswith(".parquet")}
    without_location = config_of(clean_world)  # later stages find the shards by the run directory alone
    for settings in (config, without_location):
        assert audited_training_shards(settings, run_dir) == train_index(without_location, finished)
        assert shard_folder(settings, run_dir, "val") == f"{config.data.shards}/val"


def test_a_job_that_broke_off_goes_on_with_what_is_missing(world: Path, finished: RunDir, tmp_path: Path) -> None:
    config, last = config_of(world), world / "train2017" / f"{kept(world, 'train')[-1]:012d}.jpg"
    whole, status = last.read_bytes(), last.stat()
    last.write_bytes(whole[:-200])
    with pytest.raises(ValueError, match=rf"{last.name}: is truncated or corrupt .*; download it again"):
        shard(config, tmp_path / "run")
    run_dir = RunDir(tmp_path / "run")
    assert not run_dir.artefact("shards").exists()
    assert not list(run_dir.root.glob(".*"))
    written = {p.name: p.stat().st_mtime_ns for p in (run_dir.work("shard") / "shards" / "train").iterdir()}
    names = [file.name for file in train_index(config, finished).files]
    assert written.keys() == set(names[:-1])
    assert len(list(run_dir.work("shard").glob("train-*.json"))) == len(names) - 1
    last.write_bytes(whole)
    os.utime(last, ns=(status.st_atime_ns, status.st_mtime_ns))
    shard(config, run_dir.root)
    assert files_below(run_dir.artefact("shards")) == files_below(finished.artefact("shards"))
    for name, changed in written.items():
        assert (run_dir.artefact("shards") / "train" / name).stat().st_mtime_ns == changed


def test_shares_that_lie_in_one_block_are_written_as_if_each_had_its_own(
    clean_world: Path, finished: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.shard_parts.MAX_BLOCKS", 2)
    monkeypatch.setattr("jobs.shard_parts.FILES_TOGETHER", 2)
    run_dir = shard(config_of(clean_world), tmp_path / "run")
    assert files_below(run_dir.artefact("shards")) == files_below(finished.artefact("shards"))
    audited_training_shards(config_of(clean_world), run_dir)


def test_finished_shares_of_other_photos_are_written_again(world: Path, tmp_path: Path) -> None:
    config, location = config_of(world, shards=str(tmp_path / "there")), tmp_path / "there" / "train"
    shard(config, tmp_path / "run")
    before = {path.name: path.stat().st_mtime_ns for path in location.glob("*.parquet")}
    first, second = sorted(before)[:2]
    photo = world / "train2017" / f"{kept(world, 'train')[0]:012d}.jpg"
    Image.open(photo).rotate(180).save(photo, quality=92)
    (location / second).write_bytes(b"cut")
    run_dir = shard(config, tmp_path / "run")
    names = [file.name for file in train_index(config, run_dir).files]
    assert first not in names
    assert second in names
    assert sorted(path.name for path in location.glob("*.parquet")) == names  # the old first file is cleared away
    untouched = set(names) & before.keys() - {second}
    assert all((location / name).stat().st_mtime_ns == before[name] for name in untouched)
    assert len(untouched) == len(names) - 2
    audited_training_shards(config, run_dir)


def test_bad_images_are_quarantined_and_counted(world: Path, finished: RunDir, tmp_path: Path) -> None:
    ids = kept(world, "train")
    truncated, missing = (world / "train2017" / f"{image_id:012d}.jpg" for image_id in (ids[0], ids[5]))
    truncated.write_bytes(truncated.read_bytes()[:300])
    missing.unlink()
    config = config_of(world, skip_bad=True)
    run_dir = shard(config, tmp_path / "run")
    bad = json.loads((run_dir.artefact("shards") / "quarantine.json").read_text())
    assert [(entry["image_id"], entry["file"]) for entry in bad["train"]] == [
        (ids[0], str(truncated)),
        (ids[5], str(missing)),
    ]
    assert "truncated or corrupt" in bad["train"][0]["what"]
    assert bad["train"][1]["remedy"] == "download or unpack it again"
    assert bad["val"] == []
    counts = audited_training_shards(config, run_dir).counts
    assert (counts["found"], counts["kept"], counts["quarantined"]) == (48, len(ids) - 2, 2)
    rows = [row["image_id"] for file in shard_files(config, run_dir, "train") for row in read_rows(file)]
    assert rows == [image_id for image_id in ids if image_id not in (ids[0], ids[5])]


def test_a_world_of_bad_images_is_refused(world: Path, tmp_path: Path) -> None:
    for photo in (world / "train2017").iterdir():
        photo.write_bytes(b"no photo")
    with pytest.raises(ValueError, match=r"all \d+ images of train2017 are bad: .*jpg: is truncated or corrupt"):
        shard(config_of(world, skip_bad=True), tmp_path / "run")
    assert not (tmp_path / "run" / "shards").exists()


def test_a_split_that_keeps_nothing_is_refused(world: Path, tmp_path: Path, ray_session: None) -> None:
    path = world / "annotations" / "panoptic_train2017.json"
    document = json.loads(path.read_text())
    classes = find_split("shapes-panoptic").classes
    for annotation in document["annotations"]:
        for segment in annotation["segments_info"]:
            segment["category_id"] = classes.coco_ids[classes.unseen[0]]
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"keeps no image of train2017 \(\d+ unseen.*\); give more images or another"):
        shard(config_of(world), tmp_path / "run")


def test_a_location_with_another_split_is_refused(clean_world: Path, tmp_path: Path) -> None:
    shards = str(tmp_path / "there")
    shard(config_of(clean_world, shards=shards), tmp_path / "run")
    before = files_below(tmp_path / "there")
    with pytest.raises(ValueError, match=r"there/train: holds shards of split 'shapes-panoptic'; give another --data"):
        shard(config_of(clean_world, "shapes-semantic", shards=shards), tmp_path / "other")
    assert files_below(tmp_path / "there") == before


def test_a_location_that_processes_do_not_share_is_noticed(clean_world: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"memory://.*: part-00000-.* was written but is not there; give --data\.shards"
    ):
        shard(config_of(clean_world, shards=f"memory://{tmp_path}"), tmp_path / "run")


def test_semantic_shards_hide_unseen_pixels_and_say_how_many(
    clean_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(clean_world, "shapes-semantic")
    run_dir = shard(config, tmp_path / "run")
    audited_training_shards(config, run_dir)
    file = run_dir.artefact("shards") / "leak_audit.json"
    tally = LeakAudit.from_json(file.read_text(), str(file)).tally
    assert (tally.num_images, tally.num_unseen_pixels) == (48, 0)
    assert tally.num_hidden_pixels > 0
    assert tally.context_line() in capsys.readouterr().out
    unseen = set(find_split("shapes-semantic").classes.unseen)
    val = [row for path in shard_files(config, run_dir, "val") for row in read_rows(path)]
    assert unseen & {segment["class_index"] for row in val for segment in row["segments"]}  # the test keeps them
    assert {row["hidden_px"] for row in val} == {0}


def test_instance_shards_keep_images_with_seen_objects_alone(clean_world: Path, tmp_path: Path) -> None:
    config = config_of(clean_world, "shapes-instances")
    run_dir = shard(config, tmp_path / "run")
    index = audited_training_shards(config, run_dir)
    assert index.counts["unseen"] > 0
    split = find_split("shapes-instances")
    assert all(index.class_pixels[unseen] == 0 for unseen in split.classes.unseen)
    val = shard_index(config, run_dir, "val")
    for row in (row for path in shard_files(config, run_dir, "val") for row in read_rows(path)):
        assert any(segment["class_index"] in split.classes.unseen for segment in row["segments"])
    assert val.counts["found"] == 8


def edit_json(file: Path, *way: Any, value: Any) -> None:
    document = place = json.loads(file.read_text())
    for key in way[:-1]:
        place = place[key]
    place[way[-1]] = value
    file.write_text(json.dumps(document))


def lose_audit(shards: Path) -> str:
    (shards / "leak_audit.json").unlink()
    return r"leak_audit\.json: no such file; run the stage 'shard' first"


def edit_index(shards: Path) -> str:
    edit_json(shards / "train" / "index.json", "files", 0, "sha256", value="0" * 64)
    return r"leak_audit\.json: is the audit of other shards than those of the index; write the shards again"


def edit_counts(shards: Path) -> str:
    edit_json(shards / "train" / "index.json", "class_pixels", 0, value=1)
    return r"leak_audit\.json: is the audit of another index: index\.json was changed after it; write the shards again"


def flip_a_byte(shards: Path) -> str:
    path = sorted((shards / "train").glob("*.parquet"))[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 8
    path.write_bytes(content)
    return rf"{path.name}: was changed after it was written: sha256 .* in index\.json; fetch that file again or write"


def add_a_file(shards: Path) -> str:
    path = sorted((shards / "train").glob("*.parquet"))[0]
    shutil.copy(path, path.with_name("part-00099-00000000.parquet"))
    return r"part-00099-00000000\.parquet: is not in index\.json; remove it or write the shards again"


def take_another_audit(shards: Path) -> str:
    edit_json(shards / "leak_audit.json", "files", value={"part-00000-00000000.parquet": "0" * 64})
    return r"leak_audit\.json: is the audit of other shards than those of the index; write the shards again"


def leak(shards: Path) -> str:
    edit_json(shards / "leak_audit.json", "tally", "leaking_image_ids", value=[7])
    return r"1 of \d+ training images hold unseen classes .*: image ids 7; write the shards again without them"


def take_another_index(shards: Path) -> str:
    shutil.copy(shards / "val" / "index.json", shards / "train" / "index.json")
    return r"train/index\.json: is of val of split 'shapes-panoptic', not of train of 'shapes-panoptic'"


@pytest.mark.parametrize(
    "damage",
    [lose_audit, edit_index, edit_counts, flip_a_byte, add_a_file, take_another_audit, leak, take_another_index],
)
def test_training_does_not_start_without_the_proof(
    damage: Any, clean_world: Path, finished: RunDir, tmp_path: Path
) -> None:
    """The finished shards are copied: a run directory may be moved."""
    run_dir = RunDir(tmp_path / "run")
    shards = shutil.copytree(finished.artefact("shards"), run_dir.artefact("shards"))
    audited_training_shards(config_of(clean_world), run_dir)
    message = damage(shards)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        audited_training_shards(config_of(clean_world), run_dir)


def test_an_index_replaced_by_another_run_is_noticed(clean_world: Path, tmp_path: Path, ray_session: None) -> None:
    config = config_of(clean_world, shards=str(tmp_path / "there"))
    run_dir = shard(config, tmp_path / "run")
    shard(dataclasses.replace(config, data=dataclasses.replace(config.data, shard_mb=1.0)), tmp_path / "other")
    with pytest.raises(
        ValueError, match=r"there/train/index\.json: differs from its copy in .*run/shards; another run"
    ):
        audited_training_shards(config, run_dir)


def test_shards_of_another_split_or_place_are_refused(clean_world: Path, finished: RunDir, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is of train of split 'shapes-panoptic', not of train of 'shapes-semantic'"):
        train_index(config_of(clean_world, "shapes-semantic"), finished)
    with pytest.raises(ValueError, match=r"its files lie in \., not in /elsewhere; leave --data\.shards out, or write"):
        shard_folder(config_of(clean_world, shards="/elsewhere"), finished, "train")
    with pytest.raises(FileNotFoundError, match="run the stage 'shard' first"):
        train_index(config_of(clean_world), RunDir(tmp_path))
