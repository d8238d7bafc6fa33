"""Videos written and read back, frame by frame."""

from pathlib import Path

import pytest
from PIL import Image

from jobs.video import video_frames, video_length, video_rate, video_writer, wanted_frames
from pading.data.errors import DataError

NUM_FRAMES, LEVEL = 10, 20


def write_video(path: Path, num_frames: int = NUM_FRAMES) -> Path:
    """Frame n is red of level 20 n on black."""
    with video_writer(path, 5.0) as add:
        for number in range(num_frames):
            add(Image.new("RGB", (64, 48), (LEVEL * number, 0, 0)))
    return path


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_frames_come_back_in_order_and_colour(ending: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"clip{ending}")
    frames = list(video_frames(path, every=1, limit=0))
    assert [number for number, _ in frames] == list(range(NUM_FRAMES))
    assert (video_rate(path), video_length(path, 1, 0)) == (5.0, NUM_FRAMES)
    for number, pixels in frames:
        assert pixels.shape == (48, 64, 3)
        red, green, blue = pixels.reshape(-1, 3).mean(axis=0)
        assert red == pytest.approx(LEVEL * number, abs=8)
        assert max(green, blue) < 8


def test_stride_and_limit_choose_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi")
    assert [number for number, _ in video_frames(path, every=3, limit=0)] == [0, 3, 6, 9]
    assert [number for number, _ in video_frames(path, every=3, limit=2)] == [0, 3]
    assert (video_length(path, 3, 0), video_length(path, 3, 2)) == (4, 2)
    assert [wanted_frames(n, 4, 0) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]


@pytest.mark.parametrize("content", [b"", b"this is no video", b"\x00\x00\x00\x20ftypisom"])
def test_what_is_no_video_is_one_clear_error(content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(DataError, match=r"clip\.mp4: is no video that OpenCV reads; convert it"):
        list(video_frames(tmp_path / "clip.mp4", 1, 0))
    assert capfd.readouterr().err == ""


def write_frames(path: Path, *sizes: tuple[int, int], is_killed: bool = False) -> None:
    with video_writer(path, 5.0) as add:
        for size in sizes:
            add(Image.new("RGB", size))
        if is_killed:
            raise KeyboardInterrupt


def test_an_unfinished_video_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_frames(tmp_path / "clip.mp4", (8, 8), is_killed=True)
    with pytest.raises(ValueError, match="no frame to write"):
        write_frames(tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_frames_of_two_sizes_and_unknown_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a frame of \(8, 10\) pixels in a video of \(8, 8\)"):
        write_frames(tmp_path / "clip.avi", (8, 8), (8, 10))
    with pytest.raises(ValueError, match=r"no codec for this ending; choose from \.mp4, \.avi"):
        write_frames(tmp_path / "clip.gif", (8, 8))


def test_a_video_that_ends_early_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "clip.avi", 30)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    numbers = [number for number, _ in video_frames(path, 1, 0)]
    assert 0 < len(numbers) < 30
    assert f"ends after {len(numbers)} of the 30 frames" in capsys.readouterr().out
