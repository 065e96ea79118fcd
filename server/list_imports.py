"""Take one file of a source: what the command, the page and the watched folders do."""

import re
from datetime import datetime
from typing import BinaryIO

from hotlist_cache.errors import HotlistError
from hotlist_cache.importing import import_changes
from hotlist_cache.sources.reading import read_source
from server.department import Department
from server.errors import HotlistRefusedError
from server.feed_journal import Arrival, note
from server.feed_report import Delivery, ImportReport
from server.import_rules import ImportOptions, require_fields
from server.local_publishing import ORDINARY, URGENT

OWN_FEEDS = (ORDINARY, URGENT)
"""Feeds that the server itself writes of officers' entries: an import would be undone by the next."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def import_file(
    department: Department,
    file: BinaryIO,
    name: str,
    *,
    feed: str,
    how: ImportOptions,
    actor: str,
    now: datetime,
) -> ImportReport:
    """Take *file*, open at its start and called *name*, as *feed*'s; return what became of it.

    Its report, also of a refusal, is kept for the pages. Raises SettingsInvalidError if *how* cannot be
    understood; HotlistRefusedError or HotlistError if the file is refused: the feed is then as it was.
    """
    if feed in OWN_FEEDS:
        raise HotlistRefusedError(
            f"feed {feed} is the server's own, of officers' entries: choose another name"
        )
    require_fields(how.columns)
    rules, hotlists, folder = how.rules(name), department.hotlists, department.folder.hotlists
    delivery = Delivery(file, name, how.form)
    try:
        if rules.incremental:
            changes = import_changes(delivery.stream, rules, delivery.refuse)
            report = hotlists.change_feed(feed, changes, actor=actor, now=now, delivery=delivery)
        else:
            entries = read_source(how.form, delivery.stream, rules, delivery.refuse)
            report = hotlists.replace_feed(feed, entries, actor=actor, now=now, delivery=delivery)
    except (HotlistError, HotlistRefusedError) as error:
        if _NAME.fullmatch(feed):
            note(folder, feed, Arrival(now, actor, name, how.told(), None, str(error)))
        raise
    note(folder, feed, Arrival(now, actor, name, how.told(), report))
    return report


def feed_name(file_stem: str) -> str:
    """Return the name of a feed that is made from a file's."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in file_stem.lower())
