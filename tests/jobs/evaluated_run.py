"""The files that an evaluated run leaves, small and by hand: what looking back at a run and recording it read."""

from pathlib import Path
from typing import Any

from cluster.storage import Manifest, RunDir, write_json
from jobs.config import PipelineConfig, split_of
from jobs.presets import PRESETS
from pading.config import override, to_plain
from pading.data.shards.index import ShardFile, ShardIndex
from pading.segmenter.provenance import Provenance, write_provenance

CONFIG = PRESETS["smoke"]()


def make_run(root: Path, rows: list[dict[str, Any]], *, seed: int = 0) -> tuple[PipelineConfig, RunDir]:
    """Write a run directory whose evaluation has these rows."""
    config, run_dir = override(CONFIG, {"seed": seed}), RunDir(root)
    split = split_of(config)
    classes = split.classes
    for number, part in enumerate(("train", "val")):
        index = ShardIndex(
            schema_version="1",
            split=split.name,
            part=part,
            classes="ab" * 32,
            files=(ShardFile(name="part-0.parquet", sha256=f"{number}" * 64, num_bytes=10, rows_per_group=(3,)),),
            counts={"found": 3, "kept": 3, "quarantined": 0},
            class_segments=(1,) * classes.num_classes,
            class_pixels=(1,) * classes.num_classes,
        )
        (root / "shards" / part).mkdir(parents=True)
        (root / "shards" / part / "index.json").write_text(index.to_json())
    (root / "shards" / "classes.json").write_text(classes.to_json())
    (root / "shards" / "location").write_text(".")
    for stage, folder in (("pretrain", "segmenter"), ("cache", "cache"), ("embed", "text"), ("evaluate", "evaluation")):
        (root / folder).mkdir(parents=True)
        manifest = Manifest(stage=stage, schema_version=1, settings={"seed": seed}, inputs={}, seconds=2.5)
        manifest.write(root / folder)
    write_provenance(root / "segmenter", Provenance())
    write_json(root / "config.json", to_plain(config))
    write_json(root / "evaluation" / "rows.json", rows)
    (root / "evaluation" / "panels.png").write_bytes(b"picture")
    write_json(root / "leaderboard.json", rows)
    return config, run_dir


def row(task: str, method: str, seed: int = 0, **metrics: float | None) -> dict[str, Any]:
    """Return a row of the leaderboard; `pq_seen=1` is the metric pq/seen."""
    named = {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return {"task": task, "method": method, "profile": "best", "seed": seed, "metrics": named}
