"""The officer's commands on local entries, and a pipeline that takes up what they do."""

from pathlib import Path

import pytest

from edge.cli import main
from edge.lists import Lists
from hotlist_cache.local import LocalBook
from hotlist_cache.together import ListsInForce
from tests.hotlists import CONFIG, NOW, a_read, a_snapshot, an_entry
from tests.keys import make_keys


@pytest.fixture
def config(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys")
    path = tmp_path / "config.toml"
    path.write_text(
        f'[unit]\nid = "unit-01"\nstate_dir = "{tmp_path}/state"\nrun_dir = "{tmp_path}/run"\n'
        f'keys_dir = "{tmp_path}/keys"\n'
    )
    (tmp_path / "state").mkdir()
    return path


def run(config: Path, *arguments: str) -> int:
    return main(["hotlist", *arguments, "--config", str(config)])


def add(config: Path, plate: str = "7ABC123") -> int:
    given = ("--officer", "Officer 12", "--purpose", "Burglary", "--case", "26-0001", "--plate", plate)
    return run(config, "add", *given)


def test_what_is_added_is_listed_and_what_is_removed_is_not(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(config) == 0
    entry_id = capsys.readouterr().out.split()[1].rstrip(",")
    assert run(config, "list") == 0
    shown = capsys.readouterr().out
    assert "7ABC123" in shown and "Officer 12" in shown
    assert run(config, "remove", entry_id, "--officer", "Officer 12") == 0
    run(config, "list")
    assert "7ABC123" not in capsys.readouterr().out


def test_suppression_goes_through_two_persons(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--officer", "Officer 12", "--reason", "another car", "--plate", "7ABC122")
    assert run(config, "suppress", "entry-1", *asked) == 0
    suppression_id = capsys.readouterr().out.split()[2].rstrip(":")
    assert run(config, "approve", suppression_id, "--supervisor", "Officer 12") == 1
    assert "somebody else" in capsys.readouterr().err
    assert run(config, "approve", suppression_id, "--supervisor", "Sergeant 3") == 0
    run(config, "list")
    assert "Sergeant 3" in capsys.readouterr().out
    assert run(config, "lift", suppression_id, "--officer", "Officer 12") == 0


def test_what_cannot_be_kept_is_refused_in_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert add(config, "A*") == 1
    assert capsys.readouterr().err == (
        "alpr-edge: local entry: the partial plate has fewer than 3 known characters\n"
    )


def test_running_pipeline_takes_up_what_another_process_adds(config: Path, tmp_path: Path) -> None:
    book = LocalBook(tmp_path / "state" / "hotlist", storage_key=bytes(range(32)), new_id=lambda: "x")
    in_force: list[ListsInForce] = []
    lists = Lists(book, CONFIG, lambda: "hit", in_force.append)
    lists.use(a_snapshot(an_entry("1XYZ999")), None)
    lists.look()
    assert not in_force[-1].match(a_read("7ABC123"), NOW)
    add(config)
    lists.look()
    now = book.entries[0].added_at
    assert in_force[-1].match(a_read("7ABC123", utc=now), now)
    count = len(in_force)
    lists.look()
    assert len(in_force) == count


def test_past_reads_are_searched_for_what_an_officer_adds_and_for_nothing_else(
    config: Path, tmp_path: Path
) -> None:
    book = LocalBook(tmp_path / "state" / "hotlist", storage_key=bytes(range(32)), new_id=lambda: "x")
    asked: list[list[str]] = []
    lists = Lists(
        book, CONFIG, lambda: "hit", lambda _: None, listed_anew=lambda plates: asked.append([*plates])
    )
    add(config)
    lists.look()
    add(config, "8XYZ987")
    lists.look()
    assert asked == [["7ABC123"], ["8XYZ987"]]


def test_damaged_book_leaves_the_departments_list_in_force_and_is_said(config: Path, tmp_path: Path) -> None:
    add(config)
    book = LocalBook(tmp_path / "state" / "hotlist", storage_key=bytes(range(32)), new_id=lambda: "x")
    book.path.write_bytes(b"rubbish")
    in_force: list[ListsInForce] = []
    lists = Lists(book, CONFIG, lambda: "hit", in_force.append)
    lists.use(a_snapshot(an_entry("1XYZ999")), None)
    lists.look()
    assert "set aside" in lists.last_error
    assert in_force[-1].match(a_read("1XYZ999"), NOW)
