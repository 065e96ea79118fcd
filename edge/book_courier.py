"""Brings the officers' own entries and suppressions to the department, and keeps its word that it has them.

The book goes whole whenever it is another than the department last acknowledged. What was acknowledged lies
in a small sealed file beside the book; a lost one costs one more upload. The book itself is never changed
here: whatever the department says or does not say, it stays on the unit.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.delivery import Delivery
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.errors import LocalEntryRefusedError
from hotlist_cache.local import LocalBook
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from sync.errors import RefusedError
from sync.local_book import MAX_BOOK_BYTES, SignedBook, decode_book_receipt, encode_book, sent_book
from sync.session import Session

ACKNOWLEDGED_NAME = "local-entries.acknowledged"
LOOK_S = 5.0
"""How often the book is looked at: an officer's entry is with the department within seconds."""

log = structlog.get_logger(__name__)


class BookTransport(Protocol):
    """A way to the server."""

    def send_book(self, book: SignedBook) -> bytes:
        """Return the server's answer; raises UnreachableError or RefusedError, and nothing else."""
        ...


class BookCourier:
    """Runs in the upload thread. *book* is its own: another thread's may be loading itself anew."""

    def __init__(
        self,
        book: LocalBook,
        session: Session,
        transport: BookTransport,
        *,
        unit_id: str,
        unit_key: Ed25519PrivateKey,
        department: Ed25519PublicKey,
        storage_key: bytes,
        clock: Callable[[], datetime],
        disk: Disk | None = None,
    ) -> None:
        """*session* lends its waits and is given no batch; *department* checks receipts; *clock* gives aware
        UTC."""
        self._book = book
        self._delivery = Delivery(session, "local entries", clock)
        self._unread = ""
        self._transport = transport
        self._unit_id = unit_id
        self._unit_key = unit_key
        self._department = department
        self._storage_key = storage_key
        self._disk: Disk = RealDisk() if disk is None else disk
        self._seen: tuple[int, int] | None = (0, 0)  # no file's: also a book that is gone is looked at
        self._unsent: SignedBook | None = None
        """What is to be sent; None while the department has the book as it is."""
        self._acknowledged = self._read_acknowledged()

    @property
    def fault(self) -> str:
        """Why the department does not take the book, for the technician; empty while it does, or is away."""
        return self._unread or self._delivery.fault

    @property
    def waiting(self) -> bool:
        """Whether the department has yet to acknowledge what was last seen of the book."""
        return self._unsent is not None

    def work(self) -> float:
        """Do what is due, at most one exchange; return how many seconds nothing will be due."""
        try:
            self._look()
        except (LocalEntryRefusedError, OSError) as error:
            # Told here as well as by `lists`: whichever reads a damaged file first has set it aside.
            self._unread = str(error)
            log.error("local_book.unread", why=self._unread)
            return LOOK_S
        unsent = self._unsent
        if unsent is None or not self._delivery.due:
            return LOOK_S
        if self._delivery.attempt(lambda: self._exchange(unsent)):
            self._unread = ""
        return LOOK_S

    def hurry(self) -> None:
        """Forget the present wait: the drive is over, or the link has come up."""
        self._delivery.hurry()

    def _look(self) -> None:
        """Take up what officers changed since the last look."""
        if (seen := _state(self._book.path)) == self._seen:
            return
        self._book.load()
        signed = encode_book(sent_book(self._unit_id, self._book), self._unit_key)
        # A unit on which nobody ever put anything has nothing to say.
        nothing = not self._book.changes and not self._acknowledged
        self._unsent = None if nothing or signed.digest == self._acknowledged else signed
        self._seen = seen

    def _exchange(self, book: SignedBook) -> None:
        if len(book.payload) > MAX_BOOK_BYTES:
            raise RefusedError(f"larger than the {MAX_BOOK_BYTES} bytes that the department takes")
        data = self._transport.send_book(book)
        receipt = decode_book_receipt(data, self._department, book, self._unit_id)
        self._keep_acknowledged(book.digest)
        self._unsent = None
        log.info("local_book.acknowledged", changes=receipt.changes)

    @property
    def _path(self) -> Path:
        return self._book.path.with_name(ACKNOWLEDGED_NAME)

    def _read_acknowledged(self) -> bytes:
        try:
            return bytes(read_sealed(self._path, self._storage_key, ACKNOWLEDGED_NAME))
        except FileNotFoundError:
            return b""
        except (SealedFileDamagedError, OSError) as error:
            log.warning("local_book.acknowledged_unread", why=str(error))
            return b""

    def _keep_acknowledged(self, digest: bytes) -> None:
        write_sealed(self._disk, self._path, memoryview(digest), self._storage_key, ACKNOWLEDGED_NAME)
        self._acknowledged = digest


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns  # replaced whole: another file each time
