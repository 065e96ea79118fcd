"""Old reads go in steps or by whole months; hits, what is kept and what is newer stay."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, Connection, event, false, func, select

from recognizer.read import PlateRead
from server.database import adding, is_postgresql, reading
from server.department import Department
from server.intake import Intake
from server.partitions import Months, make_month, month_names, month_of
from server.purge import drop_months, purge_step
from server.tables import evidence, hits, reads
from tests.databases import Database, Postgresql
from tests.departments import NOW, Unit, a_unit
from tests.fakes import a_hit, a_read

BEFORE = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def on_postgresql(postgresql: Postgresql, tmp_path: Path) -> Iterator[Department]:
    made = postgresql.department(tmp_path / "department")
    yield made
    made.engine.dispose()


def at(when: datetime, plate: str = "TEST123", revises: str | None = None) -> PlateRead:
    read = a_read(plate=plate)
    moment = replace(read.settled, utc=when)
    return replace(read, settled=moment, first_seen=moment, revises=revises)


def bring(department: Department, unit: Unit, *brought: PlateRead, now: datetime = NOW) -> None:
    met = [a_hit(read) for read in brought if read.plate.startswith("HIT")]
    Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, unit.batch(brought, met), now
    )


def nothing(_: Connection) -> ColumnElement[bool]:
    return false()


def held(department: Department) -> set[str]:
    with reading(department.engine) as connection:
        ids = set(connection.execute(select(reads.c.read_id)).scalars())
        pictures = set(connection.execute(select(evidence.c.read_id)).scalars())
        if is_postgresql(connection):
            # Nothing that says of a read that it ever was outlives it.
            assert connection.exec_driver_sql("SELECT count(*) FROM read_ids").scalar_one() == len(ids)
    assert ids == pictures
    return ids


def purge(department: Department, most: int = 3) -> int:
    gone, after = 0, None
    while True:
        step = purge_step(department.engine, BEFORE, nothing, after=after, most=most)
        assert step.gone <= most
        gone, after = gone + step.gone, step.after
        if after is None:
            return gone


def test_old_reads_go_in_steps_and_newer_ones_stay(department: Department, tmp_path: Path) -> None:
    unit = a_unit(department, tmp_path / "unit")
    old = [at(BEFORE - timedelta(days=20 * number, microseconds=1)) for number in range(8)]
    same_moment = [at(BEFORE - timedelta(days=7)) for _ in range(5)]
    new = [at(BEFORE), at(BEFORE + timedelta(hours=5))]
    bring(department, unit, *old, *same_moment, *new)
    assert purge(department) == 13
    assert held(department) == {read.read_id for read in new}
    assert purge(department) == 0


def test_a_hit_and_what_corrects_it_or_was_corrected_by_it_stays(
    department: Department, tmp_path: Path
) -> None:
    unit, day = a_unit(department, tmp_path / "unit"), timedelta(days=1)
    corrected = at(BEFORE - 5 * day)
    hit = at(BEFORE - 4 * day, "HIT0001", revises=corrected.read_id)
    correcting = at(BEFORE - 3 * day, revises=hit.read_id)
    bring(department, unit, corrected, hit, correcting, at(BEFORE - 4 * day))
    assert purge(department) == 1
    assert held(department) == {corrected.read_id, hit.read_id, correcting.read_id}
    with reading(department.engine) as connection:
        assert connection.execute(select(func.count()).select_from(hits)).scalar_one() == 1


def test_what_is_kept_stays_in_steps_and_in_months(department: Department, tmp_path: Path) -> None:
    unit = a_unit(department, tmp_path / "unit")
    kept, other = at(BEFORE - timedelta(days=40), "KEEP"), at(BEFORE - timedelta(days=40))
    bring(department, unit, kept, other)

    def keep(_: Connection) -> ColumnElement[bool]:
        return reads.c.plate == "KEEP"

    assert drop_months(department.engine, BEFORE, keep) == {}
    assert purge_step(department.engine, BEFORE, keep).gone == 1
    assert held(department) == {kept.read_id}


def test_a_read_that_was_purged_can_come_in_again_and_one_that_was_not_cannot(
    department: Department, tmp_path: Path
) -> None:
    unit = a_unit(department, tmp_path / "unit")
    old, new = at(BEFORE - timedelta(days=1)), at(BEFORE)
    bring(department, unit, old, new)
    purge(department)
    bring(department, unit, old, new)
    assert held(department) == {old.read_id, new.read_id}


def test_whole_months_go_at_once_with_their_pictures_and_ids(
    on_postgresql: Department, tmp_path: Path
) -> None:
    unit = a_unit(on_postgresql, tmp_path / "unit")
    old = [at(datetime(2026, month, 10, tzinfo=UTC)) for month in (1, 2, 2)]
    stays = [at(datetime(2026, 1, 11, tzinfo=UTC), "HIT0001"), at(BEFORE)]
    bring(on_postgresql, unit, *old, *stays)
    dropped = drop_months(on_postgresql.engine, BEFORE, nothing)
    assert dropped == {date(2026, 2, 1): 2}
    assert held(on_postgresql) == {old[0].read_id, *(read.read_id for read in stays)}
    # One that comes late is held all the same, though its month is gone.
    bring(on_postgresql, unit, at(datetime(2026, 2, 12, tzinfo=UTC)))
    assert len(held(on_postgresql)) == 4


def test_a_month_in_use_is_left_and_taken_out_later(
    on_postgresql: Department, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.purge._LOCK_TRIES", 2)
    unit = a_unit(on_postgresql, tmp_path / "unit")
    bring(on_postgresql, unit, at(datetime(2026, 2, 10, tzinfo=UTC)))
    with reading(on_postgresql.engine) as searching:
        searching.execute(select(reads.c.read_id)).all()
        assert drop_months(on_postgresql.engine, BEFORE, nothing) == {}
    assert len(drop_months(on_postgresql.engine, BEFORE, nothing)) >= 1


def months(department: Department) -> list[date]:
    with reading(department.engine) as connection:
        return [month for month, _ in month_names(connection)]


def in_default(department: Department) -> int:
    with reading(department.engine) as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM reads_default").scalar_one())


def test_a_batch_makes_its_months_and_the_next_one_ahead(on_postgresql: Department, tmp_path: Path) -> None:
    unit = a_unit(on_postgresql, tmp_path / "unit")
    late = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
    bring(on_postgresql, unit, at(late), at(late - timedelta(days=30)), now=late)
    assert {date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)} <= set(months(on_postgresql))
    assert in_default(on_postgresql) == 0


def test_a_clock_that_cannot_be_makes_no_month(on_postgresql: Department, tmp_path: Path) -> None:
    unit = a_unit(on_postgresql, tmp_path / "unit")
    before = set(months(on_postgresql)) | {month_of(NOW), month_of(NOW + timedelta(days=15))}
    bring(on_postgresql, unit, at(NOW.replace(year=1970)), at(NOW.replace(year=2100)))
    assert set(months(on_postgresql)) == before
    assert in_default(on_postgresql) == 2


def test_reads_from_a_clock_that_ran_ahead_move_when_their_month_comes(
    on_postgresql: Department, tmp_path: Path
) -> None:
    unit, ahead = a_unit(on_postgresql, tmp_path / "unit"), datetime(2027, 8, 15, tzinfo=UTC)
    early = at(ahead)
    bring(on_postgresql, unit, early)
    assert in_default(on_postgresql) == 1
    bring(on_postgresql, unit, at(ahead), now=ahead)
    assert in_default(on_postgresql) == 0
    assert early.read_id in held(on_postgresql)


def test_a_month_that_cannot_be_made_now_loses_nothing_and_is_made_later(
    on_postgresql: Department, tmp_path: Path
) -> None:
    unit, later = a_unit(on_postgresql, tmp_path / "unit"), datetime(2027, 8, 15, tzinfo=UTC)
    with reading(on_postgresql.engine) as searching:
        searching.execute(select(reads.c.read_id)).all()
        bring(on_postgresql, unit, at(later), now=later)
    assert in_default(on_postgresql) == 1
    bring(on_postgresql, unit, at(later), now=later)
    assert in_default(on_postgresql) == 0


def test_two_servers_make_a_month_once(on_postgresql: Department) -> None:
    later = datetime(2027, 8, 15, tzinfo=UTC)
    for _ in range(2):
        Months(on_postgresql.engine).ensure([later], later)
    with adding(on_postgresql.engine) as connection:
        make_month(connection, month_of(later))
    assert months(on_postgresql).count(month_of(later)) == 1


def test_nothing_is_asked_where_all_months_are_known(on_postgresql: Department) -> None:
    known, asked = Months(on_postgresql.engine), []
    known.ensure([NOW], NOW)
    event.listen(on_postgresql.engine, "before_cursor_execute", lambda *_: asked.append(1))
    known.ensure([NOW], NOW)
    assert asked == []
