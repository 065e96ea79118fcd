"""A batch of hits as it travels over MQTT: the batch's own bytes and signature, so that the broker learns no
more of it than who sent it, when, and how long it is.

Whatever comes by MQTT is taken exactly like a batch that came by HTTPS: by its signature, once by its id, and
answered with the same signed receipt.
"""

from sync import wire
from sync.batch import SignedBatch
from sync.errors import WireFormatError

MAX_HIT_MESSAGE_BYTES = 512 * 1024
"""Longest message. A batch that is longer goes by HTTPS alone."""
MAX_HIT_BATCH_BYTES = MAX_HIT_MESSAGE_BYTES - 64 * 1024
"""Most sealed bytes in a batch of hits, which leaves room for what stands around them."""
HITS_TOPICS = "alpr/+/hits"


def hits_topic(unit_id: str) -> str:
    """Return where a unit puts its hits."""
    return f"alpr/{wire.identifier(unit_id)}/hits"


def receipts_topic(unit_id: str) -> str:
    """Return where a unit is given its receipts."""
    return f"alpr/{wire.identifier(unit_id)}/receipts"


def encode_hits(batch: SignedBatch) -> bytes:
    """Return *batch* as a message; it may be longer than is sent."""
    return wire.dumps([wire.identifier(batch.batch_id), batch.payload, batch.signature])


def decode_hits(message: bytes) -> SignedBatch:
    """Return the batch in *message*, of which nothing is verified yet.

    Raises WireFormatError if it is too long, or no such message.
    """
    if len(message) > MAX_HIT_MESSAGE_BYTES:
        raise WireFormatError(f"message of hits is longer than {MAX_HIT_MESSAGE_BYTES} bytes")
    parts = wire.loads(message, "message of hits")
    try:
        batch_id, payload, signature = parts
        batch = SignedBatch(wire.identifier(batch_id), wire.octets(payload), wire.octets(signature))
    except (TypeError, ValueError) as error:
        raise WireFormatError(f"message of hits has a field missing or of a wrong type ({error})") from error
    wire.must_be(message, encode_hits(batch), "message of hits")
    return batch
