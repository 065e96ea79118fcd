"""Clean, frontal plates, drawn from nothing: `render_plate` is the door.

Weather, lens, camera and the detector's crop are `training.degrade`'s business.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from training import dies, fonts, formats, pictures, scenery, styles

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RenderedPlate:
    """One plate, flat and clean, and what it says."""

    image: Image
    """Shape (height, width, 3), BGR."""
    text: str
    """A-Z and 0-9, the serial alone: stacked small letters, names and stickers do not belong to it."""
    jurisdiction: str
    """As in `training.formats.JURISDICTIONS`."""
    prefix: str
    """Two or three letters (seldom digits) stacked small beside the serial, from the top down; mostly
    empty."""
    boxes: npt.NDArray[np.float32]
    """Shape (len(text), 4): left, top, right, bottom of each character in pixels, right and bottom
    excluded."""

    @property
    def centres(self) -> npt.NDArray[np.float32]:
        """Middle of each character, shape (len(text), 2), x and y in pixels."""
        return np.stack(
            [(self.boxes[:, 0] + self.boxes[:, 2]) / 2, (self.boxes[:, 1] + self.boxes[:, 3]) / 2], axis=1
        )


@dataclass(frozen=True, slots=True)
class _Lettering:
    """How one plate's characters are made; every character of a plate is made alike."""

    source: dies.Die | fonts.Face
    stretch: float
    """Factor on the width of every glyph."""
    pitch: float
    """Width of a cell over character height where all are equally wide, else 0."""
    spacing: float
    """Space between characters over character height."""
    gap: float
    """Width of a gap over character height."""
    bold: int
    """Pixels by which strokes are widened (negative: thinned) at 64 px character height."""


@dataclass(frozen=True, slots=True)
class _Area:
    """Where the serial may stand, in pixels."""

    left: float
    right: float
    middle: float
    height: float
    """Character height."""


def render_plate(
    rng: np.random.Generator, jurisdiction: str | None = None, text: str | None = None, height_px: int = 128
) -> RenderedPlate:
    """Return a random clean plate; all that is not given is drawn from *rng*.

    *text* is 1 to 10 of A-Z and 0-9 and is laid out by the jurisdiction's first pattern that it fits. Equal
    generators give equal plates on machines with the same typefaces installed.

    Raises ValueError if the jurisdiction is unknown, the text is none or *height_px* is below 24.
    """
    if height_px < 24:
        raise ValueError("a plate needs at least 24 px of height to be legible")
    issuer = formats.random_issuer(rng) if jurisdiction is None else formats.issuer_of(jurisdiction)
    line = formats.random_line(rng, issuer) if text is None else formats.line_for(text, issuer)
    style = styles.style_for(issuer.jurisdiction, line, rng)
    if "/" in line:
        style = replace(
            style,
            aspect=(1.5, 2.2),
            text_height=(0.32, 0.4),
            titles=(),
            slogans=(),
            top_band="",
            top_bar=None,
            bottom_bar=None,
            scene="",
        )
    aspect = rng.uniform(*style.aspect)
    width_px = round(height_px * aspect)
    choice = int(rng.integers(len(style.grounds)))
    ground: tuple[styles.Colour, ...] = tuple(_jitter(rng, colour) for colour in style.grounds[choice])
    ink = _jitter(rng, style.inks[choice])
    if style.stickers and rng.random() < 0.1:  # optional and special designs come in every colour
        ground, ink = _free_colours(rng)
        style = replace(style, title_ink=None, top_bar=None, bottom_bar=None)
    image = pictures.graded_ground(ground[0], ground[1], height_px, width_px)
    american = style.stickers
    if american and rng.random() < (0.25 if style.scene else 0.4):
        scenery.draw_scenery(rng, image)
    if rng.random() < 0.65:
        pictures.draw_border(rng, image, ink if rng.random() < 0.7 else _jitter(rng, (60, 60, 60)))
    left, right = pictures.draw_bands(rng, image, style)
    top, bottom = pictures.draw_names(rng, image, style, ink)
    area = _serial_area(rng, style, (left, right, top, bottom), height_px)
    prefix = ""
    if american and "/" not in line and rng.random() < 0.15:
        area, prefix = _with_stacked_letters(rng, image, area, ink)
    boxes = _draw_serial(rng, image, line, area, style, ink)
    pictures.draw_fittings(rng, image, american)
    return RenderedPlate(image, formats.plate_text(line), issuer.jurisdiction, prefix, boxes)


def _jitter(rng: np.random.Generator, colour: styles.Colour) -> styles.Colour:
    shift = rng.integers(-14, 15) + rng.integers(-10, 11, 3)
    b, g, r = np.clip(np.array(colour) + shift, 0, 255)
    return int(b), int(g), int(r)


def _free_colours(rng: np.random.Generator) -> tuple[tuple[styles.Colour, ...], styles.Colour]:
    """A muted ground of any colour and an ink that stands out from it."""
    while True:
        base = np.repeat(rng.choice([20, 245]), 3)
        ground = (base + (rng.integers(0, 256, 3) - base) * rng.uniform(0, 0.7)).astype(int)
        ink = rng.integers(0, 256, 3)
        if abs(float(ground @ (0.11, 0.59, 0.3)) - float(ink @ (0.11, 0.59, 0.3))) > 95:
            top = (int(ground[0]), int(ground[1]), int(ground[2]))
            return (top, _jitter(rng, top)), (int(ink[0]), int(ink[1]), int(ink[2]))


def _serial_area(
    rng: np.random.Generator, style: styles.Style, free: tuple[float, float, float, float], height_px: int
) -> _Area:
    left, right, top, bottom = free
    margin = height_px * rng.uniform(0.04, 0.14)
    height = min(height_px * rng.uniform(*style.text_height), (bottom - top) * 0.92)
    slack = max((bottom - top) - height, 0.0) if style.aspect[0] > 1.5 else 0.0  # two lines fill their plate
    middle = (top + bottom) / 2 + slack * rng.uniform(-0.2, 0.2)
    return _Area(left + margin, right - margin, middle, height)


def _with_stacked_letters(
    rng: np.random.Generator, image: Image, area: _Area, ink: styles.Colour
) -> tuple[_Area, str]:
    """Draw two or three small letters one above the other beside the serial; they are not part of its text.

    Return what is left for the serial, and the letters.
    """
    count = int(rng.integers(2, 4))
    small = area.height / count * rng.uniform(0.8, 0.95)
    lettering = _lettering(rng, 0.0)
    alphabet = "ABCDEFGHJKLMNPRSTUVWXYZ" if rng.random() < 0.9 else "0123456789"
    letters = rng.choice(list(alphabet), count)
    widest = small * 0.75
    x = area.left if rng.random() < 0.6 else area.right - widest
    coverage = np.zeros(image.shape[:2], np.uint8)
    for i, letter in enumerate(letters):
        mask = _glyph(lettering, str(letter), max(6, round(small)))
        mask = _narrowed(mask, max(3, min(mask.shape[1], round(widest))))
        y = area.middle - area.height / 2 + i * area.height / count
        _stamp(coverage, mask, x, y)
    _ink(image, coverage, ink)
    used = widest + area.height * 0.12
    left = replace(area, left=area.left + used) if x == area.left else replace(area, right=area.right - used)
    return left, "".join(str(letter) for letter in letters)


def _lettering(rng: np.random.Generator, fixed_pitch: float, european: bool = False) -> _Lettering:
    installed = fonts.faces()
    special = fonts.face_named(fonts.TRAINING_ONLY_FACES[0])
    source: dies.Die | fonts.Face
    if european and special is not None and rng.random() < 0.15:
        source = special
    elif not installed or rng.random() < 0.42:
        source = dies.random_die(rng)
    else:
        source = installed[int(rng.integers(len(installed)))]
    return _Lettering(
        source=source,
        stretch=float(rng.uniform(0.82, 1.2)),
        pitch=float(rng.uniform(0.5, 0.72)) if rng.random() < fixed_pitch else 0.0,
        spacing=float(rng.uniform(0.06, 0.2)),
        gap=float(rng.uniform(0.18, 0.6) if rng.random() < 0.8 else rng.uniform(0.5, 0.95)),
        bold=int(rng.choice([-2, 0, 0, 0, 2, 4])),
    )


def _glyph(lettering: _Lettering, character: str, height_px: int) -> Image:
    if isinstance(lettering.source, dies.Die):
        return dies.glyph_mask(lettering.source, character, height_px)
    mask = cv2.resize(
        fonts.glyph_mask(lettering.source, character, 64),
        None,
        fx=height_px / 64,
        fy=height_px / 64,
        interpolation=cv2.INTER_AREA if height_px < 64 else cv2.INTER_LINEAR,
    )
    if lettering.bold == 0:
        return mask.astype(np.uint8)
    size = max(2, round(abs(lettering.bold) * height_px / 64) + 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    if lettering.bold < 0:
        return cv2.erode(mask, kernel).astype(np.uint8)
    return cv2.dilate(cv2.copyMakeBorder(mask, 0, 0, size, size, cv2.BORDER_CONSTANT), kernel).astype(
        np.uint8
    )


def _narrowed(mask: Image, width_px: int) -> Image:
    """Return *mask* at another width."""
    return cv2.resize(mask, (width_px, mask.shape[0]), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _draw_serial(
    rng: np.random.Generator, image: Image, line: str, area: _Area, style: styles.Style, ink: styles.Colour
) -> npt.NDArray[np.float32]:
    """Draw *line* and return the box of each of its characters."""
    lettering = _lettering(rng, style.fixed_pitch, european=bool(style.band))
    if style.band == "I" and rng.random() < 0.6:
        lettering = replace(lettering, source=dies.italian_die(rng))
    coverage = np.zeros(image.shape[:2], np.uint8)
    rows = line.split("/")
    boxes: list[tuple[float, float, float, float]] = []
    for number, row in enumerate(rows):
        middle = area.middle + (number - (len(rows) - 1) / 2) * area.height * 1.2
        boxes += _draw_row(rng, image, coverage, row, replace(area, middle=middle), style, lettering, ink)
    _ink(image, coverage, ink)
    if rng.random() < 0.5:
        pictures.emboss(rng, image, coverage)
    return np.array(boxes, np.float32)


def _draw_row(
    rng: np.random.Generator,
    image: Image,
    coverage: Image,
    row: str,
    area: _Area,
    style: styles.Style,
    lettering: _Lettering,
    ink: styles.Colour,
) -> list[tuple[float, float, float, float]]:
    height = round(area.height)
    items = [_item(rng, c, lettering, height, style) for c in row]
    spacing = lettering.spacing * height
    natural = sum(width for width, _ in items) + spacing * max(len(items) - 1, 0)
    space = area.right - area.left
    squeeze = min(1.0, space / natural)
    slack = max(space - natural, 0.0)
    if slack > 0 and len(items) > 1 and rng.random() < 0.6:
        added = min(slack / (len(items) - 1), height * 0.3) * rng.uniform(0.3, 1.0)
        spacing += added
        slack -= added * (len(items) - 1)
    x = area.left + slack * (0.5 if rng.random() < 0.7 else rng.uniform(0.05, 0.95))
    top = area.middle - height / 2
    boxes = []
    for (width, mask), mark in zip(items, row, strict=True):
        cell = width * squeeze
        if mask is not None:
            w = max(2, round(min(mask.shape[1] * squeeze, cell)))
            fitted = _narrowed(mask, w)
            left = x + (cell - w) / 2
            _stamp(coverage, fitted, left, top)
            boxes.append((left, top, left + w, top + height))
        else:
            pictures.draw_mark(
                rng, image, coverage, mark, (x, cell, area.middle, float(height)), style.emblem, ink
            )
        x += cell + spacing * squeeze
    return boxes


def _item(
    rng: np.random.Generator, c: str, lettering: _Lettering, height: int, style: styles.Style
) -> tuple[float, Image | None]:
    """Return the width of the cell and, for a character, its mask."""
    if c == " ":
        return lettering.gap * height, None
    if c in "-:.":
        return height * float(rng.uniform(0.12, 0.4)), None
    if c == "*":
        widest = 0.75 if style.stickers else 0.5
        return height * float(rng.uniform(0.15, widest)), None
    mask = _glyph(lettering, c, height)
    wanted = mask.shape[1] * lettering.stretch
    if lettering.pitch == 0 or isinstance(lettering.source, dies.Die):
        return wanted, cv2.resize(mask, (max(2, round(wanted)), height), interpolation=cv2.INTER_AREA).astype(
            np.uint8
        )
    cell = lettering.pitch * height
    fill = min(wanted, cell) if c in "I1" else min(max(wanted, cell * 0.85), cell)
    return cell, cv2.resize(mask, (max(2, round(fill)), height), interpolation=cv2.INTER_AREA).astype(
        np.uint8
    )


def _stamp(coverage: Image, mask: Image, left: float, top: float) -> None:
    x, y = round(left), round(top)
    x0, y0, x1, y1 = (
        max(x, 0),
        max(y, 0),
        min(x + mask.shape[1], coverage.shape[1]),
        min(y + mask.shape[0], coverage.shape[0]),
    )
    if x0 < x1 and y0 < y1:
        np.maximum(coverage[y0:y1, x0:x1], mask[y0 - y : y1 - y, x0 - x : x1 - x], out=coverage[y0:y1, x0:x1])


def _ink(image: Image, coverage: Image, ink: styles.Colour) -> None:
    pictures.paint(image, coverage, ink)
