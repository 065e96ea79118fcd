"""The real crops that a reader's training run is watched on; `training.evaluate` measures what came of it.

None of them is trained on: `training.validation` says which they are.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from recognizer.plate import Plate, fold
from training.degrade import HEIGHT, WIDTH
from training.validation import BOXED, CROPS, LabelledCrop, crops


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Crops of one source with their truth."""

    name: str
    images: npt.NDArray[np.uint8]
    """Shape (n, 64, 128, 3), RGB, resized as fast-plate-ocr does."""
    texts: list[str]
    regions: list[str]


def validation_sets(data: Path) -> list[ValidationSet]:
    """Return every validation set under *data*. Raises OSError where a file is missing."""
    return [_set_of(name, list(crops(data, name))) for name in (*CROPS, BOXED)]


def _set_of(name: str, pictures: list[LabelledCrop]) -> ValidationSet:
    images = [
        cv2.cvtColor(
            cv2.resize(crop.pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB
        )
        for crop in pictures
    ]
    return ValidationSet(
        name,
        np.stack(images).astype(np.uint8),
        [crop.text for crop in pictures],
        [crop.jurisdiction for crop in pictures],
    )


def share_exact(readings: list[str], texts: list[str]) -> tuple[float, float]:
    """Return the exact and the folded share (O taken as 0, I as 1)."""
    pairs = [(Plate(a), Plate(b)) for a, b in zip(readings, texts, strict=True)]
    exact = np.mean([a == b for a, b in pairs])
    folded = np.mean([fold(a) == fold(b) for a, b in pairs])
    return float(exact), float(folded)
