"""The outbox's SQLite file: opened safely, brought to the newest schema, set aside when damaged.

WAL with synchronous=FULL, as measured over 400 simulated power cuts each: FULL lost no committed row, NORMAL
lost some, and without WAL the file itself broke. No memory map: a bad sector would then kill the process with
SIGBUS instead of giving an error.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from sync.errors import DiskFullError, OutboxCorruptError, OutboxVersionError

BUSY_TIMEOUT_MS = 5000
PARTS = ("-wal", "-shm", "")
DAMAGED, SALVAGED = "damaged", "salvaged"
"""What a file set aside is called: yet to be gone through, and gone through."""
CHECK_S = 3.0
"""How long an outbox is looked through when it is opened. A month's, on a slow card, takes minutes, in which
a car would alert to nothing: what was not looked at is met, and judged, as it is used."""

# Each becomes one transaction together with its number in user_version. A published one is never edited.
MIGRATIONS = (
    """
    CREATE TABLE epochs (
        number INTEGER PRIMARY KEY,
        epoch_id TEXT NOT NULL UNIQUE,
        unit_id TEXT NOT NULL,
        sealed_key BLOB NOT NULL
    ) STRICT;
    CREATE TABLE batches (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        batch_id TEXT NOT NULL UNIQUE,
        unit_id TEXT NOT NULL,
        made_at INTEGER NOT NULL,      -- seconds since 1970
        digest BLOB NOT NULL,          -- SHA-256 of the payload
        reads INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'refused', 'released', 'purged')),
        why TEXT,                      -- of a refusal
        receipt BLOB,                  -- as the server signed it
        received_at INTEGER,           -- seconds since 1970, by the server's clock
        CHECK ((receipt IS NOT NULL) = (state IN ('acknowledged', 'purged')))
    ) STRICT;
    CREATE INDEX batches_by_state ON batches (state);
    CREATE TABLE reads (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        read_id TEXT NOT NULL UNIQUE,
        epoch INTEGER NOT NULL REFERENCES epochs (number),
        batch INTEGER REFERENCES batches (number),
        stored_hour INTEGER NOT NULL,  -- hours since 1970, rounded down: the exact time is sealed
        sealed BLOB NOT NULL           -- last: reading the others does not touch its overflow pages
    ) STRICT;
    CREATE INDEX reads_by_batch ON reads (batch, stored_hour);
    CREATE INDEX reads_by_epoch ON reads (epoch);
    -- The rule that matters most, held by the file itself: without a receipt nothing is deleted.
    CREATE TRIGGER reads_leave_with_a_receipt BEFORE DELETE ON reads
    WHEN NOT EXISTS (SELECT 1 FROM batches WHERE number = OLD.batch AND state = 'acknowledged')
    BEGIN
        SELECT RAISE(ABORT, 'a read without a receipt is not deleted');
    END;
    CREATE TRIGGER batches_stay BEFORE DELETE ON batches
    BEGIN
        SELECT RAISE(ABORT, 'a batch and its receipt are not deleted');
    END;
    """,
    # The local window. Nothing here opens or says anything without the secret of its slot (sync/window.py).
    """
    CREATE TABLE window_keys (
        epoch INTEGER PRIMARY KEY REFERENCES epochs (number),
        slot INTEGER NOT NULL,         -- random
        wrapped BLOB NOT NULL          -- the epoch's key, under a key of the slot
    ) STRICT;
    CREATE INDEX window_keys_by_slot ON window_keys (slot);
    CREATE TABLE window_index (
        slot INTEGER NOT NULL,
        token BLOB NOT NULL,           -- keyed hash of what can be asked for; no two are alike
        card BLOB NOT NULL,            -- encrypted: which read, and when
        PRIMARY KEY (slot, token)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX reads_by_batch_and_epoch ON reads (batch, epoch);  -- what a purge asks every minute
    """,
    # Hits go first, so the file must say which reads were hits: before, it did not.
    """
    CREATE TABLE hit_reads (
        read INTEGER PRIMARY KEY REFERENCES reads (sequence) ON DELETE CASCADE
    ) STRICT;
    -- Reads that are never sent. Their keys hang on a slot of the window and on nothing else: no department's
    -- key opens them, so they need no receipt to go.
    CREATE TABLE passing_reads (
        read_id TEXT PRIMARY KEY,
        slot INTEGER NOT NULL,
        epoch_id TEXT NOT NULL,
        unit_id TEXT NOT NULL,
        wrapped BLOB NOT NULL,
        sealed BLOB NOT NULL
    ) STRICT;
    CREATE INDEX passing_reads_by_slot ON passing_reads (slot);
    """,
    # In the order they came, whatever the wall clock said meanwhile.
    """
    CREATE INDEX reads_unbatched ON reads (sequence) WHERE batch IS NULL;
    """,
    # So that a read gone bad on the disk is known from the others (sync/outbox_batches.py), here and in a
    # file that is damaged as a whole (sync/outbox_salvage.py).
    """
    ALTER TABLE reads ADD COLUMN digest BLOB;  -- NULL in reads of before
    ALTER TABLE reads ADD COLUMN was INTEGER;  -- the batch that was given up, whose receipt may come yet
    CREATE INDEX reads_by_former_batch ON reads (was) WHERE was IS NOT NULL;
    -- A second copy of each epoch's key, on other pages: with it every read of its hour would be lost.
    CREATE INDEX epochs_again ON epochs (number, epoch_id, unit_id, sealed_key);
    """,
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn SQLite's errors inside into this folder's; *what* names the file in the message.

    Raises DiskFullError if the disk takes no writes, OutboxCorruptError if the file is damaged.
    """
    try:
        yield
    except apsw.FullError as error:
        raise DiskFullError(f"{what}: the disk is full; transfer the reads or make room") from error
    except (apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError, apsw.BusyError) as error:
        # A worn SD card ends like this: write errors, then the kernel makes the file system read-only. Busy
        # for longer than the timeout means that it hangs: nobody holds the file so long.
        raise DiskFullError(
            f"{what}: the disk fails or is read-only ({error}); check and replace it"
        ) from error
    except (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError) as error:
        # A text that is none: SQLite's own check does not look at what stands in a column.
        raise OutboxCorruptError(f"{what}: damaged ({error}); set it aside and start a new one") from error
    except (apsw.SQLError, apsw.MismatchError, apsw.ConstraintError) as error:
        # The statements are fixed and fit the schema: where one does not, the schema itself was altered, or a
        # row no longer keeps its own rules.
        raise OutboxCorruptError(
            f"{what}: its content breaks its own rules ({type(error).__name__}); set it aside"
        ) from error


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Make everything inside one change: all of it is on the disk afterwards, or nothing."""
    # Not `with connection`: on a full disk SQLite rolls back by itself, and apsw's then fails to do it again
    # and hides the first error behind its own.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def connect(path: Path) -> apsw.Connection:
    """Return a connection to the outbox file *path*, made if it is not there, readable by its owner alone.

    It is checked, for `CHECK_S` at most, and not yet configured. Raises OutboxCorruptError if it is damaged,
    DiskFullError if the disk does not let it be made or read.
    """
    if _condemned(path).exists():
        raise OutboxCorruptError(f"{path}: was found damaged while in use; set it aside and start a new one")
    _make(path)
    with translated(str(path)):
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        try:
            # Before anything is written, and without merging its WAL on closing: a damaged file is set aside
            # as it was found.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            found = _found(connection)
        except apsw.Error:
            connection.close(True)
            raise
    if found != "ok":
        connection.close(True)
        raise OutboxCorruptError(f"{path}: damaged ({found}); set it aside and start a new one")
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    return connection


def configure(connection: apsw.Connection) -> None:
    """Set on *connection* what durability and order need; safe to do again."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    if connection.pragma("page_count") == 0:
        connection.pragma("auto_vacuum", "INCREMENTAL")  # takes on an empty file alone
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "mmap_size = 0",
        "secure_delete = ON",
        "cell_size_check = ON",
        "trusted_schema = OFF",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def migrate(connection: apsw.Connection, what: str) -> None:
    """Bring *connection*'s schema to the newest, each step and its number in one transaction.

    Raises OutboxVersionError if a newer program wrote it.
    """
    version = connection.pragma("user_version")
    if version > len(MIGRATIONS):
        raise OutboxVersionError(
            f"{what}: outbox is of version {version}, this program knows {len(MIGRATIONS)};"
            " install the newer program"
        )
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        with transaction(connection):
            # Several statements in one execute run only as far as they are fetched.
            connection.execute(statements).fetchall()
            connection.execute(f"PRAGMA user_version = {number}").fetchall()


def quarantine(path: Path) -> Path:
    """Rename the damaged outbox *path* with its WAL and index beside it; return its new path.

    Nothing is deleted: what is sealed in it can still be recovered and taken to the department. The next
    `open_outbox` of *path* starts a new one. No connection to it may be open. A crash in between leaves it
    condemned, and the next call goes on. Raises DiskFullError if the disk does not let it be renamed.
    """
    condemn(path)
    aside = aside_of(path, _resumed_number(path))
    try:
        for suffix in PARTS:
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        sync_folder(path.parent)
        _condemned(path).unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise DiskFullError(f"{path}: damaged, and cannot be set aside ({error.strerror})") from error
    return aside


def aside_of(path: Path, number: int, kind: str = DAMAGED) -> Path:
    """Return how the outbox *path* is called once it is set aside under *number*."""
    return path.with_name(f"{path.name}.{kind}-{number}")


def numbers_aside(path: Path, *kinds: str) -> dict[int, set[str]]:
    """Return the numbers under which the outbox *path* was set aside, each with what parts of it."""
    found: dict[int, set[str]] = {}
    for kind in kinds:
        start = f"{path.name}.{kind}-"
        for each in path.parent.glob(f"{start}*"):
            number, dash, rest = each.name.removeprefix(start).partition("-")
            if number.isdecimal() and dash + rest in PARTS:
                found.setdefault(int(number), set()).add(dash + rest)
    return found


def free_number(path: Path) -> int:
    """Return a number under which nothing of the outbox *path* lies beside it."""
    return max(numbers_aside(path, DAMAGED, SALVAGED), default=0) + 1


def _resumed_number(path: Path) -> int:
    """Return the number of a quarantine that was broken off before the file itself, which comes last; else a
    free one."""
    here = {suffix for suffix in PARTS if path.with_name(path.name + suffix).exists()}
    gone_through = numbers_aside(path, SALVAGED)
    for number, parts in sorted(numbers_aside(path, DAMAGED).items()):
        if "" not in parts and not parts & here and number not in gone_through:
            return number
    return free_number(path)


def condemn(path: Path) -> None:
    """Remember beside the outbox *path* that it is damaged: `connect` then raises, until `quarantine`.

    Not all damage is found by SQLite's own check; without this a unit would start on such a file, fail and
    start again for ever.
    """
    try:
        _condemned(path).touch(mode=0o600)
        sync_folder(path.parent)
    except OSError as error:
        raise DiskFullError(f"{path}: damaged, and that cannot be noted ({error.strerror})") from error


def _found(connection: apsw.Connection) -> object:
    """Return what SQLite finds wrong with the file, "ok" for nothing in the time it has."""
    until = time.monotonic() + CHECK_S
    connection.set_progress_handler(lambda: time.monotonic() > until, 100)
    try:
        return connection.execute("PRAGMA quick_check(1)").get
    except apsw.InterruptError:
        return "ok"
    finally:
        connection.set_progress_handler(None)


def _condemned(path: Path) -> Path:
    return path.with_name(path.name + ".condemned")


def _make(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_folder(path.parent)
    except OSError as error:
        raise DiskFullError(f"{path}: cannot be opened ({error.strerror}); check the folder") from error


def sync_folder(folder: Path) -> None:
    """Let what was renamed in *folder* outlast a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
