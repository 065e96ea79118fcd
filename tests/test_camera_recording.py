import os
import time
from pathlib import Path

import pytest

from camera import RecordingUnreadableError
from camera.config import CameraConfig
from camera.recording import fixes_beside
from camera.source import open_source
from tests.drives import HEIGHT, WIDTH, image_folder, number_in, video_file


def test_folder_gives_every_image_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 12)
    (folder / "notes.txt").write_text("not an image")
    source = open_source(CameraConfig("front", str(folder), pace="fast", frames_per_s=10))
    pictures = list(source.pictures())
    assert [number_in(picture.pixels) for picture in pictures] == list(range(12))
    assert [picture.sequence for picture in pictures] == list(range(12))
    assert [picture.media_time_s for picture in pictures] == [pytest.approx(i / 10) for i in range(12)]
    assert all(picture.pixels.shape == (HEIGHT, WIDTH, 3) for picture in pictures)


def test_video_gives_every_frame_with_its_time_in_the_drive(tmp_path: Path) -> None:
    video = video_file(tmp_path / "drive.avi", 9, frames_per_s=20)
    pictures = list(open_source(CameraConfig("front", str(video), pace="fast")).pictures())
    assert [number_in(picture.pixels) for picture in pictures] == list(range(9))
    assert [picture.media_time_s for picture in pictures] == [pytest.approx(i / 20) for i in range(9)]


def test_recording_read_fast_is_stamped_by_the_drive_not_by_the_reading(tmp_path: Path) -> None:
    video = video_file(tmp_path / "drive.avi", 9, frames_per_s=1)
    begun_ns = time.monotonic_ns()
    pictures = list(open_source(CameraConfig("front", str(video), pace="fast")).pictures())
    assert time.monotonic_ns() - begun_ns < 4e9
    assert pictures[-1].taken_at_ns - pictures[0].taken_at_ns == pytest.approx(8e9)


def test_recording_in_real_time_takes_the_time_of_the_drive(tmp_path: Path) -> None:
    video = video_file(tmp_path / "drive.avi", 6, frames_per_s=20)
    source = open_source(CameraConfig("front", str(video)))
    begun_ns = time.monotonic_ns()
    pictures = list(source.pictures())
    assert time.monotonic_ns() - begun_ns >= 0.25e9
    assert all(picture.taken_at_ns <= time.monotonic_ns() for picture in pictures)


def test_loop_goes_on_after_the_end_with_rising_numbers_and_times(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 3)
    pictures = open_source(CameraConfig("front", str(folder), pace="fast", loop=True)).pictures()
    seven = [next(pictures) for _ in range(7)]
    assert [number_in(picture.pixels) for picture in seven] == [0, 1, 2, 0, 1, 2, 0]
    assert [picture.sequence for picture in seven] == list(range(7))
    times = [picture.taken_at_ns for picture in seven]
    assert times == sorted(set(times))
    assert seven[3].media_time_s == 0.0


def test_loop_over_a_folder_that_was_emptied_ends_in_an_error_not_in_a_busy_wait(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 1)
    pictures = open_source(CameraConfig("front", str(folder), pace="fast", loop=True)).pictures()
    next(pictures)
    (folder / "0.png").unlink()
    with pytest.raises(RecordingUnreadableError):
        next(pictures)


def test_video_cut_short_gives_the_frames_that_are_whole(tmp_path: Path) -> None:
    video = video_file(tmp_path / "drive.avi", 60)
    os.truncate(video, video.stat().st_size * 3 // 4)
    pictures = list(open_source(CameraConfig("front", str(video), pace="fast")).pictures())
    assert 3 <= len(pictures) < 60


def broken_recordings(tmp_path: Path) -> dict[str, Path]:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    no_frame = video_file(tmp_path / "header.avi", 0)
    head = video_file(tmp_path / "head.avi", 20)
    os.truncate(head, 200)
    (tmp_path / "nothing").mkdir()
    scribble = image_folder(tmp_path / "scribble", 1)
    (scribble / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n then nothing of use")
    return {
        "missing": tmp_path / "missing.mp4",
        "empty": empty,
        "text": text,
        "no frame": no_frame,
        "only a head": head,
        "folder without images": tmp_path / "nothing",
        "broken image": scribble,
    }


@pytest.mark.parametrize(
    "which",
    ["missing", "empty", "text", "no frame", "only a head", "folder without images", "broken image"],
)
def test_recording_without_a_readable_picture_is_refused_in_one_line(tmp_path: Path, which: str) -> None:
    path = broken_recordings(tmp_path)[which]
    with pytest.raises(RecordingUnreadableError) as caught:
        open_source(CameraConfig("front", str(path), pace="fast"))
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_image_in_the_middle_is_an_error_not_the_end(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "drive", 3)
    (folder / "1.png").write_bytes(b"broken")
    pictures = open_source(CameraConfig("front", str(folder), pace="fast")).pictures()
    next(pictures)
    with pytest.raises(RecordingUnreadableError, match="image number 2"):
        next(pictures)


def test_fixes_beside_a_video_are_read_in_the_order_of_their_time(tmp_path: Path) -> None:
    (tmp_path / "drive.fixes.csv").write_text(
        "t_s,lat_deg,lon_deg,speed_mps,track_deg\n1.0,0.25,0.5,13.5,370\n0.0,0.125,0.5,,\n"
    )
    first, second = fixes_beside(tmp_path / "drive.mp4")
    assert (first.media_time_s, first.latitude_deg, first.speed_mps, first.course_deg) == (
        0,
        0.125,
        None,
        None,
    )
    assert (second.media_time_s, second.latitude_deg, second.speed_mps) == (1, 0.25, 13.5)
    assert second.course_deg == 10


def test_recording_without_a_file_of_fixes_has_none(tmp_path: Path) -> None:
    assert fixes_beside(tmp_path / "drive.mp4") == ()


@pytest.mark.parametrize("line", ["0,91.5,0.5,,", "0,nan,0.5,,", "0,0.5", "zero,0.5,0.5,,", "0,0.5,181,,"])
def test_line_that_is_no_fix_is_named_by_its_number_and_never_quoted(tmp_path: Path, line: str) -> None:
    folder = image_folder(tmp_path / "drive", 1)
    head = "t_s,lat_deg,lon_deg,speed_mps,track_deg\n0,0.5,0.5,,\n"
    (tmp_path / "drive.fixes.csv").write_text(head + line + "\n")
    with pytest.raises(RecordingUnreadableError, match="line 3 is not a fix") as caught:
        fixes_beside(folder)
    assert "91.5" not in str(caught.value) and "181" not in str(caught.value)
    assert caught.value.__cause__ is None
