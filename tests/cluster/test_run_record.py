import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.run_record import Dataset, RunRecord, table_json

TEXTS = st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4)


@given(TEXTS, TEXTS, TEXTS, st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False), max_size=4), st.text())
@settings(max_examples=30, deadline=None)
def test_a_record_survives_its_line(params: dict, tags: dict, tables: dict, metrics: dict, key: str) -> None:
    dataset = Dataset(name="split", digest="ab", context="val", source="{}", profile='{"n": 1}')
    record = RunRecord(
        experiment="pading/panoptic",
        key=key,
        params=params,
        tags=tags,
        metrics=metrics,
        tables=tables,
        datasets=[dataset],
        artifacts=[Path("/a/panels.png")],
        parent="the run",
        parent_experiment="pading/runs",
        status="FAILED",
    )
    line = record.to_line()
    assert line.count("\n") == 1
    assert RunRecord.from_line(line) == record


def test_a_line_of_an_older_version_is_read() -> None:
    fields = {"experiment": "e", "key": "k", "params": {"a": "1"}, "tags": {}, "metrics": {"m": 0.5}, "artifacts": []}
    record = RunRecord.from_line(json.dumps({**fields, "parent": None, "recorded_ms": 7}))
    assert record == RunRecord(experiment="e", key="k", params={"a": 1}, metrics={"m": 0.5}, recorded_ms=7)


def test_values_become_text_that_mlflow_keeps() -> None:
    record = RunRecord(experiment="e", key="k", params={"a": 0.1, "b": "x" * 7000}, tags={"seed": 3, "n": "y" * 9000})
    assert record.params == {"a": "0.1", "b": "x" * 6000}
    assert record.tags == {"seed": "3", "n": "y" * 8000}


def test_a_relative_artifact_means_the_same_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunRecord(experiment="e", key="k", artifacts=["panels.png"]).artifacts == (str(tmp_path / "panels.png"),)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{",
        "null",
        '{"experiment": "e", "key": "k"}',  # no time
        '{"experiment": "e", "key": 3, "recorded_ms": 1}',
        '{"experiment": "", "key": "k", "recorded_ms": 1}',
        '{"experiment": "e", "key": "k", "recorded_ms": "soon"}',
        '{"experiment": "e", "key": "k", "recorded_ms": 1, "metrics": {"pq": "high"}}',
        '{"experiment": "e", "key": "k", "recorded_ms": 1, "metrics": [1]}',
        '{"experiment": "e", "key": "k", "recorded_ms": 1, "datasets": [{"name": "a"}]}',
        '{"experiment": "e", "key": "k", "recorded_ms": 1, "artifacts": 3}',
        '{"experiment": "e", "key": "k", "recorded_ms": 1, "colour": "red"}',
    ],
)
def test_what_is_no_record_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the spool adds file and line
        RunRecord.from_line(line)


def test_a_table_is_what_pandas_calls_split() -> None:
    text = table_json(("class", "pq"), [("cat", 50.0), ("dog", None)])
    assert json.loads(text) == {"columns": ["class", "pq"], "data": [["cat", 50.0], ["dog", None]]}
    with pytest.raises(ValueError, match="JSON compliant"):
        table_json(("pq",), [[float("nan")]])


def test_none_of_the_modules_imports_mlflow() -> None:
    modules = "cluster.tracking, jobs.tracker, jobs.row_records, jobs.look_back, jobs.leaderboard"
    program = f"import sys, {modules}; print('mlflow' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"
