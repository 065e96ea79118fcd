"""At which characters a read differs from the plate: what is kept of a misread, since it is no plate.

The least number of characters read as another, read where there is none, or not read; with the read beside it
the plate comes out again, and without it nobody's.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One of them."""

    place: int
    """Of the character in the read, from 0; of one that was not read, before which it stands."""
    read: str
    """One character; "" if it was not read."""
    true: str
    """One character; "" if there is none."""


def differences(read: str, true: str) -> tuple[Difference, ...]:
    """Return what makes *true* of *read*, by place."""
    cost = [[0] * (len(true) + 1) for _ in range(len(read) + 1)]
    for i in range(len(read), -1, -1):
        for j in range(len(true), -1, -1):
            if i == len(read) or j == len(true):
                cost[i][j] = len(read) - i + len(true) - j
            else:
                other = cost[i + 1][j + 1] + (read[i] != true[j])
                cost[i][j] = min(other, cost[i + 1][j] + 1, cost[i][j + 1] + 1)
    found: list[Difference] = []
    i = j = 0
    while i < len(read) or j < len(true):
        both = i < len(read) and j < len(true)
        if both and cost[i][j] == cost[i + 1][j + 1] + (read[i] != true[j]):
            if read[i] != true[j]:
                found.append(Difference(i, read[i], true[j]))
            i, j = i + 1, j + 1
        elif i < len(read) and cost[i][j] == cost[i + 1][j] + 1:
            found.append(Difference(i, read[i], ""))
            i += 1
        else:
            found.append(Difference(i, "", true[j]))
            j += 1
    return tuple(found)


def applied(read: str, found: Sequence[Difference]) -> str:
    """Return the plate that *read* should have been.

    Raises ValueError if *found* is of another read.
    """
    true, at = "", 0
    for each in found:
        if not at <= each.place <= len(read) or not read[each.place :].startswith(each.read):
            raise ValueError("these differences are of another read")
        true += read[at : each.place] + each.true
        at = each.place + len(each.read)
    return true + read[at:]


def to_text(found: Sequence[Difference]) -> str:
    """Return *found* as the database holds it."""
    return json.dumps([[each.place, each.read, each.true] for each in found])


def from_text(text: str) -> tuple[Difference, ...]:
    """Return what `to_text` wrote; nothing for ""."""
    return tuple(Difference(*each) for each in json.loads(text)) if text else ()
