"""How long reads are kept, and their destruction: asked for by one, approved by another, certified.

    rules (server.toml) -> plan (what would go) -> ask, with the approval's reference -> approve, by another
    person -> in steps, each its own short transaction -> certificate, signed

A hit, and every read that corrects or is corrected by one, is kept by its own rule. What a legal hold names
stays, whatever the rules say. Receipts and the access log stay for ever.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from server.audit import Deed, append, same_person
from server.database import is_postgresql, reading, writing
from server.errors import RetentionRefusedError
from server.holds import held, refresh
from server.settings import RetentionSettings
from server.tables import evidence, hits, purges, reads

STEP_READS = 500
"""So many reads go in one transaction: units hand in batches meanwhile."""
_TAG = b"alpr-server purge certificate v1\x00"
_START = bytes(32)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rules would destroy at one moment."""

    others_before: datetime
    """Reads that are no hits and were made before this go. Aware UTC."""
    hits_before: datetime
    others: int
    hits: int
    oldest: datetime | None
    """Of those that would go."""
    held: int
    """Reads old enough that a legal hold keeps."""


@dataclass(frozen=True, slots=True)
class Purge:
    """A destruction on record."""

    purge_id: int
    state: str
    """"asked", "running", "done" or "withdrawn"."""
    reference: str
    """Of the written approval: council resolution, city attorney's consent."""
    asked_by: str
    asked_at: datetime
    others_before: datetime
    hits_before: datetime
    approved_by: str
    others: int
    """Reads gone so far that were no hits."""
    hits: int
    certificate: str
    """JSON, signed; empty until it is done."""


def plan(engine: Engine, rules: RetentionSettings, now: datetime) -> Plan:
    """Return what would go now. No read is touched."""
    with writing(engine) as connection:
        refresh(connection)
    others_before = now - timedelta(days=rules.other_reads_days)
    hits_before = now - timedelta(days=rules.hits_days)
    # Apart from the other block: counting a year of reads must not keep units from handing in theirs.
    with reading(engine) as connection:
        return _plan(connection, others_before, hits_before)


def ask(
    engine: Engine, rules: RetentionSettings, *, reference: str, actor: str, now: datetime
) -> tuple[int, Plan]:
    """Ask that what the rules let go now be destroyed; return the purge's number and what it would take.

    Raises RetentionRefusedError without the *reference* of a written approval, if nothing would go, or while
    another purge is under way.
    """
    if not reference.strip():
        raise RetentionRefusedError(
            "a purge needs the reference of its written approval (Gov. Code 34090.6): give --approval"
        )
    found = plan(engine, rules, now)
    if not found.others + found.hits:
        raise RetentionRefusedError("nothing is old enough: no read would go")
    with writing(engine) as connection:
        for other in _purges(connection):
            if other.state in ("asked", "running"):
                raise RetentionRefusedError(
                    f"purge {other.purge_id} is {other.state}: approve or withdraw it first"
                )
        row = {
            "state": "asked",
            "reference": reference,
            "asked_by": actor,
            "asked_at": now,
            "others_before": found.others_before,
            "hits_before": found.hits_before,
        }
        result = connection.execute(insert(purges).values(row))
        assert result.inserted_primary_key is not None
        purge_id = int(result.inserted_primary_key[0])
        detail = {"purge": purge_id, "reference": reference, "others": found.others, "hits": found.hits}
        append(connection, Deed(actor, "purge.ask", detail=detail), now)
    return purge_id, found


def withdraw(engine: Engine, purge_id: int, *, actor: str, now: datetime) -> None:
    """Let a purge that is asked for not happen. Raises RetentionRefusedError if it is not waiting."""
    with writing(engine) as connection:
        _waiting(connection, purge_id)
        _set(connection, purge_id, state="withdrawn", ended_at=now)
        append(connection, Deed(actor, "purge.withdraw", detail={"purge": purge_id}), now)


def approve(engine: Engine, purge_id: int, *, actor: str, now: datetime) -> None:
    """Let a purge that another person asked for happen: `step` does it.

    Raises RetentionRefusedError if it is not waiting, or *actor* asked for it.
    """
    with writing(engine) as connection:
        waiting = _waiting(connection, purge_id)
        same = same_person(waiting.asked_by, actor)
        deed = Deed(actor, "purge.approve", "refused" if same else "success", detail={"purge": purge_id})
        append(connection, deed, now)
        if not same:
            _set(connection, purge_id, state="running", approved_by=actor, approved_at=now, chain=_START)
    if same:
        raise RetentionRefusedError(
            f"purge {purge_id} was asked for by {waiting.asked_by}: another person must approve it"
        )


def step(engine: Engine, purge_id: int, key: Ed25519PrivateKey, now: datetime, most: int = STEP_READS) -> int:
    """Destroy the next reads of a purge that is under way, at most *most*; return how many.

    0: nothing is left, and the certificate, signed with *key*, is on record. It may be called again after any
    interruption, by any process.

    Raises RetentionRefusedError if it is not under way.
    """
    with writing(engine) as connection:
        row = connection.execute(select(purges).where(purges.c.purge_id == purge_id)).first()
        if row is None or row.state != "running":
            raise RetentionRefusedError(
                f"purge {purge_id} is not under way: see `alpr-server retention list`"
            )
        refresh(connection)
        due = and_(_due(row.others_before, row.hits_before), not_(held(connection)))
        if row.newest is not None:
            # What stays is not looked at in each step again. A read that comes in meanwhile and is older yet
            # waits for the next purge.
            due = and_(due, reads.c.settled_at >= row.newest)
        found = connection.execute(
            select(reads.c.read_id, reads.c.record_digest, reads.c.settled_at, _is_hit().label("hit"))
            .where(due)
            .order_by(reads.c.settled_at, reads.c.read_id)
            .limit(most)
        ).all()
        if not found:
            _certify(connection, row, key, now)
            return 0
        _remove(connection, found)
        chain = row.chain
        for each in found:
            chain = hashlib.sha256(chain + each.read_id.encode() + b"\0" + each.record_digest).digest()
        gone_hits = sum(bool(each.hit) for each in found)
        _set(
            connection,
            purge_id,
            chain=chain,
            hits=row.hits + gone_hits,
            others=row.others + len(found) - gone_hits,
            oldest=row.oldest or found[0].settled_at,
            newest=found[-1].settled_at,
        )
        return len(found)


def carry_out(
    engine: Engine,
    purge_id: int,
    key: Ed25519PrivateKey,
    now: Callable[[], datetime],
    *,
    wait: Callable[[float], object],
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Do all steps of a purge that is under way, until *stopped*; return how many reads went in this call.

    *wait* is called with seconds after each step, as long as it took: half of the database's time stays for
    others. SQLite's lock knows no queue: whoever takes it again at once keeps everybody else out.

    Raises RetentionRefusedError if it is not under way.
    """
    gone, began = 0, now()
    while not stopped() and (count := step(engine, purge_id, key, began)):
        gone += count
        wait((now() - began) / timedelta(seconds=1))
        began = now()
    return gone


def all_purges(engine: Engine) -> list[Purge]:
    """Return every purge on record, the newest first."""
    with reading(engine) as connection:
        return _purges(connection)


def verify_certificate(text: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """Return what a purge certificate says, if the department's *key* signed it.

    Raises RetentionRefusedError if not.
    """
    try:
        signed = json.loads(text)
        statement = signed["statement"]
        key.verify(bytes.fromhex(signed["signature"]), _TAG + _bytes(statement))
    except (InvalidSignature, KeyError, TypeError, ValueError):
        raise RetentionRefusedError(
            "this certificate is not signed by the department, or was altered"
        ) from None
    return dict(statement)


def _plan(connection: Connection, others_before: datetime, hits_before: datetime) -> Plan:
    due, keep = _due(others_before, hits_before), held(connection)
    rows = connection.execute(
        select(_is_hit().label("hit"), func.count(), func.min(reads.c.settled_at))
        .where(due, not_(keep))
        .group_by("hit")
    ).all()
    counted = {bool(hit): (count, oldest) for hit, count, oldest in rows}
    kept = connection.execute(select(func.count()).select_from(reads).where(due, keep)).scalar_one()
    none = (0, None)
    return Plan(
        others_before,
        hits_before,
        counted.get(False, none)[0],
        counted.get(True, none)[0],
        min((oldest for _, oldest in counted.values()), default=None),
        kept,
    )


def _due(others_before: datetime, hits_before: datetime) -> ColumnElement[bool]:
    is_hit = _is_hit()
    return or_(
        and_(not_(is_hit), reads.c.settled_at < others_before),
        and_(is_hit, reads.c.settled_at < hits_before),
    )


def _is_hit() -> ColumnElement[bool]:
    """Whether a read is a hit, corrects one, or was corrected by one: they are evidence together."""
    other = reads.alias()
    own = exists().where(hits.c.read_id == reads.c.read_id)
    corrects = exists().where(hits.c.read_id == reads.c.revises)
    corrected = exists().where(and_(other.c.revises == reads.c.read_id, other.c.read_id == hits.c.read_id))
    return or_(own, corrects, corrected)


def _remove(connection: Connection, found: Sequence[Row[Any]]) -> None:
    """Remove the reads *found*, in the order of time, with their pictures and hits."""
    ids = [each.read_id for each in found]
    connection.execute(delete(hits).where(hits.c.read_id.in_(ids)))
    for table in (evidence, reads):
        its_own: ColumnElement[bool] = table.c.read_id.in_(ids)
        if is_postgresql(connection):
            # Then only the months of these reads are looked through.
            its_own = and_(its_own, table.c.settled_at.between(found[0].settled_at, found[-1].settled_at))
        connection.execute(delete(table).where(its_own))


def _certify(connection: Connection, row: Any, key: Ed25519PrivateKey, now: datetime) -> None:
    kept = connection.execute(
        select(func.count())
        .select_from(reads)
        .where(_due(row.others_before, row.hits_before), held(connection))
    ).scalar_one()
    statement = {
        "purge": row.purge_id,
        "reference": row.reference,
        "asked_by": row.asked_by,
        "asked_at": row.asked_at.isoformat(),
        "approved_by": row.approved_by,
        "approved_at": row.approved_at.isoformat(),
        "ended_at": now.isoformat(),
        "reads_before": row.others_before.isoformat(),
        "hits_before": row.hits_before.isoformat(),
        "destroyed_reads": row.others,
        "destroyed_hits": row.hits,
        "oldest": None if row.oldest is None else row.oldest.isoformat(),
        "newest": None if row.newest is None else row.newest.isoformat(),
        "sha256_chain": row.chain.hex(),
        "kept_by_legal_holds": kept,
    }
    signature = key.sign(_TAG + _bytes(statement)).hex()
    certificate = json.dumps({"statement": statement, "signature": signature}, indent=2, sort_keys=True)
    _set(connection, row.purge_id, state="done", ended_at=now, held=kept, certificate=certificate)
    detail = {
        name: statement[name] for name in ("purge", "destroyed_reads", "destroyed_hits", "sha256_chain")
    }
    append(connection, Deed(row.approved_by, "purge.done", detail=detail), now)


def _waiting(connection: Connection, purge_id: int) -> Purge:
    for purge in _purges(connection):
        if purge.purge_id == purge_id and purge.state == "asked":
            return purge
    raise RetentionRefusedError(f"no purge waits under {purge_id}: see `alpr-server retention list`")


def _purges(connection: Connection) -> list[Purge]:
    rows = connection.execute(select(purges).order_by(purges.c.purge_id.desc()))
    return [
        Purge(
            row.purge_id,
            row.state,
            row.reference,
            row.asked_by,
            row.asked_at,
            row.others_before,
            row.hits_before,
            row.approved_by or "",
            row.others,
            row.hits,
            row.certificate or "",
        )
        for row in rows
    ]


def _set(connection: Connection, purge_id: int, **values: object) -> None:
    connection.execute(update(purges).where(purges.c.purge_id == purge_id).values(**values))


def _bytes(statement: dict[str, Any]) -> bytes:
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
