import os

import pytest

from camera import CameraLostError
from camera.config import CameraConfig
from camera.rtsp import shown
from camera.source import open_source
from camera.v4l2 import stamp_ns


def test_v4l2_device_that_is_not_there_is_a_lost_camera_with_a_remedy() -> None:
    with pytest.raises(CameraLostError) as caught:
        open_source(CameraConfig("front", "v4l2:/dev/video-none"))
    assert str(caught.value) == "/dev/video-none is not there; check the camera's cable and cameras.source"


def test_file_that_is_no_video_device_is_a_lost_camera() -> None:
    with pytest.raises(CameraLostError, match="cannot be opened"):
        open_source(CameraConfig("front", "v4l2:/dev/null"))


def test_stream_that_nobody_serves_is_a_lost_camera_shown_without_its_password() -> None:
    with pytest.raises(CameraLostError) as caught:
        open_source(CameraConfig("front", "rtsp://user:hush@127.0.0.1:9/secret"))
    assert "rtsp://127.0.0.1:9 cannot be opened" in str(caught.value)
    assert "hush" not in str(caught.value) and "secret" not in str(caught.value)
    assert "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in os.environ, "recordings opened later lose frames by it"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("rtsp://camera.example/1", "rtsp://camera.example"),
        ("rtsp://user:hush@camera.example:554/1?key=hush", "rtsp://camera.example:554"),
        ("rtsp://user:hu@sh@camera.example/1", "the stream"),
        ("rtsp://user:hu/sh@camera.example/1", "the stream"),
        ("rtsp://", "the stream"),
    ],
)
def test_address_is_shown_without_what_could_be_a_password(url: str, text: str) -> None:
    assert shown(url) == text


@pytest.mark.parametrize(
    ("driver_ms", "stamp"),
    [
        (9_900.0, 9_900_000_000),  # a tenth of a second in the driver's queue
        (10_000.0, 10_000_000_000),
        (0.0, 10_000_000_000),  # no stamp
        (10_000.5, 10_000_000_000),  # in the future: another clock
        (1.7e12, 10_000_000_000),  # wall-clock time
    ],
)
def test_stamp_of_the_driver_is_believed_only_if_it_can_be_the_monotonic_clock(
    driver_ms: float, stamp: int
) -> None:
    assert stamp_ns(driver_ms, 10_000_000_000) == stamp


def test_picamera2_is_not_opened_in_a_process_of_this_environment() -> None:
    with pytest.raises(ValueError, match="system's Python"):
        open_source(CameraConfig("front", "picamera2"))
