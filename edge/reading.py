"""Reads single pictures: one JSON line each, for people, for scripts and for measuring accuracy."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from recognizer.onnx import Recognizer
from recognizer.read import PlateCandidate


@dataclass(frozen=True, slots=True)
class ImagesRead:
    """What became of the pictures asked for."""

    images: int
    """Pictures read, also those without a plate."""
    plates: int
    unreadable: tuple[str, ...]
    """A line for each picture that could not be opened: which, and why."""

    @property
    def exit_code(self) -> int:
        """0 if every picture was read, otherwise 66 (EX_NOINPUT of sysexits.h)."""
        return 66 if self.unreadable else 0


def read_images(paths: Sequence[Path], recognizer: Recognizer, out: TextIO) -> ImagesRead:
    """Read the plates of the pictures at *paths* and write one JSON object a line to *out*, in their order.

    A line holds `image` (the file's name, or the path as given where two share a name), `ms` (finding and
    reading, without opening the file) and `plates`, the surest first, each with `text`, `confidence` (that of
    the weakest character), `box` ([left, top, right, bottom], pixels), `char_confidences`, `jurisdiction`,
    `jurisdiction_confidence`, `detection_confidence`, and `prefix` with `prefix_confidence`, the letters
    stacked beside the text and how sure the weakest of them is ("" and null where there are none).

    A picture that cannot be opened has no line; the others are read all the same.
    """
    names = Counter(path.name for path in paths)
    images = plates = 0
    unreadable: list[str] = []
    for path in paths:
        pixels = _opened(path)
        if isinstance(pixels, str):
            unreadable.append(f"{path}: {pixels}")
            continue
        started_ns = time.monotonic_ns()
        candidates = recognizer.candidates_in(pixels, close_ups=True)
        spent_ms = (time.monotonic_ns() - started_ns) / 1e6
        name = path.name if names[path.name] == 1 else str(path)
        found = sorted(map(_plate, candidates), key=lambda plate: -plate["confidence"])
        json.dump({"image": name, "ms": round(spent_ms, 2), "plates": found}, out)
        out.write("\n")
        images, plates = images + 1, plates + len(found)
    return ImagesRead(images, plates, tuple(unreadable))


def _plate(candidate: PlateCandidate) -> dict[str, Any]:
    box, opinion = candidate.box, candidate.jurisdiction
    stacked = [position[0][1] for position in candidate.prefix]
    return {
        "text": candidate.text,
        "confidence": round(min(candidate.confidences, default=0.0), 4),
        "box": [box.left, box.top, box.right, box.bottom],
        "char_confidences": [round(confidence, 4) for confidence in candidate.confidences],
        "jurisdiction": opinion.code if opinion else None,
        "jurisdiction_confidence": round(opinion.confidence, 4) if opinion else None,
        "detection_confidence": round(candidate.detection_confidence, 4),
        "prefix": candidate.prefix_text,
        "prefix_confidence": round(min(stacked), 4) if stacked else None,
    }


def _opened(path: Path) -> "np.ndarray[Any, np.dtype[np.uint8]] | str":
    """Return the picture at *path*, BGR, turned as its EXIF tag says; or why there is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    if not content:
        return "is empty"
    # Not imread: it prints to stderr itself and does not say why it failed.
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        return f"cannot be decoded: {error.err}"
    return "is not a picture, or is damaged" if pixels is None else np.asarray(pixels, np.uint8)
