"""From a clean plate to the crop a detector would cut from a camera's frame.

One cropping rule for training, validation and the unit: the detector's box, padded by PADDING of its width
and height on each side, resized to 128 x 64 without keeping the aspect. About nine crops in ten stay
readable to a person.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.plates import RenderedPlate

Image = npt.NDArray[np.uint8]

PADDING = 0.05
"""Share of the box's width and height added on each side before cutting; the unit uses the same."""

WIDTH, HEIGHT = 128, 64
"""Size of the reader's input in pixels."""


@dataclass(frozen=True, slots=True)
class Crop:
    """What the reader sees, and where each character stands in it."""

    image: Image
    """Shape (64, 128, 3), RGB."""
    centres: npt.NDArray[np.float32]
    """Shape (n, 2), x and y of each character as shares of the crop's width and height."""


def degrade(rng: np.random.Generator, plate: RenderedPlate) -> Crop:
    """Return *plate* as a camera on a road would have given it, cut by an imperfect detector."""
    corners = _pose(rng, plate.image.shape[1], plate.image.shape[0])
    left, top, right, bottom = _cut(rng, corners)
    width = int(np.exp(rng.uniform(np.log(8.0 * max(len(plate.text), 6)), np.log(230.0))))
    height = max(12, int(width * (bottom - top) / (right - left)))
    scale = 2 if width < 130 else 1
    to_crop = np.array(
        [[width * scale / (right - left), 0, 0], [0, height * scale / (bottom - top), 0], [0, 0, 1.0]]
    )
    to_crop = to_crop @ np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
    source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * (
        plate.image.shape[1],
        plate.image.shape[0],
    )
    homography: npt.NDArray[np.float64] = to_crop @ cv2.getPerspectiveTransform(
        source.astype(np.float32), corners.astype(np.float32)
    )
    size = (width * scale, height * scale)
    picture = cv2.warpPerspective(plate.image, homography, size, flags=cv2.INTER_LINEAR)
    inside = cv2.warpPerspective(np.full(plate.image.shape[:2], 255, np.uint8), homography, size)
    share = inside[..., None].astype(np.float32) / 255
    scene = np.asarray(picture * share + _surroundings(rng, size) * (1 - share), np.float32)
    if scale > 1:
        scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    pitch_px = width / (len(plate.text) + 2)
    shot = _sensor(rng, _optics(rng, _light(rng, scene), pitch_px))
    final = cv2.resize(shot, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    centres = cv2.perspectiveTransform(plate.centres[None], homography)[0] / size
    return Crop(
        cv2.cvtColor(final.astype(np.uint8), cv2.COLOR_BGR2RGB).astype(np.uint8), centres.astype(np.float32)
    )


def _pose(rng: np.random.Generator, width: float, height: float) -> npt.NDArray[np.float64]:
    """Corners of the plate in an image plane whose unit is the plate's pixel: turned, sheared,
    foreshortened."""
    points = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float) * (width / 2, height / 2)
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


def _surroundings(rng: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Car body, bumper and shadow around the plate: soft blots and a few straight edges."""
    base = rng.uniform(0, 200, 3) if rng.random() < 0.4 else np.repeat(rng.uniform(0, 220), 3)
    coarse = base + rng.normal(0, rng.uniform(2, 30), (4, 8, 1)) + rng.normal(0, 4, (4, 8, 3))
    scene = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, 4))):
        y = int(rng.integers(size[1]))
        shade = float(rng.uniform(0, 240))
        cv2.line(
            scene,
            (0, y),
            (size[0], y + int(rng.normal(0, size[1] * 0.1))),
            (shade, shade, shade),
            int(rng.integers(1, 8)),
        )
    return np.clip(scene, 0, 255)


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
            (int(rng.integers(1, 1 + max(2, width // 25))), int(rng.integers(1, 1 + max(2, height // 12)))),
            float(rng.uniform(0, 180)),
            0,
            360,
            (shade, shade, shade),
            -1,
        )
        scene = layer
    return _tone(rng, scene)


def _tone(rng: np.random.Generator, scene: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Exposure, contrast, colour cast; one bucket of dark plates, one of infra-red ones, one burnt out."""
    bucket = rng.random()
    x = np.clip(scene, 0, 255) / 255
    if bucket < 0.1:
        x = x ** rng.uniform(1.0, 1.8) * rng.uniform(0.16, 0.45) + rng.uniform(0, 0.1)
        x = x * np.array([rng.uniform(0.7, 1.4), 1.0, rng.uniform(0.7, 1.4)], np.float32)
    elif bucket < 0.15:
        x = x ** rng.uniform(0.4, 0.7) * rng.uniform(1.0, 1.35)
    else:
        contrast = rng.uniform(0.4, 1.1)
        x = (x ** rng.uniform(0.6, 1.7) - 0.5) * contrast + rng.uniform(0.3, 0.6)
        x = x * (1 + rng.normal(0, 0.07, 3).astype(np.float32))
    grey = x.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.1 else rng.uniform(0.4, 1.2)
    return np.asarray(np.clip(grey + (x - grey) * saturation, 0, 1) * 255, np.float32)


def _optics(
    rng: np.random.Generator, scene: npt.NDArray[np.float32], pitch_px: float
) -> npt.NDArray[np.float32]:
    """Blur of focus and motion, bounded by the distance *pitch_px* from one character to the next."""
    if rng.random() < 0.65:
        sigma = rng.uniform(0.2, 0.9) if rng.random() < 0.75 else rng.uniform(0.6, max(0.9, 0.19 * pitch_px))
        scene = cv2.GaussianBlur(scene, (0, 0), float(sigma)).astype(np.float32)
    if rng.random() < 0.22:
        length = int(rng.integers(2, max(4, 1 + round(0.45 * pitch_px))))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.normal(0, 0.5)
        half = (length - 1) / 2
        start = (round(half - half * np.cos(angle)), round(half - half * np.sin(angle)))
        end = (round(half + half * np.cos(angle)), round(half + half * np.sin(angle)))
        cv2.line(kernel, start, end, 1.0, 1)
        scene = cv2.filter2D(scene, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT).astype(
            np.float32
        )
    return scene


def _sensor(rng: np.random.Generator, scene: npt.NDArray[np.float32]) -> Image:
    if rng.random() < 0.6:
        sigma = rng.uniform(1, 5) if rng.random() < 0.75 else rng.uniform(5, 16)
        shape = scene.shape[:2] + ((1,) if rng.random() < 0.4 else (3,))
        noise = rng.standard_normal(shape, np.float32) * np.float32(sigma)
        if rng.random() < 0.4:
            noise = cv2.GaussianBlur(noise, (0, 0), 0.7).astype(np.float32).reshape(shape)
        scene = scene + noise
    shot = np.clip(scene, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        soft = cv2.GaussianBlur(shot, (0, 0), 1.0)
        shot = cv2.addWeighted(shot, 1.7, soft, -0.7, 0).astype(np.uint8)
    if rng.random() < 0.7:
        quality = int(rng.integers(30, 96))
        packed = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        shot = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return shot


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
        scene = np.asarray(_light(rng, scene) * 0.6 + scene * 0.4, np.float32)
    if rng.random() < 0.35 and size[0] > 70:
        smaller = rng.uniform(0.5, 0.95)
        smaller_size = (round(size[0] * smaller), round(size[1] * smaller))
        scene = cv2.resize(scene, smaller_size, interpolation=cv2.INTER_AREA).astype(np.float32)
    if rng.random() < 0.3:
        scene = _optics(rng, scene, scene.shape[1] / 9)
    shot = _sensor(rng, scene) if rng.random() < 0.5 else np.clip(scene, 0, 255).astype(np.uint8)
    final = cv2.resize(shot, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(final, cv2.COLOR_BGR2RGB).astype(np.uint8)
