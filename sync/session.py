"""When to send what. No network, no disk, no clock: the caller does, and tells what came of it.

One batch is on its way at a time, and its bytes never change:

    wants_batch ──offer(batch)──▶ Send(batch) ──received──▶ wants_batch
         │                          │     ▲
      offer(None)                 failed  │ the same bytes, after a wait
         ▼                          ▼     │
     WaitUntil                    WaitUntil

A batch leaves the session in three ways only: its receipt was checked (`received`), the server refused it
(`refused`), and then the outbox has set it aside and still holds its reads, or it was too much for the
network (`cut`), and its reads are queued again for smaller ones. Whatever else happens, the same batch is
sent again: the server knows it by its id and digest, so a lost receipt costs one repeated upload and never a
read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.batch import Receipt, SignedBatch
from sync.config import SyncConfig
from sync.errors import ReceiptInvalidError, RefusedError, UnreachableError

_LONGEST_RETRY_AFTER_S = 3600.0
"""What a server asks for is honoured up to here: a wrong header must not silence a unit for days."""
_UNIT_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True)
class Send:
    """Send this batch now."""

    batch: SignedBatch


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing is to be done before this moment (aware UTC)."""

    moment: datetime


class Session:
    """The conversation of one unit with its server. Not for several threads at a time.

    *jitter* gives numbers in [0, 1): a fleet that lost its server must not come back in step.
    """

    def __init__(self, config: SyncConfig, jitter: Callable[[], float]) -> None:
        self._config = config
        self._jitter = jitter
        self._batch: SignedBatch | None = None
        self._not_before: datetime | None = None
        self._waited_since: datetime | None = None
        self._idle = False
        """Whether it waits because there was nothing to send, and not because of a failure."""
        self._told_to_wait = False
        self.failures = 0
        """Exchanges since the last receipt that brought none; for the status."""

    def wants_batch(self, now: datetime) -> bool:
        """Whether the caller shall look for the next batch now and `offer` it."""
        return self._batch is None and not self._waiting(now)

    def offer(self, batch: SignedBatch | None, now: datetime) -> None:
        """Take *batch* as the next to send; None says that the outbox holds nothing to send.

        Raises ValueError if none was wanted.
        """
        if self._batch is not None:
            raise ValueError("a batch is on its way already")
        self._batch = batch
        if batch is None:
            self._wait(self._config.interval_s, now)
            self._idle = True

    def next_action(self, now: datetime) -> Send | WaitUntil:
        """Return what to do at *now*."""
        if self._waiting(now) and self._not_before is not None:
            return WaitUntil(self._not_before)
        return WaitUntil(now) if self._batch is None else Send(self._batch)

    def received(self, receipt: Receipt) -> None:
        """The *receipt* of the batch was checked and stored: go on with the next.

        Raises ValueError if *receipt* is not that of the batch on its way.
        """
        batch = self._batch
        if batch is None or (receipt.batch_id, receipt.digest) != (batch.batch_id, batch.digest):
            raise ValueError("this receipt is not that of the batch on its way")
        self._batch = None
        self._not_before = None
        self.failures = 0

    def refused(self, error: RefusedError, now: datetime) -> None:
        """The server said no and the batch was set aside: go on with the next, but not in a hurry."""
        self._batch = None
        self.failures += 1
        # Where the unit itself is refused, the next batch would fare no better: without this wait one
        # revoked certificate would set a whole outbox aside within minutes.
        unit_refused = error.status in _UNIT_REFUSED
        self._wait(self._config.refused_wait_s if unit_refused else self._backoff_s(), now)
        self._told_to_wait = unit_refused

    def failed(self, error: UnreachableError | ReceiptInvalidError, now: datetime) -> None:
        """No valid receipt came: send the same batch again, waiting longer each time."""
        self.failures += 1
        wait_s = self._backoff_s()
        asked_s = error.retry_after_s if isinstance(error, UnreachableError) else None
        if asked_s is not None:
            wait_s = max(wait_s, min(asked_s, _LONGEST_RETRY_AFTER_S))
        self._wait(wait_s, now)
        self._told_to_wait = asked_s is not None

    def cut(self, error: UnreachableError, now: datetime) -> None:
        """The batch was too much for the network; its reads are queued again: wait, then ask for fewer."""
        self.failed(error, now)
        self._batch = None

    def hurry(self) -> None:
        """Forget the present wait: the link has just come up, or a person asked. But not one that the server
        asked for, nor that of a unit which it refused: another network changes nothing there, and a car that
        changes networks all day would set one batch aside with each."""
        if not self._told_to_wait:
            self._not_before = None

    def look_again(self) -> None:
        """There is something to send: an end to the wait for that, but to no other."""
        if self._idle:
            self._not_before = None

    def _backoff_s(self) -> float:
        # The exponent is bounded, as 2.0 ** 1100 is an OverflowError and a unit may be away for months.
        doubled = self._config.backoff_first_s * 2.0 ** min(self.failures - 1, 32)
        whole = min(doubled, self._config.backoff_max_s)
        return whole * (0.5 + 0.5 * self._jitter())

    def _wait(self, wait_s: float, now: datetime) -> None:
        self._waited_since = now
        self._idle = self._told_to_wait = False
        self._not_before = now + timedelta(seconds=wait_s)

    def _waiting(self, now: datetime) -> bool:
        if self._not_before is None or self._waited_since is None:
            return False
        # A wall clock set back would lengthen the wait by as much: it ends the wait instead.
        return self._waited_since <= now < self._not_before
