"""The officer's commands on local entries, outside the daemon, which takes up the file as it changes."""

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from edge.clock import SystemClock
from edge.config import HOTLIST_FOLDER, Config
from edge.owner import as_owner_of
from edge.vault import unlock
from hotlist_cache.local import LocalBook


@contextmanager
def held_book(config: Config) -> Iterator[tuple[LocalBook, datetime]]:
    """Give the unit's book, loaded, which no other command may change meanwhile, and the time (aware UTC).

    Its ids are short, for they are typed. Raises VaultLockedError without the unit's keys,
    LocalEntryRefusedError if the file was damaged.
    """
    keys = unlock(config.unit.keys_dir)
    state_dir = config.unit.state_dir
    with as_owner_of(state_dir):
        folder = state_dir / HOTLIST_FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        with book_in(folder, keys.storage) as book:
            yield book, SystemClock(state_dir).now().utc


@contextmanager
def book_in(folder: Path, storage_key: bytes) -> Iterator[LocalBook]:
    """Give the book in *folder*, loaded, which no command and no page may change meanwhile.

    Raises LocalEntryRefusedError if the file was damaged, OSError if the disk fails.
    """
    with (folder / "local-entries.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        book = LocalBook(folder, storage_key=storage_key, new_id=lambda: secrets.token_hex(4))
        book.load()
        yield book


def lines(book: LocalBook, now: datetime) -> Iterator[str]:
    """Yield entries and suppressions as the officer sees them, two lines each; they hold plates."""
    for each in book.entries:
        entry = each.entry
        state, loud = entry.jurisdiction or "any state", entry.priority.name.lower()
        yield f"{entry.entry_id}  {entry.pattern}  {state}  {loud}  {_ends(each.expires_at, now)}"
        yield f"    {each.purpose}, case {entry.case_number}, {each.officer}"
    for known in book.suppressions:
        approved = f"approved by {known.supervisor}" if known.supervisor else "NOT YET APPROVED"
        until = _ends(known.expires_at, now)
        yield f"{known.suppression_id}  {known.plate} is not {known.entry_id}  {until}"
        yield f"    {known.reason}, {known.officer}, {approved}"
    if not book.entries and not book.suppressions:
        yield "no local entries and no suppressions"


def _ends(moment: datetime, now: datetime) -> str:
    return "over" if moment <= now else f"until {moment:%Y-%m-%d %H:%M}Z"
