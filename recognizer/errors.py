"""What can go wrong between a frame and a read, named by what the catcher does."""


class RecognizerError(Exception):
    """Base of this folder's errors."""


class ModelInvalidError(RecognizerError):
    """A model's digest, shape or configuration is not what its manifest says: stop (exit 78)."""


class InferenceFailedError(RecognizerError):
    """The runtime refused to run a loaded model: count it and let the watchdog act."""
