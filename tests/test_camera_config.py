import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera.config import CameraConfig, GpsConfig, SourceKind


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("v4l2:/dev/video0", SourceKind.V4L2),
        ("rtsp://camera.example/1", SourceKind.RTSP),
        ("rtsps://camera.example/1", SourceKind.RTSP),
        ("picamera2", SourceKind.PICAMERA2),
        ("picamera2:1", SourceKind.PICAMERA2),
        ("picamera2.mp4", SourceKind.RECORDING),
        ("drive.mp4", SourceKind.RECORDING),
        ("/media/usb/rtsp drive", SourceKind.RECORDING),
    ],
)
def test_source_is_told_by_its_form(source: str, kind: SourceKind) -> None:
    assert CameraConfig("front", source).kind is kind


def test_number_of_a_pi_camera_is_zero_unless_given() -> None:
    assert CameraConfig("front", "picamera2").picamera_number == 0
    assert CameraConfig("front", "picamera2:1").picamera_number == 1


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": ""}, "name"),
        ({"name": "front left"}, "name"),
        ({"name": "../x"}, "name"),
        ({"source": ""}, "source"),
        ({"source": "v4l2:"}, "source"),
        ({"source": "picamera2:first"}, "source"),
        ({"pace": "slow"}, "pace"),
        ({"source": "v4l2:/dev/video0", "pace": "fast"}, "pace"),
        ({"source": "rtsp://camera.example/1", "loop": True}, "loop"),
        ({"width_px": 0}, "width_px"),
        ({"height_px": 5000}, "height_px"),
        ({"frames_per_s": 0.0}, "frames_per_s"),
        ({"frames_per_s": float("nan")}, "frames_per_s"),
        ({"stall_timeout_s": 0.0}, "stall_timeout_s"),
        ({"reopen_first_s": 0.0}, "reopen_first_s"),
        ({"reopen_first_s": 10.0, "reopen_max_s": 5.0}, "reopen_first_s"),
    ],
)
def test_value_that_cannot_be_meant_is_refused_by_its_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        dataclasses.replace(CameraConfig("front", "drive.mp4"), **change)


def test_address_with_its_password_is_not_in_repr() -> None:
    assert "hush" not in repr(CameraConfig("front", "rtsp://user:hush@camera.example/1"))


@pytest.mark.parametrize(
    ("gpsd", "host", "port"),
    [("127.0.0.1:2947", "127.0.0.1", 2947), ("localhost:1", "localhost", 1), ("[::1]:2947", "::1", 2947)],
)
def test_address_of_gpsd_is_taken_apart(gpsd: str, host: str, port: int) -> None:
    config = GpsConfig(gpsd)
    assert (config.host, config.port) == (host, port)


@pytest.mark.parametrize("gpsd", ["gps.example:2947", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":2947"])
def test_address_of_gpsd_that_needs_a_name_server_or_has_no_port_is_refused(gpsd: str) -> None:
    with pytest.raises(ValueError, match=r"gps\.gpsd"):
        GpsConfig(gpsd)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_source_or_a_value_error(text: str) -> None:
    try:
        config = CameraConfig("front", text)
    except ValueError:
        return
    assert config.kind in SourceKind
