"""Feeds in, snapshots out: nothing shrinks unseen, no sequence is used twice, no person decides alone."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text
from typer.testing import CliRunner

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.header import verify_header
from hotlist_cache.importing import Change
from hotlist_cache.publishing import EVERYTHING
from hotlist_cache.snapshot import Snapshot, verify_snapshot
from recognizer.plate import Jurisdiction
from server import actors, feed_files, hotlist_commands
from server.cli import app
from server.database import migrate, open_database, reading
from server.department import Department
from server.errors import HotlistRefusedError, SettingsInvalidError
from server.feed_files import move
from server.feed_report import ImportReport, report_of
from server.hotlists import Hotlists, Published
from server.pending import Pending
from server.tables import audit
from tests.departments import NOW, a_department, audited

ANNE, BERT = "console:anne", "console:bert"
_SECONDS = itertools.count()


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def entries(count: int) -> list[Entry]:
    return [
        Entry(
            f"entry-{number}",
            f"TST{number:04}",
            Jurisdiction("US-CA") if number % 2 else None,
            "Stolen vehicle",
            "stolen",
            Priority.HIGH,
            "white van",
            f"26-{number}",
            "test",
            NOW,
            NOW + timedelta(days=90),
        )
        for number in range(count)
    ]


def bring(department: Department, count: int, *, feed: str = "svs", actor: str = ANNE) -> ImportReport:
    return department.hotlists.replace_feed(feed, entries(count), actor=actor, now=later())


def later() -> datetime:
    """A time after all those given before: two imports never come at the same one."""
    return NOW + timedelta(seconds=next(_SECONDS))


def publish(department: Department, *, sequence: int | None = None, actor: str = ANNE) -> Published:
    # All that the feeds hold goes out, so that what came in can be compared with it.
    hotlists = Hotlists(department.engine, department.folder.hotlists, carried=EVERYTHING)
    return hotlists.publish(
        department.keys, expires_at=NOW + timedelta(days=7), actor=actor, now=later(), sequence=sequence
    )


def approve(department: Department, pending_id: int, actor: str = BERT) -> Published | None:
    return department.hotlists.approve(pending_id, department.keys, actor=actor, now=later())


def only_pending(department: Department) -> Pending:
    [pending] = department.hotlists.pending()
    return pending


def listed(department: Department) -> int:
    """How many entries the newest snapshot holds."""
    newest = department.hotlists.newest()
    assert newest is not None
    return newest.entries


def accepted(department: Department, sequence: int, before: int | None) -> Snapshot:
    """The snapshot as a unit takes it that holds the one *before* it; raises if it would not."""
    keys = [department.keys.hotlist.public_key()]

    def data(number: int) -> bytes:
        path = department.hotlists.path_of(number)
        assert path is not None
        return path.read_bytes()

    in_force = None if before is None else verify_header(data(before), keys)[0]
    return verify_snapshot(
        data(sequence), keys=keys, now=NOW + timedelta(hours=1), in_force=in_force, config=HotlistConfig()
    )


def test_what_is_published_is_what_a_unit_accepts_entry_by_entry(department: Department) -> None:
    bring(department, 20)
    published = publish(department)
    snapshot = accepted(department, published.sequence, None)
    assert sorted(snapshot.entries(), key=lambda entry: entry.entry_id) == sorted(
        entries(20), key=lambda entry: entry.entry_id
    )


def test_each_snapshot_has_a_higher_sequence(department: Department) -> None:
    bring(department, 4)
    assert [publish(department).sequence for _ in range(3)] == [1, 2, 3]
    assert publish(department, sequence=50).sequence == 50
    assert publish(department).sequence == 51
    with pytest.raises(HotlistRefusedError, match="was used"):
        publish(department, sequence=51)


def test_importing_a_feed_again_replaces_it_and_leaves_the_others(department: Department) -> None:
    bring(department, 10, feed="one")
    bring(department, 6, feed="two")
    bring(department, 8, feed="one")
    # Both feeds hold the same invented records, and one given twice is held once.
    assert publish(department).entries == 8


def test_an_import_that_loses_most_of_a_feed_waits_and_the_old_one_stays(department: Department) -> None:
    bring(department, 10)
    report = bring(department, 4)
    pending = only_pending(department)
    assert report.pending_id == pending.pending_id
    assert (pending.feed, pending.before, pending.after, pending.asked_by) == ("svs", 10, 4, ANNE)
    assert publish(department).entries == 10
    # Nor is it in the way of the next import, which takes its place.
    assert bring(department, 9).pending_id is None
    assert department.hotlists.pending() == []
    assert not list((department.folder.hotlists / "pending").iterdir())
    assert publish(department).entries == 9


def test_an_amber_alert_is_ended_by_one_person_but_not_a_whole_urgent_feed(department: Department) -> None:
    bring(department, 3, feed="urgent-amber")
    assert bring(department, 0, feed="urgent-amber").pending_id is None
    assert not list(department.hotlists.urgent_entries())
    bring(department, 60, feed="urgent-amber")
    assert bring(department, 5, feed="urgent-amber").pending_id is not None
    bring(department, 3, feed="amber")
    assert bring(department, 0, feed="amber").pending_id is not None


def test_an_import_that_loses_just_the_share_is_applied(department: Department) -> None:
    bring(department, 10)
    assert bring(department, 5).pending_id is None


def others(count: int, kept: int = 0) -> list[Entry]:
    """Return *count* entries, of which those from *kept* on are of plates that `entries` has not."""
    return [
        entry if number < kept else replace(entry, entry_id=f"other-{number}", pattern=f"OTH{number:04}")
        for number, entry in enumerate(entries(count))
    ]


def bring_others(department: Department, count: int, kept: int = 0, feed: str = "svs") -> ImportReport:
    return department.hotlists.replace_feed(feed, others(count, kept), actor=ANNE, now=later())


def detail_of(department: Department, action: str) -> dict[str, Any]:
    """Return what the newest entry of *action* in the access log says."""
    with reading(department.engine) as connection:
        found = connection.execute(
            select(audit.c.detail).where(audit.c.action == action).order_by(audit.c.sequence.desc()).limit(1)
        ).scalar()
    detail: dict[str, Any] = json.loads(found or "")
    return detail


def test_a_file_of_other_plates_is_no_less_a_loss_for_being_as_long(department: Department) -> None:
    bring(department, 100)
    report = bring_others(department, 100)
    pending = only_pending(department)
    assert (report.pending_id, report.gone, report.come) == (pending.pending_id, 100, 100)
    assert "(100 go, 100 come)" in pending.told
    assert "100 of the entries before go, 100 new ones come" in report.text()
    assert detail_of(department, "hotlist.hold")["asked"]["gone"] == 100
    assert publish(department).entries == 100
    assert accepted(department, 1, None).body.pattern(0).startswith("TST")


@pytest.mark.parametrize(("kept", "waits"), [(50, False), (49, True)])
def test_half_the_plates_must_stay_however_many_come(department: Department, kept: int, waits: bool) -> None:
    bring(department, 100)
    report = bring_others(department, 300, kept)
    assert (report.pending_id is not None) is waits
    assert (report.gone, report.come) == (100 - kept, 300 - kept)
    action = "hotlist.hold" if waits else "hotlist.import"
    detail = detail_of(department, action)
    detail = detail["asked"] if waits else detail
    assert (detail["gone"], detail["come"]) == (100 - kept, 300 - kept)


def test_entries_that_say_something_else_of_the_same_plates_stay(department: Department) -> None:
    bring(department, 10)
    again = [replace(each, entry_id=f"new-{each.entry_id}", reason="armed") for each in entries(10)]
    report = department.hotlists.replace_feed("svs", again, actor=ANNE, now=later())
    assert (report.pending_id, report.gone, report.come) == (None, 0, 0)


def test_many_entries_of_one_plate_are_not_kept_by_one(department: Department) -> None:
    same = [replace(each, pattern="TST0000", jurisdiction=None) for each in entries(10)]
    department.hotlists.replace_feed("svs", same, actor=ANNE, now=later())
    report = department.hotlists.replace_feed("svs", same[:4], actor=ANNE, now=later())
    assert report.pending_id is not None and report.gone == 6


def test_an_empty_feed_takes_anything_from_one_person(department: Department) -> None:
    assert bring(department, 0).pending_id is None
    assert bring_others(department, 10).pending_id is None


def test_a_feed_whose_file_is_gone_is_replaced_by_two_persons(department: Department) -> None:
    bring(department, 10)
    (department.folder.hotlists / "feeds" / "svs.jsonl").unlink()
    pending_id = bring(department, 10).pending_id
    assert pending_id is not None
    approve(department, pending_id)
    assert publish(department).entries == 10


def test_changes_that_exchange_most_plates_wait(department: Department) -> None:
    bring(department, 10)
    new = [replace(each, entry_id=f"entry-{n}") for n, each in enumerate(others(10))]
    report = change(department, *((each.entry_id, each) for each in new[:5]))
    assert (report.pending_id, report.gone, report.come) == (None, 5, 5)
    report = change(department, *((each.entry_id, each) for each in new[4:]))
    assert report.pending_id is None and report.gone == 5
    report = change(department, *((each.entry_id, each) for each in entries(6)))
    assert report.pending_id is not None and (report.gone, report.come) == (6, 6)


def test_an_approved_exchange_is_published_without_another_approval(department: Department) -> None:
    bring(department, 100)
    publish(department)
    pending_id = bring_others(department, 120).pending_id
    assert pending_id is not None
    approve(department, pending_id)
    assert department.hotlists.feeds()[0].approved_loss == 100
    assert publish(department).entries == 120
    detail = detail_of(department, "hotlist.publish")
    assert (detail["gone"], detail["come"], detail["approved_loss"]) == (100, 120, 100)


def test_an_exchange_in_steps_waits_at_publication(department: Department) -> None:
    bring(department, 100)
    publish(department)
    for kept in (60, 20):
        assert bring_others(department, 100, kept).pending_id is None
    with pytest.raises(HotlistRefusedError, match=r"from 100 to 100 entries \(80 go, 80 come\)"):
        publish(department)
    published = approve(department, only_pending(department).pending_id)
    assert published is not None and published.entries == 100


def test_share_is_the_departments_to_set(department: Department) -> None:
    strict = Hotlists(department.engine, department.folder.hotlists, least_share=0.95)
    strict.replace_feed("svs", entries(10), actor=ANNE, now=later())
    assert strict.replace_feed("svs", entries(9), actor=ANNE, now=later()).pending_id is not None


def test_another_person_applies_what_waits_and_need_not_approve_the_publication_too(
    department: Department,
) -> None:
    bring(department, 10)
    publish(department)
    report = bring(department, 4)
    assert report.pending_id is not None
    assert approve(department, report.pending_id) is None
    assert department.hotlists.pending() == []
    [feed] = department.hotlists.feeds()
    assert (feed.entries, feed.imported_by, feed.approved_loss) == (4, ANNE, 6)
    assert publish(department).entries == 4
    # A unit takes it in the place of the longer one, and so does one that missed a snapshot.
    assert accepted(department, 2, 1).header.count == 4
    publish(department)
    assert accepted(department, 3, 1).header.count == 4
    [feed] = department.hotlists.feeds()
    assert feed.approved_loss == 0


@pytest.mark.parametrize("same", [ANNE, "anne", "console:Anne", "ANNE "])
def test_the_same_person_cannot_approve_under_any_of_their_names(department: Department, same: str) -> None:
    bring(department, 10)
    pending_id = bring(department, 4).pending_id
    assert pending_id is not None
    with pytest.raises(HotlistRefusedError, match="another person"):
        approve(department, pending_id, same)
    assert audited(department)[-1] == (same, "hotlist.approve", "refused")
    assert only_pending(department).pending_id == pending_id
    assert department.hotlists.feeds()[0].entries == 10


def test_what_is_rejected_is_gone(department: Department) -> None:
    bring(department, 10)
    pending_id = bring(department, 4).pending_id
    assert pending_id is not None
    department.hotlists.reject(pending_id, actor=ANNE, now=later())
    assert audited(department)[-1] == (ANNE, "hotlist.reject", "success")
    assert department.hotlists.pending() == []
    assert not list((department.folder.hotlists / "pending").iterdir())
    for decide in (
        lambda: approve(department, pending_id),
        lambda: department.hotlists.reject(pending_id, actor=BERT, now=later()),
    ):
        with pytest.raises(HotlistRefusedError, match="nothing is pending under"):
            decide()


def test_a_number_is_not_given_twice(department: Department) -> None:
    bring(department, 10)
    first = bring(department, 4).pending_id
    assert first is not None
    department.hotlists.reject(first, actor=BERT, now=later())
    assert bring(department, 3).pending_id == first + 1


def test_what_waits_without_its_file_cannot_be_approved(department: Department) -> None:
    bring(department, 10)
    pending_id = bring(department, 4).pending_id
    assert pending_id is not None
    (department.folder.hotlists / "pending" / f"{pending_id}.jsonl").unlink()
    with pytest.raises(HotlistRefusedError, match="file is gone"):
        approve(department, pending_id)
    assert publish(department).entries == 10


def test_an_approval_that_was_interrupted_after_the_move_can_be_given_again(
    department: Department,
) -> None:
    bring(department, 10)
    pending_id = bring(department, 4).pending_id
    assert pending_id is not None
    folder = department.folder.hotlists
    move(folder / "pending" / f"{pending_id}.jsonl", folder / "feeds" / "svs.jsonl")
    approve(department, pending_id)
    assert publish(department).entries == 4
    assert [file.name for file in (folder / "feeds").iterdir()] == ["svs.jsonl"]


def test_everything_that_is_done_to_a_list_is_an_audit_entry(department: Department) -> None:
    bring(department, 10)
    bring(department, 4)
    second = bring(department, 3).pending_id
    assert second is not None
    approve(department, second)
    publish(department, actor=BERT)
    assert audited(department)[-6:] == [
        (ANNE, "hotlist.import", "success"),
        (ANNE, "hotlist.hold", "success"),
        (ANNE, "hotlist.supersede", "success"),
        (ANNE, "hotlist.hold", "success"),
        (BERT, "hotlist.approve", "success"),
        (BERT, "hotlist.publish", "success"),
    ]


def in_steps(department: Department) -> None:
    """Lose most of a published list in imports that each are small enough."""
    bring(department, 100)
    publish(department)
    for count in (60, 36, 22):
        assert bring(department, count).pending_id is None


def test_a_publication_that_loses_most_without_an_approved_import_waits(department: Department) -> None:
    in_steps(department)
    with pytest.raises(HotlistRefusedError, match="from 100 to 22"):
        publish(department)
    pending = only_pending(department)
    assert (pending.feed, pending.before, pending.after) == (None, 100, 22)
    with pytest.raises(HotlistRefusedError, match="another person"):
        approve(department, pending.pending_id, ANNE)
    assert listed(department) == 100
    published = approve(department, pending.pending_id)
    assert published is not None and published.entries == 22
    assert department.hotlists.pending() == []
    assert accepted(department, published.sequence, 1).header.count == 22


def test_asking_again_or_importing_supersedes_a_publication_that_waits(department: Department) -> None:
    in_steps(department)
    for _ in range(2):
        with pytest.raises(HotlistRefusedError, match="approve"):
            publish(department)
    assert only_pending(department).pending_id == 2
    bring(department, 90)
    assert department.hotlists.pending() == []
    assert publish(department).entries == 90


def test_a_publication_is_not_approved_once_it_would_have_expired(department: Department) -> None:
    in_steps(department)
    with pytest.raises(HotlistRefusedError):
        publish(department)
    with pytest.raises(HotlistRefusedError, match="expired"):
        department.hotlists.approve(
            only_pending(department).pending_id, department.keys, actor=BERT, now=NOW + timedelta(days=8)
        )


def test_an_approved_loss_that_came_back_covers_no_later_one(department: Department) -> None:
    bring(department, 100)
    publish(department)
    pending_id = bring(department, 40).pending_id
    assert pending_id is not None
    approve(department, pending_id)
    for count in (100, 60, 40):
        assert bring(department, count).pending_id is None
    with pytest.raises(HotlistRefusedError, match="from 100 to 40"):
        publish(department)


def test_an_approved_loss_of_one_feed_does_not_cover_that_of_another(department: Department) -> None:
    numbers = iter(range(10**6))

    def of_its_own(feed: str, count: int) -> ImportReport:
        rows = [replace(entry, entry_id=f"{feed}-{next(numbers)}") for entry in entries(count)]
        return department.hotlists.replace_feed(feed, rows, actor=ANNE, now=later())

    of_its_own("small", 10)
    of_its_own("large", 100)
    publish(department)
    pending_id = of_its_own("small", 1).pending_id
    assert pending_id is not None
    approve(department, pending_id)
    for count in (60, 40):
        of_its_own("large", count)
    with pytest.raises(HotlistRefusedError, match="from 110 to 41"):
        publish(department)


def test_a_record_given_twice_is_held_once_and_counted(department: Department) -> None:
    report = department.hotlists.replace_feed("svs", entries(3) * 2, actor=ANNE, now=NOW)
    assert (report.after, report.taken, report.duplicates) == (3, 3, 3)
    assert publish(department).entries == 3


def test_many_records_are_told_apart(department: Department) -> None:
    report = bring(department, 9999)
    assert (report.after, report.duplicates) == (9999, 0)


def change(department: Department, *changes: tuple[str, Entry | None], feed: str = "svs") -> ImportReport:
    numbered = [Change(line, *each) for line, each in enumerate(changes, 2)]
    return department.hotlists.change_feed(feed, numbered, actor=ANNE, now=later())


def test_changes_add_replace_and_delete_and_leave_the_rest(department: Department) -> None:
    bring(department, 10)
    new = replace(entries(1)[0], entry_id="new", pattern="TSTNEW")
    moved = replace(entries(3)[2], reason="armed")
    report = change(
        department,
        ("new", new),
        ("entry-2", moved),
        ("entry-3", None),
        ("entry-4", entries(5)[4]),
        ("nowhere", None),
    )
    assert (report.before, report.after, report.taken, report.replaced) == (10, 10, 2, 1)
    assert (report.deleted, report.duplicates) == (1, 1)
    [refused] = report.refused
    assert (refused.count, refused.lines) == (1, (6,)) and "not listed" in refused.why
    snapshot = accepted(department, publish(department).sequence, None)
    found = {entry.entry_id: entry for entry in snapshot.entries()}
    assert set(found) == {f"entry-{n}" for n in range(10)} - {"entry-3"} | {"new"}
    assert found["entry-2"] == moved and found["new"] == new


def test_later_change_to_a_record_counts(department: Department) -> None:
    bring(department, 4)
    first, second = (replace(entries(1)[0], entry_id="new", reason=text) for text in ("a", "b"))
    report = change(department, ("new", first), ("new", second), ("new", second))
    assert (report.after, report.taken, report.duplicates) == (5, 1, 1)
    report = change(department, ("other", replace(first, entry_id="other")), ("other", None), ("new", None))
    assert (report.after, report.taken, report.deleted, report.refused) == (4, 0, 1, ())


def test_changes_to_a_feed_that_is_new_begin_it(department: Department) -> None:
    assert change(department, ("entry-0", entries(1)[0])).after == 1


def test_changes_that_delete_most_wait_and_hold_up_the_next_ones(department: Department) -> None:
    bring(department, 4)
    report = change(department, *((f"entry-{number}", None) for number in range(3)))
    assert report.pending_id is not None
    with pytest.raises(HotlistRefusedError, match="approve or reject it first"):
        change(department, ("entry-0", entries(1)[0]))
    approve(department, report.pending_id)
    assert change(department, ("entry-0", entries(1)[0])).after == 2


def test_changes_to_a_damaged_feed_are_refused(department: Department) -> None:
    bring(department, 3)
    path = department.folder.hotlists / "feeds" / "svs.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(HotlistRefusedError, match="line 3 is damaged") as error:
        change(department, ("entry-0", None))
    assert "TST" not in str(error.value)
    with pytest.raises(HotlistRefusedError, match="line 3 is damaged"):
        publish(department)
    path.unlink()
    with pytest.raises(HotlistRefusedError, match="import feed svs again"):
        publish(department)


def test_more_than_a_feed_may_hold_is_refused(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_files, "MAX_FEED_ENTRIES", 5)
    monkeypatch.setattr(feed_files, "MAX_CHANGES", 2)
    with pytest.raises(HotlistRefusedError, match="more than 5 entries"):
        bring(department, 6)
    with pytest.raises(HotlistRefusedError, match="more than 2 changes"):
        change(department, *((f"entry-{number}", None) for number in range(3)))


def test_an_import_overtaken_by_another_is_refused(department: Department) -> None:
    bring(department, 3)

    def slow() -> Iterator[Entry]:
        yield from entries(3)
        bring(department, 4)

    with pytest.raises(HotlistRefusedError, match="meanwhile"):
        department.hotlists.replace_feed("svs", slow(), actor=BERT, now=later())
    assert department.hotlists.feeds()[0].entries == 4


def test_a_feed_that_breaks_off_leaves_the_old_one(department: Department) -> None:
    def breaking() -> Iterator[Entry]:
        yield from entries(30)
        raise ImportRefusedError("the file is cut short")

    bring(department, 3)
    with pytest.raises(ImportRefusedError):
        department.hotlists.replace_feed("svs", breaking(), actor=ANNE, now=NOW)
    assert audited(department)[-1] == (ANNE, "hotlist.import", "refused")
    assert not list((department.folder.hotlists / "incoming").iterdir())
    assert publish(department).entries == 3
    assert [file.name for file in (department.folder.hotlists / "feeds").iterdir()] == ["svs.jsonl"]


def test_nothing_is_published_before_a_feed_was_imported(department: Department) -> None:
    with pytest.raises(HotlistRefusedError, match="hotlist import"):
        publish(department)
    assert department.hotlists.newest() is None


@pytest.mark.parametrize("feed", ["", "../x", "A", "a b", "x" * 65])
def test_a_feeds_name_cannot_lead_elsewhere(department: Department, feed: str) -> None:
    with pytest.raises(HotlistRefusedError, match="feed"):
        bring(department, 1, feed=feed)


class Console:
    """The command line, used by one person."""

    def __init__(self, department: Department, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = ["--department", str(department.folder.root)]
        self._monkeypatch = monkeypatch

    def __call__(self, actor: str, *arguments: str | Path) -> str:
        """Give a command as *actor*, and return what it printed."""
        self._monkeypatch.setattr(hotlist_commands, "console_person", lambda: actor)
        result = CliRunner().invoke(
            app, ["hotlist", *map(str, arguments), *self._root], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def console(department: Department, monkeypatch: pytest.MonkeyPatch) -> Console:
    return Console(department, monkeypatch)


def test_import_and_publish_from_the_command_line_with_mapped_columns(
    department: Department, console: Console, tmp_path: Path
) -> None:
    file = tmp_path / "Stolen Vehicles.csv"
    file.write_text("LIC,ST\n8TST012,CA\n!!!,CA\n7TST99?,NV\n8TST012,CA\n")
    mapping = ["--map", "plate=LIC", "--map", "state=ST", "--list", "Stolen"]
    printed = console(ANNE, "import", file, *mapping)
    assert "feed stolen-vehicles: 2 entries, a new feed" in printed
    assert "2 entries taken, 1 rows refused, 1 duplicates" in printed
    assert "(line 3)" in printed and "TST" not in printed
    assert hashlib.sha256(file.read_bytes()).hexdigest() in printed
    assert "snapshot 1: 2 entries" in console(ANNE, "publish", "--expires-days", "2")
    newest = department.hotlists.newest()
    assert newest is not None and newest.expires_at > datetime.now(UTC) + timedelta(days=1)
    assert [action for _, action, _ in audited(department)][-2:] == ["hotlist.import", "hotlist.publish"]


def test_report_of_an_import_is_in_the_access_log(
    department: Department, console: Console, tmp_path: Path
) -> None:
    file = tmp_path / "VEHEXTRT.txt"
    records = [
        f"{code}{number:09}CA019000020190515{f'7TST{number:03}':10}CA2026PC2012TOYTCAM4DRED"
        for number, code in enumerate("VVXXZ")
    ]
    file.write_text("\n".join(["NCIC LPR EXTRACT", *records, records[0], ""]))
    printed = console(ANNE, "import", file, "--format", "ncic", "--feed", "ncic")
    assert "switched off X: 2" in printed and "refused 1: its list code is unknown (line 6)" in printed
    with reading(department.engine) as connection:
        detail = connection.execute(
            select(audit.c.detail).order_by(audit.c.sequence.desc()).limit(1)
        ).scalar()
    report = report_of(json.loads(detail or ""))
    assert (report.feed, report.source, report.file, report.imported_by) == (
        "ncic",
        "ncic",
        "VEHEXTRT.txt",
        ANNE,
    )
    assert report.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (report.taken, report.duplicates, report.switched_off) == (2, 1, {"X": 2})
    assert "TST" not in (detail or "")
    [state] = department.hotlists.feeds()
    assert (state.feed, state.source, state.entries, state.imported_by) == ("ncic", "ncic", 2, ANNE)
    assert "4 entries" in console(
        ANNE, "import", file, "--format", "ncic", "--feed", "ncic", "--codes", "all"
    )


def test_two_persons_at_the_command_line(department: Department, console: Console, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("plate,list\n" + "".join(f"7TST{number:03},Stolen\n" for number in range(10)))
    console(ANNE, "import", file)
    file.write_text("plate,list\n7TST001,Stolen\n")
    with pytest.raises(HotlistRefusedError, match="`alpr-server hotlist approve 1`"):
        console(ANNE, "import", file)
    printed = console(BERT, "pending")
    assert "1: the import of feed list, 10 to 1 entries, asked for by console:anne" in printed
    assert "1 entries taken" in printed and "TST" not in printed
    with pytest.raises(HotlistRefusedError, match="another person"):
        console(ANNE, "approve", "1")
    assert "1 is approved" in console(BERT, "approve", "1")
    assert "nothing is pending" in console(BERT, "pending")
    assert "snapshot 1: 1 entries" in console(ANNE, "publish")


def test_rejected_at_the_command_line(department: Department, console: Console, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("plate,list\n7TST001,Stolen\n7TST002,Stolen\n7TST003,Stolen\n")
    console(ANNE, "import", file)
    file.write_text("plate,list,do\n7TST001,Stolen,delete\n7TST002,Stolen,delete\n")
    with pytest.raises(HotlistRefusedError, match="from 3 to 1"):
        console(ANNE, "import", file, "--map", "action=do")
    assert "was not applied" in console(BERT, "reject", "1")
    assert department.hotlists.feeds()[0].entries == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--format", "ohio"], "--format"),
        (["--format", "ncic", "--map", "plate=x"], "--map"),
        (["--codes", "Z"], "--codes"),
        (["--map", "plate"], "--map"),
        (["--priority", "loud"], "--priority"),
        (["--timezone", "Mars"], "--timezone"),
    ],
)
def test_wrong_option_is_named(console: Console, tmp_path: Path, arguments: list[str], reason: str) -> None:
    with pytest.raises(SettingsInvalidError, match=reason):
        console(ANNE, "import", tmp_path / "list.csv", *arguments)
    with pytest.raises(SettingsInvalidError, match="cannot be imported"):
        console(ANNE, "import", tmp_path / "list.csv")


def test_who_one_is_at_the_console_is_not_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = actors.console_person()
    for variable in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    assert actors.console_person() == here
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "54321")
    assert actors.console_person() == "console:uid 54321"
    monkeypatch.setattr(os, "getuid", lambda: 54320)
    assert actors.console_person() == "console:uid 54320"


def test_an_older_database_gets_what_it_lacks(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "old.sqlite")
    migrations = Path(feed_files.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(migrations))
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(
            text("INSERT INTO hotlist_feeds (feed, entries, imported_at) VALUES ('svs', 3, :at)"),
            {"at": "2026-03-01 00:00:00.000000"},
        )
    migrate(engine)
    hotlists = Hotlists(engine, tmp_path / "hotlists")
    [state] = hotlists.feeds()
    assert (state.entries, state.source, state.imported_by, state.approved_loss) == (3, "", "", 0)
    assert hotlists.replace_feed("svs", entries(1), actor=ANNE, now=NOW).pending_id == 1
    engine.dispose()
