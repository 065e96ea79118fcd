"""What the newest list was made of, kept so that the next one can be made by its changes.

hotlists/basis/<sequence>/
    list.columns     the list behind its signed header, as a unit keeps it in memory
    rest.json        what was carried of its entries, the rows that feeds gave more than once, and how many
                     lists were made by changes since a whole one
    <feed>.jsonl     each feed as it was: hard links, which cost nothing

A list of millions takes the best part of a minute to be made whole; a change to it a second.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hotlist_cache.encoding import Row
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.publishing import Carried, rows_of
from hotlist_cache.snapshot import Snapshot, open_stored
from server.feed_files import parse_entry
from server.files import replacing

MOST_LINES = 20_000
"""Lines of the feeds that may have changed: with more, the list is made whole."""


@dataclass(frozen=True, slots=True)
class Basis:
    """The newest list, and what of it its columns do not say."""

    snapshot: Snapshot
    carried: Carried
    repeated: Counter[Row] = field(repr=False)
    """How often more than once each row was given."""
    changes: int
    """Lists made by changes since the last whole one."""


@dataclass(frozen=True, slots=True)
class RowChanges:
    """What leads from one list to the next."""

    gone: list[Row] = field(repr=False)
    come: list[Row] = field(repr=False)
    repeated: Counter[Row] = field(repr=False)
    """As it is in the next list."""


class Bases:
    """The folder of them: the newest alone is of use, the others go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, basis: Basis, feeds: Mapping[str, Path]) -> None:
        """Put *basis*, made of the files *feeds*, beside what is there. Raises OSError if the disk fails."""
        place = self._folder / str(basis.snapshot.header.sequence)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700, parents=True)
        for feed, path in feeds.items():
            os.link(path, place / f"{feed}.jsonl")
        with replacing(place / "list.columns") as file:
            file.write(basis.snapshot.stored)
        rest = {
            "carried": asdict(basis.carried),
            "repeated": [[*row, times] for row, times in basis.repeated.items()],
            "changes": basis.changes,
        }
        # Last: without it there is no basis, as after a power cut in between.
        with replacing(place / "rest.json") as file:
            file.write(json.dumps(rest).encode())

    def drop_others(self, sequence: int) -> None:
        """Remove all but that of list *sequence*."""
        for place in self._folder.glob("*"):
            if place.name != str(sequence):
                shutil.rmtree(place, ignore_errors=True)

    def read(self, sequence: int, keys: Iterable[Ed25519PublicKey]) -> Basis | None:
        """Return the basis that list *sequence* is; None if there is none, or it is damaged."""
        place = self._folder / str(sequence)
        try:
            rest = json.loads((place / "rest.json").read_bytes())
            snapshot = open_stored((place / "list.columns").read_bytes(), keys=[*keys])
        except (OSError, ValueError, SnapshotRejectedError):
            return None
        if snapshot.header.sequence != sequence:
            return None
        repeated = Counter({tuple(row): times for *row, times in rest["repeated"]})
        return Basis(snapshot, _carried(rest["carried"]), repeated, rest["changes"])

    def changes(self, basis: Basis, feeds: Mapping[str, Path]) -> RowChanges | None:
        """Return what leads from *basis* to what *feeds* list now; None if that is more than is worth it.

        Raises HotlistRefusedError if a line that changed is damaged.
        """
        place = self._folder / str(basis.snapshot.header.sequence)
        before = {path.stem: path for path in place.glob("*.jsonl")}
        gone: list[bytes] = []
        come: list[bytes] = []
        for feed in {*before, *feeds}:
            differing = changed_lines(before.get(feed), feeds.get(feed))
            if differing is None or len(gone) + len(come) > MOST_LINES:
                return None
            gone += differing[0]
            come += differing[1]
        return _row_changes(basis, gone, come)


def changed_lines(before: Path | None, after: Path | None) -> tuple[list[bytes], list[bytes]] | None:
    """Return the lines that *before* has and *after* has not, and those that *after* has and *before* not,
    each as often; None if they are more than `MOST_LINES`. No file is an empty one.

    The files are walked side by side: a feed that was changed keeps its lines in order, the new ones last.
    What stands elsewhere than expected counts as gone and come, which is still right.
    """
    if before is not None and after is not None and before.samefile(after):
        return [], []
    gone: Counter[bytes] = Counter()
    new = _lines(after)
    current = next(new, None)
    for line in _lines(before):
        if line == current:
            current = next(new, None)
            continue
        gone[line] += 1
        if gone.total() > MOST_LINES:
            return None
    come: Counter[bytes] = Counter()
    for line in chain([] if current is None else [current], new):
        come[line] += 1
        if come.total() > 2 * MOST_LINES:
            return None
    return [*(gone - come).elements()], [*(come - gone).elements()]


def _lines(path: Path | None) -> Iterator[bytes]:
    if path is not None:
        with path.open("rb") as file:
            yield from file


def _row_changes(basis: Basis, gone: list[bytes], come: list[bytes]) -> RowChanges | None:
    from hotlist_cache.applying import holds  # arrays, which are wanted for nothing else of the server

    changed: Counter[Row] = Counter()
    changed.update(rows_of(map(parse_entry, come), basis.carried))
    changed.subtract(rows_of(map(parse_entry, gone), basis.carried))
    rows = RowChanges([], [], basis.repeated.copy())
    for row, times in changed.items():
        if not times:
            continue
        held = 1 + basis.repeated[row] if holds(basis.snapshot, row) else 0
        now = held + times
        if now < 0:
            return None  # the basis is not what it says: the list is made whole
        if held and not now:
            rows.gone.append(row)
        elif now and not held:
            rows.come.append(row)
        if now > 1:
            rows.repeated[row] = now - 1
        else:
            rows.repeated.pop(row, None)
    return rows


def _carried(fields: Mapping[str, Any]) -> Carried:
    # JSON has no tuples; a basis of before lists could be withheld says nothing of it.
    return Carried(**{**fields, "withheld": tuple(fields.get("withheld", ()))})
