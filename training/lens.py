"""What air, lens, sensor and codec do to a picture; each effect is one function.

All take the generator, a scene (float32 BGR, 0 to 255, shape (height, width, 3)) and the distance in pixels
from one character to the next, which bounds every blur; they return a scene of the same shape, and leave
what they were given as it was.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Scene = npt.NDArray[np.float32]
Effect = Callable[[np.random.Generator, Scene, float], Scene]


def _grid(scene: Scene) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Columns and rows as shares of the size, shapes (1, width) and (height, 1)."""
    height, width = scene.shape[:2]
    columns, rows = (
        np.arange(width, dtype=np.float32) / width,
        np.arange(height, dtype=np.float32) / height,
    )
    return columns[None], rows[:, None]


def hot_spot(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """The own headlights at night: a bright middle, dim borders."""
    xs, ys = _grid(scene)
    distance = (xs - rng.uniform(0.2, 0.8)) ** 2 + (ys - rng.uniform(0.2, 0.8)) ** 2 * rng.uniform(0.3, 1)
    light = rng.uniform(0.35, 0.7) + np.exp(-distance / rng.uniform(0.04, 0.3)) * rng.uniform(0.4, 0.9)
    return np.asarray(scene * light[..., None], np.float32)


def flare(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """A lamp or the sun in the corner of the eye: a glow, sometimes with a streak."""
    xs, ys = _grid(scene)
    x, y = (
        rng.uniform(-0.2, 1.2),
        rng.choice([rng.uniform(-0.3, 0.15), rng.uniform(0.85, 1.3)]),
    )
    glow = np.exp(-((xs - x) ** 2 + (ys - y) ** 2 * 0.4) / rng.uniform(0.02, 0.12))
    if rng.random() < 0.4:
        glow = glow + np.exp(-((ys - y - (xs - x) * rng.normal(0, 0.1)) ** 2) / 0.002) * 0.6
    colour = np.array([rng.uniform(0.7, 1), rng.uniform(0.85, 1), 1], np.float32)
    return np.asarray(scene + glow[..., None] * colour * rng.uniform(50, 150), np.float32)


def rain_drops(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """Drops on the glass: each shows its surroundings small and upside down, with a bright rim below."""
    wet = scene.copy()
    height, width = scene.shape[:2]
    for _ in range(int(rng.integers(3, 14))):
        radius = int(np.clip(rng.exponential(0.25) * pitch_px, 2, max(2, 0.45 * pitch_px)))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        x0, x1, y0, y1 = (
            max(0, x - radius),
            min(width, x + radius),
            max(0, y - radius),
            min(height, y + radius),
        )
        if x1 - x0 < 3 or y1 - y0 < 3:
            continue
        wide = scene[
            max(0, y - 3 * radius) : y + 3 * radius,
            max(0, x - 3 * radius) : x + 3 * radius,
        ]
        small = cv2.resize(wide[::-1, ::-1], (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        ys, xs = np.ogrid[y0:y1, x0:x1]
        away = np.sqrt((xs - x) ** 2 + (ys - y) ** 2) / radius
        mask = np.clip((1 - away) * 2.5, 0, 1)[..., None] * rng.uniform(0.5, 0.95)
        rim = (np.clip(away - 0.5, 0, 0.5) * (ys > y))[..., None] * rng.uniform(20, 120)
        wet[y0:y1, x0:x1] = wet[y0:y1, x0:x1] * (1 - mask) + (small + rim) * mask
    return wet


def haze(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """Mist, spray or a fogged pane: grey lies over everything and the lights spread."""
    grey = rng.uniform(90, 220)
    share = rng.uniform(0.2, 0.62)
    glow = cv2.GaussianBlur(scene, (0, 0), max(1.0, pitch_px * 0.4))
    return np.asarray((scene * 0.75 + glow * 0.25) * (1 - share) + grey * share, np.float32)


def shear(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """Rolling shutter on a shaking or fast camera: every row is read a little later than the one above."""
    height, width = scene.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    rows = ys / height
    lean = rng.normal(0, 0.35) * (rows - 0.5) + rng.uniform(0, 0.12) * np.sin(rows * rng.uniform(4, 16))
    moved = cv2.remap(
        scene,
        (xs + lean * pitch_px).astype(np.float32),
        ys,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.float32)


def motion(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """Blur along a line of any direction, most often along the road's."""
    length = rng.uniform(2.0, max(2.6, 0.45 * pitch_px))
    angle = rng.normal(0, 0.4) if rng.random() < 0.6 else rng.uniform(0, np.pi)
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), np.float32)
    middle = (size - 1) / 2
    half = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    start, end = (
        np.round((middle - half) * 16).astype(int),
        np.round((middle + half) * 16).astype(int),
    )
    cv2.line(
        kernel,
        (int(start[0]), int(start[1])),
        (int(end[0]), int(end[1])),
        1.0,
        1,
        cv2.LINE_8,
        4,
    )
    blurred = cv2.filter2D(scene, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)


def defocus(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """Blur by a disk, as a lens out of focus gives it."""
    radius = rng.uniform(0.7, max(1.0, 0.16 * pitch_px))
    size = 2 * int(np.ceil(radius)) + 1
    ys, xs = np.mgrid[:size, :size] - size // 2
    kernel = np.clip(radius + 0.5 - np.sqrt(xs**2 + ys**2), 0, 1).astype(np.float32)
    return np.asarray(
        cv2.filter2D(scene, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT),
        np.float32,
    )


def soft(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """The ordinary softness of a small lens."""
    mild = rng.random() < 0.8
    sigma = rng.uniform(0.2, 0.9) if mild else rng.uniform(0.6, max(0.9, 0.15 * pitch_px))
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), float(sigma)), np.float32)


def interlace(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """The odd lines were taken a fiftieth of a second later."""
    shifted = scene.copy()
    step = int(np.clip(rng.uniform(0.04, 0.15) * pitch_px, 1, 4)) * int(rng.choice([-1, 1]))
    shifted[1::2] = np.roll(scene[1::2], step, axis=1)
    return shifted


def noise(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """Grain of the sensor, grey or coloured, sometimes smeared by a denoiser."""
    sigma = rng.uniform(1, 5) if rng.random() < 0.8 else rng.uniform(5, 12)
    shape = scene.shape[:2] + ((1,) if rng.random() < 0.4 else (3,))
    grain = rng.standard_normal(shape, np.float32) * np.float32(sigma)
    if rng.random() < 0.4:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.7).astype(np.float32).reshape(shape)
    return np.asarray(scene + grain, np.float32)


def sharpen(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """A phone's sharpening: bright and dark seams along every edge."""
    amount = rng.uniform(0.5, 1.0) if rng.random() < 0.7 else rng.uniform(1.0, 2.2)
    blurred = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.8, 1.6))
    return np.asarray(np.clip(scene + (scene - blurred) * amount, 0, 255), np.float32)


def coarse_colour(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """Colour at a half or a quarter of the resolution, as video codecs keep it."""
    height, width = scene.shape[:2]
    grey = cv2.cvtColor(np.clip(scene, 0, 255), cv2.COLOR_BGR2GRAY)[..., None]
    factor = int(rng.choice([2, 4, 6]))
    small = cv2.resize(
        scene - grey,
        (max(2, width // factor), max(2, height // factor)),
        interpolation=cv2.INTER_AREA,
    )
    return np.asarray(grey + cv2.resize(small, (width, height)), np.float32)


_CASTS = (
    (0.45, 0.85, 1.2),
    (1.2, 0.78, 1.12),
    (1.25, 1.0, 0.8),
    (0.75, 1.1, 0.85),
    (0.7, 0.95, 1.15),
)
"""Factors on blue, green, red: sodium lamp, no infra-red filter, shade, fluorescent tube, dusk."""


def cast(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """The colour of the lamp, or of a camera without an infra-red filter."""
    factors = np.array(_CASTS[int(rng.integers(len(_CASTS)))], np.float32)
    strength = rng.uniform(0.4, 1.1)
    return np.asarray(scene * (1 + (factors - 1) * np.float32(strength)), np.float32)


def jpeg(rng: np.random.Generator, scene: Scene, pitch_px: float) -> Scene:
    """Blocks and ringing of JPEG; now and then strong."""
    quality = int(rng.integers(35, 96)) if rng.random() < 0.85 else int(rng.integers(12, 35))
    packed = cv2.imencode(
        ".jpg",
        np.clip(scene, 0, 255).astype(np.uint8),
        [cv2.IMWRITE_JPEG_QUALITY, quality],
    )
    return np.asarray(cv2.imdecode(packed[1], cv2.IMREAD_COLOR), np.float32)


EFFECTS: dict[str, Effect] = {
    effect.__name__: effect
    for effect in (
        hot_spot,
        flare,
        rain_drops,
        haze,
        shear,
        motion,
        defocus,
        soft,
        interlace,
        noise,
        sharpen,
        coarse_colour,
        cast,
        jpeg,
    )
}
