"""The urgent list by hand: put a vehicle on it, as an Amber alert asks, and end it. One person does either.

What is put on it stands in a feed of its own, so that no source's file takes it away.
"""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from hotlist_cache.entry import Entry
from hotlist_cache.importing import Change
from server.department import Department, publish_urgent
from server.errors import HotlistRefusedError
from server.feeds import is_urgent
from server.local_publishing import LASTING, URGENT

FEED = "urgent-by-hand"
MOST_HOURS = 30 * 24
LEAST_KNOWN = 3
"""Letters and digits of a partial plate, as imports have it: fewer would meet too many vehicles."""


def put_out(department: Department, entry: Entry, *, actor: str, now: datetime) -> str:
    """List *entry*, which must end by itself, and publish the urgent list; return the id it was given.

    Raises HotlistRefusedError if it does not end, or too late, and what publishing raises: then it stands on
    the feed, and is published with the next urgent list.
    """
    if entry.expires is None or not now < entry.expires <= now + timedelta(hours=MOST_HOURS):
        raise HotlistRefusedError(f"an urgent entry ends after 1 to {MOST_HOURS} hours")
    entry = replace(entry, entry_id=f"urgent-{secrets.token_hex(8)}", effective=now.replace(microsecond=0))
    department.hotlists.change_feed(FEED, [Change(1, entry.entry_id, entry)], actor=actor, now=now)
    _publish(department, actor, now)
    return entry.entry_id


def end(department: Department, feed: str, entry_id: str, *, actor: str, now: datetime) -> None:
    """Take one entry from urgent *feed* and publish the urgent list.

    Raises HotlistRefusedError if it is not there, or is an officer's own entry, which is withdrawn elsewhere.
    """
    if feed == URGENT:
        raise HotlistRefusedError("an officer's own entry: refuse it under local entries, which withdraws it")
    if not any(name == feed and entry.entry_id == entry_id for name, entry in listed(department)):
        raise HotlistRefusedError("it is not on the urgent list any more")
    department.hotlists.change_feed(feed, [Change(1, entry_id, None)], actor=actor, now=now)
    _publish(department, actor, now)


def listed(department: Department) -> list[tuple[str, Entry]]:
    """Return what the urgent feeds list, with the feed of each, published or not."""
    hotlists = department.hotlists
    urgent = [state for state in hotlists.feeds() if is_urgent(state.feed)]
    return [(state.feed, entry) for state in urgent for entry in hotlists.entries_of(state)]


def _publish(department: Department, actor: str, now: datetime) -> None:
    # The list must not run out before what stands on it does: units would drop it all.
    ends = [entry.expires for _, entry in listed(department) if entry.expires is not None]
    publish_urgent(department, actor, max([now + LASTING, *ends]), now)
