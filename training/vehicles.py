"""Drawn vehicles: bodies of a few flat faces, with everything a plate detector may trip over."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from training.scenes import Canvas, Pixels, Texture, cloth

PX_PER_M = 220
PAINTS = {  # BGR
    "white": (232, 232, 228),
    "silver": (176, 172, 168),
    "grey": (98, 94, 92),
    "black": (38, 35, 34),
    "blue": (122, 66, 30),
    "red": (40, 34, 142),
    "green": (62, 76, 38),
    "beige": (150, 172, 186),
    "orange": (32, 98, 206),
    "teal": (120, 112, 40),
}
STICKERS = ("COEXIST", "K9 ON BOARD", "I BRAKE 4 CATS", "VOTE 2024", "26.2", "BABY ON BOARD", "MY OTHER CAR")
DEALERS = ("SUNNYVALE MOTORS", "HILLTOP AUTO", "BAY CITY CARS", "NORTH ROAD 555-0137", "LAKESIDE")
BADGES = ("LX 350", "GT", "SE 2.0T", "AWD", "HYBRID", "XLT", "V6", "4x4")


@dataclass(frozen=True, slots=True)
class Shape:
    """Measures of one kind of vehicle, in metres."""

    width: float
    length: float
    belt: float
    roof: float
    clear: float
    """Lower edge of the body above the road."""
    rear_glass: tuple[float, float]
    """How far the rear window's lower and upper edge lie ahead of the tail."""
    front_glass: tuple[float, float]
    """The same for the windscreen, measured back from the nose."""
    plate_rear: float
    """Height of the plate's centre."""
    plate_front: float
    deck: bool
    """Whether there is an open bed or a boot lid behind the rear window."""


SHAPES = {
    "sedan": Shape(1.80, 4.6, 0.98, 1.44, 0.24, (0.55, 1.05), (1.05, 1.75), 0.72, 0.48, True),
    "hatch": Shape(1.74, 4.0, 0.98, 1.50, 0.24, (0.08, 0.45), (0.95, 1.6), 0.76, 0.48, False),
    "suv": Shape(1.90, 4.6, 1.08, 1.72, 0.30, (0.06, 0.32), (1.0, 1.6), 0.82, 0.56, False),
    "van": Shape(1.98, 5.0, 1.18, 1.98, 0.28, (0.04, 0.18), (0.55, 1.35), 0.70, 0.56, False),
    "pickup": Shape(1.96, 5.3, 1.12, 1.80, 0.36, (1.75, 1.95), (1.25, 1.85), 0.62, 0.60, True),
}


@dataclass(slots=True)
class Vehicle:
    """One drawn vehicle; where it stands and looks is said when it is painted."""

    shape: Shape
    faces: dict[str, Texture] = field(repr=False)
    plate: Texture | None = field(repr=False)
    plate_m: tuple[float, float]
    owner: int
    plate_shift_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Pose:
    x_m: float
    z_m: float
    """Middle of the end that the camera sees."""
    heading_rad: float
    """0 drives away along z, positive turned to the right."""
    towards: bool = False
    """Whether the vehicle faces the camera: then its nose is the near end."""


def make_vehicle(
    rng: np.random.Generator,
    kind: str,
    colour: str,
    plate: Pixels | None,
    plate_m: tuple[float, float],
    owner: int,
    front: bool,
) -> Vehicle:
    """Draw the faces of a vehicle. *plate* is (h, w, 3) BGR; *front* says which end will be seen."""
    shape = SHAPES[kind]
    paint = np.array(PAINTS[colour], np.float32) * rng.uniform(0.92, 1.06)
    faces = {
        "end": _front(rng, shape, paint, plate_m) if front else _rear(rng, shape, paint, plate_m, kind),
        "glass": _glass(rng, shape, front),
        "side": _side(shape, paint, front),
        "side_glass": _side_glass(shape, paint, front),
        "deck": _plain(paint * 0.98 + 14),
        "roof": _plain(paint * 0.9 + 8),
        "shadow": _shadow(),
    }
    drawn = None
    if plate is not None:
        flat = np.full((*plate.shape[:2], 4), 255, np.uint8)
        flat[..., :3] = plate
        drawn = Texture(flat, retro=0.9)
    return Vehicle(shape, faces, drawn, plate_m, owner)


def plate_corners(vehicle: Vehicle, pose: Pose) -> list[tuple[float, float, float]]:
    """Return the plate's corners in space, from its top left clockwise."""
    shape = vehicle.shape
    high = shape.plate_front if pose.towards else shape.plate_rear
    width, height = vehicle.plate_m
    middle = vehicle.plate_shift_m
    return [
        _place(pose, middle + dx * width / 2, high + dy * height / 2, -0.03)
        for dx, dy in ((-1, 1), (1, 1), (1, -1), (-1, -1))
    ]


def paint_vehicle(canvas: Canvas, vehicle: Vehicle, pose: Pose, drift_m: tuple[float, float, float]) -> None:
    """Paint all faces that the camera can see; the plate is owned by ``vehicle.owner``."""
    shape = vehicle.shape
    half, length = shape.width / 2, shape.length
    low, high = shape.front_glass if pose.towards else shape.rear_glass
    far_low, far_high = shape.rear_glass if pose.towards else shape.front_glass
    inset = half * 0.80

    def at(x: float, y: float, z: float) -> tuple[float, float, float]:
        return _place(pose, x, y, z)

    def face(name: str, *corners: tuple[float, float, float]) -> None:
        canvas.paint(corners, vehicle.faces[name], drift_m=drift_m)

    grow = 0.16
    face(
        "shadow",
        at(-half - grow, 0.02, length + grow),
        at(half + grow, 0.02, length + grow),
        at(half + grow, 0.02, -grow),
        at(-half - grow, 0.02, -grow),
    )
    # Which flank is seen depends on where the camera stands beside the vehicle's own axis.
    away_x, away_z = canvas.camera.x_m - pose.x_m, canvas.camera.z_m - pose.z_m
    beside = away_x * np.cos(pose.heading_rad) - away_z * np.sin(pose.heading_rad)
    if abs(beside) > half:
        # The flank is drawn with the near end on its left; seen from its right-hand side it is mirrored.
        s = 1.0 if beside > 0 else -1.0
        lower = (
            at(s * half, shape.belt, 0),
            at(s * half, shape.belt, length),
            at(s * half, 0, length),
            at(s * half, 0, 0),
        )
        upper = (
            at(s * inset, shape.roof, high), at(s * inset, shape.roof, length - far_high),
            at(s * half, shape.belt, length - far_low), at(s * half, shape.belt, low),
        )  # fmt: skip
        face("side", *lower)
        face("side_glass", *upper)
    if canvas.camera.y_m > shape.roof - 0.1:
        face(
            "roof",
            at(-inset, shape.roof, length - far_high),
            at(inset, shape.roof, length - far_high),
            at(inset, shape.roof, high),
            at(-inset, shape.roof, high),
        )
    face(
        "glass",
        at(-inset, shape.roof, high),
        at(inset, shape.roof, high),
        at(half, shape.belt, low),
        at(-half, shape.belt, low),
    )
    edge = shape.belt - (0.16 if pose.towards else 0.02 if shape.deck else 0.0)
    if low > 0.2:
        face(
            "deck",
            at(-half, shape.belt, low),
            at(half, shape.belt, low),
            at(half, edge, 0.0),
            at(-half, edge, 0.0),
        )
    face("end", at(-half, edge, 0), at(half, edge, 0), at(half, 0, 0), at(-half, 0, 0))
    if vehicle.plate is not None:
        canvas.paint(plate_corners(vehicle, pose), vehicle.plate, owner=vehicle.owner, drift_m=drift_m)
    if canvas.dusk > 0.15:
        for side in (-1, 1):
            lamp = at(side * half * 0.78, shape.belt * (0.68 if pose.towards else 0.8), -0.05)
            if pose.towards:
                canvas.glow(lamp, 0.34, np.array([150, 185, 200]) * canvas.dusk)
            else:
                canvas.glow(lamp, 0.26, np.array([8, 12, 105]) * canvas.dusk)


def cyclist() -> Texture:
    """Draw somebody on a bicycle, seen from behind: 0.62 m wide and 1.8 m tall when painted so."""
    h, w = 396, 136
    image = np.zeros((h, w, 4), np.uint8)
    middle = w // 2

    def limb(points: list[tuple[int, int]], colour: tuple[int, int, int], thick: int) -> None:
        cv2.polylines(image, [np.array(points, np.int32)], False, (*colour, 255), thick, cv2.LINE_AA)

    cv2.ellipse(image, (middle, h - 74), (6, 72), 0, 0, 360, (28, 28, 30, 255), -1, cv2.LINE_AA)
    limb([(middle - 60, 196), (middle + 60, 196)], (60, 60, 62), 7)
    limb([(middle - 15, 214), (middle - 24, 276), (middle - 19, 346)], (96, 66, 44), 24)
    limb([(middle + 15, 214), (middle + 27, 262), (middle + 19, 316)], (96, 66, 44), 24)
    limb([(middle - 27, 350), (middle - 10, 350)], (30, 30, 34), 14)
    limb([(middle + 10, 320), (middle + 27, 320)], (30, 30, 34), 14)
    body = _rounded((h, w), (middle - 38, 70, middle + 38, 226), 26)
    _stamp(image, body, (52, 160, 232), 0.4)
    limb([(middle - 37, 92), (middle - 53, 150), (middle - 57, 194)], (44, 146, 214), 20)
    limb([(middle + 37, 92), (middle + 53, 150), (middle + 57, 194)], (44, 146, 214), 20)
    for row in (120, 168):
        limb([(middle - 36, row), (middle + 36, row)], (226, 232, 232), 9)
    cv2.ellipse(image, (middle, 46), (21, 27), 0, 0, 360, (110, 132, 172, 255), -1, cv2.LINE_AA)
    cv2.ellipse(image, (middle, 33), (26, 25), 0, 180, 360, (40, 44, 168, 255), -1, cv2.LINE_AA)
    cv2.circle(image, (middle, 236), 7, (30, 24, 190, 255), -1, cv2.LINE_AA)
    return Texture(image)


def _place(pose: Pose, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Turn a point given from the middle of the near end (x right, z away) into space."""
    cosine, sine = float(np.cos(pose.heading_rad)), float(np.sin(pose.heading_rad))
    return pose.x_m + x * cosine + z * sine, y, pose.z_m - x * sine + z * cosine


def _blank(width_m: float, height_m: float) -> Pixels:
    return np.zeros((round(height_m * PX_PER_M), round(width_m * PX_PER_M), 4), np.uint8)


def _shaded(
    image: Pixels,
    mask: Pixels,
    paint: "np.ndarray[tuple[int], np.dtype[np.float32]]",
    rng: np.random.Generator,
) -> None:
    """Fill *mask* with paint that is lit from above and mirrors the street."""
    height, width = mask.shape
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    light = 1.12 - 0.42 * y + 0.10 * np.exp(-(((y - 0.18) / 0.05) ** 2)) - 0.10 * x**4
    light = light + 0.03 * cloth(rng, height, width, 60)
    shine = 26 * np.exp(-(((y - 0.10) / 0.06) ** 2)) * (1 - 0.5 * np.abs(x))
    colour = (paint[None, None, :] * light[..., None] + shine[..., None]).clip(0, 255)
    inside = mask > 0
    image[inside, :3] = colour[inside].astype(np.uint8)
    image[..., 3] = np.maximum(image[..., 3], mask)


def _rounded(shape: tuple[int, int], box: tuple[float, float, float, float], radius: float) -> Pixels:
    """Return a mask (h, w) with a filled rounded box, left, top, right, bottom in pixels."""
    mask = np.zeros(shape, np.uint8)
    left, top, right, bottom = box
    radius = max(0.0, min(radius, (right - left) / 2, (bottom - top) / 2))
    points = []
    for cx, cy, start in (
        (right - radius, top + radius, -90),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
    ):
        angles = np.radians(np.linspace(start, start + 90, 10))
        points.append(np.stack([cx + radius * np.cos(angles), cy + radius * np.sin(angles)], axis=1))
    polygon = np.round(np.concatenate(points) * 16).astype(np.int32)
    cv2.fillPoly(mask, [polygon], 255, cv2.LINE_AA, 4)
    return mask


def _stamp(image: Pixels, mask: Pixels, colour: tuple[float, float, float], shade: float = 0.25) -> None:
    """Blend a colour into *image* where *mask* says, a little darker towards its lower edge."""
    rows = np.nonzero(mask.max(axis=1))[0]
    if len(rows) == 0:
        return
    y = np.clip((np.arange(mask.shape[0]) - rows[0]) / max(1, rows[-1] - rows[0]), 0, 1)
    tone = np.asarray(colour, np.float32)[None, None, :] * (1 + shade / 2 - shade * y)[:, None, None]
    part = mask[..., None].astype(np.float32) / 255
    image[..., :3] = (image[..., :3] * (1 - part) + tone.clip(0, 255) * part).astype(np.uint8)
    image[..., 3] = np.maximum(image[..., 3], mask)


def _text(
    image: Pixels, text: str, centre: tuple[float, float], height_px: float, colour: tuple[int, int, int]
) -> None:
    scale = height_px / 22.0
    thick = max(1, round(scale * 2.2))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thick)
    spot = (round(centre[0] - width / 2), round(centre[1] + height / 2))
    cv2.putText(image, text, spot, cv2.FONT_HERSHEY_DUPLEX, scale, (*colour, 255), thick, cv2.LINE_AA)


def _body(
    rng: np.random.Generator, shape: Shape, paint: "np.ndarray[tuple[int], np.dtype[np.float32]]"
) -> Pixels:
    """The outline both ends share: shaded paint, dark bumper skirt, tyres."""
    image = _blank(shape.width, shape.belt)
    h, w = image.shape[:2]
    m = PX_PER_M
    for side in (0.02, shape.width - 0.26):
        tyre = _rounded((h, w), (side * m, h - 0.42 * m, (side + 0.24) * m, h - 1), 10)
        _stamp(image, tyre, (26, 26, 27))
    body = _rounded((h, w), (0, -20, w - 1, h - shape.clear * m), 0.12 * m)
    _shaded(image, body, paint, rng)
    skirt = _rounded(
        (h, w), (0.06 * m, h - (shape.clear + 0.16) * m, w - 0.06 * m, h - (shape.clear - 0.02) * m), 0.06 * m
    )
    _stamp(image, skirt, (34, 33, 33))
    return image


def _rear(
    rng: np.random.Generator,
    shape: Shape,
    paint: "np.ndarray[tuple[int], np.dtype[np.float32]]",
    plate_m: tuple[float, float],
    kind: str,
) -> Texture:
    image = _body(rng, shape, paint)
    h, w = image.shape[:2]
    m = PX_PER_M
    size = (h, w)
    glow = np.zeros((h, w, 3), np.uint8)

    def up(metres: float) -> float:
        return h - metres * m

    # Bumper: a darker band and its upper seam.
    bumper = shape.clear + 0.34
    cv2.line(
        image,
        (4, round(up(bumper))),
        (w - 5, round(up(bumper))),
        (*(paint * 0.45).tolist(), 255),
        3,
        cv2.LINE_AA,
    )
    lid = 0.82
    for side in (-1, 1):
        x = w / 2 + side * shape.width * m * 0.5 * lid
        cv2.line(
            image,
            (round(x), 0),
            (round(x - side * 8), round(up(bumper))),
            (*(paint * 0.55).tolist(), 255),
            2,
            cv2.LINE_AA,
        )
    # Lamps.
    tall = kind in {"van", "suv", "pickup"} or rng.random() < 0.2
    for side in (-1, 1):
        if tall:
            x0, x1 = (0.03 * m, 0.20 * m)
            y0, y1 = up(shape.belt - 0.03), up(bumper + 0.05)
        else:
            x0, x1 = (0.02 * m, rng.choice([0.36, 0.44]) * m)
            y0, y1 = up(shape.belt - 0.10), up(shape.belt - 0.27)
        left, right = (x0, x1) if side < 0 else (w - x1, w - x0)
        lamp = _rounded(size, (left, y0, right, y1), 0.05 * m)
        _stamp(image, lamp, (30, 24, 150), 0.5)
        glow[lamp > 0] = (18, 22, 150)
        inner = _rounded(size, (left + 8, y0 + (y1 - y0) * 0.62, right - 8, y0 + (y1 - y0) * 0.86), 6)
        _stamp(image, inner, (190, 196, 205) if rng.random() < 0.6 else (40, 110, 225))
    # The recess the plate sits in, and the frame around the plate.
    half_w, half_h = plate_m[0] * m / 2, plate_m[1] * m / 2
    cy = up(shape.plate_rear)
    recess = _rounded(
        size,
        (
            w / 2 - half_w - 0.10 * m,
            cy - half_h - 0.055 * m,
            w / 2 + half_w + 0.10 * m,
            cy + half_h + 0.05 * m,
        ),
        0.05 * m,
    )
    _stamp(image, recess, tuple((paint * 0.42 + 6).tolist()), -0.5)
    _plate_frame(rng, image, (w / 2, cy), half_w, half_h)
    # Badges, stickers, exhaust.
    _text(
        image,
        str(rng.choice(BADGES)),
        (w * 0.80, up(shape.belt - (0.36 if not tall else 0.14))),
        0.045 * m,
        (205, 205, 205),
    )
    cv2.circle(
        image, (w // 2, round(up(shape.belt - 0.07))), round(0.045 * m), (200, 200, 202, 255), -1, cv2.LINE_AA
    )
    if rng.random() < 0.55:
        word = str(rng.choice(STICKERS))
        spot = (w * rng.choice([0.22, 0.76]), up(shape.clear + 0.24))
        wide, tall_m = 0.026 * m * len(word) + 12, 0.085 * m
        label = _rounded(
            size, (spot[0] - wide / 2, spot[1] - tall_m / 2, spot[0] + wide / 2, spot[1] + tall_m / 2), 3
        )
        background = [(215, 220, 222), (40, 40, 160), (120, 80, 30), (30, 150, 200)][int(rng.integers(4))]
        _stamp(image, label, background, 0.0)
        ink = (30, 30, 30) if sum(background) > 500 else (235, 235, 235)
        _text(image, word, spot, 0.036 * m, ink)
    if rng.random() < 0.6:
        for side in (-1, 1) if rng.random() < 0.4 else (1,):
            cv2.ellipse(
                image,
                (round(w / 2 + side * w * 0.33), round(up(shape.clear + 0.03))),
                (15, 9),
                0,
                0,
                360,
                (70, 70, 72, 255),
                -1,
                cv2.LINE_AA,
            )
    return Texture(image, glow)


def _plate_frame(
    rng: np.random.Generator, image: Pixels, centre: tuple[float, float], half_w: float, half_h: float
) -> None:
    """A holder around the plate; now and then a dealer's with words on it."""
    size = (image.shape[0], image.shape[1])
    x, y = centre
    if rng.random() < 0.35:
        extra = 0.035 * PX_PER_M
        holder = _rounded(size, (x - half_w - 5, y - half_h - 5, x + half_w + 5, y + half_h + extra), 4)
        _stamp(image, holder, (28, 28, 28), 0.0)
        _text(
            image, str(rng.choice(DEALERS)), (x, y + half_h + extra * 0.5), 0.022 * PX_PER_M, (210, 210, 210)
        )
    elif rng.random() < 0.6:
        holder = _rounded(size, (x - half_w - 4, y - half_h - 4, x + half_w + 4, y + half_h + 4), 4)
        _stamp(image, holder, (40, 40, 40) if rng.random() < 0.6 else (170, 170, 172), 0.0)


def _front(
    rng: np.random.Generator,
    shape: Shape,
    paint: "np.ndarray[tuple[int], np.dtype[np.float32]]",
    plate_m: tuple[float, float],
) -> Texture:
    edge = shape.belt - 0.16
    image = _body(rng, Shape(**{k: getattr(shape, k) for k in Shape.__slots__} | {"belt": edge}), paint)
    h, w = image.shape[:2]
    m = PX_PER_M
    size = (h, w)
    glow = np.zeros((h, w, 3), np.uint8)

    def up(metres: float) -> float:
        return h - metres * m

    # Grille: bars, the classic thing mistaken for a plate.
    grille = _rounded(size, (w * 0.27, up(edge - 0.06), w * 0.73, up(edge - 0.24)), 0.05 * m)
    _stamp(image, grille, (30, 30, 31), 0.0)
    for line in np.arange(up(edge - 0.075), up(edge - 0.23), 0.034 * m):
        cv2.line(
            image,
            (round(w * 0.29), round(line)),
            (round(w * 0.71), round(line)),
            (120, 120, 122, 255),
            3,
            cv2.LINE_AA,
        )
    cv2.circle(
        image, (w // 2, round(up(edge - 0.15))), round(0.06 * m), (215, 215, 216, 255), -1, cv2.LINE_AA
    )
    lower = _rounded(size, (w * 0.18, up(shape.clear + 0.20), w * 0.82, up(shape.clear + 0.04)), 0.05 * m)
    _stamp(image, lower, (36, 36, 37), 0.0)
    for side in (-1, 1):
        left, right = (0.04 * m, 0.42 * m) if side < 0 else (w - 0.42 * m, w - 0.04 * m)
        lamp = _rounded(size, (left, up(edge - 0.05), right, up(edge - 0.20)), 0.06 * m)
        _stamp(image, lamp, (205, 205, 200), 0.5)
        glow[lamp > 0] = (200, 225, 235)
        cv2.circle(
            image,
            (round((left + right) / 2), round(up(edge - 0.125))),
            round(0.055 * m),
            (240, 240, 238, 255),
            -1,
            cv2.LINE_AA,
        )
        cv2.circle(
            image,
            (round((left + right) / 2), round(up(edge - 0.125))),
            round(0.055 * m),
            (120, 120, 118, 255),
            2,
            cv2.LINE_AA,
        )
        cv2.circle(
            image,
            (round(w / 2 + side * w * 0.37), round(up(shape.clear + 0.12))),
            round(0.05 * m),
            (180, 180, 178, 255),
            -1,
            cv2.LINE_AA,
        )
    _plate_frame(rng, image, (w / 2, up(shape.plate_front)), plate_m[0] * m / 2, plate_m[1] * m / 2)
    return Texture(image, glow)


def _glass(rng: np.random.Generator, shape: Shape, front: bool) -> Texture:
    image = _blank(shape.width, 0.62)
    h, w = image.shape[:2]
    size = (h, w)
    _stamp(image, _rounded(size, (0, 0, w - 1, h + 20), 0.10 * PX_PER_M), (44, 42, 41), 0.2)
    pane = _rounded(size, (w * 0.04, h * 0.07, w * 0.96, h * 0.94), 0.07 * PX_PER_M)
    sky = np.linspace(120, 44, h, dtype=np.float32)[:, None] + 14 * cloth(rng, h, w, 90)
    tone = np.stack([sky * 1.06, sky, sky * 0.94], axis=-1).clip(0, 255)
    part = pane[..., None].astype(np.float32) / 255
    image[..., :3] = (image[..., :3] * (1 - part) + tone * part).astype(np.uint8)
    # Seats or a driver behind the pane.
    for x in (0.3, 0.68):
        cv2.ellipse(
            image,
            (round(w * x), round(h * 0.86)),
            (round(w * 0.07), round(h * 0.38)),
            0,
            180,
            360,
            (34, 33, 33, 255),
            -1,
            cv2.LINE_AA,
        )
    if front:
        cv2.ellipse(
            image,
            (round(w * 0.67), round(h * 0.52)),
            (round(w * 0.035), round(h * 0.13)),
            0,
            0,
            360,
            (86, 104, 134, 255),
            -1,
            cv2.LINE_AA,
        )
    else:
        for line in range(round(h * 0.2), round(h * 0.9), 9):
            cv2.line(image, (round(w * 0.08), line), (round(w * 0.92), line), (60, 58, 58, 255), 1)
    return Texture(image)


def _side(shape: Shape, paint: "np.ndarray[tuple[int], np.dtype[np.float32]]", front: bool) -> Texture:
    image = _blank(shape.length, shape.belt)
    image = np.ascontiguousarray(image[::2, ::2])
    m = PX_PER_M / 2
    h, w = image.shape[:2]
    body = _rounded((h, w), (0, -10, w - 1, h - shape.clear * m), 0.05 * m)
    if front:
        cv2.fillPoly(body, [np.array([[0, 0], [round(1.0 * m), 0], [0, round(0.17 * m)]], np.int32)], 0)
    _shaded(image, body, paint * 0.86, np.random.default_rng(1))
    for z in (0.85, shape.length - 0.85):
        centre = (round(z * m), round(h - 0.33 * m))
        cv2.circle(image, centre, round(0.36 * m), (20, 20, 20, 255), -1, cv2.LINE_AA)
        cv2.circle(image, centre, round(0.32 * m), (32, 32, 33, 255), -1, cv2.LINE_AA)
        cv2.circle(image, centre, round(0.20 * m), (140, 140, 142, 255), -1, cv2.LINE_AA)
        for spoke in range(5):
            a = spoke * 2 * np.pi / 5
            tip = (round(centre[0] + 0.19 * m * np.cos(a)), round(centre[1] + 0.19 * m * np.sin(a)))
            cv2.line(image, centre, tip, (84, 84, 86, 255), 4, cv2.LINE_AA)
    for z in (0.36, 0.55, 0.74):
        x = round(shape.length * z * m)
        cv2.line(
            image,
            (x, 0),
            (x, round(h - (shape.clear + 0.1) * m)),
            (*(paint * 0.5).tolist(), 255),
            1,
            cv2.LINE_AA,
        )
    return Texture(image)


def _side_glass(shape: Shape, paint: "np.ndarray[tuple[int], np.dtype[np.float32]]", front: bool) -> Texture:
    image = np.ascontiguousarray(_blank(shape.length * 0.6, 0.5)[::2, ::2])
    h, w = image.shape[:2]
    image[...] = (*(paint * 0.8).tolist(), 255)
    for left, right in ((0.05, 0.34), (0.38, 0.64), (0.68, 0.95)):
        pane = _rounded((h, w), (w * left, h * 0.14, w * right, h * 0.96), 6)
        _stamp(image, pane, (84, 80, 76), 0.8)
    return Texture(image)


def _plain(colour: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> Texture:
    image = np.full((40, 40, 4), 255, np.uint8)
    y = np.linspace(1.10, 0.94, 40)[:, None, None]
    image[..., :3] = (np.asarray(colour)[None, None, :] * y).clip(0, 255).astype(np.uint8)
    return Texture(image)


def _shadow() -> Texture:
    image = np.zeros((96, 48, 4), np.uint8)
    soft = np.zeros((96, 48), np.float32)
    soft[9:-9, 7:-7] = 205
    image[..., 3] = cv2.GaussianBlur(soft, (0, 0), 4.0).astype(np.uint8)
    image[..., :3] = 10
    return Texture(image)
