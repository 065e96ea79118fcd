"""All cameras of the unit as one stream of frames: in turn, newest first, each with its moment and place."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from camera.config import CameraConfig, GpsConfig, SourceKind
from camera.errors import RecordingUnreadableError
from camera.fix import Fix
from camera.frame import Frame, Moment
from camera.gpsd import GpsdSocket
from camera.recording import TimedFix, fixes_beside
from camera.source import Picture, open_source
from edge.capture import CameraState, Capture
from edge.clock import Clock

__all__ = ["CameraBank", "CameraState", "CameraStatus"]

_S = 1_000_000_000
_LONGEST_WAIT_NS = _S


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """How one camera stands, for the officer's view and the unit's status."""

    name: str
    state: CameraState
    frames: int
    """Frames given out since the start."""
    dropped: int
    """Pictures that the source numbered and a newer one replaced before they were asked for."""
    reopened: int
    """Openings after the first."""
    last_error: str | None
    """Why it was lost the last time, in one line without address or place."""


class CameraBank:
    """The unit's cameras; used by one thread.

    Live cameras and recordings at their own pace each run in a process of their own; of a recording
    read fast every frame is given, from this process. A recording's place is what the file beside it says,
    never where the unit stands now.
    """

    def __init__(self, cameras: Sequence[CameraConfig], gps: GpsConfig, clock: Clock) -> None:
        """Open the recordings that are read fast; the live cameras are started by `next_frame`.

        Raises ValueError if two cameras have one name, RecordingUnreadableError if a recording or the
        file of its fixes cannot be read.
        """
        if len({config.name for config in cameras}) != len(cameras):
            raise ValueError("two cameras have the same name; rename one in [[cameras]]")
        self._gps = _Receiver(gps, clock)
        self._lanes = [_Lane(config) for config in cameras]
        self._clock = clock
        self._max_age_s = gps.max_age_s
        self._turn = 0

    @property
    def finished(self) -> bool:
        """True if every camera is a recording that was read to its end (or cannot be read)."""
        return all(lane.feed.over for lane in self._lanes)

    @property
    def gps_error(self) -> str | None:
        """Why there are no fixes, in one line; None where gpsd is heard or none is configured."""
        return self._gps.last_error

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Return the next frame, waiting for it *timeout_s* at most; None if none came or all is finished.

        Cameras that have a frame take turns. Raises RecordingUnreadableError, once for each, when a
        recording turns out to be broken; the others go on with the next call.
        """
        until_ns = time.monotonic_ns() + round(timeout_s * _S)
        while True:
            now_ns = time.monotonic_ns()
            self._gps.poll(now_ns)
            for lane in self._lanes:
                lane.feed.attend(now_ns)
            for step in range(len(self._lanes)):
                index = (self._turn + step) % len(self._lanes)
                picture = self._lanes[index].take()
                if picture is not None:
                    self._turn = index + 1
                    return self._frame(self._lanes[index], picture)
            if now_ns >= until_ns or self.finished:
                return None
            self._wait(now_ns, until_ns)

    def status(self) -> tuple[CameraStatus, ...]:
        """Return how each camera stands, in the order of the configuration."""
        return tuple(lane.status() for lane in self._lanes)

    def close(self) -> None:
        """End every camera's process and close what is open."""
        for lane in self._lanes:
            lane.feed.close()
        self._gps.close()

    def _wait(self, now_ns: int, until_ns: int) -> None:
        waiting = select.poll()
        due_ns = min(until_ns, now_ns + _LONGEST_WAIT_NS)
        for fd in [*self._gps.fds, *(fd for lane in self._lanes for fd in lane.feed.fds)]:
            waiting.register(fd, select.POLLIN)
        for lane in self._lanes:
            lane_due_ns = lane.feed.due_ns()
            if lane_due_ns is not None:
                due_ns = min(due_ns, lane_due_ns)
        # One millisecond more: rounding down would turn the last fraction of it into a busy loop.
        waiting.poll(max(0, due_ns - now_ns) // 1_000_000 + 1)

    def _frame(self, lane: _Lane, picture: Picture) -> Frame:
        moment = self._clock.moment_of(picture.taken_at_ns)
        if lane.config.kind is SourceKind.RECORDING:
            fix = lane.fix(picture.media_time_s, moment, self._max_age_s)
        else:
            fix = self._gps.fix(picture.taken_at_ns)
        # The buffer may be shared further down; whoever writes to it shall hear of it at once.
        picture.pixels.setflags(write=False)
        return Frame(lane.config.name, picture.sequence, moment, picture.pixels, fix)


class _Receiver:
    """The newest fix, and when it came."""

    def __init__(self, config: GpsConfig, clock: Clock) -> None:
        self._socket = GpsdSocket(config) if config.gpsd else None
        self._max_age_ns = round(config.max_age_s * _S)
        self._clock = clock
        self._newest: tuple[int, Fix] | None = None

    @property
    def fds(self) -> list[int]:
        fd = self._socket.fileno() if self._socket else None
        return [] if fd is None else [fd]

    @property
    def last_error(self) -> str | None:
        return self._socket.last_error if self._socket else None

    def poll(self, now_ns: int) -> None:
        for fix in self._socket.poll(now_ns) if self._socket else ():
            self._newest = (now_ns, fix)
            self._clock.anchor(fix, now_ns)

    def fix(self, taken_at_ns: int) -> Fix | None:
        if self._newest is None or abs(taken_at_ns - self._newest[0]) > self._max_age_ns:
            return None
        return self._newest[1]

    def close(self) -> None:
        if self._socket:
            self._socket.close()


class _Lane:
    """One camera's place in the bank: its counts, its fixes, and where its pictures come from."""

    def __init__(self, config: CameraConfig) -> None:
        self.config = config
        self._fixes: tuple[TimedFix, ...] = ()
        if config.kind is SourceKind.RECORDING:
            if not config.path.exists():
                raise RecordingUnreadableError(
                    f"camera {config.name}: no such recording; check the path in cameras.source"
                )
            self._fixes = fixes_beside(config.path)
        self.feed: _Feed = _FastReading(config) if config.pace == "fast" else Capture(config)
        self._frames = 0
        self._dropped = 0
        self._last = (0, -1)
        self._told = False

    def take(self) -> Picture | None:
        """Return the feed's next picture and count it, or None.

        Raises RecordingUnreadableError the first time after the feed found its recording broken.
        """
        picture = self.feed.take()
        if picture:
            opening, before = self._last
            if opening != self.feed.openings:
                before = -1
            self._last = (self.feed.openings, picture.sequence)
            self._dropped += picture.sequence - before - 1
            self._frames += 1
        elif self.feed.state is CameraState.UNREADABLE and not self._told:
            self._told = True
            raise RecordingUnreadableError(f"camera {self.config.name}: {self.feed.last_error}")
        return picture

    def status(self) -> CameraStatus:
        return CameraStatus(
            name=self.config.name,
            state=self.feed.state,
            frames=self._frames,
            dropped=self._dropped,
            reopened=max(0, self.feed.openings - 1),
            last_error=self.feed.last_error,
        )

    def fix(self, media_time_s: float | None, moment: Moment, max_age_s: float) -> Fix | None:
        """Return the newest fix of the recording's own at *media_time_s*, none older than *max_age_s*."""
        if media_time_s is None:
            return None
        past = [fix for fix in self._fixes if 0 <= media_time_s - fix.media_time_s <= max_age_s]
        if not past:
            return None
        at = moment.utc - timedelta(seconds=media_time_s - past[-1].media_time_s)
        place = past[-1]
        return Fix(at, place.latitude_deg, place.longitude_deg, place.speed_mps, place.course_deg)


class _Feed(Protocol):
    """Where a lane's pictures come from: a `Capture`, or a `_FastReading`."""

    state: CameraState
    last_error: str | None
    openings: int

    @property
    def fds(self) -> list[int]: ...
    @property
    def over(self) -> bool: ...
    def due_ns(self) -> int | None: ...
    def attend(self, now_ns: int) -> None: ...
    def take(self) -> Picture | None: ...
    def close(self) -> None: ...


class _FastReading:
    """A recording read in this process, picture by picture as they are asked for."""

    def __init__(self, config: CameraConfig) -> None:
        self._source = open_source(config)
        self._pictures = self._source.pictures()
        self.state = CameraState.LIVE
        self.last_error: str | None = None
        self.openings = 1
        self.fds: list[int] = []

    @property
    def over(self) -> bool:
        return self.state is not CameraState.LIVE

    def due_ns(self) -> int | None:
        return None

    def attend(self, now_ns: int) -> None:
        """There is nothing to watch."""

    def take(self) -> Picture | None:
        if self.over:
            return None
        try:
            picture = next(self._pictures, None)
        except RecordingUnreadableError as error:
            self.state, self.last_error = CameraState.UNREADABLE, str(error)
            return None
        if picture is None:
            self.state = CameraState.FINISHED
        return picture

    def close(self) -> None:
        self._source.close()
