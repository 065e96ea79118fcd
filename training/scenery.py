"""Landscapes and patterns printed behind the serial, pale enough to leave it legible."""

import cv2
import numpy as np
import numpy.typing as npt

from training import styles
from training.emblems import draw_emblem

Image = npt.NDArray[np.uint8]


def draw_scenery(rng: np.random.Generator, image: Image) -> None:
    """Mountains, stripes, a sun or blots, pale enough to leave a serial legible."""
    height, width = image.shape[:2]
    layer = image.copy()
    kind = int(rng.choice(6, p=[0.22, 0.2, 0.12, 0.16, 0.06, 0.24]))
    colour = tuple(int(c) for c in rng.integers(60, 240, 3))
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
            drawn = tuple(int(c) for c in rng.integers(60, 240, 3))
            cv2.ellipse(layer, centre, axes, float(rng.uniform(0, 180)), 0, 360, drawn, -1)
    elif kind == 4:
        step = int(height * rng.uniform(0.08, 0.25)) + 2
        for x in range(0, width + height, 2 * step):
            cv2.line(layer, (x, 0), (x - height // 2, height), colour, max(1, step // 2))
    else:  # a large faint picture behind the serial
        place = (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.4, 0.6))
        draw_emblem(rng, layer, *place, height * rng.uniform(0.6, 1.3))
    share = rng.uniform(0.1, 0.4)
    image[:] = cv2.addWeighted(layer, share, image, 1 - share, 0)


def draw_scene(rng: np.random.Generator, image: Image, scene: str, ink: styles.Colour) -> None:
    """The landscape that a state prints on its plates, in colours that stand off from *ink*."""
    height, width = image.shape[:2]
    layer = image.copy()
    xs = np.linspace(0, width, 24)
    base = height * rng.uniform(0.45, 0.85)

    def fill(ys: npt.NDArray[np.float64], colour: styles.Colour) -> None:
        outline = np.concatenate([np.stack([xs, ys], 1), [[width, height], [0, height]]])
        cv2.fillPoly(layer, [(outline * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)

    waves = np.sin(xs / width * rng.uniform(4, 12) + rng.uniform(0, 6)) * height * rng.uniform(0.03, 0.09)
    peaks = np.abs(np.interp(xs, np.sort(rng.uniform(0, width, 9)), rng.uniform(0, 1, 9))) * height * 0.3
    if scene in {"snow", "purple"}:
        if rng.random() < 0.6:  # sky down to the ridge
            layer[: int(height * 0.5)] = away_from(ink, nearly(rng, (220, 170, 120)))
        fill(
            base - peaks,
            away_from(ink, nearly(rng, (240, 235, 230) if scene == "snow" else (170, 120, 150))),
        )
        if rng.random() < 0.6:
            fill(base + height * 0.12 - peaks[::-1] * 0.6, away_from(ink, nearly(rng, (200, 180, 170))))
    elif scene == "rainbow":
        for i, colour in enumerate(((80, 80, 240), (80, 210, 250), (110, 210, 110), (240, 170, 90))):
            radius = int(height * (0.86 - 0.05 * i))
            cv2.ellipse(layer, (width // 2, height), (int(radius * 1.1), radius), 0, 180, 360, colour, 4)
    elif scene == "skyline":
        x = 0
        while x < width:
            w = int(rng.integers(4, 16))
            y = int(base - height * rng.uniform(0, 0.25))
            cv2.rectangle(layer, (x, y), (x + w, height), away_from(ink, nearly(rng, (200, 170, 140))), -1)
            x += w + int(rng.integers(0, 8))
    elif scene == "flag":
        for i in range(8):
            x = int(width * i / 8)
            strip = np.array([[x, height], [x + width // 14, height], [x + width // 9, height * 0.84]])
            cv2.fillPoly(
                layer, [strip.astype(np.int32)], ((30, 30, 30), (30, 30, 200), (40, 190, 240))[i % 3]
            )
    elif scene == "wave":
        for i in range(3):
            fill(base + waves + i * height * 0.1, away_from(ink, nearly(rng, (230, 200 - 20 * i, 150))))
    else:
        water = scene == "lake"
        fill(base + waves, away_from(ink, nearly(rng, (220, 190, 140) if water else (140, 190, 150))))
        fill(base + height * 0.15 - waves, away_from(ink, nearly(rng, (120, 180, 120))))
        if scene in {"farm", "lake"}:
            kind = "farm" if scene == "farm" else "tree"
            for x in rng.uniform(0.05, 0.95, int(rng.integers(1, 5))):
                draw_emblem(rng, layer, x * width, float(base), height * rng.uniform(0.15, 0.3), kind)
    share = rng.uniform(0.25, 0.85)
    image[:] = cv2.addWeighted(layer, share, image, 1 - share, 0)


def nearly(rng: np.random.Generator, colour: styles.Colour) -> styles.Colour:
    """Return *colour* as another print run gives it."""
    b, g, r = np.clip(np.array(colour) + rng.normal(0, 22, 3), 0, 255)
    return int(b), int(g), int(r)


def away_from(ink: styles.Colour, colour: styles.Colour) -> styles.Colour:
    """Return *colour*, lightened or darkened until a serial in *ink* stands out from it."""
    light = 0.11 * ink[0] + 0.59 * ink[1] + 0.3 * ink[2]
    target = 235 if light < 128 else 20
    own = 0.11 * colour[0] + 0.59 * colour[1] + 0.3 * colour[2]
    if abs(own - light) > 95:
        return colour
    b, g, r = (int(c + (target - c) * 0.6) for c in colour)
    return b, g, r
