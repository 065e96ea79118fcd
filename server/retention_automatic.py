"""Purges that the server does by itself, by an approved rule that says so: a law with a ceiling of minutes
leaves no time for two persons at each.

Only reads that are no hits go so, only what no legal hold keeps, and only while the server's clock is to be
believed (retention_clock). Each day on which something went has its purge on record and its signed
certificate.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, func, insert, not_, select

from server.audit import Deed, append
from server.database import reading, writing
from server.holds import held, refresh
from server.pictures import outstanding
from server.purge_book import RUNNING, START, certify, set_purge
from server.retention import STEP_READS, take
from server.retention_clock import ClockDoubtfulError, PurgeClock, believe, clock_in, keep, overdue
from server.retention_plan import is_hit
from server.retention_rules import rule_in_force
from server.retention_values import Rule
from server.tables import purges, reads

SELDOMEST = timedelta(hours=1)
MOST_STEPS = 40
"""In one call: at each shutdown it is waited for."""
_log = structlog.get_logger(__name__)


class AutomaticPurge:
    """Purges by the rule in force, if it says so. Of one thread."""

    def __init__(self, engine: Engine, key: Ed25519PrivateKey) -> None:
        """*key* signs the certificates."""
        self._engine = engine
        self._key = key
        self._more = False

    def step(self, now: datetime, wait: Callable[[float], object], clock: Callable[[], datetime]) -> int:
        """Destroy what is due at *now*; return how many reads went.

        To be called often: it does nothing while nothing can be due. *wait* is called with seconds after each
        short transaction, as long as it took by *clock*, so that units hand in meanwhile. A clock that is not
        believed is logged, on record and shown, and nothing goes.
        Raises RetentionRefusedError if a hold cannot be read, StoreUnavailableError.
        """
        with reading(self._engine) as connection:
            rule = rule_in_force(connection, now)
            known = clock_in(connection)
            open_one = _open_one(connection)
        if rule is None or not rule.purges_by_itself:
            if open_one is not None:
                self._end(now)
            return 0
        pause = min(SELDOMEST, rule.rules.others / 6)
        rests = known is not None and not known.refused and timedelta() <= now - known.at < pause
        if rests and not self._more and _is_of(open_one, rule, now):
            return 0
        if not self._believed(rule, now):
            return 0
        if not _is_of(open_one, rule, now):
            self._end(now)
        gone = 0
        for _ in range(MOST_STEPS):
            began = clock()
            count = self._take(rule, now)
            gone += count
            self._more = count == STEP_READS
            if not self._more:
                break
            wait(max(0.0, (clock() - began) / timedelta(seconds=1)))
        return gone

    def _believed(self, rule: Rule, now: datetime) -> bool:
        with writing(self._engine) as connection:
            known = clock_in(connection)
            try:
                keep(connection, believe(connection, now, rule.effective_at))
            except ClockDoubtfulError as error:
                why = str(error)
                if known is None or known.refused != why:
                    _log.error("nothing is purged", why=why, remedy="alpr-server retention confirm-clock")
                    detail = {"rule": rule.rule_id, "why": why}
                    append(connection, Deed("server", "purge.automatic", "refused", detail=detail), now)
                    # Up to when it was believed stays: a wrong clock must not become its own witness.
                    at = rule.effective_at if known is None else known.at
                    assert at is not None
                    keep(connection, PurgeClock(at, None if known is None else known.witnessed_at, why))
                return False
        return True

    def _take(self, rule: Rule, now: datetime) -> int:
        before = now - rule.rules.others
        # Looked for without the lock: years of hits, which stay, may be older than what is due.
        with reading(self._engine) as connection:
            found = connection.execute(
                select(reads.c.read_id, reads.c.settled_at)
                .where(_ripe(connection, before, now))
                .order_by(reads.c.settled_at, reads.c.read_id)
                .limit(STEP_READS)
            ).all()
        if not found:
            return 0
        with writing(self._engine) as connection:
            # Asked again under the lock: it may have been stopped, or a hold placed, a moment ago.
            current = rule_in_force(connection, now)
            if current is None or current.rule_id != rule.rule_id or not current.purges_by_itself:
                return 0
            refresh(connection)
            ripe = and_(
                reads.c.read_id.in_([each.read_id for each in found]),
                reads.c.settled_at.between(found[0].settled_at, found[-1].settled_at),
                _ripe(connection, before, now),
            )
            if connection.execute(select(reads.c.read_id).where(ripe).limit(1)).first() is None:
                return 0
            row = _open_one(connection) or _begin(connection, rule, now)
            set_purge(connection, row.purge_id, others_before=before)
            return take(connection, row, ripe, now, STEP_READS)

    def _end(self, now: datetime) -> None:
        """Sign the certificate of the day that is over."""
        with writing(self._engine) as connection:
            row = _open_one(connection)
            # A day's certificate says that its pictures are gone too: it waits for the sweep.
            if row is None or outstanding(connection):
                return
            refresh(connection)
            kept = connection.execute(
                select(func.count())
                .select_from(reads)
                .where(overdue(connection, row.others_before, now), not_(is_hit()), held(connection))
            ).scalar_one()
            certify(connection, row, self._key, now, kept)


def _ripe(connection: Connection, before: datetime, now: datetime) -> ColumnElement[bool]:
    return and_(overdue(connection, before, now), not_(is_hit()), not_(held(connection)))


def _is_of(row: Row[Any] | None, rule: Rule, now: datetime) -> bool:
    """Whether what goes now belongs to the purge that is open; true if none is."""
    return row is None or (row.rule_id == rule.rule_id and row.asked_at.date() == now.date())


def _open_one(connection: Connection) -> Row[Any] | None:
    return connection.execute(
        select(purges).where(purges.c.state == RUNNING, purges.c.rule_id.is_not(None))
    ).first()


def _begin(connection: Connection, rule: Rule, now: datetime) -> Row[Any]:
    approved = rule.approved
    assert approved is not None
    result = connection.execute(
        insert(purges).values(
            state=RUNNING,
            reference=rule.reference,
            asked_by=rule.proposed_by,
            asked_at=now,
            approved_by=approved.done_by,
            approved_at=approved.done_at,
            others_before=now - rule.rules.others,
            hits_before=now - rule.rules.hits,
            chain=START,
            rule_id=rule.rule_id,
        )
    )
    assert result.inserted_primary_key is not None
    purge_id = int(result.inserted_primary_key[0])
    append(connection, Deed("server", "purge.begin", detail={"purge": purge_id, "rule": rule.rule_id}), now)
    return connection.execute(select(purges).where(purges.c.purge_id == purge_id)).one()
