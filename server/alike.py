"""Which texts a reader could have made of a plate, and how likely a read is of the plate that is asked for.

A search for look-alikes asks for a bounded set of whole texts, so that the plate's index answers it. Only
characters that fonts do not tell apart (`hotlist_cache.lookalike`) are exchanged: a text with a character
more or less is not among them.
"""

import heapq
import json
import math
from dataclasses import dataclass, field
from functools import lru_cache

from hotlist_cache.lookalike import DEFAULT_CONFUSIONS
from recognizer.plate import fold, normalise

MOST_TEXTS = 400
"""Three forms of each plate are asked for by each text; SQLite takes 32,766 values."""
LEAST_CHARACTERS, MOST_CHARACTERS = 3, 10
"""With fewer characters everything looks like everything."""
_UNSEEN = 0.0005
"""Of a character that the vote does not name and that is no look-alike."""


@dataclass(frozen=True, slots=True)
class Alike:
    """The likeliest texts of a plate, the plate itself first."""

    texts: tuple[str, ...] = field(repr=False)
    """Folded."""
    left_out: int
    """Texts that could be too, and are not searched."""


@lru_cache(maxsize=64)
def texts_alike(plate: str) -> Alike:
    """Return the texts under which a read of *plate* could stand.

    Raises ValueError, with what to tell the person, if it is no whole plate.
    """
    whole = fold(normalise(plate))
    if "?" in plate or "*" in plate or not LEAST_CHARACTERS <= len(whole) <= MOST_CHARACTERS:
        raise ValueError(
            f"Look-alikes are searched of a whole plate: {LEAST_CHARACTERS} to {MOST_CHARACTERS} letters and "
            "digits, without ? and *."
        )
    options = [_options(character) for character in whole]
    possible = math.prod(map(len, options))
    # Best first: from a text follow those in which one further place, right of the last, takes its next.
    waiting: list[tuple[float, tuple[int, ...], int]] = [(0.0, (0,) * len(options), 0)]
    texts: list[str] = []
    while waiting and len(texts) < MOST_TEXTS:
        cost, chosen, place = heapq.heappop(waiting)
        texts.append("".join(each[which][0] for each, which in zip(options, chosen, strict=True)))
        for at in range(place, len(options)):
            which = chosen[at]
            if which + 1 < len(options[at]):
                after = (*chosen[:at], which + 1, *chosen[at + 1 :])
                step = options[at][which + 1][1] - options[at][which][1]
                heapq.heappush(waiting, (cost + step, after, at))
    return Alike(tuple(texts), possible - len(texts))


def likeness(plate: str, text: str, positions: str) -> float:
    """Return how likely a read is of *plate*, in [0, 1], by its own vote and by what readers mistake.

    *text* is the folded text by which it was found, *positions* the vote as `reads` holds it. Where *text*
    has stacked letters besides, their characters count by look-alikes alone.
    """
    whole = fold(normalise(plate))
    vote: list[dict[str, float]] = [
        {fold(normalise(c)): p for c, p in reversed(place)} for place in json.loads(positions)
    ]
    if len(whole) != len(text) or len(vote) > len(text):
        return 0.0
    # Stacked letters stand before or behind the vote's characters; which, the vote does not say.
    seen = vote if len(vote) == len(text) else [{}] * len(text)
    chance = 1.0
    for asked, read, place in zip(whole, text, seen, strict=True):
        own = place.get(read, 0.9)
        mistaken = own * DEFAULT_CONFUSIONS.share * DEFAULT_CONFUSIONS.taken_for.get(read, {}).get(asked, 0.0)
        chance *= own if asked == read else max(place.get(asked, 0.0), mistaken, _UNSEEN * own)
    return chance


def _options(character: str) -> list[tuple[str, float]]:
    """What *character* could be read as, itself first, each with its cost (minus the logarithm)."""
    others = DEFAULT_CONFUSIONS.taken_for.get(character, {})
    share = DEFAULT_CONFUSIONS.share
    costs = [(other, -math.log(share * chance)) for other, chance in others.items()]
    return [(character, 0.0), *sorted(costs, key=lambda each: each[1])]
