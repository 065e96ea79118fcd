"""The outbox: what was appended stays until its receipt, whatever happens to the process or the disk."""

import base64
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sync.batch import MAX_BATCH_BYTES, Batch, Receipt, SealedEpoch, SealedRead, encode_batch
from sync.errors import (
    DiskFullError,
    OutboxCorruptError,
    OutboxVersionError,
    ReceiptInvalidError,
)
from sync.outbox import Outbox, open_outbox, quarantine
from sync.outbox_window import WindowPart
from sync.record import encode_record
from sync.seal import EpochSealer
from tests.fakes import START, UNIT, a_hit, a_read

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
EPOCH = SealedEpoch("e1", UNIT, b"k" * 80)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with open_outbox(path) as opened:
        yield opened


def sealed(*names: str, epoch: SealedEpoch = EPOCH, size: int = 50) -> list[SealedRead]:
    return [SealedRead(name, epoch.epoch_id, name.encode().ljust(size, b".")) for name in names]


def a_part(slot: int) -> WindowPart:
    return WindowPart(slot, b"wrapped %d" % slot, ((b"token %d" % slot, b"card %d" % slot),))


def next_batch(outbox: Outbox, *, reads: int = 100, size: int = 10**6) -> Batch:
    batch = outbox.make_batch(unit_id=UNIT, limit_reads=reads, limit_bytes=size, now=START)
    assert batch is not None
    return batch


def receipt_for(batch: Batch) -> Receipt:
    return Receipt(batch.batch_id, UNIT, encode_batch(batch, KEY).digest, len(batch.reads), START)


def acknowledge(outbox: Outbox, *, reads: int = 100) -> Batch:
    batch = next_batch(outbox, reads=reads, size=10**9)
    outbox.accept(receipt_for(batch), b"the receipt")
    return batch


def names(batch: Batch) -> list[str]:
    return [read.read_id for read in batch.reads]


def test_what_was_appended_is_there_after_opening_again(path: Path) -> None:
    with open_outbox(path) as outbox:
        outbox.append(sealed("r1", "r2"), EPOCH, START)
    with open_outbox(path) as outbox:
        batch = next_batch(outbox)
    assert batch.reads == tuple(sealed("r1", "r2"))
    assert batch.epochs == (EPOCH,)


def test_reads_go_in_the_order_they_came(outbox: Outbox) -> None:
    outbox.append(sealed("r2"), EPOCH, START)
    outbox.append(sealed("r1", "r3"), EPOCH, START)
    assert names(next_batch(outbox)) == ["r2", "r1", "r3"]


def test_a_read_appended_twice_is_held_once(outbox: Outbox) -> None:
    outbox.append(sealed("r1"), EPOCH, START)
    outbox.append(sealed("r1", "r2"), EPOCH, START)
    assert names(next_batch(outbox)) == ["r1", "r2"]


def test_another_read_under_a_held_id_is_refused_with_all_that_came_with_it(outbox: Outbox) -> None:
    outbox.append(sealed("r1"), EPOCH, START)
    with pytest.raises(ValueError, match="r1 is held already"):
        outbox.append([*sealed("r2"), SealedRead("r1", "e1", b"other")], EPOCH, START)
    assert outbox.counts().queued == 1


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (SealedRead("r1", "e2", b"x"), "another epoch"),
        (SealedRead("a/b", "e1", b"x"), "an id is"),
        (SealedRead("r1", "e1", bytes(MAX_BATCH_BYTES // 2 + 1)), "too large"),
    ],
)
def test_a_read_that_could_never_travel_is_not_stored(outbox: Outbox, read: SealedRead, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        outbox.append([read], EPOCH, START)
    assert outbox.counts().queued == 0


def test_an_empty_outbox_makes_no_batch(outbox: Outbox) -> None:
    assert outbox.make_batch(unit_id=UNIT, limit_reads=1, limit_bytes=1, now=START) is None


def test_a_batch_keeps_both_limits_but_holds_at_least_one_read(outbox: Outbox) -> None:
    outbox.append(sealed("r1", "r2", "r3", "r4", size=100), EPOCH, START)
    assert names(acknowledge(outbox, reads=2)) == ["r1", "r2"]
    assert names(next_batch(outbox, size=10)) == ["r3"]


def test_a_batch_names_exactly_the_epochs_of_its_reads(outbox: Outbox) -> None:
    later = SealedEpoch("e2", UNIT, b"l" * 80)
    outbox.append(sealed("r1"), EPOCH, START)
    outbox.append(sealed("r2", epoch=later), later, START)
    outbox.append(sealed("r3"), EPOCH, START)
    assert next_batch(outbox).epochs == (EPOCH, later)


def test_reads_sealed_for_another_unit_do_not_travel_under_this_name(outbox: Outbox) -> None:
    former = SealedEpoch("e0", "unit-06", b"f" * 80)
    outbox.append(sealed("r0", epoch=former), former, START)
    outbox.append(sealed("r1"), EPOCH, START)
    assert names(next_batch(outbox)) == ["r1"]
    assert outbox.counts().queued == 2


def test_an_unacknowledged_batch_has_the_same_bytes_after_a_crash_and_later_reads(path: Path) -> None:
    with open_outbox(path) as outbox:
        outbox.append(sealed("r1", "r2", "r3"), EPOCH, START)
        first = encode_batch(next_batch(outbox, reads=2), KEY)
        outbox.append(sealed("r4"), EPOCH, START)
    with open_outbox(path) as outbox:
        later = outbox.make_batch(
            unit_id=UNIT, limit_reads=9, limit_bytes=9999, now=START + timedelta(days=1)
        )
        assert later is not None
        assert encode_batch(later, KEY) == first


def test_a_read_leaves_only_after_receipt_and_window(outbox: Outbox) -> None:
    outbox.append(sealed("r1", "r2"), EPOCH, START, a_part(7))
    assert outbox.purge() == 0
    acknowledge(outbox, reads=1)
    assert outbox.purge() == 0
    assert outbox.counts().acknowledged == 1
    outbox.forget([7])
    assert outbox.purge() == 1
    assert (outbox.counts().acknowledged, outbox.counts().queued) == (0, 1)


def test_without_a_window_a_read_leaves_with_its_receipt(outbox: Outbox) -> None:
    outbox.append(sealed("r1"), EPOCH, START)
    assert outbox.purge() == 0
    acknowledge(outbox)
    assert outbox.purge() == 1


def test_what_has_its_receipt_leaves_early_where_room_is_short_the_oldest_first(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.outbox.PURGE_READS", 1)
    outbox.append(sealed("r1", "r2", "r3"), EPOCH, START, a_part(7))
    acknowledge(outbox, reads=2)
    assert outbox.purge(early=True) == 1
    assert [outbox._holds(read) for read in sealed("r1", "r2", "r3")] == [False, True, True]
    assert [outbox.purge(early=True) for _ in range(3)] == [1, 0, 0]
    assert outbox.counts().queued == 1


def test_key_and_index_of_a_slot_go_and_the_read_without_a_receipt_stays(outbox: Outbox) -> None:
    later = SealedEpoch("e2", UNIT, b"l" * 80)
    outbox.append(sealed("r1"), EPOCH, START, a_part(7))
    outbox.append(sealed("r2", epoch=later), later, START, a_part(8))
    assert outbox.window_slots() == {7, 8}
    assert outbox.has_token(7, b"token 7")
    outbox.forget([7])
    assert outbox.window_slots() == {8}
    assert (outbox.has_token(7, b"token 7"), outbox.has_token(8, b"token 8")) == (False, True)
    assert names(next_batch(outbox)) == ["r1", "r2"]


def test_slots_are_known_by_their_index_where_the_last_read_of_an_epoch_left_early(outbox: Outbox) -> None:
    outbox.append(sealed("r1"), EPOCH, START, a_part(7))
    acknowledge(outbox)
    outbox.purge(early=True)
    assert outbox.window_slots() == {7}
    outbox.append(sealed("r2"), EPOCH, START, a_part(7))
    assert outbox.purge() == 0


def test_nothing_of_a_forgotten_slot_is_left_in_the_files(path: Path) -> None:
    with open_outbox(path) as outbox:
        outbox.append(sealed("r1"), EPOCH, START, a_part(7))
        held = b"".join(file.read_bytes() for file in path.parent.iterdir())
        outbox.forget([7])
        left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for part in (b"wrapped 7", b"token 7", b"card 7"):
        assert (part in held, part in left) == (True, False)


def test_the_windows_part_is_stored_with_the_reads_or_not_at_all(outbox: Outbox) -> None:
    outbox.append(sealed("r1"), EPOCH, START)
    with pytest.raises(ValueError, match="other bytes"):
        outbox.append([SealedRead("r1", "e1", b"other")], EPOCH, START, a_part(7))
    assert outbox.window_slots() == frozenset()
    for _ in range(2):
        outbox.append(sealed("r1"), EPOCH, START, a_part(7))
    assert outbox.window_slots() == {7}


def test_the_file_itself_refuses_to_lose_a_read_without_receipt(path: Path) -> None:
    with open_outbox(path) as outbox:
        outbox.append(sealed("r1", "r2", "r3"), EPOCH, START)
        acknowledge(outbox, reads=1)
        outbox.set_aside(next_batch(outbox, reads=1).batch_id, "no")
    connection = apsw.Connection(str(path))
    for name in ("r2", "r3"):
        with pytest.raises(apsw.ConstraintError, match="without a receipt"):
            connection.execute("DELETE FROM reads WHERE read_id = ?", (name,))
    with pytest.raises(apsw.ConstraintError, match="not deleted"):
        connection.execute("DELETE FROM batches")
    connection.close()


def test_nothing_of_a_purged_read_is_left_in_the_files(path: Path) -> None:
    with open_outbox(path) as outbox:
        outbox.append(sealed("r1", "r2", size=9000), EPOCH, START)
        acknowledge(outbox, reads=1)
        assert outbox.purge() == 1
        left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert sealed("r1", size=9000)[0].sealed[:64] not in left
    assert sealed("r2", size=9000)[0].sealed[:64] in left


def test_receipts_stay_when_their_reads_have_gone(outbox: Outbox) -> None:
    outbox.append(sealed("r1"), EPOCH, START)
    batch = acknowledge(outbox)
    outbox.purge()
    assert outbox.receipts() == ((batch.batch_id, b"the receipt"),)


def test_purged_room_goes_back_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.outbox.KEPT_FREE_PAGES", 50)
    with open_outbox(path) as outbox:
        size = 10 * 4096
        outbox.append(sealed(*(f"r{n}" for n in range(40)), size=size), EPOCH, START)
        for _ in range(8):
            acknowledge(outbox, reads=5)
        assert outbox.purge() == 40
        assert path.stat().st_size < size * 40 // 4


def test_a_receipt_that_comes_twice_changes_nothing(outbox: Outbox) -> None:
    outbox.append(sealed("r1"), EPOCH, START)
    batch = acknowledge(outbox)
    outbox.accept(receipt_for(batch), b"the receipt")
    outbox.purge()
    outbox.accept(receipt_for(batch), b"the receipt")
    assert len(outbox.receipts()) == 1


@pytest.mark.parametrize(
    "change", [{"batch_id": "unknown"}, {"unit_id": "unit-08"}, {"digest": bytes(32)}, {"reads": 1}]
)
def test_a_receipt_that_does_not_cover_the_batch_is_refused(outbox: Outbox, change: dict[str, str]) -> None:
    outbox.append(sealed("r1", "r2"), EPOCH, START)
    receipt = dataclasses.replace(receipt_for(next_batch(outbox)), **change)  # type: ignore[arg-type]  # mixed
    with pytest.raises(ReceiptInvalidError):
        outbox.accept(receipt, b"the receipt")
    assert outbox.counts().acknowledged == 0


def test_refused_reads_are_kept_aside_until_a_person_releases_them(path: Path) -> None:
    with open_outbox(path) as outbox:
        outbox.append(sealed("r1", "r2"), EPOCH, START)
        refused = next_batch(outbox, reads=1)
        outbox.set_aside(refused.batch_id, "unit revoked")
        assert (outbox.counts().refused, outbox.counts().queued) == (1, 1)
        assert names(acknowledge(outbox)) == ["r2"]
        assert outbox.purge() == 1
        assert outbox.release_refused() == 1
        again = next_batch(outbox)
        assert names(again) == ["r1"]
        assert again.batch_id != refused.batch_id
        outbox.accept(receipt_for(refused), b"late")
        assert names(next_batch(outbox)) == ["r1"], "it is on its way again, and known at the department"
        assert outbox.receipts()[0] == (refused.batch_id, b"late")


def test_the_oldest_read_counts_whether_it_waits_travels_or_was_refused(outbox: Outbox) -> None:
    for day, name in enumerate(("r1", "r2", "r3")):
        outbox.append(sealed(name), EPOCH, START + timedelta(days=day, minutes=30))
    assert outbox.counts().oldest == START
    outbox.set_aside(next_batch(outbox, reads=1).batch_id, "no")
    assert outbox.counts().oldest == START
    acknowledge(outbox, reads=1)
    assert outbox.counts().oldest == START
    outbox.release_refused()
    acknowledge(outbox, reads=1)
    assert outbox.counts().oldest == START + timedelta(days=2)
    acknowledge(outbox)
    assert outbox.counts().oldest is None


def test_counts_are_those_of_the_file_whatever_was_done(path: Path) -> None:
    outbox = open_outbox(path)

    def agrees() -> bool:
        with open_outbox(path) as other:
            return outbox.counts() == other.counts()

    outbox.append(sealed("r1", "r2", "r3", "r4"), EPOCH, START)
    assert agrees()
    outbox.append(sealed("r4", "r5"), EPOCH, START)
    assert agrees()
    with pytest.raises(ValueError, match="other bytes"):
        outbox.append([*sealed("r6"), SealedRead("r1", "e1", b"other")], EPOCH, START)
    assert agrees()
    outbox.set_aside(next_batch(outbox, reads=2).batch_id, "no")
    assert agrees()
    acknowledge(outbox, reads=1)
    assert agrees()
    outbox.release_refused()
    outbox.purge()
    assert agrees()
    assert outbox.counts().queued == 4
    outbox.close()


def test_a_full_disk_stores_none_of_a_commit_and_loses_nothing_before_it(path: Path) -> None:
    with open_outbox(path) as outbox:
        outbox.append(sealed("r1"), EPOCH, START)
        pages = outbox._connection.pragma("page_count")
        outbox._connection.pragma("max_page_count", pages + 4)
        with pytest.raises(DiskFullError, match="disk is full"):
            outbox.append(sealed("r2", "r3", "r4", size=9000), EPOCH, START)
        assert outbox.counts().queued == 1
        outbox._connection.pragma("max_page_count", 10**6)
        outbox.append(sealed("r2", "r3", "r4", size=9000), EPOCH, START)
    with open_outbox(path) as outbox:
        assert names(next_batch(outbox)) == ["r1", "r2", "r3", "r4"]


def test_a_folder_that_is_not_there_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="check the folder"):
        open_outbox(tmp_path / "absent" / "outbox.db")


def test_a_disk_that_stops_taking_writes_is_said_clearly(path: Path) -> None:
    with open_outbox(path) as outbox:
        outbox._connection.pragma("query_only", True)
        with pytest.raises(DiskFullError, match="read-only"):
            outbox.append(sealed("r1"), EPOCH, START)


@pytest.mark.parametrize("damage", ["header", "middle", "not a database"])
def test_a_damaged_outbox_is_set_aside_whole_and_a_new_one_starts(path: Path, damage: str) -> None:
    with open_outbox(path) as outbox:
        outbox.append(sealed(*(f"r{n}" for n in range(200)), size=500), EPOCH, START)
    content = bytearray(path.read_bytes())
    if damage == "not a database":
        content = bytearray(b"something else entirely")
    elif damage == "header":
        content[:100] = bytes(100)
    else:
        content[4096:40960] = os.urandom(36864)
    path.write_bytes(content)
    with pytest.raises(OutboxCorruptError, match="set it aside"):
        open_outbox(path)
    aside = quarantine(path)
    assert aside.name == "outbox.db.damaged-1"
    assert aside.read_bytes() == bytes(content)
    with open_outbox(path) as outbox:
        outbox.append(sealed("r1"), EPOCH, START)
        assert outbox.counts().queued == 1


def test_a_second_quarantine_does_not_overwrite_the_first(path: Path) -> None:
    for content in (b"first damage", b"second damage"):
        path.write_bytes(content)
        path.with_name("outbox.db-wal").write_bytes(content)
        quarantine(path)
    kept = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert kept == {
        "outbox.db.damaged-1": b"first damage",
        "outbox.db.damaged-1-wal": b"first damage",
        "outbox.db.damaged-2": b"second damage",
        "outbox.db.damaged-2-wal": b"second damage",
    }


def test_a_newer_outbox_is_left_alone(path: Path) -> None:
    open_outbox(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(OutboxVersionError, match="install the newer"):
        open_outbox(path)


def test_the_files_are_for_their_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        with open_outbox(path) as outbox:
            outbox.append(sealed("r1"), EPOCH, START)
            assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(before)


def test_durability_settings_are_in_force(outbox: Outbox) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "mmap_size": 0, "secure_delete": 1}
    assert {name: outbox._connection.pragma(name) for name in wanted} == wanted


def test_an_outbox_in_memory_works_the_same() -> None:
    with Outbox(apsw.Connection(":memory:")) as outbox:
        outbox.append(sealed("r1"), EPOCH, START)
        acknowledge(outbox)
        assert outbox.purge() == 1


def test_no_plate_or_place_stands_in_the_files(path: Path) -> None:
    sealer = EpochSealer(UNIT, X25519PrivateKey.generate().public_key())
    plate = "QXZ7734"
    with open_outbox(path) as outbox:
        for _ in range(30):
            read = a_read(plate=plate)
            record = encode_record(UNIT, read, [a_hit(read)])
            assert plate.encode() in record
            outbox.append([sealer.seal(read.read_id, record)], sealer.epoch, START)
        acknowledge(outbox, reads=10)
        held = b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))
    assert b"read-0" in held
    forms = [plate.encode(), plate.lower().encode(), plate.encode("utf-16-le"), plate.encode("utf-16-be")]
    forms += [plate[::-1].encode(), plate.encode().hex().encode(), plate[1:6].encode()]
    for shift in range(3):  # base64 shows a text differently at each place of its three-byte groups
        whole = base64.b64encode(bytes(shift) + plate.encode())
        forms.append(whole[-(-shift * 8 // 6) : (shift + len(plate)) * 8 // 6])
    assert min(map(len, forms)) >= 5
    assert [form for form in forms if form in held] == []


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from sync.batch import SealedEpoch, SealedRead
from sync.outbox import open_outbox

outbox, prefix = open_outbox(Path(sys.argv[1])), sys.argv[2]
epoch = SealedEpoch("e1", "unit-07", b"k" * 80)
for number in range(100_000):
    names = [f"{prefix}-{number}-{part}" for part in range(1 + number % 3)]
    outbox.append([SealedRead(n, "e1", n.encode() * 300) for n in names], epoch, datetime.now(UTC))
    print(*names, flush=True)
"""


def test_a_writer_killed_twenty_times_loses_no_read_it_had_acknowledged(path: Path) -> None:
    acknowledged: set[str] = set()
    for run in range(20):
        # Killed after a different number of lines each time, mostly in the middle of a commit.
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"run{run}"], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(1 + run * 7 % 40)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        # A line cut off by the kill was not told in full.
        acknowledged.update(name for line in lines if line.endswith("\n") for name in line.split())
    with open_outbox(path) as outbox:
        held = set(names(next_batch(outbox, reads=10**6, size=10**9)))
    assert len(acknowledged) > 200
    assert acknowledged <= held


def test_a_purge_takes_a_limited_number_at_a_time(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.outbox.PURGE_READS", 3)
    outbox.append(sealed("r1", "r2", "r3", "r4", "r5"), EPOCH, START)
    acknowledge(outbox)
    assert [outbox.purge() for _ in range(3)] == [3, 2, 0]
