"""Open the department's database so that what was committed survives a power cut.

Two databases: SQLite in the department's folder, which needs no server, and PostgreSQL for a fleet.

SQLite's journal is TRUNCATE with synchronous=FULL, not WAL: the SQLite that Debian 12 gives Python (3.40) can
corrupt a WAL database when two processes checkpoint at once (fixed in SQLite 3.51.3), and the command line is
a second process. Decision 0003 has the whole reasoning.

PostgreSQL gives the same by a lock: `writing` blocks run one after another, as on SQLite. Only what units
hand in runs beside them (`adding`). Decision 0009 says why not SERIALIZABLE.
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
from sqlalchemy import Connection, Engine, String, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeftError
from sqlalchemy.ext.compiler import compiles

from server.errors import SettingsInvalidError, StoreDamagedError, StoreUnavailableError

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for the one before it."""
STATEMENT_TIMEOUT_MS = 120_000
"""PostgreSQL: no page or command asks for longer. Migrations and purges set their own."""
IDLE_TIMEOUT_MS = 60_000
"""PostgreSQL: the lock of an instance that hangs inside a transaction is taken from it after this."""
DRIVER = "postgresql+psycopg"
_MIGRATIONS = Path(__file__).parent / "migrations"
_WRITERS_LOCK = 0x616C7072
"""Advisory lock of whoever writes; "alpr" in ASCII."""
_FULL = ("SQLITE_FULL", "DiskFull")


def open_database(path: Path, url: str = "") -> Engine:
    """Return an engine on the SQLite file at *path*, which is made if it is not there; or, if *url* is not
    empty, on that PostgreSQL database.

    Safe for several threads and processes. Statement values never stand in its errors: they are plates.
    Raises SettingsInvalidError, without the URL in it, if it is none of PostgreSQL.
    """
    if url:
        try:
            engine = create_engine(
                postgresql_url(url),
                hide_parameters=True,
                pool_size=20,
                pool_pre_ping=True,
                connect_args={"connect_timeout": 10, "application_name": "alpr-server"},
            )
        except ModuleNotFoundError:
            raise SettingsInvalidError(
                "PostgreSQL needs psycopg: install alpr-edge[server,postgres]"
            ) from None
        event.listen(engine, "connect", _configure_postgresql)
        return engine
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True, pool_size=20)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def postgresql_url(url: str) -> URL:
    """Return *url* as SQLAlchemy takes it.

    Raises SettingsInvalidError, without the URL in it, if it is none of PostgreSQL.
    """
    try:
        made = make_url(url)
    except ArgumentError:
        made = None
    if made is None or made.drivername != DRIVER:
        raise SettingsInvalidError(
            f"[database] url must be {DRIVER}://user@host/database, or empty for SQLite in this folder"
        )
    return made


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give one transaction that is on disk when the block ends, or not at all if it raises.

    The write lock is taken at once, so that what the block reads cannot change before it writes; but for
    reads that units hand in meanwhile, on PostgreSQL: see `adding`.
    Raises StoreUnavailableError if the database is not there, the disk is full or another writer holds the
    lock too long.
    """
    with _available(), engine.connect() as connection, connection.begin():
        if is_postgresql(connection):
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_WRITERS_LOCK,))
        yield connection


@contextmanager
def adding(engine: Engine) -> Iterator[Connection]:
    """Give a transaction like `writing`, which on PostgreSQL runs beside other writers and its own kind.

    For batches alone, whose storing is safe beside others by the database's own constraints. Nothing that
    appends to the access log may run in it.
    Raises StoreUnavailableError as `writing` does, and IntegrityError if another one was first.
    """
    with _available(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give one consistent view of the database.

    Raises StoreUnavailableError if the database is not there or, on SQLite, a writer holds it too long;
    StoreDamagedError, as all of these do, if a part that was asked for is damaged.
    """
    options: dict[str, Any] = {"reading": True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with _available(), engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def is_postgresql(connection: Connection) -> bool:
    """Whether *connection* leads to PostgreSQL, not to SQLite."""
    return connection.dialect.name == "postgresql"


def migrate(engine: Engine) -> None:
    """Bring the database to the form of `tables`; nothing is done where it has it already.

    Raises SettingsInvalidError if a newer program has changed its form, StoreUnavailableError if it is not
    there.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with writing(engine) as connection:
        if is_postgresql(connection):
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SettingsInvalidError(
                f"database is of a form this program does not know ({error}): install the newer program again"
            ) from error


def require_empty(engine: Engine) -> None:
    """Raises SettingsInvalidError if the database was migrated before: it holds a department."""
    with reading(engine) as connection:
        if MigrationContext.configure(connection).get_current_revision() is not None:
            raise SettingsInvalidError("the database holds a department already: nothing is overwritten")


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
    except DBAPIError as error:
        if tells_of_damage(error):
            raise StoreDamagedError("a part of what was asked for") from error
        if not isinstance(error, OperationalError | InterfaceError):
            raise
        reason = _reason(error)
        # A connection that was lost while it committed does not say whether it did.
        outcome = (
            "whether it was stored is not known" if error.connection_invalidated else "nothing was stored"
        )
        raise StoreUnavailableError(
            f"database cannot be used now ({reason}): {outcome}",
            retry_after_s=300 if reason in _FULL else 30,
        ) from error
    except sqlite3.DatabaseError as error:
        # Raised while the connection was made: SQLAlchemy does not wrap it then.
        if tells_of_damage(error):
            raise StoreDamagedError("a part of what was asked for") from error
        raise
    except NoConnectionLeftError as error:
        raise StoreUnavailableError("database cannot be used now (all connections busy)") from error


def tells_of_damage(error: DBAPIError | sqlite3.Error) -> bool:
    """Whether *error* says that the database is damaged, not that it is busy or the disk full."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        name = getattr(cause, "sqlite_errorname", "")
        # Text that is not UTF-8 has no name of its own.
        return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "decode to UTF-8" in str(cause)
    return getattr(cause, "sqlstate", "") in ("XX001", "XX002")


@compiles(String, "postgresql")
def _text(_type: String, _compiler: object, **_options: object) -> str:
    """PostgreSQL would refuse what is longer than the tables say, SQLite takes it: one answer for both."""
    return "TEXT"


def _reason(error: DBAPIError) -> str:
    # Never the error's text: libpq's names hosts and accounts, and may quote values.
    name = getattr(error.orig, "sqlite_errorname", None)
    return str(name) if name else type(error.orig).__name__


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


def _configure_postgresql(connection: Any, _record: object) -> None:
    # Stated, though on by default: a receipt promises what is on disk, whatever postgresql.conf says.
    for setting, value in (
        ("synchronous_commit", "on"),
        ("lock_timeout", BUSY_TIMEOUT_MS),
        ("statement_timeout", STATEMENT_TIMEOUT_MS),
        ("idle_in_transaction_session_timeout", IDLE_TIMEOUT_MS),
        ("timezone", "UTC"),
        # Planning and compiling must not cost more than what a page asks for.
        ("jit", "off"),
    ):
        connection.execute(f"SET {setting} = '{value}'")
    connection.commit()


def _begin(connection: Connection) -> None:
    options: dict[str, Any] = dict(connection.get_execution_options())
    connection.exec_driver_sql("BEGIN" if options.get("reading") else "BEGIN IMMEDIATE")
