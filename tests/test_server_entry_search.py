"""A plate that is looked for in the feeds' files: all of it is found that parsing every line would find."""

import json
import tempfile
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotlist_cache.entry import Entry
from recognizer.plate import Plate, fold, normalise
from server.entry_search import MOST, find_entries
from server.errors import HotlistRefusedError
from server.feed_files import write_complete
from tests.hotlists import ANY_ENTRY, an_entry

WANTED = st.text("0O1IAB", min_size=1, max_size=4)
ENTRIES = st.lists(
    st.builds(
        lambda entry, pattern: replace(entry, pattern=pattern),
        ANY_ENTRY,
        st.text("0O1IAB?*", min_size=1, max_size=4),
    ),
    max_size=12,
)


def written(folder: Path, entries: list[Entry]) -> Path:
    path = folder / "svs.jsonl"
    with path.open("wb") as file:
        write_complete(file, entries)
    return path


@given(ENTRIES, WANTED)
def test_what_is_found_is_what_a_look_at_every_entry_finds(entries: list[Entry], plate: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found, more = find_entries([("svs", written(Path(folder), entries))], plate)
    wanted = fold(normalise(plate))
    fitting = {each for each in entries if fnmatchcase(wanted, fold(Plate(each.pattern)))}
    assert {each.entry for each in found} == fitting and not more


def test_no_more_is_shown_than_a_page_holds_and_it_says_that_there_is_more(tmp_path: Path) -> None:
    path = written(tmp_path, [an_entry("8ABC012", f"id-{number}") for number in range(MOST + 1)])
    found, more = find_entries([("svs", path)], "8ABC012")
    assert len(found) == MOST and more


def test_a_damaged_line_is_said_without_its_plate(tmp_path: Path) -> None:
    path = written(tmp_path, [an_entry("8ABC012")])
    path.write_bytes(path.read_bytes()[:40] + b"\n" + json.dumps(["x", "8ABC012", 3]).encode())
    with pytest.raises(HotlistRefusedError) as refusal:
        find_entries([("svs", path)], "8ABC012")
    assert "8ABC" not in str(refusal.value) and "import the feed again" in str(refusal.value)


@pytest.mark.parametrize("plate", ["", "--", "\u0410", "A" * 17])
def test_what_is_no_plate_is_not_looked_for(tmp_path: Path, plate: str) -> None:
    with pytest.raises(HotlistRefusedError, match="1 to 16"):
        find_entries([("svs", written(tmp_path, []))], plate)


def test_a_feed_whose_file_is_empty_or_gone_lists_nothing(tmp_path: Path) -> None:
    feeds = [("svs", written(tmp_path, [])), ("gone", tmp_path / "gone")]
    assert find_entries(feeds, "8ABC012") == ([], False)
