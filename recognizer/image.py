"""Cuts plates out of frames, judges their sharpness, and makes the picture that is kept as evidence."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from recognizer.errors import InferenceFailedError
from recognizer.read import Box

Pixels = npt.NDArray[np.uint8]
"""Shape (height, width, 3), BGR."""

CROP_MARGIN = 0.05
"""The reader sees the detector's box widened by this share of its width and height on every side. One rule
for training, measurement and the unit: another margin costs several per cent of the reads."""

_EVIDENCE_MARGIN = (0.15, 0.35)
"""Share of the box's width and height kept around the plate: enough to see that it sits on a vehicle."""
_EVIDENCE_WIDTH_PX = 400
_EVIDENCE_QUALITY = 85
_SHARPNESS_HEIGHT_PX = 64


def widened(box: Box, across: float, down: float, shape: tuple[int, ...]) -> Box:
    """Return *box* with those shares of its width and height added on each side, inside an image of
    *shape*."""
    height, width = shape[:2]
    return Box(
        left=max(0, math.floor(box.left - across * box.width)),
        top=max(0, math.floor(box.top - down * box.height)),
        right=min(width, math.ceil(box.right + across * box.width)),
        bottom=min(height, math.ceil(box.bottom + down * box.height)),
    )


def crop_box(box: Box, shape: tuple[int, ...]) -> Box:
    """Return what the reader is to see of an image of *shape* for the plate in *box*."""
    return widened(box, CROP_MARGIN, CROP_MARGIN, shape)


def cut(pixels: Pixels, box: Box) -> Pixels:
    """Return the part of *pixels* inside *box*, a view. The box must not be empty."""
    return pixels[box.top : box.bottom, box.left : box.right]


def sharpness(crop: Pixels) -> float:
    """Return the variance of the Laplacian of the grey *crop* at 64 px height; larger is sharper.

    One height for all, because the measure depends on scale: a far plate, blown up, comes out blurred, as it
    is.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    width = max(1, round(grey.shape[1] * _SHARPNESS_HEIGHT_PX / grey.shape[0]))
    scaled = cv2.resize(grey, (width, _SHARPNESS_HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    return float(cv2.Laplacian(scaled, cv2.CV_32F).var())


def evidence(pixels: Pixels, box: Box) -> bytes:
    """Return a JPEG of the plate in *box* with its surroundings, at most 400 px wide.

    Raises InferenceFailedError if the encoder refuses.
    """
    picture = cut(pixels, widened(box, *_EVIDENCE_MARGIN, pixels.shape))
    height, width = picture.shape[:2]
    if width > _EVIDENCE_WIDTH_PX:
        size = (_EVIDENCE_WIDTH_PX, max(1, round(height * _EVIDENCE_WIDTH_PX / width)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _EVIDENCE_QUALITY])
    if not done:
        raise InferenceFailedError(f"cannot encode a {width} x {height} px picture as JPEG")
    return bytes(jpeg)
