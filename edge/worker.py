"""A thread of the daemon, with a sign of life."""

import threading
from collections.abc import Callable

import structlog

from edge.logs import describe

log = structlog.get_logger(__name__)


class Worker:
    """A thread with a sign of life."""

    def __init__(self, name: str, body: Callable[["Worker"], None], limit_s: float) -> None:
        """*limit_s*: without a beat for so long the thread counts as stuck and the watchdog is not fed."""
        self.name = name
        self.limit_s = limit_s
        self.failure = ""
        self.beat_ns = 0
        self._body = body
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; return whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._body(self)
        except Exception as error:  # noqa: BLE001  # a thread's top: told here, acted on by the main thread
            self.failure = type(error).__name__
            log.error("thread.failed", thread=self.name, why=describe(error))
