"""Open the department's database so that what was committed survives a power cut.

The journal is TRUNCATE with synchronous=FULL, not WAL: the SQLite that Debian 12 gives Python (3.40) can
corrupt a WAL database when two processes checkpoint at once (fixed in SQLite 3.51.3), and the command line is
a second process. Decision 0003 has the whole reasoning.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from server.errors import SettingsInvalidError, StoreUnavailableError

BUSY_TIMEOUT_MS = 10_000
_MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(path: Path) -> Engine:
    """Return an engine on the SQLite file at *path*, which is made if it is not there.

    Safe for several threads and processes. Statement values never stand in its errors: they are plates.
    """
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True, pool_size=20)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give one transaction that is on disk when the block ends, or not at all if it raises.

    The write lock is taken at once, so that what the block reads cannot change before it writes.
    Raises StoreUnavailableError if the disk is full or another writer holds the lock too long.
    """
    with _available(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give one consistent view of the database.

    Raises StoreUnavailableError if a writer holds it too long.
    """
    with _available(), engine.connect().execution_options(reading=True) as connection, connection.begin():
        yield connection


def migrate(engine: Engine) -> None:
    """Bring the database to the form of `tables`; nothing is done where it has it already.

    Raises SettingsInvalidError if a newer program has changed its form.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SettingsInvalidError(
                f"database is of a form this program does not know ({error}): install the newer program again"
            ) from error


def require_current(engine: Engine) -> None:
    """Raises SettingsInvalidError if the database is not of this program's form."""
    head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    with reading(engine) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != head:
        raise SettingsInvalidError(
            f"database is of form {found or 'none'}, not {head}: start the server once, it upgrades it"
        )


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        reason = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
        raise StoreUnavailableError(
            f"database cannot be used now ({reason}): nothing was stored",
            retry_after_s=300 if reason == "SQLITE_FULL" else 30,
        ) from error


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    # sqlite3 would open transactions by its own rules; we open each one ourselves, in _begin.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=TRUNCATE",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    options: dict[str, Any] = dict(connection.get_execution_options())
    connection.exec_driver_sql("BEGIN" if options.get("reading") else "BEGIN IMMEDIATE")
