"""The store's one writer: when reads are committed, what happens on a full disk, what a receipt sets free."""

import shutil
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.courier import LEAST_BATCH_BYTES, Courier, KeeperStore
from edge.keeper import (
    COMMIT_WITHIN_S,
    MAX_WAITING,
    Acknowledged,
    Flush,
    Follow,
    Keeper,
    NextBatch,
    Stop,
    StoreError,
)
from edge.pipeline import ReadWithHits
from edge.window_file import SlotFile
from edge.window_slots import Slots
from sync.batch import Batch, Receipt, encode_batch
from sync.config import FirstToGo, RetentionConfig, SyncConfig
from sync.errors import ReceiptInvalidError
from sync.outbox import open_outbox
from sync.session import Session
from sync.upload import Upload
from tests.clocks import FakeClock
from tests.fakes import UNIT, FakeDepartment, Fate, a_hit, a_read
from tests.windows import UnitStore

Usage = namedtuple("Usage", "total used free")


@dataclass
class Bench:
    """A keeper whose loop the test turns by hand."""

    keeper: Keeper
    department: FakeDepartment
    unit_key: Ed25519PrivateKey
    clock: FakeClock
    alarms: list[str] = field(default_factory=list)

    def turn(self) -> None:
        """Let the keeper handle everything that waits in its queue, and what is due."""
        done: Queue[None] = Queue()
        while not self.keeper.queue.empty():
            message = self.keeper.queue.get_nowait()
            assert not self.keeper.handle(message)
        self.keeper.due()
        assert done.empty()

    def keep(self, item: ReadWithHits) -> None:
        self.keeper.queue.put(item)
        self.turn()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    unit_key = Ed25519PrivateKey.generate()
    department, clock = FakeDepartment(unit_key), FakeClock()
    alarms: list[str] = []
    with open_outbox(tmp_path / "outbox.db") as outbox:
        keeper = Keeper(
            unit_id=UNIT,
            department=department.seal_key.public_key(),
            outbox=outbox,
            state_dir=tmp_path,
            retention=RetentionConfig(local_window_h=0, context_images=True),
            sync=SyncConfig(),
            slots=Slots(
                RetentionConfig(local_window_h=0),
                SlotFile(tmp_path / "window.keys", bytes(32), None),
                clock.now(),
            ),
            clock=clock,
            alarm=alarms.append,
        )
        yield Bench(keeper, department, unit_key, clock, alarms)


def without_hit() -> ReadWithHits:
    return ReadWithHits(a_read(), ())


def with_hit() -> ReadWithHits:
    read = a_read()
    return ReadWithHits(read, (a_hit(read),))


def free_disk(monkeypatch: pytest.MonkeyPatch, free: Callable[[], int]) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free()))


def test_hit_is_committed_at_once_with_what_waited(bench: Bench) -> None:
    bench.keep(without_hit())
    assert bench.keeper.health.stored == 0
    bench.keep(with_hit())
    assert bench.keeper.health.stored == 2


def test_scenes_go_first_when_the_disk_runs_short(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    short = RetentionConfig().image_reserve_bytes - 1
    free_disk(monkeypatch, lambda: short)
    bench.keep(replace(with_hit(), context=b"\xff\xd8 scene"))
    assert bench.keeper.health.without_context == 1
    assert bench.keeper.health.without_image == 0
    free_disk(monkeypatch, lambda: 10**12)
    bench.keep(replace(with_hit(), context=b"\xff\xd8 scene"))
    assert bench.keeper.health.without_context == 1


def test_other_read_is_committed_within_a_second(bench: Bench) -> None:
    bench.keep(without_hit())
    bench.clock.advance(COMMIT_WITHIN_S)
    bench.turn()
    assert bench.keeper.health.stored == 1


def test_flush_commits_what_waits(bench: Bench) -> None:
    done: Queue[None] = Queue()
    bench.keep(without_hit())
    bench.keeper.queue.put(Flush(done))
    bench.turn()
    assert (bench.keeper.health.stored, done.qsize()) == (1, 1)


def test_nearly_full_disk_leaves_pictures_of_reads_without_a_hit_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_disk(monkeypatch, lambda: RetentionConfig().stop_reserve_bytes)
    hit, other = with_hit(), without_hit()
    bench.keep(hit)
    bench.keep(other)
    upload(bench)
    held = {read_id: record.read.evidence for read_id, record in bench.department.records.items()}
    assert held == {hit.read.read_id: hit.read.evidence, other.read.read_id: b""}
    assert bench.keeper.health.without_image == 1


def test_profile_says_what_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mib = 2**20
    free = 10**11
    free_disk(monkeypatch, lambda: free)
    retention = RetentionConfig(
        image_reserve_bytes=300 * mib,
        stop_reserve_bytes=100 * mib,
        when_full=(FirstToGo.NON_HIT_IMAGES, FirstToGo.ACKNOWLEDGED_READS),
    )
    unit = UnitStore(tmp_path, retention)
    for _ in range(2):
        unit.keep("7ABC123")
        if unit.keeper.counts.acknowledged == 0:
            unit.acknowledge()
    found = []
    for left in (299 * mib, 199 * mib, 99 * mib):
        free = left
        unit.keep("8XYZ987")
        counts = unit.keeper.counts
        found.append((unit.keeper.health.without_image, counts.acknowledged, counts.queued))
    # First the pictures, then what the department holds too, then recording; never what waits for it.
    assert found == [(1, 1, 2), (2, 0, 3), (3, 0, 3)]
    assert not unit.keeper.health.recording
    unit.stop()


def test_hit_and_other_read_that_waited_for_room_are_stored_under_keys_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 0
    free_disk(monkeypatch, lambda: free)
    unit = UnitStore(tmp_path, RetentionConfig(non_hit_window_min=30))
    for plate, hit in (("7ABC123", True), ("8XYZ987", False), ("7ABC124", True), ("8XYZ988", False)):
        unit.keep(plate, hit=hit)
        unit.pass_time(1, attended=False)
    assert unit.keeper.counts.queued == 0
    free = 10**11
    unit.pass_time(2)
    assert (unit.keeper.counts.queued, len(unit.find("*"))) == (4, 4)
    hits, others = unit.acknowledge(), unit.acknowledge()
    assert [(len(batch.epochs), len(batch.reads)) for batch in (hits, others)] == [(1, 2), (1, 2)]
    assert hits.epochs != others.epochs
    unit.stop()


def test_disk_full_for_longer_than_the_window_stores_the_read_without_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 0
    free_disk(monkeypatch, lambda: free)
    unit = UnitStore(tmp_path)
    unit.keep("7ABC123")
    unit.pass_time(25 * 3600)
    free = 10**11
    unit.pass_time(2)
    assert (unit.keeper.counts.queued, unit.find("*"), unit.outbox.window_slots()) == (1, [], frozenset())
    unit.stop()


def test_epoch_key_is_let_go_after_its_hour_though_no_read_comes(tmp_path: Path) -> None:
    for number, retention in enumerate((RetentionConfig(), RetentionConfig(local_window_h=0))):
        (tmp_path / str(number)).mkdir()
        unit = UnitStore(tmp_path / str(number), retention)
        unit.keep("7ABC123")
        assert len(unit.keeper._sealing._epochs) == 1
        unit.pass_time(3600)
        assert unit.keeper._sealing._epochs == {}
        unit.stop()


def test_each_hour_and_each_start_has_an_epoch_of_its_own(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path)
    for after_s in (10, 3600, 0):
        unit.keep("7ABC123")
        unit.pass_time(after_s)
    unit.restart()
    unit.keep("7ABC123")
    epochs = [read.epoch_id for read in unit.acknowledge().reads]
    assert (epochs[0] == epochs[1], len(set(epochs))) == (True, 3)
    unit.stop()


def test_full_disk_stops_recording_with_one_alarm_and_keeps_what_is_held(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.keep(with_hit())
    free = 0
    free_disk(monkeypatch, lambda: free)
    for _ in range(3):
        bench.keep(with_hit())
    assert not bench.keeper.health.recording
    assert bench.alarms == ["Recording stopped, disk full"]
    assert bench.keeper.counts.queued == 1
    free = 10**11
    bench.clock.advance(COMMIT_WITHIN_S)
    bench.turn()
    assert bench.keeper.health.recording
    assert bench.keeper.health.stored == 4
    assert bench.alarms == ["Recording stopped, disk full", "Recording again"]


def test_reads_beyond_the_memory_reserve_are_counted_as_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_disk(monkeypatch, lambda: 0)
    for _ in range(MAX_WAITING + 3):
        bench.keep(without_hit())
    assert bench.keeper.health.lost == 3


def test_a_rush_of_reads_is_not_lost_while_the_disk_takes_them(bench: Bench) -> None:
    for _ in range(MAX_WAITING + 3):  # within one second, as after the disk stood still for minutes
        bench.keeper.handle(without_hit())
    assert (bench.keeper.health.lost, bench.keeper.health.stored) == (0, MAX_WAITING)


def test_scene_that_the_department_has_forbidden_since_is_not_kept(bench: Bench) -> None:
    bench.keep(replace(with_hit(), context=b"\xff\xd8 scene"))
    bench.keeper.handle(Follow(RetentionConfig(local_window_h=0)))
    bench.keep(replace(with_hit(), context=b"\xff\xd8 scene"))
    upload(bench)
    assert sorted(record.context for record in bench.department.records.values()) == [
        b"",
        b"\xff\xd8 scene",
    ]


def test_what_corrects_a_hit_goes_with_the_hits_and_at_once(bench: Bench) -> None:
    hit = with_hit()
    corrected = replace(a_read(), revises=hit.read.read_id)
    again = replace(a_read(), revises=corrected.read_id)
    for item in (without_hit(), hit, ReadWithHits(corrected, ()), ReadWithHits(again, ())):
        bench.keeper.handle(item)
    assert (bench.keeper.counts.queued, bench.keeper.counts.hits) == (4, 3)
    reply: Queue[Batch | StoreError | None] = Queue()
    bench.keeper.handle(NextBatch(reply, hits=True))
    batch = reply.get_nowait()
    assert isinstance(batch, Batch)
    assert [read.read_id for read in batch.reads] == [
        hit.read.read_id,
        corrected.read_id,
        again.read_id,
    ]


def test_batch_that_is_too_much_for_the_network_comes_again_in_halves(bench: Bench) -> None:
    for _ in range(40):
        bench.keep(with_hit())
    store = KeeperStore(bench.keeper.queue)
    thread = threading.Thread(target=bench.keeper.run, args=(lambda: None,))
    thread.start()
    try:
        whole = store.next_batch()
        assert whole is not None and len(whole.reads) == 40
        size = sum(len(read.sealed) for read in whole.reads)
        assert store.cut(whole.batch_id, size // 2)
        half = store.next_batch()
        assert half is not None
        assert sum(len(read.sealed) for read in half.reads) <= max(size // 2, LEAST_BATCH_BYTES)
        assert [read.read_id for read in half.reads] == [read.read_id for read in whole.reads][
            : len(half.reads)
        ]
        assert not store.cut(whole.batch_id, 1)  # it is no more
    finally:
        bench.keeper.queue.put(Stop())
        thread.join(10)
    assert bench.keeper.counts.queued == 40


def upload(bench: Bench) -> Courier:
    """Run keeper and courier as the daemon does, until nothing waits."""
    session = Session(SyncConfig(backoff_first_s=0.01, backoff_max_s=0.01), lambda: 0.5)
    one = Upload(
        session,
        KeeperStore(bench.keeper.queue),
        bench.department,
        unit_id=UNIT,
        unit_key=bench.unit_key,
        department=bench.department.receipt_key.public_key(),
        clock=lambda: bench.clock.now().utc,
    )
    courier = Courier(one, session, bench.clock)
    thread = threading.Thread(target=bench.keeper.run, args=(lambda: None,))
    thread.start()
    for _ in range(20):
        courier.work()
        bench.clock.advance(1)
    bench.keeper.queue.put(Stop())
    thread.join(10)
    assert not thread.is_alive()
    return courier


def test_read_is_purged_only_after_its_receipt(bench: Bench) -> None:
    bench.keep(with_hit())
    bench.clock.advance(40 * 24 * 3600)
    bench.turn()
    assert bench.keeper.counts.queued == 1
    courier = upload(bench)
    assert (courier.health.uploaded, bench.keeper.counts.queued, bench.keeper.purged) == (1, 0, 1)


@pytest.mark.parametrize("fate", [f for f in Fate if f not in (Fate.REFUSED, Fate.ACKNOWLEDGED)])
def test_failed_exchange_keeps_the_reads_and_sends_them_again(bench: Bench, fate: Fate) -> None:
    bench.keep(with_hit())
    bench.department.fates.extend([fate, fate])
    courier = upload(bench)
    assert len(bench.department.records) == 1
    assert (courier.health.uploaded, bench.keeper.purged) == (1, 1)


def test_refused_batch_is_set_aside_and_its_reads_stay(bench: Bench) -> None:
    bench.keep(with_hit())
    bench.department.fates.append(Fate.REFUSED)
    courier = upload(bench)
    assert bench.keeper.counts.refused == 1
    assert bench.keeper.purged == 0
    assert "says no" in courier.health.last_error


def test_receipt_that_covers_less_than_the_batch_is_answered_and_the_writer_goes_on(bench: Bench) -> None:
    bench.keep(with_hit())
    reply: Queue[Batch | StoreError | None] = Queue()
    bench.keeper.handle(NextBatch(reply))
    batch = reply.get_nowait()
    assert isinstance(batch, Batch)
    signed = encode_batch(batch, bench.unit_key)
    short = Receipt(batch.batch_id, UNIT, signed.digest, len(batch.reads) + 1, batch.made_at)
    done: Queue[StoreError | None] = Queue()
    bench.keeper.handle(Acknowledged(short, b"receipt", done))
    assert isinstance(done.get_nowait(), ReceiptInvalidError)
    assert (bench.keeper.counts.queued, bench.keeper.purged) == (1, 0)
    assert upload(bench).health.uploaded == 1
