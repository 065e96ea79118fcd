"""The comparison of ways to hold a list counts what it says, on a list and reads whose outcome is known."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.bench_holding import OUR_PATTERNS, OURS, PATTERNS, PLATES, Asked, variants
from edge.bench_hotlist import PLAIN, PUBLIC_KEY, READS, WIRE, made_reads, publish
from edge.bench_rivals import Row, bench_rivals, measure, tables
from hotlist_cache.entry import Entry, Priority
from recognizer.plate import Plate
from tests.hotlists import KEY

LISTED = ("7ABC123", "4KLM568", "XRT9042", "2HGF777")
PARTIAL = ("7AB?12?", "4KLM*", "*777", "9?9?9?9")
READ_OF: dict[str, list[tuple[str, tuple[int, str] | None]]] = {
    # As read, and at which place another character, the true one, was thought possible.
    "exact": [("7ABC123", None), ("4KLM568", None), ("XRT9042", None), ("2HGF777", None)],
    # The last shows what its plate does: it has no look-alike to show, and is no misread.
    "look_alike": [("7A8C123", (2, "B")), ("4XLM568", (1, "K")), ("XRT9042", None)],
    # Far from all; one look-alike from one that is listed, and sure; listed by chance.
    "not_listed": [("999ZZZ9", None), ("7ABG123", None), ("XRT9042", None)],
    # Is of a plate that is listed by chance; is of one that is not.
    "not_listed_unsure": [("2HGE777", (3, "F")), ("9T9ZZZ9", (1, "Y"))],
}


def an_entry(number: int, pattern: str) -> Entry:
    return Entry(str(number), pattern, None, "Stolen", "Stolen", Priority.HIGH)


def a_read(shown: str, doubt: tuple[int, str] | None) -> tuple[str, list[list[tuple[str, float]]]]:
    positions = [[(character, 0.99)] for character in shown]
    if doubt is not None:
        place, true = doubt
        positions[place] = [(shown[place], 0.6), (true, 0.3)]
    return shown, positions


def a_folder(folder: Path) -> Path:
    entries = [an_entry(number, pattern) for number, pattern in enumerate(LISTED + PARTIAL)]
    (folder / PUBLIC_KEY).write_bytes(KEY.public_key().public_bytes_raw())
    (folder / WIRE).write_bytes(publish(entries, 1, KEY, PLAIN))
    reads = {sort: [a_read(*read) for read in of_sort] for sort, of_sort in READ_OF.items()}
    (folder / READS).write_text(json.dumps(reads), encoding="ascii")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_folder(tmp_path_factory.mktemp("rivals"))


@pytest.fixture(scope="module")
def rows(folder: Path) -> tuple[dict[str, Row], dict[str, Row]]:
    plates, patterns = bench_rivals(folder)
    return {row.title: row for row in plates}, {row.title: row for row in patterns}


def shares(rows: Mapping[str, Row], figure: str) -> dict[str, float]:
    return {title: row.figures[figure] for title, row in rows.items()}


def test_every_way_that_ought_to_find_a_listed_plate_finds_it(rows: tuple[dict[str, Row], object]) -> None:
    assert set(shares(rows[0], "exact_found_share").values()) == {1.0}


def test_misreads_are_found_by_all_but_exact_look_ups(rows: tuple[dict[str, Row], object]) -> None:
    found = shares(rows[0], "look_alike_found_share")
    assert found == {title: 0.0 if title.endswith("exact") else 1.0 for title in found}


def test_sure_read_of_another_plate_is_a_false_hit_of_the_fixed_rule_not_of_an_exact_look_up(
    rows: tuple[dict[str, Row], object],
) -> None:
    # One of two: a third stranger is listed by chance, and so is no stranger.
    false = shares(rows[0], "not_listed_false_share")
    fixed = ("one look-alike replaced", "one edit")
    del false[OURS]  # weighs what plates there are, of which a list of four tells it little
    assert false == {title: 0.5 if title.endswith(fixed) else 0.0 for title in false}


def test_unsure_read_of_a_plate_listed_by_chance_is_no_false_hit(rows: tuple[dict[str, Row], object]) -> None:
    assert set(shares(rows[0], "not_listed_unsure_false_share").values()) == {0.0}


def test_all_ways_meet_the_same_partial_plates(rows: tuple[object, dict[str, Row]]) -> None:
    # 7ABC123 and 4KLM568 and 2HGF777 each meet one, XRT9042 none.
    assert set(shares(rows[1], "met").values()) == {0.75}


def test_each_row_says_time_and_memory(rows: tuple[dict[str, Row], dict[str, Row]]) -> None:
    for row in rows[0].values():
        assert row.figures["exact_p99_us"] >= row.figures["exact_p50_us"] > 0
    for row in (*rows[0].values(), *rows[1].values()):
        assert row.figures["start_s"] > 0
        assert row.figures["resident_mb"] >= 0
    assert rows[0][OURS].figures["build_s"] > 0
    assert rows[0]["SQLite index, exact"].figures["build_s"] > 0
    assert "build_s" not in rows[0]["Python set, exact"].figures
    assert OUR_PATTERNS in rows[1]


def test_every_way_is_opened_by_what_others_of_it_built(folder: Path, rows: object) -> None:
    for name in PLATES | PATTERNS:
        assert measure(name, folder), name


def test_missing_package_is_said_in_its_row_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "marisa_trie", None)
    few = {name: PLATES[name] for name in ("marisa-trie", "Python set")}
    monkeypatch.setattr("edge.bench_rivals.PLATES", few)
    said = "\n".join(tables(a_folder(tmp_path)))
    assert "marisa-trie                             not installed: pip install marisa-trie\n" in said
    assert said.count("not installed") == 1
    assert "Python set, exact" in said
    assert "SQLite GLOB" in said


def test_variants_are_the_plate_and_one_look_alike_in_any_place() -> None:
    assert set(variants("J5K")) == {"J5K", "JSK", "J5X"}


def test_reads_are_noted_as_they_are_measured(tmp_path: Path) -> None:
    made = made_reads(tmp_path, 40, 10, 1)
    noted = json.loads((tmp_path / READS).read_bytes())
    assert set(noted) == set(made) - {"prefixed"}
    for sort, reads in noted.items():
        assert [plate for plate, _ in reads] == [read.plate for read in made[sort]]


def test_no_plate_shows_when_a_read_is_printed() -> None:
    assert "ABC" not in repr(Asked(Plate("ABC"), ((("A", 0.9),),), "ABC"))


def test_a_step_that_fails_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        bench_rivals(tmp_path)
