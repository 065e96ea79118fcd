"""From the embedded database to PostgreSQL: everything in one transaction, counted and checked, or none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Integer, Table, func, insert, inspect, select

from server.audit import verify
from server.copying import claim, copy_rows
from server.database import migrate, require_current, require_empty, writing
from server.errors import SettingsInvalidError
from server.partitions import PARTITIONED, make_month, month_of, sensible
from server.tables import evidence, hits, metadata, reads

_CHUNK = 2000
_MANY = {reads.name, evidence.name, hits.name}
"""Written by COPY; the others are few."""
_NOT_OURS = {"alembic_version"}


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied."""

    rows: dict[str, int]
    """Of each table."""
    audit_head: str
    """Digest of the access log's last entry: the same in both."""


def move(source: Engine, target: Engine, now: datetime, told: Callable[[str, int], None]) -> Moved:
    """Copy all that SQLite's *source* holds to PostgreSQL's *target*; *told* gets each table and its rows.

    The source is not changed. Whoever writes to it meanwhile waits, and is told to come again.
    Raises SettingsInvalidError if *target* is none or is not empty or *source* is of another program's form,
    StoreUnavailableError if either is not there; then *target* holds no row.
    """
    if source.dialect.name != "sqlite" or target.dialect.name != "postgresql":
        raise SettingsInvalidError("a department moves from SQLite to PostgreSQL, not back")
    require_current(source)
    if unknown := set(inspect(source).get_table_names()) - set(metadata.tables) - _NOT_OURS:
        raise SettingsInvalidError(f"this program does not know how to copy {', '.join(sorted(unknown))}")
    require_empty(target)
    migrate(target)
    rows: dict[str, int] = {}
    with writing(source) as old, writing(target) as new:
        # `writing`, so that nothing comes in behind what was already copied.
        months = set[Any]()
        for table in metadata.sorted_tables:
            copied = 0
            for chunk in _rows(old, table):
                if table.name in PARTITIONED:
                    _make_months(new, [row["settled_at"] for row in chunk], months, now)
                if table is reads:
                    claim(new, {row["read_id"]: row["settled_at"] for row in chunk})
                if table.name in _MANY:
                    copy_rows(new, table, chunk)
                else:
                    new.execute(insert(table), chunk)
                copied += len(chunk)
            _continue_numbers(new, table)
            held = new.execute(select(func.count()).select_from(table)).scalar_one()
            if held != copied:
                raise SettingsInvalidError(f"{table.name}: {copied} rows were read, {held} arrived")
            rows[table.name] = copied
            told(table.name, copied)
        head, before = verify(new), verify(old)
        if head != before:
            raise SettingsInvalidError("the access log is another one after copying")
    return Moved(rows, head.digest.hex())


def _rows(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    found = connection.execution_options(yield_per=_CHUNK).execute(select(table))
    for chunk in found.mappings().partitions(_CHUNK):
        yield [dict(row) for row in chunk]


def _make_months(connection: Connection, moments: list[datetime], made: set[Any], now: datetime) -> None:
    for month in sorted({month_of(moment) for moment in moments if sensible(moment, now)} - made):
        make_month(connection, month)
        made.add(month)


def _continue_numbers(connection: Connection, table: Table) -> None:
    """Let the next row that is numbered by the database get the next number."""
    for column in table.primary_key:
        if not isinstance(column.type, Integer):
            continue
        sequence = connection.exec_driver_sql(
            "SELECT pg_get_serial_sequence(%s, %s)", (table.name, column.name)
        ).scalar()
        last = connection.execute(select(func.max(column))).scalar()
        if sequence is not None and last is not None:
            connection.exec_driver_sql("SELECT setval(%s::regclass, %s)", (sequence, last))
