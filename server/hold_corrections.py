"""Reads that correct each other, however many in a row, are evidence together: a hold on one keeps all.

A read and its correction may read two plates, at two moments: most conditions are true of one of them alone.
"""

from collections.abc import Iterable

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    case,
    column,
    false,
    func,
    literal,
    or_,
    select,
    text,
)

from server.database import is_postgresql
from server.tables import reads

Link = tuple[str, str, str | None]
"""Of a read: its id, its unit, and the id of what it corrects."""
_AT_ONCE = 400

_CHAIN = """
WITH RECURSIVE
earlier (read_id, unit_id, revises) AS (
    SELECT reads.read_id, reads.unit_id, reads.revises
    UNION
    SELECT o.read_id, o.unit_id, o.revises FROM earlier {corrected}
),
later (read_id, unit_id) AS (
    SELECT read_id, unit_id FROM earlier
    UNION
    SELECT o.read_id, o.unit_id FROM later {correcting}
)
SELECT read_id FROM later
"""
"""All that belong to the row of `reads` of the query around it: first back to what was corrected, then on to
each correction of these."""
_SQLITE = """CROSS JOIN reads o
    WHERE o.{column} = {found} AND o.unit_id || '' = {by}.unit_id"""
"""SQLite keeps the order of a CROSS JOIN, and `|| ''` keeps it off the index of units, which would have it go
through all that a unit ever read."""
_POSTGRESQL = """CROSS JOIN LATERAL (
        SELECT read_id, unit_id, revises FROM reads WHERE reads.{column} = {found} OFFSET 0
    ) o
    WHERE o.unit_id = {by}.unit_id"""
"""OFFSET: else PostgreSQL, which expects long chains, would go through all reads to join them at once."""


def or_corrects(
    connection: Connection, covered: ColumnElement[bool], corrected: ColumnElement[bool] | None = None
) -> ColumnElement[bool]:
    """Return the condition that is true of what *covered* is true of, and of all that correct it or are
    corrected by it on the same unit. *covered* is on `reads`, and so is the result: never null.

    A read that is in no correction costs one look into the index of corrections. A query on very many reads
    says by *corrected*, from a join of its own, of which there are any: PostgreSQL has an index a month.
    """
    join = _POSTGRESQL if is_postgresql(connection) else _SQLITE
    query = _CHAIN.format(
        corrected=join.format(column="read_id", found="earlier.revises", by="earlier"),
        correcting=join.format(column="revises", found="later.read_id", by="later"),
    )
    chain = text(query).columns(column("read_id", String)).subquery("chain")
    # Neither EXISTS nor a join: PostgreSQL may turn both into tables of all reads, for each step of a purge.
    if corrected is None:
        other = reads.alias("correction")
        one = select(literal(1)).where(other.c.revises == reads.c.read_id).limit(1).correlate(reads)
        corrected = one.scalar_subquery().is_not(None)
    its_own = (
        select(case((covered, 1), else_=0))
        .where(reads.c.read_id == chain.c.read_id)
        .limit(1)
        .correlate(chain)
        .scalar_subquery()
    )
    any_covered = select(func.max(its_own)).select_from(chain).correlate(None).scalar_subquery()
    related = or_(reads.c.revises.is_not(None), corrected)
    # CASE: the chain of those that are in none is never looked for.
    return func.coalesce(or_(covered, case((related, any_covered == 1), else_=false())), false())


def with_corrections(connection: Connection, covered: ColumnElement[bool], most: int) -> set[str]:
    """Return the ids of what `or_corrects` is true of: at most *most* that *covered* is true of, and what
    belongs to these; where that is more than *most*, not all of it."""
    new, units = _links(connection, covered, most), dict[str, str]()
    while new and len(units) < most:
        units.update({read_id: unit for read_id, unit, _ in new})
        # An earlier one must be of the unit that says so, a later one of the unit of what it corrects.
        said = {(revises, unit) for _, unit, revises in new if revises is not None}
        found = set[Link]()
        for ids in _parts(sorted({read_id for read_id, _ in said} - units.keys())):
            found |= {each for each in _links(connection, reads.c.read_id.in_(ids)) if each[:2] in said}
        for ids in _parts(sorted(read_id for read_id, *_ in new)):
            later = _links(connection, reads.c.revises.in_(ids))
            found |= {each for each in later if units[str(each[2])] == each[1]}
        new = {each for each in found if each[0] not in units}
    return set(units)


def _links(connection: Connection, condition: ColumnElement[bool], most: int | None = None) -> set[Link]:
    statement = select(reads.c.read_id, reads.c.unit_id, reads.c.revises).where(condition).limit(most)
    return {(row.read_id, row.unit_id, row.revises) for row in connection.execute(statement)}


def _parts(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
