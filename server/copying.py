"""PostgreSQL's own ways to store many rows at once. Nothing here is used on SQLite."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Column, Connection, Float, Integer, LargeBinary, Table
from sqlalchemy.exc import IntegrityError, OperationalError

from server.tables import UtcTime
from sync.errors import WireFormatError


def read_key(read_id: str) -> bytes:
    """Return under what `read_ids` knows the read; the same as `partitions` has it in SQL."""
    return sha256(read_id.encode()).digest()[:16]


def claim(connection: Connection, times: Mapping[str, datetime]) -> list[str]:
    """Take the read ids in *times*, each with when it settled; return those that are taken already.

    Another transaction that is taking one of them is waited for.
    """
    # In one order, so that two transactions never wait for each other.
    by_key = dict(sorted((read_key(read_id), read_id) for read_id in times))
    taken = connection.exec_driver_sql(
        "INSERT INTO read_ids (key, settled_at) SELECT * FROM unnest(%s::bytea[], %s::timestamp[])"
        " ON CONFLICT DO NOTHING RETURNING key",
        (list(by_key), [_naive(times[read_id]) for read_id in by_key.values()]),
    ).scalars()
    new = {bytes(key) for key in taken}
    return [read_id for key, read_id in by_key.items() if key not in new]


def copy_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write *rows*, which all have the same columns, in one COPY.

    Raises WireFormatError if a value is too large for its column, or text holds a zero character.
    """
    import psycopg  # only a department with PostgreSQL has it

    columns = [table.c[name] for name in rows[0]]
    names = ", ".join(f'"{column.name}"' for column in columns)
    # Psycopg would cut a number that is too large down to 32 bits without a word.
    whole = [column.name for column in columns if isinstance(column.type, Integer)]
    if any(not -(2**31) <= row[name] < 2**31 for name in whole for row in rows):
        raise WireFormatError(f"{table.name}: a number is too large to be stored")
    times = [index for index, column in enumerate(columns) if isinstance(column.type, UtcTime)]
    statement = f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)"
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types([_type_of(column) for column in columns])
            for row in rows:
                values = list(row.values())
                for index in times:
                    values[index] = _naive(values[index])
                copy.write_row(values)
    except psycopg.DataError as error:
        # Binary, so that no value stands in the database's message; and it stays out of ours.
        raise WireFormatError(f"{table.name}: a value cannot be stored ({type(error).__name__})") from None
    except psycopg.IntegrityError as error:
        raise IntegrityError(statement, None, error, hide_parameters=True) from error
    except psycopg.OperationalError as error:
        lost = bool(raw.closed)
        if lost:
            connection.invalidate()
        raise OperationalError(statement, None, error, True, lost) from error


def _type_of(column: "Column[Any]") -> str:
    if isinstance(column.type, UtcTime):
        return "timestamp"
    if isinstance(column.type, Float):
        return "float8"
    if isinstance(column.type, Integer):
        return "int4"
    return "bytea" if isinstance(column.type, LargeBinary) else "text"


def _naive(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
