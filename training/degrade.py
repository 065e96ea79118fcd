"""From a clean plate to the crop a detector would cut from a camera's frame.

One cropping rule for training, validation and the unit: the detector's box, padded by PADDING of its width
and height on each side, resized to 128 x 64 without keeping the aspect. About nine crops in ten stay
readable to a person; six in ten are ordinary photographs taken by day, clean to mildly degraded.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training import lens, mounting, wear
from training.plates import RenderedPlate

Image = npt.NDArray[np.uint8]

PADDING = 0.05
"""Share of the box's width and height added on each side before cutting; the unit uses the same."""

WIDTH, HEIGHT = 128, 64
"""Size of the reader's input in pixels."""


CONDITIONS = {
    "day": 0.67,
    "dark": 0.1,
    "burnt": 0.03,
    "infrared": 0.05,
    "night": 0.05,
    "wet": 0.04,
    "poor": 0.06,
}
"""Share of the crops taken under each: by day; too dark; over-exposed; under infra-red lamps; by the own
headlights; in rain or mist; by a poor camera."""


@dataclass(frozen=True, slots=True)
class Crop:
    """What the reader sees, and where each character stands in it."""

    image: Image
    """Shape (64, 128, 3), RGB."""
    centres: npt.NDArray[np.float32]
    """Shape (n, 2), x and y of each character as shares of the crop's width and height."""


def degrade(rng: np.random.Generator, plate: RenderedPlate, condition: str | None = None) -> Crop:
    """Return *plate* as a camera on a road would have given it, cut by an imperfect detector.

    *condition* is a key of CONDITIONS and drawn from *rng* if not given.
    """
    if condition is None:
        condition = str(rng.choice(list(CONDITIONS), p=list(CONDITIONS.values())))
    flat = wear.worn(rng, plate.image, plate.boxes)
    if condition == "infrared":
        flat = infrared(rng, flat)
    corners = _pose(rng, plate.image.shape[1], plate.image.shape[0])
    left, top, right, bottom = _cut(rng, corners)
    width = _crop_width(rng, plate, (right - left, bottom - top), small=condition in {"dark", "poor"})
    height = max(12, int(width * (bottom - top) / (right - left)))
    scale = 2 if width < 130 else 1
    to_crop = np.array(
        [
            [width * scale / (right - left), 0, 0],
            [0, height * scale / (bottom - top), 0],
            [0, 0, 1.0],
        ]
    )
    to_crop = to_crop @ np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
    homography: npt.NDArray[np.float64] = to_crop @ cv2.getPerspectiveTransform(
        _rectangle(plate.image).astype(np.float32), corners.astype(np.float32)
    )
    size = (width * scale, height * scale)
    around = mounting.surroundings(rng, size) * (
        rng.uniform(0.05, 0.6) if condition in {"infrared", "night"} else 1
    )
    scene = mounting.placed(rng, flat, homography, around)
    if scale > 1:
        scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    pitch_px = width / (len(plate.text) + 2)
    if condition == "night":
        scene = lens.hot_spot(rng, scene, pitch_px)
    scene = _tone(rng, _light(rng, scene), condition)
    scene = _optics(rng, scene, pitch_px, condition)
    shot = _sensor(rng, scene, pitch_px, condition)
    final = cv2.resize(shot, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    centres = cv2.perspectiveTransform(plate.centres[None], homography)[0] / size
    return Crop(
        cv2.cvtColor(final.astype(np.uint8), cv2.COLOR_BGR2RGB).astype(np.uint8),
        centres.astype(np.float32),
    )


def infrared(rng: np.random.Generator, image: Image) -> Image:
    """Return a plate as an infra-red camera with its own lamp sees it: grey, BGR.

    The sheeting throws the light back and burns out; black ink stays dark, coloured ink and prints fade,
    since most pigments other than black reflect near infra-red.
    """
    blue, green, red = cv2.split(image)
    if rng.random() < 0.7:
        high, low = (
            cv2.max(cv2.max(blue, green), red),
            cv2.min(cv2.min(blue, green), red),
        )
        seen = cv2.addWeighted(high, 0.75, low, 0.25, 0)
    else:
        seen = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    floor = rng.uniform(0.0, 0.12) if rng.random() < 0.75 else rng.uniform(0.12, 0.45)  # ink that reflects
    levels = (np.arange(256) / 255) ** rng.uniform(0.5, 1.0) * rng.uniform(1.0, 1.35)
    table = (np.clip(floor + levels * (1 - floor), 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.LUT(seen, table), cv2.COLOR_GRAY2BGR).astype(np.uint8)


def _crop_width(
    rng: np.random.Generator,
    plate: RenderedPlate,
    box: tuple[float, float],
    small: bool,
) -> int:
    """Width of the plate in the frame in pixels: never so far away that characters fall below 8 px of height
    or 5 px from one to the next."""
    tall = float((plate.boxes[:, 3] - plate.boxes[:, 1]).mean()) / box[1]
    least = max(8.0 * box[0] / box[1] / tall, 5.2 * (len(plate.text) + 1.5))
    if rng.random() < (0.3 if small else 0.05):
        return int(least * rng.uniform(1.0, 1.5))
    usual = max(8.0 * max(len(plate.text), 6), least)
    return int(np.exp(rng.uniform(np.log(usual), np.log(max(230.0, usual * 1.2)))))


def _pose(rng: np.random.Generator, width: float, height: float) -> npt.NDArray[np.float64]:
    """Corners of the plate in an image plane whose unit is the plate's pixel: turned, sheared,
    foreshortened."""
    points = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float) * (
        width / 2,
        height / 2,
    )
    steep = rng.random() < 0.3
    narrow = rng.uniform(0.55, 1.0) if steep else rng.uniform(0.85, 1.05)
    points[:, 0] *= narrow
    near = rng.normal(0, 0.08 if steep else 0.025)
    points[:, 1] *= 1 + near * points[:, 0] / (width / 2)
    points[:, 0] *= 1 + rng.normal(0, 0.02) * points[:, 1] / (height / 2)
    points[:, 1] += points[:, 0] * rng.normal(0, 0.12 if steep else 0.04)
    points[:, 0] += points[:, 1] * rng.normal(0, 0.1)
    angle = np.deg2rad(np.clip(rng.normal(0, 7 if rng.random() < 0.2 else 2.5), -20, 20))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(points @ turn.T)


def _cut(rng: np.random.Generator, corners: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """The detector's box around *corners*, padded; its edges err by a few per cent."""
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    width, height = right - left, bottom - top
    error = rng.normal(0, 0.02, 4) + (rng.uniform(-0.03, 0.12, 4) if rng.random() < 0.2 else 0)
    error = np.clip(error, -0.06, 0.2) * 0.8 + PADDING
    if rng.random() < 0.08:  # a loose box
        error = error + rng.uniform(0, 0.22, 4)
    return (
        left - error[0] * width,
        top - error[1] * height * 1.3,
        right + error[2] * width,
        bottom + error[3] * height * 1.3,
    )


def _rectangle(image: Image) -> npt.NDArray[np.float64]:
    height, width = image.shape[:2]
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], float)


def _light(rng: np.random.Generator, scene: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = scene.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    if rng.random() < 0.6:
        angle = rng.uniform(0, 2 * np.pi)
        slope = ((xs / width - 0.5) * np.cos(angle) + (ys / height - 0.5) * np.sin(angle)) * rng.uniform(
            0, 0.6
        )
        scene = scene * (1 + slope)[..., None]
    if rng.random() < 0.15:
        angle = rng.uniform(0, np.pi)
        edge = (xs / width - rng.random()) * np.cos(angle) + (ys / height - rng.random()) * np.sin(angle)
        shade = rng.uniform(0.35, 0.8)
        scene = scene * (shade + (1 - shade) * np.clip(edge * rng.uniform(5, 40) + 0.5, 0, 1))[..., None]
    if rng.random() < 0.06:
        distance = ((xs / width - rng.random()) ** 2 + (ys / height - rng.random()) ** 2) / rng.uniform(
            0.005, 0.06
        )
        scene = scene + (np.exp(-distance) * rng.uniform(40, 150))[..., None]
    for _ in range(int(rng.integers(1, 5)) if rng.random() < 0.15 else 0):
        centre = (int(width * rng.random()), int(height * rng.random()))
        shade = float(rng.uniform(20, 230))
        layer = np.ascontiguousarray(scene)
        cv2.ellipse(
            layer,
            centre,
            (
                int(rng.integers(1, 1 + max(2, width // 25))),
                int(rng.integers(1, 1 + max(2, height // 12))),
            ),
            float(rng.uniform(0, 180)),
            0,
            360,
            (shade, shade, shade),
            -1,
        )
        scene = layer
    return np.asarray(scene, np.float32)


def _tone(rng: np.random.Generator, scene: lens.Scene, condition: str) -> lens.Scene:
    """Exposure, contrast, colour."""
    x = np.clip(scene, 0, 255) / np.float32(255)
    if condition == "dark":
        x = x ** rng.uniform(0.9, 1.5) * rng.uniform(0.18, 0.5) + rng.uniform(0, 0.1)
        x = x * np.array([rng.uniform(0.7, 1.4), 1.0, rng.uniform(0.7, 1.4)], np.float32)
    elif condition == "burnt":
        x = x ** rng.uniform(0.4, 0.7) * rng.uniform(1.0, 1.35)
    elif condition == "infrared":
        x = x * rng.uniform(0.7, 1.2)
    elif condition == "night":
        x = x ** rng.uniform(0.8, 1.4) * rng.uniform(0.5, 1.2)
    else:
        contrast = rng.uniform(0.65, 1.1) if condition == "day" else rng.uniform(0.35, 0.9)
        x = (x ** rng.uniform(0.65, 1.6) - 0.5) * contrast + rng.uniform(0.34, 0.6)
        warm = rng.normal(-0.02, 0.09)  # shade is blue, evening is yellow
        x = x * (np.array([1 - warm, 1, 1 + warm]) + rng.normal(0, 0.035, 3)).astype(np.float32)
    grey = x.mean(axis=2, keepdims=True)
    colourless = condition == "infrared" or rng.random() < 0.07
    saturation = 0.0 if colourless else rng.uniform(0.4, 1.2)
    toned = np.asarray(np.clip(grey + (x - grey) * saturation, 0, 1) * 255, np.float32)
    tint = {"night": 0.4, "dark": 0.25, "poor": 0.25}.get(condition, 0.06)
    return lens.cast(rng, toned, 0.0) if not colourless and rng.random() < tint else toned


_BLURS = {
    "day": {
        "motion": 0.07,
        "defocus": 0.04,
        "shear": 0.03,
        "haze": 0.02,
        "flare": 0.02,
        "soft": 0.5,
    },
    "dark": {"motion": 0.1, "defocus": 0.05, "shear": 0.03, "soft": 0.4},
    "burnt": {"motion": 0.1, "defocus": 0.1, "flare": 0.3, "soft": 0.5},
    "infrared": {"motion": 0.12, "defocus": 0.1, "shear": 0.04, "soft": 0.6},
    "night": {
        "flare": 0.3,
        "motion": 0.15,
        "defocus": 0.08,
        "shear": 0.04,
        "soft": 0.5,
    },
    "wet": {
        "haze": 0.6,
        "rain_drops": 0.6,
        "motion": 0.06,
        "defocus": 0.06,
        "soft": 0.4,
    },
    "poor": {"motion": 0.35, "defocus": 0.3, "shear": 0.1, "haze": 0.06, "soft": 0.3},
}
"""Chance of each effect of air and lens, by condition; they act in this order."""

_STRONG_BLURS = {"motion", "defocus", "soft"}
"""At most one of these acts on a crop: together they would leave nothing to read."""

_CODECS = {
    "day": {"noise": 0.35, "sharpen": 0.18, "coarse_colour": 0.12, "jpeg": 0.6},
    "poor": {
        "interlace": 0.05,
        "noise": 0.5,
        "sharpen": 0.3,
        "coarse_colour": 0.4,
        "jpeg": 0.9,
    },
}
_DIM_CODECS = {
    "interlace": 0.01,
    "noise": 0.5,
    "sharpen": 0.15,
    "coarse_colour": 0.2,
    "jpeg": 0.6,
}
"""Chance of each effect of sensor and codec, for the conditions not in the table above."""


def _apply(
    rng: np.random.Generator,
    scene: lens.Scene,
    pitch_px: float,
    chances: dict[str, float],
) -> lens.Scene:
    blurred = False
    for name, chance in chances.items():
        if rng.random() < chance and not (blurred and name in _STRONG_BLURS):
            scene = lens.EFFECTS[name](rng, scene, pitch_px)
            blurred = blurred or name in _STRONG_BLURS
    return scene


def _optics(rng: np.random.Generator, scene: lens.Scene, pitch_px: float, condition: str) -> lens.Scene:
    return _apply(rng, scene, pitch_px, _BLURS[condition])


def _sensor(rng: np.random.Generator, scene: lens.Scene, pitch_px: float, condition: str) -> Image:
    shot = _apply(rng, scene, pitch_px, _CODECS.get(condition, _DIM_CODECS))
    return np.clip(shot, 0, 255).astype(np.uint8)


def degrade_photo(rng: np.random.Generator, photo: Image, box: tuple[float, float, float, float]) -> Image:
    """Return a real plate seen otherwise, as the reader's input, shape (64, 128, 3), RGB.

    *photo* is BGR; *box* is the plate in it (left, top, right, bottom, pixels). The pose changes a little,
    the cut as a detector's, light, colour, blur and noise as for rendered plates but milder, for the photo
    has its own.
    """
    left, top, right, bottom = box
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
    width, height = right - left, bottom - top
    pushed = corners + rng.normal(0, 0.04, (4, 2)) * (min(width, 2 * height), height)
    x0, y0, x1, y1 = _cut(rng, pushed)
    homography = cv2.getPerspectiveTransform(corners.astype(np.float32), pushed.astype(np.float32))
    size = (int(np.clip(x1 - x0, 32, 256)), int(np.clip(y1 - y0, 16, 160)))
    scale = np.array([[size[0] / (x1 - x0), 0, 0], [0, size[1] / (y1 - y0), 0], [0, 0, 1.0]])
    to_crop = scale @ np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1.0]]) @ homography
    view = cv2.warpPerspective(photo, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    scene = np.asarray(view, np.float32)
    if rng.random() < 0.7:
        other = _tone(
            rng,
            _light(rng, scene),
            str(rng.choice(["day", "day", "day", "dark", "poor", "burnt"])),
        )
        scene = np.asarray(other * 0.6 + scene * 0.4, np.float32)
    if rng.random() < 0.35 and size[0] > 70:
        smaller = rng.uniform(0.5, 0.95)
        smaller_size = (round(size[0] * smaller), round(size[1] * smaller))
        scene = cv2.resize(scene, smaller_size, interpolation=cv2.INTER_AREA).astype(np.float32)
    if rng.random() < 0.3:
        scene = _optics(rng, scene, scene.shape[1] / 9, "day" if rng.random() < 0.6 else "poor")
    shot = np.clip(scene, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        shot = _sensor(rng, scene, scene.shape[1] / 9, "day")
    final = cv2.resize(shot, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(final, cv2.COLOR_BGR2RGB).astype(np.uint8)
