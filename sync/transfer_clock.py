"""The 30-day clock: how long the oldest read without a receipt may still wait.

The vehicle's reads are to reach the server at least every 30 days (Downey PD Policy Manual 7.14, §7.14.04).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

LIMIT = timedelta(days=30)


class TransferLevel(IntEnum):
    """How loudly to say it; the value of a warning is the day it begins. Larger is more urgent."""

    OK = 0
    WARN_21 = 21
    WARN_25 = 25
    WARN_28 = 28
    OVERDUE = 30


@dataclass(frozen=True, slots=True)
class TransferClock:
    """Where the unit stands at one moment."""

    oldest: datetime | None
    """When the oldest read without a receipt was stored, aware UTC, to the hour; None: nothing waits."""
    days_left: float
    """Until it is overdue, in [0, 30]; 30 where nothing waits."""
    level: TransferLevel


def transfer_clock(oldest: datetime | None, now: datetime) -> TransferClock:
    """Return the clock at *now* for the *oldest* read without a receipt (aware UTC; None: nothing waits).

    A wall clock that was set back gives no more than the full 30 days.
    """
    if oldest is None:
        return TransferClock(None, LIMIT / timedelta(days=1), TransferLevel.OK)
    age = max(now - oldest, timedelta(0))
    level = max(level for level in TransferLevel if age >= timedelta(days=level))
    return TransferClock(oldest, max(LIMIT - age, timedelta(0)) / timedelta(days=1), level)
