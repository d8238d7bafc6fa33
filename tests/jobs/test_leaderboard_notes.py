"""What the leaderboard says of a run beside its tables."""

from pathlib import Path

import pytest

from jobs.leaderboard import notes_of
from pading.config import override
from tests.jobs.evaluated_run import make_run


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "has seen pictures and read names of unseen classes"),
        ({"embed.clip.knows_unseen": False}, "was kept from pictures and names of unseen classes"),
    ],
    ids=["knows", "hidden"],
)
def test_the_tables_say_what_the_worlds_clip_knows(tmp_path: Path, changes: dict[str, bool], said: str) -> None:
    config, run_dir = make_run(tmp_path, [])
    (line,) = [note for note in notes_of(override(config, changes), run_dir) if "CLIP" in note]
    assert said in line


def test_of_texts_from_elsewhere_nothing_is_claimed(tmp_path: Path) -> None:
    config, run_dir = make_run(tmp_path, [])
    assert not [note for note in notes_of(override(config, {"embed.file": "vectors.npy"}), run_dir) if "CLIP" in note]
