"""How likely a read is of each of millions of listed plates, found by a few binary searches.

Beside the sorted column of a list's plates (`packed`) stands the same column with O taken as 0 and I as 1,
sorted too, as the snapshot sorts by it: each text that a read may be of is one search in it.
"""

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

from hotlist_cache.config import HotlistConfig
from hotlist_cache.evidence import Confusions, evidence
from hotlist_cache.packed import CODE, KEY_BYTES, MAX_CHARACTERS, SHIFTS, pack_folded, unpack
from hotlist_cache.prior import PlatePrior
from recognizer.plate import Plate, fold
from recognizer.read import Position

_CHUNK = 1 << 18  # keys folded at a time: 2 MB, so that the intermediate columns stay in the cache
_AFTER_ALL = np.uint64(2**64 - 1)


class TextIndex:
    """Says how likely a read is of each listed text. Not changed by looking up: several threads may."""

    def __init__(
        self,
        keys: npt.NDArray[np.uint64],
        config: HotlistConfig,
        confusions: Confusions,
        prior: PlatePrior | None = None,
    ) -> None:
        """*keys* are those of the listed plates, sorted by what they are folded; *prior* None takes the list
        itself for what there is.

        Raises ValueError if they are not sorted.
        """
        folded = folded_keys(keys)
        if not bool((folded[:-1] <= folded[1:]).all()):
            raise ValueError("the plates are not sorted")
        self._keys = folded.data
        self._plates = keys
        self._confusions = confusions
        self._unknown = confusions.most
        self._prior = PlatePrior(keys) if prior is None else prior
        # A listed plate is one of those that pass; never oftener than any one vehicle of those around.
        self._listed = min(config.wanted_share / max(len(keys), 1), 1 / config.vehicles_around)
        self._needed = config.possible_probability / (1 - config.possible_probability)

    def find(
        self, plate: Plate, positions: tuple[Position, ...], share: float = 1.0, sure: range = range(0)
    ) -> dict[int, float]:
        """Return the number of each listed plate that the read may be of, with how likely it is to be.

        *share* is how likely it is that the plate has so many characters; of the places *sure* nothing is
        doubted. The text read is always among them
        if it is listed, others if they are at least as likely as an alert needs.
        """
        if not 0 < len(plate) <= MAX_CHARACTERS:
            return {}
        folded = fold(plate)
        base = int.from_bytes(pack_folded(folded), "big")
        as_read = self._at(base)
        if len(positions) != len(plate):
            return dict.fromkeys(as_read, share)
        # A listed text counts if it outweighs all others by what is needed; its own part is not among them.
        weight = self._needed / (self._listed + self._needed * self._prior.most(len(plate)))
        # All texts together are at least as likely as the one read: what is far below it cannot count, and
        # nearly every read is so sure that nothing else does.
        ratio = weight * self._prior.of(folded)
        if not as_read and self._sure(positions, ratio):
            return {}
        said = evidence(plate, positions, self._confusions, sure)
        whole = self._prior.all_of(said)
        met = []
        for changed, likelihood in said.texts(weight * whole):
            key = base
            for place, character in changed:
                key += (CODE[character] - CODE[folded[place]]) << SHIFTS[place]
            if found := self._at(key) if changed else as_read:
                met.append((found, likelihood))
        return self._weighed(met, whole, share) if met else {}

    def holds(self, text: str) -> bool:
        """Whether *text*, up to 10 characters, is listed; O is taken as 0 and I as 1."""
        return bool(self._at(int.from_bytes(pack_folded(text), "big")))

    def _sure(self, positions: tuple[Position, ...], ratio: float) -> bool:
        """Whether no other character is *ratio* times as likely as the one read, anywhere."""
        for position in positions:
            own = position[0][1]
            other = position[1][1] if len(position) > 1 else 0.0
            if other + self._unknown >= ratio * own:
                return False
        return True

    def _weighed(self, met: list[tuple[list[int], float]], whole: float, share: float) -> dict[int, float]:
        listed = sum(likelihood * self._listed for _, likelihood in met)
        # No other vehicle bears a listed text: its part of the whole is not among the others.
        others = whole
        for numbers, likelihood in met:
            texts = {unpack(int(self._plates[number]).to_bytes(KEY_BYTES, "big")) for number in numbers}
            others -= likelihood * sum(self._prior.of(text) for text in texts)
        total = listed + max(others, 0.0)
        return {
            number: share * likelihood * self._listed / total
            for numbers, likelihood in met
            for number in numbers
        }

    def _at(self, key: int) -> list[int]:
        # bisect over the array's memory: numpy's own search costs more for the one or few keys of a read.
        folded = self._keys
        number = bisect_left(folded, key)
        found = []
        while folded[number] == key:  # ends at the last: no plate has the key that stands there
            found.append(number)
            number += 1
        return found


def folded_keys(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return big-endian *keys* folded, in this machine's order, and one after them that is above all."""
    folded = np.empty(len(keys) + 1, dtype=np.uint64)
    folded[-1] = _AFTER_ALL
    folded[:-1] = keys
    for start in range(0, len(keys), _CHUNK):
        chunk = folded[start : min(start + _CHUNK, len(keys))]
        for shift in SHIFTS:
            code = chunk >> np.uint64(shift) & np.uint64(63)
            for character, taken_as in (("O", "0"), ("I", "1")):
                less = np.uint64(CODE[character] - CODE[taken_as] << shift)
                chunk -= (code == CODE[character]) * less
    return folded
