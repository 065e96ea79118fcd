"""Which plates there are to be met, before anything is read: what a listed one is weighed against.

A read that fits a listed plate fits others as well. How many others there are is learnt from the list itself:
its plates show which patterns of letters and digits the region issues and which states its vehicles come
from. A pattern of three letters and four digits stands for 175 million plates, so each of them is seldom met;
a listed plate is met as often as the department's hits say, and never oftener than any one vehicle of those
around.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from hotlist_cache.evidence import DIGITS, Evidence
from hotlist_cache.packed import ALPHABET, CODE, MAX_CHARACTERS, SHIFTS

_SAMPLE = 200_000
_MOST_PATTERNS = 48
"""Of one length; rarer ones are counted among the rest."""
_ANY_SHARE = 0.02
"""Of vehicles whose plate has a pattern that the list does not show."""
_LAST_DIGIT = CODE["9"]
_NOTHING, _DIGIT, _LETTER = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Patterns:
    """The patterns of one length."""

    digits: npt.NDArray[np.float64]
    """Shape (patterns, length): 1 for a digit, 0 for a letter."""
    shares: npt.NDArray[np.float64]
    """Shape (patterns,): of all vehicles, not only those of this length."""
    plates: dict[str, float]
    """How likely one plate of the pattern is; a pattern is written "d" for a digit and "l" for a letter."""

    @property
    def most(self) -> float:
        return max(self.plates.values())


class PlatePrior:
    """How likely it is to meet a plate, by its text alone."""

    def __init__(self, keys: npt.NDArray[np.uint64]) -> None:
        """*keys* are the plates of a list, as `packed` makes them, not folded."""
        step = max(1, len(keys) // _SAMPLE)
        counts = _pattern_counts(keys[::step].astype(np.uint64))
        total = sum(counts.values())
        by_length: dict[int, list[tuple[str, float]]] = {}
        for pattern, count in counts.most_common():
            of_length = by_length.setdefault(len(pattern), [])
            if len(of_length) < _MOST_PATTERNS:
                of_length.append((pattern, count / total * (1 - _ANY_SHARE)))
        self._patterns = {length: _patterns_of(found) for length, found in by_length.items()}

    def of(self, text: str) -> float:
        """Return how likely a vehicle around is to bear *text*, not folded."""
        anything = _ANY_SHARE * 36.0 ** -len(text) / MAX_CHARACTERS
        if (patterns := self._patterns.get(len(text))) is None:
            return anything
        return anything + patterns.plates.get(_pattern(text), 0.0)

    def most(self, length: int) -> float:
        """Return how likely a vehicle is at most to bear any one text of so many characters."""
        patterns = self._patterns.get(length)
        return (patterns.most if patterns else 0.0) + _ANY_SHARE * 36.0**-length / MAX_CHARACTERS

    def all_of(self, evidence: Evidence) -> float:
        """Return how likely the read is altogether, whatever plate it is of: the sum over all texts of their
        prior times their likelihood."""
        length = len(evidence.text)
        anything = _ANY_SHARE * 36.0**-length / MAX_CHARACTERS
        if (patterns := self._patterns.get(length)) is None:
            return anything
        letters = [probability / 26 for probability in evidence.letters]
        ratios = [
            probability / 10 / letter for probability, letter in zip(evidence.digits, letters, strict=True)
        ]
        whole = prod(letters) * (patterns.shares @ np.exp(patterns.digits @ np.log(ratios)))
        return anything + float(whole)


class StatePrior:
    """How likely it is that a vehicle around comes from a state, by the pattern of its plate."""

    def __init__(self, sample: Iterable[tuple[str, str]], home: str = "", home_share: float = 0.8) -> None:
        """*sample* are plates of a list with their states; *home*, where given, takes *home_share* of the
        vehicles whatever the list says."""
        overall: Counter[str] = Counter()
        by_pattern: dict[str, Counter[str]] = {}
        for plate, state in sample:
            overall[state] += 1
            by_pattern.setdefault(_pattern(plate), Counter())[state] += 1
        if home:
            others = sum(count for state, count in overall.items() if state != home)
            overall[home] = round(max(others, 1) * home_share / (1 - home_share))
        self._overall, self._total = overall, sum(overall.values()) + _OTHER_STATES
        self._by_pattern = {pattern: (found, sum(found.values())) for pattern, found in by_pattern.items()}

    def of(self, state: str, plate: str) -> float:
        """Return the share of the vehicles with plates like *plate* that come from *state*, in (0, 1)."""
        share = (self._overall.get(state, 0) + 1) / self._total
        # Few plates of a pattern say little; with more of them the list's own word for it counts.
        found, count = self._by_pattern.get(_pattern(plate), (_NOBODY, 0))
        return (found.get(state, 0) + _AS_GOOD_AS * share) / (count + _AS_GOOD_AS)


_OTHER_STATES = 50
_AS_GOOD_AS = 4.0
"""Plates of one pattern: the shares over all patterns count as so many."""
_NOBODY: Counter[str] = Counter()


_KIND = str.maketrans({c: "d" if c in DIGITS else "l" for c in ALPHABET})


def _pattern(text: str) -> str:
    return text.translate(_KIND)


def _patterns_of(found: list[tuple[str, float]]) -> _Patterns:
    digits = np.array([[character == "d" for character in pattern] for pattern, _ in found], np.float64)
    shares = np.array([share for _, share in found])
    plates = {p: share / (10.0 ** p.count("d") * 26.0 ** p.count("l")) for p, share in found}
    return _Patterns(digits, shares, plates)


def _pattern_counts(keys: npt.NDArray[np.uint64]) -> Counter[str]:
    kinds = np.zeros(len(keys), np.int64)
    for shift in SHIFTS:
        code = (keys >> np.uint64(shift)) & np.uint64(63)
        kind = np.where(code == 0, _NOTHING, np.where(code <= _LAST_DIGIT, _DIGIT, _LETTER))
        kinds = kinds * 3 + kind
    numbers, counts = np.unique(kinds, return_counts=True)
    return Counter({_unpacked(int(n)): int(c) for n, c in zip(numbers, counts, strict=True)})


def _unpacked(number: int) -> str:
    written = ""
    for _ in range(MAX_CHARACTERS):
        number, kind = divmod(number, 3)
        written = " dl"[kind] + written
    return written.rstrip()
