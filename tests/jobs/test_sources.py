"""Which files `predict` takes, in which order and under which names."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.sources import find_sources, frame_files, read_photo
from pading.data.errors import DataError


def touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return paths


def names_of(paths: list[Path], **options: bool) -> list[str]:
    return [source.name for source in find_sources(paths, **options)]


def test_a_folder_is_taken_in_the_order_of_its_numbers_and_other_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "frame10.jpg", "frame9.PNG", "notes.txt", ".hidden.jpg", "sub/a.jpg", "clip.mp4")
    found = find_sources([tmp_path])
    assert [(source.name, source.kind) for source in found] == [
        ("clip", "video"),
        ("frame9", "photo"),
        ("frame10", "photo"),
    ]


def test_folders_in_a_folder_are_asked_for_and_name_their_photos(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a/x.jpg", "c/x.jpg")
    assert names_of([tmp_path]) == ["b"]
    assert names_of([tmp_path], recursive=True) == ["a/x", "b", "c/x"]


def test_photos_of_one_name_in_two_folders_keep_their_paths(tmp_path: Path) -> None:
    paths = touch(tmp_path, "a/x.jpg", "b/x.jpg", "b/y.jpg")
    assert names_of(paths[1:]) == ["x", "y"]
    assert names_of(paths) == ["a/x", "b/x", "b/y"]
    assert names_of([tmp_path / "a", tmp_path / "b"]) == ["a/x", "b/x", "b/y"]


def test_a_file_that_is_named_twice_is_taken_once(tmp_path: Path) -> None:
    (path,) = touch(tmp_path, "x.jpg")
    assert names_of([path, tmp_path, path]) == ["x"]


def test_photos_that_differ_by_their_endings_alone_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg", "x.png")
    with pytest.raises(ValueError, match="both have the results 'x'; rename one"):
        find_sources([tmp_path])


def test_results_inside_the_folder_are_not_predicted_again(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg", "out/x.png")
    assert [s.name for s in find_sources([tmp_path], recursive=True, skipped=tmp_path / "out")] == ["x"]


def test_a_folder_of_frames_is_one_video(tmp_path: Path) -> None:
    touch(tmp_path / "walk", "2.jpg", "10.jpg", "1.jpg")
    (source,) = find_sources([tmp_path / "walk"], as_frames=True)
    assert (source.name, source.kind) == ("walk", "frames")
    assert [path.name for path in frame_files(source.path)] == ["1.jpg", "2.jpg", "10.jpg"]


def test_a_file_that_is_written_again_has_another_stamp(tmp_path: Path) -> None:
    (path,) = touch(tmp_path, "x.jpg")
    (before,) = find_sources([path])
    assert find_sources([path]) == [before]
    os.utime(path, ns=(1, 1))
    assert find_sources([path]) != [before]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.jpg", "no such photo; check the path"),
        ("notes.txt", r"ends in '\.txt'; give files that end in one of \.jpg, "),
        ("empty", "holds no photo; give a folder with JPEG, PNG or video files, or add --recursive"),
        ("a\nb.jpg", "control characters; rename that file"),
    ],
)
def test_what_is_no_photo_is_refused(name: str, message: str, tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt", "a\nb.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_sources([tmp_path / name])


def test_a_photo_is_turned_as_it_was_held(tmp_path: Path) -> None:
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "held.png", exif=exif)
    upright = read_photo(tmp_path / "held.png")
    assert upright.shape == (16, 8, 3)
    assert (upright[:8] == 255).all()
    assert (upright[8:] == 0).all()


def test_a_png_by_the_name_of_a_jpeg_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 7, np.uint8)).save(tmp_path / "x.jpg", "PNG")
    assert (read_photo(tmp_path / "x.jpg") == np.full((4, 5, 3), 7)).all()


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_a_photo_that_ends_early_is_one_clear_error(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"x\{ending}: is truncated or corrupt"):
        read_photo(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"is truncated or corrupt \(not readable as JPEG"):
        read_photo(path)
