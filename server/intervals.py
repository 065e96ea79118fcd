"""How far a share may be from the truth, and from how few cases none is told."""

from dataclasses import dataclass
from math import sqrt

FEWEST = 10
"""A share of fewer cases says more of chance than of a camera: it is not shown."""
_Z = 1.959963984540054
"""Of a 95 % interval, both sides together."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def enough(self) -> bool:
        """Whether it may be shown as a share."""
        return self.of >= FEWEST

    @property
    def value(self) -> float:
        """The share, in [0, 1]. Raises ZeroDivisionError where there is no case."""
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        return wilson(self.count, self.of)


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of Wilson (1927), without continuity correction, for *count* of *of* cases.

    It holds also near 0 and 1, and for few cases. Of no case at all it is all there is: (0, 1).
    Raises ValueError if *count* is not between 0 and *of*.
    """
    if not 0 <= count <= of:
        raise ValueError("so many cases cannot be among so few")
    if of == 0:
        return 0.0, 1.0
    share, squared = count / of, _Z * _Z
    middle = (share + squared / (2 * of)) / (1 + squared / of)
    half = _Z / (1 + squared / of) * sqrt(share * (1 - share) / of + squared / (4 * of * of))
    # The ends are known exactly where rounding would miss them.
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == of else min(1.0, middle + half)
    return low, high
