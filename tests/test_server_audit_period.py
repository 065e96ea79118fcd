"""Which stretch of time a person means."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.audit_period import last_year, period_of

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("2026-02-01", "2026-02-28", "2026-02-01T00:00Z to 2026-03-01T00:00Z"),
        ("2026-02-01T06:00Z", "2026-02-01T18:00Z", "2026-02-01T06:00Z to 2026-02-01T18:00Z"),
        ("2026-02-01T06:00-08:00", "2026-02-01T18:00Z", "2026-02-01T14:00Z to 2026-02-01T18:00Z"),
        ("", "2026-02-28", "2026-01-30T00:00Z to 2026-03-01T00:00Z"),
        ("2026-03-01", "", "2026-03-01T00:00Z to 2026-03-02T08:30Z"),
        ("", "", "2026-01-31T08:30Z to 2026-03-02T08:30Z"),
    ],
)
def test_a_period_is_as_people_mean_it(start: str, end: str, told: str) -> None:
    assert str(period_of(start, end, NOW)) == told


@pytest.mark.parametrize(
    ("start", "end"), [("2026-03-03", ""), ("2026-02-02", "2026-02-01"), ("x", ""), ("", "1.3.")]
)
def test_a_period_that_cannot_be_is_refused(start: str, end: str) -> None:
    with pytest.raises(ValueError, match=r"begin|Write"):
        period_of(start, end, NOW)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_gives_a_period_or_a_reason(start: str, end: str) -> None:
    try:
        period = period_of(start, end, NOW)
    except ValueError as error:
        assert str(error)
    else:
        assert period.start < period.end


def test_the_last_year_is_of_whole_days() -> None:
    year = last_year(NOW)
    assert year.end == datetime(2026, 3, 2, tzinfo=UTC) and year.end - year.start == timedelta(days=365)
