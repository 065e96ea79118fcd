"""`alpr-server check` finds what was altered, lost or cut in the database, and nothing in a whole one."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, delete, event, select, update
from typer.testing import CliRunner

from recognizer.read import PlateRead
from server.audit import Deed, append
from server.check_reads import look
from server.check_structure import lost_by_indexes, structure, without_checksums
from server.checking import MOST_KEPT, Checking, Round, begin, examine, keep, last_ended, unfinished
from server.cli import app
from server.database import is_postgresql, open_database, reading, writing
from server.department import Department
from server.intake import Intake
from server.moving import move
from server.picture_store import FolderStore, PictureKey
from server.pictures import Pictures
from server.records import get_read
from server.tables import audit, batches, contexts, evidence, hits, reads
from server.weekly_check import SERVER, WeeklyCheck
from tests.databases import Database, Postgresql
from tests.departments import NOW, Unit, a_department, a_unit, audited
from tests.fakes import a_hit, a_read
from tests.retention import RULES, Held
from tests.test_server_integrity import bring, odd_reads, with_a_scene
from tests.test_unit_logs import Car

WEEK, DAY = timedelta(days=7), timedelta(days=1)


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


def checking(department: Department) -> Checking:
    return Checking(department.engine, department.keys.receipt.public_key())


def found(department: Department) -> list[str]:
    return [str(finding) for finding in examine(checking(department), NOW).findings]


def everything(department: Department, unit: Unit) -> list[PlateRead]:
    """Bring reads of every shape, in several batches."""
    taken = odd_reads()
    bring(department, unit, taken, [a_hit(read) for read in taken], incident="26-0042")
    taken.append(with_a_scene(department, unit))
    taken += [a_read() for _ in range(5)]
    bring(department, unit, taken[-5:])
    return taken


def alter(engine: Engine, table: Table, where: object = None, **values: object) -> None:
    statement = update(table).values(**values)
    with writing(engine) as connection:
        connection.execute(statement if where is None else statement.where(where))  # type: ignore[arg-type] # a condition


def test_whole_database_has_no_findings(department: Department, unit: Unit) -> None:
    taken = everything(department, unit)
    done = examine(checking(department), NOW)
    assert (done.findings, done.found, done.unchecked, done.reads) == ((), 0, 0, len(taken))
    assert done.ended_at == NOW


def test_every_read_is_looked_at_once_in_steps_of_any_size(department: Department, unit: Unit) -> None:
    taken = everything(department, unit)
    # Several that settled at the same moment, so that a step ends among them.
    same = [replace(a_read(), settled=taken[0].settled) for _ in range(7)]
    bring(department, unit, same)
    for most in (1, 3, 200):
        seen, after = 0, None
        while True:
            looked = look(department.engine, after, most=most)
            assert not looked.findings
            seen, after = seen + looked.reads, looked.after
            if after is None:
                break
        assert seen == len(taken) + len(same)


def test_what_moved_out_and_what_was_purged_is_no_damage(database: Database, tmp_path: Path) -> None:
    department = database.department(tmp_path / "department")
    held = Held(department, a_unit(department, tmp_path / "unit"))
    held.store(held.read(), held.read(days=10))
    held.store(held.read(days=2000), hit=True)
    held.purge(RULES)
    assert len(held.ids()) == 1
    pictures = Pictures(department.engine, FolderStore(tmp_path / "out"), PictureKey(b"k" * 32), DAY)
    pictures.move_out(NOW + 100 * DAY)
    assert found(department) == []
    # Neither is it a purge that took what is missing now.
    with writing(department.engine) as connection:
        for table in (evidence, hits, reads):
            connection.execute(delete(table))
    assert found(department) == ["reads are missing that batches brought and no purge took: 1"]
    department.engine.dispose()


def test_each_kind_of_damage_is_found_and_named_by_its_id(department: Department, unit: Unit) -> None:
    first, second, third, fourth, fifth, scene, *_ = everything(department, unit)
    engine = department.engine
    alter(engine, reads, reads.c.read_id == first.read_id, speed_mps=99.0)
    alter(engine, hits, hits.c.read_id == second.read_id, pattern="OTHER1")
    alter(engine, evidence, evidence.c.read_id == third.read_id, jpeg=b"\xff\xd8")
    with writing(engine) as connection:
        connection.execute(delete(evidence).where(evidence.c.read_id == fifth.read_id))
    alter(engine, reads, reads.c.read_id == fourth.read_id, row_digest=None)
    alter(engine, contexts, jpeg=b"\xff\xd8")
    alter(engine, batches, batches.c.batch_id == "scene", made_at=NOW - DAY)
    assert sorted(found(department)) == sorted(
        [
            f"read is not as it came in: {first.read_id}",
            f"read is not as it came in: {second.read_id}",
            f"picture of a read is not as it came in: {third.read_id}",
            f"picture of a read is not as it came in: {fifth.read_id}",
            f"read without its digest: {fourth.read_id}",
            f"scene of a read is not as it came in: {scene.read_id}",
            "batch is not as it was taken: scene",
        ]
    )


def test_receipt_that_is_not_signed_or_of_another_batch_is_found(department: Department, unit: Unit) -> None:
    for name in ("one", "two", "three"):
        intake = Intake(department.engine, department.keys, department.folder.quarantine)
        intake.take(unit.peer, unit.batch([a_read()], batch_id=name), NOW)
    with reading(department.engine) as connection:
        receipt = connection.execute(
            select(batches.c.receipt).where(batches.c.batch_id == "one")
        ).scalar_one()
    # As a program would that also writes the digests.
    alter(department.engine, batches, batches.c.batch_id == "two", receipt=receipt, row_digest=None)
    alter(department.engine, batches, batches.c.batch_id == "three", receipt=receipt[:-1], row_digest=None)
    told = found(department)
    assert "receipt of another batch: two" in told
    assert "receipt of a batch is not signed by the department: three" in told
    assert len(told) == 2


def test_batch_or_unit_that_is_gone_is_found(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    read = a_read()
    bring(department, a_unit(department, tmp_path / "unit"), [read])
    for statement in ("DELETE FROM batches", "DELETE FROM units"):
        with closing(sqlite3.connect(department.folder.database)) as connection, connection:
            connection.execute(statement)
    assert found(department) == [f"read whose batch is gone: {read.read_id}"]
    department.engine.dispose()


def test_access_log_that_was_altered_is_found(department: Department) -> None:
    with writing(department.engine) as connection:
        for number in range(2500):
            append(connection, Deed("somebody", "reads.view", detail={"read": str(number)}), NOW)
    assert found(department) == []
    with writing(department.engine) as connection:
        newest = select(audit.c.sequence).order_by(audit.c.sequence.desc()).limit(1)
        last = connection.execute(newest).scalar_one()
        connection.exec_driver_sql(
            "DROP TRIGGER audit_refuses_update ON audit"
            if is_postgresql(connection)
            else "DROP TRIGGER audit_refuses_update"
        )
        connection.execute(update(audit).where(audit.c.sequence == last - 3).values(actor="nobody"))
    assert found(department) == [f"the access log is broken: entry {last - 3} was altered"]


def test_log_of_a_unit_that_was_altered_is_found(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    car = Car(department, tmp_path)
    car.do("login", "hit.view", "logout")
    car.courier.work()
    assert found(department) == []
    with closing(sqlite3.connect(department.folder.database)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE unit_log_entries SET action = 'other' WHERE sequence = 2")
    assert found(department) == ["entry of a unit's log is not as it came in: unit-07/1/2"]
    with closing(sqlite3.connect(department.folder.database)) as connection, connection:
        connection.execute("UPDATE unit_log_entries SET data = x'00' WHERE sequence = 2")
    [told] = found(department)
    assert told.startswith("access log of a unit ")
    car.log.close()
    department.engine.dispose()


def test_rows_that_cannot_be_read_do_not_hide_the_others(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    taken = [a_read() for _ in range(6)]
    bring(department, a_unit(department, tmp_path / "unit"), taken)
    with writing(department.engine) as connection:
        for row, change in (
            (2, "settled_at = 'never'"),
            (3, "camera = CAST(x'ff80' AS TEXT)"),
            (5, "frames = 5"),
        ):
            connection.exec_driver_sql(f"UPDATE reads SET {change} WHERE rowid = {row}")
    told = found(department)
    assert [line.rpartition(": ")[2] for line in told] == ["row 2", "row 3", taken[4].read_id]
    assert "cannot be read" in told[0] and "cannot be read" in told[1]
    department.engine.dispose()


@pytest.mark.parametrize("column", ["batch_id", "unit_id", "read_id"])
def test_a_key_that_became_of_another_kind_is_found(tmp_path: Path, column: str) -> None:
    department = a_department(tmp_path / "department")
    taken = everything(department, a_unit(department, tmp_path / "unit"))
    # One bit of a row's header makes a blob of a text; written so, it is that in index and table.
    with closing(sqlite3.connect(department.folder.database)) as raw, raw:
        raw.execute(
            f"UPDATE reads SET {column} = CAST({column} AS BLOB) WHERE read_id = ?", (taken[0].read_id,)
        )
    assert found(department)
    department.engine.dispose()


def test_index_that_does_not_lead_to_a_read_is_found_in_steps(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    unit = a_unit(department, tmp_path / "unit")
    everything(department, unit)
    with reading(department.engine) as connection:
        assert list(lost_by_indexes(connection, reads, 0, 1000)) == []
    department.engine.dispose()
    for index in reads.indexes:
        # A row that the index does not know: made by taking the index away while the row is written.
        path = tmp_path / f"{index.name}.sqlite"
        path.write_bytes(department.folder.database.read_bytes())
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("PRAGMA writable_schema = ON")
            query = "SELECT rootpage, sql FROM sqlite_master WHERE name = ?"
            page, sql = raw.execute(query, (index.name,)).fetchone()
            raw.execute("DELETE FROM sqlite_master WHERE name = ?", (index.name,))
            raw.commit()
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute(
                "UPDATE reads SET plate_folded = 'X', unit_id = 'X', settled_at = '2020-01-01 00:00:00.0',"
                " prefix_first_folded = 'X', prefix_last_folded = 'X', revises = 'X', incident = 'X'"
                " WHERE rowid = 4"
            )
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("PRAGMA writable_schema = ON")
            row = ("index", index.name, "reads", page, sql)
            raw.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
            raw.commit()
        engine = open_database(path)
        with reading(engine) as opened:
            assert list(lost_by_indexes(opened, reads, 0, 1000)) == [(index.name, 4)]
        assert structure(engine, thorough=False)
        engine.dispose()


def test_a_file_that_is_no_database_is_one_finding_a_phase(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    department.engine.dispose()
    department.folder.database.write_bytes(b"not a database" * 1000)
    told = found(department)
    assert told and told[0].startswith("the database file is damaged")
    department.engine.dispose()


def test_large_file_is_asked_table_by_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    department = a_department(tmp_path / "department")
    everything(department, a_unit(department, tmp_path / "unit"))
    monkeypatch.setattr("server.check_structure.SMALL_BYTES", 1)
    asked: list[str] = []
    event.listen(department.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    assert structure(department.engine, thorough=False) == []
    pragmas = {text for text in asked if "check" in text}
    assert "PRAGMA integrity_check('hits')" in pragmas
    assert not any("quick_check" in text or "'reads'" in text or "'evidence'" in text for text in pragmas)
    assert structure(department.engine, thorough=True) == []
    assert "PRAGMA quick_check(20)" in asked
    department.engine.dispose()


def test_reads_of_before_are_counted_apart_until_they_are_adopted(
    department: Department, unit: Unit, tmp_path: Path
) -> None:
    taken = everything(department, unit)
    alter(department.engine, reads, row_digest=None)
    alter(department.engine, batches, row_digest=None)
    pictures = Pictures(department.engine, FolderStore(tmp_path / "out"), PictureKey(b"k" * 32), DAY)
    pictures.move_out(NOW + 1000 * DAY)
    done = examine(checking(department), NOW)
    assert (done.unchecked, done.found) == (len(taken), 0)
    adopting = replace(checking(department), adopt=pictures.fetch)
    assert examine(adopting, NOW).unchecked == 0
    done = examine(checking(department), NOW)
    assert (done.unchecked, done.found) == (0, 0)
    alter(department.engine, reads, reads.c.read_id == taken[0].read_id, speed_mps=99.0)
    alter(department.engine, reads, reads.c.read_id == taken[1].read_id, row_digest=None)
    assert sorted(found(department)) == [
        f"read is not as it came in: {taken[0].read_id}",
        f"read without its digest: {taken[1].read_id}",
    ]


def test_digests_hold_after_the_department_moved(postgresql: Postgresql, tmp_path: Path) -> None:
    old = a_department(tmp_path / "department")
    unit = a_unit(old, tmp_path / "unit")
    taken = everything(old, unit)
    alter(old.engine, reads, reads.c.read_id == taken[0].read_id, speed_mps=99.0)
    target = postgresql.engine(tmp_path)
    move(old.engine, target, NOW, lambda *_: None)
    done = examine(Checking(target, old.keys.receipt.public_key()), NOW)
    assert [str(each) for each in done.findings] == [f"read is not as it came in: {taken[0].read_id}"]
    with reading(target) as connection:
        read = get_read(connection, taken[1].read_id)
    assert read is not None and read.intact
    assert done.reads == len(taken)
    target.dispose()
    old.engine.dispose()


class Ticking:
    """A clock that goes on by *step* with each look at it."""

    def __init__(self, at: datetime, step: timedelta) -> None:
        self.at, self.step = at, step

    def __call__(self) -> datetime:
        self.at += self.step
        return self.at


def test_server_looks_once_a_week_a_little_at_a_time_and_goes_on_after_a_restart(
    department: Department, unit: Unit
) -> None:
    everything(department, unit)
    clock = Ticking(NOW, timedelta(seconds=2))
    key = department.keys.receipt.public_key()
    steps: list[Round] = []
    while not steps or steps[-1].ended_at is None:
        # Each step by a new one, as after a restart.
        step = WeeklyCheck(department.engine, key, WEEK).step(clock)
        assert step is not None
        steps.append(step)
    assert len(steps) >= 6 and len({step.check_id for step in steps}) == 1
    weekly = WeeklyCheck(department.engine, key, WEEK)
    assert weekly.step(clock) is None
    clock.at = NOW + 6 * DAY
    assert weekly.step(clock) is None
    clock.at = NOW + 8 * DAY
    assert weekly.step(clock) is not None
    with reading(department.engine) as connection:
        last = last_ended(connection)
    assert last is not None and (last.found, last.begun_by) == (0, SERVER)
    assert ("server", "database.check", "refused") not in audited(department)


def test_what_the_server_finds_is_on_record(department: Department, unit: Unit) -> None:
    taken = everything(department, unit)
    alter(department.engine, reads, reads.c.read_id == taken[0].read_id, speed_mps=99.0)
    weekly = WeeklyCheck(department.engine, department.keys.receipt.public_key(), WEEK)
    ended = weekly.step(lambda: NOW)
    assert ended is not None and ended.ended_at == NOW
    with reading(department.engine) as connection:
        last = last_ended(connection)
    assert last == ended
    assert [each.which for each in ended.findings] == [taken[0].read_id]
    assert audited(department)[-1] == ("server", "database.check", "refused")


def test_two_instances_do_not_count_a_step_twice(department: Department) -> None:
    begun = begin(department.engine, SERVER, NOW)
    one = checking(department).advance(begun, NOW)
    assert keep(department.engine, begun, one)
    assert not keep(department.engine, begun, one)
    assert unfinished(department.engine, SERVER) == one
    assert unfinished(department.engine, "another") is None


def test_findings_are_kept_up_to_a_number_and_counted_beyond(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    unit = a_unit(department, tmp_path / "unit")
    many: Sequence[PlateRead] = [a_read() for _ in range(MOST_KEPT + 5)]
    bring(department, unit, many)
    alter(department.engine, reads, speed_mps=99.0)
    done = examine(checking(department), NOW)
    assert (len(done.findings), done.found) == (MOST_KEPT, MOST_KEPT + 5)
    department.engine.dispose()


def test_command_says_what_is_wrong_and_ends_with_1(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    taken = everything(department, a_unit(department, tmp_path / "unit"))
    command = ["check", "--department", str(department.folder.root)]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0 and f"{len(taken)} reads looked at, 0 things damaged" in run.output
    alter(department.engine, reads, reads.c.read_id == taken[0].read_id, plate="OTHER1")
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 1
    assert f"read is not as it came in: {taken[0].read_id}" in run.output and "backup" in run.output
    assert "OTHER1" not in run.output and "TEST123" not in run.output
    assert [deed[1:] for deed in audited(department)[-2:]] == [
        ("database.check", "success"),
        ("database.check", "refused"),
    ]
    department.engine.dispose()


def test_command_adopts_what_has_no_digest(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    taken = everything(department, a_unit(department, tmp_path / "unit"))
    alter(department.engine, reads, row_digest=None)
    alter(department.engine, batches, row_digest=None)
    command = ["check", "--department", str(department.folder.root)]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0 and f"{len(taken)} of them are of before" in run.output
    assert CliRunner().invoke(app, [*command, "--adopt"]).exit_code == 0
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0 and "of before" not in run.output
    department.engine.dispose()


def test_postgresql_without_checksums_is_told(database: Database, tmp_path: Path) -> None:
    engine = database.engine(tmp_path / "empty.sqlite")
    with reading(engine) as connection:
        kept = not is_postgresql(connection) or (
            connection.exec_driver_sql("SHOW data_checksums").scalar() == "on"
        )
    assert without_checksums(engine) is not kept
    engine.dispose()
