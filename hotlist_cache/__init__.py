"""A signed list of wanted plates and a read come in; hits and alerts go out."""

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import HotlistError, ImportRefusedError, SnapshotRejectedError
from hotlist_cache.hit import Alert, HotlistHit, ListAge, MatchKind, StateMatch

__all__ = [
    "Alert",
    "Entry",
    "HotlistError",
    "HotlistHit",
    "ImportRefusedError",
    "ListAge",
    "MatchKind",
    "Priority",
    "SnapshotRejectedError",
    "StateMatch",
]
