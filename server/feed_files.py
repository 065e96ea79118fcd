"""What a feed lists, as a file: one entry a line, written whole and moved to its place."""

import json
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.importing import Change
from recognizer.plate import Jurisdiction
from server.errors import HotlistRefusedError

MAX_FEED_ENTRIES = 20_000_000
"""Four times what state and federal extracts hold together: more is no list, and would fill the memory."""
MAX_CHANGES = 500_000
"""Of one incremental file; they are held in memory until the feed was read through."""
MAX_KINDS = 60
"""A source that names a list for each entry is counted under its first names, and all others together."""
OTHER_KINDS = "other lists"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the records that were brought."""

    count: int
    """All that the feed lists now."""
    taken: int
    """Records that were brought, each counted once."""
    duplicates: int
    """Records that were brought again, or were listed before just so."""
    replaced: int = 0
    """Of the records taken, those that stand for an earlier one of the same id."""
    deleted: int = 0
    unknown: tuple[int, ...] = ()
    """Lines that delete a record which is not listed."""
    kinds: dict[str, int] = field(default_factory=dict)
    """How many of `count` stand on each list, by its name; the most first."""


def write_complete(file: BinaryIO, entries: Iterable[Entry]) -> Written:
    """Write *entries* to *file*, each once. They are read once and may be many.

    Raises HotlistRefusedError if they are more than `MAX_FEED_ENTRIES`.
    """
    seen = _Seen()
    duplicates = 0
    kinds: Counter[str] = Counter()
    for entry in entries:
        line = _line(entry)
        if seen.add(line):
            file.write(line)
            _count(kinds, entry.list_name)
        else:
            duplicates += 1
        if seen.count > MAX_FEED_ENTRIES:
            raise HotlistRefusedError(
                f"more than {MAX_FEED_ENTRIES} entries: this is no list; check the source"
            )
    return Written(seen.count, seen.count, duplicates, kinds=dict(kinds.most_common()))


@dataclass(slots=True)
class _Latest:
    """The last change to one id."""

    line: int
    data: bytes | None
    list_name: str
    added: bool
    """Also if it was deleted again: then its deletion meets a record, though not one of the feed."""
    met: bool = False
    """The feed lists something under the id."""
    unchanged: bool = False
    """It lists just this."""


def write_changed(file: BinaryIO, before: Path, changes: Iterable[Change]) -> Written:
    """Write to *file* what the feed at *before* lists once *changes* were done to it, in their order.

    Of two changes to the same id, the later one counts. There may be nothing at *before*.

    Raises HotlistRefusedError if the changes are more than `MAX_CHANGES`, or a line at *before* is damaged.
    """
    latest: dict[str, _Latest] = {}
    kinds: Counter[str] = Counter()
    repeated = deleted = kept = 0
    for change in changes:
        data = None if change.entry is None else _line(change.entry)
        earlier = latest.get(change.entry_id)
        repeated += earlier is not None and data is not None and earlier.data == data
        added = data is not None or (earlier is not None and earlier.added)
        list_name = "" if change.entry is None else change.entry.list_name
        latest[change.entry_id] = _Latest(change.line, data, list_name, added)
        if len(latest) > MAX_CHANGES:
            raise HotlistRefusedError(f"more than {MAX_CHANGES} changes: import the complete list instead")
    for entry_id, list_name, line in _numbered(before):
        if (found := latest.get(entry_id)) is None:
            file.write(line)
            _count(kinds, list_name)
            kept += 1
        else:
            found.met = True
            found.unchanged = found.unchanged or found.data == line
            deleted += found.data is None
    listed = [found for found in latest.values() if found.data is not None]
    for found in listed:
        file.write(found.data or b"")
        _count(kinds, found.list_name)
    return Written(
        count=kept + len(listed),
        taken=sum(not found.unchanged for found in listed),
        duplicates=repeated + sum(found.unchanged for found in listed),
        replaced=sum(found.met and not found.unchanged for found in listed),
        deleted=deleted,
        unknown=tuple(
            found.line for found in latest.values() if found.data is None and not (found.met or found.added)
        ),
        kinds=dict(kinds.most_common()),
    )


def read_entries(path: Path) -> Iterator[Entry]:
    """Yield what the feed at *path* lists. Raises HotlistRefusedError if a line is damaged."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield parse_entry(line)
            except ValueError:
                # No cause: it might quote the line, which holds a plate.
                raise _damaged(path, number) from None


def parse_entry(line: bytes) -> Entry:
    """Return the entry that a feed's *line* lists. Raises ValueError if it is damaged."""
    entry_id, pattern, jurisdiction, list_name, reason, priority, *rest = json.loads(line)
    vehicle, case_number, source, effective, expires = rest
    return Entry(
        entry_id,
        pattern,
        jurisdiction and Jurisdiction(jurisdiction),
        list_name,
        reason,
        Priority(priority),
        vehicle,
        case_number,
        source,
        effective and datetime.fromisoformat(effective),
        expires and datetime.fromisoformat(expires),
    )


def move(source: Path, target: Path) -> None:
    """Move a durable file to *target*, in the place of what stands there; it may have its first name still.

    When this returns, *target* survives a power cut. *source* is only removed by `unlink`, so that whoever is
    interrupted before noting the move can do it again.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.moved")
    draft.unlink(missing_ok=True)
    draft.hardlink_to(source)
    draft.replace(target)
    draft.unlink(missing_ok=True)  # it stays if *target* was the same file already
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Seen:
    """Which lines were met, at 12 to 24 bytes each where a set would take some 90.

    Two lines of one digest would be taken for the same: among five million, one chance in a million.
    """

    def __init__(self) -> None:
        self.count = 0
        self._slots = array("Q", bytes(8 * 1024))

    def add(self, line: bytes) -> bool:
        """Return whether *line* was not met before."""
        new = self._put(int.from_bytes(blake2b(line, digest_size=8).digest(), "big") or 1)
        self.count += new
        if 3 * self.count > 2 * len(self._slots):
            digests = self._slots
            self._slots = array("Q", bytes(2 * 8 * len(digests)))
            for digest in digests:
                if digest:
                    self._put(digest)
        return new

    def _put(self, digest: int) -> bool:
        last = len(self._slots) - 1
        slot = digest & last
        while found := self._slots[slot]:
            if found == digest:
                return False
            slot = (slot + 1) & last
        self._slots[slot] = digest
        return True


def _line(entry: Entry) -> bytes:
    values: list[Any] = [getattr(entry, field.name) for field in fields(entry)]
    # Times are the only values of an entry that JSON cannot hold.
    return json.dumps(values, default=datetime.isoformat).encode() + b"\n"


def _count(kinds: Counter[str], list_name: str) -> None:
    kinds[list_name if list_name in kinds or len(kinds) < MAX_KINDS else OTHER_KINDS] += 1


def _numbered(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield the id of each entry with its list and its line."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                entry_id, _, _, list_name, *_ = json.loads(line)
            except (ValueError, TypeError):
                raise _damaged(path, number) from None
            yield entry_id, list_name, line


def _damaged(path: Path, line: int) -> HotlistRefusedError:
    return HotlistRefusedError(f"{path.name}: line {line} is damaged; import the feed again")
