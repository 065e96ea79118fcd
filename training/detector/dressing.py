"""Real frames dressed otherwise: rendered plates over the real ones, and lettering that is no plate.

A rendered plate takes the very place of a labelled one, so its box stays exact while designs, colours and
texts vary without end. Lettering on bodies, signs and shop fronts is what a detector takes for a plate when
it has seen too little of it: it is drawn where no plate stands and stays background.
"""

import cv2
import numpy as np
import numpy.typing as npt

from training import fonts
from training.plates import render_plate

Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]

_PLATE_HEIGHT_PX = 72
_WORDS_TEXT = """
    POLICE SERVICE SALE OPEN TAXI DIESEL TURBO 4X4 V8 HYBRID QUATTRO SPORT EXIT STOP SLOW 30 50 AHEAD
    BAR HOTEL MARKET BAKERY PHARMACY PARKING 24H TEL 555-0100 WWW.SHOP.EXAMPLE RENT A CAR DELIVERY FRESH
    KEEP RIGHT LANE SCHOOL BUS ONE WAY NO ENTRY HISTORIC DISTRICT EST 1974 BABY ON BOARD VOTE I LOVE MY
    DOG MOTORS XL GT 2.0 TDI
"""
_WORDS = tuple(_WORDS_TEXT.split())


class Wardrobe:
    """Plates and letterings rendered once, drawn from for ever."""

    def __init__(self, seed: int, plates: int = 3000, letterings: int = 400) -> None:
        """Render the pool; takes about 3 ms a plate."""
        rng = np.random.default_rng([seed, 5])
        self._plates = [render_plate(rng, height_px=_PLATE_HEIGHT_PX).image for _ in range(plates)]
        self._aspects = np.log([plate.shape[1] / plate.shape[0] for plate in self._plates])
        self._masks = [mask for _ in range(letterings) if (mask := _lettering(rng)) is not None]

    def cover(self, rng: np.random.Generator, pixels: Pixels, box: npt.NDArray[np.float32]) -> Pixels:
        """Return a copy of the frame *pixels* (BGR) with a rendered plate in *box*; tiny boxes stay as they
        are."""
        left, top, right, bottom = (float(v) for v in box)
        width, height = right - left, bottom - top
        if width < 12 or height < 5:
            return pixels
        some = rng.integers(len(self._plates), size=8)
        fit = some[int(np.argmin(np.abs(self._aspects[some] - np.log(width / height) - rng.normal(0, 0.15))))]
        plate = self._plates[int(fit)]
        slant = float(np.clip(rng.normal(0, 0.05), -0.12, 0.12)) * height
        up, down = max(slant, 0.0), max(-slant, 0.0)
        corners = np.array(
            [[left, top + up], [right, top + down], [right, bottom - up], [left, bottom - down]], np.float32
        )
        x0, y0 = max(int(left) - 1, 0), max(int(top) - 1, 0)
        x1, y1 = min(int(right) + 2, pixels.shape[1]), min(int(bottom) + 2, pixels.shape[0])
        if x1 - x0 < 4 or y1 - y0 < 3:
            return pixels
        small = cv2.resize(plate, (max(4, round(width)), max(3, round(height))), interpolation=cv2.INTER_AREA)
        source = np.array(
            [[0, 0], [small.shape[1], 0], [small.shape[1], small.shape[0]], [0, small.shape[0]]], np.float32
        )
        matrix = cv2.getPerspectiveTransform(source, corners - np.array([x0, y0], np.float32))
        size = (x1 - x0, y1 - y0)
        changed = pixels.copy()
        place = changed[y0:y1, x0:x1]
        light = float(np.percentile(place, 85)) / 225.0
        gain = float(np.clip(light, 0.2, 1.1) * rng.uniform(0.8, 1.15))
        lit = np.clip(small.astype(np.float32) * gain + rng.normal(0, 4), 0, 255)
        drawn = cv2.warpPerspective(lit, matrix, size, flags=cv2.INTER_LINEAR)
        share = cv2.warpPerspective(np.ones(small.shape[:2], np.float32), matrix, size)[..., None]
        mixed = drawn + place * (1 - share)
        if rng.random() < 0.6:
            mixed = cv2.GaussianBlur(mixed, (0, 0), float(rng.uniform(0.3, max(0.5, height / 40))))
        place[:] = np.clip(mixed, 0, 255).astype(np.uint8)
        return changed

    def letter(self, rng: np.random.Generator, piece: Pixels, boxes: Boxes) -> None:
        """Draw lettering into *piece* where it meets none of *boxes*, (n, 4 or more)."""
        for _ in range(int(rng.integers(1, 4))):
            if not self._masks:
                return
            mask = self._masks[int(rng.integers(len(self._masks)))]
            height = float(np.exp(rng.uniform(np.log(7), np.log(60))))
            width = mask.shape[1] * height / mask.shape[0]
            if width > piece.shape[1] * 0.9 or height > piece.shape[0] * 0.7:
                continue
            x = int(rng.uniform(0, piece.shape[1] - width))
            y = int(rng.uniform(0, piece.shape[0] - height))
            if len(boxes) and bool(
                (
                    (boxes[:, 0] < x + width + 4)
                    & (boxes[:, 2] > x - 4)
                    & (boxes[:, 1] < y + height + 4)
                    & (boxes[:, 3] > y - 4)
                ).any()
            ):
                continue
            size = (max(4, int(width)), max(4, int(height)))
            share = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
            place = piece[y : y + size[1], x : x + size[0]]
            ink = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.repeat(rng.choice([15.0, 240.0]), 3)
            # A panel of one line would be a plate to anyone: panels carry two lines, or are long.
            panel = share.shape[1] / share.shape[0] > 7 or mask.shape[0] > 60
            ground = rng.uniform(0, 255, 3) if panel and rng.random() < 0.6 else place.astype(np.float32)
            place[:] = np.clip(ground * (1 - share) + ink * share, 0, 255).astype(np.uint8)


def _lettering(rng: np.random.Generator) -> Pixels | None:
    """Return the coverage of one to three lines of words, 40 px a line; None where no typeface is
    installed."""
    faces = fonts.faces()
    if not faces:
        return None
    face = faces[int(rng.integers(len(faces)))]
    lines = []
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        words = rng.choice(_WORDS, int(rng.integers(1, 4)))
        line = " ".join(str(word) for word in words)
        if rng.random() < 0.4:
            line = line.title()
        mask = fonts.line_mask(face, line, 32)
        lines.append(cv2.copyMakeBorder(mask, 4, 4, 6, 6, cv2.BORDER_CONSTANT))
    widest = max(line.shape[1] for line in lines)
    padded = [
        cv2.copyMakeBorder(
            line, 0, 0, (widest - line.shape[1]) // 2, (widest - line.shape[1] + 1) // 2, cv2.BORDER_CONSTANT
        )
        for line in lines
    ]
    return np.vstack(padded).astype(np.uint8)
