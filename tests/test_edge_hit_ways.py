"""Two ways of a batch of hits: by the broker where it answers, by HTTPS where it does not."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import hit_ways
from edge.hit_ways import HitWays
from sync.batch import Batch, SignedBatch, encode_batch
from sync.record import encode_record
from sync.seal import EpochSealer
from tests.fakes import START, UNIT, FakeDepartment, a_read

KEY = Ed25519PrivateKey.generate()


class Street:
    """A unit between a broker and a server, both of one department."""

    def __init__(self) -> None:
        self.department = FakeDepartment(KEY)
        self.published: list[bytes] = []
        self.by_https: list[str] = []
        self.late: list[bytes] = []
        """Receipts that the broker brings while HTTPS is on its way."""
        self.ways = HitWays(
            self,
            self.publish,
            unit_id=UNIT,
            department=self.department.receipt_key.public_key(),
            monotonic_ns=lambda: self.now_ns,
        )
        self._batches = 0
        self.now_ns = 0

    def publish(self, message: bytes) -> bool:
        self.published.append(message)
        return True

    def send(self, batch: SignedBatch) -> bytes:
        """Fills the transport by HTTPS."""
        self.by_https.append(batch.batch_id)
        for receipt in self.late:
            self.ways.receipt_came(receipt)
        return self.department.send(batch)

    def batch(self) -> SignedBatch:
        self._batches += 1
        sealer = EpochSealer(UNIT, self.department.seal_key.public_key())
        read = a_read()
        sealed = sealer.seal(read.read_id, encode_record(UNIT, read, []))
        return encode_batch(Batch(f"batch-{self._batches}", UNIT, START, (sealer.epoch,), (sealed,)), KEY)


@pytest.fixture
def street(monkeypatch: pytest.MonkeyPatch) -> Street:
    monkeypatch.setattr(hit_ways, "GRACE_S", 0.01)
    return Street()


def test_a_broker_that_answers_late_is_waited_for_again_and_one_that_does_not_answer_is_not(
    street: Street,
) -> None:
    batch = street.batch()
    street.late = [street.department.send(batch)]
    street.ways.send(batch)
    # Else every hit from now on would go over the air twice.
    assert street.ways._answering
    street.late = []
    silent = street.batch()
    street.ways.send(silent)
    assert not street.ways._answering
    batch = street.batch()
    street.late = [street.department.send(batch)]
    street.ways.send(batch)
    assert street.ways._answering
    assert (len(street.by_https), len(street.published)) == (3, 3)


def test_receipts_that_nobody_asked_for_are_let_go(street: Street) -> None:
    batch, other = street.batch(), street.batch()
    for made_up in (b"", b"\xff" * 100, street.department.send(other)):
        street.ways.receipt_came(made_up)
    assert street.ways.send(batch) == street.department.send(batch)
    assert street.by_https == [batch.batch_id]


def test_a_broker_that_goes_on_making_receipts_up_keeps_no_hit_from_the_other_way(street: Street) -> None:
    batch, get = street.batch(), street.ways._receipts.get

    def endless(block: bool = True, timeout: float | None = None) -> bytes:
        street.now_ns += 5_000_000
        street.ways.receipt_came(b"made up")
        return get(block, timeout)

    street.ways._receipts.get = endless  # type: ignore[method-assign]
    street.ways._receipts.get_nowait = lambda: get(block=False)  # type: ignore[method-assign]
    assert street.ways.send(batch) == street.department.send(batch)
    assert street.by_https == [batch.batch_id]


def test_no_more_receipts_are_held_than_can_be_wanted(street: Street) -> None:
    for number in range(1000):
        street.ways.receipt_came(b"%d" % number)
    assert street.ways._receipts.qsize() == hit_ways.MOST_RECEIPTS
    batch = street.batch()
    street.ways.receipt_came(street.department.send(batch))
    street.ways.send(batch)
    assert street.by_https == []  # the newest is kept
