"""Which entries of a list a read meets: exactly, but for look-alikes, or by a partial plate.

The five million plates of a list stay what they are on the wire, a sorted column of numbers (`packed`).
Beside it stands the same column with O taken as 0 and I as 1, sorted too, as the snapshot sorts by it. One
binary search in the second finds what a read meets exactly and by folding; one more for each other character
that the read itself holds possible finds what differs in one look-alike. Nothing is made of an entry until it
is met.

A plate with small letters stacked beside it stands in lists without them, with them first, or with them last.
The reader does not say on which side they stand: a read that has a prefix is matched in all three forms.
Only the plate's own characters have look-alikes; of stacked letters no more than O for 0 and I for 1 is
forgiven.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.hit import HotlistHit, ListAge, MatchForm, MatchKind, StateMatch
from hotlist_cache.lookalike import alternatives, differing, supports_fold
from hotlist_cache.packed import CODE, MAX_CHARACTERS, SHIFTS, pack_folded
from hotlist_cache.patterns import PatternIndex
from hotlist_cache.snapshot import Snapshot
from recognizer.plate import Plate, fold
from recognizer.read import PlateRead, Position

_KINDS = (MatchKind.EXACT, MatchKind.LOOK_ALIKE, MatchKind.WILDCARD)
_FORMS = (MatchForm.PLATE, MatchForm.PREFIX_FIRST, MatchForm.PREFIX_LAST)
_STATES = (StateMatch.SAME, StateMatch.UNKNOWN, StateMatch.DIFFERENT)
_CHUNK = 1 << 18  # keys folded at a time: 2 MB, so that the intermediate columns stay in the cache
_AFTER_ALL = np.uint64(2**64 - 1)


class Hotlist:
    """A list in force, ready for reads. Not changed by matching: several threads may."""

    def __init__(self, snapshot: Snapshot, config: HotlistConfig, new_id: Callable[[], str]) -> None:
        """*new_id* gives a new random id at each call.

        Raises SnapshotRejectedError if the snapshot's plates are not sorted, or a pattern is malformed.
        """
        self.header = snapshot.header
        self._body = snapshot.body
        self._config = config
        self._new_id = new_id
        self._age = ListAge(
            snapshot.header.sequence, snapshot.header.issued_at, expires_at=snapshot.header.expires_at
        )
        folded = _folded(np.frombuffer(snapshot.body.keys, dtype=">u8"))
        if not bool((folded[:-1] <= folded[1:]).all()):
            raise SnapshotRejectedError(
                f"hotlist {snapshot.header.sequence}: its plates are not sorted; publish the list again"
            )
        self._keys = folded.data
        self._patterns = PatternIndex(snapshot.body.patterns())

    def match(self, read: PlateRead, now: datetime) -> tuple[HotlistHit, ...]:
        """Return a hit for each entry in force at *now* that *read* meets, the surest first.

        That is: exact before look-alike before partial plate, the same state before an unknown before
        another, fewer differing characters before more, a higher priority before a lower. An entry of another
        state is among them: the alert policy is silent on it, but the record is not.

        Raises SnapshotRejectedError if an entry that was met is malformed.
        """
        met = self._hits(read, MatchForm.PLATE, read, now)
        if read.prefix:
            for form, shown in _joined(read):
                for number, hit in self._hits(read, form, shown, now).items():
                    if number not in met or _rank(hit) < _rank(met[number]):
                        met[number] = hit
        return tuple(met.values() if len(met) < 2 else sorted(met.values(), key=_rank))

    def _hits(
        self, read: PlateRead, form: MatchForm, shown: PlateRead, now: datetime
    ) -> dict[int, HotlistHit]:
        """Return by number of their entries the hits that *read* makes as *shown*, which is its *form*."""
        hits = {}
        for number in self._met(shown):
            entry = self._body.entry(number)
            if entry.in_force(now) and (hit := self._hit(read, form, shown, entry)) is not None:
                hits[number] = hit
        return hits

    def _met(self, read: PlateRead) -> Iterator[int]:
        if 0 < len(read.plate) <= MAX_CHARACTERS:
            # bisect over the array's memory: numpy's own search costs more for the one or few keys of a read.
            folded = self._keys
            for key in self._wanted(read):
                number = bisect_left(folded, key)
                while folded[number] == key:  # ends at the last: no plate has the key that stands there
                    yield number
                    number += 1
        yield from self._patterns.find(read.plate)

    def _wanted(self, read: PlateRead) -> list[int]:
        folded = fold(read.plate)
        base = int.from_bytes(pack_folded(folded), "big")
        wanted = [base]
        for i, character in alternatives(read, self._config):
            wanted.append(base + ((CODE[character] - CODE[folded[i]]) << SHIFTS[i]))
        return wanted

    def _hit(self, read: PlateRead, form: MatchForm, shown: PlateRead, entry: Entry) -> HotlistHit | None:
        positions: tuple[int, ...] = ()
        if entry.pattern == shown.plate:
            kind = MatchKind.EXACT
        elif entry.is_wildcard:
            kind = MatchKind.WILDCARD
        else:
            kind = MatchKind.LOOK_ALIKE
            positions = differing(entry.pattern, shown.plate)
            if self._config.fold_needs_support and not supports_fold(shown, entry.pattern, self._config):
                return None
            if form is not MatchForm.PLATE:
                before = len(read.prefix) if form is MatchForm.PREFIX_FIRST else 0
                positions = tuple(i - before for i in positions if 0 <= i - before < len(read.plate))
        state = _state(read, entry, self._config)
        return HotlistHit(self._new_id(), read, entry, kind, state, positions, self._age, form)


def _joined(read: PlateRead) -> Iterator[tuple[MatchForm, PlateRead]]:
    """Yield *read* as if its stacked letters were characters of its plate: first, then last."""
    # Wholly sure, so that whatever limits the agency sets no stacked letter is taken for another.
    stacked: tuple[Position, ...] = tuple(((letter, 1.0),) for letter in read.prefix)
    first = Plate(read.prefix + read.plate)
    yield MatchForm.PREFIX_FIRST, replace(read, plate=first, positions=stacked + read.positions)
    last = Plate(read.plate + read.prefix)
    yield MatchForm.PREFIX_LAST, replace(read, plate=last, positions=read.positions + stacked)


def _folded(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
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


def _state(read: PlateRead, entry: Entry, config: HotlistConfig) -> StateMatch:
    opinion, listed = read.jurisdiction, entry.jurisdiction
    if opinion is None or listed is None or opinion.confidence < config.min_state_confidence:
        return StateMatch.UNKNOWN
    if opinion.code == listed:
        return StateMatch.SAME
    # "US" and "US-CA" do not contradict: one of the two says less.
    if opinion.code.startswith(f"{listed}-") or listed.startswith(f"{opinion.code}-"):
        return StateMatch.UNKNOWN
    if opinion.confidence < config.min_different_state_confidence:
        return StateMatch.UNKNOWN
    return StateMatch.DIFFERENT


def _rank(hit: HotlistHit) -> tuple[int, int, int, int, int, str]:
    return (
        _KINDS.index(hit.kind),
        _STATES.index(hit.state),
        len(hit.differing),
        -hit.entry.priority,
        _FORMS.index(hit.form),
        hit.entry.entry_id,
    )
