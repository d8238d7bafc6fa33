from pathlib import Path

import pyarrow as pa
import pytest

from cluster.filesystem import open_location
from jobs.parquet import count_rows, read_parquet, write_parquet

SCHEMA = pa.schema([("number", pa.int64())])


@pytest.mark.parametrize("protocol", ["", "fsspec+file://"])
def test_rows_are_written_counted_and_read_in_order(protocol: str, tmp_path: Path, ray_session: None) -> None:
    import ray.data

    dataset = ray.data.from_items([{"number": number} for number in range(7)], override_num_blocks=3)
    files = write_parquet(dataset, tmp_path / "numbers", SCHEMA, 2)
    assert [path.name for path in files] == [f"part-{number:05d}.parquet" for number in range(len(files))]
    filesystem, folder = open_location(f"{protocol}{tmp_path}/numbers")
    paths = [f"{folder}/{path.name}" for path in files]
    assert count_rows(paths, filesystem) == count_rows(files) == 7
    rows = read_parquet(paths, filesystem).take_all()
    assert [row["number"] for row in rows] == list(range(7))


def test_no_files_are_refused() -> None:
    with pytest.raises(ValueError, match="no parquet files to read; run the stage that writes them first"):
        read_parquet([])
