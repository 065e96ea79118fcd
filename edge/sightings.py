"""What passed before it was listed: a new entry may be of a vehicle that was read ten minutes ago.

Asked of the local window's index (`edge.window`), which outlives the daemon. Only what was read within the
last seconds, and may not be on the disk yet, is remembered here, in memory.
"""

import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from edge.window import Window
from hotlist_cache.hit import Sighting
from recognizer.plate import Plate, fold
from recognizer.read import PlateRead
from sync.config import RetentionConfig
from sync.window import Card, card_of

NOT_YET_STORED = timedelta(seconds=10)
"""A read is on the disk within a second, or a few where the card is slow."""
MOST_TOLD = 1000
"""Reads remembered as told."""


class Sightings:
    """May be used by several threads."""

    def __init__(self, window: Window, retention: RetentionConfig) -> None:
        self._window = window
        self.follow(retention)
        self._recent: deque[Card] = deque(maxlen=200)
        self._told: deque[str] = deque(maxlen=MOST_TOLD)
        self._lock = threading.Lock()

    def follow(self, retention: RetentionConfig) -> None:
        """Go by *retention* from now on."""
        self._longest = timedelta(seconds=retention.window_s(hit=True))
        self._remembered = min(timedelta(seconds=retention.window_s(hit=False)), NOT_YET_STORED)

    def remember(self, read: PlateRead) -> None:
        """Take up *read* until it can be found on the disk; without a local window, not at all."""
        if not self._remembered:
            return
        with self._lock:
            self._recent.append(card_of(read))
            while read.settled.utc - self._recent[0].utc > self._remembered:
                self._recent.popleft()

    def of(self, plates: Iterable[str], now: datetime) -> list[Sighting]:
        """Return the newest read of each of *plates* inside the window before *now* (aware UTC), the newest
        first, and only once: a plate that comes on one list after the other is told once, until a restart. A
        partial plate is not found.

        Raises what `Window.search` raises of the disk.
        """
        wanted = list(plates)
        found = dict(self._window.newest(wanted))
        with self._lock:
            for card in self._recent:
                if timedelta() <= now - card.utc <= self._remembered:
                    texts = card.texts
                    found.update((plate, card) for plate in wanted if fold(Plate(plate)) in texts)
            sightings = []
            for plate, card in found.items():
                if timedelta() <= now - card.utc <= self._longest and card.read_id not in self._told:
                    sightings.append(Sighting(plate, card.read_id, card.camera, card.utc))
            self._told.extend(sighting.read_id for sighting in sightings)
        return sorted(sightings, key=lambda sighting: sighting.at, reverse=True)
