"""Officers' entries on their way to the department: sent until acknowledged, and never lost by it."""

from collections import deque
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import book_courier
from edge.book_courier import ACKNOWLEDGED_NAME, LOOK_S, BookCourier
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.local import LocalBook
from sync.config import SyncConfig
from sync.errors import RefusedError, UnreachableError
from sync.local_book import BookReceipt, SentBook, SignedBook, decode_book, encode_book_receipt
from sync.session import Session
from tests.fakes import START, UNIT
from tests.hotlists import STORAGE_KEY, CutDisk, PowerCut

UNIT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
DEPARTMENT = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
DAY = timedelta(days=1)


class FakeServer:
    """Takes books as the department does; the next exchanges may fail, in order, with what is in `fates`."""

    def __init__(self) -> None:
        self.fates: deque[Exception | str] = deque()
        self.exchanges = 0
        self.books: list[SentBook] = []

    def send_book(self, book: SignedBook) -> bytes:
        self.exchanges += 1
        fate = self.fates.popleft() if self.fates else None
        if isinstance(fate, Exception) and fate.args != ("receipt lost",):
            raise fate
        sent = decode_book(book, UNIT_KEY.public_key())
        self.books.append(sent)
        if isinstance(fate, Exception):
            raise fate
        receipt = BookReceipt(UNIT, book.digest, len(sent.changes), START)
        data = encode_book_receipt(receipt, DEPARTMENT)
        return data[:-1] + bytes([data[-1] ^ 1]) if fate == "altered" else data


class Bench:
    """A unit's book with its courier, and a clock that the test turns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = START
        self.server = FakeServer()
        self._ids = iter(range(1000))
        self.book = self.a_book()
        self.courier = self.restart()

    def a_book(self) -> LocalBook:
        book = LocalBook(self.folder, storage_key=STORAGE_KEY, new_id=lambda: f"{next(self._ids)}")
        book.load()
        return book

    def restart(self, disk: Disk | None = None) -> BookCourier:
        self.courier = BookCourier(
            LocalBook(self.folder, storage_key=STORAGE_KEY, new_id=str),
            Session(SyncConfig(), lambda: 0.5),
            self.server,
            unit_id=UNIT,
            unit_key=UNIT_KEY,
            department=DEPARTMENT.public_key(),
            storage_key=STORAGE_KEY,
            clock=self.clock,
            disk=disk,
        )
        return self.courier

    def clock(self) -> datetime:
        return self.now

    def add(self, plate: str = "7ABC123") -> str:
        added = self.book.add(
            plate,
            state="",
            officer="Officer 12",
            purpose="Burglary",
            case_number="26-1",
            now=self.now,
            lasting=DAY,
        )
        return added.entry.entry_id

    def work(self, times: int = 1, every: timedelta = timedelta(seconds=LOOK_S)) -> None:
        for _ in range(times):
            self.courier.work()
            self.now += every


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_unit_on_which_nobody_put_anything_sends_nothing(bench: Bench) -> None:
    bench.work(10)
    assert bench.server.exchanges == 0


def test_each_change_is_sent_once(bench: Bench) -> None:
    entry_id = bench.add()
    bench.work(5)
    bench.book.remove(entry_id, officer="Officer 12", now=bench.now)
    bench.work(5)
    assert [len(book.changes) for book in bench.server.books] == [1, 2]
    assert [len(book.entries) for book in bench.server.books] == [1, 0]
    assert bench.server.books[1].removed == bench.server.books[0].entries


def test_what_was_acknowledged_is_not_sent_again_after_a_restart(bench: Bench) -> None:
    bench.add()
    bench.work()
    bench.restart()
    bench.work(5)
    assert bench.server.exchanges == 1


def test_server_that_is_away_for_weeks_gets_everything_afterwards(bench: Bench) -> None:
    bench.server.fates.extend(UnreachableError("away") for _ in range(100_000))
    for number in range(5):
        entry_id = bench.add(f"7ABC12{number}")
        bench.work(50, timedelta(minutes=30))
        bench.book.remove(entry_id, officer="Officer 7", now=bench.now)
        bench.work(50, timedelta(minutes=30))
        bench.restart()
    assert bench.server.books == []
    assert bench.courier.fault == ""
    bench.server.fates.clear()
    bench.work(2, timedelta(minutes=10))
    [book] = bench.server.books
    assert [each.entry.pattern for each in book.removed] == [f"7ABC12{number}" for number in range(5)]
    assert [change.deed for change in book.changes] == ["add", "remove"] * 5


def test_waits_grow_and_hurry_ends_them(bench: Bench) -> None:
    bench.server.fates.extend(UnreachableError("away") for _ in range(1000))
    bench.add()
    bench.work(720)
    assert 10 < bench.server.exchanges < 40
    before = bench.server.exchanges
    bench.courier.hurry()
    bench.work()
    assert bench.server.exchanges == before + 1


def test_waits_begin_short_again_after_an_acknowledgement(bench: Bench) -> None:
    bench.add()
    bench.server.fates.extend(UnreachableError("away") for _ in range(8))
    bench.work(720)
    assert not bench.courier.waiting
    before = bench.server.exchanges
    bench.server.fates.append(UnreachableError("away"))
    bench.add()
    bench.work(2)
    assert bench.server.exchanges == before + 2


@pytest.mark.parametrize("fate", [UnreachableError("receipt lost"), "altered"])
def test_book_whose_receipt_is_lost_or_forged_is_sent_again(bench: Bench, fate: Exception | str) -> None:
    bench.server.fates.append(fate)
    bench.add()
    bench.work()
    assert bench.courier.waiting
    assert bool(bench.courier.fault) == (fate == "altered")
    bench.work(3)
    assert not bench.courier.waiting
    assert bench.courier.fault == ""
    assert bench.server.books[0] == bench.server.books[1]
    assert len(bench.server.books) == 2


@pytest.mark.parametrize("status", [403, 404, 409, 422])
def test_refused_book_is_told_tried_again_after_an_hour_and_stays_on_the_unit(
    bench: Bench, status: int
) -> None:
    bench.server.fates.append(RefusedError("set back", status=status))
    bench.add()
    bench.work(600)
    assert bench.server.exchanges == 1
    assert bench.courier.fault == "local entries: set back"
    bench.work(150)
    assert bench.server.exchanges == 2
    assert bench.courier.fault == ""
    assert len(bench.a_book().entries) == 1


def test_lost_or_damaged_note_of_the_receipt_costs_one_more_upload(bench: Bench) -> None:
    bench.add()
    bench.work()
    note = bench.folder / ACKNOWLEDGED_NAME
    note.write_bytes(note.read_bytes()[:-1])
    bench.restart()
    bench.work(3)
    note.unlink()
    bench.restart()
    bench.work(3)
    assert bench.server.exchanges == 3


@pytest.mark.parametrize("cut_at", range(6))
def test_power_cut_at_the_receipt_leaves_a_book_that_is_acknowledged_in_the_end(
    bench: Bench, cut_at: int
) -> None:
    bench.add()
    disk = CutDisk(bench.folder, cut_at=cut_at, seed=cut_at)
    bench.restart(disk)
    with suppress(PowerCut):
        bench.work()
    disk.power_off()
    bench.restart()
    bench.work(3)
    assert not bench.courier.waiting
    assert len(bench.a_book().entries) == 1


class FullDisk(RealDisk):
    """Takes nothing while `full`."""

    full = True

    def create(self, path: Path) -> BinaryIO:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().create(path)


def test_receipt_that_cannot_be_kept_is_asked_for_again(bench: Bench) -> None:
    bench.add()
    disk = FullDisk()
    bench.restart(disk)
    bench.work()
    assert bench.courier.waiting
    assert "No space left" in bench.courier.fault
    disk.full = False
    bench.work(3)
    assert (bench.server.exchanges, bench.courier.fault) == (2, "")


def test_book_that_is_too_large_is_told_and_not_sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_courier, "MAX_BOOK_BYTES", 100)
    bench.add()
    bench.work(3)
    assert bench.server.exchanges == 0
    assert "larger than the 100 bytes" in bench.courier.fault


def test_book_that_vanished_is_sent_as_what_it_is_so_that_the_department_hears_of_it(bench: Bench) -> None:
    bench.add()
    bench.work()
    bench.book.path.unlink()
    bench.restart()
    bench.work()
    assert bench.server.books[1].changes == ()


def test_damaged_book_is_set_aside_and_does_not_end_the_thread(bench: Bench) -> None:
    bench.add()
    bench.book.path.write_bytes(b"rubbish")
    bench.work(3)
    assert bench.server.exchanges == 0
    assert "set aside" in bench.courier.fault
    assert (bench.folder / "local-entries.sealed.damaged").read_bytes() == b"rubbish"


def test_note_says_nothing_in_the_clear(bench: Bench) -> None:
    bench.add()
    bench.work()
    digest = bench.courier._acknowledged
    assert len(digest) == 32
    assert digest not in (bench.folder / ACKNOWLEDGED_NAME).read_bytes()
