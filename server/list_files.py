"""The files of lists that were made, as they are to be published: which of them lead to the newest list.

A list stands whole, as a change to the one before, or as both (`server.hotlists`). Who has an older list, or
none, comes to the newest by the last whole one and the changes since.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hotlist_cache.delta import read_delta
from hotlist_cache.errors import SnapshotRejectedError
from server.errors import HotlistRefusedError
from server.hotlists import Hotlists


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A list as it travels whole."""

    sequence: int
    path: Path


@dataclass(frozen=True, slots=True)
class ChangeFile:
    """What leads to the list *sequence* from the list *base*."""

    sequence: int
    base: int
    path: Path


@dataclass(frozen=True, slots=True)
class Way:
    """What is to be published so that every unit comes to the newest list."""

    whole: WholeFile | None
    """None: the one that is published will do, with the changes."""
    changes: tuple[ChangeFile, ...]
    """The oldest first."""
    folder: Path
    """Where the files lie."""


def way_to(hotlists: Hotlists, newest: int, published: int, keys: Sequence[Ed25519PublicKey]) -> Way:
    """Return the way to the list *newest* from the list *published*; 0: none is.

    Raises HotlistRefusedError if files are missing without which nobody would come to it.
    """
    whole: WholeFile | None = None
    changes: list[ChangeFile] = []
    at = newest
    while at > published:
        path = hotlists.path_of(at)
        if path is not None and whole is None:
            whole = WholeFile(at, path)
            if not published:
                break  # nobody has a list that a change could start from
        change = _change(hotlists.change_of(at), at, keys)
        if change is None:
            break
        changes.append(change)
        at = change.base
    if at != published:
        # What leads to the whole list starts from one that nobody was given.
        changes = [each for each in changes if whole is not None and each.sequence > whole.sequence]
    if whole is None and (at != published or not published):
        raise HotlistRefusedError(
            f"list {newest} cannot be published: list {at} is gone from the disk; "
            "publish again with `--whole`"
        )
    some = whole.path if whole is not None else changes[0].path
    return Way(whole, tuple(reversed(changes)), some.parent)


def drop_files(folder: Path, keep: Collection[int], before: datetime) -> int:
    """Remove the files of lists other than *keep* that were made before *before*; return how many."""
    count = 0
    for path in sorted((*folder.glob("*.snapshot"), *folder.glob("*.delta"))):
        number = path.stem
        if number.isdecimal() and int(number) not in keep and path.stat().st_mtime < before.timestamp():
            path.unlink()
            count += 1
    return count


def _change(path: Path | None, sequence: int, keys: Sequence[Ed25519PublicKey]) -> ChangeFile | None:
    """Return the change to the list *sequence* if it is in the file *path*, whole and signed by *keys*."""
    if path is None:
        return None
    try:
        delta = read_delta(path.read_bytes(), keys)
    except SnapshotRejectedError:
        return None  # as good as gone: the list whole will do, or the caller says that it is missing
    if delta.header.sequence != sequence or delta.base_sequence >= sequence:
        return None
    return ChangeFile(sequence, delta.base_sequence, path)
