"""Everything on a plate that is not its serial: ground, bands, names, emblems, stickers, screws, frames.

The functions draw into the BGR image they are given; lengths follow its height.
"""

import cv2
import numpy as np
import numpy.typing as npt

from training import fonts, styles

Image = npt.NDArray[np.uint8]

_NAMES = (
    "AUTO CENTER",
    "MOTORS",
    "CARS.COM",
    "Autohaus",
    "SERVICE",
    "UNIVERSITY",
    "ALUMNI",
    "www.auto.example",
    "FORD",
    "Honda",
    "OF THE VALLEY",
    "DOWNTOWN",
    "dealer.example",
    "Mercedes-Benz",
    "TOYOTA",
    "CITY SALES",
    "GARAGE",
)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def paint(image: Image, coverage: Image, colour: styles.Colour) -> None:
    """Lay *colour* over *image* where *coverage* (0..255, one value a pixel) says."""
    x, y, w, h = cv2.boundingRect(coverage)
    if w == 0:
        return
    part = image[y : y + h, x : x + w]
    share = coverage[y : y + h, x : x + w, None].astype(np.uint16)
    part[:] = ((part * (255 - share) + np.array(colour, np.uint16) * share) // 255).astype(np.uint8)


def graded_ground(top: styles.Colour, bottom: styles.Colour, height: int, width: int) -> Image:
    """Return a ground that goes from one colour to the other, bending in the middle third."""
    t = np.clip((np.linspace(0, 1, height) - 0.25) * 2, 0, 1)[:, None]
    column = np.array(top) * (1 - t) + np.array(bottom) * t
    return np.repeat(column[:, None].astype(np.uint8), width, axis=1)


def draw_scenery(rng: np.random.Generator, image: Image) -> None:
    """Mountains, stripes, a sun or blots, pale enough to leave a serial legible."""
    height, width = image.shape[:2]
    layer = image.copy()
    colour = tuple(int(c) for c in rng.integers(60, 240, 3))
    kind = rng.integers(5)
    if kind == 0:
        xs = np.linspace(0, width, int(rng.integers(4, 12)))
        ys = height * rng.uniform(0.35, 0.85) + rng.uniform(-0.14, 0.14, len(xs)) * height
        outline = np.concatenate([np.stack([xs, ys], 1), [[width, height], [0, height]]]).astype(np.int32)
        cv2.fillPoly(layer, [outline], colour)
    elif kind == 1:
        y = int(height * rng.uniform(0, 0.9))
        cv2.rectangle(layer, (0, y), (width, y + int(height * rng.uniform(0.05, 0.3))), colour, -1)
    elif kind == 2:
        centre = (int(width * rng.uniform(0.1, 0.9)), int(height * rng.uniform(0.2, 0.9)))
        cv2.circle(layer, centre, int(height * rng.uniform(0.15, 0.5)), colour, -1, cv2.LINE_AA)
    elif kind == 3:
        for _ in range(int(rng.integers(3, 14))):
            centre = (int(width * rng.random()), int(height * rng.random()))
            axes = (int(height * rng.uniform(0.03, 0.25)), int(height * rng.uniform(0.03, 0.2)))
            cv2.ellipse(
                layer,
                centre,
                axes,
                float(rng.uniform(0, 180)),
                0,
                360,
                tuple(int(c) for c in rng.integers(60, 240, 3)),
                -1,
            )
    else:
        step = int(height * rng.uniform(0.08, 0.25)) + 2
        for x in range(0, width + height, 2 * step):
            cv2.line(layer, (x, 0), (x - height // 2, height), colour, max(1, step // 2))
    share = rng.uniform(0.12, 0.45)
    image[:] = cv2.addWeighted(layer, share, image, 1 - share, 0)


def draw_border(rng: np.random.Generator, image: Image, colour: styles.Colour) -> None:
    """A line along the edge, as pressed plates have."""
    height, width = image.shape[:2]
    inset = int(height * rng.uniform(0.0, 0.05))
    cv2.rectangle(
        image,
        (inset, inset),
        (width - 1 - inset, height - 1 - inset),
        colour,
        max(1, int(height * rng.uniform(0.012, 0.04))),
    )


def draw_bands(rng: np.random.Generator, image: Image, style: styles.Style) -> tuple[float, float]:
    """Draw the country bands; return the left and right limits of what is free."""
    height, width = image.shape[:2]
    left, right = 0.0, float(width)
    if style.band and rng.random() < (0.45 if style.band in {"GB", "IND", "N"} else 0.9):
        band = height * rng.uniform(0.34, 0.48)
        _band(rng, image, 0, int(band), style.band)
        left = band
    if style.right_band and rng.random() < 0.8:
        band = height * rng.uniform(0.3, 0.42)
        _band(rng, image, int(width - band), width, str(rng.integers(1, 96)))
        right = width - band
    return left, right


def _band(rng: np.random.Generator, image: Image, x0: int, x1: int, letters: str) -> None:
    height = image.shape[0]
    blue = (int(rng.integers(110, 200)), int(rng.integers(30, 90)), int(rng.integers(0, 40)))
    image[:, x0:x1] = blue
    if rng.random() < 0.9:
        centre = ((x0 + x1) / 2, height * 0.3)
        radius = (x1 - x0) * rng.uniform(0.24, 0.34)
        for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
            point = (int(centre[0] + radius * np.cos(angle)), int(centre[1] + radius * np.sin(angle)))
            cv2.circle(image, point, max(1, int(height * 0.018)), (0, 210, 250), -1, cv2.LINE_AA)
    if rng.random() < 0.9:
        write(
            rng,
            image,
            letters,
            ((x0 + x1) / 2, height * 0.74),
            height * rng.uniform(0.18, 0.28),
            (x1 - x0) * 0.8,
            (240, 240, 240),
        )


def write(
    rng: np.random.Generator,
    image: Image,
    text: str,
    centre: tuple[float, float],
    height: float,
    widest: float,
    colour: styles.Colour,
) -> None:
    """Write a line of small text; does nothing where no typeface is installed."""
    choices = fonts.faces(serif=True) if rng.random() < 0.3 and fonts.faces(serif=True) else fonts.faces()
    if not choices:
        return
    mask = fonts.line_mask(choices[int(rng.integers(len(choices)))], text, max(4, round(height)))
    if mask.shape[1] > widest:
        mask = cv2.resize(mask, (max(2, int(widest)), mask.shape[0]), interpolation=cv2.INTER_AREA).astype(
            np.uint8
        )
    x, y = round(centre[0] - mask.shape[1] / 2), round(centre[1] - mask.shape[0] / 2)
    x0, y0, x1, y1 = (
        max(x, 0),
        max(y, 0),
        min(x + mask.shape[1], image.shape[1]),
        min(y + mask.shape[0], image.shape[0]),
    )
    if x0 < x1 and y0 < y1:
        paint(image[y0:y1, x0:x1], np.ascontiguousarray(mask[y0 - y : y1 - y, x0 - x : x1 - x]), colour)


def draw_names(
    rng: np.random.Generator, image: Image, style: styles.Style, ink: styles.Colour
) -> tuple[float, float]:
    """Draw title and slogan; return the top and bottom limits of what is free for the serial."""
    height, width = image.shape[:2]
    top, bottom = 0.05 * height, 0.95 * height
    titles = [t for t in style.titles if t]
    if titles and rng.random() < 0.93:
        title = titles[int(rng.integers(len(titles)))]
        size = height * rng.uniform(0.11, 0.17)
        if title in {"BRASIL", "ARGENTINA"}:
            image[: int(height * 0.22)] = (150, 60, 10)
            write(rng, image, title, (width / 2, height * 0.11), height * 0.12, width * 0.5, (245, 245, 245))
            return 0.24 * height, bottom
        colour = ink if rng.random() < 0.6 else _any_colour(rng)
        write(
            rng,
            image,
            title,
            (width / 2, height * 0.05 + size / 2),
            size,
            width * rng.uniform(0.3, 0.75),
            colour,
        )
        top = height * 0.08 + size
    slogans = style.slogans
    if slogans and rng.random() < 0.75:
        size = height * rng.uniform(0.07, 0.14)
        colour = ink if rng.random() < 0.6 else _any_colour(rng)
        slogan = slogans[int(rng.integers(len(slogans)))]
        write(
            rng,
            image,
            slogan,
            (width / 2, height * 0.95 - size / 2),
            size,
            width * rng.uniform(0.3, 0.8),
            colour,
        )
        bottom = height * 0.92 - size
    if style.stickers:
        for x in (0.09, 0.91):
            if rng.random() < 0.45:
                _sticker(rng, image, x * width, height * (0.13 if rng.random() < 0.75 else 0.87))
    return top, bottom


def _any_colour(rng: np.random.Generator) -> styles.Colour:
    b, g, r = (int(c) for c in rng.integers(0, 200, 3))
    return b, g, r


def _sticker(rng: np.random.Generator, image: Image, x: float, y: float) -> None:
    height = image.shape[0]
    w, h = height * rng.uniform(0.14, 0.26), height * rng.uniform(0.11, 0.18)
    colour = tuple(int(c) for c in rng.integers(20, 255, 3))
    cv2.rectangle(image, (int(x - w / 2), int(y - h / 2)), (int(x + w / 2), int(y + h / 2)), colour, -1)
    text = str(rng.integers(10, 30)) if rng.random() < 0.5 else _MONTHS[int(rng.integers(12))]
    contrast = (250, 250, 250) if sum(colour) < 380 else (20, 20, 20)
    write(rng, image, text, (x, y), h * 0.65, w * 0.85, contrast)


def draw_mark(
    rng: np.random.Generator,
    image: Image,
    coverage: Image,
    mark: str,
    cell: tuple[float, float, float, float],
    emblem: str,
    ink: styles.Colour,
) -> None:
    """Draw what stands between characters. *cell* is left, width, middle (y) and character height in
    pixels."""
    left, width, middle, height = cell
    x = left + width / 2
    if mark == "-":
        half, thick = width * rng.uniform(0.3, 0.5), height * rng.uniform(0.05, 0.12)
        cv2.rectangle(
            coverage,
            (int(x - half), int(middle - thick / 2)),
            (int(x + half), int(middle + thick / 2)),
            255,
            -1,
        )
    elif mark in ".:":
        radius = max(1, int(height * rng.uniform(0.035, 0.07)))
        for y in (middle,) if mark == "." else (middle - height * 0.2, middle + height * 0.2):
            cv2.circle(coverage, (int(x), int(y)), radius, 255, -1, cv2.LINE_AA)
    elif mark == " " and rng.random() < 0.12:
        cv2.circle(
            image,
            (int(x), int(middle + height * rng.uniform(-0.2, 0.35))),
            max(1, int(height * rng.uniform(0.05, 0.12))),
            _any_colour(rng),
            -1,
            cv2.LINE_AA,
        )
    elif mark == "*" and rng.random() < 0.9:
        if emblem == "seals":
            _seals(
                rng, image, x, middle, min(height * rng.uniform(0.2, 0.36), max(width * 1.2, height * 0.2))
            )
        elif emblem == "crest":
            _crest(rng, image, x, middle, height * rng.uniform(0.3, 0.62), max(width, height * 0.25))
        elif emblem == "bar":
            cv2.line(
                coverage,
                (int(x), int(middle - height)),
                (int(x), int(middle + height)),
                255,
                max(1, int(height * 0.03)),
            )
        elif emblem == "dot" or rng.random() < 0.25:
            cv2.circle(
                coverage,
                (int(x), int(middle)),
                max(1, int(height * rng.uniform(0.05, 0.1))),
                255,
                -1,
                cv2.LINE_AA,
            )
        else:
            draw_emblem(rng, image, x, middle, max(width, height * 0.2) * rng.uniform(0.8, 1.35))


def _seals(rng: np.random.Generator, image: Image, x: float, middle: float, size: float) -> None:
    for side, present in ((-1, rng.random() < 0.85), (1, rng.random() < 0.92)):
        if not present:
            continue
        centre = (int(x), int(middle + side * size * rng.uniform(0.5, 0.75)))
        radius = max(2, int(size / 2 * rng.uniform(0.85, 1.1)))
        rim = tuple(
            int(c)
            for c in rng.choice(
                [[60, 140, 60], [50, 60, 200], [160, 90, 40], [40, 170, 220], [150, 150, 150], [90, 90, 90]]
            )
        )
        cv2.circle(image, centre, radius, rim, -1, cv2.LINE_AA)
        inner = tuple(int(c) for c in rng.integers(90, 240, 3))
        cv2.circle(image, centre, max(1, int(radius * rng.uniform(0.3, 0.75))), inner, -1, cv2.LINE_AA)


def _crest(
    rng: np.random.Generator, image: Image, x: float, middle: float, height: float, width: float
) -> None:
    w, h = min(width, height * 0.9) / 2, height / 2
    shield = np.array([[-w, -h], [w, -h], [w, h * 0.3], [0, h], [-w, h * 0.3]]) + np.array([x, middle])
    cv2.fillPoly(
        image, [shield.astype(np.int32)], tuple(int(c) for c in rng.integers(20, 230, 3)), cv2.LINE_AA
    )
    y = int(middle + h * rng.uniform(-0.5, 0.2))
    cv2.rectangle(
        image,
        (int(x - w), y),
        (int(x + w), int(y + h * 0.4)),
        tuple(int(c) for c in rng.integers(20, 250, 3)),
        -1,
    )
    if rng.random() < 0.4:
        cv2.circle(
            image,
            (int(x), int(middle)),
            max(1, int(w * 0.4)),
            tuple(int(c) for c in rng.integers(20, 250, 3)),
            -1,
            cv2.LINE_AA,
        )


def draw_emblem(rng: np.random.Generator, image: Image, x: float, y: float, size: float) -> None:
    """A coloured picture of about *size* pixels: star, fruit, tree, map outline, disc with a motif."""
    layer = image.copy()
    kind = int(rng.integers(5))
    colour = tuple(int(c) for c in rng.integers(0, 240, 3))
    if kind == 0:
        angles = np.arange(10) * np.pi / 5 - np.pi / 2
        radii = np.where(np.arange(10) % 2 == 0, size / 2, size * 0.2)
        points = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], 1)
        cv2.fillPoly(layer, [points.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == 1:
        cv2.circle(layer, (int(x), int(y)), max(2, int(size / 2)), colour, -1, cv2.LINE_AA)
        cv2.circle(
            layer,
            (int(x), int(y)),
            max(1, int(size * 0.3)),
            tuple(int(c) for c in rng.integers(0, 255, 3)),
            -1,
            cv2.LINE_AA,
        )
    elif kind == 2:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(6, 14))))
        radii = size / 2 * rng.uniform(0.45, 1.0, len(angles))
        points = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], 1)
        cv2.fillPoly(layer, [points.astype(np.int32)], colour, cv2.LINE_AA)
    elif kind == 3:
        for level in (0.5, 0.15, -0.2):
            half = size * (0.32 + 0.2 * level)
            triangle = np.array(
                [[x - half, y + size * level], [x + half, y + size * level], [x, y + size * (level - 0.4)]]
            )
            cv2.fillPoly(layer, [triangle.astype(np.int32)], colour, cv2.LINE_AA)
    else:
        for _ in range(int(rng.integers(3, 7))):
            centre = (int(x + size * rng.uniform(-0.3, 0.3)), int(y + size * rng.uniform(-0.35, 0.35)))
            cv2.circle(
                layer,
                centre,
                max(1, int(size * rng.uniform(0.1, 0.25))),
                tuple(int(c) for c in rng.integers(0, 255, 3)),
                -1,
                cv2.LINE_AA,
            )
    share = rng.uniform(0.4, 1.0)
    image[:] = cv2.addWeighted(layer, share, image, 1 - share, 0)


def draw_fittings(rng: np.random.Generator, image: Image, american: bool) -> None:
    """Screws, a holder's rim and a dealer's frame that covers the edges."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        ys = (0.1, 0.9) if american else (0.5,)
        for x in (rng.uniform(0.03, 0.25), 1 - rng.uniform(0.03, 0.25)):
            for y in ys:
                if rng.random() < 0.6:
                    shade = int(rng.integers(20, 220))
                    centre = (
                        int(x * width),
                        int((y + (0 if american else rng.uniform(-0.35, 0.35))) * height),
                    )
                    cv2.circle(
                        image,
                        centre,
                        max(1, int(height * rng.uniform(0.02, 0.04))),
                        (shade, shade, shade),
                        -1,
                        cv2.LINE_AA,
                    )
    if rng.random() < (0.4 if american else 0.3):
        shade = int(rng.choice([15, 30, 60, 170, 210]))
        colour = (shade, shade, shade)
        side = int(height * rng.uniform(0.01, 0.04)) + 1
        top, bottom = (int(height * rng.uniform(0.02, 0.1 if american else 0.04)) + 1 for _ in range(2))
        image[:top], image[height - bottom :] = colour, colour
        image[:, :side], image[:, width - side :] = colour, colour
        if american and rng.random() < 0.7:
            name = _NAMES[int(rng.integers(len(_NAMES)))]
            contrast = (235, 235, 235) if shade < 120 else (20, 20, 20)
            write(rng, image, name, (width / 2, height - bottom / 2), bottom * 0.75, width * 0.7, contrast)


def emboss(rng: np.random.Generator, image: Image, coverage: Image) -> None:
    """Light one flank of the pressed characters and shade the other."""
    strength = rng.uniform(0.06, 0.22)
    shift = max(1, round(image.shape[0] / 90))
    relief = coverage.astype(np.int16) - np.roll(coverage, (shift, shift), (0, 1)).astype(np.int16)
    image[:] = np.clip(image + (relief[..., None] * strength), 0, 255).astype(np.uint8)
