"""How a unit is, as it tells its department: one small JSON document, the same by MQTT and by HTTPS.

It names no plate and no place: those are in sealed reads alone. The department knows where a unit last was
from the newest read that it holds of it. See docs/protocol.md.

The day is the one of UTC; `reads_today` and `hits_today` count from its beginning, or from the start of the
unit's daemon where that was later.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Any

from sync.errors import WireFormatError

VERSION = 1
MAX_STATUS_BYTES = 8192
MAX_CAMERAS = 16
MAX_FAULTS = 20
MAX_LINE = 200
"""Characters of a fault's line, and of every other text."""
LEVELS = ("ok", "warn", "overdue")
TIME_QUALITIES = ("synchronised", "gps", "unsynchronised")
_MOST = 2**53
"""What every reader of JSON takes for a whole number."""
_DIGEST = re.compile(r"[0-9a-f]{12}|")


@dataclass(frozen=True, slots=True)
class CameraWord:
    """One camera."""

    name: str
    state: str
    """As "opening", "live", "lost"."""
    reopened: int
    """How often since the start."""


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """A unit at one moment, in its own words. Times are aware UTC in whole seconds."""

    made_at: datetime
    """By the unit's clock, which `time_quality` judges."""
    started_at: datetime
    """When its daemon started, by the same clock."""
    software: str
    """Version of the unit's program."""
    pack: str
    """Name of the model pack."""
    detector: str
    """First 12 digits of the SHA-256 of the detector's file; empty: not known."""
    reader: str
    """The same of the reader's."""
    cameras: tuple[CameraWord, ...]
    time_quality: str
    """One of `TIME_QUALITIES`."""
    has_fix: bool
    list_sequence: int
    """Of the list in force; 0: none."""
    list_age_h: float
    list_stale: bool
    urgent_entries: int
    publication: int
    """Version of the newest publication it believes; 0: none."""
    queued: int
    """Reads without a receipt."""
    refused: int
    """Reads in batches that the department refused."""
    days_left: float
    """Of the 30-day clock, of the oldest read without a receipt; 0: overdue."""
    level: str
    """One of `LEVELS`."""
    recording: bool
    """Whether reads are stored."""
    free_bytes: int
    """On the disk of the store."""
    day: date
    """UTC."""
    reads_today: int
    hits_today: int
    fault_count: int
    """How many there are; only as many lines travel as fit."""
    faults: tuple[str, ...]


def encode_status(status: UnitStatus) -> bytes:
    """Return *status* as at most `MAX_STATUS_BYTES` of JSON, with "state": "online".

    Texts are shortened and faults and cameras left out, the last first, until it fits: half a status is
    better than none.
    """
    short = replace(
        status,
        software=_line(status.software),
        pack=_line(status.pack),
        cameras=tuple(
            CameraWord(_line(c.name), _line(c.state), c.reopened) for c in status.cameras[:MAX_CAMERAS]
        ),
        faults=tuple(_line(fault) for fault in status.faults[:MAX_FAULTS]),
    )
    while len(encoded := _json(short)) > MAX_STATUS_BYTES:
        if short.faults:
            short = replace(short, faults=short.faults[:-1])
        else:
            short = replace(short, cameras=short.cameras[:-1])
    return encoded


def decode_status(payload: bytes) -> UnitStatus | None:
    """Return the status in *payload*; None if it is of another version, or only says "offline".

    Raises WireFormatError if it is too large or not what a unit of this version says.
    """
    found = _object(payload)
    if found.get("state") not in ("online", "offline"):
        raise WireFormatError("unit status: state is neither online nor offline")
    if found["state"] == "offline" or found.get("v") != VERSION:
        return None
    wanted = {f.name for f in fields(UnitStatus)} | {"v", "state"}
    if set(found) != wanted:
        raise WireFormatError(f"unit status: has not just the keys of version {VERSION}")
    try:
        return _status(found)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise WireFormatError("unit status: a value is not what its key says") from None


def state_of(payload: bytes) -> str:
    """Return "online" or "offline". Raises WireFormatError for anything else."""
    state = _object(payload).get("state")
    if state not in ("online", "offline"):
        raise WireFormatError("unit status: state is neither online nor offline")
    return str(state)


def _object(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_STATUS_BYTES:
        raise WireFormatError(f"unit status: is larger than {MAX_STATUS_BYTES} bytes")
    try:
        found = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise WireFormatError("unit status: is no JSON") from None
    if not isinstance(found, dict):
        raise WireFormatError("unit status: is no object")
    return found


def _status(found: Mapping[str, Any]) -> UnitStatus:
    cameras, faults = found["cameras"], found["faults"]
    if type(cameras) is not list or len(cameras) > MAX_CAMERAS:
        raise ValueError("cameras")
    if type(faults) is not list or len(faults) > MAX_FAULTS:
        raise ValueError("faults")
    return UnitStatus(
        made_at=_moment(found["made_at"]),
        started_at=_moment(found["started_at"]),
        software=_text(found["software"]),
        pack=_text(found["pack"]),
        detector=_digest(found["detector"]),
        reader=_digest(found["reader"]),
        cameras=tuple(_camera(camera) for camera in cameras),
        time_quality=_one_of(found["time_quality"], TIME_QUALITIES),
        has_fix=_flag(found["has_fix"]),
        list_sequence=_whole(found["list_sequence"]),
        list_age_h=_number(found["list_age_h"]),
        list_stale=_flag(found["list_stale"]),
        urgent_entries=_whole(found["urgent_entries"]),
        publication=_whole(found["publication"]),
        queued=_whole(found["queued"]),
        refused=_whole(found["refused"]),
        days_left=_number(found["days_left"]),
        level=_one_of(found["level"], LEVELS),
        recording=_flag(found["recording"]),
        free_bytes=_whole(found["free_bytes"]),
        day=_day(found["day"]),
        reads_today=_whole(found["reads_today"]),
        hits_today=_whole(found["hits_today"]),
        fault_count=_whole(found["fault_count"]),
        faults=tuple(_text(fault) for fault in faults),
    )


def _camera(found: Any) -> CameraWord:
    if type(found) is not list or len(found) != 3:
        raise ValueError("camera")
    return CameraWord(_text(found[0]), _text(found[1]), _whole(found[2]))


def _json(status: UnitStatus) -> bytes:
    told = {f.name: getattr(status, f.name) for f in fields(status)} | {
        "v": VERSION,
        "state": "online",
        "made_at": _seconds(status.made_at),
        "started_at": _seconds(status.started_at),
        "day": status.day.isoformat(),
        "cameras": [[c.name, c.state, c.reopened] for c in status.cameras],
        "list_age_h": round(status.list_age_h, 1),
        "days_left": round(status.days_left, 2),
    }
    return json.dumps(
        told, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _line(text: str) -> str:
    # A camera's driver may say anything; a lone surrogate would not even encode.
    clean = text.encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else " " for c in clean)[:MAX_LINE]


def _seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _moment(value: Any) -> datetime:
    # Not `strptime`: ten thousand statuses are parsed for one page, and it takes most of the time.
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is not UTC or _seconds(moment) != value:
        raise ValueError("moment")
    return moment


def _day(value: Any) -> date:
    day = date.fromisoformat(_text(value))
    if day.isoformat() != value:
        raise ValueError("day")
    return day


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_LINE or not value.isprintable():
        raise ValueError("text")
    return value


def _digest(value: Any) -> str:
    if not _DIGEST.fullmatch(_text(value)):
        raise ValueError("digest")
    return str(value)


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError("word")
    return str(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("flag")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError("whole number")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e9:
        raise ValueError("number")
    return float(value)
