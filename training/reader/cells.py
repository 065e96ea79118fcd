"""Where the characters of a real plate are, by the reader itself: its slots attend to them."""

import cv2
import numpy as np
import torch

from training import degrade
from training.reader.net import COLUMNS, ROWS, ReaderNet
from training.reader.samples import ALPHABET
from training.reader.shuffle import Cells, Image

Box = tuple[float, float, float, float]

UNEVEN = 0.08
"""Characters further off their common line than this share of the plate's height stand in two rows."""
_NEAREST = 0.03
"""Characters are at least this share of the crop apart, or the attention is lost."""
_ROOM = 1.15
"""A character takes at most so much of the usual distance between two."""


def find_cells(net: ReaderNet, picture: Image, box: Box, text: str) -> Cells | None:
    """Return where the characters of *text* are on the plate *box* of *picture*, BGR.

    None if the reader does not read *text* there, or if it stands in two rows.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    x0, y0 = left - width * degrade.PADDING, top - height * degrade.PADDING
    x1, y1 = right + width * degrade.PADDING, bottom + height * degrade.PADDING
    size = (degrade.WIDTH, degrade.HEIGHT)
    scale = np.array([[size[0] / (x1 - x0), 0, 0], [0, size[1] / (y1 - y0), 0]])
    scale[:, 2] = -scale[0, 0] * x0, -scale[1, 1] * y0
    crop = cv2.warpAffine(picture, scale, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    with torch.no_grad():
        reading = net(torch.from_numpy(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB))[None])
    best = reading.slots[0].argmax(-1).numpy()
    if len(text) < 3 or "".join(ALPHABET[i] for i in best).rstrip("_") != text:
        return None
    maps = torch.softmax(reading.attention[0, : len(text)], -1).view(-1, ROWS, COLUMNS).numpy()
    x = (maps.sum(1) * (np.arange(COLUMNS) + 0.5)).sum(1) / COLUMNS
    y = (maps.sum(2) * (np.arange(ROWS) + 0.5)).sum(1) / ROWS
    if np.diff(x).min() < _NEAREST:
        return None
    line = np.polyfit(x, y, 1)
    if np.abs(np.polyval(line, x) - y).max() > UNEVEN:
        return None
    centres = np.stack([x * (x1 - x0) + x0, np.polyval(line, x) * (y1 - y0) + y0], axis=1)
    pitch = np.diff(centres[:, 0])
    usual = float(np.median(pitch))
    room = np.concatenate([[usual], pitch, [usual]])
    halves = np.minimum(np.minimum(room[:-1], room[1:]), _ROOM * usual) / 2
    return Cells(centres, halves, min(_ROOM * usual, 0.5 * height))
