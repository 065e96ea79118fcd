"""Everything on a plate that is not its serial: ground, bands, names, emblems, stickers, screws, frames.

The functions draw into the BGR image they are given; lengths follow its height.
"""

import cv2
import numpy as np
import numpy.typing as npt

from training import fonts, styles
from training.emblems import draw_emblem
from training.scenery import away_from, draw_scene, nearly

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
_STICKERS = (
    (245, 245, 245),
    (40, 40, 200),
    (170, 80, 20),
    (70, 150, 40),
    (40, 210, 245),
    (30, 130, 240),
    (60, 60, 60),
    (200, 170, 120),
    (150, 60, 120),
)
"""BGR of registration stickers."""
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
    """Draw the country bands and side pictures; return the left and right limits of what is free."""
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
    if style.stickers and rng.random() < 0.16:
        side = width * rng.uniform(0.1, 0.24)
        size = side * rng.uniform(0.75, 1.1) if rng.random() < 0.7 else height * rng.uniform(0.5, 0.8)
        place = height * rng.uniform(0.42, 0.66)
        if rng.random() < 0.72:
            draw_emblem(rng, image, side / 2 + height * 0.03, place, size, style.emblem)
            left = side
        else:
            draw_emblem(rng, image, width - side / 2 - height * 0.03, place, size, style.emblem)
            right = width - side
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
    """Draw scene, title, slogan and stickers; return the top and bottom limits of what is free for the
    serial."""
    height, width = image.shape[:2]
    if style.scene and rng.random() < 0.75:
        draw_scene(rng, image, style.scene, ink)
    if style.top_band:
        return _mercosur_band(rng, image, style.top_band), 0.95 * height
    names = [[t for t in style.titles if t], list(style.slogans)]
    drawn = [bool(names[0]) and rng.random() < 0.94, bool(names[1]) and rng.random() < 0.75]
    colours = [style.title_ink or ink, ink]
    bars = (style.top_bar, style.bottom_bar)
    sizes = [height * rng.uniform(0.1, 0.18), height * rng.uniform(0.065, 0.13)]
    limits = [0.05 * height, 0.95 * height]
    if rng.random() < style.title_below:
        names, drawn, colours, sizes = names[::-1], drawn[::-1], colours[::-1], sizes[::-1]
    for place in (0, 1):
        size, bar = sizes[place], bars[place]
        if bar is not None:
            deep = int(size * 1.3 + height * 0.04)
            rows = slice(0, deep) if place == 0 else slice(height - deep, height)
            image[rows] = bar
        if drawn[place]:
            text = names[place][int(rng.integers(len(names[place])))]
            colour = colours[place] if rng.random() < 0.8 else _any_colour(rng)
            if bar is not None:
                colour = away_from(bar, colour)
            y_middle = height * 0.045 + size / 2 if place == 0 else height * 0.955 - size / 2
            x_middle = width * (0.5 if rng.random() < 0.85 else rng.uniform(0.38, 0.62))
            write(rng, image, text, (x_middle, y_middle), size, width * rng.uniform(0.3, 0.78), colour)
        if drawn[place] or bar is not None:
            limits[place] = height * 0.07 + size if place == 0 else height * 0.93 - size
    if style.stickers:
        _draw_stickers(rng, image)
    return limits[0], limits[1]


def _draw_stickers(rng: np.random.Generator, image: Image) -> None:
    """Month and year in any corner, now and then amid the title or slogan."""
    height, width = image.shape[:2]
    for x in (0.09, 0.91):
        for y, chance in ((0.13, 0.4), (0.87, 0.14)):
            if rng.random() < chance:
                place = (width * (x + rng.normal(0, 0.012)), height * (y + rng.normal(0, 0.015)))
                _sticker(rng, image, *place)
    if rng.random() < 0.05:
        _sticker(rng, image, width * rng.uniform(0.3, 0.7), height * float(rng.choice([0.12, 0.88])))


def _mercosur_band(rng: np.random.Generator, image: Image, name: str) -> float:
    """The blue band with the country's name, its flag on the right; return its lower edge."""
    height, width = image.shape[:2]
    edge = float(height * rng.uniform(0.19, 0.25))
    image[: int(edge)] = nearly(rng, (150, 55, 8))
    widest = width * rng.uniform(0.24, 0.5)
    write(rng, image, name, (width / 2, edge / 2), edge * rng.uniform(0.45, 0.65), widest, (245, 245, 245))
    x, half = width * rng.uniform(0.9, 0.95), edge * 0.3
    flag = (70, 150, 20) if name == "BRASIL" else (240, 220, 160)
    cv2.rectangle(
        image,
        (int(x - half * 1.5), int(edge / 2 - half)),
        (int(x + half * 1.5), int(edge / 2 + half)),
        flag,
        -1,
    )
    cv2.circle(image, (int(x), int(edge / 2)), max(1, int(half * 0.7)), (30, 200, 240), -1, cv2.LINE_AA)
    if rng.random() < 0.6:
        cv2.circle(
            image, (int(width * 0.06), int(edge / 2)), max(1, int(half)), (235, 225, 215), 1, cv2.LINE_AA
        )
    return float(edge + height * 0.02)


def _any_colour(rng: np.random.Generator) -> styles.Colour:
    b, g, r = (int(c) for c in rng.integers(0, 200, 3))
    return b, g, r


def _sticker(rng: np.random.Generator, image: Image, x: float, y: float, widest: float = 1e9) -> None:
    height = image.shape[0]
    w, h = height * rng.uniform(0.13, 0.25), height * rng.uniform(0.11, 0.19)
    if w > widest:
        w, h = widest, widest * rng.uniform(0.8, 1.2)
    colour = nearly(rng, _STICKERS[int(rng.integers(len(_STICKERS)))])
    cv2.rectangle(image, (int(x - w / 2), int(y - h / 2)), (int(x + w / 2), int(y + h / 2)), colour, -1)
    texts = [str(rng.integers(10, 30)), _MONTHS[int(rng.integers(12))]]
    contrast = (250, 250, 250) if sum(colour) < 380 else (20, 20, 20)
    if rng.random() < 0.3:  # year above a number nobody reads
        write(rng, image, texts[0], (x, y - h * 0.15), h * 0.5, w * 0.8, contrast)
        write(rng, image, str(rng.integers(10**5, 10**7)), (x, y + h * 0.32), h * 0.22, w * 0.9, contrast)
        return
    write(rng, image, texts[int(rng.random() < 0.5)], (x, y), h * 0.65, w * 0.85, contrast)


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
    elif mark == " " and width > height * 0.35 and rng.random() < 0.06:
        _sticker(rng, image, x, middle, width * 0.95)
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
            # Behind the characters and touching them only if pale.
            wide = rng.random() < 0.4
            size = (
                height * rng.uniform(0.8, 1.5) if wide else max(width, height * 0.2) * rng.uniform(0.8, 1.2)
            )
            draw_emblem(rng, image, x, middle, size, emblem, pale=wide)


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


def draw_fittings(rng: np.random.Generator, image: Image, american: bool) -> None:
    """Screws, a holder's rim and a dealer's frame that covers the edges."""
    height, width = image.shape[:2]
    if rng.random() < 0.6:
        ys = (0.09, 0.91) if american else (0.5,)
        offset = rng.uniform(0.03, 0.27)
        for x in (offset, 1 - offset):
            for y in ys:
                if rng.random() < (0.8 if y < 0.6 else 0.4):
                    place = (x * width, (y + (0 if american else rng.uniform(-0.35, 0.35))) * height)
                    draw_screw(rng, image, place, height * rng.uniform(0.02, 0.045))
    if rng.random() < (0.4 if american else 0.3):
        shade = int(rng.choice([15, 22, 30, 60, 170, 210]))
        colour = nearly(rng, (shade, shade, shade)) if rng.random() < 0.15 else (shade, shade, shade)
        side = int(height * rng.uniform(0.01, 0.05)) + 1
        thickest = 0.15 if american else 0.05  # a wide rim hides title or slogan
        top, bottom = (int(height * rng.uniform(0.02, thickest)) + 1 for _ in range(2))
        _rim(rng, image, (top, bottom, side), colour)
        contrast = (235, 235, 235) if shade < 120 else (20, 20, 20)
        for middle, size in ((top / 2, top), (height - bottom / 2, bottom)):
            if rng.random() < (0.55 if american else 0.3) and size > height * 0.035:
                name = _NAMES[int(rng.integers(len(_NAMES)))]
                write(
                    rng,
                    image,
                    name,
                    (width / 2, middle),
                    size * 0.75,
                    width * rng.uniform(0.3, 0.85),
                    contrast,
                )


def _rim(rng: np.random.Generator, image: Image, sizes: tuple[int, int, int], colour: styles.Colour) -> None:
    """A frame laid on the plate: its shine along the inner edge, its shadow on the plate below the top."""
    height, width = image.shape[:2]
    top, bottom, side = sizes
    shadow = max(1, int(height * 0.02))
    image[top : top + shadow] = (image[top : top + shadow] * rng.uniform(0.4, 0.9)).astype(np.uint8)
    image[:top], image[height - bottom :] = colour, colour
    image[:, :side], image[:, width - side :] = colour, colour
    if rng.random() < 0.5:
        shine = tuple(min(255, c + 60) for c in colour)
        cv2.rectangle(image, (side, top), (width - side - 1, height - bottom - 1), shine, 1)


def draw_screw(rng: np.random.Generator, image: Image, place: tuple[float, float], radius: float) -> None:
    """The head of a screw or bolt, or a plastic cap over it."""
    shade = int(rng.integers(15, 225))
    centre, size = (int(place[0]), int(place[1])), max(1, round(radius))
    colour = nearly(rng, (shade // 2, shade // 2, shade)) if rng.random() < 0.2 else (shade, shade, shade)
    cv2.circle(image, centre, size, colour, -1, cv2.LINE_AA)
    if size > 2:
        dark = (shade // 3, shade // 3, shade // 3)
        cv2.circle(image, centre, size, dark, 1, cv2.LINE_AA)
        cv2.line(image, (centre[0] - size // 2, centre[1]), (centre[0] + size // 2, centre[1]), dark, 1)


def emboss(rng: np.random.Generator, image: Image, coverage: Image) -> None:
    """Light one flank of the pressed characters and shade the other."""
    strength = rng.uniform(0.06, 0.22)
    shift = max(1, round(image.shape[0] / 90))
    relief = coverage.astype(np.int16) - np.roll(coverage, (shift, shift), (0, 1)).astype(np.int16)
    image[:] = np.clip(image + (relief[..., None] * strength), 0, 255).astype(np.uint8)
