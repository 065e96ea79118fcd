"""What the vote over a passing adds to the best single frame of it.

For each passing whose plate is known, four texts are compared with it, O taken as 0 and I as 1: that of any
one of its frames (the share of its frames that are right), of the most legible frame (`vote.weight`), of the
frame whose weakest character is surest, and of the vote over all of them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from recognizer import image
from recognizer.onnx import Recognizer
from recognizer.plate import Plate, fold, normalise
from recognizer.read import Box, PlateCandidate
from recognizer.vote import vote, weight
from training.detector.measure import iou
from training.readers import candidate_of
from training.validation import LabelledCrop, Pixels

LEAST_VIEWS = 2
_LEAST_OVERLAP = 0.3


@dataclass(frozen=True, slots=True)
class Sighting:
    """A plate in one frame, as a detector cut it."""

    crop: Pixels = field(repr=False)
    box: Box
    detection_confidence: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One plate in several frames."""

    truth: Plate = field(repr=False)
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Passing:
    """One plate, and what a reader made of it in each frame."""

    truth: Plate = field(repr=False)
    candidates: tuple[PlateCandidate, ...]


def sighting(pixels: Pixels, candidate: PlateCandidate) -> Sighting:
    """Return what the detector saw of *candidate* in *pixels*."""
    crop = image.cut(pixels, image.crop_box(candidate.box, pixels.shape)).copy()
    return Sighting(crop, candidate.box, candidate.detection_confidence, candidate.sharpness)


def read(seen: Iterable[Seen], reader: Recognizer) -> list[Passing]:
    """Return what *reader* makes of all that was seen."""
    return [
        Passing(
            plate.truth,
            tuple(
                candidate_of(reader.read(s.crop), s.box, s.detection_confidence, s.sharpness)
                for s in plate.sightings
            ),
        )
        for plate in seen
    ]


def voting_figures(passings: Sequence[Passing]) -> dict[str, float]:
    """Return `frames` (a passing, on average) and the share of passings right by `average_frame`,
    `most_legible`, `most_confident` and `vote`. *passings* must not be empty, nor any of them."""
    total = len(passings)

    def share(texts: Iterable[str]) -> float:
        return sum(fold(Plate(t)) == fold(p.truth) for t, p in zip(texts, passings, strict=True)) / total

    any_frame = [
        sum(fold(c.text) == fold(p.truth) for c in p.candidates) / len(p.candidates) for p in passings
    ]
    return {
        "frames": sum(len(p.candidates) for p in passings) / total,
        "average_frame": sum(any_frame) / total,
        "most_legible": share(max(p.candidates, key=weight).text for p in passings),
        "most_confident": share(max(p.candidates, key=_weakest).text for p in passings),
        "vote": share(_voted(p.candidates) for p in passings),
    }


def _weakest(candidate: PlateCandidate) -> float:
    return min(candidate.confidences, default=0.0)


def _voted(candidates: Sequence[PlateCandidate]) -> str:
    return vote(candidates).plate if any(candidate.text for candidate in candidates) else ""


def views(crops: Iterable[LabelledCrop]) -> list[Seen]:
    """Return the plates of which there are several crops; crops of one text are of one plate."""
    grouped: dict[str, list[Sighting]] = defaultdict(list)
    for crop in crops:
        height, width = crop.pixels.shape[:2]
        box = Box(0, 0, width, height)
        grouped[crop.text].append(Sighting(crop.pixels, box, 1.0, image.sharpness(crop.pixels)))
    return [
        Seen(normalise(text), tuple(found)) for text, found in grouped.items() if len(found) >= LEAST_VIEWS
    ]


def drive(folder: Path, detector: Recognizer) -> list[Seen]:
    """Return the plates of the rendered drive in *folder* (`training.drive`), where *detector* finds them.

    A plate found in fewer than two of its frames has nothing to vote on and is left out.
    """
    rows = [json.loads(line) for line in (folder / "drive.truth.jsonl").read_text().splitlines()]
    found: list[list[Sighting]] = [[] for _ in rows]
    recording = cv2.VideoCapture(str(folder / "drive.mp4"))
    number = 0
    while (grabbed := recording.read())[0]:
        pixels = np.asarray(grabbed[1], np.uint8)
        visible = [(index, row["boxes"][str(number)]) for index, row in enumerate(rows)
                   if str(number) in row["boxes"]]  # fmt: skip
        candidates = detector.candidates_in(pixels) if visible else ()
        if candidates:
            boxes = np.array([[c.box.left, c.box.top, c.box.right, c.box.bottom] for c in candidates])
            table = iou(np.array([box for _, box in visible], np.float32), boxes.astype(np.float32))
            for (index, _), overlaps in zip(visible, table, strict=True):
                best = int(overlaps.argmax())
                if overlaps[best] >= _LEAST_OVERLAP:
                    found[index].append(sighting(pixels, candidates[best]))
        number += 1
    if number == 0:
        raise OSError(f"{folder / 'drive.mp4'} cannot be read as a video")
    return [
        Seen(normalise(row["plate"]), tuple(sightings))
        for row, sightings in zip(rows, found, strict=True)
        if len(sightings) >= LEAST_VIEWS
    ]
