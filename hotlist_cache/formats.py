"""Plates numbered without gaps, so that neighbours in a sorted list differ by little.

The format of a plate says where its letters and where its digits stand. Within a format a plate is a number
in mixed radix, its rank: 26 for a letter, 10 for a digit. Letters count O, I, A, B, C and on: that is how a
list sorts, in which O is taken as 0 and I as 1, so ranks of one format ascend as its plates do.

A format is written as a number: the plate's length in the bits from 16 up, below it one bit for each
character, the first the highest, 1 for a letter. Formats of one length therefore sort as plates do that are
the same but for O and 0 or I and 1.
"""

from dataclasses import dataclass, field
from functools import cache
from itertools import groupby

from hotlist_cache.packed import MAX_CHARACTERS

DIGITS = "0123456789"
LETTERS = "OIABCDEFGHJKLMNPQRSTUVWXYZ"
RANK_BYTES = 6
"""The highest rank is 26**10 - 1, below 2**47."""

_LENGTH_SHIFT = 16
_CLASSES = str.maketrans(DIGITS + LETTERS, "0" * len(DIGITS) + "1" * len(LETTERS))
_NUMERALS = str.maketrans(LETTERS, "0123456789ABCDEFGHIJKLMNOP")  # what int() reads as a number of base 26
_CHARACTERS = dict(zip("01", (DIGITS, LETTERS), strict=True))


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring characters of one kind."""

    start: int
    end: int
    characters: str
    """`DIGITS` or `LETTERS`."""
    weight: int
    """What the run's own number counts in the rank."""


@dataclass(frozen=True, slots=True)
class Format:
    """Where letters and digits stand in a plate."""

    number: int
    capacity: int
    """How many plates have this format; the ranks are those below it."""
    runs: tuple[Run, ...] = field(repr=False)

    def rank(self, plate: str) -> int:
        """Return the rank of *plate*, which has this format."""
        numerals = plate.translate(_NUMERALS)
        rank = 0
        for run in self.runs:
            rank += int(numerals[run.start : run.end], len(run.characters)) * run.weight
        return rank

    def plate(self, rank: int) -> str:
        """Return the plate of *rank*, which is below the capacity."""
        characters = []
        for run in reversed(self.runs):
            for _ in range(run.start, run.end):
                rank, digit = divmod(rank, len(run.characters))
                characters.append(run.characters[digit])
        return "".join(reversed(characters))


def format_of(plate: str) -> Format:
    """Return the format of *plate*, 1 to 10 characters A-Z and 0-9."""
    return _of_classes(plate.translate(_CLASSES))


def numbered(number: int) -> Format:
    """Return the format written as *number*.

    Raises ValueError if none is.
    """
    length, bits = number >> _LENGTH_SHIFT, number & ((1 << _LENGTH_SHIFT) - 1)
    if not 1 <= length <= MAX_CHARACTERS or bits >> length:
        raise ValueError("no format has this number")
    return _of_classes(f"{bits:0{length}b}")


@cache
def _of_classes(classes: str) -> Format:
    runs: list[Run] = []
    weight, end = 1, len(classes)
    for kind, group in groupby(reversed(classes)):
        characters = _CHARACTERS[kind]
        start = end - len(list(group))
        runs.append(Run(start, end, characters, weight))
        weight *= len(characters) ** (end - start)
        end = start
    return Format(len(classes) << _LENGTH_SHIFT | int(classes, 2), weight, tuple(reversed(runs)))
