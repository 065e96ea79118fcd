"""What can go wrong between a lens and a frame, named by what the catcher does."""


class CameraError(Exception):
    """Base of this folder's errors."""


class CameraLostError(CameraError):
    """A live source hung, died or was unplugged: reopen it, waiting longer each time."""


class RecordingUnreadableError(CameraError):
    """A file or folder is not a recording that can be read: tell the person, do not retry."""
