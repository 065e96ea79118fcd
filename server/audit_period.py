"""Which stretch of time a person asks for: days or moments, as they are written."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

USUAL_DAYS = 30
"""How far back a period reaches if nobody says."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until just before `end`, aware UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%MZ} to {self.end:%Y-%m-%dT%H:%MZ}"


def period_of(start: str, end: str, now: datetime) -> Period:
    """Return the period from *start* to *end*, each a day ("2026-03-01", the last one included) or a moment
    ("2026-03-01T18:00Z"), UTC where nothing else is said. Left out, it ends now and is 30 days long.

    Raises ValueError, with what to tell the person.
    """
    ends = now if not end.strip() else _moment(end, day_is_whole=True)
    starts = ends - timedelta(days=USUAL_DAYS) if not start.strip() else _moment(start, day_is_whole=False)
    if starts >= ends:
        raise ValueError("The period must begin before it ends.")
    return Period(starts, ends)


def last_year(now: datetime) -> Period:
    """Return the 365 days before the day that *now* is in: whole days, so that no moment stands out."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Period(today - timedelta(days=365), today)


def _moment(text: str, *, day_is_whole: bool) -> datetime:
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
        # Ten characters are a day without a time: people mean all of it when a period ends with it.
        return moment + timedelta(days=1) if day_is_whole and len(text) <= 10 else moment
    except (ValueError, OverflowError):
        raise ValueError("Write a day as 2026-03-01, or a moment as 2026-03-01T18:00Z.") from None
