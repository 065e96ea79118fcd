"""Which parts of a frame the detector looks at, and which plates are believed of each.

The detector's input is of a fixed size. A wide frame is shrunk so much for it that a plate far away fills too
few pixels to be found, while the reader could still read it. Such a frame is looked at twice, each time at
little more than half the pixels of a full look: the whole frame, coarsely, for near plates anywhere, and a
window, finely, for far ones. Far plates stand in a flat band at the horizon and mostly in the middle of it,
where the road comes from: the window is wide and low, in the middle every second frame, and to the sides in
turn between. How high the band lies depends on how the camera is mounted; it is learnt from the plates found.

Nothing here asks the tracker: near plates are looked at in every frame, so no track has to be kept alive, and
a window that followed far ones found no more of them than one that sweeps.

Measured in docs/decisions/0005-distant-plates.md, where the numbers below come from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recognizer.read import Box

FOUND_PX = 16
"""At the detector's input, the width from which hardly any plate is missed."""
READABLE_PX = 40
"""In the frame, the width from which a plate is mostly read: there is no use in finding far narrower ones."""
_COARSE = 3, 4
"""The whole frame beside a window fills this share of the input's side: six pixels in ten of a full look."""
_WINDOW = 2, 1
"""Frame pixels, in a row, of one pixel of the input: plates are found from 24 px on and surely from 32 px."""
_WINDOW_SHAPE = 5, 16
"""Height over width. 320 rows of a 1080p frame with a 40 degree lens are 7 degrees up and down together: room
for the horizon's nod and for a bend of the road."""
_EDGE_PX = 2
"""At the input. A box that ends so near to where the picture was cut may be part of a plate."""
_LEARNT = 0.05
"""Share of a new plate's height in what is known of the band: a second or two of plates, not one sign."""


@dataclass(frozen=True, slots=True)
class View:
    """One look at a part of a frame."""

    window: Box
    """The part."""
    input_px: int
    """Its longer side at the detector's input."""
    believed: Box
    """Plates are believed inside of this: not where the window's edge may have cut them in two ..."""
    widest_px: int
    """... and not if they are wider: those are for the view of the whole frame, which sees what is around."""

    def trusts(self, box: Box) -> bool:
        """Whether a plate found in *box*, in pixels of the frame, is believed of this view."""
        inside = self.believed
        return (
            box.width <= self.widest_px
            and inside.left <= box.left
            and inside.top <= box.top
            and box.right <= inside.right
            and box.bottom <= inside.bottom
        )


def whole(width: int, height: int, input_px: int) -> View:
    """Return the view of a whole frame of that size."""
    frame = Box(0, 0, width, height)
    return View(frame, input_px, frame, width)


class Lookout:
    """What one camera's frames are looked at through, frame by frame."""

    def __init__(self, side_px: int) -> None:
        """*side_px* is the side of the detector's square input."""
        self._side_px = side_px
        self._turn = 0
        self._band = 0.5
        """The middle of where far plates stand, as a share of the frame's height."""

    def views(self, width: int, height: int) -> tuple[View, ...]:
        """Return what to look at in the next frame, of *width* x *height* pixels; never nothing."""
        if self._side_px * READABLE_PX >= FOUND_PX * max(width, height):
            return (whole(width, height, self._side_px),)
        coarse = whole(width, height, self._side_px * _COARSE[0] // _COARSE[1])
        return coarse, self._window(width, height)

    def found(self, boxes: Sequence[Box], height: int) -> None:
        """Learn from the plates found in a frame of that *height*."""
        for box in boxes:
            if box.width < 2 * READABLE_PX:
                self._band += _LEARNT * ((box.top + box.bottom) / (2 * height) - self._band)

    def _window(self, width: int, height: int) -> View:
        across = min(width, self._side_px * _WINDOW[0] // _WINDOW[1])
        down = min(height, across * _WINDOW_SHAPE[0] // _WINDOW_SHAPE[1])
        places = _places(width, across)
        left = places[self._turn % len(places)]
        self._turn += 1
        top = min(max(0, round(self._band * height) - down // 2), height - down)
        window = Box(left, top, left + across, top + down)
        edge = math.ceil(_EDGE_PX * _WINDOW[0] / _WINDOW[1])
        believed = Box(
            window.left + edge * (window.left > 0),
            window.top + edge * (window.top > 0),
            window.right - edge * (window.right < width),
            window.bottom - edge * (window.bottom < height),
        )
        return View(window, self._side_px, believed, across // 4)


def _places(width: int, across: int) -> list[int]:
    """Return the left edges of windows *across* pixels wide, in turn: the middle before each of a row of
    windows that covers *width* and whose neighbours share more than the widest plate sought there."""
    rest = width - across
    if rest == 0:
        return [0]
    steps = math.ceil(rest / (across - 2 * READABLE_PX))
    sides = [round(rest * step / steps) for step in range(steps + 1)]
    return [place for side in sides for place in (rest // 2, side)]
