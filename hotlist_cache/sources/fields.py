"""What stands in a list's fields: a plate, a time, a record's id. Errors never quote what stood there."""

import hashlib
import re
from datetime import UTC, datetime, tzinfo

from hotlist_cache.body import MAX_PATTERN_CHARACTERS

_PLATE_SEPARATORS = str.maketrans("", "", " -.'")
_PATTERN = re.compile(rf"[A-Z0-9?*]{{1,{MAX_PATTERN_CHARACTERS}}}")
_AMERICAN_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_ID_BYTES = 8


def parse_pattern(text: str, min_known_characters: int) -> str:
    """Return the plate or partial plate in *text*, without what only separates its characters.

    Raises ValueError if it is none, or has fewer known characters than it needs.
    """
    if not text:
        raise ValueError("the plate is missing")
    # Refused rather than dropped, as the reader does with what it sees: a plate without one of its characters
    # is another vehicle's. ASCII is asked for first, since upper() turns some letters into ASCII ones.
    pattern = text.translate(_PLATE_SEPARATORS).upper() if text.isascii() else ""
    while "**" in pattern:
        pattern = pattern.replace("**", "*")
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(f"the plate is not 1 to {MAX_PATTERN_CHARACTERS} of A-Z, 0-9, ? and *")
    known = len(pattern) - pattern.count("?") - pattern.count("*")
    if known < len(pattern) and known < min_known_characters:
        raise ValueError(f"the partial plate has fewer than {min_known_characters} known characters")
    return pattern


def parse_plate(text: str) -> str:
    """Return the whole plate in *text*. Raises ValueError if it is none, or only a part of one."""
    plate = parse_pattern(text, 0)
    if "?" in plate or "*" in plate:
        raise ValueError("the plate holds ? or *, which no plate of this source does")
    return plate


def parse_moment(text: str, name: str, timezone: tzinfo, country: str) -> tuple[datetime | None, bool]:
    """Return the moment, in the zone it was given in, and whether *text* was a date alone.

    Raises ValueError, naming *name*, if it is neither.
    """
    if not text:
        return None, False
    try:
        if american := _AMERICAN_DATE.fullmatch(text) if country == "US" else None:
            month, day, year = (int(part) for part in american.groups())
            return datetime(year, month, day, tzinfo=timezone), True
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} is not a date as 2025-07-31 or a time as 2025-07-31T18:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone)
    return moment, "T" not in text.upper() and ":" not in text


def in_utc(moment: datetime | None) -> datetime | None:
    """Return *moment* in UTC and whole seconds. Raises ValueError if it then lies out of the calendar."""
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ValueError("a date lies out of the calendar") from None


def derive_id(*parts: object) -> str:
    """Return the id of a record that has none: the same *parts* have the same id in each list."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[: 2 * _ID_BYTES]
