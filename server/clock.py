"""The department server's only clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware UTC."""
    return datetime.now(UTC)
