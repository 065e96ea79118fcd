"""What stands out in the access log, and what does not."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from server.audit_entries import Entry
from server.audit_outliers import find_outliers
from server.audit_period import Period
from server.settings import AuditSettings
from tests.auditors import MORNING

WEEK = Period(MORNING - timedelta(days=7), MORNING + timedelta(days=1))
ROLES = {"reyes": "officer", "tanaka": "officer", "okafor": "auditor"}
_numbers = count(1)


def search(
    who: str,
    at: datetime,
    plate: str = "",
    case_number: str = "26-1",
    action: str = "reads.search",
    page: int = 1,
) -> Entry:
    detail: dict[str, Any] = {"asked": {"plate": plate or f"T{next(_numbers)}", "page": page}}
    return Entry(
        next(_numbers), at, who, action, "success", "investigation", case_number, "192.0.2.9", detail
    )


def days_of(who: str, searches: int, days: int = 20, before: int = 1) -> list[Entry]:
    """Searches of the same number on each of some days, in the morning."""
    return [
        search(who, MORNING - timedelta(days=before + day) + timedelta(minutes=minute))
        for day in range(days)
        for minute in range(searches)
    ]


def found(entries: list[Entry], what: str, **settings: Any) -> list[tuple[Any, ...]]:
    report = find_outliers(entries, WEEK, ROLES, AuditSettings(**settings))
    return [row[1:] for row in report.rows if row[0] == what]


def today(who: str, searches: int) -> list[Entry]:
    return days_of(who, searches, days=1, before=0)


@pytest.mark.parametrize(("searches", "stands_out"), [(12, False), (13, True), (40, True)])
def test_a_day_with_more_than_three_times_the_persons_usual_stands_out(
    searches: int, stands_out: bool
) -> None:
    rows = found([*days_of("reyes", 4), *today("reyes", searches)], "many searches")
    assert [row[:2] for row in rows] == ([("reyes", "officer")] if stands_out else [])
    if stands_out:
        assert rows[0][2:5] == ("2026-03-02", searches, "own 4")


def test_a_new_person_is_measured_by_the_role() -> None:
    rows = found([*days_of("tanaka", 5), *today("reyes", 16)], "many searches")
    assert rows == [("reyes", "officer", "2026-03-02", 16, "role 5", "")]


def test_who_always_searches_more_than_the_role_stands_out_each_day() -> None:
    rows = found([*days_of("tanaka", 5), *days_of("reyes", 30)], "many searches")
    assert {row[0] for row in rows} == {"reyes"} and len(rows) == 7


def test_a_usual_day_is_not_known_from_four() -> None:
    assert found([*days_of("reyes", 4, days=4), *today("reyes", 40)], "many searches") == []
    assert len(found([*days_of("reyes", 4, days=5), *today("reyes", 40)], "many searches")) == 1


def test_another_role_is_no_measure() -> None:
    assert found([*days_of("okafor", 2), *today("reyes", 40)], "many searches") == []


def test_few_searches_never_stand_out() -> None:
    assert found([*days_of("reyes", 1), *today("reyes", 9)], "many searches") == []


def test_days_before_the_period_are_the_measure_and_not_judged() -> None:
    entries = [*days_of("reyes", 4), *days_of("reyes", 50, days=1, before=30)]
    assert found(entries, "many searches") == []


NIGHT = datetime.fromisoformat("2026-03-02T03:00+00:00")


def test_a_night_of_who_works_by_day_stands_out() -> None:
    rows = found([*days_of("reyes", 4), search("reyes", NIGHT), search("reyes", NIGHT)], "night")
    assert rows == [("reyes", "officer", "2026-03-01", 2, "0 of 19 other days", "")]


def test_a_night_of_who_works_by_night_does_not() -> None:
    entries = [search("reyes", NIGHT - timedelta(days=day)) for day in range(10)]
    assert found(entries, "night") == []


@pytest.mark.parametrize(("zone", "stands_out"), [("UTC", True), ("America/Los_Angeles", False)])
def test_nights_are_those_of_the_departments_timezone(zone: str, stands_out: bool) -> None:
    rows = found([*days_of("reyes", 4), search("reyes", NIGHT)], "night", timezone=zone)
    assert bool(rows) is stands_out


def test_a_night_may_end_on_the_day_on_which_it_begins() -> None:
    settings = {"night_from_hour": 1, "night_until_hour": 5}
    rows = found([*days_of("reyes", 4), search("reyes", NIGHT)], "night", **settings)
    assert [row[2] for row in rows] == ["2026-03-02"]


def test_the_same_plate_again_and_again_stands_out_with_its_cases() -> None:
    entries = [search("reyes", MORNING - timedelta(hours=n), "8abc-O12", f"26-{n % 2}") for n in range(5)]
    rows = found(entries, "same plate")
    assert rows == [
        ("reyes", "officer", "2026-03-02 to 2026-03-02", 5, "on 1 days", "8ABC012, cases: 26-0, 26-1")
    ]


def test_the_same_plate_on_three_days_stands_out() -> None:
    entries = [search("reyes", MORNING - timedelta(days=n), "8ABC012", "") for n in range(3)]
    assert [row[3:] for row in found(entries, "same plate")] == [(3, "on 3 days", "8ABC012, cases: none")]


def test_pages_of_one_search_patterns_and_other_persons_are_not_the_same_search() -> None:
    pages = [search("reyes", MORNING, "8ABC012", page=page) for page in range(1, 9)]
    patterns = [search("reyes", MORNING, "8ABC*") for _ in range(9)]
    persons = [search(who, MORNING, "8ABC999") for who in ("reyes", "tanaka") for _ in range(4)]
    assert found([*pages, *patterns, *persons], "same plate") == []


def test_searches_and_views_without_case_are_counted() -> None:
    entries = [
        search("reyes", MORNING, case_number=""),
        search("reyes", MORNING),
        search("reyes", MORNING, case_number="", action="read.view"),
        search("tanaka", MORNING),
    ]
    rows = found(entries, "no case number")
    assert rows == [("reyes", "officer", "", 2, "of 3", "Criminal investigation 2")]
