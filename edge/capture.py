"""One live camera's process: started, watched, killed when it hangs, started again."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import numpy as np

import camera
from camera.child import EXIT_ENDED, EXIT_UNREADABLE
from camera.config import CameraConfig, SourceKind
from camera.ring import RingReader
from camera.source import Picture

SYSTEM_PYTHON = "/usr/bin/python3"
"""Where the system's packages, picamera2 among them, can be imported."""

_FOLDER = Path(camera.__file__).parent
_S = 1_000_000_000
_TERM_NS = _S // 4
"""What a process is given to end by itself; a stopped or hung one never does."""
_ENDING_NS = 2 * _S
_LONGEST_ERROR = 200


class CameraState(StrEnum):
    """How a camera stands, in the officer's words."""

    OPENING = "opening"
    LIVE = "live"
    LOST = "lost"
    """No pictures; it is opened again after a wait."""
    FINISHED = "finished"
    """A recording that was read to its end."""
    UNREADABLE = "unreadable"
    """A recording that cannot be read; it is not tried again."""


class Capture:
    """The process of one live camera, and the ring it writes into. Waits for nothing; for one thread.

    `attend` does whatever is due and must be called whenever a descriptor of `fds` can be read, and
    at `due_ns` at the latest. The child dies with the thread that called `attend` (prctl(2), PDEATHSIG).
    """

    def __init__(self, config: CameraConfig) -> None:
        """Starts nothing yet: the first `attend` does."""
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._ring: RingReader | None = None
        self._started_ns = 0
        self._news_ns: int | None = None
        self._open_at_ns = 0
        self._kill_at_ns: int | None = None
        self._wait_s = 0.0
        self._stderr = b""
        self._ever_live = False
        self.openings = 0
        self.state = CameraState.OPENING
        self.last_error: str | None = None
        """Why the camera was lost the last time, in one line without its address."""

    @property
    def fds(self) -> list[int]:
        """The descriptors whose readability means that `attend` has something to do."""
        found = [] if self._pidfd is None else [self._pidfd]
        if self._process and self._process.stderr and not self._process.stderr.closed:
            found.append(self._process.stderr.fileno())
        if self._ring and not self._ring.ended:
            found.append(self._ring.wake_fd)
        return found

    @property
    def over(self) -> bool:
        """True if no picture will come any more, and none waits."""
        gone = self.state in (CameraState.FINISHED, CameraState.UNREADABLE)
        return gone and not (self._ring and self._ring.waiting)

    def due_ns(self) -> int | None:
        """When `attend` has something to do even if nothing can be read; None if never."""
        if self.state in (CameraState.FINISHED, CameraState.UNREADABLE):
            return None
        if self._process is None:
            return self._open_at_ns
        return self._stalled_at_ns() if self._kill_at_ns is None else self._kill_at_ns

    def attend(self, now_ns: int) -> None:
        """Start, notice pictures, or end the process, whichever is due at *now_ns* (CLOCK_MONOTONIC)."""
        if self._process is None:
            if self.state in (CameraState.OPENING, CameraState.LOST) and now_ns >= self._open_at_ns:
                self._start(now_ns)
            return
        self._read_stderr()
        # First what arrived, then the clock: a caller that was busy for long must not take the
        # pictures that wait for it as a stall.
        if self._ring and self._ring.drain():
            self._news_ns = now_ns
            if self._kill_at_ns is None:
                self.state = CameraState.LIVE
                self._ever_live = True
        if self._process.poll() is not None:
            self._ended(self._process.returncode, now_ns)
        elif self._kill_at_ns is not None:
            if now_ns >= self._kill_at_ns:
                # A process in an uninterruptible driver call outlives even this until the driver lets it
                # go; the device would be busy for a second opening, so its end is waited for.
                self._process.kill()
                self._kill_at_ns = now_ns + _TERM_NS
        elif self._ring and self._ring.ended:
            self._kill_at_ns = now_ns + _ENDING_NS
        elif now_ns >= self._stalled_at_ns():
            seconds = self._config.open_timeout_s if self._news_ns is None else self._config.stall_timeout_s
            self.last_error = f"no picture for {seconds:g} s; the camera or its driver hangs"
            self.state = CameraState.LOST
            self._process.terminate()
            self._kill_at_ns = now_ns + _TERM_NS

    def take(self) -> Picture | None:
        """Return the newest picture, each once; None if there is none."""
        taken = self._ring.take() if self._ring else None
        if taken is None:
            return None
        pixels = np.frombuffer(taken.pixels, np.uint8).reshape(taken.height_px, taken.width_px, 3)
        return Picture(taken.sequence, taken.taken_at_ns, pixels, taken.media_time_s)

    def close(self) -> None:
        """Kill the process and wait for it, five seconds at most."""
        if self._process:
            self._process.kill()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self.last_error = "the camera's driver does not let go of it; restart the unit"
        self._let_go()

    def _stalled_at_ns(self) -> int:
        if self._news_ns is None:
            return self._started_ns + round(self._config.open_timeout_s * _S)
        return self._news_ns + round(self._config.stall_timeout_s * _S)

    def _start(self, now_ns: int) -> None:
        self._let_go()
        self._started_ns, self._news_ns, self._stderr = now_ns, None, b""
        self.openings += 1
        try:
            self._spawn()
        except OSError as error:
            self.close()
            self._lose(f"its process cannot be started: {error.strerror}", now_ns)

    def _spawn(self) -> None:
        self._ring = RingReader()
        ring_fd, wake_fd = self._ring.writer_fds
        program, environment = _program(self._config)
        self._process = subprocess.Popen(
            [*program, f"--ring={ring_fd}", f"--wake={wake_fd}", f"--parent={os.getpid()}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(ring_fd, wake_fd),
            env=environment,
            # A Ctrl-C in the terminal is for the unit, which ends its children itself.
            start_new_session=True,
        )
        self._ring.handed_over()
        self._pidfd = os.pidfd_open(self._process.pid)  # can be read when the process ends
        assert self._process.stdin and self._process.stderr
        os.set_blocking(self._process.stderr.fileno(), False)
        # Shorter than a pipe holds, so this cannot wait; a child that died at once is noticed by `poll`.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(dataclasses.asdict(self._config)).encode())
            self._process.stdin.close()
        self._process.stdin = None

    def _read_stderr(self) -> None:
        if not self._process or not self._process.stderr or self._process.stderr.closed:
            return
        while said := self._process.stderr.read(4096):
            self._stderr = (self._stderr + said)[-4096:]
        if said == b"":
            self._process.stderr.close()

    def _ended(self, status: int, now_ns: int) -> None:
        self._read_stderr()
        if self._ring:
            self._ring.drain()
        self._release_process()
        stopped = self._kill_at_ns is not None and self.state is CameraState.LOST
        reason = self._last_line() or _end(status)
        if stopped:
            self._lose(self.last_error or reason, now_ns)
        elif status == EXIT_ENDED and self._config.kind is SourceKind.RECORDING:
            self.state = CameraState.FINISHED
        elif status == EXIT_UNREADABLE and (not self._ever_live or self._config.path.exists()):
            self.state, self.last_error = CameraState.UNREADABLE, reason
        else:
            self._lose(reason, now_ns)

    def _last_line(self) -> str:
        lines = self._stderr.decode(errors="replace").split("\n")
        return next((line.strip()[:_LONGEST_ERROR] for line in reversed(lines) if line.strip()), "")

    def _lose(self, reason: str, now_ns: int) -> None:
        ran_s = (now_ns - self._started_ns) / _S
        first_s, longest_s = self._config.reopen_first_s, self._config.reopen_max_s
        # A camera that ran for longer than the longest wait is a sound one that failed anew.
        self._wait_s = first_s if ran_s > longest_s else min(longest_s, self._wait_s * 2 or first_s)
        self._open_at_ns = now_ns + round(self._wait_s * _S)
        self.state, self.last_error = CameraState.LOST, reason

    def _release_process(self) -> None:
        if self._process:
            for stream in (self._process.stdin, self._process.stderr):
                if stream:
                    stream.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        self._process = self._pidfd = None

    def _let_go(self) -> None:
        self._release_process()
        self._kill_at_ns = None
        if self._ring:
            self._ring.close()
            self._ring = None


def _program(config: CameraConfig) -> tuple[list[str], dict[str, str]]:
    """Which program opens this camera, and its environment."""
    if config.kind is SourceKind.PICAMERA2:
        quiet = {"LIBCAMERA_LOG_LEVELS": "*:ERROR"}
        return [SYSTEM_PYTHON, "-P", str(_FOLDER / "picamera.py")], {**os.environ, **quiet}
    # The libraries would write addresses into the log, passwords included.
    quiet = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
    path = os.pathsep.join(filter(None, [str(_FOLDER.parent), os.environ.get("PYTHONPATH")]))
    return [sys.executable, "-m", "camera.child"], {**os.environ, **quiet, "PYTHONPATH": path}


def _end(status: int) -> str:
    return f"its process ended with status {status}" if status >= 0 else f"its process was killed ({-status})"
