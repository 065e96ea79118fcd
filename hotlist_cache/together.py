"""The department's list and the officers' own entries, matched as one."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import numpy as np

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry
from hotlist_cache.evidence import Confusions
from hotlist_cache.hit import HotlistHit, ListAge
from hotlist_cache.local import LocalBook
from hotlist_cache.lookalike import DEFAULT_CONFUSIONS
from hotlist_cache.match import Hotlist, Matcher, Prior, rank
from hotlist_cache.packed import MAX_CHARACTERS, pack, pack_folded
from hotlist_cache.prior import PlatePrior, StatePrior
from recognizer.read import PlateRead


class _Entries:
    """A few entries in memory, as a matcher wants them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        plain = [each for each in entries if not each.is_wildcard and len(each.pattern) <= MAX_CHARACTERS]
        plain.sort(key=lambda each: (pack_folded(each.pattern), pack(each.pattern)))
        others = [each for each in entries if each.is_wildcard or len(each.pattern) > MAX_CHARACTERS]
        self.entries = len(plain)
        self.keys = b"".join(pack(each.pattern) for each in plain)
        self._all = [*plain, *others]

    def entry(self, number: int) -> Entry:
        return self._all[number]

    def patterns(self) -> Iterator[tuple[int, str]]:
        for number in range(self.entries, len(self._all)):
            yield number, self._all[number].pattern


class ListsInForce:
    """What reads are matched against. Not changed by matching: several threads may."""

    def __init__(
        self,
        hotlists: Sequence[Hotlist],
        book: LocalBook,
        config: HotlistConfig,
        new_id: Callable[[], str],
        confusions: Confusions = DEFAULT_CONFUSIONS,
    ) -> None:
        """*hotlists* are the department's, the longest first; with none, the officers' own entries alone are
        met."""
        entries = [each.entry for each in book.entries]
        listed = _Entries(entries)
        if hotlists:
            # A handful of entries says nothing of the plates around; the department's list does.
            prior = hotlists[0].prior
        else:
            own = np.frombuffer(listed.keys, ">u8")
            states = StatePrior(((e.pattern, e.jurisdiction) for e in entries if e.jurisdiction), config.home)
            prior = Prior(PlatePrior(own), states)
        self._lists: list[Hotlist | Matcher] = [*hotlists]
        if entries:
            self._lists.append(Matcher(listed, config, new_id, confusions, prior=prior, age_of=_age))

    def match(self, read: PlateRead, now: datetime) -> tuple[HotlistHit, ...]:
        """Return the hits of *read* on all of them at *now* (aware UTC), the surest first; see
        `Hotlist.match`. An entry that stands on two lists is met on the younger one alone."""
        hits: dict[str, HotlistHit] = {}
        for each in self._lists:
            for hit in each.match(read, now):
                other = hits.get(hit.entry.entry_id)
                if other is None or other.list_age.issued_at < hit.list_age.issued_at:
                    hits[hit.entry.entry_id] = hit
        return tuple(hits.values() if len(hits) < 2 else sorted(hits.values(), key=rank))


def _age(entry: Entry) -> ListAge:
    """An officer's entry is as old as itself, belongs to no list and ends by itself."""
    if entry.effective is None:
        raise ValueError("a local entry has no time of adding")
    return ListAge(0, entry.effective, entry.expires)
