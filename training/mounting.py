"""The plate where it is mounted: on paint of some colour, in a holder or recess, lit like its car."""

import cv2
import numpy as np
import numpy.typing as npt

from training import lens

Image = npt.NDArray[np.uint8]

_PAINTS = (
    (22, 22, 24),
    (40, 42, 45),
    (95, 98, 100),
    (150, 152, 155),
    (205, 205, 205),
    (30, 30, 130),
    (120, 60, 30),
    (90, 50, 35),
    (60, 90, 110),
    (60, 80, 50),
    (170, 130, 70),
)
"""BGR of car bodies: black to white, reds, blues, the seldom ones."""


def surroundings(rng: np.random.Generator, size: tuple[int, int]) -> lens.Scene:
    """Car body, bumper and shadow around the plate: soft blots and a few straight edges."""
    if rng.random() < 0.9:
        base = np.array(_PAINTS[int(rng.integers(len(_PAINTS)))]) * rng.uniform(0.5, 1.3)
    else:
        base = rng.uniform(0, 200, 3)
    coarse = base + rng.normal(0, rng.uniform(2, 26), (4, 8, 1)) + rng.normal(0, 3, (4, 8, 3))
    scene = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, 3))):
        y = int(rng.integers(size[1]))
        shade = base * rng.uniform(0.2, 1.6) + rng.uniform(-20, 60)
        ends = (0, y), (size[0], y + int(rng.normal(0, size[1] * 0.1)))
        thickness = int(rng.integers(1, 3 + size[1] // 6))
        cv2.line(scene, *ends, (float(shade[0]), float(shade[1]), float(shade[2])), thickness, cv2.LINE_AA)
    return np.clip(scene, 0, 255)


def placed(
    rng: np.random.Generator, flat: Image, homography: npt.NDArray[np.float64], around: lens.Scene
) -> lens.Scene:
    """The flat plate, its corners rounded, put into *around* with the holder or recess it sits in."""
    height, width = flat.shape[:2]
    size = (around.shape[1], around.shape[0])
    # Shrunk beforehand to about the crop's resolution, else the warp would alias its edges.
    shrink = min(1.0, 1.1 / np.sqrt(width / size[0] * height / size[1]))
    if shrink < 0.85:
        flat = np.asarray(
            cv2.resize(flat, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
        )
    enlarge = np.diag([width / flat.shape[1], height / flat.shape[0], 1.0])
    solid = np.zeros(flat.shape[:2], np.uint8)
    radius = int(flat.shape[0] * rng.uniform(0.02, 0.14))
    last = (flat.shape[1] - 1, flat.shape[0] - 1)
    cv2.rectangle(solid, (radius, 0), (last[0] - radius, last[1]), 255, -1)
    cv2.rectangle(solid, (0, radius), (last[0], last[1] - radius), 255, -1)
    for x in (radius, last[0] - radius):
        for y in (radius, last[1] - radius):
            cv2.circle(solid, (x, y), radius, 255, -1, cv2.LINE_AA)
    picture = cv2.warpPerspective(flat, homography @ enlarge, size, flags=cv2.INTER_LINEAR)
    inside = cv2.warpPerspective(solid, homography @ enlarge, size, flags=cv2.INTER_LINEAR)
    if rng.random() < 0.55:
        reach = max(3, int(size[1] * rng.uniform(0.04, 0.16))) | 1
        rim = cv2.dilate(inside, np.ones((reach, reach), np.uint8))
        if rng.random() < 0.5:
            rim = cv2.blur(rim, (reach, reach))
        dark = rim[..., None] * np.float32(rng.uniform(0.3, 0.95) / 255)
        around = np.asarray(around * (1 - dark), np.float32)
    share = inside[..., None].astype(np.float32) / 255
    return np.asarray(picture * share + around * (1 - share), np.float32)
