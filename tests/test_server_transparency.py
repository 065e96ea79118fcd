"""What the public is told: counts, and nothing that leads to anybody."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from hotlist_cache.hit import HotlistHit
from server.access import Role, add_account
from server.audit import Deed
from server.audit_period import Period, period_of
from server.audit_reviews import Verdict, draw, review
from server.database import reading, writing
from server.department import Department
from server.intake import Intake
from server.release_tables import release_requests, release_steps
from server.tables import hotlist_feeds
from server.transparency import Transparency, as_html, shown_count, transparency_of
from tests.auditors import done, searched
from tests.departments import PASSWORD, a_department, a_unit
from tests.fakes import a_hit, a_read

NOW = datetime.now(UTC)
SECRETS = (
    "8ABC012", "reyes", "Jane Doe", "okafor", "unit-07", "camera-left", "Main Street", "33.94", "-118.13",
    "26-0042", "192.0.2", "svs-feed", "Local entry", "neighbour",
)  # fmt: skip


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def listed(hit: HotlistHit, list_name: str) -> HotlistHit:
    return replace(hit, entry=replace(hit.entry, list_name=list_name))


def fill(department: Department, out: Path, reads: int, hits: int) -> None:
    """A department in which everything that must not be told is there to be told."""
    unit = a_unit(department, out)
    items = [replace(a_read(plate="8ABC012"), camera="camera-left") for _ in range(reads)]
    told = [listed(a_hit(read), "Local entry of unit-07") for read in items[:hits]]
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch(items, told), NOW)
    until = date(2099, 1, 1)
    for name in ("reyes", "okafor", "Jane.Doe"):
        add_account(department.engine, name, Role.OFFICER, PASSWORD, until, actor="console:reyes", now=NOW)
    for _ in range(12):
        searched(department.engine, "reyes", "8ABC012", at=NOW - timedelta(minutes=1), place="Main Street")
    done(department.engine, "reyes", "read.view", at=NOW, purpose="Jane Doe")
    with writing(department.engine) as connection:
        connection.execute(
            insert(hotlist_feeds).values(
                feed="svs-feed", source="clew", entries=3, imported_at=NOW, imported_by="console:reyes"
            )
        )
    drawn = draw(
        department.engine, period_of("2020-01-01", "2099-01-01", NOW), 1, Deed("okafor", "audit.sample"), NOW
    )
    deed = Deed("okafor", "audit.review")
    review(department.engine, drawn[0], Verdict.MISUSE, "a neighbour", deed=deed, now=NOW)


def published(department: Department) -> Transparency:
    # Reads carry the fakes' own time.
    period = Period(datetime(2020, 1, 1, tzinfo=UTC), NOW + timedelta(days=1))
    with reading(department.engine) as connection:
        return transparency_of(connection, department.settings, period, NOW)


@pytest.mark.parametrize("hits", [3, 12])
def test_nothing_on_the_page_names_a_person_plate_place_or_unit(
    department: Department, tmp_path: Path, hits: int
) -> None:
    fill(department, tmp_path / "unit", 20, hits)
    page = as_html(published(department))
    assert [secret for secret in SECRETS if secret.lower() in page.lower()] == []


def test_the_page_tells_counts_sources_and_the_last_audit(department: Department, tmp_path: Path) -> None:
    fill(department, tmp_path / "unit", 20, 12)
    found = published(department)
    assert (found.reads, found.held, found.hits, found.share) == ("20", "20", "12", "60.00 %")
    queries = dict(found.queries)
    assert queries["Criminal investigation"] == "12"
    assert set(queries.values()) == {"12", "<10"}
    assert found.sources == (
        "California Department of Justice: stolen vehicles, felony vehicles, stolen plates",
    )
    assert found.last_audit == NOW.date()
    page = as_html(found)
    for told in ("60.00 %", "California Department of Justice", f"last reviewed on {NOW.date()}"):
        assert told in page


def test_a_small_count_does_not_show_through_the_share(department: Department, tmp_path: Path) -> None:
    fill(department, tmp_path / "unit", 20, 3)
    found = published(department)
    assert (found.hits, found.share) == ("<10", "")
    page = as_html(found)
    assert "15" not in re.sub(r"20\d\d-\d\d-\d\d|#\w+|<style>.*</style>", "", page, flags=re.DOTALL)


@given(st.integers(0, 10**9))
def test_no_count_below_ten_is_told(count: int) -> None:
    told = shown_count(count)
    assert told == (f"{count:,}" if count >= 10 else "<10")


@pytest.mark.parametrize("count", range(10))
def test_counts_below_ten_are_all_alike(count: int) -> None:
    assert shown_count(count) == "<10"


def test_a_read_that_met_several_lists_is_one_hit(department: Department, tmp_path: Path) -> None:
    unit = a_unit(department, tmp_path / "unit")
    items = [a_read() for _ in range(10)]
    twice = [
        replace(a_hit(read), hit_id=f"hit-{number}-{at}")
        for at, read in enumerate(items)
        for number in (1, 2)
    ]
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch(items, twice), NOW)
    assert published(department).hits == "10"


def test_an_empty_department_tells_nothing_but_that(department: Department) -> None:
    found = published(department)
    assert found.last_audit is None and found.sources == ()
    assert {found.reads, found.held, found.hits} == {"<10"}
    assert set(dict(found.queries + found.releases + found.dispositions).values()) == {"<10"}
    assert "No query has been reviewed yet" in as_html(found)


def test_release_requests_are_counted(department: Department) -> None:
    row = {
        "agency": "Example County District Attorney",
        "kind": "prosecutor",
        "person": "Jane Doe",
        "purpose": "trial",
        "legal_basis": "subpoena",
        "case_number": "26-0042",
        "scope": "{}",
        "entered_by": "reyes",
        "entered_at": NOW,
    }
    with writing(department.engine) as connection:
        connection.execute(insert(release_requests), [row] * 11)
        step = {"number": 1, "state": "refused", "done_by": "chief", "done_at": NOW, "note": "Jane Doe"}
        connection.execute(insert(release_steps), [step | {"request_id": each} for each in range(1, 11)])
    found = published(department)
    assert dict(found.releases) == {
        "received": "11",
        "approved": "<10",
        "refused": "10",
        "fulfilled": "<10",
        "handled": "<10",
    }
    assert "District Attorney" not in as_html(found) and "Jane Doe" not in as_html(found)


def test_the_page_needs_no_other_file(department: Department) -> None:
    page = as_html(published(department))
    assert "/static/" not in page and "<script" not in page and "/logout" not in page
