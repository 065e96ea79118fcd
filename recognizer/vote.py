"""One text out of many frames: a weighted vote per character position.

Texts are voted on, not pictures averaged, and each position keeps its whole distribution. The pool is linear
(probabilities are added, not multiplied): frames of one passing share their optics, so their errors are not
independent, and a product would claim a sureness that is not there.

Sums are made with `math.fsum` and ties broken by the character, so that the order of frames changes nothing.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from recognizer.plate import Jurisdiction, Plate
from recognizer.read import JurisdictionOpinion, PlateCandidate, Position, Rival

LEAST_PROBABILITY = 0.001
"""What is less likely than this is left out of a position."""

_FULL_WIDTH_PX = 100.0
"""Wider plates are not more legible: the reader's input is 128 pixels wide."""
_HALF_SHARPNESS = 150.0
"""Variance of the Laplacian at which a crop counts half as much as a perfectly sharp one."""
_FLOOR = 0.002
"""Even the worst frame says something."""
_DOUBT = 0.05
"""What is added to the confidence of a frame's weakest character before it counts: an unsure frame is heard,
too."""
_SURE_PREFIX = 0.6
"""Stacked letters less sure than this are left out. They are a third as high as the characters, and a wrong
one makes another plate of a right read, where a missing one leaves the read as it is: so clearly likelier
than not."""
_NOTHING: Position = (("", 1.0),)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a track says as a whole."""

    plate: Plate = field(repr=False)
    positions: tuple[Position, ...] = field(repr=False)
    """One per character of `plate`."""
    confidence: float
    """That of the weakest position, in [0, 1]."""
    jurisdiction: JurisdictionOpinion | None
    voters: int
    """Candidates of the commonest length: those that took part."""
    agreeing: int
    """Candidates that read exactly this text."""
    prefix: tuple[Position, ...] = field(default=(), repr=False)
    """One per stacked letter; empty where there is none, or one of them is not sure enough to be shown."""
    rival: Rival | None = field(default=None, repr=False)
    """What the frames of the second commonest length say."""

    @property
    def prefix_text(self) -> Plate:
        """The stacked letters joined."""
        return Plate("".join(position[0][0] for position in self.prefix))

    @property
    def prefix_confidence(self) -> float:
        """That of the least sure stacked letter, in [0, 1]; 0 where there is none."""
        return min((position[0][1] for position in self.prefix), default=0.0)


def weight(candidate: PlateCandidate) -> float:
    """Return how much *candidate* counts, in (0, 1]: large, sharp and sure ones count more.

    Size counts squared, as pixels do. On the sample drive (27 passings) this settles reads 0.22 s sooner than
    size alone times sharpness, and none otherwise: far frames no longer hold down what near ones say.
    """
    size = min(1.0, candidate.box.width / _FULL_WIDTH_PX)
    sharp = candidate.sharpness / (candidate.sharpness + _HALF_SHARPNESS)
    sure = (min(candidate.confidences, default=0.0) + _DOUBT) / (1.0 + _DOUBT)
    return max(_FLOOR, size**2 * sharp * sure)


def vote(candidates: Sequence[PlateCandidate]) -> Verdict:
    """Return the text most of the track agrees on, and how sure it is of each character.

    Candidates with an empty text say nothing. Those whose length differs from the commonest length (by weight
    times the candidate's weakest character) are left out; each remaining one adds, at each position, its
    distribution. To the stacked letters it adds "nothing stands here" where it saw none.

    Raises ValueError if no candidate has a text.
    """
    legible = [candidate for candidate in candidates if candidate.text]
    if not legible:
        raise ValueError("no candidate with a text to vote on")
    shares = _length_shares(legible)
    length, *others = sorted(shares, key=lambda length: (-shares[length], -length))
    voters = [candidate for candidate in legible if len(candidate.text) == length]
    weights = [weight(candidate) for candidate in voters]
    plate, positions = _pooled(voters, length)
    return Verdict(
        plate=plate,
        positions=positions,
        confidence=min(position[0][1] for position in positions),
        jurisdiction=_jurisdiction(voters, weights),
        voters=len(voters),
        agreeing=sum(candidate.text == plate for candidate in voters),
        prefix=_prefix([candidate.prefix for candidate in voters], weights),
        rival=_rival(legible, others[0], shares[others[0]]) if others else None,
    )


def _rival(legible: Sequence[PlateCandidate], length: int, share: float) -> Rival:
    plate, positions = _pooled([each for each in legible if len(each.text) == length], length)
    return Rival(plate, positions, share)


def _pooled(voters: Sequence[PlateCandidate], length: int) -> tuple[Plate, tuple[Position, ...]]:
    weights = [weight(candidate) for candidate in voters]
    positions = tuple(
        _pool([candidate.positions[place] for candidate in voters], weights) for place in range(length)
    )
    return Plate("".join(position[0][0] for position in positions)), positions


def best(candidates: Sequence[PlateCandidate], plate: Plate) -> PlateCandidate:
    """Return the candidate to keep as evidence of *plate*: one that reads so, if any does, and the most
    legible.

    Raises ValueError if *candidates* is empty.
    """
    return max(candidates, key=lambda candidate: (candidate.text == plate, weight(candidate)))


def _length_shares(candidates: Sequence[PlateCandidate]) -> dict[int, float]:
    shares: dict[int, list[float]] = defaultdict(list)
    for candidate in candidates:
        shares[len(candidate.text)].append(weight(candidate) * min(candidate.confidences))
    sums = {length: math.fsum(parts) for length, parts in shares.items()}
    total = math.fsum(sums.values())
    return {length: part / total if total else 0.0 for length, part in sums.items()}


def _prefix(opinions: Sequence[tuple[Position, ...]], weights: Sequence[float]) -> tuple[Position, ...]:
    letters: list[Position] = []
    for place in range(max(map(len, opinions))):
        seen = [opinion[place] if place < len(opinion) else _NOTHING for opinion in opinions]
        pooled = _pool(seen, weights)
        nothing = dict(pooled).get("", 0.0)
        # The end must be as sure as the letters: "A" for "AB" is another prefix, not half of the right one.
        if nothing >= _SURE_PREFIX:
            break
        if pooled[0][1] < _SURE_PREFIX:
            return ()
        letters.append(pooled)
    return tuple(letters)


def _pool(opinions: Sequence[Position], weights: Sequence[float]) -> Position:
    """Return the weighted mean of *opinions*, whose best entry is always a character, never "nothing
    here"."""
    shares: dict[str, list[float]] = defaultdict(list)
    for opinion, share in zip(opinions, weights, strict=True):
        for character, probability in opinion:
            shares[character].append(share * probability)
    total = math.fsum(weights)
    pooled = {character: min(1.0, math.fsum(parts) / total) for character, parts in shares.items()}
    ranked = sorted(pooled.items(), key=lambda entry: (entry[0] == "", -entry[1], entry[0]))
    first, others = ranked[0], sorted(ranked[1:], key=lambda entry: (-entry[1], entry[0]))
    return (first, *(entry for entry in others if entry[1] >= LEAST_PROBABILITY))


def _jurisdiction(voters: Sequence[PlateCandidate], weights: Sequence[float]) -> JurisdictionOpinion | None:
    shares: dict[Jurisdiction, list[float]] = defaultdict(list)
    for candidate, share in zip(voters, weights, strict=True):
        if candidate.jurisdiction is not None:
            shares[candidate.jurisdiction.code].append(share * candidate.jurisdiction.confidence)
    if not shares:
        return None
    total = math.fsum(weights)
    sums = {code: math.fsum(parts) / total for code, parts in shares.items()}
    code, confidence = min(sums.items(), key=lambda entry: (-entry[1], entry[0]))
    return JurisdictionOpinion(code, min(1.0, confidence))
