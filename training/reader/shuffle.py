"""Real plates with their characters in another order: another text on the same metal.

Real plates are few, so a reader learns whole texts by heart; a plate whose characters change places is a new
text in real paint, light and lens. Where the characters are comes from the reader itself, whose slots attend
to them; a plate it does not read right is left as it is.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

MOST_STRETCH = 1.3
"""How much wider or narrower a character may become in another's place."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the n characters of a plate in a picture are, pixels."""

    centres: npt.NDArray[np.float64]
    """Shape (n, 2), on one line."""
    halves: npt.NDArray[np.float64]
    """Shape (n,): half of the room each has to left and right."""
    half_height: float


def shuffled(rng: np.random.Generator, picture: Image, cells: Cells, text: str) -> tuple[Image, str]:
    """Return *picture* with some characters replaced by others of the same plate, and what it then says."""
    altered, characters = picture.copy(), list(text)
    for place in np.flatnonzero(rng.random(len(text)) < rng.uniform(0.3, 1.0)):
        ratio = cells.halves / cells.halves[place]
        others = np.flatnonzero((ratio < MOST_STRETCH) & (ratio > 1 / MOST_STRETCH))
        other = int(rng.choice(others))
        if other != place:
            _paste(picture, altered, cells, other, int(place))
            characters[place] = text[other]
    return altered, "".join(characters)


def _paste(picture: Image, altered: Image, cells: Cells, source: int, target: int) -> None:
    """Draw the character *source* of *picture* over the place *target* of *altered*, its edges softened."""
    (x, y), half, high = cells.centres[target], cells.halves[target], cells.half_height
    left, top = max(int(x - half), 0), max(int(y - high), 0)
    right, bottom = min(int(x + half) + 1, picture.shape[1]), min(int(y + high) + 1, picture.shape[0])
    if right - left < 2 or bottom - top < 2:
        return
    stretch = cells.halves[source] / half
    columns, rows = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    from_x = (columns - x) * stretch + cells.centres[source][0]
    from_y = rows - y + cells.centres[source][1]
    piece = cv2.remap(
        picture,
        from_x.astype(np.float32),
        from_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    under = altered[top:bottom, left:right].astype(np.float32)
    # The light differs across a plate: the paint at the cell's edges is made to meet.
    lighter = np.median(under[:, [0, -1]], axis=(0, 1)) - np.median(piece[:, [0, -1]], axis=(0, 1))
    piece += np.clip(lighter, -40, 40)
    near = np.minimum(1 - np.abs(columns - x) / half, 1 - np.abs(rows - y) / high)
    cover = np.clip(near / 0.2, 0, 1)[..., None]
    altered[top:bottom, left:right] = np.clip(under + cover * (piece - under), 0, 255).astype(np.uint8)
