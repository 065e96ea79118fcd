"""The server's own check of its database: a little at a time, so that everything is looked at once a week."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Engine

from server.audit import Deed, append
from server.check_structure import NO_CHECKSUMS, without_checksums
from server.checking import Checking, Round, begin, keep, last_ended, unfinished
from server.database import reading, writing

SERVER = "server"
WORK = timedelta(seconds=1)
"""Of each call. Called twice a minute, that is some hundred million reads a week."""
_log = structlog.get_logger(__name__)


class WeeklyCheck:
    """Several instances on one database share a round. For one thread each."""

    def __init__(self, engine: Engine, receipt_key: Ed25519PublicKey, every: timedelta) -> None:
        """A round begins when none has ended for *every*."""
        self._engine, self._every = engine, every
        self._checking = Checking(engine, receipt_key)

    def step(self, now: Callable[[], datetime]) -> Round | None:
        """Go on with the round that is due for `WORK`; None if none is due. What is found is logged.

        Raises StoreUnavailableError.
        """
        began = now()
        before = unfinished(self._engine, SERVER)
        if before is None:
            if not self._due(began):
                return None
            before = begin(self._engine, SERVER, began)
        current = before
        while current.ended_at is None:
            current = self._checking.advance(current, now())
            if now() - began >= WORK:
                break
        if not keep(self._engine, before, current):
            return None  # another instance did the same
        for finding in current.findings[len(before.findings) :]:
            _log.error("ALARM: the database is damaged", what=finding.what, which=finding.which)
        if current.ended_at is not None:
            self._end(current)
        return current

    def _due(self, now: datetime) -> bool:
        with reading(self._engine) as connection:
            last = last_ended(connection)
        # A clock that was set back must not put it off for years.
        return last is None or last.ended_at is None or not timedelta(0) <= now - last.ended_at < self._every

    def _end(self, ended: Round) -> None:
        told = {"reads": ended.reads, "unchecked": ended.unchecked, "found": ended.found}
        if not ended.found:
            _log.info("database looked through", **told)
            return
        _log.error("ALARM: the database is damaged", remedy="run `alpr-server check`", **told)
        assert ended.ended_at is not None
        with writing(self._engine) as connection:
            append(connection, Deed(SERVER, "database.check", "refused", detail=told), ended.ended_at)


def warn_of_checksums(engine: Engine) -> None:
    """Say in the log if PostgreSQL keeps no checksums. Raises StoreUnavailableError."""
    if without_checksums(engine):
        _log.warning("no data checksums", remedy=NO_CHECKSUMS)
