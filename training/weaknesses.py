"""A picture of what a reader gets wrong, for the model card: of rendered plates, so that it may be shown.

    python -m training.weaknesses --out models/misread.jpg

Beside it the share read right under each condition and of each look is printed: shares of rendered plates
tell one weakness from another, they are no accuracy (`training.evaluate` measures that, on real pictures).
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from recognizer.plate import fold, normalise
from training.degrade import CONDITIONS, degrade
from training.plates import render_plate

Image = npt.NDArray[np.uint8]

_HEIGHT_PX = 80
"""Of the plate before it is photographed, as in training."""
_CELL_WIDTH_PX, _CELL_HEIGHT_PX, _CAPTION_PX = 176, 88, 34


@dataclass(frozen=True, slots=True)
class Misread:
    """One rendered crop and what was read of it."""

    crop: Image
    """BGR."""
    truth: str
    reading: str
    weakest: float
    jurisdiction: str
    condition: str


def misreads(
    recognizer: Recognizer, seed: int, count: int
) -> tuple[list[Misread], dict[str, tuple[int, int]]]:
    """Read *count* rendered crops a condition; return the misread ones, and right and all by condition and
    issuer."""
    found: list[Misread] = []
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for condition in CONDITIONS:
        rng = np.random.default_rng([seed, list(CONDITIONS).index(condition)])
        for _ in range(count):
            plate = render_plate(rng, height_px=_HEIGHT_PX)
            crop = np.ascontiguousarray(degrade(rng, plate, condition).image[..., ::-1])
            reading = recognizer.read(crop)
            exact = fold(normalise(reading.text)) == fold(normalise(plate.text))
            for key in (condition, plate.jurisdiction):
                right[key] += exact
                total[key] += 1
            if not exact:
                weakest = min((position[0][1] for position in reading.positions), default=0.0)
                found.append(Misread(crop, plate.text, reading.text, weakest, plate.jurisdiction, condition))
    return found, {key: (right[key], total[key]) for key in total}


def picture(chosen: list[Misread], columns: int = 6) -> Image:
    """Return a grid of *chosen*, each with the truth, what was read and how sure the weakest character
    was."""
    cells = [_cell(misread) for misread in chosen]
    while len(cells) % columns:
        cells.append(np.full_like(cells[0], 255))
    return np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])


def _cell(misread: Misread) -> Image:
    cell = np.full((_CELL_HEIGHT_PX + _CAPTION_PX + 4, _CELL_WIDTH_PX + 4, 3), 255, np.uint8)
    resized = cv2.resize(misread.crop, (_CELL_WIDTH_PX, _CELL_HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    cell[2 : 2 + _CELL_HEIGHT_PX, 2 : 2 + _CELL_WIDTH_PX] = resized
    lines = (
        f"is {misread.truth} ({misread.jurisdiction})",
        f"read {misread.reading or 'nothing'}, {misread.weakest:.2f}",
    )
    for number, line in enumerate(lines):
        place = (4, _CELL_HEIGHT_PX + 14 + 15 * number)
        cv2.putText(cell, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def main() -> None:
    """Write the picture: the misreads that the reader was surest of, a few of each condition."""
    parser = argparse.ArgumentParser(description="picture what the reader gets wrong on rendered plates")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pack", default="builtin")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--count", type=int, default=300, help="crops a condition")
    parser.add_argument("--each", type=int, default=5, help="shown of each condition")
    arguments = parser.parse_args()
    recognizer = Recognizer.open(RecognizerConfig(model_pack=arguments.pack, threads=1))
    found, shares = misreads(recognizer, arguments.seed, arguments.count)
    for key, (right, total) in shares.items():
        print(f"{key:<10} {right:>5} of {total:>5} right")
    chosen = [
        misread
        for condition in CONDITIONS
        for misread in sorted((m for m in found if m.condition == condition), key=lambda m: -m.weakest)[
            : arguments.each
        ]
    ]
    arguments.out.write_bytes(cv2.imencode(arguments.out.suffix, picture(chosen))[1].tobytes())


if __name__ == "__main__":
    main()
