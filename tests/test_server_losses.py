"""What stays of a list: counted by plate and jurisdiction, the same by each of the ways it is counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotlist_cache.entry import Entry
from hotlist_cache.publishing import EVERYTHING, rows_of
from server import basis
from server.feed_files import write_complete
from server.long_losses import entries_gone
from server.losses import lines_gone, rows_gone
from tests.hotlists import ANY_ENTRY, a_snapshot, an_entry

# Few plates, so that lists have some in common; ids with all that JSON writes in a way of its own.
few = st.builds(
    lambda entry, pattern, state: replace(entry, pattern=pattern, jurisdiction=state),
    ANY_ENTRY,
    st.sampled_from(["7ABC123", "7ABCI23", "7AB*", "A", "ABCDEFGHIJK"]),
    st.sampled_from([None, "US-CA", "US-NV"]),
)
lists = st.lists(few | ANY_ENTRY, max_size=12)


def a_feed(path: Path, entries: Sequence[Entry]) -> Path:
    with path.open("wb") as file:
        write_complete(file, entries)
    return path


def lost(old: Sequence[Entry], new: Sequence[Entry]) -> int:
    keys = [
        Counter((each.pattern, each.jurisdiction or "") for each in set(entries)) for entries in (old, new)
    ]
    return (keys[0] - keys[1]).total()


@pytest.mark.parametrize("most", [0, basis.MOST_LINES], ids=["in heaps", "by lines"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(old=lists, new=lists, kept=st.integers(0, 12))
def test_each_way_to_count_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, old: list[Entry], new: list[Entry], kept: int
) -> None:
    monkeypatch.setattr(basis, "MOST_LINES", most)
    new = old[:kept] + new
    expected = lost(old, new)
    assert lines_gone(a_feed(tmp_path / "old", old), a_feed(tmp_path / "new", new)) == expected
    before, after = (set(rows_of(entries, EVERYTHING)) for entries in (old, new))
    by_rows = rows_gone(before - after, after - before)
    assert entries_gone(a_snapshot(*old), a_snapshot(*new)) == by_rows
    assert by_rows == rows_gone(before, after)


def test_what_an_entry_says_besides_its_plate_is_not_what_stays(tmp_path: Path) -> None:
    one = an_entry("7ABC123")
    old = a_feed(tmp_path / "old", [one, replace(one, reason="armed"), an_entry("7ABC124")])
    for new, gone in (
        ([replace(one, entry_id='a", "b\\\n', list_name="other"), replace(one, reason="more")], 1),
        ([one], 2),
        ([replace(one, jurisdiction=None), an_entry("7ABC124")], 2),
        ([], 3),
    ):
        assert lines_gone(old, a_feed(tmp_path / "new", new)) == gone


@pytest.mark.parametrize("most", [0, basis.MOST_LINES])
def test_a_damaged_line_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(basis, "MOST_LINES", most)
    entries = [an_entry(f"7ABC12{number}") for number in range(3)]
    old, new = a_feed(tmp_path / "old", entries), a_feed(tmp_path / "new", entries)
    lines = old.read_bytes().splitlines(keepends=True)
    old.write_bytes(b"".join([*lines[:2], lines[2][:20]]))
    assert lines_gone(old, new) == 1
