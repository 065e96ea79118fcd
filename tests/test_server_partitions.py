"""On PostgreSQL reads lie by months, made ahead and as batches need them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select

from recognizer.read import PlateRead
from server.database import adding, reading
from server.department import Department
from server.intake import Intake
from server.partitions import Months, make_month, month_names, month_of
from server.tables import reads
from tests.databases import Postgresql
from tests.departments import NOW, Unit, a_unit
from tests.fakes import a_read


@pytest.fixture
def department(postgresql: Postgresql, tmp_path: Path) -> Iterator[Department]:
    made = postgresql.department(tmp_path / "department")
    yield made
    made.engine.dispose()


def at(when: datetime) -> PlateRead:
    read = a_read()
    moment = replace(read.settled, utc=when)
    return replace(read, settled=moment, first_seen=moment)


def bring(department: Department, unit: Unit, *brought: PlateRead, now: datetime = NOW) -> None:
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch(brought), now)


def held(department: Department) -> set[str]:
    with reading(department.engine) as connection:
        return set(connection.execute(select(reads.c.read_id)).scalars())


def months(department: Department) -> list[date]:
    with reading(department.engine) as connection:
        return [month for month, _ in month_names(connection)]


def in_default(department: Department) -> int:
    with reading(department.engine) as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM reads_default").scalar_one())


def test_a_batch_makes_its_months_and_the_next_one_ahead(department: Department, tmp_path: Path) -> None:
    unit = a_unit(department, tmp_path / "unit")
    late = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
    bring(department, unit, at(late), at(late - timedelta(days=30)), now=late)
    assert {date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)} <= set(months(department))
    assert in_default(department) == 0


def test_a_clock_that_cannot_be_makes_no_month(department: Department, tmp_path: Path) -> None:
    unit = a_unit(department, tmp_path / "unit")
    before = set(months(department)) | {month_of(NOW), month_of(NOW + timedelta(days=15))}
    bring(department, unit, at(NOW.replace(year=1970)), at(NOW.replace(year=2100)))
    assert set(months(department)) == before
    assert in_default(department) == 2


def test_reads_from_a_clock_that_ran_ahead_move_when_their_month_comes(
    department: Department, tmp_path: Path
) -> None:
    unit, ahead = a_unit(department, tmp_path / "unit"), datetime(2027, 8, 15, tzinfo=UTC)
    early = at(ahead)
    bring(department, unit, early)
    assert in_default(department) == 1
    bring(department, unit, at(ahead), now=ahead)
    assert in_default(department) == 0
    assert early.read_id in held(department)


def test_a_month_that_cannot_be_made_now_loses_nothing_and_is_made_later(
    department: Department, tmp_path: Path
) -> None:
    unit, later = a_unit(department, tmp_path / "unit"), datetime(2027, 8, 15, tzinfo=UTC)
    with reading(department.engine) as searching:
        searching.execute(select(reads.c.read_id)).all()
        bring(department, unit, at(later), now=later)
    assert in_default(department) == 1
    bring(department, unit, at(later), now=later)
    assert in_default(department) == 0


def test_two_servers_make_a_month_once(department: Department) -> None:
    later = datetime(2027, 8, 15, tzinfo=UTC)
    for _ in range(2):
        Months(department.engine).ensure([later], later)
    with adding(department.engine) as connection:
        make_month(connection, month_of(later))
    assert months(department).count(month_of(later)) == 1


def test_nothing_is_asked_where_all_months_are_known(department: Department) -> None:
    known, asked = Months(department.engine), []
    known.ensure([NOW], NOW)
    event.listen(department.engine, "before_cursor_execute", lambda *_: asked.append(1))
    known.ensure([NOW], NOW)
    assert asked == []
