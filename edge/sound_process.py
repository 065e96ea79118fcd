"""One `aplay` or `espeak-ng` at work: fed from memory, never waited for.

Input and output are memory files (memfd): no plate appears in a process list or on a disk, and no pipe can
fill up and block.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

_STOP_WAIT_S = 0.02


class SoundFailedError(Exception):
    """The device or the synthesiser did not do its work: take the next best way to tell the officer."""


class SoundProcess:
    """A child process with something to read, a deadline, and possibly something to give back."""

    def __init__(self, command: Sequence[str], given: bytes, timeout_s: float) -> None:
        """Start *command* with *given* as its standard input.

        Raises SoundFailedError if it cannot be started.
        """
        self._name = command[0]
        self._deadline_ns = time.monotonic_ns() + int(timeout_s * 1e9)
        self._output = _memory(b"")
        self._complaint = _memory(b"")
        try:
            with _memory(given) as source:
                self._process = subprocess.Popen(
                    command, stdin=source, stdout=self._output, stderr=self._complaint
                )
        except OSError as error:
            self._close_files()
            raise SoundFailedError(f"{self._name} cannot be started: {error.strerror}") from error

    def outcome(self) -> bytes | None:
        """What it wrote to its standard output once it has done its work; None while it is at it.

        Not to be called again after it gave bytes or raised. Raises SoundFailedError if it ended badly, or
        has not ended in time; it is then stopped.
        """
        code = self._process.poll()
        if code is None:
            if time.monotonic_ns() <= self._deadline_ns:
                return None
            self.stop()
            raise SoundFailedError(f"{self._name} hangs")
        written = _contents(self._output)
        complaint = _contents(self._complaint).decode(errors="replace").strip().splitlines()
        self._close_files()
        if code != 0:
            raise SoundFailedError(f"{self._name}: {complaint[-1] if complaint else f'ended with {code}'}")
        return written

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended, or *timeout_s* is over."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=timeout_s)

    def stop(self) -> None:
        """End it now: SIGTERM first, because aplay then gives the device back in good order."""
        self._process.terminate()
        self.wait(_STOP_WAIT_S)
        if self._process.poll() is None:
            self._process.kill()
        self._close_files()

    @property
    def gone(self) -> bool:
        """Whether the system has taken a stopped process away; a driver can hold it for a while."""
        return self._process.poll() is not None

    def _close_files(self) -> None:
        self._output.close()
        self._complaint.close()


def _memory(data: bytes) -> IO[bytes]:
    """A file that exists in memory alone, holding *data*, to be read from its beginning."""
    file = os.fdopen(os.memfd_create("alert"), "w+b", buffering=0)
    file.write(data)
    file.seek(0)
    return file


def _contents(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
