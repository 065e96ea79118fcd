"""Which characters a reader takes for another where it does not say so itself."""

from collections.abc import Mapping

from hotlist_cache.evidence import Confusions
from recognizer.plate import Plate

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


DEFAULT_SHARE = 0.004
"""Of characters that a reader is sure of and wrong: about what ours showed before it was measured."""


def equally(groups: dict[str, frozenset[str]], share: float) -> Confusions:
    """Return that each character is taken for any of its *groups* alike."""
    return Confusions(
        share,
        {
            character: {other: 1 / len(others) for other in sorted(others)}
            for character, others in groups.items()
        },
    )


def measured(share: float, taken_for: Mapping[str, Mapping[str, float]]) -> Confusions:
    """Return what was measured of a reader; of a character that it never misread, its look-alikes."""
    known = {character: others for character, others in taken_for.items() if others}
    return Confusions(share, {**equally(LOOK_ALIKES, share).taken_for, **known})


DEFAULT_CONFUSIONS = equally(LOOK_ALIKES, DEFAULT_SHARE)


def differing(listed: str, read: Plate) -> tuple[int, ...]:
    """Return the positions at which two plates of one length do not show the same character."""
    return tuple(i for i, (a, b) in enumerate(zip(listed, read, strict=True)) if a != b)
