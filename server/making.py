"""A list made of all feeds: whole, or by its changes from the one before where that is quicker."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hotlist_cache.comparing import compare
from hotlist_cache.delta import MAX_CHANGES, encode_change, encode_delta
from hotlist_cache.encoding import encode_section
from hotlist_cache.header import SnapshotHeader, read_header, sign_header
from hotlist_cache.publishing import Carried, Issue, rows_of
from hotlist_cache.snapshot import open_snapshot
from server.basis import Bases, Basis, RowChanges
from server.feeds import Feeds, FeedState
from server.files import replacing
from server.losses import rows_gone

SMALL = 100_000
"""Entries of a list that is always made whole, which takes a second or two."""
WHOLE_AFTER = 100
"""So many changes a unit fetches at most that has to begin anew."""


@dataclass(frozen=True, slots=True)
class Made:
    """A list ready to be published."""

    header: SnapshotHeader
    whole: bytes | None = field(repr=False)
    """As it travels; None if it does so as a change alone."""
    change: bytes | None = field(repr=False)
    """What leads to it from the one before; None if there is none, or it would be too long."""
    basis: Basis | None = field(repr=False)
    """What the next one can be made from; None of a small list."""
    gone: int | None = None
    """Entries of the list before that do not stay, see `losses`; None: there is none to compare with."""

    @property
    def travels(self) -> bytes:
        """What a unit without any list fetches of this one."""
        return self.whole if self.whole is not None else self.change or b""


class Making:
    """Makes lists of what *feeds* list, and keeps their files."""

    def __init__(self, folder: Path, feeds: Feeds, carried: Carried) -> None:
        self._folder = folder
        self._feeds = feeds
        self._carried = carried
        self._bases = Bases(folder / "basis")

    def whole_file(self, sequence: int) -> Path:
        """Return where a list stands as it travels whole."""
        return self._folder / f"{sequence}.snapshot"

    def change_file(self, sequence: int) -> Path:
        """Return where the change stands that leads to a list."""
        return self._folder / f"{sequence}.delta"

    def make(
        self,
        issue: Issue,
        feeds: Sequence[FeedState],
        *,
        newest_sequence: int,
        enough: float,
        key: Ed25519PrivateKey,
        whole: bool,
    ) -> Made:
        """Return what *feeds* list, issued as *issue* says. *newest_sequence* is of the list before, 0: none.
        A list of fewer than *enough* entries is signed as one that may have shrunk. *whole*: not by changes
        alone.

        Raises HotlistRefusedError if a feed is missing or damaged.
        """
        basis = self._bases.read(newest_sequence, [key.public_key()])
        changes = None
        if basis is not None and basis.carried == self._carried:
            changes = self._bases.changes(basis, self._feeds.files(feeds))
        if basis is None or changes is None:
            return self._whole(issue, feeds, newest_sequence, enough, key, basis=basis)
        gone = rows_gone(changes.gone, changes.come)
        count = basis.snapshot.header.count + len(changes.come) - len(changes.gone)
        if whole or basis.changes >= WHOLE_AFTER or count <= SMALL or count < enough:
            made = self._whole(issue, feeds, 0, enough, key)
            return replace(made, change=_change(basis, made, changes, key), gone=gone)
        from hotlist_cache.changing import change_list  # arrays, which are wanted for nothing else here

        snapshot, change = change_list(basis.snapshot, changes.gone, changes.come, issue, key=key)
        after = Basis(snapshot, self._carried, changes.repeated, basis.changes + 1)
        return Made(snapshot.header, None, change, after, gone)

    def store(self, made: Made, feeds: Sequence[FeedState]) -> None:
        """Put the files of *made* where they belong. Nobody fetches them before it is noted as published."""
        sequence = made.header.sequence
        for path, data in (
            (self.whole_file(sequence), made.whole),
            (self.change_file(sequence), made.change),
        ):
            if data is None:
                path.unlink(missing_ok=True)  # of a publication under this number that was cut off
            else:
                with replacing(path) as file:
                    file.write(data)
        if made.basis is not None:
            self._bases.keep(made.basis, self._feeds.files(feeds))

    def forget_before(self, sequence: int) -> None:
        """Let go of what lists before *sequence* were made of: it is published."""
        self._bases.drop_others(sequence)

    def _whole(
        self,
        issue: Issue,
        feeds: Sequence[FeedState],
        before: int,
        enough: float,
        key: Ed25519PrivateKey,
        *,
        basis: Basis | None = None,
    ) -> Made:
        """Return the list made whole, with the change from list *before* if that is on disk whole; *basis* is
        what else is held of that list."""
        section = encode_section(rows_of(self._feeds.entries(feeds), self._carried))
        issue = replace(issue, shrink_approved=section.shape.rows < enough)
        header = issue.header(section.shape, section.content, section.data)
        data = sign_header(header, key) + section.data
        path = self.whole_file(before)
        old = path.read_bytes() if path.is_file() else None
        if header.count <= SMALL and basis is None and (old is None or read_header(old).count <= SMALL):
            gone, change = (None, None) if old is None else _small_change(old, data, key)
            return Made(header, data, change, None, gone)
        from server.long_losses import entries_gone  # arrays, which are wanted for nothing else here

        snapshot = open_snapshot(data, keys=[key.public_key()])
        held = None if basis is None else basis.snapshot
        if held is None and old is not None:
            held = open_snapshot(old, keys=[key.public_key()])
        gone = None if held is None else entries_gone(held, snapshot)
        change = None if old is None else _long_change(old, data, gone or 0, key)
        made_of = (
            Basis(snapshot, self._carried, Counter(section.repeated), 0) if header.count > SMALL else None
        )
        return Made(header, data, change, made_of, gone)


def _small_change(old: bytes, new: bytes, key: Ed25519PrivateKey) -> tuple[int, bytes | None]:
    """Return how many entries of *old* do not stay in *new*, and the change if it is not too long."""
    before, after = read_header(old), read_header(new)
    bodies = (memoryview(data)[len(data) - head.body_bytes :] for data, head in ((old, before), (new, after)))
    gone, come = compare(next(bodies), before.shape, next(bodies), after.shape)
    try:
        change = encode_change(before, new[: len(new) - after.body_bytes], gone, come, key=key)
    except ValueError:
        change = None  # too much is new: units take the list whole
    return rows_gone(gone, come), change


def _long_change(old: bytes, new: bytes, gone: int, key: Ed25519PrivateKey) -> bytes | None:
    """Return the change that leads from *old* to *new*, where *gone* entries of it do not stay; None if it
    would be too long."""
    if gone > MAX_CHANGES:
        return None  # told without comparing row by row, which takes gigabytes where all are others
    try:
        return encode_delta(old, new, key=key)
    except ValueError:
        return None


def _change(basis: Basis, made: Made, changes: RowChanges, key: Ed25519PrivateKey) -> bytes:
    signed = (made.whole or b"")[: len(made.travels) - made.header.body_bytes]
    return encode_change(basis.snapshot.header, signed, changes.gone, changes.come, key=key)
