"""How long reads are kept, and their destruction: asked for by one, approved by another, certified.

    rules in force (retention_rules) -> plan (what would go) -> ask, with the approval's reference -> approve,
    by another person -> in steps, each its own short transaction -> certificate, signed

Where a rule says so, the server does it by itself (retention_automatic), with one certificate a day.

A hit, and every read that corrects or is corrected by one, is kept by its own rule. What a legal hold names
stays, whatever the rules say. Receipts and the access log stay for ever.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    delete,
    func,
    insert,
    not_,
    select,
)

from server.actors import Actor, recorded
from server.database import is_postgresql, writing
from server.errors import RetentionRefusedError
from server.holds import held, refresh
from server.pictures import note, outstanding
from server.purge_book import (
    ASKED,
    DONE,
    RUNNING,
    START,
    Purge,
    all_purges,
    certify,
    purges_in,
    running_in,
    set_purge,
)
from server.retention_plan import Plan, due, is_hit, plan
from server.retention_rules import rule_in_force
from server.retention_values import Rules
from server.tables import contexts, evidence, hits, purges, reads
from server.texts import retention_line

STEP_READS = 250
"""So many reads go in one transaction: units hand in batches meanwhile."""
Sweep = Callable[[datetime], int]
"""Destroys pictures outside the database of which the reads are gone; gives how many, 0 when none is left."""


def _nothing(_: datetime) -> int:
    return 0


def ask(engine: Engine, rules: Rules, *, reference: str, actor: Actor, now: datetime) -> tuple[int, Plan]:
    """Ask that what the rules let go now be destroyed; return the purge's number and what it would take.

    Raises RetentionRefusedError without the *reference* of a written approval, if nothing would go, or while
    another purge is under way.
    """
    if not reference.strip():
        raise RetentionRefusedError(
            "a purge needs the reference of its written approval (Gov. Code 34090.6): give --approval"
        )
    reference = retention_line("reference of the approval", reference)
    found = plan(engine, rules, now)
    if not found.others + found.hits:
        raise RetentionRefusedError("nothing is old enough: no read would go")
    detail: dict[str, object] = {"reference": reference, "others": found.others, "hits": found.hits}
    with recorded(engine, actor, "purge.ask", detail, now) as connection:
        for other in purges_in(connection):
            if other.state in (ASKED, RUNNING) and not other.automatic:
                raise RetentionRefusedError(
                    f"purge {other.purge_id} is {other.state}: approve or withdraw it first"
                )
        row = {
            "state": ASKED,
            "reference": reference,
            "asked_by": actor.name,
            "asked_at": now,
            "others_before": found.others_before,
            "hits_before": found.hits_before,
        }
        result = connection.execute(insert(purges).values(row))
        assert result.inserted_primary_key is not None
        detail["purge"] = purge_id = int(result.inserted_primary_key[0])
    return purge_id, found


def withdraw(engine: Engine, purge_id: int, *, actor: Actor, now: datetime) -> None:
    """Let a purge that is asked for not happen. Raises RetentionRefusedError if it is not waiting."""
    with recorded(engine, actor, "purge.withdraw", {"purge": purge_id}, now) as connection:
        _waiting(connection, purge_id)
        set_purge(connection, purge_id, state="withdrawn", ended_at=now)


def approve(engine: Engine, purge_id: int, *, actor: Actor, now: datetime) -> None:
    """Let a purge that another person asked for happen: `step` does it.

    Raises RetentionRefusedError if it is not waiting, *actor* asked for it, or a rule that came into force
    since keeps longer what it would take.
    """
    with recorded(engine, actor, "purge.approve", {"purge": purge_id}, now) as connection:
        waiting = _waiting(connection, purge_id)
        if actor.is_person(waiting.asked_by):
            raise RetentionRefusedError(
                f"purge {purge_id} was asked for by {waiting.asked_by}: another person must approve it"
            )
        rule = rule_in_force(connection, now)
        if rule is not None and (
            waiting.others_before > now - rule.rules.others or waiting.hits_before > now - rule.rules.hits
        ):
            raise RetentionRefusedError(
                f"purge {purge_id} would take what rule {rule.rule_id}, in force by now, keeps: withdraw it, "
                "and ask anew"
            )
        set_purge(connection, purge_id, state=RUNNING, approved_by=actor.name, approved_at=now, chain=START)


def step(
    engine: Engine,
    purge_id: int,
    key: Ed25519PrivateKey,
    now: datetime,
    most: int = STEP_READS,
    *,
    sweep: Sweep = _nothing,
) -> int:
    """Destroy the next reads of a purge that is under way, at most *most*; return how many.

    0: nothing is left, and the certificate, signed with *key*, is on record. It may be called again after any
    interruption, by any process. *sweep* destroys pictures that lie outside the database: before, no
    certificate is given.

    Raises RetentionRefusedError if it is not under way, or pictures outside the database are left.
    """
    with writing(engine) as connection:
        if any(each.purge_id == purge_id and each.state == DONE for each in purges_in(connection)):
            return 0  # another process, the server or a command, was faster
        row = running_in(connection, purge_id)
        if row.rule_id is not None:
            raise RetentionRefusedError(f"purge {purge_id} is of a rule: the server does it by itself")
        refresh(connection)
        ripe = and_(due(connection, row.others_before, row.hits_before), not_(held(connection)))
        if row.newest is not None:
            # What stays is not looked at in each step again. A read that comes in meanwhile and is older yet
            # waits for the next purge.
            ripe = and_(ripe, reads.c.settled_at >= row.newest)
        if count := take(connection, row, ripe, now, most):
            return count
        if not outstanding(connection):
            _certify(connection, row, key, now)
            return 0
    while sweep(now):
        pass
    with writing(engine) as connection:
        if outstanding(connection):
            raise RetentionRefusedError(
                "pictures of purged reads still lie outside the database: when their store answers again, "
                f"`alpr-server retention resume {purge_id}` destroys them and signs the certificate"
            )
        _certify(connection, running_in(connection, purge_id), key, now)
    return 0


def take(connection: Connection, row: Row[Any], ripe: ColumnElement[bool], now: datetime, most: int) -> int:
    """Destroy what is *ripe*, the oldest first, at most *most*, under the purge *row*; return how many.

    In the caller's `writing` block, which has asked what holds keep.
    """
    found = connection.execute(
        select(reads.c.read_id, reads.c.record_digest, reads.c.settled_at, is_hit().label("hit"))
        .where(ripe)
        .order_by(reads.c.settled_at, reads.c.read_id)
        .limit(most)
    ).all()
    if not found:
        return 0
    _remove(connection, found, now)
    chain = row.chain
    for each in found:
        chain = hashlib.sha256(chain + each.read_id.encode() + b"\0" + each.record_digest).digest()
    gone_hits = sum(bool(each.hit) for each in found)
    set_purge(
        connection,
        row.purge_id,
        chain=chain,
        hits=row.hits + gone_hits,
        others=row.others + len(found) - gone_hits,
        oldest=min(found[0].settled_at, row.oldest or found[0].settled_at),
        newest=max(found[-1].settled_at, row.newest or found[-1].settled_at),
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
    sweep: Sweep = _nothing,
) -> int:
    """Do all steps of a purge that is under way, until *stopped*; return how many reads went in this call.

    *wait* is called with seconds after each step, as long as it took: half of the database's time stays for
    others. SQLite's lock knows no queue: whoever takes it again at once keeps everybody else out.

    Raises RetentionRefusedError if it is not under way.
    """
    gone, began = 0, now()
    while not stopped() and (count := step(engine, purge_id, key, began, sweep=sweep)):
        gone += count
        wait((now() - began) / timedelta(seconds=1))
        began = now()
    return gone


def carry_on(
    engine: Engine,
    key: Ed25519PrivateKey,
    now: Callable[[], datetime],
    *,
    wait: Callable[[float], object],
    sweep: Sweep = _nothing,
    steps: int = 40,
) -> int:
    """Do up to *steps* steps of each purge that two persons let happen, and that no command is doing; return
    how many reads went. For the server: what is approved on a page goes by this.

    Raises RetentionRefusedError as `step` does.
    """
    gone = 0
    for purge in all_purges(engine):
        if purge.state == RUNNING and not purge.automatic:
            left = iter(range(steps))
            gone += carry_out(
                engine,
                purge.purge_id,
                key,
                now,
                wait=wait,
                stopped=lambda left=left: next(left, None) is None,  # type: ignore[misc] # its own of each purge
                sweep=sweep,
            )
    return gone


def _certify(connection: Connection, row: Row[Any], key: Ed25519PrivateKey, now: datetime) -> None:
    kept = connection.execute(
        select(func.count())
        .select_from(reads)
        .where(due(connection, row.others_before, row.hits_before), held(connection))
    ).scalar_one()
    certify(connection, row, key, now, kept)


def _remove(connection: Connection, found: Sequence[Row[Any]], now: datetime) -> None:
    """Remove the reads *found*, in the order of time, with their pictures and hits."""
    ids = [each.read_id for each in found]
    for pictures in (evidence, contexts):
        outside = select(pictures.c.object).where(pictures.c.read_id.in_(ids), pictures.c.object.is_not(None))
        note(connection, list(connection.execute(outside).scalars()), now, purged=True)
    connection.execute(delete(contexts).where(contexts.c.read_id.in_(ids)))
    connection.execute(delete(hits).where(hits.c.read_id.in_(ids)))
    for table in (evidence, reads):
        its_own: ColumnElement[bool] = table.c.read_id.in_(ids)
        if is_postgresql(connection):
            # Then only the months of these reads are looked through.
            its_own = and_(its_own, table.c.settled_at.between(found[0].settled_at, found[-1].settled_at))
        connection.execute(delete(table).where(its_own))


def _waiting(connection: Connection, purge_id: int) -> Purge:
    for purge in purges_in(connection):
        if purge.purge_id == purge_id and purge.state == "asked":
            return purge
    raise RetentionRefusedError(f"no purge waits under {purge_id}: see `alpr-server retention list`")
