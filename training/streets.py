"""The street around the vehicles: road, sky, houses, trees and signs with words on them."""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from training.scenes import Camera, Canvas, Floats, Pixels, Texture, cloth

ROAD_LEFT_M, ROAD_RIGHT_M = -4.3, 3.6
CENTRE_LINE_M, PARKING_LINE_M = -1.3, 1.32
_PERIOD_M, _HALF_M, _FINE = 48.0, 16.0, 48
SHOPS = (
    "COFFEE 24H",
    "HARDWARE",
    "PIZZA 555-0142",
    "BOOKS",
    "TAX 1040",
    "NAILS SPA",
    "CAFE LUNA",
    "AUTO PARTS",
    "FLOWERS",
    "ELM ST 2100",
    "BIKES 4U",
    "BAKERY EST 1987",
    "LAUNDRY",
    "OPTICIAN",
    "RECORDS",
)
SIGNS = (
    ("SPEED", "LIMIT", "25"),
    ("NO", "PARKING", "8AM-6PM"),
    ("BUS", "STOP", "22B"),
    ("ONE", "WAY"),
    ("STREET", "CLEANING", "THU 7-9"),
    ("2 HR", "PARKING"),
    ("SCHOOL", "SPEED 15"),
    ("RT", "4 4 1"),
)


class Surface:
    """The ground, looked up element by element: lanes, kerbs, pavements and lawns."""

    def __init__(self, rng: np.random.Generator) -> None:
        fine = _FINE
        height, width = round(_PERIOD_M * fine / 2), round(2 * _HALF_M * fine)
        x = (np.arange(width, dtype=np.float32) / fine - _HALF_M)[None, :]
        z = (np.arange(height, dtype=np.float32) / (fine / 2))[:, None]
        image = np.full((height, width, 3), 96.0, np.float32)
        grain = rng.standard_normal((height, width), dtype=np.float32)
        road = (
            np.array([104, 102, 100], np.float32)
            + 3.5 * grain[..., None]
            + 5 * cloth(rng, height, width, 160)[..., None]
        )
        for lane in (0.0, -2.7):  # two darker bands where wheels run, one oily between
            for off in (-0.75, 0.75):
                road -= (5 * np.exp(-(((x - lane - off) / 0.28) ** 2)))[..., None]
            road -= (7 * np.exp(-(((x - lane) / 0.22) ** 2)))[..., None]
        image[...] = road
        for _ in range(9):  # patches and cracks
            px, pz = int(rng.uniform(0.3, 0.55) * width), int(rng.uniform(0.1, 0.8) * height)
            patch = image[pz : pz + int(rng.uniform(60, 150)), px : px + int(rng.uniform(20, 70))]
            patch -= rng.uniform(5, 14)
        for _ in range(14):
            start = np.array([rng.uniform(0.28, 0.62) * width, rng.uniform(0, 0.9) * height])
            steps = np.cumsum(rng.normal(0, 9, (12, 2)) + np.array([0, 6]), axis=0)
            cv2.polylines(
                image, [np.round(start + steps).astype(np.int32)], False, (72, 70, 69), 1, cv2.LINE_AA
            )
        paint = 0.90 + 0.10 * cloth(rng, height, width, 24)
        white, yellow = np.array([206, 208, 208], np.float32), np.array([70, 172, 214], np.float32)
        for off in (-0.09, 0.09):
            line = np.abs(x - CENTRE_LINE_M - off) < 0.055
            image[np.broadcast_to(line, paint.shape)] = (paint[..., None] * yellow)[
                np.broadcast_to(line, paint.shape)
            ]
        edge = (np.abs(x - PARKING_LINE_M) < 0.06) & (np.mod(z, 8.0) < 5.6)
        image[edge] = (paint[..., None] * white)[edge]
        stone = (
            np.array([150, 156, 160], np.float32)
            + 4 * grain[..., None]
            + 6 * cloth(rng, height, width, 60)[..., None]
        )
        walk = ((x > ROAD_RIGHT_M) & (x < ROAD_RIGHT_M + 2.6)) | ((x < ROAD_LEFT_M) & (x > ROAD_LEFT_M - 2.6))
        walk = np.broadcast_to(walk, paint.shape)
        image[walk] = stone[walk]
        joints = walk & ((np.mod(z, 1.5) < 0.05) | (np.mod(x - ROAD_RIGHT_M, 1.3) < 0.03))
        image[joints] -= 34
        kerb = (np.abs(x - ROAD_RIGHT_M) < 0.14) | (np.abs(x - ROAD_LEFT_M) < 0.14)
        image[np.broadcast_to(kerb, paint.shape)] *= 1.10
        gutter = (np.abs(x - ROAD_RIGHT_M + 0.25) < 0.14) | (np.abs(x - ROAD_LEFT_M - 0.25) < 0.14)
        image[np.broadcast_to(gutter, paint.shape)] *= 0.74
        lawn = np.broadcast_to((x > ROAD_RIGHT_M + 2.6) | (x < ROAD_LEFT_M - 2.6), paint.shape)
        grass = (
            np.array([52, 104, 84], np.float32)
            + 10 * grain[..., None]
            + 16 * cloth(rng, height, width, 90)[..., None]
        )
        image[lawn] = grass[lawn]
        self._levels: list[Floats] = [image.clip(0, 255)]
        for _ in range(4):
            last = self._levels[-1]
            self._levels.append(
                cv2.resize(last, (last.shape[1] // 2, last.shape[0] // 2), interpolation=cv2.INTER_AREA)
            )

    def paint(self, canvas: Canvas) -> None:
        """Fill everything below the horizon."""
        camera = canvas.camera
        first = max(0, math.floor(camera.horizon_px) + 1)
        rows = np.arange(first, camera.height_px, dtype=np.float32)
        columns = np.arange(camera.width_px, dtype=np.float32)
        depth = camera.focal_px * camera.y_m / np.maximum(rows + 0.5 - camera.horizon_px, 0.25)
        side = (columns[None, :] - camera.width_px / 2) / camera.focal_px * depth[:, None]
        cosine, sine = math.cos(camera.yaw_rad), math.sin(camera.yaw_rad)
        x = camera.x_m + side * cosine + depth[:, None] * sine
        z = camera.z_m - side * sine + depth[:, None] * cosine
        # How much of the road one picture row covers says which size of the texture is fit.
        cover = depth**2 / (camera.focal_px * camera.y_m) * (_FINE / 2)
        level = np.clip(np.round(np.log2(np.maximum(cover, 1.0)) - 0.6), 0, len(self._levels) - 1).astype(int)
        for index in np.unique(level):
            chosen = np.nonzero(level == index)[0]
            part = slice(chosen[0], chosen[-1] + 1)
            source = self._levels[index]
            scale_x, scale_z = source.shape[1] / (2 * _HALF_M), source.shape[0] / _PERIOD_M
            at_x = ((x[part] + _HALF_M).clip(0.2, 2 * _HALF_M - 0.2) * scale_x - 0.5).astype(np.float32)
            at_z = (np.mod(z[part], _PERIOD_M) * scale_z - 0.5).astype(np.float32)
            seen = cv2.remap(source, at_x, at_z, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            canvas.pixels[first + chosen[0] : first + chosen[-1] + 1] = seen
        haze = np.exp(-depth / 170.0)[:, None, None]
        tint = np.array([196, 190, 186], np.float32)
        ground = canvas.pixels[first:]
        ground *= haze
        ground += tint * (1 - haze)
        night = np.array([0.42, 0.34, 0.33], np.float32)
        # Our own headlights keep the road before us bright.
        reach = np.exp(-((depth[:, None] / 26.0) ** 2)) * np.exp(
            -((side / np.maximum(2.0, depth[:, None] * 0.30)) ** 2)
        )
        shade = night[None, None, :] + (0.30 * reach)[..., None]
        ground *= 1 - canvas.dusk * (1 - shade)


def sky(rng: np.random.Generator, camera: Camera) -> tuple[Floats, Floats]:
    """Return the sky by day and at dusk, (horizon rows + 40, 2 x width, 3), to be cut by heading."""
    height, width = math.ceil(camera.horizon_px) + 40, camera.width_px * 2
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    day = np.array([214, 168, 118], np.float32) * (1 - y) + np.array([226, 218, 208], np.float32) * y
    dusk = np.array([84, 48, 40], np.float32) * (1 - y) ** 1.2 + np.array([92, 120, 196], np.float32) * y**2.2
    clouds = np.clip(cloth(rng, height, width, 128, 5) * 1.3 + 0.15, 0, 1)[..., None] * (1 - 0.4 * y)
    day = day * (1 - 0.75 * clouds) + np.array([246, 244, 242], np.float32) * 0.75 * clouds
    dusk = dusk * (1 - 0.5 * clouds) + np.array([96, 84, 128], np.float32) * 0.5 * clouds
    return day.astype(np.float32), dusk.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that stands still."""

    z_m: float
    corners: tuple[tuple[float, float, float], ...]
    texture: Texture = field(repr=False)
    lamp: tuple[float, float, float] | None = None


def furnish(rng: np.random.Generator, length_m: float) -> list[Piece]:
    """Return houses, trees, lamp posts and signs along both sides, farthest first."""
    pieces: list[Piece] = []
    for side in (-1, 1):
        base = ROAD_RIGHT_M + 3.4 if side > 0 else ROAD_LEFT_M - 3.4
        z = -10.0
        while z < length_m + 160:
            wide = float(rng.uniform(9, 15))
            if rng.random() < 0.86:
                pieces += _house(rng, side, base + side * float(rng.uniform(0, 1.2)), z, wide)
            z += wide + float(rng.choice([0.0, 0.3, 3.5]))
        z = 6.0
        while z < length_m + 120:
            kerb = ROAD_RIGHT_M + 0.7 if side > 0 else ROAD_LEFT_M - 0.7
            kind = rng.random()
            if kind < 0.48:
                pieces.append(_tree(rng, kerb + side * 0.8, z))
            elif kind < 0.72:
                pieces.append(_sign(rng, kerb, z))
            else:
                pieces.append(_lamp_post(kerb, z, side))
            z += float(rng.uniform(7, 13))
    return sorted(pieces, key=lambda piece: -piece.z_m)


def _house(rng: np.random.Generator, side: int, x: float, z: float, wide: float) -> list[Piece]:
    storeys = int(rng.integers(2, 5))
    tall = 3.4 + storeys * 3.0
    m = 26
    h, w = round(tall * m), round(wide * m)
    wall = np.array(
        [(122, 140, 176), (158, 172, 186), (92, 104, 148), (176, 180, 182), (128, 150, 152), (150, 140, 128)][
            int(rng.integers(6))
        ],
        np.float32,
    )
    image = np.empty((h, w, 4), np.uint8)
    image[..., 3] = 255
    grain = cloth(rng, h, w, 40)
    image[..., :3] = (wall + 7 * grain[..., None] + rng.normal(0, 3, (h, w, 1))).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        for row in range(0, h, 5):
            image[row, :, :3] = (image[row, :, :3] * 0.93).astype(np.uint8)
    glow = np.zeros((h, w, 3), np.uint8)
    ground = round(3.4 * m)
    count = max(2, round(wide / 2.6))
    for storey in range(storeys):
        top = h - ground - (storey + 1) * 3 * m + round(0.7 * m)
        for index in range(count):
            left = round((index + 0.5) * w / count - 0.55 * m)
            box = (slice(max(0, top), top + round(1.6 * m)), slice(left, left + round(1.1 * m)))
            cv2.rectangle(
                image,
                (left - 3, top - 3),
                (left + round(1.1 * m) + 3, top + round(1.6 * m) + 3),
                (206, 206, 204, 255),
                -1,
            )
            shade = rng.uniform(60, 120)
            image[box][..., :3] = np.array([shade * 1.15, shade, shade * 0.9]).clip(0, 255).astype(np.uint8)
            cv2.line(
                image,
                (left + round(0.55 * m), top),
                (left + round(0.55 * m), top + round(1.6 * m)),
                (196, 196, 194, 255),
                2,
            )
            if rng.random() < 0.42:
                glow[box] = (70, 150, 205)
    # The ground floor: a shop window, a door and a board with words and figures.
    cv2.rectangle(
        image,
        (round(0.5 * m), h - round(2.6 * m)),
        (w - round(2.2 * m), h - round(0.5 * m)),
        (84, 78, 70, 255),
        -1,
    )
    glow[h - round(2.6 * m) : h - round(0.5 * m), round(0.5 * m) : w - round(2.2 * m)] = (60, 110, 150)
    cv2.rectangle(
        image, (w - round(1.8 * m), h - round(2.3 * m)), (w - round(0.7 * m), h), (52, 58, 84, 255), -1
    )
    board = [(60, 60, 130), (110, 80, 36), (52, 92, 52), (40, 40, 42), (190, 200, 204)][int(rng.integers(5))]
    cv2.rectangle(
        image,
        (round(0.4 * m), h - round(3.4 * m)),
        (w - round(0.4 * m), h - round(2.75 * m)),
        (*board, 255),
        -1,
    )
    ink = (240, 240, 238, 255) if sum(board) < 500 else (40, 40, 44, 255)
    words = str(rng.choice(SHOPS))
    scale = min(0.62, (w - m) / (len(words) * 17.0) * 0.8)
    cv2.putText(
        image,
        words,
        (round(0.8 * m), h - round(2.92 * m)),
        cv2.FONT_HERSHEY_DUPLEX,
        scale,
        ink,
        1,
        cv2.LINE_AA,
    )
    cv2.rectangle(image, (0, 0), (w, round(0.35 * m)), (*(wall * 0.7).tolist(), 255), -1)
    near, far = ((x, tall, z), (x, 0, z)), ((x, tall, z + wide), (x, 0, z + wide))
    left, right = (far, near) if side > 0 else (near, far)
    front = Piece(z + wide, (left[0], right[0], right[1], left[1]), Texture(image, glow))
    gable = np.full((48, 24, 4), 255, np.uint8)
    gable[..., :3] = (wall * 0.62).clip(0, 255).astype(np.uint8)
    depth = side * 9.0
    ends = ((x, tall, z), (x + depth, tall, z), (x + depth, 0, z), (x, 0, z))
    return [
        front,
        Piece(z + 0.01, ends if side > 0 else (ends[1], ends[0], ends[3], ends[2]), Texture(gable)),
    ]


def _tree(rng: np.random.Generator, x: float, z: float) -> Piece:
    h, w = 300, 220
    image = np.zeros((h, w, 4), np.uint8)
    cv2.line(image, (w // 2, h), (w // 2 + 4, h // 2), (48, 62, 78, 255), 11, cv2.LINE_AA)
    for sway in (-40, 36, 12):
        cv2.line(
            image, (w // 2 + 2, h // 2 + 26), (w // 2 + sway, h // 2 - 40), (46, 58, 72, 255), 5, cv2.LINE_AA
        )
    tone = np.array(
        [(46, 96, 70), (52, 112, 92), (40, 84, 58), (44, 110, 128)][int(rng.integers(4))], np.float32
    )
    for _ in range(520):
        angle, far = rng.uniform(0, 2 * np.pi), math.sqrt(rng.random())
        cx, cy = w / 2 + far * 92 * math.cos(angle), h * 0.34 + far * 88 * math.sin(angle)
        lit = 0.62 + 0.5 * (1 - cy / (h * 0.64)) + rng.normal(0, 0.12)
        colour = (tone * lit).clip(0, 255).tolist()
        cv2.circle(image, (round(cx), round(cy)), int(rng.integers(5, 12)), (*colour, 255), -1, cv2.LINE_AA)
    high, half = float(rng.uniform(4.6, 6.2)), float(rng.uniform(1.7, 2.3))
    return Piece(
        z, ((x - half, high, z), (x + half, high, z), (x + half, 0, z), (x - half, 0, z)), Texture(image)
    )


def _sign(rng: np.random.Generator, x: float, z: float) -> Piece:
    words = SIGNS[int(rng.integers(len(SIGNS)))]
    h, w = 420, 96
    image = np.zeros((h, w, 4), np.uint8)
    cv2.rectangle(image, (w // 2 - 3, 60), (w // 2 + 3, h), (120, 122, 124, 255), -1)
    tall = 34 * len(words) + 16
    ground, ink = [
        ((238, 238, 236), (24, 24, 26)),
        ((238, 238, 236), (30, 30, 170)),
        ((70, 110, 30), (240, 240, 240)),
        ((30, 190, 225), (20, 20, 20)),
    ][int(rng.integers(4))]
    cv2.rectangle(image, (2, 4), (w - 3, 4 + tall), (*ink, 255), -1)
    cv2.rectangle(image, (5, 7), (w - 6, 1 + tall), (*ground, 255), -1)
    for row, word in enumerate(words):
        scale = min(0.95, 78 / (len(word) * 19.0))
        (wide, high), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, scale, 2)
        cv2.putText(
            image,
            word,
            ((w - wide) // 2, 26 + row * 34 + high // 2),
            cv2.FONT_HERSHEY_DUPLEX,
            scale,
            (*ink, 255),
            2,
            cv2.LINE_AA,
        )
    half = 0.32
    return Piece(
        z,
        ((x - half, 2.8, z), (x + half, 2.8, z), (x + half, 0, z), (x - half, 0, z)),
        Texture(image, retro=0.25),
    )


def _lamp_post(x: float, z: float, side: int) -> Piece:
    h, w = 480, 120
    image = np.zeros((h, w, 4), np.uint8)
    post = w - 14 if side > 0 else 14
    cv2.rectangle(image, (post - 4, 20), (post + 4, h), (84, 88, 88, 255), -1)
    cv2.line(image, (post, 22), (w - post, 10), (84, 88, 88, 255), 6, cv2.LINE_AA)
    cv2.ellipse(image, (w - post, 12), (16, 7), 0, 0, 360, (200, 206, 208, 255), -1, cv2.LINE_AA)
    left, right = (x - 1.6, x + 0.2) if side > 0 else (x - 0.2, x + 1.6)
    lamp = (left + 0.2 if side > 0 else right - 0.2, 6.85, z)
    return Piece(z, ((left, 7.0, z), (right, 7.0, z), (right, 0, z), (left, 0, z)), Texture(image), lamp)


def paint_sky(canvas: Canvas, day: Floats, dusk: Floats) -> None:
    """Paint the sky and a far skyline behind everything."""
    camera = canvas.camera
    rows = min(day.shape[0], camera.height_px)
    start = round(camera.width_px / 2 + camera.yaw_rad * camera.focal_px)
    start = min(max(0, start), day.shape[1] - camera.width_px)
    # The gradient ends at the horizon: take the rows that end there.
    offset = max(0, rows - 40 - round(camera.horizon_px))
    part = slice(start, start + camera.width_px)
    seen = day[offset:rows, part] * (1 - canvas.dusk) + dusk[offset:rows, part] * canvas.dusk
    canvas.pixels[: seen.shape[0]] = seen


def as_picture(canvas: Canvas, rng: np.random.Generator) -> Pixels:
    """Develop the canvas: a little lens blur, sensor noise that grows at dusk, 8 bits."""
    noise = rng.standard_normal((canvas.pixels.shape[0], canvas.pixels.shape[1], 1), dtype=np.float32)
    strength = 1.3 + 2.2 * canvas.dusk
    soft = cv2.GaussianBlur(canvas.pixels, (0, 0), 0.55)
    return np.asarray((soft + noise * strength).clip(0, 255), np.uint8)
