"""What goes to the department beside reads: when it may be tried, and what its failures mean.

Nothing that fails is lost: what is delivered stays on the unit, and is tried again when the session says so.
"""

from collections.abc import Callable
from datetime import datetime

import structlog

from sync.errors import ReceiptInvalidError, RefusedError, UnreachableError
from sync.session import Session

_FORBIDDEN = 403

log = structlog.get_logger(__name__)


class Delivery:
    """Of one kind of thing, in the upload thread. Its session lends its waits and is given no batch."""

    def __init__(self, session: Session, what: str, clock: Callable[[], datetime]) -> None:
        """*what* is what a technician calls it; *clock* gives aware UTC."""
        self.fault = ""
        """Why the department does not take it, for the technician; empty while it does, or is away."""
        self._session = session
        self._what = what
        self._clock = clock

    @property
    def failing(self) -> bool:
        """Whether the last exchange brought nothing."""
        return self._session.failures > 0

    @property
    def due(self) -> bool:
        """Whether it may be tried now."""
        return self._session.wants_batch(self._clock())

    def hurry(self) -> None:
        """Forget the present wait: the drive is over, or the link has come up."""
        self._session.hurry()

    def attempt(self, exchange: Callable[[], None]) -> bool:
        """Call *exchange*, which raises RefusedError, UnreachableError, ReceiptInvalidError, or OSError where
        the unit cannot note what the department said; return whether it went well."""
        try:
            exchange()
        except RefusedError as error:
            self._failed("refused", str(error))
            # The same fares no better before a person has seen to it: it waits as a refused unit does,
            # whatever the status.
            self._session.refused(RefusedError(str(error), status=_FORBIDDEN), self._clock())
        except UnreachableError as error:
            log.warning("delivery.failed", what=self._what, why=str(error), failures=self._session.failures)
            self._session.failed(error, self._clock())
        except ReceiptInvalidError as error:
            self._failed("receipt_invalid", str(error))
            self._session.failed(error, self._clock())
        except OSError as error:
            # The department has it and the unit cannot note so: it is sent again, which changes nothing.
            self._failed("not_noted", f"the department's receipt cannot be kept ({error.strerror})")
            self._session.failed(UnreachableError(self.fault), self._clock())
        else:
            self.fault = ""
            self._session.failures = 0
            self._session.hurry()
            return True
        return False

    def _failed(self, event: str, why: str) -> None:
        self.fault = f"{self._what}: {why}"
        log.error(f"delivery.{event}", what=self._what, why=why)
