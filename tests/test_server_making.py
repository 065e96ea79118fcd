"""A list made by its changes is the list made whole, and where that cannot be, it is made whole."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache.applying import apply_delta
from hotlist_cache.encoding import encode_section
from hotlist_cache.entry import Entry
from hotlist_cache.publishing import rows_of
from hotlist_cache.snapshot import Snapshot, open_snapshot
from server import basis as basis_module
from server import making
from server.basis import changed_lines
from server.department import Department
from server.errors import HotlistRefusedError
from server.hotlists import Hotlists
from tests.departments import NOW, a_department
from tests.hotlists import an_entry

ANNE, BERT = "console:anne", "console:bert"


@pytest.fixture
def department(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Department]:
    monkeypatch.setattr(making, "SMALL", 3)
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


class Publisher:
    """A department and a unit that takes whatever it publishes."""

    def __init__(self, department: Department) -> None:
        self.department = department
        self.hotlists = department.hotlists
        self.keys = (department.keys.hotlist.public_key(),)
        self.at = NOW
        self.unit: Snapshot | None = None
        self.feeds: dict[str, list[Entry]] = {}

    def bring(self, feed: str, entries: list[Entry]) -> None:
        self.at += timedelta(seconds=1)
        self.feeds[feed] = entries
        report = self.hotlists.replace_feed(feed, entries, actor=ANNE, now=self.at)
        if report.pending_id is not None:
            self.hotlists.approve(report.pending_id, self.department.keys, actor=BERT, now=self.at)

    def publish(self, *, whole: bool = False) -> str:
        """Publish, let the unit follow, and return how: "whole", "change" or "both"."""
        self.at += timedelta(seconds=1)
        expires = self.at + timedelta(days=1)
        published = self.hotlists.publish(
            self.department.keys, expires_at=expires, actor=ANNE, now=self.at, whole=whole
        )
        sequence = published.sequence
        listed, change = self.hotlists.path_of(sequence), self.hotlists.change_of(sequence)
        lists = []
        if change is not None and self.unit is not None:
            lists.append(apply_delta(self.unit, change.read_bytes(), keys=self.keys))
        if listed is not None:
            lists.append(open_snapshot(listed.read_bytes(), keys=self.keys))
        assert lists and all(each.header == lists[0].header for each in lists)
        self.unit = lists[0]
        every = [entry for entries in self.feeds.values() for entry in entries]
        wanted = encode_section(rows_of(every, self.department.carried))
        assert (self.unit.header.shape, self.unit.header.content) == (wanted.shape, wanted.content)
        return "both" if listed and change else "whole" if listed else "change"


PLATES = [an_entry(f"TST{number:04d}", f"id-{number}") for number in range(8)]


def test_small_change_travels_alone_and_the_first_list_whole(department: Department) -> None:
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    assert publisher.publish() == "whole"
    publisher.bring("stolen", [*PLATES[1:], an_entry("7AB*")])
    assert publisher.publish() == "change"
    publisher.bring("amber", [an_entry("7ABC123")])
    assert publisher.publish() == "change"
    publisher.bring("amber", [])
    assert publisher.publish() == "change"
    assert publisher.publish(whole=True) == "both"


def test_entry_on_two_feeds_stays_until_it_is_gone_from_both(department: Department) -> None:
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    publisher.bring("again", PLATES[:2])
    publisher.publish()
    for feed, left in (("again", PLATES[1:2]), ("stolen", PLATES[2:]), ("again", [])):
        publisher.bring(feed, left)
        assert publisher.publish() == "change"


def test_entries_that_differ_in_what_is_not_carried_are_one_until_both_are_gone(
    department: Department,
) -> None:
    publisher = Publisher(department)  # which does not carry record ids
    twins = [replace(PLATES[0], entry_id="one"), replace(PLATES[0], entry_id="two")]
    publisher.bring("stolen", [*PLATES[1:], *twins])
    publisher.publish()
    for left in (twins[:1], []):
        publisher.bring("stolen", [*PLATES[1:], *left])
        assert publisher.publish() == "change"


@pytest.mark.parametrize("file", ["rest.json", "list.columns"])
def test_without_a_whole_basis_the_list_is_made_whole(department: Department, file: str) -> None:
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    publisher.publish()
    path = department.folder.hotlists / "basis" / "1" / file
    path.write_bytes(path.read_bytes()[:-40])
    publisher.bring("stolen", PLATES[1:])
    assert publisher.publish() == "both"  # by comparing the two lists, which takes long for a long one


def test_more_than_a_few_changes_are_published_whole(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basis_module, "MOST_LINES", 3)
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    publisher.publish()
    publisher.bring("stolen", PLATES[4:])
    assert publisher.publish() == "both"


def test_after_many_changes_the_list_is_made_whole(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "WHOLE_AFTER", 2)
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    how = [publisher.publish()]
    for number in range(5):
        publisher.bring("amber", [an_entry(f"7ABC{number:03d}")])
        how.append(publisher.publish())
    assert how == ["whole", "change", "change", "both", "change", "change"]


def test_department_that_carries_something_else_from_now_on_makes_it_whole(department: Department) -> None:
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    publisher.publish()
    carried = replace(department.carried, vehicles=False)
    hotlists = Hotlists(department.engine, department.folder.hotlists, carried=carried)
    hotlists.publish(
        department.keys, expires_at=publisher.at + timedelta(days=1), actor=ANNE, now=publisher.at
    )
    assert hotlists.path_of(2) is not None


def test_only_the_newest_basis_is_kept_and_it_shares_the_feeds_bytes(department: Department) -> None:
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    publisher.publish()
    publisher.bring("amber", [an_entry("7ABC123")])
    publisher.publish()
    folder = department.folder.hotlists
    assert [path.name for path in (folder / "basis").iterdir()] == ["2"]
    assert (folder / "basis/2/stolen.jsonl").samefile(folder / "feeds/stolen.jsonl")


def test_files_of_a_publication_that_was_cut_off_are_not_taken_for_the_next_one(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    publisher.publish()
    publisher.bring("stolen", PLATES[1:])
    with monkeypatch.context() as cut:
        cut.setattr("server.hotlists.writing", lambda engine: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publisher.publish(whole=True)
    assert (department.folder.hotlists / "2.snapshot").exists()
    publisher.bring("amber", [an_entry("7ABC123")])
    assert publisher.publish() == "change"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_feeds_bring_the_unit_holds_what_a_whole_list_would(
    department: Department, seed: int
) -> None:
    source = random.Random(seed)
    publisher = Publisher(department)
    pool = [*PLATES, an_entry("O1I0"), an_entry("0110"), an_entry("7A?C*"), an_entry("ABCDEFGHJKLM")]
    publisher.bring("steady", PLATES[:6])
    for _ in range(12):
        feed = source.choice(["one", "two"])
        held = len(publisher.feeds.get(feed, []))
        publisher.bring(feed, source.sample(pool, source.randint((held + 1) // 2, len(pool))))
        publisher.publish()


LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n"]), max_size=12)


@settings(max_examples=200, deadline=None)
@given(LINES, LINES)
def test_lines_that_differ_lead_from_one_file_to_the_other(
    tmp_path_factory: pytest.TempPathFactory, before: list[bytes], after: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    for name, lines in (("before", before), ("after", after)):
        (folder / name).write_bytes(b"".join(lines))
    differing = changed_lines(folder / "before", folder / "after")
    assert differing is not None
    gone, come = differing
    assert not {*gone} & {*come}
    for line in gone:
        before.remove(line)
    assert sorted(before + come) == sorted(after)


def exchanged_in_steps(publisher: Publisher, first: list[Entry]) -> None:
    """Bring other plates in the place of all, half of them at a time, as one person may."""
    second = [an_entry(f"7ABC12{number}", f"id-{number}") for number in range(8)]
    for kept in (4, 0):
        publisher.bring("stolen", [*first[:kept], *second[kept:]])
    assert publisher.hotlists.pending() == []


@pytest.mark.parametrize("left", ["columns", "list", "neither"])
def test_a_long_list_of_other_plates_waits_whatever_is_left_to_compare_it_with(
    department: Department, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    assert publisher.publish() == "whole"
    folder = department.folder.hotlists
    if left != "list":
        (folder / "1.snapshot").unlink()
    if left != "columns":
        (folder / "basis" / "1" / "list.columns").unlink()
    monkeypatch.setattr(basis_module, "MOST_LINES", 2)
    exchanged_in_steps(publisher, PLATES)
    if left == "neither":
        publisher.publish()  # it is as long as the one before, and nothing else is known of that
        return
    with pytest.raises(HotlistRefusedError, match="8 go, 8 come"):
        publisher.publish()


def test_a_long_list_of_other_plates_waits_if_it_is_made_by_changes(department: Department) -> None:
    publisher = Publisher(department)
    publisher.bring("stolen", PLATES)
    publisher.publish()
    exchanged_in_steps(publisher, PLATES)
    with pytest.raises(HotlistRefusedError, match="8 go, 8 come"):
        publisher.publish()
