"""Folders that are watched: each file once and whole, a refused one set apart, nothing lost."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.department import Department
from server.errors import SettingsInvalidError
from server.feed_journal import KEPT, arrivals, note
from server.feed_journal import Arrival as A
from server.feed_settings import WatchedFeed
from server.feed_watch import SETTLED, Watching, refused_files, take_waiting, waiting_files
from server.import_rules import ImportOptions
from server.settings import read_settings
from tests.departments import a_department, audited

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HEADER = "plate,state,list,reason\n"


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drop"
    made.mkdir()
    return made


def put(folder: Path, name: str, *plates: str, age: timedelta = timedelta(minutes=5), text: str = "") -> Path:
    path = folder / name
    path.write_text(text or HEADER + "".join(f"{plate},CA,Stolen vehicle,taken\n" for plate in plates))
    then = (NOW - age).timestamp()
    os.utime(path, (then, then))
    return path


def watched(department: Department, *feeds: WatchedFeed) -> Department:
    return replace(department, settings=replace(department.settings, feed=feeds))


def entries_of(department: Department, feed: str) -> int:
    return next((each.entries for each in department.hotlists.feeds() if each.feed == feed), 0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_taken_once_and_removed_and_its_import_is_in_the_log(
    department: Department, folder: Path
) -> None:
    put(folder, "a.csv", "TST001", "TST002")
    watching = Watching(watched(department, WatchedFeed("svs", folder)))
    [report] = watching.step(NOW)
    assert (report.after, report.imported_by) == (2, "server")
    assert names(folder) == [] and entries_of(department, "svs") == 2
    assert ("server", "hotlist.import", "success") in audited(department)
    assert watching.step(NOW + timedelta(hours=1)) == []
    assert department.hotlists.newest() is None


def test_files_are_taken_in_the_order_in_which_they_were_written(
    department: Department, folder: Path
) -> None:
    put(folder, "a.csv", "TST001", "TST002", age=timedelta(minutes=2))
    put(folder, "b.csv", "TST001", age=timedelta(minutes=9))
    take_waiting(department, WatchedFeed("svs", folder), actor="server", now=NOW)
    assert entries_of(department, "svs") == 2


def test_what_is_still_written_hidden_or_a_link_is_left_alone(folder: Path, tmp_path: Path) -> None:
    put(folder, ".hidden.csv", "TST001")
    put(folder, "a.csv.part", "TST001")
    put(folder, "b.tmp", "TST001")
    put(folder, "young.csv", "TST001", age=SETTLED - timedelta(seconds=1))
    (folder / "sub").mkdir()
    (folder / "link.csv").symlink_to(put(tmp_path, "secret.csv", "TST001"))
    assert waiting_files(folder, NOW) == []
    assert [path.name for path in waiting_files(folder, NOW + timedelta(seconds=1))] == ["young.csv"]


def test_a_file_that_turns_into_a_link_is_not_followed(
    department: Department, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = folder / "a.csv"

    def swapped(*_: object) -> list[Path]:
        link.symlink_to(put(tmp_path, "secret.csv", "TST001"))
        return [link]

    monkeypatch.setattr("server.feed_watch.waiting_files", swapped)
    with pytest.raises(OSError, match="symbolic"):
        take_waiting(department, WatchedFeed("svs", folder), actor="server", now=NOW)
    assert entries_of(department, "svs") == 0


def test_a_refused_file_is_set_apart_with_its_reason_and_the_next_one_is_taken(
    department: Department, folder: Path
) -> None:
    put(folder, "a.csv", text="\x00rubbish", age=timedelta(minutes=9))
    put(folder, "b.csv", "TST001")
    take_waiting(department, WatchedFeed("svs", folder), actor="server", now=NOW)
    assert names(folder) == ["refused"] and refused_files(folder) == 1
    assert names(folder / "refused")[0].endswith("-a.csv")
    assert ("server", "hotlist.import", "refused") in audited(department)
    newest, older = arrivals(department.folder.hotlists, "svs")
    assert newest.report is not None and older.report is None and older.why
    assert entries_of(department, "svs") == 1


def test_a_file_that_loses_most_of_the_feed_waits_and_is_not_published(
    department: Department, folder: Path
) -> None:
    feed = WatchedFeed("svs", folder, publish=True)
    put(folder, "a.csv", *(f"TST{number:03}" for number in range(10)))
    take_waiting(department, feed, actor="server", now=NOW)
    put(folder, "b.csv", "TST001")
    [report] = take_waiting(department, feed, actor="server", now=NOW + timedelta(minutes=1))
    assert report.pending_id is not None and entries_of(department, "svs") == 10
    newest = department.hotlists.newest()
    assert newest is not None and (newest.sequence, newest.entries) == (1, 10)


def test_an_urgent_feed_is_published_on_the_urgent_list(department: Department, folder: Path) -> None:
    put(folder, "a.csv", "TST001")
    feed = WatchedFeed("urgent-amber", folder, publish=True)
    take_waiting(department, feed, actor="server", now=NOW)
    header = department.publications.urgent(department.keys)
    assert header is not None and header.count == 1 and department.hotlists.newest() is None


def test_a_folder_is_looked_into_when_its_time_has_come_and_one_that_is_gone_stops_no_other(
    department: Department, folder: Path, tmp_path: Path
) -> None:
    gone = WatchedFeed("gone", tmp_path / "nowhere")
    watching = Watching(watched(department, gone, WatchedFeed("svs", folder, every_min=15)))
    assert watching.step(NOW) == []
    put(folder, "a.csv", "TST001")
    assert watching.step(NOW + timedelta(minutes=14)) == []
    assert len(watching.step(NOW + timedelta(minutes=15))) == 1


def test_the_last_imports_alone_are_kept_and_a_damaged_journal_shows_none(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        note(tmp_path, "svs", A(NOW, "anne", f"{number}.csv", ImportOptions().told(), None, "no"))
    kept = arrivals(tmp_path, "svs")
    assert (len(kept), kept[0].file) == (KEPT, f"{KEPT + 2}.csv")
    (tmp_path / "reports" / "svs.json").write_bytes(b"[{}")
    assert arrivals(tmp_path, "svs") == []


def settings(department: Department, *lines: str) -> Path:
    text = department.folder.settings.read_text().replace("hidden_from = {}\n", "")
    department.folder.settings.write_text(text + "\n" + "\n".join(lines) + "\n")
    return department.folder.settings


def test_a_watched_feed_is_read_from_the_settings(department: Department) -> None:
    path = settings(
        department,
        *("[[feed]]", 'name = "county"', 'folder = "/srv/lists/county"', 'map = { plate = "LIC" }'),
        *('list = "Stolen"', "every_min = 60", "publish = true"),
    )
    [feed] = read_settings(path).feed
    assert (feed.name, feed.every_min, feed.publish) == ("county", 60, True)
    assert feed.how.rules("x").columns == {"plate": "LIC"} and feed.how.list_name == "Stolen"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['name = "A B"', 'folder = "/x"'], "name"),
        (['name = "local"', 'folder = "/x"'], "name"),
        (['name = "a"', 'folder = "x"'], "whole path"),
        (['name = "a"', 'folder = "/x"', 'format = "xls"'], "format"),
        (['name = "a"', 'folder = "/x"', "every_min = 0"], "every_min"),
        (['name = "a"', 'folder = "/x"', 'publish = "yes"'], "publish"),
        (['name = "a"', 'folder = "/x"', 'maps = "x"'], "no key 'maps'"),
        (['name = "a"', 'folder = "/x"', 'map = { birth = "DOB" }'], "no such field"),
        (['name = "a"', 'folder = "/x"', "list = 3"], "must be text"),
        (['name = "a"', 'folder = "/x"', "[[feed]]", 'name = "b"', 'folder = "/x"'], "same folder"),
        (['name = "a"', 'folder = "/x"', "[[feed]]", 'name = "a"', 'folder = "/y"'], "same name"),
    ],
)
def test_a_watched_feed_that_cannot_be_one_stops_the_server_with_its_key(
    department: Department, lines: list[str], said: str
) -> None:
    with pytest.raises(SettingsInvalidError, match=said):
        read_settings(settings(department, "[[feed]]", *lines))


def test_feed_that_is_no_list_of_sections_is_refused(department: Department) -> None:
    with pytest.raises(SettingsInvalidError, match="write"):
        read_settings(settings(department, "[feed]", 'name = "a"'))
