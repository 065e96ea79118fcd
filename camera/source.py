"""What any camera offers: pictures, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from camera.config import CameraConfig, SourceKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as its source gave it: no wall clock, no place yet."""

    sequence: int
    """Counts from 0 for each opening of the source."""
    taken_at_ns: int
    """CLOCK_MONOTONIC. Of a recording read fast: its opening plus `media_time_s`, so that the spacing of
    its pictures is that of the drive, not that of the reading machine."""
    pixels: npt.NDArray[np.uint8] = field(repr=False, compare=False)
    """Shape (height, width, 3), BGR, C order; owned by whoever gets it."""
    media_time_s: float | None = None
    """Seconds from the recording's beginning, from 0 again for each round of a loop; None of live ones."""


class Source(Protocol):
    """One open camera or recording, used by one thread."""

    def pictures(self) -> Iterator[Picture]:
        """Give the pictures as they come, waiting for each; end where a recording ends.

        Raises CameraLostError when a live source fails (it never just ends), RecordingUnreadableError
        when a recording's content cannot be read.
        """

    def close(self) -> None:
        """Let the device or file go. May be called twice."""


def open_source(config: CameraConfig) -> Source:
    """Open what *config* names, in this process.

    A live source may block for ever in its driver: call this from `camera.child` only. picamera2 is not
    among them (it lives under the system's Python, see `camera.picamera`): ValueError.

    Raises CameraLostError or RecordingUnreadableError where it cannot be opened.
    """
    # Imported here: each costs OpenCV, which a unit with picamera2 alone need not load twice.
    match config.kind:
        case SourceKind.V4L2:
            from camera.v4l2 import V4l2Source

            return V4l2Source(config)
        case SourceKind.RTSP:
            from camera.rtsp import RtspSource

            return RtspSource(config)
        case SourceKind.RECORDING:
            from camera.recording import open_recording

            return open_recording(config)
        case SourceKind.PICAMERA2:
            raise ValueError("picamera2 is opened by camera/picamera.py under the system's Python")
