"""Take the book of a unit: what its officers put on it, each entry, suppression and change once.

A book with fewer changes than are held, or with others in their place, is not the one that was taken before:
the unit was set back to an older state, or its storage was exchanged. It is refused until a person says that
its book begins anew; what was taken before stays.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Table, func, insert, select, update

from hotlist_cache.local import Change, LocalEntry, Suppression
from server.audit import Deed, append
from server.database import writing
from server.errors import BookConflictError, HotlistRefusedError, NotPermittedError
from server.intake import Intake, Peer
from server.keys import DepartmentKeys
from server.tables import local_changes, local_entries, local_suppressions, units
from sync.errors import SealBrokenError, WireFormatError
from sync.local_book import BookReceipt, SentBook, SignedBook, decode_book, encode_book_receipt

HELD, OFFERED, REFUSED, WITHDRAWN = "held", "offered", "refused", "withdrawn"
"""States of an entry; a suppression is held or withdrawn."""

_log = structlog.get_logger(__name__)


class LocalBooks:
    """Takes the books of one department's units. May be used by several threads."""

    def __init__(self, engine: Engine, keys: DepartmentKeys, intake: Intake) -> None:
        self._engine = engine
        self._keys = keys
        self._intake = intake

    def take(self, peer: Peer, signed: SignedBook, now: datetime) -> bytes:
        """Return the receipt for *signed*, once everything in it is on disk; the same book may come again.

        Raises NotPermittedError, SealBrokenError, WireFormatError, BookConflictError (each after an audit
        entry) or StoreUnavailableError. A receipt is given in none of these cases.
        """
        unit_key = self._intake.admit(peer, now)
        detail: dict[str, object] = {"digest": signed.digest.hex()}
        try:
            book = decode_book(signed, unit_key)
            if book.unit_id != peer.unit_id:
                raise NotPermittedError("local book is another unit's")
            detail["changes"] = len(book.changes)
            with writing(self._engine) as connection:
                new = _store(connection, book, peer, now)
        except (NotPermittedError, SealBrokenError, WireFormatError, BookConflictError) as error:
            detail["why"] = str(error)
            _log.warning("refused", action="local_book.refuse", unit=peer.unit_id, **detail)
            with writing(self._engine) as connection:
                deed = Deed(
                    f"unit:{peer.unit_id}", "local_book.refuse", "refused", source=peer.address, detail=detail
                )
                append(connection, deed, now)
            raise
        _log.info("local book taken", unit=peer.unit_id, changes=len(book.changes), new=new)
        return encode_book_receipt(
            BookReceipt(peer.unit_id, signed.digest, len(book.changes), now), self._keys.receipt
        )


def begin_anew(engine: Engine, unit_id: str, *, actor: str, now: datetime) -> None:
    """Take the next book of *unit_id* as its first: its storage was exchanged, or its book was damaged.

    What is held stays until that book comes. Raises HotlistRefusedError if no book of it was ever taken.
    """
    with writing(engine) as connection:
        # Units that were never enrolled have no changes either, and the constraint knows it.
        known = connection.execute(select(units.c.unit_id).where(units.c.unit_id == unit_id)).first()
        beginning = _beginning(connection, unit_id)
        held = len(_held_changes(connection, unit_id, beginning))
        if known is None or not held:
            raise HotlistRefusedError(
                f"unit {unit_id}: no changes of its book are held; nothing is in the way"
            )
        mark = Change(now, actor, "begin-anew", unit_id, "")
        connection.execute(insert(local_changes).values(_change_row(unit_id, beginning + 1, 0, mark)))
        detail = {"unit": unit_id, "changes_before": held}
        append(connection, Deed(actor, "local_book.begin_anew", detail=detail), now)


def _store(connection: Connection, book: SentBook, peer: Peer, now: datetime) -> int:
    """Bring what is held to what *book* says; return how many of its changes are new."""
    unit_id = book.unit_id
    beginning = _beginning(connection, unit_id)
    held = _held_changes(connection, unit_id, beginning)
    rows = [_change_row(unit_id, beginning, number, each) for number, each in enumerate(book.changes, 1)]
    _require_same(unit_id, held, rows)
    new = rows[len(held) :]
    if new:
        connection.execute(insert(local_changes), new)
    for row in new:
        detail = {name: row[name] for name in ("number", "subject")}
        detail |= {"officer": row["actor"], "done_at": row["at"].isoformat()}
        deed = Deed(
            f"unit:{unit_id}",
            f"local_entry.{row['deed']}",
            case_number=row["case_number"][:64],
            source=peer.address,
            detail=detail,
        )
        append(connection, deed, now)
    _bring(
        connection,
        local_entries,
        unit_id,
        {each.entry.entry_id: _entry_row(each) for each in book.entries},
        {each.entry.entry_id: _entry_row(each) for each in book.removed},
    )
    _bring(
        connection,
        local_suppressions,
        unit_id,
        {each.suppression_id: _suppression_row(each) for each in book.suppressions},
        {each.suppression_id: _suppression_row(each) for each in book.lifted},
    )
    return len(new)


def _bring(
    connection: Connection,
    table: Table,
    unit_id: str,
    present: Mapping[str, dict[str, Any]],
    gone: Mapping[str, dict[str, Any]],
) -> None:
    """Let the unit's rows of *table*, by their id, be *present* and *gone*; what is in neither is gone too.

    Raises BookConflictError if something other than an approval stands in what was never to change.
    """
    key = table.primary_key.columns[1]
    held = {
        row[key.name]: row
        for row in connection.execute(select(table).where(table.c.unit_id == unit_id)).mappings()
    }
    fresh = []
    for subject, content in (*gone.items(), *present.items()):
        if (row := held.get(subject)) is None:
            state = HELD if subject in present else WITHDRAWN
            fresh.append({"unit_id": unit_id, key.name: subject, "state": state, **content})
            continue
        altered = {name: value for name, value in content.items() if row[name] != value}
        if altered.keys() - {"supervisor"}:
            raise BookConflictError(
                f"local book of {unit_id}: {subject} is another than the one of that id which is held"
            )
        if altered:
            connection.execute(
                update(table).where(table.c.unit_id == unit_id, key == subject).values(altered)
            )
    if fresh:
        connection.execute(insert(table), fresh)
    for subject, row in held.items():
        state = row["state"]
        if subject in present and state == WITHDRAWN:
            state = HELD  # the unit's book began anew with an older one of its own
        elif subject not in present and state in (HELD, OFFERED):
            state = WITHDRAWN
        if state != row["state"]:
            connection.execute(
                update(table).where(table.c.unit_id == unit_id, key == subject).values(state=state)
            )


def _require_same(unit_id: str, held: Sequence[Mapping[str, Any]], sent: Sequence[Mapping[str, Any]]) -> None:
    """Raises BookConflictError if what is *held* is not how *sent* begins."""
    remedy = f"find out why, then let its book begin anew: `alpr-server hotlist local begin-anew {unit_id}`"
    if len(sent) < len(held):
        raise BookConflictError(
            f"local book of {unit_id} was set back: it holds {len(sent)} changes, and {len(held)} were "
            f"received before; {remedy}"
        )
    for known, row in zip(held, sent, strict=False):
        if known != row:
            raise BookConflictError(
                f"local book of {unit_id} is not the one of before: its change {known['number']} is another; "
                f"{remedy}"
            )


def _beginning(connection: Connection, unit_id: str) -> int:
    found = select(func.max(local_changes.c.beginning)).where(local_changes.c.unit_id == unit_id)
    return connection.execute(found).scalar() or 1


def _held_changes(connection: Connection, unit_id: str, beginning: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(local_changes)
        .where(
            local_changes.c.unit_id == unit_id,
            local_changes.c.beginning == beginning,
            local_changes.c.number > 0,
        )
        .order_by(local_changes.c.number)
    )
    return [dict(row) for row in rows.mappings()]


def _change_row(unit_id: str, beginning: int, number: int, change: Change) -> dict[str, Any]:
    return {
        "unit_id": unit_id,
        "beginning": beginning,
        "number": number,
        "at": change.at,
        "actor": change.actor,
        "deed": change.deed,
        "subject": change.subject,
        "case_number": change.case_number,
    }


def _entry_row(local: LocalEntry) -> dict[str, Any]:
    entry = local.entry
    return {
        "pattern": entry.pattern,
        "jurisdiction": entry.jurisdiction,
        "priority": int(entry.priority),
        "officer": local.officer,
        "purpose": local.purpose,
        "case_number": entry.case_number,
        "added_at": local.added_at,
        "expires_at": local.expires_at,
    }


def _suppression_row(known: Suppression) -> dict[str, Any]:
    return {
        "plate": known.plate,
        "entry_id": known.entry_id,
        "officer": known.officer,
        "reason": known.reason,
        "added_at": known.added_at,
        "expires_at": known.expires_at,
        "supervisor": known.supervisor,
    }
