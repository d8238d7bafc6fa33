"""What MLflow is told of an evaluated run."""

import json
from pathlib import Path

import pytest

from cluster.storage import Manifest, write_json
from jobs.row_records import leaderboard_records
from tests.jobs.evaluated_run import make_run, row

ROWS = [
    row("panoptic", "gmmn", pq_seen=50.0, pq_unseen=None, pq_hm=20.0) | {"intervals": {"pq/hm": [18.0, 22.5]}},
    row("panoptic", "pading+cal", seed=1, pq_hm=30.0, pq_ausuc=12.0) | {"leaky": True},
    row("semantic", "gmmn", miou_hm=40.0) | {"intervals": {"miou/hm": [None, 41.0]}},
]


def test_every_row_is_a_child_of_the_pipeline_run(tmp_path: Path) -> None:
    config, run_dir = make_run(tmp_path / "run", ROWS)
    parent, *rows = leaderboard_records(config, run_dir)
    identity = Manifest.read(tmp_path / "run" / "evaluation").digest
    assert (parent.experiment, parent.key, parent.name) == ("pading/runs", identity, "run")
    assert [record.experiment for record in rows] == ["pading/panoptic", "pading/panoptic", "pading/semantic"]
    assert {(record.parent, record.parent_experiment) for record in rows} == {(identity, "pading/runs")}
    assert [record.name for record in rows] == ["gmmn-best-seed0", "pading+cal-best-seed1", "gmmn-best-seed0"]
    assert len({(record.experiment, record.key) for record in rows}) == 3


def test_a_row_has_the_tags_and_flat_metrics_of_the_contract(tmp_path: Path) -> None:
    config, run_dir = make_run(tmp_path / "run", ROWS)
    _, first, second, third = leaderboard_records(config, run_dir)
    wanted = {"method": "gmmn", "profile": "best", "seed": "0", "stage": "evaluate", "leaky": "false"}
    assert wanted.items() <= first.tags.items()
    assert first.tags["split"] == "shapes"
    assert first.metrics == {"pq/seen": 50.0, "pq/hm": 20.0, "pq/hm.low": 18.0, "pq/hm.high": 22.5}
    assert second.metrics == {"pq/hm": 30.0, "pq/ausuc": 12.0}
    assert second.tags["leaky"] == "true"
    assert third.metrics == {"miou/hm": 40.0, "miou/hm.high": 41.0}


def test_data_sets_are_named_by_the_digest_of_their_shards(tmp_path: Path) -> None:
    config, run_dir = make_run(tmp_path / "run", ROWS)
    for record in leaderboard_records(config, run_dir):
        train, val = record.datasets
        assert (train.name, train.context, val.context) == ("shapes-panoptic", "train", "val")
        assert train.digest != val.digest
        assert json.loads(val.profile)["num_images"] == 3
        assert json.loads(val.source) == {"uri": str(tmp_path / "run" / "shards" / "val")}


def test_the_pipeline_run_has_the_pages_that_are_there_and_the_seconds_of_each_stage(tmp_path: Path) -> None:
    config, run_dir = make_run(tmp_path / "run", ROWS)
    parent = leaderboard_records(config, run_dir)[0]
    assert {Path(path).name for path in parent.artifacts} == {"leaderboard.json", "config.json", "panels.png"}
    assert parent.metrics["num_rows"] == 3
    assert parent.metrics["seconds/evaluate"] == 2.5


def test_scores_by_class_and_the_trade_off_are_tables_of_their_row(tmp_path: Path) -> None:
    config, run_dir = make_run(tmp_path / "run", ROWS)
    identity = {"task": "panoptic", "method": "gmmn", "profile": "best", "seed": 0}
    classes = [
        {"name": "disc", "is_seen": True, "is_thing": True},
        {"name": "ring", "is_seen": False, "is_thing": True},
    ]
    scores = {"classes": classes, "rows": [{**identity, "values": {"pq": [50.0, None], "sq": [80.0, 10.0]}}]}
    write_json(run_dir.artefact("evaluation") / "per_class.json", scores)
    curve = {**identity, "quality": "pq", "seen_penalty": [0.0, 0.1], "seen": [50.0, 40.0], "unseen": [1.0, 9.0]}
    write_json(run_dir.artefact("evaluation") / "curves.json", [curve | {"ausuc": 12.0}])
    write_json(run_dir.artefact("evaluation") / "comparisons.json", [])
    parent, first, *others = leaderboard_records(config, run_dir)
    assert {name: json.loads(text) for name, text in first.tables.items()} == {
        "per_class.json": {
            "columns": ["class", "is_seen", "is_thing", "pq", "sq"],
            "data": [["disc", True, True, 50.0, 80.0], ["ring", False, True, None, 10.0]],
        },
        "curve.json": {"columns": ["seen_penalty", "seen", "unseen"], "data": [[0.0, 50.0, 1.0], [0.1, 40.0, 9.0]]},
    }
    assert not any(record.tables for record in others)
    assert "comparisons.json" in {Path(path).name for path in parent.artifacts}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("per_class.json", "{"),
        ("per_class.json", "[]"),
        ("per_class.json", '{"classes": [{"name": "disc"}], "rows": []}'),
        (
            "per_class.json",
            '{"classes": [], "rows": [{"task": "panoptic", "method": "gmmn", "profile": "best", "seed": 0, '
            '"values": {"pq": [1.0]}}]}',
        ),
        ("curves.json", '[{"task": "panoptic"}]'),
        ("curves.json", "3"),
    ],
)
def test_a_damaged_file_is_named(name: str, content: str, tmp_path: Path) -> None:
    config, run_dir = make_run(tmp_path / "run", ROWS)
    (run_dir.artefact("evaluation") / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name} is not what `evaluate` writes .*; run evaluate again"):
        leaderboard_records(config, run_dir)


def test_the_same_run_elsewhere_is_the_same_record(tmp_path: Path) -> None:
    records = [leaderboard_records(*make_run(tmp_path / name, ROWS)) for name in ("here", "there")]
    keys = [[(record.experiment, record.key) for record in of_run] for of_run in records]
    assert keys[0] == keys[1]
    assert [record.params for record in records[0]] == [record.params for record in records[1]]
    other = leaderboard_records(*make_run(tmp_path / "other", ROWS, seed=1))
    assert not {record.key for record in other} & {record.key for record in records[0]}
