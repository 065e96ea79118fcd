"""Feeds in, snapshots out: nothing shrinks unseen, no sequence is used twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.snapshot import verify_snapshot
from recognizer.plate import Jurisdiction
from server.cli import app
from server.department import Department
from server.errors import HotlistRefusedError
from server.hotlists import Published
from tests.departments import NOW, a_department, audited


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


def bring(department: Department, count: int, *, approve_shrink: bool = False, feed: str = "svs") -> int:
    return department.hotlists.replace_feed(
        feed, entries(count), actor="console:test", now=NOW, approve_shrink=approve_shrink
    )


def publish(
    department: Department, *, approve_shrink: bool = False, sequence: int | None = None
) -> Published:
    return department.hotlists.publish(
        department.keys,
        expires_at=NOW + timedelta(days=7),
        actor="console:test",
        now=NOW,
        approve_shrink=approve_shrink,
        sequence=sequence,
    )


def test_what_is_published_is_what_a_unit_accepts_entry_by_entry(department: Department) -> None:
    bring(department, 20)
    published = publish(department)
    path = department.hotlists.path_of(published.sequence)
    assert path is not None
    snapshot = verify_snapshot(
        path.read_bytes(),
        keys=[department.keys.hotlist.public_key()],
        now=NOW,
        in_force=None,
        config=HotlistConfig(),
    )
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


def test_a_feed_that_lost_most_of_its_entries_is_refused_and_the_old_one_stays(
    department: Department,
) -> None:
    bring(department, 10)
    with pytest.raises(HotlistRefusedError, match="from 10 to 4"):
        bring(department, 4)
    assert publish(department).entries == 10
    assert bring(department, 4, approve_shrink=True) == 4


def test_a_list_that_lost_most_of_its_entries_is_published_only_with_approval(
    department: Department,
) -> None:
    bring(department, 10)
    publish(department)
    bring(department, 4, approve_shrink=True)
    with pytest.raises(HotlistRefusedError, match="from 10 to 4"):
        publish(department)
    assert publish(department, approve_shrink=True).sequence == 2


def test_a_feed_that_breaks_off_leaves_the_old_one(department: Department) -> None:
    def breaking() -> Iterator[Entry]:
        yield from entries(30)
        raise ImportRefusedError("the file is cut short")

    bring(department, 3)
    with pytest.raises(ImportRefusedError):
        department.hotlists.replace_feed("svs", breaking(), actor="console:test", now=NOW)
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


def test_import_and_publish_from_the_command_line_with_mapped_columns(
    department: Department, tmp_path: Path
) -> None:
    file = tmp_path / "Stolen Vehicles.csv"
    file.write_text("LIC,ST\n8ABC012,CA\n!!!,CA\n7XYZ99?,NV\n")
    root = ["--department", str(department.folder.root)]
    mapping = ["--map", "plate=LIC", "--map", "state=ST", "--list", "Stolen"]
    imported = CliRunner().invoke(app, ["hotlist", "import", str(file), *mapping, *root])
    assert imported.exit_code == 0, imported.output
    assert "2 entries taken, 1 rows refused" in imported.output
    assert "line 3" in imported.output and "8ABC012" not in imported.output
    published = CliRunner().invoke(app, ["hotlist", "publish", "--expires-days", "2", *root])
    assert "snapshot 1: 2 entries" in published.output
    newest = department.hotlists.newest()
    assert newest is not None and newest.expires_at > datetime.now(UTC) + timedelta(days=1)
    assert [action for _, action, _ in audited(department)][-2:] == ["hotlist.import", "hotlist.publish"]
