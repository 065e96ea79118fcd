"""A slow link for the benchmarks: a port on loopback that passes on so many bits a second."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_PIECE_BYTES = 8192
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Link:
    """Where to connect, and what has gone through."""

    port: int
    carried: Callable[[], int]
    """Bytes that came from the far side so far."""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def slow_link(to_port: int, mbit: float, *, port: int = 0) -> Iterator[Link]:
    """Give a link to *to_port* of this machine over which *mbit* million bits a second come back, for all
    connections together. *port* is where it is; 0: a free one."""
    pace = _Pace(mbit * 1e6 / 8)
    ending = threading.Event()
    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.settimeout(_LOOK_S)
        accepting = threading.Thread(target=_accept, args=(listening, to_port, pace, ending))
        accepting.start()
        try:
            yield Link(int(listening.getsockname()[1]), lambda: pace.carried)
        finally:
            ending.set()
            accepting.join()


class _Pace:
    """Lets bytes pass at a rate, whichever connection they are of."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self._lock = threading.Lock()
        self.carried = 0

    def pass_on(self, count: int) -> float:
        """Return how many seconds *count* bytes have to wait."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._bytes_per_s
            self.carried += count
            return self._free_at - now


def _accept(listening: socket.socket, to_port: int, pace: _Pace, ending: threading.Event) -> None:
    threads: list[threading.Thread] = []
    while not ending.is_set():
        try:
            near, _ = listening.accept()
        except TimeoutError:
            continue
        thread = threading.Thread(target=_carry, args=(near, to_port, pace, ending))
        thread.start()
        threads = [each for each in threads if each.is_alive()] + [thread]
    for thread in threads:
        thread.join()


def _carry(near: socket.socket, to_port: int, pace: _Pace, ending: threading.Event) -> None:
    with near, suppress(OSError), socket.create_connection(("127.0.0.1", to_port)) as far:
        near.settimeout(30)
        while not ending.is_set():
            ready, _, _ = select.select([near, far], [], [], _LOOK_S)
            for side in ready:
                piece = side.recv(_PIECE_BYTES)
                if not piece:
                    return
                if side is far:
                    ending.wait(pace.pass_on(len(piece)))
                (near if side is far else far).sendall(piece)
