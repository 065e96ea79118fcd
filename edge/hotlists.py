"""The lists in force on this unit: loaded at the start, changed as the department publishes.

    publication ──▶ urgent list (small, whole)  ──▶ in force
                ├─▶ changes to the list, or the list whole ──▶ in force
                └─▶ roster, settings, at last a model pack, which waits for the next start

The urgent list comes first. A new publication that is told of while a long transfer runs breaks it off; what
came of it stays, and goes on once the urgent list was looked after.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import structlog

from edge.clock import Clock
from edge.department_packs import DepartmentPacks
from edge.errors import RosterRefusedError
from edge.profiles import Profiles
from edge.roster import RosterStore
from edge.status import HotlistHealth
from hotlist_cache.applying import added_plates
from hotlist_cache.config import HotlistConfig
from hotlist_cache.delta import DeltaNotForThisListError
from hotlist_cache.errors import HotlistError, SnapshotRejectedError
from hotlist_cache.snapshot import Snapshot
from hotlist_cache.store import HotlistStore
from sync.errors import NotPublishedError, RefusedError, SyncError, TrustLostError
from sync.networks import Lists
from sync.trust import TrustState
from sync.trust_check import TIMESTAMP
from sync.trust_fetch import Progress
from sync.trust_source import Source, ToldSource
from sync.trust_values import DELTA_KIND, LIST_PATH, ROSTER_PATH, URGENT_PATH, Target, Trusted

LOOK_EVERY_S = 900.0
"""How often the server is asked where no broker tells; hotlists are renewed a few times a day."""
RETRY_AFTER_S = 60.0

MOST_ADDED = 50_000
"""Plates of a list that came whole for which past reads are searched: some ten seconds."""

log = structlog.get_logger(__name__)


class _Overtaken(Exception):
    """Something newer was told of while a long transfer ran."""


class Publishes(Protocol):
    """What the department has published, as the unit believes it: `TrustedUpdates`, or why it is lost."""

    def load(self) -> Trusted | None: ...

    def refresh(self, source: Source, now: datetime) -> Trusted: ...

    def fetch_target(
        self, source: Source, target: Target, into: Path, now: datetime, progress: Progress | None = None
    ) -> None: ...

    def state(self, now: datetime) -> TrustState: ...


class LostTrust:
    """In the place of `TrustedUpdates` whose record is damaged: the lists stay, nothing new is believed."""

    def __init__(self, error: TrustLostError) -> None:
        self._error = error

    def load(self) -> Trusted | None:
        raise self._error

    def refresh(self, source: Source, now: datetime) -> Trusted:
        raise self._error

    def fetch_target(
        self, source: Source, target: Target, into: Path, now: datetime, progress: Progress | None = None
    ) -> None:
        raise self._error

    def state(self, now: datetime) -> TrustState:
        return TrustState({}, None, None, stale=True, line=f"STALE: {self._error}", alarm=self._error.alarm)


class HotlistDesk:
    """`told` may be called by any thread; all else by one at a time: the starting one, then the updates'."""

    def __init__(
        self,
        updates: Publishes,
        store: HotlistStore,
        urgent: HotlistStore,
        config: HotlistConfig,
        clock: Clock,
        *,
        scratch: Path,
        put_in_force: Callable[[Snapshot | None, Snapshot | None], None],
        listed_anew: Callable[[Sequence[str]], None] = lambda plates: None,
        rosters: RosterStore | None = None,
        carried: Callable[[], Lists] = lambda: Lists.ALL,
        profiles: Profiles | None = None,
        packs: DepartmentPacks | None = None,
    ) -> None:
        """*scratch* is a folder for a download on its way; *put_in_force* is given the list and the urgent
        one, None for a list that the unit does not have; *listed_anew* is told the plates that a change or
        an urgent list brings; *rosters* keeps who may log in, None where nobody does; *carried* says
        what the network in use may bring; *profiles* keeps the department's settings, *packs* its models."""
        self._carried = carried
        self._profiles = profiles
        self._packs = packs
        self.held_back = 0
        """The list that waits for another network; 0: none does."""
        self._rosters = rosters
        self._listed_anew = listed_anew
        self.last_error = ""
        self.received_bytes, self.wanted_bytes = 0, 0
        """Of the transfer on its way; 0 of 0 while there is none."""
        self._updates = updates
        self._store, self._urgent = store, urgent
        self._config = config
        self._clock = clock
        self._scratch = scratch
        self._put_in_force = put_in_force
        self._list: Snapshot | None = None
        self._urgent_list: Snapshot | None = None
        self._look_at_ns = 0
        self._timestamp: bytes | None = None
        self._newer = threading.Event()
        """Something newer was told of than what is being brought."""
        self._woken = threading.Event()
        self._alive: Callable[[], None] = lambda: None

    @property
    def sequence(self) -> int:
        """Of the list in force; 0: none."""
        return 0 if self._list is None else self._list.header.sequence

    def load(self) -> None:
        """Put the lists on disk in force; without a whole one the unit has none, and says so."""
        loaded, urgent = self._loaded(self._store), self._loaded(self._urgent)
        try:
            self._updates.load()
        except SyncError as error:
            # What was installed stays; the next refresh mends the copy.
            self._say("updates.copy_damaged", str(error))
        # Whole, and signed, but perhaps with an entry that nobody can match: better one list than no start.
        for each in ((loaded, urgent), (loaded, None), (None, urgent), (None, None)):
            try:
                self._put_in_force(*each)
            except SnapshotRejectedError as error:
                self._say("hotlist.none", str(error))
            else:
                self._list, self._urgent_list = each
                return

    def told(self, timestamp: bytes) -> None:
        """Take up a publication at the next `work`: its *timestamp* came by MQTT."""
        self._timestamp = timestamp
        self.look_soon()

    def look_soon(self) -> None:
        """Ask at the next `work`, and break off a long transfer for it."""
        self._look_at_ns = 0
        self._newer.set()
        self._woken.set()

    def take_from(self, source: Source, alive: Callable[[], None] = lambda: None) -> None:
        """Bring the lists up to date from another source, at once: a stick. For the rest see `work`."""
        told, self._timestamp = self._timestamp, None
        self._look_at_ns = 0
        self.work(source, alive, by_stick=True)
        self._timestamp = told
        self.look_soon()  # the server is asked after it as before

    def wait(self, longest_s: float) -> None:
        """Return when something newer is told of, after *longest_s*, or at `wake`."""
        self._woken.wait(longest_s)
        self._woken.clear()

    def wake(self) -> None:
        """End a `wait`."""
        self._woken.set()

    def work(
        self, source: Source, alive: Callable[[], None] = lambda: None, *, by_stick: bool = False
    ) -> float:
        """Bring the lists up to date if it is time to look; return how many seconds nothing will be due.

        *alive* is called again and again while a long transfer runs. *by_stick*: no network's rule holds.
        Whatever fails, the lists in force stay.
        """
        self._alive = alive
        now = self._clock.now()
        # The event, not only the time: what is told while this ends must not be slept over.
        if now.monotonic_ns < self._look_at_ns and not self._newer.is_set():
            return (self._look_at_ns - now.monotonic_ns) / 1e9
        self._newer.clear()
        wait_s = LOOK_EVERY_S
        try:
            self._bring_up_to_date(source, now.utc, by_stick=by_stick)
            self.last_error = ""
        except _Overtaken:
            return 0.0
        except NotPublishedError:
            self.last_error = ""
        except (SyncError, HotlistError, OSError) as error:
            wait_s = LOOK_EVERY_S if isinstance(error, RefusedError) else RETRY_AFTER_S
            self._say("hotlist.kept", str(error))
        if not self._newer.is_set():
            self._look_at_ns = self._clock.now().monotonic_ns + int(wait_s * 1e9)
            return wait_s
        return 0.0

    def health(self, now: datetime) -> HotlistHealth:
        """How the list stands at *now* (aware UTC)."""
        trust = self._updates.state(now)
        told = HotlistHealth(
            last_error=self.last_error,
            urgent_entries=0 if self._urgent_list is None else self._urgent_list.header.count,
            publication=trust.line,
            publication_version=trust.versions.get(TIMESTAMP, 0),
            alarm=trust.alarm,
            received_bytes=self.received_bytes,
            wanted_bytes=self.wanted_bytes,
            held_back=self.held_back,
        )
        if self._list is None:
            return replace(told, last_error=self.last_error or "no hotlist yet: connect to the department")
        header = self._list.header
        return replace(
            told,
            sequence=header.sequence,
            entries=header.count,
            age_h=(now - header.issued_at) / timedelta(hours=1),
            stale=self._stale(self._list, now),
        )

    def _stale(self, held: Snapshot | None, now: datetime) -> bool:
        if held is None:
            return True
        age = now - held.header.issued_at
        return age > timedelta(hours=self._config.max_age_h) or now >= held.header.expires_at

    def _bring_up_to_date(self, source: Source, now: datetime, *, by_stick: bool) -> None:
        if (timestamp := self._timestamp) is not None:
            self._timestamp = None
            try:
                trusted = self._updates.refresh(ToldSource(source, timestamp), now)
            except SyncError as error:
                # The broker is not trusted with anything: what it said is asked of the server itself.
                log.warning("updates.told_wrongly", why=str(error))
                trusted = self._updates.refresh(source, now)
        else:
            trusted = self._updates.refresh(source, now)
        self._bring_urgent(source, trusted, now)
        self._bring_roster(source, trusted, now)
        if self._profiles is not None:
            self._profiles.bring(trusted, lambda target: self._fetched(source, target, now))
        # What came on a stick is here already, whatever the network would carry.
        carried = Lists.ALL if by_stick else self._carried()
        self._bring_list(source, trusted, now, carried)
        if self._packs is not None:
            self._packs.bring(
                trusted,
                lambda target, into: self._fetch(source, target, into, now, overtakable=True),
                carried=carried is Lists.ALL,
            )
        for part in self._scratch.glob(".hotlist-*.part"):
            part.unlink()  # of what was replaced before it came whole

    def _bring_urgent(self, source: Source, trusted: Trusted, now: datetime) -> None:
        target = trusted.targets.get(URGENT_PATH)
        have = 0 if self._urgent_list is None else self._urgent_list.header.sequence
        if target is None or target.label.sequence <= have:
            return
        data = self._fetched(source, target, now)
        before = _plates(self._urgent_list)
        urgent = self._urgent.install(data, now)
        self._put_in_force(self._list, urgent)
        self._urgent_list = urgent
        self._listed_anew(sorted(_plates(self._urgent_list) - before))
        log.info("hotlist.urgent_installed", sequence=self._urgent_list.header.sequence)

    def _bring_roster(self, source: Source, trusted: Trusted, now: datetime) -> None:
        target = trusted.targets.get(ROSTER_PATH)
        if self._rosters is None or target is None or target.label.sequence <= self._rosters.version:
            return
        data = self._fetched(source, target, now)
        try:
            self._rosters.install(data)
        except RosterRefusedError as error:
            # Signed, and no roster all the same: the department's mistake must not hold up its lists.
            log.error("roster.kept", why=str(error))

    def _bring_list(self, source: Source, trusted: Trusted, now: datetime, carried: Lists) -> None:
        whole = trusted.targets.get(LIST_PATH)
        deltas = {target.label.base: target for target in trusted.of_kind(DELTA_KIND)}
        if self._stale(self._list, now):
            carried = Lists.ALL
        self.held_back = 0
        if carried is Lists.URGENT and (_chain(deltas, self.sequence) or _newer(whole, self.sequence)):
            self.held_back = max(
                target.label.sequence for target in (*deltas.values(), *([whole] if whole else []))
            )
            return
        if chain := _chain(deltas, self.sequence):
            try:
                data = [self._fetched(source, target, now, overtakable=True) for target in chain]
                self._use(self._store.install_deltas(data, now))
                self._listed_anew(self._store.added(data))
                return
            except (DeltaNotForThisListError, SnapshotRejectedError) as error:
                log.warning("hotlist.delta_refused", why=str(error))
        if whole is not None and _newer(whole, self.sequence):
            if carried is not Lists.ALL and not whole.label.urgent:
                self.held_back = whole.label.sequence
                return
            before = self._list
            self._use(self._store.install(self._fetched(source, whole, now, overtakable=True), now))
            self._tell_added(before)
            if chain := _chain(deltas, self.sequence):
                data = [self._fetched(source, target, now, overtakable=True) for target in chain]
                self._use(self._store.install_deltas(data, now))

    def _tell_added(self, before: Snapshot | None) -> None:
        """Tell which plates a list that came whole lists anew. Of a first list all of them are, and of none
        is it asked; nor of one that is another altogether."""
        if before is None or self._list is None:
            return
        added = added_plates(before, self._list, MOST_ADDED)
        if added is None:
            log.warning("hotlist.past_not_searched", why=f"more than {MOST_ADDED} plates are new")
        elif added:
            self._listed_anew(added)

    def _fetched(self, source: Source, target: Target, now: datetime, *, overtakable: bool = False) -> bytes:
        """Return the bytes of *target*. A part of it that came before a break is gone on with."""
        into = self._scratch / f"{target.path.replace('/', '-')}.download"
        try:
            self._fetch(source, target, into, now, overtakable=overtakable)
            return into.read_bytes()
        finally:
            # In the clear, signed but not sealed: it must not outlive this call.
            into.unlink(missing_ok=True)

    def _fetch(self, source: Source, target: Target, into: Path, now: datetime, *, overtakable: bool) -> None:
        def progress(received: int, whole: int) -> None:
            self.received_bytes, self.wanted_bytes = received, whole
            self._alive()
            if overtakable and self._newer.is_set():
                raise _Overtaken

        try:
            self._updates.fetch_target(source, target, into, now, progress)
        finally:
            self.received_bytes = self.wanted_bytes = 0

    def _loaded(self, store: HotlistStore) -> Snapshot | None:
        try:
            return store.load()
        except SnapshotRejectedError as error:
            self._say("hotlist.none", str(error))
            return None

    def _use(self, snapshot: Snapshot) -> None:
        self._put_in_force(snapshot, self._urgent_list)
        self._list = snapshot
        log.info("hotlist.installed", sequence=snapshot.header.sequence, entries=snapshot.header.count)

    def _say(self, event: str, why: str) -> None:
        self.last_error = why
        log.warning(event, why=why, sequence=self.sequence)


def _plates(snapshot: Snapshot | None) -> set[str]:
    """Return the plates of a short list."""
    if snapshot is None:
        return set()
    return {snapshot.body.pattern(number) for number in range(snapshot.body.entries)}


def _newer(target: Target | None, sequence: int) -> bool:
    return target is not None and target.label.sequence > sequence


def _chain(deltas: dict[int | None, Target], sequence: int) -> Sequence[Target]:
    """Return the deltas that lead on from the list *sequence*, in order; none from no list."""
    chain: list[Target] = []
    while sequence and (target := deltas.get(sequence)) is not None:
        chain.append(target)
        sequence = target.label.sequence
    return chain
