"""What this unit has accepted, in a database of its own: highest versions, sequences, and the pinned root.

The same settings as the outbox (WAL, synchronous=FULL): what was committed survives a power cut. The metadata
files lie beside; a commit here is what puts new ones in force, so they must be on the disk before it.
"""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from sync import outbox_file
from sync.errors import OutboxCorruptError, TrustLostError
from sync.trust_values import Accepted, Floors, Sequence, Trusted

KEPT_SEQUENCES = 4096
"""So many targets that are no longer published are remembered."""

_VERSION = 1
_SCHEMA = """
    CREATE TABLE pinned (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        sha256 TEXT NOT NULL             -- of the root that enrolment installed
    ) STRICT;
    CREATE TABLE accepted (
        role TEXT PRIMARY KEY,
        version INTEGER NOT NULL CHECK (version > 0),
        sha256 TEXT NOT NULL,            -- of the metadata file
        keys TEXT NOT NULL               -- ids of those that could sign, with blanks between
    ) STRICT;
    CREATE TABLE publication (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        accepted_at INTEGER NOT NULL,    -- seconds since 1970
        root INTEGER NOT NULL            -- version of the root it was verified with
    ) STRICT;
    CREATE TABLE sequences (
        path TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        sequence INTEGER NOT NULL CHECK (sequence > 0),
        sha256 TEXT NOT NULL,
        listed INTEGER NOT NULL          -- version of the role's metadata that listed it last
    ) STRICT;
    -- The rule of this file, held by itself. A floor that ended is deleted, never lowered.
    CREATE TRIGGER versions_do_not_fall BEFORE UPDATE ON accepted WHEN NEW.version < OLD.version
    BEGIN
        SELECT RAISE(ABORT, 'an accepted version does not fall');
    END;
    CREATE TRIGGER sequences_do_not_fall BEFORE UPDATE ON sequences WHEN NEW.sequence < OLD.sequence
    BEGIN
        SELECT RAISE(ABORT, 'an accepted sequence does not fall');
    END;
"""


class TrustRecord:
    """The open database; one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open *path*, or make it.

        Raises TrustLostError if it is damaged or of a newer program, DiskFullError if the disk fails.
        """
        self._path = path
        with self._guarded():
            self._connection = outbox_file.connect(path)
            try:
                outbox_file.configure(self._connection)
                self._migrate()
            except BaseException:
                self._connection.close(True)
                raise

    def close(self) -> None:
        """Let go of the file. What was committed is on the disk already."""
        self._connection.close()

    def pinned(self) -> str | None:
        """Return the digest of the root that enrolment installed; None in a new record."""
        with self._guarded():
            row = self._connection.execute("SELECT sha256 FROM pinned").fetchone()
        return None if row is None else str(row[0])

    def pin(self, sha256: str) -> None:
        """Begin the record with the root of that digest."""
        with self._guarded(), outbox_file.transaction(self._connection):
            self._connection.execute("INSERT INTO pinned VALUES (1, ?)", (sha256,))

    def floors(self) -> Floors:
        """Return what was accepted."""
        with self._guarded():
            roles: list[Any] = self._connection.execute(
                "SELECT role, version, sha256, keys FROM accepted"
            ).fetchall()
            rows: list[Any] = self._connection.execute(
                "SELECT path, sequence, sha256, role FROM sequences"
            ).fetchall()
        return Floors(
            {
                role: Accepted(version, sha256, frozenset(keys.split()))
                for role, version, sha256, keys in roles
            },
            {path: Sequence(sequence, sha256, role) for path, sequence, sha256, role in rows},
        )

    def publication(self) -> tuple[datetime, int] | None:
        """Return when the publication in force was first accepted (aware UTC), and with which root."""
        with self._guarded():
            row = self._connection.execute("SELECT accepted_at, root FROM publication").fetchone()
        return None if row is None else (datetime.fromtimestamp(row[0], UTC), int(row[1]))

    def accept_root(self, root: Accepted) -> None:
        """Let no older root count from now on."""
        with self._guarded(), outbox_file.transaction(self._connection):
            self._put("root", root)

    def accept(self, roles: dict[str, Accepted], trusted: Trusted, lapsed: Set[str]) -> None:
        """Put *trusted*, whose metadata are *roles*, in force. The floors of *lapsed* roles end before."""
        with self._guarded(), outbox_file.transaction(self._connection):
            for role in lapsed:
                self._connection.execute("DELETE FROM accepted WHERE role = ?", (role,))
                self._connection.execute("DELETE FROM sequences WHERE role = ?", (role,))
            for role, accepted in roles.items():
                self._put(role, accepted)
            for target in trusted.targets.values():
                row = (target.path, target.role, target.label.sequence, target.sha256)
                self._connection.execute(
                    "INSERT INTO sequences VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (path) DO UPDATE"
                    " SET role = ?2, sequence = ?3, sha256 = ?4, listed = ?5",
                    (*row, trusted.versions[target.role]),
                )
            for role in roles:
                # Of what is listed no more, the longest gone is forgotten first.
                self._connection.execute(
                    "DELETE FROM sequences WHERE path IN (SELECT path FROM sequences WHERE role = ?1 AND"
                    " listed < ?2 ORDER BY listed DESC, path LIMIT -1 OFFSET ?3)",
                    (role, trusted.versions[role], KEPT_SEQUENCES),
                )
            self._connection.execute(
                "INSERT OR REPLACE INTO publication VALUES (1, ?, ?)",
                (int(trusted.accepted_at.timestamp()), trusted.versions["root"]),
            )

    def _put(self, role: str, accepted: Accepted) -> None:
        self._connection.execute(
            "INSERT INTO accepted VALUES (?1, ?2, ?3, ?4) ON CONFLICT (role) DO UPDATE"
            " SET version = ?2, sha256 = ?3, keys = ?4",
            (role, accepted.version, accepted.sha256, " ".join(sorted(accepted.keys))),
        )

    def _migrate(self) -> None:
        version = self._connection.pragma("user_version")
        if version > _VERSION:
            raise lost(f"{self._path} is of a newer program (version {version})", "install that program")
        if version == 0:
            with outbox_file.transaction(self._connection):
                # Several statements in one execute run only as far as they are fetched.
                self._connection.execute(_SCHEMA).fetchall()
                self._connection.execute(f"PRAGMA user_version = {_VERSION}").fetchall()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with outbox_file.translated(str(self._path)):
                yield
        except OutboxCorruptError as error:
            # Without the outbox's remedy: this file must not simply be begun anew.
            raise lost(str(error).split(";", maxsplit=1)[0], "repair it") from error
        except (apsw.SQLError, apsw.ConstraintError) as error:
            raise lost(f"{self._path}: damaged ({error})", "repair it") from error


def lost(what: str, remedy: str) -> TrustLostError:
    """Return the error for a record that cannot be used."""
    return TrustLostError(
        f"{what}: {remedy}; nothing new is taken until then, what is in force stays",
        alarm=f"ALARM: this unit no longer knows what it accepted ({what}). Updates are stopped: {remedy}. "
        "Check the disk",
    )
