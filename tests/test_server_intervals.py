"""Intervals of shares, the sun's height, and what is kept of a misread."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.daylight import daylight, sun_height_deg
from server.intervals import Share, wilson
from server.plate_differences import Difference, applied, differences, from_text, to_text

PLATES = st.text("ABC0123", max_size=9)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_that_are_published(count: int, of: int, low: float, high: float) -> None:
    assert wilson(count, of) == pytest.approx((low, high), abs=0.00005)


@given(st.data())
def test_an_interval_holds_its_share_mirrors_and_narrows(data: st.DataObject) -> None:
    of = data.draw(st.integers(1, 10_000))
    count = data.draw(st.integers(0, of))
    low, high = wilson(count, of)
    assert 0 <= low <= count / of <= high <= 1 and low < high
    mirrored = wilson(of - count, of)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)
    wider = wilson(count * 4, of * 4)
    assert wider[1] - wider[0] < high - low


@given(st.integers(10, 300), st.sampled_from([0.02, 0.1, 0.5, 0.9, 0.98]))
def test_intervals_cover_the_truth_about_as_often_as_they_say(of: int, truth: float) -> None:
    from math import comb

    covered = sum(
        comb(of, count) * truth**count * (1 - truth) ** (of - count)
        for count in range(of + 1)
        if wilson(count, of)[0] <= truth <= wilson(count, of)[1]
    )
    assert covered > 0.83  # 95 % on average; discrete counts make it dip, least near 0 and 1


def test_of_nothing_nothing_is_known_and_impossible_counts_are_refused() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    for count, of in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="so few"):
            wilson(count, of)


def test_a_share_of_fewer_than_ten_is_not_enough() -> None:
    assert not Share(9, 9).enough and Share(0, 10).enough


@pytest.mark.parametrize(
    ("moment", "place", "height"),
    [
        # At noon of an equinox the sun stands as high as the pole is from the zenith.
        ("2026-06-21T20:11", (37.7749, -122.4194), 75.66),
        ("2026-12-21T20:08", (37.7749, -122.4194), 28.79),
        ("2026-03-20T12:07", (0.0, 0.0), 90.0),
    ],
)
def test_the_sun_stands_as_high_as_almanacs_say(
    moment: str, place: tuple[float, float], height: float
) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert sun_height_deg(at, *place) == pytest.approx(height, abs=0.4)


def test_day_dusk_and_night_follow_each_other() -> None:
    # San Francisco, 25 November 2026: the sun sets at 16:53 Pacific time, civil dusk ends at 17:21.
    def light(text: str) -> str:
        return daylight(datetime.fromisoformat(text).replace(tzinfo=UTC), 37.7749, -122.4194)

    assert [light(f"2026-11-26T{clock}") for clock in ("00:45", "01:05", "01:30")] == ["day", "dusk", "night"]
    assert daylight(datetime(2026, 1, 1, tzinfo=UTC), None, None) == "unknown"


@given(PLATES, PLATES)
def test_a_plate_comes_out_again_of_a_read_and_its_differences(read: str, true: str) -> None:
    found = differences(read, true)
    assert applied(read, from_text(to_text(found))) == true
    assert len(found) <= max(len(read), len(true))
    assert (not found) is (read == true)
    if len(read) == len(true):
        assert len(found) <= sum(a != b for a, b in zip(read, true, strict=True))


def test_differences_name_substituted_missed_and_invented_characters() -> None:
    assert differences("8ABC012", "BABC012") == (Difference(0, "8", "B"),)
    assert differences("ABC12", "ABC012") == (Difference(3, "", "0"),)
    assert differences("1ABC12", "ABC12") == (Difference(0, "1", ""),)


def test_differences_of_another_read_are_not_applied() -> None:
    with pytest.raises(ValueError, match="another read"):
        applied("XYZ", (Difference(0, "8", "B"),))
