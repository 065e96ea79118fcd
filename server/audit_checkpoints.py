"""Signed heads of the access log: what shows that its end was cut off or written anew.

Whoever owns the machine can write a whole new chain. They cannot make it meet the heads that were signed and
carried away before: each checkpoint stands in a table, as a line of a file that is only appended to, and in
the service's log. Copy that file to another machine, as often as the log must be proven; `check` takes such
copies too. The key's fingerprint is the one thing to note on paper.
"""

import fcntl
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, Engine, func, insert, select

from server.audit import AuditHead, Deed, append, verify
from server.audit_offline import fingerprint
from server.audit_signing import Checkpoint, is_signed, line_of, parse_lines, raw, read_key
from server.database import reading, writing
from server.errors import AuditBrokenError, SettingsInvalidError, StoreUnavailableError
from server.keys import private_pem, write_private
from server.settings import AuditSettings, Folder
from server.tables import audit, audit_checkpoints

KEY_FILE = "audit.ed25519.key.pem"
_ACTOR = "server"


@dataclass(frozen=True, slots=True)
class CheckedLog:
    """An access log that agrees with every checkpoint there is."""

    head: AuditHead
    checkpoints: int
    newest: Checkpoint | None
    key: str
    """The fingerprint, "" before the first checkpoint."""
    in_file: int
    """How many of them the file holds."""
    damaged_lines: int
    """Lines of files that could not be read: a power cut while one was written leaves one."""
    newest_copied: int
    """Number of the newest checkpoint in the copies given, 0 if none were."""


class Checkpoints:
    """Signs the log's head and checks the log against what was signed. May be used by several processes."""

    def __init__(self, engine: Engine, folder: Folder, settings: AuditSettings) -> None:
        self._engine = engine
        self._key_path = folder.keys / KEY_FILE
        self._settings = settings
        self.file = Path(settings.checkpoint_file) if settings.checkpoint_file else folder.checkpoints
        """Where each checkpoint is a line."""

    def step(self, now: datetime, *, at_once: bool = False) -> Checkpoint | None:
        """Sign the head if it is time, or *at_once*; None if it was not, or the log is empty.

        Raises AuditBrokenError, and signs nothing, if the log breaks after the newest checkpoint;
        StoreUnavailableError if database or file cannot be written; SettingsInvalidError if the key is lost.
        """
        with reading(self._engine) as connection:
            if not (at_once or self._due(connection, now)):
                return None
        key = self._signing_key(now)
        with writing(self._engine) as connection:
            if not (at_once or self._due(connection, now)):
                return None  # another process was faster
            made = _sign(connection, key, now)
        self.write_out()
        return made

    def write_out(self) -> None:
        """Append to the file what the table holds and it does not: usually one line, more after a failure.

        Raises StoreUnavailableError if it cannot be written.
        """
        try:
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                content = file.read()
                written, _ = parse_lines(content)
                newest = max((each.number for each in written), default=0)
                with reading(self._engine) as connection:
                    missing = _stored(connection, after=newest)
                # A line that a power cut left unfinished is closed, not cut away: the file may be such that
                # nobody can shorten it.
                begun = b"\n" if content and not content.endswith(b"\n") else b""
                file.write(begun + b"".join(map(line_of, missing)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreUnavailableError(
                f"{self.file}: no checkpoint can be written to it ({error.strerror})"
            ) from error

    def check(
        self, copies: Sequence[Path] = (), noted: AuditHead | None = None, key: str | None = None
    ) -> CheckedLog:
        """Return what a log holds that is unbroken and agrees with the table, the file and all *copies*.

        *key* is the fingerprint to expect. Raises AuditBrokenError saying what does not agree,
        SettingsInvalidError if a copy cannot be read.
        """
        with reading(self._engine) as connection:
            head = verify(connection, noted)
            stored = _stored(connection)
            digests = _digests(connection, [each.sequence for each in stored])
        public = self._public_key() if stored or self._key_path.exists() else None
        known = "" if public is None else fingerprint(raw(public))
        if key is not None and key != known:
            raise AuditBrokenError(f"the key is {known or 'missing'}, not {key or 'empty'}: it was exchanged")
        for number, each in enumerate(stored, 1):
            if each.number != number:
                raise AuditBrokenError(f"checkpoint {number} is missing: the next one is {each.number}")
            _require_signed(each, public, "in the table")
            _require_met(each, digests.get(each.sequence), head)
        in_file, damaged = self._compare(self.file, stored, public, must_be_there=False)
        newest_copied = 0
        for copy in copies:
            held, more = self._compare(copy, stored, public, must_be_there=True)
            newest_copied = max(newest_copied, max(held, default=0))
            damaged += more
        newest = stored[-1] if stored else None
        return CheckedLog(head, len(stored), newest, known, len(in_file), damaged, newest_copied)

    def public_key(self) -> bytes:
        """Return the key that checks signatures, 32 bytes. Raises SettingsInvalidError if there is none."""
        return raw(self._public_key())

    def sign(self, message: bytes) -> bytes:
        """Return the department's signature over *message*. Raises SettingsInvalidError without a key."""
        return read_key(self._key_path).sign(message)

    def _public_key(self) -> Ed25519PublicKey:
        return read_key(self._key_path).public_key()

    def _due(self, connection: Connection, now: datetime) -> bool:
        head = connection.execute(select(func.max(audit.c.sequence))).scalar()
        newest = _newest(connection)
        if head is None or newest is None:
            return head is not None
        grown = head - newest.sequence >= self._settings.checkpoint_entries
        return grown or now - newest.signed_at >= timedelta(hours=self._settings.checkpoint_hours)

    def _signing_key(self, now: datetime) -> Ed25519PrivateKey:
        """Return the key; the first time it is made, and named in the log that it signs."""
        if self._key_path.exists():
            return read_key(self._key_path)
        key = Ed25519PrivateKey.generate()
        with writing(self._engine) as connection:
            if _newest(connection) is not None:
                # A new key beside old signatures is what a forger would bring: a person must look.
                raise SettingsInvalidError(f"{self._key_path} is missing: restore it from the backup")
            try:
                write_private(self._key_path, private_pem(key))
            except FileExistsError:
                return read_key(self._key_path)
            detail = {"fingerprint": fingerprint(raw(key.public_key()))}
            append(connection, Deed(_ACTOR, "audit.key", detail=detail), now)
        return key

    def _compare(
        self,
        path: Path,
        stored: Sequence[Checkpoint],
        public: Ed25519PublicKey | None,
        *,
        must_be_there: bool,
    ) -> tuple[set[int], int]:
        """Return the numbers of the checkpoints in a file, and how many lines of it cannot be read."""
        if not must_be_there and not path.exists():
            return set(), 0
        try:
            found, damaged = parse_lines(path.read_bytes())
        except OSError as error:
            raise SettingsInvalidError(f"{path}: cannot be read ({error.strerror})") from error
        for each in found:
            where = f"in {path}"
            if each.number > len(stored):
                raise AuditBrokenError(
                    f"checkpoint {each.number} {where} is not in the table: the log was cut or set back"
                )
            if each != stored[each.number - 1]:
                _require_signed(each, public, where)
                raise AuditBrokenError(
                    f"checkpoint {each.number} {where} is another than in the table: the log was written anew"
                )
        numbers = {each.number for each in found}
        if gaps := sorted(set(range(1, max(numbers, default=0))) - numbers):
            raise AuditBrokenError(f"checkpoint {gaps[0]} is missing in {path}: a line was removed")
        return numbers, damaged


def stored_checkpoints(connection: Connection, first: int, last: int) -> list[Checkpoint]:
    """Return those that sign an entry from *first* to *last*, by number."""
    return [each for each in _stored(connection) if first <= each.sequence <= last]


def _sign(connection: Connection, key: Ed25519PrivateKey, now: datetime) -> Checkpoint | None:
    before = _newest(connection)
    after = None if before is None else AuditHead(before.sequence, before.digest)
    # Nothing is signed over a break: a checkpoint must never make a changed log look whole.
    head = verify(connection, after=after)
    if before is not None:
        _require_met(before, _digests(connection, [before.sequence]).get(before.sequence), head)
    if head.sequence == 0:
        return None
    name = fingerprint(raw(key.public_key()))
    if before is not None and before.key != name:
        raise AuditBrokenError("the key is another than the one of the checkpoints before: it was exchanged")
    number = 1 if before is None else before.number + 1
    unsigned = Checkpoint(number, head.sequence, head.digest, now, name, b"")
    signature = key.sign(unsigned.message)
    connection.execute(
        insert(audit_checkpoints).values(
            number=number,
            sequence=head.sequence,
            digest=head.digest,
            signed_at=now,
            key=name,
            signature=signature,
        )
    )
    return Checkpoint(number, head.sequence, head.digest, now, name, signature)


def _require_signed(each: Checkpoint, public: Ed25519PublicKey | None, where: str) -> None:
    if public is None or each.key != fingerprint(raw(public)):
        raise AuditBrokenError(f"checkpoint {each.number} {where} was signed with another key: {each.key}")
    if not is_signed(raw(public), each.signature, each.message):
        raise AuditBrokenError(f"the signature of checkpoint {each.number} {where} is wrong")


def _require_met(each: Checkpoint, digest: bytes | None, head: AuditHead) -> None:
    if digest is None:
        raise AuditBrokenError(
            f"the log ends at entry {head.sequence}, but checkpoint {each.number} signed entry "
            f"{each.sequence}: it was cut"
        )
    if digest != each.digest:
        raise AuditBrokenError(
            f"entry {each.sequence} is not the one that checkpoint {each.number} signed: the log was written "
            "anew"
        )


def _newest(connection: Connection) -> Checkpoint | None:
    statement = select(audit_checkpoints).order_by(audit_checkpoints.c.number.desc()).limit(1)
    row = connection.execute(statement).first()
    return None if row is None else Checkpoint(*row)


def _stored(connection: Connection, after: int = 0) -> list[Checkpoint]:
    table = audit_checkpoints
    statement = select(table).where(table.c.number > after).order_by(table.c.number)
    return [Checkpoint(*row) for row in connection.execute(statement)]


def _digests(connection: Connection, sequences: Iterable[int]) -> dict[int, bytes]:
    wanted = sorted(set(sequences))
    found: dict[int, bytes] = {}
    # SQLite takes at most 32,766 values in one statement.
    for start in range(0, len(wanted), 1000):
        some = wanted[start : start + 1000]
        rows = connection.execute(select(audit.c.sequence, audit.c.digest).where(audit.c.sequence.in_(some)))
        found.update({row.sequence: row.digest for row in rows})
    return found
