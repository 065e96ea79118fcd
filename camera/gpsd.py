"""The GPS receiver, through gpsd's JSON protocol (gpsd_json(5)): bytes in, fixes out."""

import contextlib
import json
import math
import socket
from datetime import UTC, datetime
from typing import Any

from camera.config import GpsConfig
from camera.fix import Fix

_WATCH = b'?WATCH={"enable":true,"json":true};\n'
_LONGEST_LINE = 65_536
"""SKY reports take 2 to 4 kB; whatever is longer than this is not gpsd."""
_RETRY_NS = 5_000_000_000
_SILENCE_NS = 30_000_000_000
"""A receiver reports each second; a connection silent for so long is half dead and made anew."""


class GpsdParser:
    """What gpsd says, line by line; no socket in it."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self.malformed = 0
        """Lines that were no JSON object, or a position report with impossible values."""

    def feed(self, received: bytes) -> list[Fix]:
        """Return the fixes in *received* and what was left before it, oldest first.

        A TPV report counts as a fix with mode 2 or 3, a time and a position; without one of
        them it says that there is no fix, which is no fault.
        """
        *lines, self._rest = (self._rest + received).split(b"\n")
        fixes = []
        for line in lines:
            if self._skipping:
                self._skipping = False
                continue
            try:
                fix = _fix_of(json.loads(line)) if line.strip() else None
            # RecursionError: thousands of brackets.
            except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
                self.malformed += 1
                continue
            if fix:
                fixes.append(fix)
        if len(self._rest) > _LONGEST_LINE:
            self.malformed += not self._skipping
            self._rest, self._skipping = b"", True
        return fixes


def _fix_of(report: dict[str, Any]) -> Fix | None:
    if report.get("class") != "TPV" or int(report.get("mode", 0)) < 2:
        return None
    if not {"time", "lat", "lon"} <= report.keys():
        return None
    at = datetime.fromisoformat(report["time"])
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    latitude_deg, longitude_deg = float(report["lat"]), float(report["lon"])
    # Written so that NaN, which Python's JSON lets through, fails too.
    if not (-90 <= latitude_deg <= 90 and -180 <= longitude_deg <= 180):
        raise ValueError("not on earth")
    course_deg = _number(report, "track")
    return Fix(
        at=at.astimezone(UTC),
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
        speed_mps=_number(report, "speed"),
        course_deg=None if course_deg is None else course_deg % 360,
        accuracy_m=_number(report, "eph"),
    )


def _number(report: dict[str, Any], key: str) -> float | None:
    value = report.get(key)
    return float(value) if value is not None and math.isfinite(value) and value >= 0 else None


class GpsdSocket:
    """One connection to gpsd, never waited for, made again when it breaks; used by one thread."""

    def __init__(self, config: GpsConfig) -> None:
        """Opens nothing yet: the first `poll` does. Raises ValueError if *config* names no gpsd."""
        if not config.gpsd:
            raise ValueError("no gpsd is configured")
        self._address = (config.host, config.port)
        self._socket: socket.socket | None = None
        self._greeted = False
        self._parser = GpsdParser()
        self._retry_at_ns = 0
        self._heard_ns = 0
        self.last_error: str | None = None
        """Why there is no connection, in one line; None while there is one."""

    def fileno(self) -> int | None:
        """The descriptor to wait on for reading; None while there is no connection."""
        return self._socket.fileno() if self._socket else None

    def poll(self, now_ns: int) -> list[Fix]:
        """Return the fixes that came since the last call; connects where it is time to.

        *now_ns* is CLOCK_MONOTONIC. A gpsd that is not there is no error, only no fix.
        """
        if self._socket is None:
            if now_ns >= self._retry_at_ns:
                self._connect(now_ns)
            return []
        fixes: list[Fix] = []
        try:
            if not self._greeted:
                self._greeted = self._socket.send(_WATCH) == len(_WATCH)
            while received := self._socket.recv(_LONGEST_LINE):
                self._heard_ns = now_ns
                self.last_error = None
                fixes += self._parser.feed(received)
            self._drop("gpsd closed the connection", now_ns)
        except BlockingIOError:
            if now_ns - self._heard_ns > _SILENCE_NS:
                self._drop("gpsd is silent; is a receiver connected to it?", now_ns)
        except OSError as error:
            self._drop(f"gpsd cannot be reached: {error.strerror}; is the service gpsd running?", now_ns)
        return fixes

    def _connect(self, now_ns: int) -> None:
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket, self._greeted = connection, False
        self._parser, self._heard_ns = GpsdParser(), now_ns
        try:
            with contextlib.suppress(BlockingIOError):
                connection.connect(("127.0.0.1" if host == "localhost" else host, port))
        except OSError as error:
            self._drop(f"gpsd cannot be reached: {error.strerror}; is the service gpsd running?", now_ns)

    def _drop(self, reason: str, now_ns: int) -> None:
        self.close()
        self.last_error = reason
        self._retry_at_ns = now_ns + _RETRY_NS

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None
