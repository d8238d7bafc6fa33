from argparse import Namespace
from pathlib import Path

import pytest

from jobs.universal import ORIGIN_FILE, Origin, check_shards, convert, read_origin, write_origin


def test_who_wrote_a_checkpoint_is_read_back(tmp_path: Path) -> None:
    write_origin(tmp_path, "zero2")
    assert read_origin(tmp_path, "zero2") == Origin(strategy="zero2", world_size=1)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"strategy": "zero1"}', '{"strategy": "zero1", "world_size": "two"}']
)
def test_an_unreadable_account_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / ORIGIN_FILE).write_text(text)
    with pytest.raises(ValueError, match=r"engine\.json does not say who wrote the checkpoint .*; remove it"):
        read_origin(tmp_path, "zero1")


def test_another_strategy_is_refused(tmp_path: Path) -> None:
    write_origin(tmp_path, "ddp")
    with pytest.raises(ValueError, match="was written by ddp, not by zero3"):
        read_origin(tmp_path, "zero3")


def test_too_few_and_too_many_shards_are_refused(tmp_path: Path) -> None:
    origin = Origin(strategy="zero1", world_size=2)
    for rank in range(3):
        if rank != 2:
            with pytest.raises(ValueError, match=f"the optimiser shards of {rank} of 2 ranks"):
                check_shards(tmp_path, origin)
        else:
            check_shards(tmp_path, origin)
        (tmp_path / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt").touch()
    with pytest.raises(ValueError, match="the optimiser shards of 3 of 2 ranks"):
        check_shards(tmp_path, origin)


def test_a_converter_is_quiet_and_what_it_raises_is_returned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "file").touch()

    def works(settings: Namespace) -> None:
        print("converting")
        assert [path.name for path in Path(settings.input_folder).iterdir()] == ["file"]
        Path(settings.output_folder).mkdir()

    def fails(settings: Namespace) -> None:
        raise KeyError(settings.inject_missing_state)

    assert convert(tmp_path / "shards", tmp_path / "good", works) == ""
    assert (tmp_path / "good" / "universal").is_dir()
    assert convert(tmp_path / "shards", tmp_path / "bad", fails) == "KeyError: True"
    assert capsys.readouterr().out == ""
