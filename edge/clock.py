"""The unit's only clock: wall time with its quality, on top of a monotonic time that never jumps.

A unit without a battery clock starts in the past. So a lower bound of the true time, the floor, is kept
on disk: whatever the wall clock says, now is not before the floor plus what has passed since. The floor
rises only with trusted time (NTP, GPS) and with time that really passed: a wall clock that once jumped to
2090 does not poison it. The order of trust:

1. SYNCHRONISED: the kernel says that NTP or chrony disciplines the system clock. Preferred to GPS, because
   a position report reaches us some 0.1 to 0.5 s after the moment it names, and chrony, which may use the
   same receiver, knows its delay.
2. GPS: wall time is the fix's time plus what has passed since, in this process only.
3. UNSYNCHRONISED: the system clock as it is, lifted to the floor if it lies before it.
"""

import contextlib
import ctypes
import os
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from camera.fix import Fix
from camera.frame import Moment, TimeQuality

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_S = 1_000_000_000

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""The floor of a unit that has none on disk: this software did not exist before."""
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""A floor or fix from then on is an error of the disk or the receiver."""

FLOOR_FILE = "time-floor"
_FLOOR_EVERY_NS = 60 * _S
_FLOOR_MARGIN_NS = 2 * _S
"""The floor stays so far below the trusted time that raised it: NTP and GPS differ by up to a second."""
_ANCHOR_SLACK_NS = _S // 2
"""A report may arrive this much later than the quickest one; a larger difference means a new anchor."""


class Clock(Protocol):
    """What the parts of a unit ask the time of."""

    def now(self) -> Moment:
        """Return the present moment. Any thread may ask; nothing is waited for."""

    def moment_of(self, monotonic_ns: int) -> Moment:
        """Return the moment of *monotonic_ns* (CLOCK_MONOTONIC of this boot), as it is known now.

        It may lie in the past or, for a recording read fast, in the future.
        """

    def anchor(self, fix: Fix, received_at_ns: int) -> None:
        """Take note that *fix*, with the receiver's own time in it, came at *received_at_ns*."""


class Kernel(Protocol):
    """What the clock asks of the machine; a test's may say anything."""

    def wall_ns(self) -> int:
        """CLOCK_REALTIME."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""

    def synchronised(self) -> bool:
        """True if the kernel says that a time service disciplines CLOCK_REALTIME."""

    def boot_id(self) -> str:
        """Different for each start of the machine."""


class LinuxKernel:
    """This machine."""

    def __init__(self) -> None:
        self._adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex

    def wall_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def synchronised(self) -> bool:
        # struct timex of adjtimex(2): modes, offset, freq, maxerror, esterror, status, ...; 256 bytes are
        # more than any libc's. Modes 0 changes nothing and needs no privilege.
        timex = ctypes.create_string_buffer(256)
        state = self._adjtimex(timex)
        status: int = struct.unpack_from("@IllllI", timex.raw)[5]
        sta_unsync, time_error = 0x40, 5
        return state not in (-1, time_error) and not status & sta_unsync

    def boot_id(self) -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class SystemClock:
    """The clock of a running unit; any thread may use it.

    It writes to disk in `keep_floor` alone, which a thread that may wait calls now and then.
    """

    def __init__(self, state_dir: Path, kernel: Kernel | None = None) -> None:
        """Read the floor in *state_dir*, which exists. Raises OSError if the file is there and not readable.

        A floor file whose content is no time is set aside as `time-floor.broken`; `floor_error` tells.
        """
        self._kernel = kernel or LinuxKernel()
        self._boot_id = self._kernel.boot_id()
        self._path = state_dir / FLOOR_FILE
        self._lock = threading.Lock()
        self.floor_error: str | None = None
        """Why the floor on disk was not used, in one line for the technician; None where it was."""
        self._floor_offset_ns = self._read_floor() - self._kernel.monotonic_ns()
        self._last_fix_offset_ns: int | None = None
        self._gps_offset_ns: int | None = None
        self._written_at_ns: int | None = None

    def now(self) -> Moment:
        return self.moment_of(self._kernel.monotonic_ns())

    def moment_of(self, monotonic_ns: int) -> Moment:
        with self._lock:
            offset_ns, quality = self._offset()
        return Moment(_datetime(monotonic_ns + offset_ns), monotonic_ns, self._boot_id, quality)

    def anchor(self, fix: Fix, received_at_ns: int) -> None:
        """Take GPS time from *fix*; used while the system clock is not synchronised.

        A fix before the floor is not taken: receivers whose week count rolled over are 1024 weeks behind.
        Nor is the first of a new time until the next one agrees: a single wrong one would raise the floor,
        and the true time after it would then be refused.
        """
        offset_ns = _nanoseconds(fix.at) - received_at_ns
        with self._lock:
            if fix.at >= LATEST or offset_ns < self._floor_offset_ns:
                return
            before_ns, self._last_fix_offset_ns = self._last_fix_offset_ns, offset_ns
            if before_ns is None or abs(offset_ns - before_ns) > _ANCHOR_SLACK_NS:
                return
            # Reports are late, never early: of several that agree, the one with the largest offset came
            # with the least delay.
            late_ns = None if self._gps_offset_ns is None else self._gps_offset_ns - offset_ns
            if late_ns is None or not 0 <= late_ns <= _ANCHOR_SLACK_NS:
                self._gps_offset_ns = offset_ns

    def _offset(self) -> tuple[int, TimeQuality]:
        """Wall time minus monotonic time, and how good it is; raises the floor by a trusted one."""
        wall_ns = self._kernel.wall_ns() - self._kernel.monotonic_ns()
        if self._kernel.synchronised() and wall_ns >= self._floor_offset_ns:
            offset_ns, quality = wall_ns, TimeQuality.SYNCHRONISED
        elif self._gps_offset_ns is not None and self._gps_offset_ns >= self._floor_offset_ns:
            offset_ns, quality = self._gps_offset_ns, TimeQuality.GPS
        else:
            return max(wall_ns, self._floor_offset_ns), TimeQuality.UNSYNCHRONISED
        self._floor_offset_ns = max(self._floor_offset_ns, offset_ns - _FLOOR_MARGIN_NS)
        return offset_ns, quality

    @property
    def floor(self) -> datetime:
        """The earliest time that it can be now, aware UTC."""
        with self._lock:
            self._offset()
            return _datetime(self._kernel.monotonic_ns() + self._floor_offset_ns)

    def keep_floor(self) -> bool:
        """Write the floor to disk if the last writing is a minute old; True if it was written.

        Waits for the disk: call it from the store's thread or at the end, never between frame and alert.
        Raises OSError where the disk refuses; the floor on it is then still the old one, whole.
        """
        now_ns = self._kernel.monotonic_ns()
        if self._written_at_ns is not None and now_ns - self._written_at_ns < _FLOOR_EVERY_NS:
            return False
        fresh = self._path.with_name(FLOOR_FILE + ".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(self.floor.isoformat(timespec="seconds") + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._written_at_ns = now_ns
        return True

    def _read_floor(self) -> int:
        earliest_ns = _nanoseconds(EARLIEST)
        with contextlib.suppress(FileNotFoundError):
            try:
                floor = datetime.fromisoformat(self._path.read_text(encoding="ascii").strip())
                if floor.utcoffset() is None or floor >= LATEST:
                    raise ValueError("not a time of this century")
                return max(_nanoseconds(floor), earliest_ns)
            except ValueError:
                self._path.replace(self._path.with_name(FLOOR_FILE + ".broken"))
                self.floor_error = f"{self._path.name} was broken and set aside; check the disk"
        return earliest_ns


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def _datetime(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1000)


def system_utc() -> datetime:
    """Return the system clock as it is, aware UTC: for log lines, never for a record."""
    return datetime.now(UTC)
