"""What officers themselves put on the unit: plates to look out for, and false hits to be silent on.

Both are for a stated purpose and time, and stay through every update of the department's list. They lie in
one sealed file with everything that was ever done to them, for the department and the auditor.

A suppression needs two: the officer who met the false hit and a supervisor. Until then it does nothing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.entry import LOCAL_ID, Entry, Priority
from hotlist_cache.errors import LocalEntryRefusedError
from hotlist_cache.hit import HotlistHit
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from hotlist_cache.sources.fields import parse_pattern
from recognizer.plate import Jurisdiction, Plate, fold, normalise

BOOK_NAME = "local-entries.sealed"
LIST_NAME = "Local entry"
LONGEST_ENTRY = timedelta(days=30)
LONGEST_SUPPRESSION = timedelta(days=90)
MOST = 10_000
"""Entries and suppressions of one unit."""
_VERSION = 1
_LEAST_KNOWN = 3


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A plate or partial plate that an officer wants told of."""

    entry: Entry
    officer: str
    purpose: str
    added_at: datetime
    """Aware UTC."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Suppression:
    """A vehicle that is not the listed one: its hits on that entry are recorded and not told."""

    suppression_id: str
    plate: str = field(repr=False)
    """The plate as read."""
    entry_id: str
    officer: str
    reason: str
    added_at: datetime
    expires_at: datetime
    supervisor: str = ""
    """Who approved it; empty: nobody yet, and it does nothing."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing done to the book."""

    at: datetime
    actor: str
    deed: str
    """"add", "remove", "suppress", "approve" or "lift"."""
    subject: str
    """Id of the entry or suppression."""
    case_number: str


_Contents = tuple[
    tuple[LocalEntry, ...],
    tuple[Suppression, ...],
    tuple[Change, ...],
    tuple[LocalEntry, ...],
    tuple[Suppression, ...],
]
_EMPTY: _Contents = ((), (), (), (), ())


class LocalBook:
    """The sealed file of one unit. One process writes at a time; others `load` it again when it changes."""

    def __init__(
        self, folder: Path, *, storage_key: bytes, new_id: Callable[[], str], disk: Disk | None = None
    ) -> None:
        """*folder* exists; *storage_key* is of 32 bytes. Opens nothing yet: call `load`."""
        self.path = folder / BOOK_NAME
        self._key = storage_key
        self._new_id = new_id
        self._disk: Disk = RealDisk() if disk is None else disk
        self.entries: tuple[LocalEntry, ...] = ()
        self.suppressions: tuple[Suppression, ...] = ()
        self.changes: tuple[Change, ...] = ()
        """Only ever added to."""
        self.removed: tuple[LocalEntry, ...] = ()
        """No longer looked out for: the department hears of them, however late."""
        self.lifted: tuple[Suppression, ...] = ()

    def load(self) -> None:
        """Read the file, if there is one.

        Raises LocalEntryRefusedError if it does not open: it is then set aside with ".damaged" behind its
        name, and the book is empty. Raises OSError if the disk fails: the book is as it was.
        """
        # Put in place at once: another thread may be asking `suppresses` meanwhile.
        try:
            self._hold(self._read())
        except FileNotFoundError:
            self._hold(_EMPTY)
        except (SealedFileDamagedError, ValueError, KeyError, TypeError):
            aside = self.path.with_name(self.path.name + ".damaged")
            self._disk.rename(self.path, aside)
            self._disk.sync_folder(self.path.parent)
            self._hold(_EMPTY)
            raise LocalEntryRefusedError(
                f"local entries: the file did not open and was set aside as {aside.name}; add them again"
            ) from None

    def _hold(self, contents: _Contents) -> None:
        self.entries, self.suppressions, self.changes, self.removed, self.lifted = contents

    def _read(self) -> _Contents:
        fields = json.loads(read_sealed(self.path, self._key, BOOK_NAME))
        if fields["v"] != _VERSION:
            raise ValueError("of another version")
        return (
            tuple(_entry(each) for each in fields["entries"]),
            tuple(_suppression(each) for each in fields["suppressions"]),
            tuple(_change(each) for each in fields["changes"]),
            # Books of before these were kept have none.
            tuple(_entry(each) for each in fields.get("removed", ())),
            tuple(_suppression(each) for each in fields.get("lifted", ())),
        )

    def add(
        self,
        plate: str,
        *,
        state: str,
        officer: str,
        purpose: str,
        case_number: str,
        now: datetime,
        lasting: timedelta,
        priority: Priority = Priority.MEDIUM,
    ) -> LocalEntry:
        """Look out for *plate*, whole or partial, for so long, and return the entry once it is on disk.

        Raises LocalEntryRefusedError if something is missing, too long or no plate.
        """
        self._require(officer=officer, purpose=purpose, case_number=case_number)
        if state:
            self._require(state=state)
        _require_lasting(lasting, LONGEST_ENTRY)
        try:
            pattern = parse_pattern(plate, _LEAST_KNOWN)
        except ValueError as error:
            raise LocalEntryRefusedError(f"local entry: {error}") from None
        self._require_room(len(self.entries))
        entry = Entry(
            entry_id=f"{LOCAL_ID}{self._new_id()}",
            pattern=pattern,
            jurisdiction=Jurisdiction(state) if state else None,
            list_name=LIST_NAME,
            reason=purpose,
            priority=priority,
            case_number=case_number,
            source=officer,
            effective=now.replace(microsecond=0),
            expires=(now + lasting).replace(microsecond=0),
        )
        added = LocalEntry(entry, officer, purpose, now, now + lasting)
        self.entries = (*self.entries, added)
        self._save(Change(now, officer, "add", entry.entry_id, case_number))
        return added

    def remove(self, entry_id: str, *, officer: str, now: datetime) -> None:
        """Look out for it no more. Raises LocalEntryRefusedError if there is no such entry."""
        self._require(officer=officer)
        found = [each for each in self.entries if each.entry.entry_id == entry_id]
        if not found:
            raise LocalEntryRefusedError(
                f"local entry {entry_id}: there is none; see `alpr-edge hotlist list`"
            )
        self.entries = tuple(each for each in self.entries if each.entry.entry_id != entry_id)
        self.removed = (*self.removed, *found)
        self._save(Change(now, officer, "remove", entry_id, found[0].entry.case_number))

    def suppress(
        self,
        plate: str,
        entry_id: str,
        *,
        officer: str,
        reason: str,
        now: datetime,
        lasting: timedelta,
    ) -> Suppression:
        """Ask that hits of *plate*, as it is read, on that entry be told no more; a supervisor must approve.

        Raises LocalEntryRefusedError if something is missing, too long or no plate.
        """
        self._require(officer=officer, reason=reason, entry_id=entry_id)
        _require_lasting(lasting, LONGEST_SUPPRESSION)
        if not (read := normalise(plate)):
            raise LocalEntryRefusedError("suppression: the plate as it was read is missing")
        self._require_room(len(self.suppressions))
        made = Suppression(f"s-{self._new_id()}", read, entry_id, officer, reason, now, now + lasting)
        self.suppressions = (*self.suppressions, made)
        self._save(Change(now, officer, "suppress", made.suppression_id, ""))
        return made

    def approve(self, suppression_id: str, *, supervisor: str, now: datetime) -> None:
        """Put a suppression in force.

        Raises LocalEntryRefusedError if there is none of that id, or the officer who asked approves it.
        """
        self._require(supervisor=supervisor)
        asked = self._suppression(suppression_id)
        if asked.officer.casefold() == supervisor.casefold():
            raise LocalEntryRefusedError("suppression: somebody else than the officer must approve it")
        approved = replace(asked, supervisor=supervisor)
        self.suppressions = tuple(approved if each is asked else each for each in self.suppressions)
        self._save(Change(now, supervisor, "approve", suppression_id, ""))

    def lift(self, suppression_id: str, *, officer: str, now: datetime) -> None:
        """End a suppression. Raises LocalEntryRefusedError if there is none of that id."""
        self._require(officer=officer)
        asked = self._suppression(suppression_id)
        self.suppressions = tuple(each for each in self.suppressions if each is not asked)
        self.lifted = (*self.lifted, asked)
        self._save(Change(now, officer, "lift", suppression_id, ""))

    def suppresses(self, hit: HotlistHit, now: datetime) -> bool:
        """Whether *hit* is a known false one at *now* (aware UTC)."""
        return any(
            each.supervisor
            and each.entry_id == hit.entry.entry_id
            and fold(Plate(each.plate)) == fold(hit.read.plate)
            and each.added_at <= now < each.expires_at
            for each in self.suppressions
        )

    def _suppression(self, suppression_id: str) -> Suppression:
        for each in self.suppressions:
            if each.suppression_id == suppression_id:
                return each
        raise LocalEntryRefusedError(
            f"suppression {suppression_id}: there is none; see `alpr-edge hotlist list`"
        )

    def _require(self, **texts: str) -> None:
        for name, text in texts.items():
            if not text.strip() or not text.isprintable() or len(text) > 200:
                what = name.replace("_", " ")
                raise LocalEntryRefusedError(f"local entry: {what} is missing, too long or not plain text")

    def _require_room(self, count: int) -> None:
        if count >= MOST:
            raise LocalEntryRefusedError(f"local entries: the unit holds {MOST}; remove some first")

    def _save(self, change: Change) -> None:
        before = self.changes
        self.changes = (*before, change)
        fields = {
            "v": _VERSION,
            "entries": [_plain(each) for each in self.entries],
            "suppressions": [_plain(each) for each in self.suppressions],
            "changes": [_plain(each) for each in self.changes],
            "removed": [_plain(each) for each in self.removed],
            "lifted": [_plain(each) for each in self.lifted],
        }
        content = json.dumps(fields).encode()
        try:
            write_sealed(self._disk, self.path, memoryview(content), self._key, BOOK_NAME)
        except OSError:
            self.load()  # what is on disk is what holds
            raise


def _require_lasting(lasting: timedelta, most: timedelta) -> None:
    if not timedelta() < lasting <= most:
        raise LocalEntryRefusedError(
            f"local entry: it must end within {most.days} days; give a shorter time, and renew it if need be"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence | int | float) or value is None:
        return value
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _entry(fields: dict[str, Any]) -> LocalEntry:
    held = dict(fields["entry"])
    held["priority"] = Priority(held["priority"])
    held["effective"], held["expires"] = _moment(held["effective"]), _moment(held["expires"])
    return LocalEntry(
        Entry(**held),
        fields["officer"],
        fields["purpose"],
        _moment(fields["added_at"]),
        _moment(fields["expires_at"]),
    )


def _suppression(fields: dict[str, Any]) -> Suppression:
    times = {name: _moment(fields[name]) for name in ("added_at", "expires_at")}
    return Suppression(**(fields | times))


def _change(fields: dict[str, Any]) -> Change:
    return Change(**(fields | {"at": _moment(fields["at"])}))
