"""Sound reads out of an outbox file that was set aside as damaged.

Every read in it has a digest (`sync.outbox_batches`), so one that is found is the one that was stored,
whatever became of the file around it. Those without, of before there were digests, are taken where they have
the right shape: the department judges them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from sync.batch import SealedEpoch, SealedRead
from sync.outbox import Outbox
from sync.outbox_batches import read_digest
from sync.sqlite_pages import Pages, Row

STEP_PAGES = 64
"""A step looks at so many pages, 256 KiB, and brings the reads that begin there."""
_DAMAGED, _SALVAGED = ".damaged-", ".salvaged-"
_LATEST_HOUR = 24 * 366 * 8000
_SHORTEST_SEAL = 28


@dataclass(frozen=True, slots=True)
class _Found:
    """A read, and how it stood in the damaged file."""

    read: SealedRead
    epoch: SealedEpoch
    stored_hour: int
    hit: bool


def damaged_files(path: Path) -> tuple[Path, ...]:
    """Return what `quarantine` set aside of the outbox *path* and `salvage` has not gone through."""
    return _files(path, _DAMAGED)


def salvaged_files(path: Path) -> tuple[Path, ...]:
    """Return what `salvage` has gone through; nothing needs it any more but curiosity."""
    return _files(path, _SALVAGED)


def _files(path: Path, kind: str) -> tuple[Path, ...]:
    found = path.parent.glob(f"{path.name}{kind}*")
    return tuple(sorted(each for each in found if each.name.rpartition("-")[2].isdecimal()))


def salvage(damaged: Path, outbox: Outbox) -> Iterator[int]:
    """Put every sound read of the file *damaged* into *outbox*; yield after each small step how many it was.

    A read that *outbox* holds is not stored twice, and one that the department has is known there: to begin
    again after a crash is harmless. At the end the file is renamed, and nothing of it is deleted. Raises
    OSError if it cannot be read, and what `Outbox.append` raises.
    """
    with Pages(damaged) as pages:
        known = _Known()
        for number, rows in enumerate(pages.rows(short=True)):
            for row in rows:
                known.see(row)
            if number % STEP_PAGES == 0:
                yield 0
        found: list[_Found] = []
        for number, rows in enumerate(pages.rows()):
            found += [each for row in rows if (each := known.read_of(row)) is not None]
            if number % STEP_PAGES == 0:
                yield _bring(found, outbox)
                found = []
        yield _bring(found, outbox)
    done = damaged.with_name(damaged.name.replace(_DAMAGED, _SALVAGED))
    for suffix in ("-wal", "-shm", ""):
        part = damaged.with_name(damaged.name + suffix)
        if part.exists():
            part.rename(done.with_name(done.name + suffix))


def salvage_all(path: Path, outbox: Outbox) -> Iterator[int] | None:
    """Return `salvage` of all that was set aside of the file *path*, one after the other; None where nothing
    was."""
    files = damaged_files(path)
    return (brought for each in files for brought in salvage(each, outbox)) if files else None


class _Known:
    """What the file says of its epochs and hits; a page may be there in several versions."""

    def __init__(self) -> None:
        self._epochs: dict[int, set[SealedEpoch]] = {}
        self._hits: set[int] = set()

    def see(self, row: Row) -> None:
        """Take up *row* if it looks like one of an epoch, in the table or in its copy, or like a hit's."""
        match row.values:
            case (None, str(epoch_id), str(unit_id), bytes(key)):
                self._epochs.setdefault(row.number, set()).add(SealedEpoch(epoch_id, unit_id, key))
            case (int(number), str(epoch_id), str(unit_id), bytes(key), int()):
                self._epochs.setdefault(number, set()).add(SealedEpoch(epoch_id, unit_id, key))
            case (None,):
                self._hits.add(row.number)

    def read_of(self, row: Row) -> _Found | None:
        """Return the read in *row*, if it is one, and sound."""
        match row.values:
            case (None, str(read_id), int(number), None | int(), int(hour), bytes(sealed), bytes(digest)):
                for epoch in self._epochs.get(number, ()):
                    read = SealedRead(read_id, epoch.epoch_id, sealed)
                    if read_digest(read, epoch, hour) == digest:
                        return _Found(read, epoch, hour, row.number in self._hits)
            case (None, str(read_id), int(number), None | int(), int(hour), bytes(sealed)):
                epochs = self._epochs.get(number, set())
                if len(epochs) == 1 and 0 <= hour < _LATEST_HOUR and len(sealed) > _SHORTEST_SEAL:
                    (epoch,) = epochs
                    read = SealedRead(read_id, epoch.epoch_id, sealed)
                    return _Found(read, epoch, hour, row.number in self._hits)
        return None


def _bring(found: Sequence[_Found], outbox: Outbox) -> int:
    """Append *found*, and return how many reads it was. Each is stored as of the hour it was stored first:
    the 30-day clock goes on."""
    brought = 0
    for (epoch, hour), group in groupby(found, key=lambda each: (each.epoch, each.stored_hour)):
        members = tuple(group)
        try:
            brought += _append(members, epoch, hour, outbox)
        except ValueError:  # one of before there were digests, and no read at all: the others alone
            for each in members:
                try:
                    brought += _append([each], epoch, hour, outbox)
                except ValueError:
                    continue
    return brought


def _append(found: Sequence[_Found], epoch: SealedEpoch, hour: int, outbox: Outbox) -> int:
    stored = datetime.fromtimestamp(hour * 3600, UTC)
    hits = {each.read.read_id for each in found if each.hit}
    outbox.append([each.read for each in found], epoch, stored, hits=hits)
    return len(found)
