"""Sound reads out of an outbox file that was set aside as damaged.

Every read in it has a digest (`sync.outbox_batches`), so one that is found is the one that was stored,
whatever became of the file around it. Those without, of before there were digests, are taken where they have
the right shape: the department judges them.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from sync.batch import SealedEpoch, SealedRead
from sync.errors import DiskFullError
from sync.outbox import Outbox
from sync.outbox_batches import read_digest
from sync.outbox_file import (
    DAMAGED,
    PARTS,
    SALVAGED,
    aside_of,
    free_number,
    numbers_aside,
    sync_folder,
)
from sync.sqlite_log import drops_commits
from sync.sqlite_pages import Pages, Row

STEP_PAGES = 64
"""A step looks at so many pages, 256 KiB, and brings the reads that begin there."""
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
    return tuple(aside_of(path, number) for number in sorted(numbers_aside(path, DAMAGED)))


def salvaged_files(path: Path) -> tuple[Path, ...]:
    """Return what `salvage` has gone through; nothing needs it any more but curiosity."""
    return tuple(aside_of(path, number, SALVAGED) for number in sorted(numbers_aside(path, SALVAGED)))


def keep_dropped_log(path: Path) -> bool:
    """Copy the log of the outbox *path* aside if SQLite would drop commits of it; return whether it was so.

    For the start, before anybody opens the file: SQLite plays a log back up to its first wrong bit, and
    writes over the rest. Raises DiskFullError if there is no room for the copy.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        if not drops_commits(wal):
            return False
        kept = aside_of(path, free_number(path))
        kept.touch(mode=0o600)  # empty: the copy is of the log alone
        draft = kept.with_name(kept.name + ".part")
        with draft.open("wb") as file:
            file.write(wal.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        draft.rename(kept.with_name(kept.name + "-wal"))
        sync_folder(path.parent)
    except OSError as error:
        raise DiskFullError(f"{wal}: damaged, and cannot be copied ({error.strerror}); make room") from error
    return True


def salvage(
    damaged: Path, outbox: Outbox, tell: Callable[[str, int], None] = lambda name, unreadable: None
) -> Iterator[int]:
    """Put every sound read of the file *damaged* into *outbox*; yield after each step how many were new.

    A read that *outbox* holds is not stored twice, and one that the department has is known there. Broken
    off, it goes on where it was. At the end the file is renamed, and nothing of it is deleted, but for a mere
    copy of a log; *tell* is given its name, and how many places the disk did not give. Raises OSError if it
    cannot be opened, and what `Outbox.append` raises.
    """
    progress = damaged.with_name(damaged.name + ".progress")
    with Pages(damaged) as pages:
        known = _Known(outbox.epochs())
        for number, rows in enumerate(pages.rows(short=True)):
            for row in rows:
                known.see(row)
            if number % STEP_PAGES == 0:
                yield 0
        begun = _number_in(progress)
        found: list[_Found] = []
        for number, rows in enumerate(pages.rows(start=begun), start=begun):
            found += [each for row in rows if (each := known.read_of(row)) is not None]
            if number % STEP_PAGES == 0:
                yield _bring(found, outbox)
                found = []
                if number % (STEP_PAGES * 64) == 0:
                    progress.write_text(str(number), encoding="ascii")
        yield _bring(found, outbox)
        unreadable = pages.unreadable
    _put_away(damaged, progress)
    tell(damaged.name, unreadable)


def salvage_all(
    path: Path, outbox: Outbox, tell: Callable[[str, int], None] = lambda name, unreadable: None
) -> Iterator[int] | None:
    """Return `salvage` of all that was set aside of the file *path*, one after the other; None where nothing
    was."""
    files = damaged_files(path)
    return (brought for each in files for brought in salvage(each, outbox, tell)) if files else None


def _put_away(damaged: Path, progress: Path) -> None:
    mere_log = damaged.exists() and not damaged.stat().st_size
    done = damaged.with_name(damaged.name.replace(f".{DAMAGED}-", f".{SALVAGED}-"))
    for suffix in PARTS:
        part = damaged.with_name(damaged.name + suffix)
        if part.exists() and mere_log:
            part.unlink()
        elif part.exists():
            part.rename(done.with_name(done.name + suffix))
    progress.unlink(missing_ok=True)


def _number_in(progress: Path) -> int:
    try:
        return int(progress.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


class _Known:
    """What the file says of its epochs and hits; a page may be there in several versions."""

    def __init__(self, elsewhere: Iterable[tuple[int, SealedEpoch]]) -> None:
        """*elsewhere*: epochs of the outbox in use, by their numbers: a log may hold its newest alone."""
        self._elsewhere = dict(elsewhere)
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

    def _here(self, number: int) -> tuple[SealedEpoch, ...]:
        return (self._elsewhere[number],) if number in self._elsewhere else ()

    def read_of(self, row: Row) -> _Found | None:
        """Return the read in *row*, if it is one, and sound."""
        match row.values:
            case (
                None,
                str(read_id),
                int(number),
                None | int(),
                int(hour),
                bytes(sealed),
                bytes(digest),
                *_,
            ):
                for epoch in (*self._epochs.get(number, ()), *self._here(number)):
                    read = SealedRead(read_id, epoch.epoch_id, sealed)
                    if read_digest(read, epoch, hour) == digest:
                        return _Found(read, epoch, hour, row.number in self._hits)
            case (None, str(read_id), int(number), None | int(), int(hour), bytes(sealed), *none) if not any(
                none
            ):
                epochs = self._epochs.get(number, set())
                if len(epochs) == 1 and 0 <= hour < _LATEST_HOUR and len(sealed) > _SHORTEST_SEAL:
                    (epoch,) = epochs
                    read = SealedRead(read_id, epoch.epoch_id, sealed)
                    return _Found(read, epoch, hour, row.number in self._hits)
        return None


def _bring(found: Sequence[_Found], outbox: Outbox) -> int:
    """Append *found*, and return how many reads were new. Each is stored as of the hour it was stored first:
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
    return outbox.append([each.read for each in found], epoch, stored, hits=hits)
