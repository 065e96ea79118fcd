"""What passed before it was listed: a blind index of the last hours' reads, in memory alone.

A new entry may be of a vehicle that was read ten minutes ago. Nothing stored can be opened on the unit, so
each read leaves a keyed hash of its plate here, with when and by which camera. The key is made at the start
and never leaves the process: without it nothing of this says which plates were read.
"""

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from hotlist_cache.hit import Sighting
from recognizer.plate import Plate, fold
from recognizer.read import PlateRead

MOST = 200_000
"""Hashes kept; about 20 MB, and more than a day of a busy unit."""
_DIGEST_BYTES = 16


class Sightings:
    """May be used by several threads."""

    def __init__(self, window: timedelta) -> None:
        """Reads are found for as long as *window*; none remembers nothing."""
        self._window = window
        self._key = secrets.token_bytes(32)
        self._seen: OrderedDict[bytes, tuple[str, str, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, read: PlateRead) -> None:
        """Take up *read*, under its plate alone and with its stacked letters first and last."""
        if not self._window:
            return
        texts = {read.plate, read.prefix + read.plate, read.plate + read.prefix}
        with self._lock:
            for text in texts:
                digest = self._digest(text)
                self._seen.pop(digest, None)
                self._seen[digest] = (read.read_id, read.camera, read.settled.utc)
            while len(self._seen) > MOST:
                self._seen.popitem(last=False)

    def of(self, plates: Iterable[str], now: datetime) -> list[Sighting]:
        """Return the newest read of each of *plates* inside the window before *now* (aware UTC), the newest
        first, and forget it: a plate that comes on one list after the other is told once. A partial plate is
        not found: a hash knows no parts."""
        found = []
        with self._lock:
            for plate in plates:
                if (seen := self._seen.pop(self._digest(plate), None)) is None:
                    continue
                if timedelta() <= now - seen[2] <= self._window:
                    found.append(Sighting(plate, *seen))
        return sorted(found, key=lambda sighting: sighting.at, reverse=True)

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._key, fold(Plate(text)).encode(), sha256)[:_DIGEST_BYTES]
