"""How long something is kept, as people write it: "3 min", "12 h", "21 d"."""

import re
from datetime import timedelta

_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_WRITTEN = re.compile(r"\s*([0-9]{1,9})\s*(min|h|d)\s*")
_SPOKEN = {"min": "minute", "h": "hour", "d": "day"}
LONGEST = timedelta(days=36_500)


def parse_duration(text: str) -> timedelta:
    """Return what *text* says: a whole number of at least 1, and min, h or d.

    Raises ValueError, with what to write instead.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError("write a whole number and min, h or d, as 3 min, 12 h or 21 d")
    duration = int(found[1]) * _UNITS[found[2]]
    if not timedelta() < duration <= LONGEST:
        raise ValueError(f"at least 1 min, and at most {LONGEST.days} d")
    return duration


def written(duration: timedelta) -> str:
    """Return *duration*, of whole minutes, as `parse_duration` takes it, in the largest unit that fits."""
    number, unit = _split(duration)
    return f"{number} {unit}"


def spoken(duration: timedelta) -> str:
    """Return it for a sentence: "3 minutes", "1 day"."""
    number, unit = _split(duration)
    return f"{number} {_SPOKEN[unit]}{'' if number == 1 else 's'}"


def _split(duration: timedelta) -> tuple[int, str]:
    unit = next(name for name in ("d", "h", "min") if not duration % _UNITS[name] or name == "min")
    return duration // _UNITS[unit], unit
