"""The scene around a hit: the frame in which the read's best candidate stood, as a smaller JPEG.

Kept of hits alone, and only where `retention.context_images` says so: a scene shows people and cars that
nobody looks for. The newest frames with plates are held in memory; what is no hit leaves nothing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from camera.frame import Frame
from recognizer.read import PlateCandidate, PlateRead

MAX_WIDTH, QUALITY = 1280, 80
"""Pixels; of JPEG. About 150 kB a scene."""
FRAMES_HELD = 48
"""Of each camera: twice the candidates that a track keeps."""


@dataclass(frozen=True, slots=True)
class _Scene:
    evidence: tuple[bytes, ...] = field(repr=False)
    """Of its candidates: they tell which reads stand in it."""
    jpeg: bytes = field(repr=False)


class Contexts:
    """Remembers scenes of several cameras. For one thread."""

    def __init__(self) -> None:
        self._scenes: dict[str, deque[_Scene]] = {}

    def see(self, frame: Frame, candidates: Sequence[PlateCandidate]) -> None:
        """Remember *frame* if it shows a plate."""
        if not candidates:
            return
        held = self._scenes.setdefault(frame.camera, deque(maxlen=FRAMES_HELD))
        held.append(_Scene(tuple(each.evidence for each in candidates), _jpeg(frame)))

    def of(self, read: PlateRead) -> bytes:
        """Return the scene that the picture of *read* was cut from; empty if it is no longer held: another
        moment's scene would show another vehicle."""
        if not read.evidence:
            return b""  # a read without a picture: it was cut from no scene
        for scene in reversed(self._scenes.get(read.camera, ())):
            if any(each is read.evidence for each in scene.evidence):
                return scene.jpeg
        return b""


def _jpeg(frame: Frame) -> bytes:
    import cv2

    pixels = frame.pixels
    height, width = pixels.shape[:2]
    if width > MAX_WIDTH:
        size = (MAX_WIDTH, round(height * MAX_WIDTH / width))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    made, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes() if made else b""
