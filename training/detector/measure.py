"""How many plates are found, how many false ones are claimed: by set, by plate width, by threshold."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from training.detector.frames import Boxes, LabelledFrame, Pixels

Detect = Callable[[Pixels], Boxes]
"""Takes a BGR frame, gives (n, 5): left, top, right, bottom, score, in that frame's pixels."""

WIDTH_BINS = (0, 14, 20, 26, 34, 48, 80, 150, 300, 10_000)


@dataclass(frozen=True, slots=True)
class Claim:
    score: float
    right: bool
    """Whether it meets a labelled plate at the asked overlap; the second claim on a plate does not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One set of frames after the detector has seen it, at a low threshold."""

    images: int
    widths_px: tuple[float, ...]
    """Each labelled plate's width at the network's input."""
    found_at: dict[float, tuple[float, ...]]
    """For each overlap, the score with which each plate was found; 0 if it was not."""
    false_scores: tuple[float, ...]
    """Scores of the claims that meet no plate even at the lowest overlap."""

    def recall(self, overlap: float, threshold: float) -> float:
        found = self.found_at[overlap]
        return sum(score >= threshold for score in found) / max(1, len(found))

    def false_per_image(self, threshold: float) -> float:
        return sum(score >= threshold for score in self.false_scores) / max(1, self.images)

    def recall_by_width(self, overlap: float, threshold: float) -> dict[str, tuple[float, int]]:
        table: dict[str, tuple[float, int]] = {}
        for low, high in itertools.pairwise(WIDTH_BINS):
            inside = [
                score >= threshold
                for score, width in zip(self.found_at[overlap], self.widths_px, strict=True)
                if low <= width < high
            ]
            if inside:
                table[f"{low}-{high}"] = (round(sum(inside) / len(inside), 4), len(inside))
        return table


def measure(frames: Sequence[LabelledFrame], detect: Detect, input_px: int) -> Outcome:
    widths: list[float] = []
    found: dict[float, list[float]] = {0.5: [], 0.3: []}
    false: list[float] = []
    for frame in frames:
        claims = detect(frame.pixels)
        claims = claims[np.argsort(-claims[:, 4])]
        scale = input_px / max(frame.pixels.shape[:2])
        widths += [float(box[2] - box[0]) * scale for box in frame.boxes]
        table = iou(claims[:, :4], frame.boxes)
        for least, scores in found.items():
            met = _met(table, least)
            scores += [float(claims[met[k], 4]) if k in met else 0.0 for k in range(len(frame.boxes))]
        right = set(_met(table, 0.3).values())
        false += [float(claims[k, 4]) for k in range(len(claims)) if k not in right]
    return Outcome(len(frames), tuple(widths), {k: tuple(v) for k, v in found.items()}, tuple(false))


def _met(table: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", least: float) -> dict[int, int]:
    """Return which claim (best first) each plate is met by."""
    met: dict[int, int] = {}
    for claim, row in enumerate(table):
        free = [(float(v), k) for k, v in enumerate(row) if v >= least and k not in met]
        if free:
            met[max(free)[1]] = claim
    return met


def iou(first: Boxes, second: Boxes) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Return intersection over union of each of (n, 4) with each of (m, 4), shape (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    inner = np.prod((high - low).clip(0), axis=2)
    area = np.prod(first[:, 2:] - first[:, :2], axis=1)[:, None] + np.prod(
        second[:, 2:] - second[:, :2], axis=1
    )
    return np.asarray(inner / np.maximum(area - inner, 1e-6), np.float32)


def letterbox(pixels: Pixels, size_px: int) -> tuple[Pixels, float, int, int]:
    """Return a grey-padded square of *size_px*, the scale, and the left and top padding.

    The same arithmetic as open-image-models' ``letterbox``.
    """
    height, width = pixels.shape[:2]
    scale = size_px / max(height, width)
    inner = (round(width * scale), round(height * scale))
    left, top = round((size_px - inner[0]) / 2 - 0.1), round((size_px - inner[1]) / 2 - 0.1)
    square = np.full((size_px, size_px, 3), 114, np.uint8)
    scaled = cv2.resize(pixels, inner, interpolation=cv2.INTER_LINEAR)
    square[top : top + inner[1], left : left + inner[0]] = scaled
    return square, scale, left, top


def suppress(boxes: Boxes, scores: Boxes, least: float, overlap: float = 0.5) -> Boxes:
    """Keep the best of overlapping boxes: (n, 5), best first. As the exported graph does."""
    order = [int(k) for k in np.argsort(-scores) if scores[k] >= least][:300]
    kept: list[int] = []
    for k in order:
        if not kept or float(iou(boxes[k : k + 1, :4], boxes[kept][:, :4]).max()) <= overlap:
            kept.append(k)
    return np.concatenate([boxes[kept], scores[kept, None]], axis=1).astype(np.float32).reshape(-1, 5)
