"""Sends a batch at the rate that the network's rule allows."""

import threading
from collections.abc import Callable, Iterator

from sync.errors import UnreachableError

LONGEST_S = 200.0
"""The department gives a batch 300 s to arrive. One that was made for a faster network goes faster than the
rule says, rather than to be refused."""
PIECES_PER_S = 8
LONGEST_PAUSE_S = 1.0


class Pacing:
    """A token bucket that holds a second's bytes. For one sending thread; `stop` may be called by any."""

    def __init__(self, bytes_per_s: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        """*bytes_per_s* is asked at the start of each batch; 0: no limit."""
        self.alive: Callable[[], None] = lambda: None
        """Called at least every second while a batch is on its way."""
        self._bytes_per_s = bytes_per_s
        self._monotonic_ns = monotonic_ns
        self._stopping = threading.Event()
        self._tokens = 0.0
        self._filled_ns: int | None = None

    def stop(self) -> None:
        """Break off what is on its way; it is sent again after the start."""
        self._stopping.set()

    def pieces(self, payload: bytes) -> Iterator[bytes]:
        """Yield *payload* in pieces, each when it may go. Raises UnreachableError once `stop` was called."""
        limit = self._bytes_per_s()
        if not limit:
            yield payload
            return
        rate = max(limit, len(payload) / LONGEST_S)
        size = max(1, int(rate / PIECES_PER_S))
        for start in range(0, len(payload), size):
            piece = payload[start : start + size]
            while (wait_s := self._spend(len(piece), rate)) > 0:
                self.alive()
                if self._stopping.wait(min(wait_s, LONGEST_PAUSE_S)):
                    raise UnreachableError("the unit is stopping; the batch is sent again after the start")
            yield piece

    def _spend(self, count: int, rate: float) -> float:
        """Take *count* tokens and return 0, or return after how many seconds there are so many."""
        now_ns = self._monotonic_ns()
        since_ns = now_ns if self._filled_ns is None else self._filled_ns
        self._tokens = min(rate, self._tokens + (now_ns - since_ns) / 1e9 * rate)
        self._filled_ns = now_ns
        if self._tokens < count:
            return (count - self._tokens) / rate
        self._tokens -= count
        return 0.0
