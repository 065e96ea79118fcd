"""The child process in which a model pack is tried, as the daemon sees it: started, asked, ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edge.pack_trial import PASSED

TRIAL_LIMIT_S = 300.0
"""A Pi 4 that reads two cameras takes less than a minute for the pack of the program."""
_MOST_SAID = 400
"""Characters kept of why a pack did not pass."""


def trial_command(folder: Path) -> Sequence[str]:
    """Return what tries the pack in *folder*."""
    return [sys.executable, "-m", "edge.pack_trial", str(folder)]


class Trial:
    """One trial of one pack. One thread at a time."""

    def __init__(self, command: Sequence[str], limit_s: float) -> None:
        """Start *command*. Raises OSError if that cannot be done."""
        self._limit_s = limit_s
        # In memory: what the child writes must be neither waited for nor left behind.
        self._output = os.memfd_create("trial")
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.DEVNULL
            )
        except OSError:
            os.close(self._output)
            raise
        self._deadline_ns = time.monotonic_ns() + int(limit_s * 1e9)

    def outcome(self) -> str | None:
        """Return why the pack is unfit, "" if it passed, None while the trial goes on. Not to be called again
        after an answer."""
        code = self._process.poll()
        if code is None:
            if time.monotonic_ns() <= self._deadline_ns:
                return None
            self.stop()
            return f"its trial did not end within {self._limit_s:.0f} s"
        lines = os.pread(self._output, 1 << 16, 0).decode("utf-8", "replace").split("\n")
        os.close(self._output)
        said = lines[-2] if len(lines) > 1 else ""
        if code == 0 and said == PASSED:
            return ""
        if code < 0:
            return f"its trial was ended by {_signal_name(-code)}"
        clean = "".join(c if c.isprintable() else " " for c in said)[:_MOST_SAID]
        return clean if clean and said != PASSED else f"its trial ended with {code} and no answer"

    def stop(self) -> None:
        """End it now; nothing is known of the pack then."""
        self._process.kill()
        self._process.wait()
        os.close(self._output)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
