"""The two ways of a batch of hits: MQTT where the broker is connected, else HTTPS, else what answers first.

The broker's connection stands, so a hit is there without a new handshake, and goes over the air once. HTTPS
is the way that always counts: if no receipt comes by MQTT within `GRACE_S`, the same bytes go by HTTPS. The
department knows a batch by its id, and one that came both ways is held once.
"""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.batch import SignedBatch, decode_receipt
from sync.errors import ReceiptInvalidError, UnreachableError
from sync.hit_message import encode_hits
from sync.upload import Transport

GRACE_S = 2.0
"""How long a receipt by MQTT is waited for: a round trip over a poor cellular link and the department's
commit."""
MOST_RECEIPTS = 32
"""Held until they are looked at; the oldest go first. One batch is on its way, so others are late ones."""

Publish = Callable[[bytes], bool]
"""Give a message to the broker's thread; whether it takes it, being connected. Returns at once."""


class HitWays:
    """Fills `sync.upload.Transport`. For the hits' thread; `receipt_came` is called by the broker's."""

    def __init__(
        self,
        https: Transport,
        publish: Publish | None,
        *,
        unit_id: str,
        department: Ed25519PublicKey,
        monotonic_ns: Callable[[], int],
    ) -> None:
        """*publish* None: no broker is configured; *department* checks receipts."""
        self._https = https
        self._publish = publish
        self._unit_id = unit_id
        self._department = department
        self._monotonic_ns = monotonic_ns
        self._receipts: Queue[bytes] = Queue(MOST_RECEIPTS)
        self._answering = True
        """Whether the department has answered by MQTT when it was last given time to."""

    def receipt_came(self, data: bytes) -> None:
        """Take up what came as a receipt by MQTT; nothing of it is believed yet."""
        while True:
            try:
                return self._receipts.put_nowait(data)
            except Full:
                with suppress(Empty):
                    self._receipts.get_nowait()

    def send(self, batch: SignedBatch) -> bytes:
        """Return the receipt's bytes; raises as `sync.https.HttpsTransport.send`."""
        published = self._publish is not None and self._publish(encode_hits(batch))
        if published:
            receipt = self._receipt(batch, GRACE_S if self._answering else 0.0)
            self._answering = receipt is not None
            if receipt is not None:
                return receipt
        try:
            receipt = self._https.send(batch)
            if published and not self._answering:
                # Often it has come meanwhile; else each hit would go over the air twice from now on.
                self._answering = self._receipt(batch, 0.0) is not None
            return receipt
        except UnreachableError:
            # It may have come by the other way meanwhile; then nothing failed.
            if (
                published
                and (receipt := self._receipt(batch, 0.0 if self._answering else GRACE_S)) is not None
            ):
                self._answering = True
                return receipt
            raise

    def _receipt(self, batch: SignedBatch, patience_s: float) -> bytes | None:
        """Return what is the receipt of *batch*; others are late ones, or were made up, and are let go."""
        # One deadline for all of them: a broker that goes on making receipts up must not keep a hit from the
        # other way.
        deadline_ns = self._monotonic_ns() + int(patience_s * 1e9)
        looked_at_late = 0
        while looked_at_late <= MOST_RECEIPTS:
            left_s = (deadline_ns - self._monotonic_ns()) / 1e9
            try:
                data = self._receipts.get(timeout=left_s) if left_s > 0 else self._receipts.get_nowait()
            except Empty:
                return None
            looked_at_late += left_s <= 0
            try:
                decode_receipt(data, self._department, batch, self._unit_id)
            except ReceiptInvalidError:
                continue
            return data
        return None
