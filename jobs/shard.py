"""Stage `shard`: COCO files -> parquet shards without unseen classes in train, and the audit that proves it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from cluster.session import connect
from cluster.storage import RunDir, file_digest, write_json
from jobs.parquet import read_parquet, write_parquet
from jobs.presets import PipelineConfig, class_table, data_root
from jobs.progress import say
from pading.classes import ClassTable
from pading.data.audit import LeakAudit, audit_row
from pading.data.coco import ImageRecord, has_unseen, load_sample, read_panoptic
from pading.data.shards import SHARD_SCHEMA, encode_row

COCO_SPLITS = {"train": "train2017", "val": "val2017"}
CLASSES_FILE = "classes.json"
AUDIT_FILE = "leak_audit.json"
ROWS_PER_GROUP = 64


def write_shards(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write `train/` (images with an unseen segment left out) and `val/` (all images), then audit what was written."""
    connect()
    classes = class_table(config)
    root = data_root(config, run_dir)
    (folder / CLASSES_FILE).write_text(classes.to_json())
    counts: dict[str, Any] = {}
    for split, coco_split in COCO_SPLITS.items():
        records = read_panoptic(root, coco_split, classes)
        kept = [record for record in records if split == "val" or not has_unseen(record, classes)]
        if not kept:
            raise ValueError(f"{root}: every {coco_split} image holds an unseen class; nothing is left to train on")
        say(f"  {split}: {len(kept)} of {len(records)} images kept")
        files = _write_split(kept, classes, folder / split, config.data.images_per_shard)
        counts[split] = {"found": len(records), "kept": len(kept), "files": {p.name: file_digest(p) for p in files}}
    audit = audit_files(sorted((folder / "train").glob("*.parquet")), classes)
    audit.check()
    write_json(folder / AUDIT_FILE, json.loads(audit.to_json()))
    say(f"  leak audit: {audit.num_images} train images, {audit.num_pixels} pixels recounted, 0 of an unseen class")
    return counts


def shard_files(run_dir: RunDir, split: str) -> list[Path]:
    """Return the parquet files of one split, in order."""
    return sorted((run_dir.artefact("shards") / split).glob("*.parquet"))


def shard_classes(run_dir: RunDir) -> ClassTable:
    """Return the class table that the shards were written with."""
    return ClassTable.from_json((run_dir.artefact("shards") / CLASSES_FILE).read_text())


def audit_files(files: list[Path], classes: ClassTable) -> LeakAudit:
    """Decode every label map of the written files and recount every pixel against the unseen list."""
    pieces = read_parquet(files).map_batches(_audit, fn_args=(classes,), batch_size=256, batch_format="numpy")
    total = LeakAudit.empty(classes)
    for row in pieces.iter_rows():
        total = total + LeakAudit.from_json(row["audit"])
    return total


def _write_split(records: list[ImageRecord], classes: ClassTable, folder: Path, images_per_shard: int) -> list[Path]:
    num_blocks = -(-len(records) // images_per_shard)
    dataset = ray.data.from_items([{"record": record} for record in records], override_num_blocks=num_blocks)
    encoded = dataset.map_batches(_encode, fn_args=(classes,), batch_size=None, batch_format="numpy")
    return write_parquet(encoded, folder, SHARD_SCHEMA, ROWS_PER_GROUP)


def _encode(batch: dict[str, np.ndarray], classes: ClassTable) -> pa.Table:
    rows = [encode_row(*load_sample(record, classes)) for record in batch["record"]]
    return pa.Table.from_pylist(rows, schema=SHARD_SCHEMA)


def _audit(batch: dict[str, np.ndarray], classes: ClassTable) -> dict[str, list[str]]:
    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    total = LeakAudit.empty(classes)
    for row in rows:
        total = total + audit_row(row, classes)
    return {"audit": [total.to_json()]}
