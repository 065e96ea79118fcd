"""What the daemon tells the officers' page: values only, replaced by one thread and read by another."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from edge.status import Status
from hotlist_cache.hit import Alert


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything on the board at one moment."""

    version: int = 0
    """Another whenever the alerts are others; says nothing of them."""
    alerts: tuple[Alert, ...] = ()
    """The newest first."""
    status: Status | None = None
    """None until the daemon has told it once."""


class Board:
    """May be used by several threads."""

    def __init__(self) -> None:
        self._shown = Shown()
        self._lock = threading.Lock()

    def put_alerts(self, alerts: Sequence[Alert]) -> None:
        """Show *alerts*, newest first, from now on."""
        with self._lock:
            if (fresh := tuple(alerts)) != self._shown.alerts:
                self._shown = Shown(self._shown.version + 1, fresh, self._shown.status)

    def put_status(self, status: Status) -> None:
        """Show *status* from now on."""
        with self._lock:
            self._shown = Shown(self._shown.version, self._shown.alerts, status)

    def touch(self) -> None:
        """Say that what is shown of an alert is another: somebody has answered on its ladder."""
        with self._lock:
            self._shown = Shown(self._shown.version + 1, self._shown.alerts, self._shown.status)

    @property
    def shown(self) -> Shown:
        """What is on it now."""
        return self._shown
