"""Taking the books of units: each thing once, from the unit that signed it, and never an older state."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from hotlist_cache.local import LocalBook
from server.audit import verify
from server.database import reading
from server.department import Department
from server.enrolment import revoke
from server.errors import BookConflictError, HotlistRefusedError, NotPermittedError
from server.intake import Intake
from server.local_books import LocalBooks, begin_anew
from server.tables import audit, local_changes, local_entries, local_suppressions
from sync.errors import SealBrokenError, WireFormatError
from sync.local_book import SignedBook, decode_book_receipt, encode_book, sent_book
from tests.departments import NOW, Unit, a_department, a_unit, audited
from tests.hotlists import STORAGE_KEY

DAY = timedelta(days=1)


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


@pytest.fixture
def books(department: Department) -> LocalBooks:
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    return LocalBooks(department.engine, department.keys, intake)


@pytest.fixture
def book(tmp_path: Path) -> LocalBook:
    return a_book(tmp_path)


def a_book(folder: Path, first_id: int = 0) -> LocalBook:
    ids = iter(range(first_id, 1000))
    return LocalBook(folder, storage_key=STORAGE_KEY, new_id=lambda: f"{next(ids)}")


def add(book: LocalBook, plate: str = "7ABC123", **change: Any) -> str:
    given: dict[str, Any] = {
        "state": "US-CA",
        "officer": "Officer 12",
        "purpose": "Burglary",
        "case_number": "26-1",
        "now": NOW,
        "lasting": DAY,
        **change,
    }
    return book.add(plate, **given).entry.entry_id


def signed(unit: Unit, book: LocalBook, unit_id: str = "") -> SignedBook:
    return encode_book(sent_book(unit_id or unit.unit_id, book), unit.signing_key)


def rows(department: Department, *columns: Any) -> list[tuple[Any, ...]]:
    with reading(department.engine) as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0]))]


def states(department: Department) -> dict[str, str]:
    found = rows(department, local_entries.c.entry_id, local_entries.c.state)
    found += rows(department, local_suppressions.c.suppression_id, local_suppressions.c.state)
    return dict(found)


def test_everything_in_the_book_is_held_and_the_receipt_names_it(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    add(book)
    asked = book.suppress("7ABC127", "entry-1", officer="A", reason="Another", now=NOW, lasting=DAY)
    book.approve(asked.suppression_id, supervisor="B", now=NOW)
    sent = signed(unit, book)
    receipt = decode_book_receipt(books.take(unit.peer, sent, NOW), unit.receipt_key, sent, unit.unit_id)
    assert (receipt.changes, receipt.received_at) == (3, NOW)
    table = local_entries.c
    assert rows(
        department, table.unit_id, table.pattern, table.officer, table.purpose, table.case_number
    ) == [("unit-07", "7ABC123", "Officer 12", "Burglary", "26-1")]
    assert rows(department, table.added_at, table.expires_at, table.state) == [(NOW, NOW + DAY, "held")]
    known = local_suppressions.c
    assert rows(department, known.plate, known.entry_id, known.supervisor, known.state) == [
        ("7ABC127", "entry-1", "B", "held")
    ]
    assert rows(department, local_changes.c.number, local_changes.c.deed, local_changes.c.actor) == [
        (1, "add", "Officer 12"),
        (2, "suppress", "A"),
        (3, "approve", "B"),
    ]
    assert audited(department)[-3:] == [
        ("unit:unit-07", f"local_entry.{deed}", "success") for deed in ("add", "suppress", "approve")
    ]


def test_the_same_book_again_stores_and_logs_nothing(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    add(book)
    sent = signed(unit, book)
    books.take(unit.peer, sent, NOW)
    before = (rows(department, *local_changes.c), rows(department, *local_entries.c), audited(department))
    data = books.take(unit.peer, sent, NOW + DAY)
    assert decode_book_receipt(data, unit.receipt_key, sent, unit.unit_id).changes == 1
    assert (
        rows(department, *local_changes.c),
        rows(department, *local_entries.c),
        audited(department),
    ) == before


def test_a_book_sent_many_times_at_once_is_stored_once(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    for number in range(5):
        add(book, f"7ABC12{number}")
    sent = signed(unit, book)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: books.take(unit.peer, sent, NOW), range(16)))
    assert len(rows(department, local_changes.c.number)) == 5
    with reading(department.engine) as connection:
        verify(connection)


def test_what_was_removed_is_withdrawn_even_if_it_was_never_received_before(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    first = add(book)
    books.take(unit.peer, signed(unit, book), NOW)
    second = add(book, "8XYZ987")
    book.remove(first, officer="A", now=NOW)
    book.remove(second, officer="A", now=NOW)
    asked = book.suppress("7ABC127", "entry-1", officer="A", reason="Another", now=NOW, lasting=DAY)
    book.lift(asked.suppression_id, officer="A", now=NOW)
    books.take(unit.peer, signed(unit, book), NOW)
    assert states(department) == dict.fromkeys((first, second, asked.suppression_id), "withdrawn")
    patterns = rows(department, local_entries.c.entry_id, local_entries.c.pattern)
    assert dict(patterns)[second] == "8XYZ987"


def test_an_approval_that_comes_later_is_taken_up(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    asked = book.suppress("7ABC127", "entry-1", officer="A", reason="Another", now=NOW, lasting=DAY)
    books.take(unit.peer, signed(unit, book), NOW)
    book.approve(asked.suppression_id, supervisor="B", now=NOW)
    books.take(unit.peer, signed(unit, book), NOW)
    assert rows(department, local_suppressions.c.supervisor) == [("B",)]


def test_a_book_of_an_older_state_is_refused_and_the_access_log_says_which(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    add(book)
    older = signed(unit, book)
    add(book, "8XYZ987")
    books.take(unit.peer, signed(unit, book), NOW)
    before = states(department)
    with pytest.raises(BookConflictError, match="unit-07 was set back: it holds 1 changes, and 2 were"):
        books.take(unit.peer, older, NOW)
    assert states(department) == before
    assert audited(department)[-1] == ("unit:unit-07", "local_book.refuse", "refused")
    detail = rows(department, audit.c.sequence, audit.c.detail)[-1][1]
    assert "set back" in detail and older.digest.hex() in detail and "7ABC123" not in detail


def test_a_unit_that_was_set_back_and_went_on_is_found_out(
    department: Department, unit: Unit, books: LocalBooks, tmp_path: Path, book: LocalBook
) -> None:
    add(book)
    copy = book.path.read_bytes()
    add(book, "8XYZ987")
    books.take(unit.peer, signed(unit, book), NOW)
    book.path.write_bytes(copy)
    again = a_book(tmp_path, first_id=50)
    again.load()
    for number in range(3):
        add(again, f"9XYZ98{number}")
    with pytest.raises(BookConflictError, match="its change 2 is another"):
        books.take(unit.peer, signed(unit, again), NOW)


def test_an_entry_that_says_something_else_under_its_id_is_refused(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    entry_id = add(book)
    books.take(unit.peer, signed(unit, book), NOW)
    local = book.entries[0]
    altered = replace(
        sent_book(unit.unit_id, book),
        entries=(replace(local, entry=replace(local.entry, pattern="8XYZ987")),),
    )
    with pytest.raises(BookConflictError, match=f"{entry_id} is another"):
        books.take(unit.peer, encode_book(altered, unit.signing_key), NOW)
    assert rows(department, local_entries.c.pattern) == [("7ABC123",)]


def test_after_a_person_says_so_a_book_begins_anew_and_what_it_lacks_is_withdrawn(
    department: Department, unit: Unit, books: LocalBooks, tmp_path: Path, book: LocalBook
) -> None:
    lost = add(book)
    books.take(unit.peer, signed(unit, book), NOW)
    (tmp_path / "new").mkdir()
    fresh = a_book(tmp_path / "new", first_id=50)
    kept = add(fresh, "8XYZ987")
    with pytest.raises(BookConflictError):
        books.take(unit.peer, signed(unit, fresh), NOW)
    begin_anew(department.engine, unit.unit_id, actor="console:a", now=NOW)
    books.take(unit.peer, signed(unit, fresh), NOW)
    assert states(department) == {lost: "withdrawn", kept: "held"}
    assert len(rows(department, local_changes.c.number)) == 3
    with pytest.raises(BookConflictError):
        books.take(unit.peer, signed(unit, book), NOW)
    assert ("console:a", "local_book.begin_anew", "success") in audited(department)


def test_a_book_does_not_begin_anew_where_none_is_held(department: Department, unit: Unit) -> None:
    for unit_id in (unit.unit_id, "unit-99"):
        with pytest.raises(HotlistRefusedError, match="nothing is in the way"):
            begin_anew(department.engine, unit_id, actor="console:a", now=NOW)


def test_a_forged_signature_stores_nothing_and_is_logged(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    add(book)
    sent = signed(unit, book)
    for forged in (replace(sent, signature=bytes(64)), replace(sent, payload=sent.payload + b" ")):
        with pytest.raises(SealBrokenError):
            books.take(unit.peer, forged, NOW)
        assert audited(department)[-1] == ("unit:unit-07", "local_book.refuse", "refused")
    with pytest.raises(WireFormatError):
        key = unit.signing_key
        books.take(unit.peer, SignedBook(b"\x00", key.sign(b"alpr-edge local book v1\x00\x00")), NOW)
    assert states(department) == {}


def test_another_units_name_or_book_is_refused(
    department: Department, unit: Unit, books: LocalBooks, tmp_path: Path, book: LocalBook
) -> None:
    other = a_unit(department, tmp_path / "other", "unit-08")
    add(book)
    with pytest.raises(NotPermittedError, match="another unit's"):
        books.take(other.peer, signed(other, book, "unit-07"), NOW)
    with pytest.raises(SealBrokenError):
        books.take(other.peer, signed(unit, book), NOW)
    assert states(department) == {}


def test_a_revoked_unit_hands_in_nothing(
    department: Department, unit: Unit, books: LocalBooks, book: LocalBook
) -> None:
    add(book)
    revoke(department.engine, unit.unit_id, actor="console:a", now=NOW)
    with pytest.raises(NotPermittedError):
        books.take(unit.peer, signed(unit, book), NOW)
    assert states(department) == {}


def test_two_units_may_have_the_same_ids(
    department: Department, unit: Unit, books: LocalBooks, tmp_path: Path, book: LocalBook
) -> None:
    other = a_unit(department, tmp_path / "other", "unit-08")
    add(book)
    for each in (unit, other):
        books.take(each.peer, signed(each, book), NOW)
    assert rows(department, local_entries.c.unit_id, local_entries.c.entry_id) == [
        ("unit-07", "local-0"),
        ("unit-08", "local-0"),
    ]
