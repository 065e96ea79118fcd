"""A plate that is listed after it passed is found and told once, also after a restart."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from edge.phonetic import past_card
from edge.sightings import NOT_YET_STORED, Sightings
from hotlist_cache.hit import Sighting
from sync.config import RetentionConfig
from tests.hotlists import NOW, a_read
from tests.windows import UnitStore

HOUR_S = 3600.0


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[UnitStore]:
    made = UnitStore(tmp_path)
    yield made
    made.stop()


def sightings(unit: UnitStore) -> Sightings:
    return Sightings(unit.window, unit.retention)


def of(unit: UnitStore, *plates: str) -> list[Sighting]:
    return sightings(unit).of(plates, unit.clock.now().utc)


def test_read_is_found_within_the_window_by_the_plate_however_it_is_listed(unit: UnitStore) -> None:
    read_id, at = unit.keep("7AB0123", prefix="XQ"), unit.clock.now().utc
    unit.pass_time(HOUR_S)
    for listed in ("7AB0123", "7ABO123", "XQ7AB0123", "7AB0123XQ"):
        (found,) = of(unit, listed, "1XYZ999")
        assert (found.plate, found.read_id, found.camera, found.at) == (listed, read_id, "front", at)
    assert of(unit, "7AB0124", "7AB*", "") == []


def test_read_is_found_after_a_restart(unit: UnitStore) -> None:
    read_id = unit.keep("7ABC123")
    unit.restart(HOUR_S, monotonic_from_zero=True)
    assert [each.read_id for each in of(unit, "7ABC123")] == [read_id]


def test_read_outside_the_window_is_not_told(unit: UnitStore) -> None:
    unit.keep("7ABC123")
    unit.pass_time(25 * HOUR_S)
    assert of(unit, "7ABC123") == []


def test_plate_that_comes_on_two_lists_is_told_once(unit: UnitStore) -> None:
    unit.keep("7ABC123")
    same, now = sightings(unit), unit.clock.now().utc
    assert len(same.of(["7ABC123"], now)) == 1
    assert same.of(["7ABC123"], now) == []


def test_newest_reads_come_first_and_a_plate_once(unit: UnitStore) -> None:
    ids = []
    for plate in ("7ABC123", "8XYZ987", "7ABC123"):
        ids.append(unit.keep(plate))
        unit.pass_time(HOUR_S)
    found = of(unit, "8XYZ987", "7ABC123")
    assert [(each.plate, each.read_id) for each in found] == [("7ABC123", ids[2]), ("8XYZ987", ids[1])]


def test_read_that_is_not_on_the_disk_yet_is_found_and_soon_no_more(unit: UnitStore) -> None:
    same = sightings(unit)
    same.remember(a_read("7ABC123", prefix="XQ"))
    assert same.of(["7ABC123XQ"], NOW + NOT_YET_STORED * 2) == []
    (found,) = same.of(["7ABC123XQ"], NOW)
    assert (found.plate, found.read_id) == ("7ABC123XQ", "read-1")
    same.remember(a_read("8XYZ987", utc=NOW + NOT_YET_STORED * 2))
    assert [card.plate for card in same._recent] == ["8XYZ987"]


@pytest.mark.parametrize(
    "retention", [RetentionConfig(local_window_h=0), RetentionConfig(non_hit_window_min=0)]
)
def test_without_a_window_nothing_is_remembered(tmp_path: Path, retention: RetentionConfig) -> None:
    unit = UnitStore(tmp_path, retention)
    unit.keep("7ABC123")
    same = sightings(unit)
    same.remember(a_read("7ABC123", utc=unit.clock.now().utc))
    assert same.of(["7ABC123"], unit.clock.now().utc) == []
    unit.stop()


def test_officer_hears_when_and_where_it_was_read(unit: UnitStore) -> None:
    unit.keep("7ABC123")
    unit.pass_time(20 * 60)
    (found,) = of(unit, "7ABC123")
    assert past_card(found, found.at + timedelta(minutes=20)) == (
        "Newly listed. seven Adam Boy Charles one two three. was read twenty minutes ago, camera front. "
        "Unverified, check C L E T S."
    )
