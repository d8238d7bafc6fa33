import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.filesystem import file_sizes, location_inside, read_file
from cluster.storage import RunDir, write_json
from jobs.config import DataConfig, PipelineConfig
from jobs.export import Export, export
from pading.config import to_plain
from pading.data.coco.source import read
from pading.data.shards.rows import decode_row, read_rows, write_shard
from pading.data.shards.shares import index_of, plan_shares, write_share
from pading.shapes.layout import ShapesConfig
from pading.shapes.writer import write_shapes_world
from pading.splits.published import find_split


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run with validation shards of the shapes world's instances, whose layers overlap."""
    root = tmp_path_factory.mktemp("export")
    write_shapes_world(root / "world", ShapesConfig(num_train=2, num_val=12, image_px=48))
    split = find_split("shapes-instances")
    shards = root / "run" / "shards"
    (shards / "val").mkdir(parents=True)
    shares = plan_shares(read(root / "world", split, "val"), 20_000)
    index = index_of([write_share(s, split, "val", shards / "val", skip_bad=False) for s in shares], split, "val", {})
    assert len(index.files) > 1
    (shards / "val" / "index.json").write_text(index.to_json())
    (shards / "classes.json").write_text(split.classes.to_json())
    (shards / "location").write_text(".")
    config = PipelineConfig(preset="test", data=DataConfig(root=str(root / "world"), split=split.name))
    write_json(root / "run" / "config.json", to_plain(config))
    return RunDir(root / "run")


@pytest.mark.parametrize("protocol", ["", "fsspec+file://"])
def test_every_sample_reads_back_with_plain_tools(
    protocol: str, run_dir: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = f"{protocol}{tmp_path}/tars"
    export(Export(run_dir=run_dir.root, output=output, part="val"))
    assert list(file_sizes(output)) == ["val-00000.tar"]
    assert f"12 images in 1 tar files -> {output}" in capsys.readouterr().out
    rows = [row for path in sorted((run_dir.artefact("shards") / "val").glob("*.parquet")) for row in read_rows(path)]
    with tarfile.open(fileobj=io.BytesIO(read_file(location_inside(output, "val-00000.tar")))) as tar:
        found = {member.name: extracted(tar, member) for member in tar}
    assert len([name for name in found if name.endswith(".jpg")]) == len(rows) == 12
    for row in rows:
        key = f"{row['image_id']:012d}"
        assert found[f"{key}.jpg"] == row["image"]
        layers = decode_row(row).label_maps
        for number, layer in enumerate(layers):
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(found[f"{key}.{number}.png"]))), layer)
        assert f"{key}.{len(layers)}.png" not in found
        described = json.loads(found[f"{key}.json"])
        assert [segment["class_index"] for segment in described["segments"]] == [
            segment["class_index"] for segment in row["segments"]
        ]


def extracted(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    handle = tar.extractfile(member)
    assert handle is not None
    return handle.read()


def test_tar_files_that_lie_there_are_not_mixed_with_new_ones(run_dir: RunDir, tmp_path: Path) -> None:
    (tmp_path / "val-00007.tar").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"already holds val-00007\.tar; give an empty --output or remove its tar files"
    ):
        export(Export(run_dir=run_dir.root, output=str(tmp_path), part="val"))


def test_a_run_without_the_part_is_refused(run_dir: RunDir, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train/index\.json: no such file; run the stage 'shard' first"):
        export(Export(run_dir=run_dir.root, output=str(tmp_path)))
    with pytest.raises(FileNotFoundError, match="give the --run-dir of a finished run"):
        export(Export(run_dir=tmp_path, output=str(tmp_path)))


def test_a_damaged_shard_stops_the_export_and_leaves_no_tar(run_dir: RunDir, tmp_path: Path) -> None:
    copied = shutil.copytree(run_dir.root, tmp_path / "run")
    last: Any = sorted((copied / "shards" / "val").glob("*.parquet"))[-1]
    rows = list(read_rows(last))
    write_shard(last, rows)
    content = last.read_bytes()
    middle = content.index(rows[0]["image"]) + len(rows[0]["image"]) // 2
    last.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    with pytest.raises(ValueError, match=rf"{last.name}: is truncated or corrupt"):
        export(Export(run_dir=copied, output=str(tmp_path / "tars"), part="val"))
    assert not (tmp_path / "tars").exists()
