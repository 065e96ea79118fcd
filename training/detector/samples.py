"""Training samples: crops and tilings of labelled frames, at every plate width the detector must learn."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.detector.dressing import Wardrobe
from training.detector.frames import Boxes, LabelledFrame, Pixels

IGNORED, PLATE = 0.0, 1.0


@dataclass(frozen=True, slots=True)
class SampleConfig:
    size_px: int = 320
    widths_px: tuple[float, float] = (12.0, 300.0)
    """Plate widths are drawn log-uniformly from this range."""
    tilings: tuple[float, float, float] = (0.5, 0.32, 0.18)
    """Shares of samples made of 1, 2 x 2 and 3 x 3 pieces."""
    negatives: float = 0.07
    """Share of pieces cut from pictures without a plate."""
    elsewhere: float = 0.12
    """Share of pieces cut anywhere, not around a plate: hard background of real streets."""
    dressed: float = 0.0
    """Share of pieces whose plate is covered by a rendered one."""
    lettering: float = 0.0
    """Share of pieces with lettering drawn on them that is no plate."""


class SampleMaker:
    """Draws samples for ever; the same generator state gives the same sample."""

    def __init__(
        self,
        config: SampleConfig,
        frames: list[LabelledFrame],
        weights: list[float],
        negatives: list[LabelledFrame],
        ignored: dict[str, Boxes],
        wardrobe: Wardrobe | None = None,
    ) -> None:
        self._config = config
        self._frames = frames
        self._cumulative = np.cumsum(np.asarray(weights) / np.sum(weights))
        self._negatives = negatives
        self._ignored = ignored
        self._wardrobe = wardrobe

    def sample(self, rng: np.random.Generator) -> tuple[Pixels, Boxes]:
        """Return pixels (size, size, 3) BGR and boxes (n, 5): left, top, right, bottom, kind.

        Kind is PLATE, or IGNORED for what may be a plate but was not labelled or is cut or tiny.
        """
        size = self._config.size_px
        canvas = np.empty((size, size, 3), np.uint8)
        canvas[:] = 114 if rng.random() < 0.7 else rng.integers(0, 256, 3, dtype=np.uint8)
        pieces = 1 + int(np.searchsorted(np.cumsum(self._config.tilings), rng.random(), side="right"))
        pieces = min(pieces, 3)
        cuts_x, cuts_y = _cuts(rng, size, pieces), _cuts(rng, size, pieces)
        low, high = self._config.widths_px
        high = {1: high, 2: high * 0.5, 3: high * 0.28}[pieces]
        found: list[Boxes] = []
        for top, bottom in itertools.pairwise(cuts_y):
            for left, right in itertools.pairwise(cuts_x):
                target = float(np.exp(rng.uniform(np.log(low if pieces > 1 else low * 1.5), np.log(high))))
                boxes = self._piece(rng, canvas[top:bottom, left:right], target)
                boxes[:, [0, 2]] += left
                boxes[:, [1, 3]] += top
                found.append(boxes)
        boxes = np.concatenate(found)
        if rng.random() < 0.5:
            canvas = np.ascontiguousarray(canvas[:, ::-1])
            boxes[:, [0, 2]] = size - boxes[:, [2, 0]]
        return _photometric(rng, canvas), boxes

    def _piece(self, rng: np.random.Generator, into: Pixels, target_px: float) -> Boxes:
        """Fill *into* with a scaled cut and return its boxes, (n, 5), relative to it."""
        if self._negatives and rng.random() < self._config.negatives:
            frame = self._negatives[int(rng.integers(len(self._negatives)))]
        else:
            frame = self._frames[int(np.searchsorted(self._cumulative, rng.random()))]
        height, width = frame.pixels.shape[:2]
        out_h, out_w = into.shape[:2]
        # A picture squeezed from 4:3 or 16:9 into a square needs its width back.
        aspect = float(np.exp(rng.uniform(-0.1, 0.5) if frame.stretched else rng.uniform(-0.14, 0.14)))
        shape = np.array([aspect**0.5, aspect**-0.5], np.float32)
        anchor = None
        if len(frame.boxes):
            anchor = frame.boxes[int(rng.integers(len(frame.boxes)))]
            scale = target_px / max(1.0, float(anchor[2] - anchor[0]) * float(shape[0]))
            scale = min(scale, 3.0)
        else:
            scale = float(np.exp(rng.uniform(np.log(0.3), np.log(1.5))))
        # A piece that is mostly padding teaches little: do not shrink a picture below its place.
        least = 0.5 * max(out_w / (width * shape[0]), out_h / (height * shape[1]))
        scale_x, scale_y = shape * max(scale, float(least))
        if anchor is not None and rng.random() >= self._config.elsewhere:
            centre = np.array([(anchor[0] + anchor[2]) * scale_x, (anchor[1] + anchor[3]) * scale_y]) / 2
            half = (anchor[2:] - anchor[:2]) * np.array([scale_x, scale_y]) / 2
            room = np.maximum(np.array([out_w, out_h]) - 2 * half, 0) * 0.5
            spot = np.array([out_w, out_h]) / 2 + rng.uniform(-1.0, 1.0, 2) * (room + 0.15 * half)
            offset = spot - centre
        else:
            spare = np.array([out_w - width * scale_x, out_h - height * scale_y])
            offset = rng.uniform(np.minimum(spare, 0) - 1e-6, np.maximum(spare, 0))
        source = frame.pixels
        if self._wardrobe is not None and anchor is not None and rng.random() < self._config.dressed:
            source = self._wardrobe.cover(rng, source, anchor)
        _paste(rng, source, into, float(scale_x), float(scale_y), offset)
        boxes = _placed(frame.boxes, scale_x, scale_y, offset, out_w, out_h, PLATE)
        unsure = self._ignored.get(frame.name)
        if unsure is not None:
            boxes = np.concatenate([boxes, _placed(unsure, scale_x, scale_y, offset, out_w, out_h, IGNORED)])
        if self._wardrobe is not None and rng.random() < self._config.lettering:
            self._wardrobe.letter(rng, into, boxes)
        return boxes


def read_ignored(path: Path) -> dict[str, Boxes]:
    """Read ``{"set/image": [[left, top, right, bottom], ...]}``, plates seen but not labelled."""
    if not path.exists():
        return {}
    return {
        name: np.array(rows, np.float32).reshape(-1, 4) for name, rows in json.loads(path.read_text()).items()
    }


def _cuts(rng: np.random.Generator, size: int, pieces: int) -> list[int]:
    inner = [int(size * (k + rng.uniform(-0.18, 0.18)) / pieces) for k in range(1, pieces)]
    return [0, *inner, size]


def _paste(
    rng: np.random.Generator,
    source: Pixels,
    into: Pixels,
    scale_x: float,
    scale_y: float,
    offset: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> None:
    out_h, out_w = into.shape[:2]
    height, width = source.shape[:2]
    left = max(0, int(np.floor(-offset[0] / scale_x)))
    top = max(0, int(np.floor(-offset[1] / scale_y)))
    right = min(width, int(np.ceil((out_w - offset[0]) / scale_x)) + 1)
    bottom = min(height, int(np.ceil((out_h - offset[1]) / scale_y)) + 1)
    if right - left < 2 or bottom - top < 2:
        return
    # The unit shrinks frames with plain linear resampling, others with area averaging: learn both.
    method = cv2.INTER_LINEAR if max(scale_x, scale_y) >= 1 or rng.random() < 0.5 else cv2.INTER_AREA
    size = (max(1, round((right - left) * scale_x)), max(1, round((bottom - top) * scale_y)))
    scaled = cv2.resize(source[top:bottom, left:right], size, interpolation=method)
    x, y = round(offset[0] + left * scale_x), round(offset[1] + top * scale_y)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size[0], out_w), min(y + size[1], out_h)
    if x1 > x0 and y1 > y0:
        into[y0:y1, x0:x1] = scaled[y0 - y : y1 - y, x0 - x : x1 - x]


def _placed(
    boxes: Boxes,
    scale_x: float,
    scale_y: float,
    offset: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    out_w: int,
    out_h: int,
    kind: float,
) -> Boxes:
    moved = boxes * np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    moved = (moved + np.array([offset[0], offset[1], offset[0], offset[1]])).astype(np.float32)
    clipped = moved.copy()
    clipped[:, [0, 2]] = clipped[:, [0, 2]].clip(0, out_w)
    clipped[:, [1, 3]] = clipped[:, [1, 3]].clip(0, out_h)
    extent, shown = moved[:, 2:] - moved[:, :2], clipped[:, 2:] - clipped[:, :2]
    visible = np.prod(shown, axis=1) / np.maximum(np.prod(extent, axis=1), 1e-6)
    kinds = np.full((len(boxes), 1), kind, np.float32)
    kinds[(visible < 0.6) | (shown[:, 0] < 9) | (shown[:, 1] < 3)] = IGNORED
    # The remains of a large plate, a few letters, are no plate: they stay background.
    remains = (visible < 0.35) & (extent[:, 0] > 150)
    return np.concatenate([clipped, kinds], axis=1)[(visible > 0.05) & ~remains]


def _photometric(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Change light, colour, sharpness and noise the way cameras and hours of the day do."""
    image = pixels
    if rng.random() < 0.25:
        length = int(rng.integers(2, 6))
        kernel = np.zeros((length, length), np.float32)
        if rng.random() < 0.6:
            kernel[length // 2, :] = 1.0 / length
        else:
            kernel[:] = 1.0 / length**2
        image = np.asarray(cv2.filter2D(image, -1, kernel), np.uint8)
    if rng.random() < 0.12:
        image = np.asarray(
            cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8
        )
    elif rng.random() < 0.5:
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.int16)
        hsv[..., 0] = (hsv[..., 0] + int(rng.integers(-12, 13))) % 180
        hsv[..., 1] = (hsv[..., 1] * rng.uniform(0.4, 1.5)).clip(0, 255).astype(np.int16)
        image = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR), np.uint8)
    # One table does gamma, gain, contrast and colour cast: dusk, night and glare.
    gamma = float(np.exp(rng.normal(0.0, 0.35)))
    ramp = (np.arange(256, dtype=np.float32) / 255.0) ** gamma
    gain = float(np.exp(rng.normal(-0.08, 0.24)))
    if rng.random() < 0.08:
        gain *= float(rng.uniform(0.15, 0.5))
    cast = np.exp(rng.normal(0.0, 0.06, 3))
    table = np.stack([(ramp * gain * c + rng.normal(0.0, 0.04)) * 255.0 for c in cast], axis=-1)
    image = np.asarray(cv2.LUT(image, table.clip(0, 255).astype(np.uint8)[:, None, :]), np.uint8)
    if rng.random() < 0.3:
        deviation = float(rng.uniform(2.0, 12.0))
        noise = rng.standard_normal(image.shape, dtype=np.float32) * deviation
        image = (image + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(25, 85))
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return image
