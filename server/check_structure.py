"""Is the database itself whole: pages, tables and indexes of SQLite, checksums of PostgreSQL?

What SQLite is asked about a whole file keeps units from handing in meanwhile. So a server asks that of a
small file alone; of a large one it asks about each small table, and reads and pictures are gone through in
steps (`check_reads`), with the indexes that lead to them.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, Index, Table

from server.check_values import Finding, UnreadableError, asked
from server.tables import contexts, evidence, metadata, reads

SMALL_BYTES = 256 * 2**20
"""So much is looked through in two seconds."""
_MOST = 20
_LARGE = {reads.name, evidence.name, contexts.name}
NO_CHECKSUMS = (
    "PostgreSQL was made without data checksums: a page that goes bad on its disk is not noticed. Stop it "
    "and switch them on with pg_checksums"
)


def structure(engine: Engine, *, thorough: bool) -> list[Finding]:
    """Return what is wrong with the file; nothing on PostgreSQL, which looks at each page it reads.

    *thorough*: look at a large file as a whole, too. Raises StoreUnavailableError.
    """
    if engine.dialect.name != "sqlite":
        return []
    try:
        pages = asked(engine, lambda c: _number(c, "page_count") * _number(c, "page_size"))
        if pages <= SMALL_BYTES:
            return _said(engine, f"integrity_check({_MOST})")
        found = _said(engine, f"quick_check({_MOST})") if thorough else []
        for table in metadata.sorted_tables:
            if table.name not in _LARGE:
                found += _said(engine, f"integrity_check('{table.name}')")
    except UnreadableError as error:
        return [Finding("the database file is damaged", str(error))]
    return found


def without_checksums(engine: Engine) -> bool:
    """Whether this is PostgreSQL without checksums of its pages. Raises StoreUnavailableError."""
    if engine.dialect.name != "postgresql":
        return False
    return asked(engine, lambda c: c.exec_driver_sql("SHOW data_checksums").scalar()) != "on"


def lost_by_indexes(connection: Connection, table: Table, first: int, last: int) -> Iterator[tuple[str, int]]:
    """Give each of SQLite's indexes that does not lead to a row from *first* to *last*, with its number."""
    for name, columns, where in _indexes(table):
        same = " AND ".join(f"b.{column} IS a.{column}" for column in columns)
        within = f" AND a.{where}" if where else ""
        inside = f" AND b.{where}" if where else ""
        rows = connection.exec_driver_sql(  # names of our own tables and indexes
            f"SELECT a.rowid FROM {table.name} AS a NOT INDEXED WHERE a.rowid BETWEEN ? AND ?{within}"  # noqa: S608
            f" AND NOT EXISTS (SELECT 1 FROM {table.name} AS b INDEXED BY {name}"
            f" WHERE {same} AND b.rowid = a.rowid{inside})",
            (first, last),
        )
        for (number,) in rows:
            yield name, number


def _indexes(table: Table) -> Iterator[tuple[str, list[str], str]]:
    yield f"sqlite_autoindex_{table.name}_1", [column.name for column in table.primary_key], ""
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        yield str(index.name), [column.name for column in index.columns], _where(index)


def _where(index: Index) -> str:
    where: Any = index.dialect_options["sqlite"]["where"]
    return "" if where is None else str(where)


def _said(engine: Engine, pragma: str) -> list[Finding]:
    # What SQLite says names pages, tables, indexes and row numbers, no values.
    rows = asked(engine, lambda c: c.exec_driver_sql(f"PRAGMA {pragma}").scalars().all())
    return [Finding("the database file is damaged", str(row)) for row in rows if row != "ok"]


def _number(connection: Connection, pragma: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one())
