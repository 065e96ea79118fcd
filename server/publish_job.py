"""What takes a minute and was asked for on a page: done in a thread of its own, one at a time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from hotlist_cache.errors import HotlistError
from server.errors import HotlistRefusedError, ServerError

SOON_S = 1.5
"""So long a page waits: a short list is published by then, and its outcome is shown at once."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One of them."""

    what: str
    """As in "the list"."""
    asked_by: str
    asked_at: datetime
    """Aware UTC."""
    outcome: str = ""
    """What a person is told of its end; empty: it is not over."""
    failed: bool = False


class PublishJob:
    """The job at hand, or the last one. May be used by several threads; gone with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._thread: threading.Thread | None = None

    @property
    def job(self) -> Job | None:
        """The job at hand, or the last one."""
        return self._job

    def start(self, job: Job, deed: Callable[[], str]) -> None:
        """Begin *deed*, which returns what a person is told, and wait a moment for its end.

        Raises HotlistRefusedError if one is at hand: nothing is begun then.
        """
        with self._lock:
            if self._job is not None and not self._job.outcome:
                raise HotlistRefusedError(
                    f"{self._job.what} is being made, as {self._job.asked_by} asked: wait until it is done"
                )
            self._job = job
            thread = threading.Thread(target=self._do, args=(job, deed), name="publish")
            self._thread = thread
            thread.start()
        thread.join(SOON_S)

    def wait(self) -> None:
        """Wait until nothing is at hand."""
        if self._thread is not None:
            self._thread.join()

    def _do(self, job: Job, deed: Callable[[], str]) -> None:
        try:
            self._job = replace(job, outcome=deed())
        except (ServerError, HotlistError) as error:
            _log.warning("not published", what=job.what, why=str(error))
            self._job = replace(job, outcome=str(error), failed=True)
        except Exception:  # noqa: BLE001  # the top of a thread
            # Else the page would say for ever that a list is being made.
            _log.exception("not published", what=job.what)
            self._job = replace(job, outcome="it failed: see the server's log", failed=True)
