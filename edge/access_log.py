"""The unit's access log on disk: appended to, never changed; see `sync.access_log` for what it proves.

Layout: magic (8 bytes), salt (32, random), then frames of four bytes' length, a random nonce and an
AES-256-GCM ciphertext. The file's key comes of the unit's storage key and the salt: who takes the disk
without that key learns no name and no case. An entry is on the disk when `append` returns, and nothing is
shown before.
"""

import fcntl
import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.clock import Clock
from edge.errors import LogUnwritableError
from sync import wire
from sync.access_log import (
    Deed,
    LogBrokenError,
    LogEntry,
    LogHead,
    LogRecord,
    followed,
    made,
    read_entry,
    start,
)
from sync.errors import WireFormatError

LOG_NAME = "access-log.sealed"
_MAGIC = b"ALPRLOG1"
_SALT_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_LENGTH_BYTES = 4
_LONGEST_FRAME = 1024 * 1024
_BEGIN = len(_MAGIC) + _SALT_BYTES

VERIFIED_AT_START = 1000
"""Of the newest entries: a year of them takes minutes on a small computer. `verified` looks at all."""

log = structlog.get_logger(__name__)


class AccessLog:
    """One unit's log, open for appending. May be used by several threads; by one process at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        unit_id: str,
        storage_key: bytes,
        signing: Ed25519PrivateKey,
        department: X25519PublicKey,
        clock: Clock,
    ) -> None:
        """*folder* exists. The newest entries are verified; half of one, of a power cut, is taken off.

        A log that does not verify is set aside with ".damaged" behind its name, `fault` says so, and a new
        one begins with an entry that says so too: the department's receipts tell which entries it has.
        Raises LogUnwritableError if the disk fails or another process holds the log.
        """
        self.fault = ""
        """What the technician must know of it; empty if nothing."""
        self._unit_id = unit_id
        self._signing = signing
        self._department = department
        self._clock = clock
        self._lock = threading.Lock()
        self._path = folder / LOG_NAME
        self._head = start(unit_id)
        try:
            self._open(storage_key)
        except LogBrokenError as error:
            aside = self._path.with_name(f"{LOG_NAME}.{secrets.token_hex(4)}.damaged")
            self._path.replace(aside)
            self.fault = f"access log: {error}; it was set aside as {aside.name}, tell the auditor"
            log.error("access_log.damaged", why=str(error), aside=aside.name)
            self._open(storage_key)
            self.append(Deed("unit", "unit", "log.begin", "refused", detail={"aside": aside.name}))
        except OSError as error:
            raise LogUnwritableError(f"{self._path}: cannot be opened ({error.strerror})") from error

    @property
    def head(self) -> LogHead:
        """The newest entry."""
        with self._lock:
            return self._head

    def append(self, deed: Deed) -> LogEntry:
        """Write *deed* down and return its entry once it is on the disk.

        Raises LogUnwritableError if it cannot be: then show nothing.
        """
        with self._lock:
            now = self._clock.now()
            entry, record = made(
                deed,
                self._head,
                at=now.utc,
                quality=now.quality.value,
                unit_id=self._unit_id,
                key=self._signing,
                department=self._department,
            )
            frame = _frame(self._aead, record)
            try:
                os.pwrite(self._file, frame, self._ends[-1])
                os.fsync(self._file)
            except OSError as error:
                # What was half written is written over by the next entry, or taken off at the next start.
                raise LogUnwritableError(
                    f"access log: cannot be written ({error.strerror}); nothing is shown until it can"
                ) from error
            self._ends.append(self._ends[-1] + len(frame))
            self._head = LogHead(entry.sequence, entry.digest)
            return entry

    def records(self, after: int, limit: int) -> tuple[LogRecord, ...]:
        """Return at most *limit* records of those behind the entry *after*.

        Raises LogBrokenError if they were altered since they were written.
        """
        with self._lock:
            begin, end = (self._ends[min(n, len(self._ends) - 1)] for n in (after, after + limit))
            data = os.pread(self._file, end - begin, begin)
            found = [_record(self._aead, content) for content, _ in _frames(data, 0)]
        if None in found:
            raise LogBrokenError(f"an entry after {after} does not open: it was altered")
        return tuple(record for record in found if record is not None)

    def holds(self, head: LogHead) -> bool:
        """Whether *head* is an entry of this log, or its beginning. Raises LogBrokenError."""
        if head.sequence == 0:
            return head == start(self._unit_id)
        found = self.records(head.sequence - 1, 1)
        return bool(found) and read_entry(found[0]).digest == head.digest

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            os.close(self._file)

    def _open(self, storage_key: bytes) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_size < _BEGIN:
                os.ftruncate(file, 0)
                os.pwrite(file, _MAGIC + secrets.token_bytes(_SALT_BYTES), 0)
                os.fsync(file)
                _sync_folder(self._path.parent)
            data = self._path.read_bytes()
            self._aead = _aead(data, storage_key)
            self._ends, entries = self._newest(data)
            os.ftruncate(file, self._ends[-1])
            os.fsync(file)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        self._head = LogHead(entries[-1].sequence, entries[-1].digest) if entries else start(self._unit_id)
        if (taken_off := len(data) - self._ends[-1]) > 0:
            self.append(Deed("unit", "unit", "log.mend", detail={"bytes taken off": str(taken_off)}))

    def _newest(self, data: bytes) -> tuple[list[int], list[LogEntry]]:
        """Return where each entry in *data* ends, behind where the first begins, and the newest entries.

        What was on its way to the disk when the power failed was never promised, and is left out.
        """
        ends, frames = [_BEGIN], deque[bytes](maxlen=VERIFIED_AT_START + 1)
        for frame, after in _frames(data, _BEGIN):
            # Some file systems give a file its length before its bytes. No entry ends in a tag of zeros.
            if not any(data[max(ends[-1], len(data) - _TAG_BYTES) :]) and _record(self._aead, frame) is None:
                break
            frames.append(frame)
            ends.append(after)
        place = len(ends) - len(frames)
        records = [_opened(self._aead, frame, place + number) for number, frame in enumerate(frames)]
        head = start(self._unit_id)
        if place > 1:
            before = read_entry(records.pop(0))
            head = LogHead(place, before.digest)
        return ends, followed(records, head, self._unit_id, self._signing.public_key())


def verified(
    path: Path, *, unit_id: str, storage_key: bytes, key: Ed25519PublicKey, noted: LogHead | None = None
) -> list[LogEntry]:
    """Return every entry of the log in *path*, verified from the first to the last; the daemon may run on.

    Raises LogBrokenError naming the first entry that does not fit, or if the head *noted* at an earlier time
    is not in it; FileNotFoundError if there is no log.
    """
    entries = followed(records_in(path, storage_key), start(unit_id), unit_id, key)
    require_noted(entries, noted)
    return entries


def records_in(path: Path, storage_key: bytes) -> list[LogRecord]:
    """Return every record of the log in *path*, unverified; the daemon may run on.

    Raises LogBrokenError if one does not open, FileNotFoundError if there is no log.
    """
    data = path.read_bytes()
    if len(data) < _BEGIN:
        return []
    aead = _aead(data, storage_key)
    return [_opened(aead, frame, place) for place, (frame, _) in enumerate(_frames(data, _BEGIN), 1)]


def _opened(aead: AESGCM, frame: bytes, place: int) -> LogRecord:
    if (record := _record(aead, frame)) is None:
        raise LogBrokenError(f"entry {place} does not open: it was altered")
    return record


def require_noted(entries: list[LogEntry], noted: LogHead | None) -> None:
    """Raise LogBrokenError if the head *noted* earlier is not among *entries*, which begin with the first."""
    if noted is None or noted.sequence == 0:
        return
    if noted.sequence > len(entries) or entries[noted.sequence - 1].digest != noted.digest:
        raise LogBrokenError(f"entry {noted.sequence}, noted earlier, is gone or another: the log was cut")


def _aead(data: bytes, storage_key: bytes) -> AESGCM:
    if not data.startswith(_MAGIC):
        raise LogBrokenError("the file is no access log")
    salt = data[len(_MAGIC) : _BEGIN]
    return AESGCM(HKDF(SHA256(), 32, salt, b"alpr-edge access log file v1").derive(storage_key))


def _frame(aead: AESGCM, record: LogRecord) -> bytes:
    # Random and not counted: after a power cut the same place is written again with other content.
    nonce = secrets.token_bytes(_NONCE_BYTES)
    content = nonce + aead.encrypt(nonce, wire.dumps([record.data, record.signature]), None)
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


def _record(aead: AESGCM, content: bytes) -> LogRecord | None:
    try:
        parts = wire.loads(aead.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], None), "log record")
        return LogRecord(*(wire.octets(part) for part in parts))
    except (InvalidTag, WireFormatError, TypeError, ValueError):
        return None


def _frames(data: bytes, begin: int) -> Iterator[tuple[bytes, int]]:
    while begin + _LENGTH_BYTES <= len(data):
        length = int.from_bytes(data[begin : begin + _LENGTH_BYTES], "big")
        after = begin + _LENGTH_BYTES + length
        if length > _LONGEST_FRAME:
            raise LogBrokenError("the length of an entry was altered")
        if after > len(data):
            return
        yield data[begin + _LENGTH_BYTES : after], after
        begin = after


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
