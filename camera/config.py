"""What the configuration file says about cameras and the GPS receiver, checked when it is made."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

_V4L2 = "v4l2:"
_PICAMERA2 = re.compile(r"picamera2(?::(\d{1,2}))?")
_RTSP = re.compile(r"rtsps?://", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_GPSD = re.compile(r"(localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:]+\]):(\d{1,5})")


class SourceKind(StrEnum):
    """What stands behind a camera's `source`."""

    V4L2 = "v4l2"
    RTSP = "rtsp"
    PICAMERA2 = "picamera2"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """One `[[cameras]]` table. Raises ValueError, naming the key, where a value cannot be meant."""

    name: str
    """Letters, digits, `-` and `_`; unique in the unit; written into every read."""
    source: str = field(repr=False)
    """`v4l2:/dev/video0`, `rtsp://…`, `picamera2`, `picamera2:0`, or the path of a video file or of a
    folder of images. Not in `repr`: an RTSP address carries its password."""
    pace: Literal["realtime", "fast"] = "realtime"
    """Recordings only: as fast as they were filmed, newest frame wins; or every frame, none dropped."""
    loop: bool = False
    """Recordings only: begin again at the end."""
    width_px: int = 1280
    """Asked of V4L2 and picamera2 devices; the others come in the size they have."""
    height_px: int = 720
    frames_per_s: float = 15.0
    """Asked of V4L2 and picamera2 devices; also the pace of a folder of images, which has none."""
    stall_timeout_s: float = 5.0
    """A live camera that gave no picture for so long is killed and reopened."""
    open_timeout_s: float = 15.0
    """How long an opening may take until its first picture."""
    reopen_first_s: float = 1.0
    reopen_max_s: float = 60.0
    """The wait before a reopening doubles from the first to the longest."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError("cameras.name: use 1 to 32 letters, digits, '-' or '_'")
        if not self.source or "\0" in self.source or self.source == _V4L2:
            raise ValueError(f"cameras.source of {self.name}: name a device, an address or a path")
        if self.source.startswith("picamera2:") and not _PICAMERA2.fullmatch(self.source):
            raise ValueError(f"cameras.source of {self.name}: write picamera2 or picamera2:NUMBER")
        if self.pace not in ("realtime", "fast"):
            raise ValueError(f"cameras.pace of {self.name}: use 'realtime' or 'fast'")
        if self.pace == "fast" and self.kind is not SourceKind.RECORDING:
            raise ValueError(f"cameras.pace of {self.name}: only a recording can be read 'fast'")
        if self.loop and self.kind is not SourceKind.RECORDING:
            raise ValueError(f"cameras.loop of {self.name}: only a recording can be looped")
        if not (16 <= self.width_px <= 3840 and 16 <= self.height_px <= 2160):
            raise ValueError(f"cameras.width_px and height_px of {self.name}: from 16x16 to 3840x2160")
        if not 0.1 <= self.frames_per_s <= 240:
            raise ValueError(f"cameras.frames_per_s of {self.name}: from 0.1 to 240")
        if not (0.1 <= self.stall_timeout_s <= 600 and 0.1 <= self.open_timeout_s <= 600):
            raise ValueError(f"cameras.stall_timeout_s and open_timeout_s of {self.name}: from 0.1 to 600")
        if not 0.01 <= self.reopen_first_s <= self.reopen_max_s <= 3600:
            raise ValueError(
                f"cameras.reopen_first_s of {self.name}: from 0.01 to reopen_max_s, 3600 at most"
            )

    @property
    def kind(self) -> SourceKind:
        """What `source` is, told by its form alone; nothing is opened."""
        if self.source.startswith(_V4L2):
            return SourceKind.V4L2
        if _RTSP.match(self.source):
            return SourceKind.RTSP
        if _PICAMERA2.fullmatch(self.source):
            return SourceKind.PICAMERA2
        return SourceKind.RECORDING

    @property
    def device(self) -> str:
        """The V4L2 device's path, `/dev/video0`. Raises ValueError for another kind."""
        if self.kind is not SourceKind.V4L2:
            raise ValueError("not a V4L2 source")
        return self.source.removeprefix(_V4L2)

    @property
    def picamera_number(self) -> int:
        """Which of the Pi's cameras, from 0. Raises ValueError for another kind."""
        found = _PICAMERA2.fullmatch(self.source)
        if not found:
            raise ValueError("not a picamera2 source")
        return int(found[1] or 0)

    @property
    def path(self) -> Path:
        """The recording's file or folder. Raises ValueError for another kind."""
        if self.kind is not SourceKind.RECORDING:
            raise ValueError("not a recording")
        return Path(self.source)


@dataclass(frozen=True, slots=True)
class GpsConfig:
    """The `[gps]` table. Raises ValueError, naming the key, where a value cannot be meant."""

    gpsd: str = "127.0.0.1:2947"
    """`address:port` of gpsd, the address in digits or `localhost`, so that no name server is waited
    for; empty for a unit without a receiver."""
    max_age_s: float = 2.0
    """A frame gets no fix that is further than this from it in time."""

    def __post_init__(self) -> None:
        if self.gpsd and not _GPSD.fullmatch(self.gpsd):
            raise ValueError("gps.gpsd: write an address in digits and a port, such as 127.0.0.1:2947, or ''")
        if self.gpsd and not 1 <= self.port <= 65535:
            raise ValueError("gps.gpsd: the port is from 1 to 65535")
        if not 0 < self.max_age_s <= 60:
            raise ValueError("gps.max_age_s: more than 0, at most 60")

    @property
    def host(self) -> str:
        """The address without brackets; empty where there is no receiver."""
        return self.gpsd.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port; 0 where there is no receiver."""
        return int(self.gpsd.rpartition(":")[2] or 0)
