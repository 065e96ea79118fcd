"""The access log: appended, never changed, and a change shows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from server.audit import AuditHead, Deed, append, verify
from server.database import is_postgresql, migrate, reading, writing
from server.errors import AuditBrokenError
from tests.databases import Database
from tests.departments import NOW


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Iterator[Engine]:
    engine = database.engine(tmp_path / "log.sqlite")
    migrate(engine)
    with writing(engine) as connection:
        for number in range(5):
            deed = Deed("officer", "reads.search", case_number=f"26-{number}", detail={"plate": "TEST*"})
            append(connection, deed, NOW + timedelta(seconds=number))
    yield engine
    engine.dispose()


def head_of(log: Engine, noted: AuditHead | None = None) -> AuditHead:
    with reading(log) as connection:
        return verify(connection, noted)


def tamper(log: Engine, statement: str) -> None:
    """Change the log as somebody would who owns the database."""
    with writing(log) as connection:
        if is_postgresql(connection):
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
            statement = statement.replace("zeroblob(32)", f"decode('{bytes(32).hex()}', 'hex')")
        else:
            connection.execute(text("DROP TRIGGER audit_refuses_update"))
            connection.execute(text("DROP TRIGGER audit_refuses_delete"))
        connection.execute(text(statement))


def test_an_untouched_log_is_whole(log: Engine) -> None:
    assert head_of(log).sequence == 5


def test_an_empty_log_is_whole(database: Database, tmp_path: Path) -> None:
    engine = database.engine(tmp_path / "empty.sqlite")
    migrate(engine)
    assert head_of(engine).sequence == 0
    engine.dispose()


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"])
def test_the_database_itself_refuses_a_change(log: Engine, statement: str) -> None:
    with pytest.raises(IntegrityError, match="append-only"), writing(log) as connection:
        connection.execute(text(statement))
    assert head_of(log).sequence == 5


@pytest.mark.parametrize(
    "change",
    [
        "at = '2020-01-01 00:00:00.000000'",
        "actor = 'nobody'",
        "action = 'units.view'",
        "outcome = 'refused'",
        "purpose = 'audit'",
        "case_number = ''",
        "source = '192.0.2.1'",
        "detail = '{}'",
        "digest = zeroblob(32)",
        "previous = zeroblob(32)",
    ],
)
def test_a_change_of_any_field_shows(log: Engine, change: str) -> None:
    tamper(log, f"UPDATE audit SET {change} WHERE sequence = 3")
    with pytest.raises(AuditBrokenError, match=r"entry [34] "):
        head_of(log)


def test_a_removed_entry_shows(log: Engine) -> None:
    tamper(log, "DELETE FROM audit WHERE sequence = 3")
    with pytest.raises(AuditBrokenError, match="entry 3 is missing"):
        head_of(log)


def test_removing_the_first_entries_shows(log: Engine) -> None:
    tamper(log, "DELETE FROM audit WHERE sequence < 3")
    with pytest.raises(AuditBrokenError, match="entry 1 is missing"):
        head_of(log)


def test_an_entry_that_moved_to_anothers_place_shows(log: Engine) -> None:
    tamper(log, "UPDATE audit SET sequence = 9 WHERE sequence = 2")
    with pytest.raises(AuditBrokenError):
        head_of(log)


def test_a_cut_at_the_end_shows_to_who_noted_the_head(log: Engine) -> None:
    noted = head_of(log)
    tamper(log, "DELETE FROM audit WHERE sequence > 3")
    assert head_of(log).sequence == 3
    with pytest.raises(AuditBrokenError, match="cut"):
        head_of(log, noted)


def test_a_log_that_grew_still_holds_the_noted_head(log: Engine) -> None:
    noted = head_of(log)
    with writing(log) as connection:
        append(connection, Deed("officer", "units.view"), NOW)
    assert head_of(log, noted).sequence == 6


def test_entries_of_many_writers_at_once_are_one_chain(log: Engine) -> None:
    def write(number: int) -> int:
        with writing(log) as connection:
            return append(connection, Deed(f"officer-{number}", "units.view"), NOW).sequence

    with ThreadPoolExecutor(8) as pool:
        given = sorted(pool.map(write, range(40)))
    assert given == list(range(6, 46))
    assert head_of(log).sequence == 45


def test_an_entry_falls_with_the_deed_it_belongs_to(log: Engine) -> None:
    with pytest.raises(RuntimeError), writing(log) as connection:
        append(connection, Deed("officer", "units.view"), NOW)
        raise RuntimeError("the deed failed")
    assert head_of(log).sequence == 5


def test_odd_text_is_kept_and_verified(log: Engine) -> None:
    with writing(log) as connection:
        append(connection, Deed("officer", "x", detail={"asked": "Ł\x00\udc80 ', \"] --"}), NOW)
    assert head_of(log).sequence == 6
