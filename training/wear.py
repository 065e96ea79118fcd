"""What years on a car do to a plate: dirt, rust, scratches, bent edges, bolts, frames and tow bars.

Each effect takes the generator, a flat plate (BGR, `training.plates`) and its characters' boxes, and draws
into the plate. None hides a character so far that a person could not read it.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from training import pictures

Image = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
Effect = Callable[[np.random.Generator, Image, Boxes], None]

_EARTH = ((60, 80, 105), (50, 62, 76), (90, 100, 110), (120, 140, 160), (40, 50, 90))
"""BGR of dirt: brown, dark, grey, dusty, reddish."""


def worn(rng: np.random.Generator, image: Image, boxes: Boxes) -> Image:
    """Return a copy of *image* as it looks on the road; about six in ten are still clean."""
    plate = image.copy()
    if rng.random() < 0.62:
        return plate
    count = 1 if rng.random() < 0.8 else 2
    names = list(EFFECTS)
    shares = np.array([_SHARES[name] for name in names])
    for name in rng.choice(names, count, replace=False, p=shares / shares.sum()):
        EFFECTS[str(name)](rng, plate, boxes)
    return plate


def _clouds(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> npt.NDArray[np.float32]:
    """Soft random field in [0, 1], shape (height, width)."""
    coarse = rng.random((cells, cells * 2), np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(field, 0, 1).astype(np.float32)


def _blend(image: Image, colour: tuple[int, ...], share: npt.NDArray[np.float32]) -> None:
    mixed = image + (np.array(colour, np.float32) - image) * share[..., None]
    image[:] = mixed.astype(np.uint8)


def _earth(rng: np.random.Generator) -> tuple[int, ...]:
    shift = rng.integers(-12, 13, 3)
    return tuple(int(c) for c in np.clip(np.array(_EARTH[int(rng.integers(len(_EARTH)))]) + shift, 0, 255))


def mud(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """Road dirt, thicker towards the lower edge, with splashes."""
    height = image.shape[0]
    rise = np.linspace(0, 1, height, dtype=np.float32)[:, None] ** rng.uniform(1.0, 3.0)
    share = (_clouds(rng, image.shape, 5) * 0.7 + 0.3) * rise * rng.uniform(0.4, 0.85)
    colour = _earth(rng)
    _blend(image, colour, np.minimum(share, 0.72).astype(np.float32))
    _spots(rng, image, int(rng.integers(0, 40)), height * 0.02, colour, low=True)


def dust(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """An even veil that takes away contrast and colour."""
    share = 0.15 + _clouds(rng, image.shape, 4) * rng.uniform(0.1, 0.35)
    _blend(image, _earth(rng), share.astype(np.float32))


def _spots(
    rng: np.random.Generator,
    image: Image,
    count: int,
    radius: float,
    colour: tuple[int, ...],
    low: bool = False,
) -> None:
    height, width = image.shape[:2]
    for _ in range(count):
        y = 1 - rng.random() ** 2 if low else rng.random()
        axes = np.maximum(rng.exponential(radius, 2), 0.6) * 16
        centre = (int(rng.random() * width * 16), int(y * height * 16))
        turn = float(rng.uniform(0, 180))
        cv2.ellipse(
            image,
            centre,
            (int(axes[0]), int(axes[1])),
            turn,
            0,
            360,
            colour,
            -1,
            cv2.LINE_AA,
            4,
        )


def rust(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """Brown spots, runs below the bolt holes."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        colour = (
            int(rng.integers(20, 50)),
            int(rng.integers(50, 90)),
            int(rng.integers(90, 150)),
        )
        x, y = (
            int(rng.random() * width),
            int(rng.choice([0.06, 0.1, 0.9, rng.random()]) * height),
        )
        cv2.circle(
            image,
            (x, y),
            int(height * rng.uniform(0.01, 0.05)),
            colour,
            -1,
            cv2.LINE_AA,
        )
        if rng.random() < 0.6:
            run = image[y : y + int(height * rng.uniform(0.1, 0.5)), max(0, x - 2) : x + 3]
            run[:] = (run * 0.55 + np.array(colour) * 0.45).astype(np.uint8)
    _spots(rng, image, int(rng.integers(2, 16)), height * 0.012, (35, 70, 120))


def scratches(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """Light and dark lines across everything."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(2, 9))):
        start = np.array([rng.random() * width, rng.random() * height])
        end = start + rng.normal(0, 0.35, 2) * (width, height)
        shade = int(rng.choice([30, 90, 160, 220]))
        thickness = 2 if rng.random() < 0.15 else 1
        cv2.line(
            image,
            (int(start[0]), int(start[1])),
            (int(end[0]), int(end[1])),
            (shade, shade, shade),
            thickness,
            cv2.LINE_AA,
        )


def peeled(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """Chips of paint are gone from the characters, or the sheeting flakes off the ground."""
    height, width = image.shape[:2]
    if rng.random() < 0.6 and len(boxes):
        for left, top, right, bottom in boxes:
            y, x = (
                int(np.clip(top - 2, 0, height - 1)),
                int(np.clip(left - 1, 0, width - 1)),
            )
            ground = tuple(int(c) for c in image[y, x])
            for _ in range(int(rng.integers(0, 4))):
                spot = (int(rng.uniform(left, right)), int(rng.uniform(top, bottom)))
                cv2.circle(
                    image,
                    spot,
                    int(rng.uniform(0.01, 0.045) * (bottom - top)) + 1,
                    ground,
                    -1,
                )
        return
    field = _clouds(rng, image.shape, 9)
    level = rng.uniform(0.72, 0.9)
    shade = int(rng.integers(90, 220))
    share = np.clip((field - level) * 12, 0, 1) * rng.uniform(0.3, 0.75)
    _blend(image, (shade, shade, shade), share.astype(np.float32))


def bent(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """A dented side or corner: the picture bends by a few pixels there and catches other light."""
    height, width = image.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    reach = np.float32(rng.uniform(0.1, 0.3) * width)
    from_side = xs if rng.random() < 0.5 else width - 1 - xs
    depth = np.clip(1 - from_side / reach, 0, 1) ** 2
    corner = 1 if rng.random() < 0.5 else (ys / height if rng.random() < 0.5 else 1 - ys / height)
    bend = (depth * corner).astype(np.float32)
    shift = np.float32(rng.choice([-1, 1]) * rng.uniform(0.02, 0.07) * height)
    moved = cv2.remap(image, xs, ys + bend * shift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light = 1 + bend * np.float32(rng.uniform(-0.5, 0.3))
    image[:] = np.clip(moved * light[..., None], 0, 255).astype(np.uint8)


def bolt(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """A bolt or screw on a character's edge or right beside it."""
    if not len(boxes):
        return
    for _ in range(int(rng.integers(1, 3))):
        left, top, right, bottom = (float(v) for v in boxes[int(rng.integers(len(boxes)))])
        x = rng.choice([left - 3, right + 3, rng.uniform(left, right)])
        y = rng.choice([top, bottom]) + rng.normal(0, 0.06) * (bottom - top)
        pictures.draw_screw(rng, image, (float(x), float(y)), (bottom - top) * rng.uniform(0.04, 0.09))


def frame(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """A holder or dealer's frame that reaches up to the characters or bites into them a little."""
    height, width = image.shape[:2]
    shade = int(rng.choice([12, 20, 30, 50, 120, 190, 215]))
    colour = (shade, shade, shade)
    first, last = float(boxes[:, 1].min()), float(boxes[:, 3].max())
    tall = float((boxes[:, 3] - boxes[:, 1]).mean())
    inward = tall * rng.uniform(-0.1, 0.08)
    side = int(height * rng.uniform(0.0, 0.05))
    if rng.random() < 0.7:
        image[int(last - inward) :] = colour
    if rng.random() < 0.35:
        image[: max(1, int(first + inward))] = colour
    image[:, :side] = colour
    image[:, width - side :] = colour


def shadow(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """Of a boot lid, a bumper or a frame: the upper part lies darker, with a soft or hard edge."""
    height, width = image.shape[:2]
    ys = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    edge = rng.uniform(0.08, 0.75) + rng.normal(0, 0.15) * np.linspace(-0.5, 0.5, width, dtype=np.float32)
    lit = np.clip((ys - edge) * rng.uniform(6, 60) + 0.5, 0, 1)
    dark = rng.uniform(0.3, 0.75)
    image[:] = (image * (dark + (1 - dark) * lit)[..., None]).astype(np.uint8)


def tow_bar(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """A ball on its bar stands before the foot of one character: enough of it stays to be read."""
    left, top, right, bottom = (float(v) for v in boxes[int(rng.integers(len(boxes)))])
    tall, wide = bottom - top, right - left
    x = int(rng.uniform(left, right))
    shade = int(rng.integers(15, 80))
    slim = rng.random() < 0.4
    radius = max(2, int(wide * (rng.uniform(0.1, 0.16) if slim else rng.uniform(0.3, 0.5))))
    y = int(bottom - tall * (rng.uniform(0.3, 0.6) if slim else rng.uniform(-0.05, 0.22))) + radius
    colour = (shade, shade, shade)
    bar = max(1, int(radius * 0.6))
    cv2.rectangle(image, (x - bar, y), (x + bar, image.shape[0]), colour, -1)
    cv2.circle(image, (x, y), radius, colour, -1, cv2.LINE_AA)
    shine = min(255, shade + 90)
    cv2.circle(
        image,
        (x - radius // 3, y - radius // 3),
        max(1, radius // 4),
        (shine, shine, shine),
        -1,
    )


def snow(rng: np.random.Generator, image: Image, boxes: Boxes) -> None:
    """Snow lies on the lower rim or clings to the top, with flakes stuck to the rest."""
    height, width = image.shape[:2]
    deep = np.interp(np.arange(width), np.linspace(0, width, 9), rng.uniform(0.02, 0.26, 9)) * height
    ys = np.arange(height)[:, None]
    covered = ys > height - deep if rng.random() < 0.6 else ys < deep * 0.7
    soft = cv2.GaussianBlur(covered.astype(np.float32), (0, 0), 2).astype(np.float32)
    _blend(image, (248, 244, 240), soft * np.float32(0.95))
    _spots(rng, image, int(rng.integers(4, 30)), height * 0.012, (245, 242, 240))


EFFECTS: dict[str, Effect] = {
    "mud": mud,
    "dust": dust,
    "rust": rust,
    "scratches": scratches,
    "peeled": peeled,
    "bent": bent,
    "bolt": bolt,
    "frame": frame,
    "shadow": shadow,
    "tow bar": tow_bar,
    "snow": snow,
}
_SHARES = {
    "mud": 7.0,
    "dust": 5.0,
    "rust": 2.5,
    "scratches": 4.0,
    "peeled": 3.0,
    "bent": 3.0,
    "bolt": 6.0,
    "frame": 5.0,
    "shadow": 6.0,
    "tow bar": 2.0,
    "snow": 0.6,
}
