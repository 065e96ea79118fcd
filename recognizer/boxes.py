"""Boxes that say the same plate twice, told from boxes of two plates."""

from collections.abc import Sequence

from recognizer.read import Box

_COVERED = 0.6
"""Share of the smaller box inside the other above which both are of one plate: plates do not overlap each
other."""


def distinct(boxes: Sequence[Box], confidences: Sequence[float]) -> list[int]:
    """Return which of *boxes* to keep, as indices, the surest first: of those on one plate only the
    surest."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-confidences[i], i)):
        if all(covered(boxes[index], boxes[other]) < _COVERED for other in kept):
            kept.append(index)
    return kept


def covered(one: Box, other: Box) -> float:
    """Return the shared area as a share of the smaller box's area; 0 if either box is empty."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    smaller = min(one.width * one.height, other.width * other.height)
    return across * down / smaller if across > 0 and down > 0 and smaller > 0 else 0.0
