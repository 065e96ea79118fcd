"""Labelled frames on disk, read into values."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]


def shared_root() -> Path:
    """Where the private data lies: ALPR_SHARED, or ``../shared`` beside the repository."""
    return Path(os.environ.get("ALPR_SHARED", Path(__file__).resolve().parents[3] / "shared"))


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    name: str
    """Set and file, such as ``ru_null07/images/1.jpg``."""
    pixels: Pixels = field(repr=False)
    """(height, width, 3), BGR."""
    boxes: Boxes = field(repr=False)
    """(n, 4), left, top, right, bottom in pixels."""
    stretched: bool
    """Whether the collection squeezed its pictures into a square, so that the true aspect is lost."""


def read_set(name: str, part: str) -> Iterator[LabelledFrame]:
    """Give the frames of detection set *name* listed in ``<part>.txt``.

    Raises FileNotFoundError naming the picture that a list promises and the folder lacks.
    """
    folder = shared_root() / "data" / "detection" / name
    for line in (folder / f"{part}.txt").read_text().split():
        pixels = _read(folder / line)
        height, width = pixels.shape[:2]
        label = (folder / "labels" / Path(line).name).with_suffix(".txt")
        rows = [row.split() for row in label.read_text().splitlines() if row.strip()]
        centred = np.array([[float(v) for v in row[1:5]] for row in rows], np.float32).reshape(-1, 4)
        half = centred[:, 2:] / 2
        boxes = np.concatenate([centred[:, :2] - half, centred[:, :2] + half], axis=1)
        boxes *= np.array([width, height, width, height], np.float32)
        yield LabelledFrame(f"{name}/{line}", pixels, boxes, stretched=height == width)


def read_negatives() -> Iterator[LabelledFrame]:
    """Give the pictures of signs and streets that hold no plate."""
    for path in sorted((shared_root() / "data" / "negatives").rglob("*")):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png"}:
            nothing = np.zeros((0, 4), np.float32)
            yield LabelledFrame(f"negatives/{path.name}", _read(path), nothing, stretched=False)


def unsqueezed(frame: LabelledFrame) -> LabelledFrame:
    """Return a frame that its collection squeezed into a square as it most likely was, four by three."""
    if not frame.stretched:
        return frame
    height, width = frame.pixels.shape[:2]
    wide = cv2.resize(frame.pixels, (round(width * 4 / 3), height), interpolation=cv2.INTER_LINEAR)
    boxes = frame.boxes * np.array([4 / 3, 1, 4 / 3, 1], np.float32)
    return LabelledFrame(frame.name, np.asarray(wide, np.uint8), boxes, stretched=False)


def _read(path: Path) -> Pixels:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FileNotFoundError(f"cannot read picture {path.name} of {path.parent.parent.name}")
    return np.asarray(pixels, np.uint8)


def read_boxes(name: str) -> Iterator[LabelledFrame]:
    """Give the frames of end-to-end set *name* that its ``boxes.csv`` has boxes for. Validation only."""
    folder = shared_root() / "data" / "e2e" / name
    boxes: dict[str, list[list[float]]] = {}
    with (folder / "boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            boxes.setdefault(row["image_path"], []).append([float(row[k]) for k in ("x1", "y1", "x2", "y2")])
    for path, rows in boxes.items():
        yield LabelledFrame(
            f"{name}/{path}", _read(folder / path), np.array(rows, np.float32), stretched=False
        )
