import json
from pathlib import Path

import pytest

from cluster.storage import Manifest, RunDir, digests_of_files, file_digest, write_json, written_once, written_whole


def manifest(**changes: object) -> Manifest:
    fields = {"stage": "shard", "schema_version": 1, "settings": {"size": {"px": 96}}, "inputs": {"verify": "ab"}}
    return Manifest(**{**fields, **changes})


def test_a_manifest_reads_back_as_written(tmp_path: Path) -> None:
    written = manifest(counts={"images": 3}, code_version="v1", seconds=1.5)
    written.write(tmp_path)
    assert Manifest.read(tmp_path) == written


def test_the_digest_names_what_made_an_artefact_and_not_when() -> None:
    assert manifest().digest == manifest(counts={"images": 3}, code_version="v2", seconds=9.0).digest
    changed = [manifest(stage="x"), manifest(schema_version=2), manifest(settings={}), manifest(inputs={})]
    assert len({manifest().digest, *(other.digest for other in changed)}) == 5


def test_differences_name_each_changed_setting_and_input() -> None:
    other = manifest(settings={"size": {"px": 128}}, inputs={"verify": "cd"})
    assert manifest().differences(other) == ["input verify: ab -> cd", "size.px: 96 -> 128"]


def test_a_folder_without_a_manifest_has_none(tmp_path: Path) -> None:
    assert Manifest.read(tmp_path) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"stage": "shard"}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is not a manifest .*; remove .* to redo"):
        Manifest.read(tmp_path)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    manifest().write(tmp_path)
    fields = json.loads((tmp_path / "manifest.json").read_text())
    fields["settings"]["size"]["px"] = 1
    (tmp_path / "manifest.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="was changed after it was written"):
        Manifest.read(tmp_path)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "shards"
    with written_whole(final) as folder:
        (folder / "a").write_text("1")
        assert not final.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]

    def fail_midway() -> None:
        with written_whole(final) as folder:
            (folder / "b").write_text("2")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_midway()
    assert [path.name for path in tmp_path.rglob("*")] == ["shards", "a"]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".shards.0123abcd.partial").mkdir()
    (tmp_path / ".shards.0123abcd.partial" / "stale").write_text("0")
    (tmp_path / ".shards.old.0123abcd.partial").mkdir()  # of another folder
    with written_whole(tmp_path / "shards") as folder:
        (folder / "a").write_text("1")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        "shards",
        "shards/a",
        ".shards.old.0123abcd.partial",
    }


def test_of_two_that_write_one_folder_the_later_is_whole_and_the_earlier_fails(tmp_path: Path) -> None:
    """A task of a stage that has failed may still be at it when the next attempt begins."""
    final = tmp_path / "shards"
    earlier, later = written_whole(final), written_whole(final)
    (earlier.__enter__() / "a").write_text("earlier")
    folder = later.__enter__()
    (folder / "a").write_text("later")
    with pytest.raises(FileNotFoundError, match="partial"):
        earlier.__exit__(None, None, None)
    (folder / "b").write_text("later")
    later.__exit__(None, None, None)
    assert {path.name: path.read_text() for path in final.iterdir()} == {"a": "later", "b": "later"}
    assert list(tmp_path.iterdir()) == [final]


def test_of_two_that_write_one_folder_once_the_first_that_is_whole_counts(tmp_path: Path) -> None:
    final = tmp_path / "fit"
    slow, quick = written_once(final), written_once(final)
    (slow.__enter__() / "a").write_text("slow")
    (quick.__enter__() / "a").write_text("quick")
    quick.__exit__(None, None, None)
    inode = final.stat().st_ino
    slow.__exit__(None, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]
    assert {path.name: path.read_text() for path in final.iterdir()} == {"a": "quick"}
    assert final.stat().st_ino == inode  # nobody who reads it has it taken away


def test_a_folder_that_cannot_be_written_once_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    def fail_midway() -> None:
        with written_once(tmp_path / "fit") as folder:
            (folder / "a").write_text("1")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_midway()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "fit").write_text("a file in its place")
    with pytest.raises(NotADirectoryError), written_once(tmp_path / "fit") as folder:
        (folder / "a").write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]


def test_what_is_replaced_is_whole_until_the_new_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that is killed midway must not leave half a folder, with a manifest, under the name of a whole one."""
    final = tmp_path / "shards"
    with written_whole(final) as folder:
        (folder / "old").write_text("1")
    deleted: list[str] = []

    def delete(path: Path, ignore_errors: bool) -> None:
        assert path != final
        deleted.append(path.name)

    monkeypatch.setattr("shutil.rmtree", delete)
    with written_whole(final) as folder:
        (folder / "new").write_text("2")
    assert [path.name for path in final.iterdir()] == ["new"]
    assert deleted[-1] == ".shards.replaced"
    monkeypatch.undo()
    with written_whole(final) as folder:  # what the killed deletion left goes with the next
        (folder / "newer").write_text("3")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["shards", "shards/newer"]


def test_what_was_there_is_put_back_where_it_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "shards"
    with written_whole(final) as folder:
        (folder / "old").write_text("1")
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError("refused")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="refused"), written_whole(final):
        pass
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["shards", "shards/old"]


def test_a_changed_or_missing_file_of_an_artefact_is_named_with_the_stage_to_redo(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.safetensors", "deep/b.json", "drawn.json", "page.html"):
        (tmp_path / name).write_text("1")
    (tmp_path / "link.json").symlink_to(tmp_path / "page.html")
    files = digests_of_files(tmp_path, ("drawn.json",))
    assert files.keys() == {"a.safetensors", "deep/b.json"}
    written = manifest(files=files)
    assert written.digest == manifest().digest
    written.require_whole(tmp_path)
    for name in ("drawn.json", "page.html"):
        (tmp_path / name).write_text("2")
    written.require_whole(tmp_path)
    (tmp_path / "deep" / "b.json").write_text("2")
    with pytest.raises(ValueError, match=r"deep/b\.json was changed after the stage 'shard' wrote it; .*--from shard"):
        written.require_whole(tmp_path)
    (tmp_path / "a.safetensors").unlink()
    with pytest.raises(ValueError, match=r"a\.safetensors is gone since the stage 'shard' wrote it"):
        written.require_whole(tmp_path)


def test_a_run_directory_serves_one_pipeline_at_a_time(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    with run_dir.locked():
        second = run_dir.locked()
        with pytest.raises(ValueError, match="another pipeline is at work"):
            second.__enter__()
    with run_dir.locked():
        assert run_dir.root.is_dir()


def test_unfinished_work_is_kept_for_the_same_artefact_only(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.claim_work("pretrain", "ab")
    (run_dir.work("pretrain") / "checkpoint").write_text("1")
    run_dir.claim_work("pretrain", "ab")
    assert (run_dir.work("pretrain") / "checkpoint").exists()
    run_dir.claim_work("pretrain", "cd")
    assert not (run_dir.work("pretrain") / "checkpoint").exists()


def test_json_is_renamed_into_place(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_json_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    (tmp_path / "b.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_json(tmp_path / "b.json", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
    assert (tmp_path / "a.json").read_text() == "{}"


def test_a_file_digest_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea"  # sha256 of "abc", FIPS 180-2
