"""What the pages on lists do can be done at the console as well."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from server.department import Department, open_department
from server.errors import HotlistRefusedError, SettingsInvalidError
from tests.departments import a_department
from tests.releases import newest_entries

CSV = "plate,state,list,reason\n8ABC012,CA,Stolen vehicle,taken\n"


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def run(department: Department, *words: str, typed: str = "") -> Result:
    arguments = ["hotlist", *words, "--department", str(department.folder.root)]
    result = CliRunner().invoke(app, arguments, input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_feeds_are_told_with_what_their_last_file_brought(department: Department, tmp_path: Path) -> None:
    assert "no feed was imported" in run(department, "feeds").stdout
    (tmp_path / "svs.csv").write_text(CSV)
    run(department, "import", str(tmp_path / "svs.csv"))
    told = run(department, "feeds").stdout
    assert "svs: 1 entries" in told and "on the list Stolen vehicle: 1" in told and "8ABC012" not in told


def test_a_plate_is_asked_for_and_the_search_recorded_with_its_purpose(
    department: Department, tmp_path: Path
) -> None:
    (tmp_path / "svs.csv").write_text(CSV)
    run(department, "import", str(tmp_path / "svs.csv"))
    told = run(department, "find", "--purpose", "investigation", "--case", "26-1", typed="8abc012\n").stdout
    assert "svs  8ABC012  US-CA  Stolen vehicle" in told
    assert newest_entries(department, 1)[0][1] == "hotlists.find"
    assert (
        "no feed lists it" in run(department, "find", "--purpose", "hit-verification", typed="9ZZZ\n").stdout
    )
    with pytest.raises(SettingsInvalidError, match="--purpose"):
        run(department, "find", "--purpose", "curiosity", typed="8abc012\n")


def test_an_alert_is_put_out_and_ended(department: Department) -> None:
    told = run(department, "urgent", "add", "--reason", "child taken", "--state", "CA", typed="9amb001\n")
    entry = told.stdout.split()[-1]
    header = department.publications.urgent(department.keys)
    assert header is not None and header.count == 1
    assert entry in run(department, "urgent", "list").stdout
    assert "ended" in run(department, "urgent", "end", "urgent-by-hand", entry).stdout
    assert "nothing stands" in run(department, "urgent", "list").stdout
    with pytest.raises(HotlistRefusedError, match="not put out"):
        run(department, "urgent", "add", "--reason", "x", typed="A*\n")


def test_what_waits_in_watched_folders_is_taken_now(department: Department, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalidError, match="no folder is watched"):
        run(department, "take")
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "a.csv").write_text(CSV)
    then = (datetime.now(UTC) - timedelta(minutes=5)).timestamp()
    os.utime(folder / "a.csv", (then, then))
    path = department.folder.settings
    path.write_text(path.read_text() + f'\n[[feed]]\nname = "svs"\nfolder = "{folder}"\n')
    assert "svs: 1 imported, 0 set apart" in run(department, "take").stdout
    opened = open_department(department.folder.root)
    assert [each.entries for each in opened.hotlists.feeds()] == [1]
    opened.engine.dispose()
