"""Words to systemd (sd_notify): ready, alive, stopping, and a line for `systemctl status`.

The protocol is one datagram of KEY=VALUE lines to the socket named in NOTIFY_SOCKET; see sd_notify(3).
"""

import os
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self


class Notifier:
    """The service's end of systemd's notification socket; does nothing where there is none.

    A message that cannot be delivered is not an error of the daemon: it is counted in `failures`, and the
    watchdog, missing its sign of life, acts. Not thread-safe.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from *environment* (`os.environ`)."""
        self.failures = 0
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A full queue at the other end must never hold up the daemon.
            self._socket.setblocking(False)
        self.watchdog_interval_s = _watchdog_interval_s(environment)
        """Call `watchdog()` this often: half of systemd's limit (sd_watchdog_enabled(3)). None: never."""

    def ready(self, status: str = "") -> None:
        """The daemon is up: what is ordered after it may start."""
        self._send("READY=1", status)

    def watchdog(self) -> None:
        """The daemon is alive. To be sent only by whoever has seen every thread make progress."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> None:
        """The daemon has begun to shut down."""
        self._send("STOPPING=1", status)

    def status(self, text: str) -> None:
        """Show *text*, one line without plate or place, in `systemctl status`."""
        self._send("", text)

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the socket back."""
        self.close()

    def _send(self, state: str, status: str = "") -> None:
        if self._socket is None:
            return
        # A line break in a status would be taken as the next KEY=VALUE.
        lines = [state] if state else []
        if status:
            lines.append("STATUS=" + " ".join(status.split()))
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            self.failures += 1


def _address(name: str) -> str:
    """The socket's address as Python wants it; "" for none, and for kinds (vsock) a car does not have."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else ""


def _watchdog_interval_s(environment: Mapping[str, str]) -> float | None:
    limit_us = environment.get("WATCHDOG_USEC", "")
    if not limit_us.isdecimal() or int(limit_us) == 0:
        return None
    # Set for another process: children inherit the variable and must not answer in our place.
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit_us) / 2 / 1e6
