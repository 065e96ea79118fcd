"""What only a database of one's own process can suffer: several servers at once, kills, restarts, no room."""

import multiprocessing
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, inspect, select
from typer.testing import CliRunner

from server.cli import app
from server.database import adding, migrate, open_database, reading, require_current, writing
from server.department import Department, open_department
from server.errors import SettingsInvalidError, StoreUnavailableError
from server.intake import Intake, Peer
from server.records import ReadQuery, find_reads
from server.settings import DatabaseSettings, Settings, read_settings
from server.tables import batches, metadata, reads
from sync.batch import SignedBatch
from tests.databases import Database, Postgresql
from tests.departments import NOW, a_stranger, a_unit
from tests.fakes import a_read

Sent = list[tuple[Peer, SignedBatch]]


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


def held(department: Department) -> tuple[int, int]:
    with reading(department.engine) as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (batches, reads)
        ]
    return counts[0], counts[1]


def intake_of(department: Department) -> Intake:
    return Intake(department.engine, department.keys, department.folder.quarantine)


def _take_in_a_process(root: Path, sent: Sent, barrier: Any, results: Any) -> None:
    department = open_department(root)
    barrier.wait(30)
    receipts = {signed.batch_id: intake_of(department).take(peer, signed, NOW) for peer, signed in sent}
    results.put(receipts)
    department.engine.dispose()


def _take_and_die(root: Path, sent: Sent) -> None:
    department = open_department(root)

    def die(connection: Connection) -> None:
        if connection.info.pop("stored", False):
            os.kill(os.getpid(), signal.SIGKILL)

    def note(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO batches"):
            connection.info["stored"] = True

    event.listen(department.engine, "before_cursor_execute", note)
    event.listen(department.engine, "commit", die)
    for peer, signed in sent:
        intake_of(department).take(peer, signed, NOW)


def test_several_servers_taking_the_same_and_different_batches_at_once_store_each_read_once(
    department: Department, tmp_path: Path
) -> None:
    units = [a_unit(department, tmp_path / f"unit-{number}", f"unit-{number}") for number in range(3)]
    shared = [(unit.peer, unit.batch([a_read() for _ in range(20)])) for unit in units]
    own = [(unit.peer, unit.batch([a_read() for _ in range(10)])) for unit in units for _ in range(2)]
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [
        context.Process(
            target=_take_in_a_process,
            args=(department.folder.root, [*shared, *own[number::3]], barrier, results),
        )
        for number in range(3)
    ]
    for worker in workers:
        worker.start()
    receipts = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(30)
    assert held(department) == (9, 3 * 20 + 6 * 10)
    # Whoever was first: all tell the unit the same.
    assert all(len({each[signed.batch_id] for each in receipts}) == 1 for _, signed in shared)


def test_a_server_killed_before_its_commit_leaves_nothing_and_the_next_one_takes_the_batch(
    department: Department, tmp_path: Path
) -> None:
    unit = a_unit(department, tmp_path / "unit")
    signed = unit.batch([a_read() for _ in range(20)])
    process = multiprocessing.get_context("spawn").Process(
        target=_take_and_die, args=(department.folder.root, [(unit.peer, signed)])
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert held(department) == (0, 0)
    first = intake_of(department).take(unit.peer, signed, NOW)
    assert intake_of(department).take(unit.peer, signed, NOW) == first
    assert held(department) == (1, 20)


@contextmanager
def crash_at_commit(department: Department, postgresql: Postgresql) -> Iterator[None]:
    """Let PostgreSQL crash and start again right before the next batch is committed."""
    left = [1]

    def crash(connection: Connection) -> None:
        stored = connection.exec_driver_sql("SELECT count(*) FROM batches").scalar_one()
        if stored and left:
            left.pop()
            postgresql.running.stop(at_once=True)
            postgresql.running.start()

    event.listen(department.engine, "commit", crash)
    yield
    event.remove(department.engine, "commit", crash)


def test_a_database_restarted_in_mid_batch_gives_no_receipt_and_takes_the_batch_afterwards(
    on_postgresql: Department, postgresql: Postgresql, tmp_path: Path
) -> None:
    unit = a_unit(on_postgresql, tmp_path / "unit")
    signed, intake = unit.batch([a_read() for _ in range(20)]), intake_of(on_postgresql)
    with crash_at_commit(on_postgresql, postgresql), pytest.raises(StoreUnavailableError, match="not known"):
        intake.take(unit.peer, signed, NOW)
    assert held(on_postgresql) == (0, 0)
    intake.take(unit.peer, signed, NOW)
    assert held(on_postgresql) == (1, 20)


def test_a_server_lives_through_a_restart_between_two_batches(
    on_postgresql: Department, postgresql: Postgresql, tmp_path: Path
) -> None:
    unit, intake = a_unit(on_postgresql, tmp_path / "unit"), intake_of(on_postgresql)
    intake.take(unit.peer, unit.batch([a_read()]), NOW)
    postgresql.running.stop()
    with pytest.raises(StoreUnavailableError):
        intake.take(unit.peer, unit.batch([a_read()]), NOW)
    postgresql.running.start()
    intake.take(unit.peer, unit.batch([a_read()]), NOW)
    assert held(on_postgresql) == (2, 2)


def test_too_many_connections_are_a_reason_to_wait(on_postgresql: Department, postgresql: Postgresql) -> None:
    name = on_postgresql.engine.url.database
    postgresql.running.run("CREATE ROLE limited LOGIN CONNECTION LIMIT 1", "postgres")
    url = on_postgresql.settings.database.url.replace("//postgres@", "//limited@")
    engine = open_database(Path("unused"), url)
    with engine.connect(), pytest.raises(StoreUnavailableError) as caught, reading(engine):
        pass
    engine.dispose()
    assert str(name) not in str(caught.value) and "limited" not in str(caught.value)
    postgresql.running.run("DROP ROLE limited", "postgres")


def test_writers_wait_for_each_other_and_batches_wait_for_none(
    on_postgresql: Department, tmp_path: Path
) -> None:
    unit = a_unit(on_postgresql, tmp_path / "unit")
    signed = unit.batch([a_read()])
    with writing(on_postgresql.engine), ThreadPoolExecutor(1) as pool:
        receipt = pool.submit(intake_of(on_postgresql).take, unit.peer, signed, NOW)
        assert receipt.result(timeout=20)

        def try_to_write() -> None:
            with writing(on_postgresql.engine):
                pass

        def impatient(connection: Connection) -> None:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")

        event.listen(on_postgresql.engine, "begin", impatient)
        with pytest.raises(StoreUnavailableError, match="LockNotAvailable"):
            pool.submit(try_to_write).result(timeout=20)
        event.remove(on_postgresql.engine, "begin", impatient)


def test_what_a_writer_read_is_still_so_when_it_writes(database: Database, tmp_path: Path) -> None:
    engine = database.engine(tmp_path / "counter.sqlite")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE counter (value integer)")
        connection.exec_driver_sql("INSERT INTO counter VALUES (0)")

    def count(_: int) -> None:
        with writing(engine) as connection:
            value = connection.exec_driver_sql("SELECT value FROM counter").scalar_one()
            connection.exec_driver_sql(f"UPDATE counter SET value = {value + 1}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(40)))
    with reading(engine) as connection:
        assert connection.exec_driver_sql("SELECT value FROM counter").scalar_one() == 40
    engine.dispose()


def test_a_reader_sees_one_state_while_others_write(database: Database, tmp_path: Path) -> None:
    engine = database.engine(tmp_path / "view.sqlite")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE one (value integer)")
    with ExitStack() as stack:
        view = stack.enter_context(reading(engine))
        assert view.exec_driver_sql("SELECT count(*) FROM one").scalar_one() == 0
        if database.name == "postgresql":
            with adding(engine) as connection:
                connection.exec_driver_sql("INSERT INTO one VALUES (1)")
        assert view.exec_driver_sql("SELECT count(*) FROM one").scalar_one() == 0
    engine.dispose()


def test_nobody_writes_while_reading(postgresql: Postgresql, tmp_path: Path) -> None:
    engine = postgresql.engine(tmp_path)
    with pytest.raises(Exception, match="read-only"), reading(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE x (y integer)")
    engine.dispose()


def test_a_department_is_founded_in_an_empty_database_alone(postgresql: Postgresql, tmp_path: Path) -> None:
    url = postgresql.running.make("founded")
    made = a_stranger(tmp_path / "one", url)
    require_current(made.engine)
    made.engine.dispose()
    assert not made.folder.database.exists()
    with pytest.raises(SettingsInvalidError, match="nothing is overwritten"):
        a_stranger(tmp_path / "two", url)
    assert not (tmp_path / "two").exists()


def test_migrating_twice_changes_nothing(postgresql: Postgresql, tmp_path: Path) -> None:
    engine = postgresql.engine(tmp_path)
    with pytest.raises(SettingsInvalidError, match="form none"):
        require_current(engine)
    migrate(engine)
    migrate(engine)
    require_current(engine)
    engine.dispose()


def test_both_databases_have_the_same_tables_and_columns(postgresql: Postgresql, tmp_path: Path) -> None:
    engines = [open_database(tmp_path / "one.sqlite"), postgresql.engine(tmp_path)]
    forms = []
    for engine in engines:
        migrate(engine)
        found = inspect(engine)
        forms.append(
            {
                table: {(column["name"], column["nullable"]) for column in found.get_columns(table)}
                for table in found.get_table_names()
                if not re.search(r"_(default|[0-9]{4}_[0-9]{2})$|^sqlite_", table)
            }
        )
        engine.dispose()
    assert forms[1].pop("read_ids") == {("key", False), ("settled_at", False)}
    # By it PostgreSQL finds the month, so it is never left out there.
    forms[1]["evidence"] = {
        (name, nullable or name == "settled_at") for name, nullable in forms[1]["evidence"]
    }
    assert forms[0] == forms[1]
    assert forms[0].keys() - {"alembic_version"} == metadata.tables.keys()


def test_without_trigrams_parts_of_plates_are_found_all_the_same(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    url = postgresql.running.make("plain")
    postgresql.running.run("CREATE ROLE plain LOGIN", "postgres")
    postgresql.running.run("GRANT CREATE ON SCHEMA public TO plain", "plain")
    made = a_stranger(tmp_path / "department", url.replace("//postgres@", "//plain@"))
    unit = a_unit(made, tmp_path / "unit")
    intake_of(made).take(unit.peer, unit.batch([a_read(plate="7ABC123")]), NOW)
    with reading(made.engine) as connection:
        assert (
            connection.exec_driver_sql(
                "SELECT 1 FROM pg_indexes WHERE indexdef LIKE '%%gin_trgm_ops%%'"
            ).first()
            is None
        )
        assert len(find_reads(connection, ReadQuery("ABC", anywhere=True), 5, 0)) == 1
    made.engine.dispose()


def test_parts_of_plates_are_found_by_an_index(on_postgresql: Department) -> None:
    with reading(on_postgresql.engine) as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = connection.exec_driver_sql(
            "EXPLAIN SELECT read_id FROM reads WHERE plate_folded LIKE '%%ABC%%'"
        ).scalars()
        assert "trgm" in (text := " ".join(plan)) or "plate_folded_prefix" in text


def test_init_founds_in_the_database_named_and_prints_no_url(postgresql: Postgresql, tmp_path: Path) -> None:
    url = postgresql.running.make("by-command")
    result = CliRunner().invoke(app, ["init", str(tmp_path / "a"), "--database-url", url])
    assert result.exit_code == 0, result.output
    assert "postgresql" not in result.output
    made = open_department(tmp_path / "a")
    assert made.engine.dialect.name == "postgresql"
    made.engine.dispose()


@pytest.mark.parametrize(
    "url", ["mysql://u:hush@host/d", "postgresql://u:hush@host/d", "hush", "postgresql+psycopg2://u:hush@h/d"]
)
def test_a_url_of_another_database_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsInvalidError, match=r"\[database\] url") as caught:
        open_database(tmp_path / "x", url)
    assert "hush" not in str(caught.value)


def test_a_password_in_the_url_is_never_shown(tmp_path: Path) -> None:
    url = "postgresql+psycopg://u:hush@127.0.0.1:1/d"
    path = tmp_path / "server.toml"
    path.write_text(f'[database]\nurl = "{url}"\n')
    settings = read_settings(path)
    assert settings.database.url == url
    engine = open_database(tmp_path / "x", url)
    with pytest.raises(StoreUnavailableError) as caught, reading(engine):
        pass
    shown = [settings, Settings(database=DatabaseSettings(url)), engine, caught.value, caught.value.__cause__]
    assert not any("hush" in repr(each) + str(each) for each in shown)


def test_a_time_is_given_back_as_it_was_stored(department: Department, tmp_path: Path) -> None:
    unit = a_unit(department, tmp_path / "unit")
    read = a_read()
    intake_of(department).take(
        unit.peer, unit.batch([read]), datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=UTC)
    )
    with reading(department.engine) as connection:
        assert connection.execute(select(reads.c.settled_at)).scalar_one() == read.settled.utc
        assert connection.execute(select(batches.c.received_at)).scalar_one().microsecond == 123456
