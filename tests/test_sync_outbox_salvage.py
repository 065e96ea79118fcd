"""What is got out of a damaged outbox: every read whose bytes are still what was stored, and no other."""

import os
import random
import shutil
from datetime import timedelta
from itertools import islice
from pathlib import Path

import apsw
import pytest

from sync.batch import SealedEpoch, SealedRead
from sync.errors import DiskFullError, OutboxCorruptError
from sync.outbox import Outbox, open_outbox, quarantine
from sync.outbox_salvage import damaged_files, keep_dropped_log, salvage, salvage_all, salvaged_files
from sync.sqlite_pages import PAGE_BYTES
from tests.fakes import START, UNIT

EPOCHS = [SealedEpoch(f"epoch-{number}", UNIT, bytes([number]) * 80) for number in range(1, 5)]
SIZES = (40, 900, 4000, 5000, 9300, 30_000)


def filled(path: Path, reads: int = 120, seed: int = 1) -> dict[str, SealedRead]:
    chance = random.Random(seed)
    made: dict[str, SealedRead] = {}
    with open_outbox(path) as outbox:
        for number in range(reads):
            epoch = EPOCHS[number * len(EPOCHS) // reads]
            read = SealedRead(f"read-{number}", epoch.epoch_id, chance.randbytes(chance.choice(SIZES)))
            hits = [read.read_id] if number % 10 == 0 else []
            outbox.append([read], epoch, START + timedelta(hours=number // 10), hits=hits)
            made[read.read_id] = read
    return made


def salvaged(path: Path, aside: Path) -> dict[str, SealedRead]:
    with open_outbox(path) as outbox:
        for _ in salvage(aside, outbox):
            pass
        return held(outbox)


def held(outbox: Outbox) -> dict[str, SealedRead]:
    batches = outbox.open_batches(unit_id=UNIT, limit_reads=10**6, limit_bytes=10**9, now=START)
    return {read.read_id: read for batch in batches for read in batch.reads}


def test_of_a_file_in_which_nothing_is_damaged_every_read_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path)
    aside = quarantine(path)
    assert damaged_files(path) == (aside,)
    assert salvaged(path, aside) == made
    assert damaged_files(path) == ()
    assert [each.name for each in tmp_path.glob("*salvaged*")] == ["outbox.db.salvaged-1"]


def test_the_clock_goes_on_from_when_a_read_was_stored_and_hits_go_first(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    filled(path)
    with open_outbox(path) as outbox:
        before = outbox.counts()
    aside = quarantine(path)
    with open_outbox(path) as outbox:
        assert sum(salvage(aside, outbox)) == 120
        assert outbox.counts() == before
        first = outbox.make_batch(unit_id=UNIT, limit_reads=50, limit_bytes=10**9, now=START)
    assert first is not None
    assert {read.read_id for read in first.reads} == {f"read-{number}" for number in range(0, 120, 10)}


def test_what_stood_in_the_log_alone_is_found(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path, 5)
    # As after a crash: what was committed since stands in the log, and was never written back.
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    running = Outbox(connection)
    late = SealedRead("late", "epoch-1", bytes(range(256)) * 40)
    running.append([late], EPOCHS[0], START)
    copy = tmp_path / "crashed" / "outbox.db"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"outbox.db{suffix}", copy.parent / f"outbox.db{suffix}")
    running.close()
    aside = quarantine(copy)
    assert salvaged(copy, aside) == made | {"late": late}


@pytest.mark.parametrize("page", [0, 1, 2, 3, 4, 5])
def test_the_loss_of_a_page_at_the_head_of_the_file_costs_next_to_nothing(tmp_path: Path, page: int) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path)
    aside = quarantine(path)
    content = bytearray(aside.read_bytes())
    content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = bytes(PAGE_BYTES)
    aside.write_bytes(content)
    found = salvaged(path, aside)
    assert found.items() <= made.items()
    assert len(found) >= len(made) - 4, "a page lies under few reads"


def test_the_page_that_holds_all_the_keys_can_go(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path)
    with open_outbox(path) as outbox:
        root = outbox._connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'epochs'").get
    aside = quarantine(path)
    content = bytearray(aside.read_bytes())
    content[(root - 1) * PAGE_BYTES : root * PAGE_BYTES] = b"\xff" * PAGE_BYTES
    aside.write_bytes(content)
    assert salvaged(path, aside) == made


def test_whatever_is_damaged_no_other_read_comes_out_and_nearly_all_do(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path)
    aside = quarantine(path)
    whole = aside.read_bytes()
    chance = random.Random(2)
    saved = 0
    for trial in range(40):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 3))):
            page = chance.randrange(len(content) // PAGE_BYTES) * PAGE_BYTES
            content[page : page + PAGE_BYTES] = chance.choice((bytes, chance.randbytes))(PAGE_BYTES)
        for _ in range(20):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        copy = tmp_path / f"trial-{trial}" / "outbox.db"
        copy.parent.mkdir()
        damaged = copy.with_name("outbox.db.damaged-1")
        damaged.write_bytes(content)
        found = salvaged(copy, damaged)
        assert found.items() <= made.items()
        saved += len(found)
        shutil.rmtree(copy.parent)
    assert saved > 0.75 * 40 * len(made)


def test_a_read_of_before_there_were_digests_is_taken_back_too(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    filled(path, 3)
    before = Path(__file__).parent / "vectors" / "unit-of-before" / "outbox.2.db"
    aside = tmp_path / "outbox.db.damaged-1"
    shutil.copy(before, aside)
    with open_outbox(path) as outbox:
        assert sum(salvage(aside, outbox)) == 5
        assert len(held(outbox)) == 8


def test_what_is_no_database_gives_nothing_and_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    aside = tmp_path / "outbox.db.damaged-1"
    for content in (b"", b"no database", random.Random(3).randbytes(50 * PAGE_BYTES), b"\x0d" * 9000):
        aside.write_bytes(content)
        assert salvaged(path, aside) == {}


def test_it_stops_where_the_disk_is_full_and_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path)
    aside = quarantine(path)
    with open_outbox(path) as outbox:
        outbox._connection.execute("PRAGMA max_page_count = 150").fetchall()
        with pytest.raises(DiskFullError):
            list(salvage(aside, outbox))
        assert 0 < outbox.counts().queued < len(made)
    assert damaged_files(path) == (aside,)
    assert salvaged(path, aside) == made


def test_a_chain_that_leads_round_in_a_ring_ends(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path, 12)
    aside = quarantine(path)
    content = bytearray(aside.read_bytes())
    for page in range(2, len(content) // PAGE_BYTES):
        if content[page * PAGE_BYTES] == 0:  # an overflow page: it begins with the next one's number
            content[page * PAGE_BYTES : page * PAGE_BYTES + 4] = (page + 1).to_bytes(4, "big")
    aside.write_bytes(content)
    assert salvaged(path, aside).items() <= made.items()


def test_a_file_that_is_condemned_and_set_aside_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path, 12)
    with open_outbox(path) as outbox:
        outbox._connection.execute("UPDATE reads SET stored_hour = -1000000000000 WHERE read_id = 'read-7'")
        with pytest.raises(OutboxCorruptError), outbox.condemning():
            outbox.counts()
    del made["read-7"]
    assert salvaged(path, quarantine(path)) == made


def crashed(folder: Path, reads: int = 120) -> tuple[Path, dict[str, SealedRead]]:
    """An outbox as a power cut leaves it: all since the first reads stands in the log."""
    made = filled(folder / "outbox.db", 20)
    connection = apsw.Connection(str(folder / "outbox.db"))
    running = Outbox(connection)
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    chance = random.Random(5)
    for number in range(reads):
        read = SealedRead(f"late-{number}", "epoch-2", chance.randbytes(2000))
        running.append([read], EPOCHS[1], START)
        made[read.read_id] = read
    copy = folder / "crashed" / "outbox.db"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(folder / f"outbox.db{suffix}", copy.parent / f"outbox.db{suffix}")
    running.close()
    return copy, made


def restarted(path: Path) -> dict[str, SealedRead]:
    """What is held after the daemon's start and all that it takes back."""
    keep_dropped_log(path)
    with open_outbox(path) as outbox:
        for _ in salvage_all(path, outbox) or ():
            pass
        return held(outbox)


FRAME = 24 + PAGE_BYTES


@pytest.mark.parametrize("where", [5, 32 + 10 * FRAME + 30, 32 + 10 * FRAME + 10, 32 + 3 * FRAME + 2000])
def test_a_wrong_bit_in_the_log_costs_next_to_nothing(tmp_path: Path, where: int) -> None:
    path, made = crashed(tmp_path)
    log = path.with_name("outbox.db-wal")
    content = bytearray(log.read_bytes())
    content[where] ^= 4
    log.write_bytes(content)
    found = restarted(path)
    assert found.items() <= made.items()
    assert len(found) >= len(made) - 3
    assert [each.name for each in path.parent.glob("*aged-*")] == [], "a mere copy of a log is not kept"


def test_a_lost_sector_at_the_head_of_the_log_costs_nothing(tmp_path: Path) -> None:
    path, made = crashed(tmp_path)
    log = path.with_name("outbox.db-wal")
    log.write_bytes(bytes(32) + log.read_bytes()[32:])
    assert restarted(path) == made


@pytest.mark.parametrize("end", [0, 1, FRAME - 1, FRAME, 5 * FRAME + 100])
def test_a_log_that_is_whole_or_torn_at_its_end_is_no_damage(tmp_path: Path, end: int) -> None:
    path, made = crashed(tmp_path)
    log = path.with_name("outbox.db-wal")
    log.write_bytes(log.read_bytes()[: -end or None])
    assert not keep_dropped_log(path)
    assert restarted(path).items() <= made.items()
    assert not keep_dropped_log(path), "closed by the way"


def test_sqlite_itself_would_have_dropped_them(tmp_path: Path) -> None:
    path, made = crashed(tmp_path)
    log = path.with_name("outbox.db-wal")
    content = bytearray(log.read_bytes())
    content[32 + 10 * FRAME + 30] ^= 4
    log.write_bytes(content)
    with open_outbox(path) as outbox:
        assert len(held(outbox)) < len(made) - 90


def test_sectors_that_the_disk_does_not_give_cost_what_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outbox.db"
    made = filled(path)
    aside = quarantine(path)
    real, told = os.pread, []

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        if offset // PAGE_BYTES in (1, 2, 40):
            raise OSError(5, "Input/output error")
        return real(descriptor, size, offset)

    with open_outbox(path) as outbox, monkeypatch.context() as patched:
        patched.setattr(os, "pread", failing)
        brought = sum(salvage(aside, outbox, lambda name, unreadable: told.append((name, unreadable))))
        assert len(made) - 6 <= brought < len(made)
    assert told[0][0] == "outbox.db.damaged-1"
    assert told[0][1] > 0


def test_a_batched_read_of_before_there_were_digests_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    shutil.copy(Path(__file__).parent / "vectors" / "unit-of-before" / "outbox.2.db", path)
    with open_outbox(path) as outbox:
        before = held(outbox)
    aside = quarantine(path)
    assert before.items() <= salvaged(path, aside).items()
    assert len(before) == 4


def test_one_that_is_broken_off_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.outbox_salvage.STEP_PAGES", 1)
    path = tmp_path / "outbox.db"
    made = filled(path)
    aside = quarantine(path)
    brought = []
    with open_outbox(path) as outbox:
        for _ in range(4):
            steps = salvage(aside, outbox)
            brought.append(sum(islice(steps, 350)))
        brought.append(sum(salvage(aside, outbox)))
        assert sum(brought) == len(made), "none of them twice"
        assert held(outbox) == made
    assert [each.name for each in tmp_path.glob("*aged-*")] == ["outbox.db.salvaged-1"]


def test_a_quarantine_that_was_broken_off_goes_on_and_loses_no_log(tmp_path: Path) -> None:
    path, made = crashed(tmp_path)
    content = bytearray(path.read_bytes())
    content[:PAGE_BYTES] = bytes(PAGE_BYTES)
    path.write_bytes(content)
    real = Path.rename
    renamed: list[str] = []

    def cut(self: Path, target: Path) -> Path:
        if renamed:
            raise KeyboardInterrupt  # the power went
        renamed.append(self.name)
        return real(self, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "rename", cut)
        with pytest.raises(KeyboardInterrupt):
            quarantine(path)
    assert renamed == ["outbox.db-wal"]
    with pytest.raises(OutboxCorruptError):
        open_outbox(path)
    aside = quarantine(path)
    assert aside.name == "outbox.db.damaged-1"
    assert salvaged(path, aside) == made


def test_a_second_damaged_file_takes_no_earlier_ones_place(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    filled(path, 5)
    salvaged(path, quarantine(path))
    salvaged(path, quarantine(path))
    assert quarantine(path).name == "outbox.db.damaged-3"
    assert sorted(each.name for each in salvaged_files(path)) == [
        "outbox.db.salvaged-1",
        "outbox.db.salvaged-2",
    ]
