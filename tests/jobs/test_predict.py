"""`pading predict` on a finished run: folders, videos, what is done again, and photos that are broken."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.video import video_frames, video_length, video_rate, video_writer


@pytest.fixture
def photos(smoke_run: Path, tmp_path: Path) -> Path:
    """Two folders with three photos, two of one name."""
    found = sorted((smoke_run / "shapes" / "val2017").glob("*.jpg"))
    for path, name in zip(found, ("a/x.jpg", "b/x.jpg", "b/y.jpg"), strict=False):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "photos" / name)
    return tmp_path / "photos"


def predict(smoke_run: Path, out: Path, *arguments: str | Path) -> int:
    return main(["predict", *map(str, arguments), "--model", str(smoke_run), "--out", str(out)])


def written(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("*.png")}


def names_listed(out: Path) -> list[str]:
    return [image["file_name"] for image in json.loads((out / "panoptic.json").read_text())["images"]]


def test_a_killed_command_goes_on_where_it_was(
    smoke_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    outputs = ("--recursive", "--outputs", "panoptic", "overlay", "--batch-size", "2")
    assert predict(smoke_run, out, photos / "b", *outputs) == 0
    assert set(written(out)) == {f"{name}{ending}" for name in "xy" for ending in (".png", "_overlay.png")}
    before = written(out)
    journal = out / "predictions.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])  # killed while it wrote that the second is finished
    assert predict(smoke_run, out, photos / "b", *outputs) == 0
    assert "1 of 2 photos are finished already" in capsys.readouterr().out
    after = written(out)
    assert {name for name in after if after[name] == before[name]} == {"x.png", "x_overlay.png"}
    assert names_listed(out) == ["x.jpg", "y.jpg"]
    (out / "y_overlay.png").unlink()
    assert predict(smoke_run, out, photos / "b", *outputs) == 0
    assert (out / "y_overlay.png").is_file()
    assert predict(smoke_run, out, photos / "b") == 1
    assert "with other settings (outputs)" in capsys.readouterr().err


def test_results_are_those_of_one_photo_alone_whatever_its_batch(smoke_run: Path, photos: Path, tmp_path: Path) -> None:
    assert predict(smoke_run, tmp_path / "all", photos, "--recursive") == 0
    assert predict(smoke_run, tmp_path / "one", photos / "b" / "y.jpg", "--outputs", "instances") == 0
    endings = (".png", "_semantic.png", "_overlay.png")
    assert set(written(tmp_path / "all")) == {f"{name}{end}" for name in ("a/x", "b/x", "b/y") for end in endings}
    assert names_listed(tmp_path / "all") == ["a/x.jpg", "b/x.jpg", "b/y.jpg"]
    together, alone = (json.loads((tmp_path / name / "instances.json").read_text()) for name in ("all", "one"))
    scores, of_one = (
        sorted(entry["score"] for entry in entries if entry["image_id"] == image_id)
        for entries, image_id in ((together, 3), (alone, 1))
    )
    assert of_one
    assert scores == pytest.approx(of_one, abs=1e-3)


def test_a_broken_photo_is_one_line_and_the_others_are_finished(
    smoke_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = photos / "b" / "x.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    arguments = (photos, "--recursive", "--outputs", "panoptic")
    assert predict(smoke_run, tmp_path / "out", *arguments) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert "b/x.jpg: is truncated or corrupt" in stderr
    assert "all others are finished, --skip-bad accepts that" in stderr
    assert names_listed(tmp_path / "out") == ["a/x.jpg", "b/y.jpg"]
    assert predict(smoke_run, tmp_path / "out", *arguments, "--skip-bad") == 0
    assert "left out: " in capsys.readouterr().out


def test_results_never_overwrite_a_photo_or_one_another(
    smoke_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    png = photos / "b" / "z.png"
    Image.open(photos / "b" / "y.jpg").save(png)
    content = png.read_bytes()
    assert predict(smoke_run, photos / "b", png) == 1
    assert "is a photo that its results would overwrite; give another --out" in capsys.readouterr().err
    assert png.read_bytes() == content
    shutil.copy(photos / "b" / "y.jpg", photos / "b" / "x_overlay.jpg")
    assert predict(smoke_run, tmp_path / "out", photos / "b") == 1
    assert "would both be written to" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_video_gets_an_overlay_video_with_one_colour_a_class(smoke_run: Path, photos: Path, tmp_path: Path) -> None:
    picture = Image.open(photos / "a" / "x.jpg").resize((96, 64))
    with video_writer(tmp_path / "clip.avi", 10.0) as add:
        for _ in range(6):
            add(picture)
    out = tmp_path / "out"
    arguments = (tmp_path / "clip.avi", "--outputs", "panoptic", "overlay", "--video.every", "2")
    assert predict(smoke_run, out, *arguments) == 0
    overlay = out / "clip_overlay.mp4"
    assert (video_length(overlay, 1, 0), video_rate(overlay)) == (3, 5.0)
    frames = [pixels.astype(int) for _, pixels in video_frames(overlay, 1, 0)]
    assert all(abs(frame - frames[0]).mean() < 4 for frame in frames)
    assert set(written(out)) == {f"clip/{number:06d}.png" for number in (0, 2, 4)}
    assert names_listed(out) == ["clip/000000", "clip/000002", "clip/000004"]
    before = overlay.stat().st_mtime_ns
    assert predict(smoke_run, out, *arguments) == 0
    assert overlay.stat().st_mtime_ns == before
    overlay.unlink()
    assert predict(smoke_run, out, *arguments) == 0
    assert overlay.is_file()


def test_a_folder_of_frames_is_a_video_too(
    smoke_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = tmp_path / "walk"
    frames.mkdir()
    for number in (1, 2, 10):
        Image.open(photos / "a" / "x.jpg").resize((80, 60)).save(frames / f"frame{number}.png")
    arguments = (frames, "--frames", "--outputs", "overlay", "--video.ending", ".avi", "--video.limit", "2")
    assert predict(smoke_run, tmp_path / "out", *arguments) == 0
    assert video_length(tmp_path / "out" / "walk_overlay.avi", 1, 0) == 2
    (frames / "frame2.png").write_bytes(b"no picture")
    assert predict(smoke_run, tmp_path / "out", *arguments) == 1
    assert "frame2.png: is truncated or corrupt" in capsys.readouterr().err


def test_settings_and_folders_that_make_no_sense_are_refused(
    smoke_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        predict(smoke_run, tmp_path / "out", photos, "--recursive", "--batch-size", "0")
    assert "batch_size is 0; it must be at least 1" in capsys.readouterr().err
    assert predict(smoke_run, tmp_path / "out", photos) == 1
    assert "holds no photo; give a folder with JPEG, PNG or video files, or add --recursive" in capsys.readouterr().err
