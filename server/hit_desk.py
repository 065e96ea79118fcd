"""Batches of hits that come by MQTT: taken exactly like those that come by HTTPS, receipt and all.

In a thread of its own: storing may wait for the database, and the broker's connection must not.
"""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from queue import Full, Queue

import structlog

from server.errors import ServerError
from server.intake import Intake
from sync.errors import SyncError
from sync.hit_message import decode_hits

MOST_WAITING = 32
"""Messages in memory, 16 MiB together at most; what comes on top comes again, or by HTTPS."""

MOST_OF_ONE = 4
"""Of them from one unit, which sends the next when it has the answer: one gone mad leaves the others room."""

_log = structlog.get_logger(__name__)


class HitDesk:
    """`put` may be called by any thread."""

    def __init__(self, intake: Intake, clock: Callable[[], datetime]) -> None:
        self._intake = intake
        self._clock = clock
        self._messages: Queue[tuple[str, bytes] | None] = Queue(MOST_WAITING)
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, acknowledge: Callable[[str, bytes], None]) -> None:
        """Begin to take; *acknowledge* is given the unit and the receipt's bytes, from this desk's thread."""
        self._thread = threading.Thread(target=self._run, args=(acknowledge,), name="hits", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take what waits, and end."""
        if self._thread is not None:
            try:
                # Full, and the database away: what waits comes again, or by HTTPS.
                self._messages.put(None, timeout=10)
            except Full:
                _log.warning("hits not taken: the server stops while they wait")
            else:
                self._thread.join(10)

    def put(self, unit_id: str, message: bytes) -> None:
        """Take up *message*, which the broker says *unit_id* gave it."""
        with self._lock:
            try:
                if self._waiting[unit_id] >= MOST_OF_ONE:
                    raise Full
                self._messages.put_nowait((unit_id, message))
            except Full:
                _log.warning("hits not taken: too many wait", unit=unit_id, of_it=self._waiting[unit_id])
            else:
                self._waiting[unit_id] += 1

    def _run(self, acknowledge: Callable[[str, bytes], None]) -> None:
        while (item := self._messages.get()) is not None:
            unit_id, message = item
            with self._lock:
                self._waiting[unit_id] -= 1
                self._waiting += Counter()  # forgets those at zero
            try:
                receipt = self._intake.take_told(unit_id, decode_hits(message), self._clock())
            except (ServerError, SyncError) as error:
                # No word of it goes back: the broker could make one up. The unit asks by HTTPS, and is told.
                _log.warning("hits not taken", unit=unit_id, why=str(error), bytes=len(message))
            except Exception:  # noqa: BLE001  # the top of a thread: the next message is another unit's
                _log.exception("hits not taken", unit=unit_id)
            else:
                acknowledge(unit_id, receipt)
