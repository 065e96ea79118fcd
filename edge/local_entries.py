"""The officer's commands on local entries, outside the daemon, which takes up the file as it changes."""

import secrets
from collections.abc import Iterator
from datetime import datetime

from edge.clock import SystemClock
from edge.config import Config
from edge.vault import unlock
from hotlist_cache.local import LocalBook


def open_book(config: Config) -> LocalBook:
    """Return the unit's book, loaded. Its ids are short, for they are typed.

    Raises VaultLockedError without the unit's keys, LocalEntryRefusedError if the file was damaged.
    """
    folder = config.unit.state_dir / "hotlist"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    book = LocalBook(
        folder, storage_key=unlock(config.unit.keys_dir).storage, new_id=lambda: secrets.token_hex(4)
    )
    book.load()
    return book


def now_of(config: Config) -> datetime:
    """Return the unit's time (aware UTC), never before its time floor."""
    return SystemClock(config.unit.state_dir).now().utc


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
