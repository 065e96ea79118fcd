"""Look at everything that the database holds, once, in steps, beside a server that runs.

    structure   pages, tables, indexes                                            `check_structure`
    reads       each with its hits, pictures, batch and unit, and its indexes     `check_reads`
    batches     each row, and the receipt that was given for it
    counts      as many reads as the batches brought and no purge took
    access log  its chain
    unit logs   chain and signatures of each, and what was taken out of its entries

A round's place is kept in `checks`, so that one that was cut off goes on. What it finds names ids alone.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from server.audit import AuditHead, verify
from server.check_reads import look
from server.check_structure import structure
from server.check_values import Finding, UnreadableError, asked
from server.database import reading, writing
from server.errors import AuditBrokenError, SettingsInvalidError
from server.integrity import batch_digest, batch_fits
from server.pictures import Fetch
from server.tables import batches, checks, purges, reads, unit_log_entries, units
from server.unit_logs import verified_logs
from sync.access_log import LogRecord, read_entry
from sync.batch import read_receipt
from sync.errors import SyncError

PHASES = ("structure", "reads", "batches", "counts", "access log", "unit logs")
MOST_KEPT = 1000
"""Findings of a round that are kept; more are counted."""
_STEP_BATCHES, _STEP_ENTRIES = 200, 2000


@dataclass(frozen=True, slots=True)
class Round:
    """How far one look at everything is, and what it found."""

    check_id: int
    """0: it is kept nowhere."""
    begun_by: str
    begun_at: datetime
    ended_at: datetime | None = None
    phase: str = PHASES[0]
    after: str | None = None
    """Where in the phase the next step begins."""
    reads: int = 0
    unchecked: int = 0
    """Reads of before there were digests."""
    found: int = 0
    findings: tuple[Finding, ...] = ()
    """At most `MOST_KEPT`."""

    @property
    def place(self) -> str:
        """As it is kept."""
        return json.dumps([self.phase, self.after])


@dataclass(frozen=True, slots=True)
class Checking:
    """How to look. May be used by several threads."""

    engine: Engine
    receipt_key: Ed25519PublicKey
    thorough: bool = False
    """Also ask SQLite about a large file as a whole, which keeps units waiting."""
    adopt: Fetch | None = None
    """Given, reads and batches of before get digests of what they are now."""

    def advance(self, current: Round, now: datetime) -> Round:
        """Do one step of some milliseconds, but for the first; `ended_at` is set by the last one.

        Raises StoreUnavailableError: then the same step is done again later.
        """
        after, findings, seen, unchecked = self._step(current)
        place = PHASES.index(current.phase)
        ended = after is None and place == len(PHASES) - 1
        kept = (*current.findings, *findings)[:MOST_KEPT]
        return replace(
            current,
            phase=current.phase if after is not None or ended else PHASES[place + 1],
            after=after,
            reads=current.reads + seen,
            unchecked=current.unchecked + unchecked,
            found=current.found + len(findings),
            findings=kept,
            ended_at=now if ended else None,
        )

    def _step(self, current: Round) -> tuple[str | None, list[Finding], int, int]:
        match current.phase:
            case "structure":
                return None, structure(self.engine, thorough=self.thorough), 0, 0
            case "reads":
                looked = look(self.engine, current.after, adopt=self.adopt)
                return looked.after, list(looked.findings), looked.reads, looked.unchecked
            case "batches":
                return (*self._guarded(lambda c: self._batches(c, current.after), "batches"), 0, 0)
            case "counts":
                return (*self._guarded(_counts, "batches and purges"), 0, 0)
            case "access log":
                return (*self._guarded(lambda c: _access_log(c, current.after), "the access log"), 0, 0)
            case _:
                return (*self._unit_log(current.after), 0, 0)

    def _guarded(
        self, question: Callable[[Connection], tuple[str | None, list[Finding]]], what: str
    ) -> tuple[str | None, list[Finding]]:
        try:
            found = asked(self.engine, question)
        except UnreadableError as error:
            return None, [Finding(f"{what} cannot be gone through", str(error))]
        return found

    def _batches(self, connection: Connection, after: str | None) -> tuple[str | None, list[Finding]]:
        wanted = select(batches).order_by(batches.c.batch_id).limit(_STEP_BATCHES)
        rows = connection.execute(wanted if after is None else wanted.where(batches.c.batch_id > after)).all()
        findings = [Finding(problem, row.batch_id) for row in rows if (problem := self._problem(row))]
        # A page in another's place must not lead in a circle.
        on = bool(rows) and (after is None or rows[-1].batch_id > after)
        return rows[-1].batch_id if on else None, findings

    def _problem(self, row: Row[Any]) -> str:
        if row.row_digest is not None and not batch_fits(row):
            return "batch is not as it was taken"
        try:
            receipt = read_receipt(row.receipt, self.receipt_key)
        except SyncError:
            return "receipt of a batch is not signed by the department"
        told = (receipt.batch_id, receipt.unit_id, receipt.digest, receipt.reads)
        return (
            "" if told == (row.batch_id, row.unit_id, row.digest, row.reads) else "receipt of another batch"
        )

    def _unit_log(self, after: str | None) -> tuple[str | None, list[Finding]]:
        def next_unit(connection: Connection) -> str | None:
            wanted = select(func.min(units.c.unit_id))
            found = connection.execute(wanted if after is None else wanted.where(units.c.unit_id > after))
            return found.scalar()

        unit_id = None
        try:
            unit_id = asked(self.engine, next_unit)
            if unit_id is None or (after is not None and unit_id <= after):
                return None, []
            asked(self.engine, lambda _: verified_logs(self.engine, unit_id))
            altered = asked(self.engine, lambda connection: _altered_entries(connection, unit_id))
        except AuditBrokenError as error:
            return unit_id, [Finding("access log of a unit is broken", f"{unit_id}: {error}")]
        except (UnreadableError, SettingsInvalidError, SyncError) as error:
            which = f"{unit_id}: {type(error).__name__}"
            return unit_id, [Finding("access log of a unit cannot be gone through", which)]
        return unit_id, altered


def examine(checking: Checking, now: datetime, told: Callable[[Round], None] = lambda _: None) -> Round:
    """Return a whole round, kept nowhere; *told* is given each step. Raises StoreUnavailableError."""
    current = Round(0, "", now)
    while current.ended_at is None:
        current = checking.advance(current, now)
        told(current)
    if checking.adopt is not None and not current.found:
        adopt_batches(checking.engine)
    return current


def adopt_batches(engine: Engine) -> None:
    """Give batches of before a digest, where each of their reads has one. Raises StoreUnavailableError."""
    with writing(engine) as connection:
        lacking = set(
            connection.execute(
                select(reads.c.batch_id).where(reads.c.row_digest.is_(None)).distinct()
            ).scalars()
        )
        for row in connection.execute(select(batches).where(batches.c.row_digest.is_(None))).all():
            if row.batch_id not in lacking:
                its_own = batches.c.batch_id == row.batch_id
                connection.execute(update(batches).where(its_own).values(row_digest=batch_digest(row)))


def begin(engine: Engine, by: str, now: datetime) -> Round:
    """Return a new round, which is kept. Raises StoreUnavailableError."""
    current = Round(0, by, now)
    with writing(engine) as connection:
        made = connection.execute(insert(checks).values(begun_by=by, begun_at=now, **_kept(current)))
    [check_id] = made.inserted_primary_key or (0,)
    return replace(current, check_id=int(check_id))


def keep(engine: Engine, before: Round, after: Round) -> bool:
    """Keep how far a round is; whether it was still where *before* says: another instance may be faster.

    Raises StoreUnavailableError.
    """
    its_own = (
        checks.c.check_id == before.check_id,
        checks.c.place == before.place,
        checks.c.ended_at.is_(None),
    )
    with writing(engine) as connection:
        return connection.execute(update(checks).where(*its_own).values(**_kept(after))).rowcount == 1


def unfinished(engine: Engine, by: str) -> Round | None:
    """Return the newest round begun by *by*, if it has not ended. Raises StoreUnavailableError."""
    with reading(engine) as connection:
        newest = select(checks).where(checks.c.begun_by == by).order_by(checks.c.check_id.desc()).limit(1)
        row = connection.execute(newest).first()
    return None if row is None or row.ended_at is not None else _round(row)


def last_ended(connection: Connection) -> Round | None:
    """Return the round that ended last."""
    ended = select(checks).where(checks.c.ended_at.is_not(None)).order_by(checks.c.ended_at.desc()).limit(1)
    row = connection.execute(ended).first()
    return None if row is None else _round(row)


def _kept(current: Round) -> dict[str, Any]:
    return {
        "ended_at": current.ended_at,
        "place": current.place,
        "reads": current.reads,
        "unchecked": current.unchecked,
        "found": current.found,
        "findings": json.dumps([[each.what, each.which] for each in current.findings]),
    }


def _round(row: Row[Any]) -> Round:
    phase, after = json.loads(row.place)
    return Round(
        row.check_id,
        row.begun_by,
        row.begun_at,
        row.ended_at,
        phase,
        after,
        row.reads,
        row.unchecked,
        row.found,
        tuple(Finding(what, which) for what, which in json.loads(row.findings)),
    )


def _counts(connection: Connection) -> tuple[None, list[Finding]]:
    held = connection.execute(select(func.count()).select_from(reads)).scalar_one()
    came = connection.execute(select(func.sum(batches.c.reads - batches.c.already_held))).scalar() or 0
    went = connection.execute(select(func.sum(purges.c.others + purges.c.hits))).scalar() or 0
    missing = came - went - held
    return None, [Finding("reads are missing that batches brought and no purge took", str(missing))] * (
        missing > 0
    )


def _access_log(connection: Connection, after: str | None) -> tuple[str | None, list[Finding]]:
    head = None
    if after is not None:
        sequence, digest = after.split(":")
        head = AuditHead(int(sequence), bytes.fromhex(digest))
    try:
        reached = verify(connection, after=head, most=_STEP_ENTRIES)
    except AuditBrokenError as error:
        return None, [Finding("the access log is broken", str(error))]
    return (str(reached) if reached.sequence > (0 if head is None else head.sequence) else None), []


def _altered_entries(connection: Connection, unit_id: str) -> list[Finding]:
    """Return the entries of a unit's logs of which what stands beside them is not what they say."""
    rows = connection.execution_options(yield_per=_STEP_ENTRIES).execute(
        select(unit_log_entries).where(unit_log_entries.c.unit_id == unit_id)
    )
    findings = []
    for row in rows:
        entry = read_entry(LogRecord(row.data, row.signature))
        told = (entry.sequence, entry.at, entry.actor, entry.action, entry.outcome, entry.detail.get("hit"))
        if told != (row.sequence, row.at, row.actor, row.action, row.outcome, row.hit_id) or (
            entry.digest != row.digest
        ):
            which = f"{unit_id}/{row.beginning}/{row.sequence}"
            findings.append(Finding("entry of a unit's log is not as it came in", which))
    return findings
