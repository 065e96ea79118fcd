"""A plate that is listed after it passed is found, and nothing can be read off the index."""

from dataclasses import replace
from datetime import timedelta

from edge.phonetic import past_card
from edge.sightings import MOST, Sightings
from tests.hotlists import NOW, a_read

HOUR = timedelta(hours=1)


def test_read_is_found_within_the_window_by_the_plate_however_it_is_listed() -> None:
    for listed in ("7AB0123", "7ABO123", "XQ7AB0123", "7AB0123XQ"):
        sightings = Sightings(24 * HOUR)
        sightings.remember(a_read("7AB0123", prefix="XQ"))
        (found,) = sightings.of([listed, "1XYZ999"], NOW + HOUR)
        assert (found.plate, found.camera, found.at) == (listed, "front", NOW)
        assert sightings.of(["7AB0124"], NOW + HOUR) == []


def test_read_outside_the_window_is_not_told() -> None:
    sightings = Sightings(24 * HOUR)
    sightings.remember(a_read("7ABC123"))
    assert sightings.of(["7ABC123"], NOW + 25 * HOUR) == []


def test_plate_that_comes_on_two_lists_is_told_once() -> None:
    sightings = Sightings(24 * HOUR)
    sightings.remember(a_read("7ABC123"))
    assert len(sightings.of(["7ABC123"], NOW + HOUR)) == 1
    assert sightings.of(["7ABC123"], NOW + HOUR) == []


def test_newest_reads_come_first_and_a_plate_once() -> None:
    sightings = Sightings(24 * HOUR)
    for hours, plate in enumerate(("7ABC123", "8XYZ987", "7ABC123")):
        sightings.remember(a_read(plate, utc=NOW + hours * HOUR))
    found = sightings.of(["8XYZ987", "7ABC123"], NOW + 3 * HOUR)
    assert [(each.plate, each.at) for each in found] == [
        ("7ABC123", NOW + 2 * HOUR),
        ("8XYZ987", NOW + HOUR),
    ]


def test_without_a_window_nothing_is_remembered_and_the_oldest_go_first() -> None:
    none = Sightings(timedelta())
    none.remember(a_read("7ABC123"))
    assert none.of(["7ABC123"], NOW) == []
    full = Sightings(24 * HOUR)
    read = a_read("7ABC123")
    for number in range(MOST + 1):
        full.remember(replace(read, plate=f"{number}"))  # type: ignore[arg-type]  # of digits alone
    assert full.of(["0"], NOW) == []
    assert full.of(["1"], NOW)


def test_index_holds_no_plate_and_two_units_hash_otherwise() -> None:
    one, other = Sightings(HOUR), Sightings(HOUR)
    for each in (one, other):
        each.remember(a_read("7ABC123"))
    assert b"7ABC123" not in b"".join(one._seen)
    assert set(one._seen).isdisjoint(other._seen)


def test_officer_hears_when_and_where_it_was_read() -> None:
    sightings = Sightings(HOUR)
    sightings.remember(a_read("7ABC123"))
    (found,) = sightings.of(["7ABC123"], NOW + timedelta(minutes=20))
    assert past_card(found, NOW + timedelta(minutes=20)) == (
        "Newly listed. seven Adam Boy Charles one two three. was read twenty minutes ago, camera front. "
        "Unverified, check C L E T S."
    )
