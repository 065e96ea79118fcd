"""Full frames, detector frames and recordings, through the unit's own detector, reader and tracker."""

import importlib
import itertools
import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera.frame import Frame, Moment, TimeQuality
from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from recognizer.pack import Measurement
from recognizer.plate import Plate, fold, normalise
from recognizer.read import PlateCandidate, PlateRead
from recognizer.track import Tracker
from training.attempts import Attempt, alignment, jurisdiction_shares, reading_shares
from training.coverage import OPERATING_POINT, point, point_figures
from training.detector.frames import read_set, shared_root
from training.readers import Contest, Look
from training.validation import FRAMES, Label, boxes, labels, picture
from training.voting import LEAST_VIEWS, Seen, Sighting, sighting

_START = datetime(2000, 1, 1, tzinfo=UTC)
_PLATE_CONFIDENCE = RecognizerConfig().plate_confidence


def scorer(name: str) -> Any:
    """Return the scoring script *name* of the shared folder as a module."""
    folder = str(shared_root() / "eval")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def end_to_end(contest: Contest, name: str) -> dict[str, tuple[Measurement, list[Attempt]]]:
    """Measure each contender on the full frames of set *name*, looked at in two scales.

    Of all that is found in a picture, the reading nearest to the label is taken for the labelled plate's,
    wherever it was read; boxes, where there are any, say what was found and what is false.
    """
    folder = shared_root() / "data" / FRAMES[name] / name
    texts = list(labels(folder / "labels.csv"))
    looks: dict[str, list[Look]] = {}
    for label in texts:
        for contender, look in contest.looks(picture(label.path), close_ups=True).items():
            looks.setdefault(contender, []).append(look)
    return {contender: _scored(name, folder, texts, found) for contender, found in looks.items()}


def _scored(
    name: str, folder: Path, texts: list[Label], looks: list[Look]
) -> tuple[Measurement, list[Attempt]]:
    attempts = [nearest(label, look.candidates) for label, look in zip(texts, looks, strict=True)]
    figures = reading_shares(attempts)
    if known := boxes(folder):
        score = scorer("score")
        truth = {
            label.path.name: [(label.text, _corners(known[label.path.name]))]
            for label in texts
            if label.path.name in known
        }
        predictions = {
            label.path.name: {"plates": [{"text": c.text, "box": _corners(c.box)} for c in look.candidates]}
            for label, look in zip(texts, looks, strict=True)
        }
        scored = score.score(truth, predictions)
        figures["recall_50"], figures["recall_30"] = scored["recall_iou50"], scored["recall_iou30"]
        figures["false_per_image"] = scored["false_positives_per_image"]
    else:
        figures["plates_per_image"] = sum(len(look.candidates) for look in looks) / len(looks)
    figures |= jurisdiction_shares(attempts) | point_figures(point(attempts, OPERATING_POINT))
    figures["detect_ms"] = statistics.median(look.detect_ms for look in looks)
    figures["read_ms"] = statistics.median(look.read_ms for look in looks)
    return Measurement("end to end", name, len(texts), figures), attempts


def nearest(label: Label, candidates: tuple[PlateCandidate, ...]) -> Attempt:
    """Return the candidate whose text is nearest to the label's as what was read of it."""
    truth = normalise(label.text)

    def distance(candidate: PlateCandidate) -> tuple[int, int, float]:
        folded = alignment(fold(truth), fold(candidate.text))[0]
        return folded, alignment(truth, candidate.text)[0], -min(candidate.confidences, default=0.0)

    found = min((c for c in candidates if c.text), key=distance, default=None)
    if found is None:
        return Attempt(truth, Plate(""), (), label.jurisdiction, None)
    sure = found.detection_confidence >= _PLATE_CONFIDENCE
    return Attempt(truth, found.text, found.confidences, label.jurisdiction, found.jurisdiction, sure)


def detector(recognizer: Recognizer, name: str) -> Measurement:
    """Score found boxes against labelled ones, best overlap first, one to one, all scales of single
    pictures."""
    score = scorer("score")
    plates = images = strict = loose = false = 0
    spent_ms = []
    for frame in read_set(name, "val"):
        found = [_corners(c.box) for c in recognizer.candidates_in(frame.pixels, close_ups=True)]
        spent_ms.append(recognizer.timings.detect_ms)
        overlap = score.iou_matrix(frame.boxes, found)
        matched = score.match_count(overlap, score.MATCH_IOU)
        strict += score.match_count(overlap, score.STRICT_IOU)
        loose, false = loose + matched, false + len(found) - matched
        images, plates = images + 1, plates + len(frame.boxes)
    figures = {"recall_50": strict / plates, "recall_30": loose / plates, "false_per_image": false / images}
    return Measurement("detector", name, images, figures | {"detect_ms": statistics.median(spent_ms)})


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording on disk."""

    path: Path
    shown: str
    """A name for it that holds no plate."""
    plate: str | None = field(repr=False)
    """What it is known for, if its file's name says so."""


def recordings() -> Iterator[Recording]:
    """Give each recording of the shared folder."""
    for number, path in enumerate(sorted((shared_root() / "data" / "video").iterdir()), 1):
        parts = path.stem.split("_")
        plates = [part for part in parts if re.fullmatch(r"(?=.*[0-9])[A-Z0-9]{5,8}", part)]
        shown = "_".join(part for part in parts if part not in plates)
        yield Recording(path, f"{number} {shown}", plates[0] if plates else None)


def video(recognizer: Recognizer, recording: Recording) -> tuple[Measurement, Seen | None]:
    """Run a recording through recogniser and tracker at its own speed.

    Also gives what the detector saw of the plate it is known for, if there is one: the widest of each frame,
    for each such recording draws near to one car.
    """
    reader = cv2.VideoCapture(str(recording.path))
    rate = reader.get(cv2.CAP_PROP_FPS) or 25.0
    ids = itertools.count()
    tracker = Tracker(RecognizerConfig(), lambda: str(next(ids)))
    reads: list[PlateRead] = []
    widest: list[Sighting] = []
    sequence = found = 0
    while (grabbed := reader.read())[0]:
        at_s = sequence / rate
        moment = Moment(_START + timedelta(seconds=at_s), round(at_s * 1e9), "", TimeQuality.UNSYNCHRONISED)
        frame = Frame(recording.shown, sequence, moment, np.asarray(grabbed[1], np.uint8))
        candidates = recognizer.candidates(frame)
        found += len(candidates)
        reads += tracker.update(frame, candidates)
        if recording.plate is not None and candidates:
            widest.append(sighting(frame.pixels, max(candidates, key=lambda c: c.box.width)))
        sequence += 1
    reads = standing([*reads, *tracker.flush()])
    figures = {"reads": float(len(reads)), "candidates": float(found)}
    row = Measurement("video", recording.shown, sequence, figures)
    if recording.plate is None:
        return row, None
    truth = normalise(recording.plate)
    figures["right"] = float(sum(fold(read.plate) == fold(truth) for read in reads))
    return row, Seen(truth, tuple(widest)) if len(widest) >= LEAST_VIEWS else None


def standing(reads: Sequence[PlateRead]) -> list[PlateRead]:
    """Return *reads* without those that a later one corrects."""
    corrected = {read.revises for read in reads}
    return [read for read in reads if read.read_id not in corrected]


def _corners(box: Any) -> list[float]:
    return [box.left, box.top, box.right, box.bottom]
