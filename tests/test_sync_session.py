"""The session: in whatever order exchanges fail, no read is lost and none is held twice."""

import random
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sync.batch import Batch, Receipt, SealedEpoch, SealedRead, SignedBatch, encode_batch
from sync.config import SyncConfig
from sync.errors import (
    NotTrustedError,
    ReceiptInvalidError,
    RefusedError,
    SyncError,
    TooSlowError,
    UnreachableError,
)
from sync.outbox import Outbox, open_outbox
from sync.record import encode_record
from sync.seal import EpochSealer
from sync.session import Send, Session, WaitUntil
from sync.upload import LONG, Exchanged, Upload
from tests.fakes import START, UNIT, FakeDepartment, Fate, a_read

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
CONFIG = SyncConfig(
    server_url="https://department.test", backoff_first_s=2, backoff_max_s=300, refused_wait_s=3600
)


def signed(batch_id: str = "b1") -> SignedBatch:
    epoch, read = SealedEpoch("e1", UNIT, b"k"), SealedRead("r1", "e1", b"s")
    return encode_batch(Batch(batch_id, UNIT, START, (epoch,), (read,)), KEY)


def a_session(jitter: float = 1.0) -> Session:
    return Session(CONFIG, lambda: jitter)


def waits(session: Session, now: datetime) -> float:
    action = session.next_action(now)
    assert isinstance(action, WaitUntil)
    return (action.moment - now).total_seconds()


def test_a_batch_that_was_offered_is_sent_at_once() -> None:
    session = a_session()
    assert session.wants_batch(START)
    session.offer(signed(), START)
    assert session.next_action(START) == Send(signed())
    assert not session.wants_batch(START)


def test_an_empty_outbox_is_looked_at_again_after_the_interval() -> None:
    session = a_session()
    session.offer(None, START)
    assert waits(session, START) == CONFIG.interval_s
    assert not session.wants_batch(START)
    assert session.wants_batch(START + timedelta(seconds=CONFIG.interval_s))


def test_waits_double_up_to_the_longest_and_the_same_batch_is_sent_again() -> None:
    session, now = a_session(), START
    session.offer(signed(), now)
    lengths = []
    for _ in range(12):
        session.failed(UnreachableError("away"), now)
        lengths.append(waits(session, now))
        now += timedelta(seconds=lengths[-1])
        assert session.next_action(now) == Send(signed())
    assert lengths[:8] == [2, 4, 8, 16, 32, 64, 128, 256]
    assert set(lengths[8:]) == {300}


def test_waiting_a_year_for_the_server_does_not_overflow() -> None:
    session = a_session()
    session.offer(signed(), START)
    for _ in range(2000):
        session.failed(UnreachableError("away"), START)
    assert waits(session, START) == CONFIG.backoff_max_s


def test_two_units_do_not_come_back_in_step() -> None:
    lengths = set()
    for jitter in (0.0, 0.5, 0.99):
        session = a_session(jitter)
        session.offer(signed(), START)
        session.failed(UnreachableError("away"), START)
        lengths.add(waits(session, START))
    assert len(lengths) == 3
    assert min(lengths) == CONFIG.backoff_first_s / 2


@pytest.mark.parametrize(("asked_s", "waited_s"), [(60, 60), (0, 2), (10**9, 3600)])
def test_what_a_busy_server_asks_for_is_honoured_within_reason(asked_s: float, waited_s: float) -> None:
    session = a_session()
    session.offer(signed(), START)
    session.failed(UnreachableError("busy", retry_after_s=asked_s), START)
    assert waits(session, START) == waited_s


@pytest.mark.parametrize("error", [NotTrustedError("impostor"), ReceiptInvalidError("not signed")])
def test_a_batch_without_a_valid_receipt_is_kept(error: UnreachableError | ReceiptInvalidError) -> None:
    session = a_session()
    session.offer(signed(), START)
    session.failed(error, START)
    assert not session.wants_batch(START + timedelta(days=1))
    assert session.next_action(START + timedelta(days=1)) == Send(signed())


def test_after_a_receipt_the_next_batch_is_wanted_at_once() -> None:
    session = a_session()
    session.offer(signed(), START)
    session.failed(UnreachableError("away"), START)
    session.received(Receipt("b1", UNIT, signed().digest, 1, START))
    assert session.wants_batch(START)
    assert session.failures == 0


def test_the_receipt_of_another_batch_does_not_end_this_one() -> None:
    session = a_session()
    session.offer(signed(), START)
    with pytest.raises(ValueError, match="not that of the batch"):
        session.received(Receipt("b2", UNIT, signed().digest, 1, START))
    assert session.next_action(START) == Send(signed())


def test_a_second_batch_is_not_taken_while_one_is_on_its_way() -> None:
    session = a_session()
    session.offer(signed(), START)
    with pytest.raises(ValueError, match="on its way"):
        session.offer(signed("b2"), START)


@pytest.mark.parametrize(("status", "wait_s"), [(401, 3600), (403, 3600), (409, 2), (422, 2), (None, 2)])
def test_a_refusal_of_the_unit_itself_pauses_the_transfer(status: int | None, wait_s: float) -> None:
    session = a_session()
    session.offer(signed(), START)
    session.refused(RefusedError("no", status=status), START)
    assert waits(session, START) == wait_s
    assert session.wants_batch(START + timedelta(seconds=wait_s))


def test_a_wall_clock_set_back_ends_a_wait_instead_of_lengthening_it() -> None:
    session = a_session()
    session.offer(signed(), START)
    session.failed(UnreachableError("away"), START)
    assert session.next_action(START - timedelta(days=365)) == Send(signed())


def test_a_person_can_end_a_wait() -> None:
    session = a_session()
    session.offer(None, START)
    session.hurry()
    assert session.wants_batch(START)


class DirectStore:
    """An outbox in the same thread."""

    def __init__(self, outbox: Outbox, now: datetime) -> None:
        self.outbox = outbox
        self.now = now
        self.limit_reads = 3

    def next_batch(self) -> Batch | None:
        return self.outbox.make_batch(
            unit_id=UNIT, limit_reads=self.limit_reads, limit_bytes=10**6, now=self.now
        )

    def accept(self, receipt: Receipt, data: bytes) -> None:
        self.outbox.accept(receipt, data)

    def set_aside(self, batch_id: str, why: str) -> None:
        self.outbox.set_aside(batch_id, why)

    def cut(self, batch_id: str, limit_bytes: int) -> bool:
        self.limit_reads = 1
        return self.outbox.cut(batch_id)


class Unit:
    """A unit and its department, without network; the clock is turned by hand."""

    def __init__(self, path: Path, department: FakeDepartment) -> None:
        self.path = path
        self.department = department
        self.now = START
        self.random = random.Random(7)
        self.start()

    def start(self) -> None:
        """Start the unit, as after a crash: all it knows is on the disk."""
        self.outbox = open_outbox(self.path)
        self.store = DirectStore(self.outbox, self.now)
        self.sealer = EpochSealer(UNIT, self.department.seal_key.public_key())
        self.upload = Upload(
            Session(CONFIG, self.random.random),
            self.store,
            self.department,
            unit_id=UNIT,
            unit_key=KEY,
            department=self.department.receipt_key.public_key(),
            clock=lambda: self.now,
        )

    def record(self) -> str:
        """Store a read; return its id."""
        read = a_read()
        sealed = self.sealer.seal(read.read_id, encode_record(UNIT, read, []))
        self.outbox.append([sealed], self.sealer.epoch, self.now)
        return read.read_id

    def step(self) -> Exchanged:
        """Do what is due, then turn the clock to when there is more to do."""
        self.store.now = self.now
        came = self.upload.step()
        self.now = max(self.now, came.next_at)
        return came

    def drain(self) -> None:
        """Let everything work, and go on until nothing waits."""
        self.department.fates.clear()
        for _ in range(1000):
            if self.outbox.counts().refused:
                self.outbox.release_refused()
            if not self.outbox.counts().queued:
                return
            self.step()
        raise AssertionError("the outbox did not empty")


class NoOrderOfLossesLosesARead(RuleBasedStateMachine):
    """Records, exchanges with every fate, crashes, purges, releases: in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.department = FakeDepartment(KEY)
        self.unit = Unit(self.folder / "outbox.db", self.department)
        self.recorded: set[str] = set()
        self.purged = 0

    @rule(count=st.integers(1, 5))
    def record(self, count: int) -> None:
        self.recorded.update(self.unit.record() for _ in range(count))

    @rule(fate=st.sampled_from(Fate))
    def exchange(self, fate: Fate) -> None:
        self.department.fates.clear()
        self.department.fates.append(fate)
        self.unit.step()

    @rule()
    def crash_and_start_again(self) -> None:
        self.unit.outbox.close()
        self.unit.start()

    @rule(hours=st.integers(0, 60))
    def purge(self, hours: int) -> None:
        self.unit.now += timedelta(hours=hours)
        self.purged += self.unit.outbox.purge()

    @rule()
    def a_person_releases_the_refused(self) -> None:
        self.unit.outbox.release_refused()

    @invariant()
    def every_read_is_on_the_unit_until_the_department_holds_it(self) -> None:
        counts = self.unit.outbox.counts()
        held = counts.queued + counts.refused + counts.acknowledged
        assert held + self.purged == len(self.recorded)
        assert self.purged + counts.acknowledged <= len(self.department.records)

    def teardown(self) -> None:
        self.unit.drain()
        # FakeDepartment holds a read once by its id and refuses other content under it.
        assert self.department.records.keys() == self.recorded
        self.unit.outbox.close()
        shutil.rmtree(self.folder)


TestNoOrderOfLossesLosesARead = NoOrderOfLossesLosesARead.TestCase
TestNoOrderOfLossesLosesARead.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_a_lost_receipt_costs_one_repeated_upload_of_the_same_bytes(tmp_path: Path) -> None:
    department = FakeDepartment(KEY)
    unit = Unit(tmp_path / "outbox.db", department)
    read_id = unit.record()
    department.fates.append(Fate.RECEIPT_LOST)
    assert isinstance(unit.step().error, UnreachableError)
    assert unit.outbox.counts().queued == 1
    came = unit.step()
    assert came.receipt is not None
    assert (came.receipt.reads, department.exchanges) == (1, 2)
    assert list(department.records) == [read_id]
    assert unit.outbox.counts().acknowledged == 1
    unit.outbox.close()


@pytest.mark.parametrize("fate", [Fate.RECEIPT_ALTERED, Fate.RECEIPT_OF_ANOTHER])
def test_a_wrong_receipt_frees_no_read(tmp_path: Path, fate: Fate) -> None:
    department = FakeDepartment(KEY)
    unit = Unit(tmp_path / "outbox.db", department)
    unit.record()
    assert unit.step().receipt is not None
    unit.record()
    department.fates.append(fate)
    assert isinstance(unit.step().error, ReceiptInvalidError)
    assert unit.outbox.counts().queued == 1
    assert unit.outbox.purge() == 1
    unit.outbox.close()


def test_what_is_too_much_for_the_network_goes_in_smaller_batches_and_is_never_set_aside(
    tmp_path: Path,
) -> None:
    department = FakeDepartment(KEY)
    unit = Unit(tmp_path / "outbox.db", department)
    recorded = [unit.record() for _ in range(3)]
    department.fates.extend([Fate.TOO_SLOW, Fate.TOO_SLOW])  # the second: one read alone cannot be cut
    assert isinstance(unit.step().error, TooSlowError)
    first = unit.outbox.counts()
    assert (first.queued, first.refused) == (3, 0)
    for _ in range(12):
        unit.step()
    assert list(department.records) == recorded
    assert [unit.outbox.counts().queued, department.exchanges] == [0, 5]
    unit.outbox.close()


def test_what_is_lost_after_minutes_is_cut_though_the_department_may_hold_it(tmp_path: Path) -> None:
    department = FakeDepartment(KEY)
    unit = Unit(tmp_path / "outbox.db", department)
    recorded = [unit.record() for _ in range(3)]
    taken = department.send

    def slowly(batch: SignedBatch) -> bytes:
        unit.now += LONG
        return taken(batch)

    department.send = slowly  # type: ignore[method-assign]
    department.fates.append(Fate.RECEIPT_LOST)
    assert isinstance(unit.step().error, UnreachableError)
    assert [len(batch.reads) for batch in [unit.store.next_batch()] if batch] == [1]
    for _ in range(12):
        unit.step()
    assert (list(department.records), unit.outbox.counts().acknowledged) == (recorded, 3)
    unit.outbox.close()


@pytest.mark.parametrize(
    "error", [RefusedError("no", status=403), UnreachableError("busy", retry_after_s=600.0)]
)
def test_another_network_ends_no_wait_that_the_department_asked_for(error: SyncError) -> None:
    session = a_session()
    session.offer(signed(), START)
    if isinstance(error, RefusedError):
        session.refused(error, START)
    else:
        assert isinstance(error, UnreachableError)
        session.failed(error, START)
    session.hurry()
    assert waits(session, START) >= 600


def test_a_refused_batch_is_set_aside_not_resent(tmp_path: Path) -> None:
    department = FakeDepartment(KEY)
    unit = Unit(tmp_path / "outbox.db", department)
    unit.record()
    department.fates.append(Fate.REFUSED)
    assert isinstance(unit.step().error, RefusedError)
    for _ in range(5):
        unit.step()
    assert department.exchanges == 1
    assert unit.outbox.counts().refused == 1
    unit.outbox.close()
