"""One exchange with the server: what joins the session, the outbox and the transport.

The session decides, this does as it says, and nothing else in the code sends a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sync.batch import Batch, Receipt, SignedBatch, decode_receipt, encode_batch
from sync.errors import ReceiptInvalidError, RefusedError, SyncError, TooSlowError, UnreachableError
from sync.session import Send, Session, WaitUntil

LONG = timedelta(seconds=120)
"""A batch that is lost after so long was too much for the network: the server hangs up after 300 s, and who
still sends may then see no answer, but a broken connection."""


class Transport(Protocol):
    """A way to the server."""

    def send(self, batch: SignedBatch) -> bytes:
        """Return the server's answer; raises UnreachableError or RefusedError, and nothing else."""
        ...


class Store(Protocol):
    """What the upload needs of the outbox; across threads, something that asks the outbox's own."""

    def next_batch(self) -> Batch | None:
        """Return the batch to send, the same until one of the other two was called for it."""
        ...

    def accept(self, receipt: Receipt, data: bytes) -> None:
        """Keep a checked receipt; when this returns it is on the disk."""
        ...

    def set_aside(self, batch_id: str, why: str) -> None:
        """Never send this batch again, and keep its reads."""
        ...

    def cut(self, batch_id: str, limit_bytes: int) -> bool:
        """Queue the reads of this batch again, for batches of about *limit_bytes*; whether that could be: a
        batch of one read stays, and is sent again."""
        ...


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What one step of the upload came to."""

    next_at: datetime
    """When to step again, aware UTC; not later than the moment given if there is more to do."""
    receipt: Receipt | None = None
    """Of the batch that was sent and acknowledged."""
    error: SyncError | None = None
    """Why there is none: tell a person where its class says so."""


class Upload:
    """Carries batches from the outbox to the server, one step at a time. Not for several threads."""

    def __init__(
        self,
        session: Session,
        store: Store,
        transport: Transport,
        *,
        unit_id: str,
        unit_key: Ed25519PrivateKey,
        department: Ed25519PublicKey,
        clock: Callable[[], datetime],
    ) -> None:
        """*unit_key* signs batches, *department* checks receipts; *clock* gives aware UTC."""
        self._session = session
        self._store = store
        self._transport = transport
        self._unit_id = unit_id
        self._unit_key = unit_key
        self._department = department
        self._clock = clock

    def step(self) -> Exchanged:
        """Do what is due now, at most one exchange, and say when to come again.

        Raises what the store raises: then nothing was lost, and the batch is still the next to send.
        """
        now = self._clock()
        if self._session.wants_batch(now):
            waiting = self._store.next_batch()
            self._session.offer(None if waiting is None else encode_batch(waiting, self._unit_key), now)
        match self._session.next_action(now):
            case WaitUntil(moment):
                return Exchanged(moment)
            case Send(batch):
                return self._exchange(batch)

    def _exchange(self, batch: SignedBatch) -> Exchanged:
        began = self._clock()
        try:
            data = self._transport.send(batch)
            receipt = decode_receipt(data, self._department, batch, self._unit_id)
            self._store.accept(receipt, data)
        except RefusedError as error:
            # Aside on the disk first: after a crash in between it would be sent once more, not forgotten.
            self._store.set_aside(batch.batch_id, str(error))
            self._session.refused(error, self._clock())
            return Exchanged(self._next_at(), error=error)
        except ReceiptInvalidError as error:
            self._session.failed(error, self._clock())
            return Exchanged(self._next_at(), error=error)
        except UnreachableError as error:
            too_much = isinstance(error, TooSlowError) or self._clock() - began >= LONG
            if too_much and self._store.cut(batch.batch_id, len(batch.payload) // 2):
                self._session.cut(error, self._clock())
            else:
                self._session.failed(error, self._clock())
            return Exchanged(self._next_at(), error=error)
        self._session.received(receipt)
        return Exchanged(self._next_at(), receipt=receipt)

    def _next_at(self) -> datetime:
        now = self._clock()
        action = self._session.next_action(now)
        return action.moment if isinstance(action, WaitUntil) else now
