"""A department that outgrew the embedded database finds everything in PostgreSQL, or nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from server.access import Access
from server.actors import Actor
from server.cli import app
from server.database import migrate, reading, writing
from server.department import Department, open_department
from server.errors import SettingsInvalidError
from server.holds import HoldKind, all_holds, place
from server.intake import Intake
from server.moving import move
from server.records import ReadQuery, find_reads
from server.tables import metadata, reads
from tests.databases import Postgresql
from tests.departments import NOW, PASSWORD, Unit, a_department, a_unit
from tests.fakes import a_hit, a_read


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


def bring(department: Department, unit: Unit, count: int) -> None:
    taken = [a_read() for _ in range(count)]
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch(taken, [a_hit(taken[0])]), NOW)


def test_everything_is_found_again(
    department: Department, unit: Unit, postgresql: Postgresql, tmp_path: Path
) -> None:
    bring(department, unit, 30)
    place(
        department.engine,
        HoldKind.PLATE,
        {"plate": "TEST123"},
        authority="court",
        case_number="1",
        actor=Actor("console:a"),
        now=NOW,
    )
    target = postgresql.engine(tmp_path)
    moved = move(department.engine, target, NOW, lambda *_: None)
    assert moved.rows["reads"] == moved.rows["evidence"] == 30
    assert moved.rows["hits"] == 1
    query = ReadQuery()
    with reading(department.engine) as old, reading(target) as new:
        assert find_reads(new, query, 50, 0) == find_reads(old, query, 50, 0)
        for table in metadata.sorted_tables:
            counted = select(func.count()).select_from(table)
            assert new.execute(counted).scalar() == old.execute(counted).scalar(), table.name
    assert Access(target, department.settings.access).log_in("chief", PASSWORD, "192.0.2.1", NOW)
    target.dispose()


def test_the_department_goes_on_where_it_was(
    department: Department, unit: Unit, postgresql: Postgresql, tmp_path: Path
) -> None:
    signed = unit.batch([a_read(), a_read()])
    receipt = Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, signed, NOW
    )
    for number in ("1", "2"):
        place(
            department.engine,
            HoldKind.PLATE,
            {"plate": "TEST123"},
            authority="court",
            case_number=number,
            actor=Actor("console:a"),
            now=NOW,
        )
    target = postgresql.engine(tmp_path)
    move(department.engine, target, NOW, lambda *_: None)
    intake = Intake(target, department.keys, department.folder.quarantine)
    assert intake.take(unit.peer, signed, NOW) == receipt
    intake.take(unit.peer, unit.batch([a_read()]), NOW)
    with reading(target) as connection:
        assert connection.execute(select(func.count()).select_from(reads)).scalar() == 3
    place(
        target,
        HoldKind.PLATE,
        {"plate": "TEST123"},
        authority="court",
        case_number="3",
        actor=Actor("console:a"),
        now=NOW,
    )
    assert [hold.hold_id for hold in all_holds(target)] == [3, 2, 1]
    target.dispose()


def test_a_database_that_holds_something_is_not_written_to(
    department: Department, postgresql: Postgresql, tmp_path: Path
) -> None:
    target = postgresql.engine(tmp_path)
    migrate(target)
    with pytest.raises(SettingsInvalidError, match="nothing is overwritten"):
        move(department.engine, target, NOW, lambda *_: None)
    target.dispose()


def test_what_is_cut_off_leaves_nothing(
    department: Department, unit: Unit, postgresql: Postgresql, tmp_path: Path
) -> None:
    bring(department, unit, 5)

    def cut(name: str, _: int) -> None:
        if name == "reads":
            raise KeyboardInterrupt

    target = postgresql.engine(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        move(department.engine, target, NOW, cut)
    with reading(target) as connection:
        for table in metadata.sorted_tables:
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0
    target.dispose()


def test_a_table_that_nobody_told_of_is_not_left_behind(
    department: Department, postgresql: Postgresql, tmp_path: Path
) -> None:
    with writing(department.engine) as connection:
        connection.exec_driver_sql("CREATE TABLE forgotten (n INTEGER)")
    target = postgresql.engine(tmp_path)
    with pytest.raises(SettingsInvalidError, match="forgotten"):
        move(department.engine, target, NOW, lambda *_: None)
    target.dispose()


def test_an_access_log_that_was_altered_is_not_carried_on(
    department: Department, postgresql: Postgresql, tmp_path: Path
) -> None:
    with writing(department.engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_refuses_update")
        connection.exec_driver_sql("UPDATE audit SET actor = 'nobody' WHERE sequence = 1")
    target = postgresql.engine(tmp_path)
    with pytest.raises(Exception, match="entry 1 was altered"):
        move(department.engine, target, NOW, lambda *_: None)
    target.dispose()


def test_the_command_copies_and_says_what_is_left_to_do(
    department: Department, unit: Unit, postgresql: Postgresql, tmp_path: Path
) -> None:
    bring(department, unit, 3)
    target = postgresql.engine(tmp_path)
    url = target.url.render_as_string(hide_password=False)
    target.dispose()
    root = department.folder.root
    done = CliRunner().invoke(app, ["move", url, "--department", str(root)])
    assert done.exit_code == 0, done.output
    assert "Now write the url into [database]" in done.output
    settings = department.folder.settings
    settings.write_text(settings.read_text().replace('url = ""', f'url = "{url}"', 1))
    moved = open_department(root)
    with reading(moved.engine) as connection:
        assert connection.execute(select(func.count()).select_from(reads)).scalar() == 3
    moved.engine.dispose()
    again = CliRunner().invoke(app, ["move", url, "--department", str(root)])
    assert again.exit_code != 0
