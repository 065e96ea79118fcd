"""What a read says of every text that may be the plate's: how likely the picture is if it is that one.

A reader gives each character place its own probabilities; a text is as likely as the product of its
characters'. To that comes what the reader does not know of itself: where it errs without noticing, it errs
towards certain characters (`Confusions`). O is taken as 0 and I as 1 throughout, since many plates and lists
print and write them alike.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from recognizer.plate import Plate, fold
from recognizer.read import Position

DIGITS = frozenset("0123456789")
_FOLD = {"O": "0", "I": "1"}
_BOTH = frozenset("0O1I")
"""May be a digit or a letter, whichever is read."""
_DIGIT_SHARE = 10 / 36
MOST_TEXTS = 64
"""Beyond these the others of one read are not looked up: it is too poor to tell."""
_LEAST = 1e-9
"""Of digit or letter at a place: no pattern is ruled out."""
_NONE: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Confusions:
    """How a reader errs where its own probabilities do not say so."""

    share: float
    """Of characters, in [0, 1): so often is it sure and wrong."""
    taken_for: Mapping[str, Mapping[str, float]] = field(repr=False)
    """For a folded character read, those that it may be, with their shares of all such errors."""

    @property
    def most(self) -> float:
        """The likeliest that any character is another without the reader's knowing."""
        shares = (share for others in self.taken_for.values() for share in others.values())
        return self.share * max(shares, default=0.0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The probabilities of one read, folded and with its unknown errors."""

    text: str = field(repr=False)
    """The text read, folded."""
    own: tuple[float, ...]
    """Of each place, the probability of the character read."""
    digits: tuple[float, ...]
    """Of each place, the probability that a digit stands there. A character that may be both counts for
    both."""
    letters: tuple[float, ...]
    _held: tuple[dict[str, float], ...] = field(repr=False)
    _confusions: Confusions = field(repr=False)
    _sure: range

    def texts(self, least: float) -> Iterator[tuple[tuple[tuple[int, str], ...], float]]:
        """Yield the texts at least as likely as *least*, as what differs from the text read (place,
        character), each with its probability: that text first, whatever it is, the others in no order;
        `MOST_TEXTS` at most.
        """
        whole = prod(self.own)
        yield (), whole
        if whole <= 0 or least > whole:
            return
        ratio = least / whole
        others = sorted(self._others(ratio), reverse=True)
        given = 1
        # Texts grow by one place at a time, in order of the list, so that none comes twice.
        grown: list[tuple[tuple[tuple[int, str], ...], float, int]] = [((), 1.0, 0)]
        for changed, reached, start in grown:
            for number in range(start, len(others)):
                factor, place, character = others[number]
                if reached * factor < ratio:
                    break
                if any(place == at for at, _ in changed):
                    continue
                more = (*changed, (place, character))
                yield more, whole * reached * factor
                given += 1
                if given >= MOST_TEXTS:
                    return
                grown.append((more, reached * factor, number + 1))

    def _others(self, ratio: float) -> Iterator[tuple[float, int, str]]:
        """Yield each other character at least *ratio* times as likely as the one read: how many times, its
        place, itself."""
        share = self._confusions.share
        for place, (read, own, held) in enumerate(zip(self.text, self.own, self._held, strict=True)):
            if place in self._sure:
                continue
            taken_for = self._confusions.taken_for.get(read, _NONE)
            for character, probability in held.items():
                if character != read:
                    factor = ((1 - share) * probability + share * taken_for.get(character, 0.0)) / own
                    if factor >= ratio:
                        yield factor, place, character
            if ratio * own <= share:
                for character, part in taken_for.items():
                    if character not in held and share * part >= ratio * own:
                        yield share * part / own, place, character


def evidence(
    plate: Plate, positions: tuple[Position, ...], confusions: Confusions, sure: range = range(0)
) -> Evidence:
    """Return what a reader's *positions*, one for each character of *plate*, say of texts.

    Of the places *sure* nothing is doubted.
    """
    text = fold(plate)
    holds: list[dict[str, float]] = []
    digits, letters, own = [], [], []
    share = confusions.share
    for place, (character, position) in enumerate(zip(text, positions, strict=True)):
        unknown = 0.0 if place in sure else share
        keep = 1 - unknown
        held: dict[str, float] = {}
        digit = letter = total = 0.0
        for seen, probability in position:
            if seen in DIGITS:
                digit += probability
                if seen in _BOTH:
                    letter += probability
                held[seen] = held.get(seen, 0.0) + probability
            elif seen in _FOLD:
                digit += probability
                letter += probability
                other = _FOLD[seen]
                held[other] = held.get(other, 0.0) + probability
            elif seen:
                letter += probability
                held[seen] = probability
            else:
                continue
            total += probability
        rest = keep * (1 - total) + unknown if total < 1 else unknown
        holds.append(held)
        digits.append(digit * keep + rest * _DIGIT_SHARE + _LEAST)
        letters.append(letter * keep + rest * (1 - _DIGIT_SHARE) + _LEAST)
        own.append(held.get(character, 0.0) * keep)
    return Evidence(text, tuple(own), tuple(digits), tuple(letters), tuple(holds), confusions, sure)
