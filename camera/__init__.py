"""Pictures come in from a device, a network or a file; pictures with their moment and place go out."""

from camera.errors import CameraError, CameraLostError, RecordingUnreadableError
from camera.fix import Fix
from camera.frame import Frame, Moment, TimeQuality

__all__ = [
    "CameraError",
    "CameraLostError",
    "Fix",
    "Frame",
    "Moment",
    "RecordingUnreadableError",
    "TimeQuality",
]
