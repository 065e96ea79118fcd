"""Partial plates, found without trying each one.

A pattern is cut at its "*". What stands before the first and after the last is anchored: its letters and
digits stand at known distances from the beginning or the end. Patterns with the same distances form a group,
and one look-up by the plate's characters at those distances finds all of the group that fit. A pattern
without an anchored character is found by two neighbouring characters; the few with neither are tried each.

O is taken as 0 and I as 1 on both sides: a witness does not know which of them was painted.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from recognizer.plate import Plate, fold


@dataclass(frozen=True, slots=True)
class _Pattern:
    number: int
    least: int
    """Characters a plate has at least."""
    most: int
    rest: re.Pattern[str] | None = field(repr=False)
    """What the group does not decide; None if it decides all."""

    def fits(self, plate: str) -> bool:
        return self.least <= len(plate) <= self.most and (
            self.rest is None or self.rest.fullmatch(plate) is not None
        )


@dataclass(frozen=True, slots=True)
class _Group:
    characters: Callable[[str], object]
    """Those of a plate at the group's distances."""
    patterns: dict[object, list[_Pattern]] = field(default_factory=dict, repr=False)


_ANY_LENGTH = 1 << 30


class PatternIndex:
    """Says which of many patterns stand for a plate."""

    def __init__(self, patterns: Iterable[tuple[int, str]]) -> None:
        """*patterns* are numbers and texts: A-Z, 0-9, "?" for one character, "*" for any number of them."""
        self._groups: dict[tuple[int, ...], _Group] = {}
        self._for_length: dict[
            int, tuple[tuple[Callable[[str], object], dict[object, list[_Pattern]]], ...]
        ] = {}
        self._pairs: dict[str, list[_Pattern]] = {}
        self._loose: list[_Pattern] = []
        for number, text in patterns:
            self._add(number, fold(Plate(text)))

    def find(self, plate: Plate) -> Iterator[int]:
        """Yield the number of each pattern that stands for *plate*, in no particular order."""
        folded = fold(plate)
        length = len(folded)
        groups = self._for_length.get(length)
        if groups is None:
            groups = self._for_length[length] = self._reaching(length)
        for characters, patterns in groups:
            if (found := patterns.get(characters(folded))) is not None:
                yield from (pattern.number for pattern in found if pattern.fits(folded))
        if self._pairs:
            for pair in {folded[i : i + 2] for i in range(length - 1)}:
                yield from (pattern.number for pattern in self._pairs.get(pair, ()) if pattern.fits(folded))
        for pattern in self._loose:
            if pattern.fits(folded):
                yield pattern.number

    def _reaching(
        self, length: int
    ) -> tuple[tuple[Callable[[str], object], dict[object, list[_Pattern]]], ...]:
        """Return the groups that hold a pattern for plates of *length* characters."""
        return tuple(
            (group.characters, group.patterns)
            for group in self._groups.values()
            if any(p.least <= length <= p.most for found in group.patterns.values() for p in found)
        )

    def _add(self, number: int, text: str) -> None:
        head, *inner = text.split("*")
        tail = inner.pop() if inner else ""
        least = len(text) - text.count("*")
        most = _ANY_LENGTH if "*" in text else least
        distances = tuple(i for i, c in enumerate(head) if c != "?")
        distances += tuple(i - len(tail) for i, c in enumerate(tail) if c != "?")
        rest = _expression(text) if any(inner) else None
        pattern = _Pattern(number, least, most, rest)
        if distances:
            group = self._groups.get(distances)
            if group is None:
                group = self._groups[distances] = _Group(itemgetter(*distances))
            key = group.characters(head + tail)
            group.patterns.setdefault(key, []).append(pattern)
        elif (pair := re.search("[0-9A-Z]{2}", text)) is not None:
            self._pairs.setdefault(pair.group(), []).append(pattern)
        else:
            self._loose.append(pattern)


def _expression(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("?", "[0-9A-Z]").replace("*", "[0-9A-Z]*"))
