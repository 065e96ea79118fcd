"""Which characters a reader may have taken for another, and what it must have seen for that to count."""

from collections.abc import Iterator

from hotlist_cache.config import HotlistConfig
from recognizer.plate import Plate
from recognizer.read import PlateRead, Position

# Shapes that plate fonts and worn or dirty plates do not tell apart, after O is taken as 0 and I as 1.
# Misreads of 2 and 7 have led to wrongful stops.
# fmt: off
_GROUPS = (
    "0DQ", "0C", "17", "1LT", "27", "2Z", "38", "4A", "5S", "6G", "8B", "CG", "EF", "HMN", "KX", "PR", "UV",
    "VW", "VY",
)
# fmt: on

LOOK_ALIKES = {
    character: frozenset("".join(group for group in _GROUPS if character in group)) - {character}
    for character in set("".join(_GROUPS))
}
"""For a folded character those that look like it. Symmetric, not transitive: 17 and 27, but not 12."""

_FOLD = {"O": "0", "I": "1"}


def differing(listed: str, read: Plate) -> tuple[int, ...]:
    """Return the positions at which two plates of one length do not show the same character."""
    return tuple(i for i, (a, b) in enumerate(zip(listed, read, strict=True)) if a != b)


def alternatives(read: PlateRead, config: HotlistConfig) -> Iterator[tuple[int, str]]:
    """Yield the positions of *read* that may show another character, and that character, folded.

    Decided by the reader's own probabilities, which count for a folded character as those of all that fold
    to it. A read without one position per character has no alternatives.
    """
    plate = read.plate
    if len(read.positions) != len(plate):
        return
    # The probabilities sum to at most 1: beside a surer character than this no other can reach what it needs.
    least = min(config.min_look_alike_probability, config.min_other_probability)
    sure = max(1 - least, config.unsure_below)
    unsure = []
    for i, position in enumerate(read.positions):
        if position and position[0][1] > sure and position[0][0] == plate[i]:
            continue
        own = _FOLD.get(plate[i], plate[i])
        seen = _seen(position)
        if seen.get(own, 0.0) < config.unsure_below:
            unsure.append(i)
        for other, held in seen.items():
            if other != own and held >= _needed(own, other, config):
                yield i, other
    if len(unsure) <= config.max_unsure_characters:
        for i in unsure:
            own = _FOLD.get(plate[i], plate[i])
            seen = _seen(read.positions[i])
            for other in LOOK_ALIKES.get(own, ()):
                if seen.get(other, 0.0) < _needed(own, other, config):  # the others were named above
                    yield i, other


def supports_fold(read: PlateRead, listed: str, config: HotlistConfig) -> bool:
    """Whether the reader found each *listed* character that only folding makes equal likely enough itself."""
    if len(read.positions) != len(listed):
        return False
    return all(
        a == b
        or _FOLD.get(a, a) != _FOLD.get(b, b)
        or dict(position).get(a, 0.0) >= config.min_look_alike_probability
        for a, b, position in zip(listed, read.plate, read.positions, strict=True)
    )


def _seen(position: Position) -> dict[str, float]:
    seen: dict[str, float] = {}
    for character, probability in position:
        if character:
            folded = _FOLD.get(character, character)
            seen[folded] = seen.get(folded, 0.0) + probability
    return seen


def _needed(own: str, other: str, config: HotlistConfig) -> float:
    alike = other in LOOK_ALIKES.get(own, ())
    return config.min_look_alike_probability if alike else config.min_other_probability
