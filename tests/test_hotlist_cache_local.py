"""Officers' own entries and suppressions: what is kept, for how long, and by whom it is put in force."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hotlist_cache.entry import Priority
from hotlist_cache.errors import LocalEntryRefusedError
from hotlist_cache.hit import MatchKind, Outcome
from hotlist_cache.local import LocalBook
from hotlist_cache.policy import AlertPolicy
from hotlist_cache.together import ListsInForce
from tests.hotlists import CONFIG, NOW, STORAGE_KEY, CutDisk, PowerCut, a_hotlist, a_read, an_entry

DAY = timedelta(days=1)


def a_book(folder: Path, disk: CutDisk | None = None) -> LocalBook:
    count = iter(range(1000))
    book = LocalBook(folder, storage_key=STORAGE_KEY, new_id=lambda: f"{next(count)}", disk=disk)
    book.load()
    return book


def add(book: LocalBook, plate: str = "7abc-123", **change: Any) -> str:
    given: dict[str, Any] = {
        "state": "US-CA",
        "officer": "Officer 12",
        "purpose": "Seen leaving a burglary",
        "case_number": "26-0001",
        "now": NOW,
        "lasting": DAY,
        **change,
    }
    return book.add(plate, **given).entry.entry_id


def lists(book: LocalBook, *entries: str) -> ListsInForce:
    hotlists = [a_hotlist(*(an_entry(each) for each in entries))] if entries else []
    return ListsInForce(hotlists, book, CONFIG, lambda: "hit")


@pytest.mark.parametrize("others", [(), ("1XYZ999",)])
def test_local_plate_is_met_with_and_without_a_list_of_the_department(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    book = a_book(tmp_path)
    entry_id = add(book)
    (hit,) = lists(book, *others).match(a_read("7ABC123"), NOW)
    assert (hit.entry.entry_id, hit.kind, hit.outcome) == (entry_id, MatchKind.EXACT, Outcome.HIT)
    assert (hit.list_age.snapshot_sequence, hit.list_age.issued_at) == (0, NOW)
    assert hit.explain(NOW + DAY / 2).endswith("local entry, 12.0 h old")


def test_local_partial_plate_is_met(tmp_path: Path) -> None:
    book = a_book(tmp_path)
    add(book, "7A?C*")
    (hit,) = lists(book).match(a_read("7AXC99"), NOW)
    assert (hit.kind, hit.outcome) == (MatchKind.WILDCARD, Outcome.POSSIBLE)


def test_plate_on_both_is_a_hit_of_each(tmp_path: Path) -> None:
    book = a_book(tmp_path)
    add(book)
    hits = lists(book, "7ABC123").match(a_read("7ABC123"), NOW)
    assert sorted(hit.list_age.snapshot_sequence for hit in hits) == [0, 1]


def test_entry_on_two_lists_of_the_department_is_met_once(tmp_path: Path) -> None:
    hotlists = [a_hotlist(an_entry("7ABC123"), an_entry("1XYZ999")), a_hotlist(an_entry("7ABC123"))]
    both = ListsInForce(hotlists, a_book(tmp_path), CONFIG, lambda: "hit")
    assert len(both.match(a_read("7ABC123"), NOW)) == 1


def test_entry_outlives_a_new_list_and_a_restart_and_ends_by_itself(tmp_path: Path) -> None:
    add(a_book(tmp_path), lasting=DAY)
    again = a_book(tmp_path)
    assert lists(again, "1XYZ999").match(a_read("7ABC123"), NOW + DAY * 0.99)
    assert not lists(again, "1XYZ999").match(a_read("7ABC123"), NOW + DAY)


def test_old_entry_is_not_stale_as_a_list_would_be(tmp_path: Path) -> None:
    book = a_book(tmp_path)
    add(book, lasting=10 * DAY)
    later = NOW + 5 * DAY
    (hit,) = lists(book).match(a_read("7ABC123", utc=later), later)
    alert = AlertPolicy(CONFIG, lambda: "alert").decide(hit, later)
    assert alert is not None
    assert (alert.advisory_only, alert.priority) == (False, Priority.MEDIUM)


def test_removed_entry_is_met_no_more_and_its_history_stays(tmp_path: Path) -> None:
    book = a_book(tmp_path)
    entry_id = add(book)
    book.remove(entry_id, officer="Officer 7", now=NOW + DAY / 4)
    assert not lists(a_book(tmp_path)).match(a_read("7ABC123"), NOW + DAY / 3)
    done = [(each.deed, each.actor, each.case_number) for each in a_book(tmp_path).changes]
    assert done == [("add", "Officer 12", "26-0001"), ("remove", "Officer 7", "26-0001")]


@pytest.mark.parametrize(
    "change",
    [
        {"officer": " "},
        {"purpose": ""},
        {"case_number": ""},
        {"purpose": "two\nlines"},
        {"officer": "x" * 201},
        {"lasting": timedelta()},
        {"lasting": 31 * DAY},
        {"plate": "A*"},
        {"plate": "ÄBC123"},
        {"plate": "A" * 17},
    ],
)
def test_entry_without_what_it_needs_is_refused_and_nothing_is_kept(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    book = a_book(tmp_path)
    with pytest.raises(LocalEntryRefusedError):
        add(book, **change)
    assert (book.entries, book.changes) == ((), ())
    assert not book.path.exists()


def test_suppression_works_once_another_person_approved_it_and_until_it_ends(tmp_path: Path) -> None:
    book = a_book(tmp_path)
    (hit,) = a_hotlist(an_entry("7ABC127")).match(a_read("7ABC122", at={6: [("2", 0.6), ("7", 0.4)]}), NOW)
    policy = AlertPolicy(CONFIG, lambda: "alert", book.suppresses)
    asked = book.suppress(
        "7abc 122",
        hit.entry.entry_id,
        officer="Officer 12",
        reason="Stopped, another car",
        now=NOW,
        lasting=DAY,
    )
    assert not book.suppresses(hit, NOW)
    with pytest.raises(LocalEntryRefusedError, match="somebody else"):
        book.approve(asked.suppression_id, supervisor="officer 12", now=NOW)
    book.approve(asked.suppression_id, supervisor="Sergeant 3", now=NOW)
    assert policy.decide(hit, NOW) is None
    assert policy.decide(hit, NOW + DAY) is not None


def test_suppression_is_of_one_plate_and_one_entry(tmp_path: Path) -> None:
    book = a_book(tmp_path)
    hotlist = a_hotlist(an_entry("7ABC127", "one"), an_entry("7ABC127", "other"))
    asked = book.suppress("7ABC127", "one", officer="A", reason="R", now=NOW, lasting=DAY)
    book.approve(asked.suppression_id, supervisor="B", now=NOW)
    hits = hotlist.match(a_read("7ABC127"), NOW)
    assert {hit.entry.entry_id: book.suppresses(hit, NOW) for hit in hits} == {"one": True, "other": False}
    book.lift(asked.suppression_id, officer="A", now=NOW)
    assert not any(book.suppresses(hit, NOW) for hit in hits)


def test_book_that_does_not_open_is_set_aside_and_said(tmp_path: Path) -> None:
    book = a_book(tmp_path)
    add(book)
    damaged = bytearray(book.path.read_bytes())
    damaged[-1] ^= 1
    book.path.write_bytes(damaged)
    with pytest.raises(LocalEntryRefusedError, match=r"local-entries\.sealed\.damaged"):
        a_book(tmp_path)
    assert a_book(tmp_path).entries == ()
    assert (tmp_path / "local-entries.sealed.damaged").read_bytes() == damaged


def test_plates_are_not_in_the_file_in_the_clear(tmp_path: Path) -> None:
    book = a_book(tmp_path)
    add(book)
    assert b"7ABC123" not in book.path.read_bytes()
    assert b"Officer" not in book.path.read_bytes()


@pytest.mark.parametrize("seed", range(40))
def test_power_cut_while_adding_leaves_the_book_before_or_after(tmp_path: Path, seed: int) -> None:
    add(a_book(tmp_path), "1AAA111")
    disk = CutDisk(tmp_path, cut_at=seed % 9, seed=seed)
    try:
        add(a_book(tmp_path, disk), "2BBB222")
        whole = True
    except PowerCut:
        whole = False
    disk.power_off()
    plates = [each.entry.pattern for each in a_book(tmp_path).entries]
    assert plates in (["1AAA111"], ["1AAA111", "2BBB222"])
    assert plates == ["1AAA111", "2BBB222"] or not whole
