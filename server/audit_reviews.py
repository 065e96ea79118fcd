"""Queries drawn at random, judged by a person, and kept: the regular audit that the policies ask for.

Who judges a query is another than who made it. A verdict stands: it is given once, and in the access log.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Connection, Engine, func, insert, select, update

from server.audit import Deed, append, same_person
from server.audit_entries import EXPORT, SEARCH, VIEW, Entry, is_person, place_of
from server.audit_period import Period
from server.audit_report import Cell, Report, moment
from server.audit_unit_entries import all_entries, entry_at
from server.database import writing
from server.errors import ServerError
from server.purposes import label_of
from server.tables import audit_reviews

MAX_SAMPLE = 500
MAX_NOTE = 1000
MOST_DRAWN = 10_000
"""In a report; a page shows the newest 500."""


class Verdict(StrEnum):
    """How a query was judged."""

    IN_ORDER = "in order"
    QUESTION = "question"
    MISUSE = "misuse"


class ReviewRefusedError(ServerError):
    """A mark cannot be given: tell the person why; nothing was written."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A query of a sample."""

    entry: Entry
    drawn_at: datetime
    drawn_by: str
    reviewed_at: datetime | None
    reviewed_by: str
    verdict: str
    """"" while it waits."""
    note: str = field(repr=False)


def draw(engine: Engine, period: Period, count: int, deed: Deed, now: datetime) -> list[str]:
    """Draw up to *count* queries of *period* that no sample holds yet; return their places (`Entry.place`).

    Queries in vehicles are among them.

    Each that a person made has the same chance. *deed* says who draws, from where and for what purpose.
    Raises ReviewRefusedError if *count* is not 1 to 500.
    """
    if not 1 <= count <= MAX_SAMPLE:
        raise ReviewRefusedError(f"A sample has 1 to {MAX_SAMPLE} queries.")
    with writing(engine) as connection:
        held = {
            (row.log, row.sequence)
            for row in connection.execute(select(audit_reviews.c.log, audit_reviews.c.sequence))
        }
        waiting = [
            entry
            for entry in all_entries(connection, period, None)
            if is_person(entry.actor)
            and entry.touches_reads
            and entry.kind in (SEARCH, VIEW, EXPORT)
            and (entry.log, entry.sequence) not in held
        ]
        # Nobody may foresee which of their queries are looked at.
        chosen = secrets.SystemRandom().sample(waiting, min(count, len(waiting)))
        if chosen:
            connection.execute(
                insert(audit_reviews),
                [
                    {"log": each.log, "sequence": each.sequence, "drawn_at": now, "drawn_by": deed.actor}
                    for each in chosen
                ],
            )
        places = [str(each.place) for each in sorted(chosen, key=lambda each: (each.log, each.sequence))]
        detail: dict[str, object] = {"period": str(period), "of": len(waiting), "drawn": places}
        append(connection, _with_detail(deed, detail), now)
    return places


def review(engine: Engine, place: str, verdict: Verdict, note: str, *, deed: Deed, now: datetime) -> None:
    """Keep how *deed*'s actor judges the drawn query at *place*.

    Raises ReviewRefusedError if it is in no sample, was judged before, is the actor's own, or needs a note.
    """
    note = note.strip()
    try:
        log, sequence = place_of(place)
    except ValueError as error:
        raise ReviewRefusedError(str(error)) from None
    with writing(engine) as connection:
        its_own = audit_reviews.c.log == log, audit_reviews.c.sequence == sequence
        row = connection.execute(select(audit_reviews).where(*its_own)).first()
        entry = entry_at(connection, log, sequence)
        if row is None or entry is None:
            problem = f"Entry {place} is in no sample."
        elif row.verdict is not None:
            problem = f"Entry {place} was judged by {row.reviewed_by}; a verdict stands."
        elif same_person(entry.actor, deed.actor):
            problem = f"Entry {place} is your own: another person must judge it."
        elif verdict is not Verdict.IN_ORDER and not note:
            problem = "A question or a misuse needs a note."
        elif len(note) > MAX_NOTE:
            problem = f"A note has at most {MAX_NOTE} characters."
        else:
            problem = ""
            connection.execute(
                update(audit_reviews)
                .where(*its_own)
                .values(reviewed_at=now, reviewed_by=deed.actor, verdict=verdict.value, note=note)
            )
        detail: dict[str, object] = {"entry": place, "verdict": verdict.value, "note": note[:MAX_NOTE]}
        if problem:
            detail["why"] = problem
        append(connection, _with_detail(deed, detail, "refused" if problem else "success"), now)
    if problem:
        raise ReviewRefusedError(problem)


def drawn(
    connection: Connection,
    unseal: X25519PrivateKey | None,
    *,
    waiting: bool | None = None,
    limit: int = 500,
) -> list[Drawn]:
    """Return what was drawn, newest first; what was asked in vehicles is opened with *unseal*.

    With *waiting* only what waits, or only what does not.
    """
    statement = select(audit_reviews).order_by(
        audit_reviews.c.drawn_at.desc(), audit_reviews.c.log, audit_reviews.c.sequence.desc()
    )
    if waiting is not None:
        verdict = audit_reviews.c.verdict
        statement = statement.where(verdict.is_(None) if waiting else verdict.is_not(None))
    found = []
    for row in connection.execute(statement.limit(limit)).all():
        entry = entry_at(connection, row.log, row.sequence, unseal)
        if entry is not None:
            found.append(
                Drawn(
                    entry,
                    row.drawn_at,
                    row.drawn_by,
                    row.reviewed_at,
                    row.reviewed_by or "",
                    row.verdict or "",
                    row.note or "",
                )
            )
    return found


def newest_review(connection: Connection) -> tuple[datetime | None, int]:
    """Return when a query was judged last, None if never, and how many were."""
    at, count = connection.execute(
        select(func.max(audit_reviews.c.reviewed_at), func.count(audit_reviews.c.reviewed_at))
    ).one()
    return at, count


def sample_report(found: Iterable[Drawn], period: Period) -> Report:
    """Return the drawn queries of *period* with their marks."""
    rows: list[tuple[Cell, ...]] = [
        (
            each.entry.place,
            moment(each.entry.at),
            each.entry.actor,
            each.entry.action,
            each.entry.query_or_action,
            label_of(each.entry.purpose),
            each.entry.case_number,
            each.verdict or "waits",
            each.reviewed_by,
            "" if each.reviewed_at is None else moment(each.reviewed_at),
            each.note,
        )
        for each in found
        if period.start <= each.entry.at < period.end
    ]
    columns = (
        "sequence",
        "time",
        "who",
        "action",
        "query",
        "purpose",
        "case",
        "verdict",
        "reviewed by",
        "reviewed at",
        "note",
    )
    note = "Drawn at random among all searches, views and exports of the period asked for."
    return Report("sample", "Queries drawn for review", columns, tuple(rows), (note,))


def _with_detail(deed: Deed, detail: dict[str, object], outcome: str = "success") -> Deed:
    return Deed(deed.actor, deed.action, outcome, deed.purpose, deed.case_number, deed.source, detail)
