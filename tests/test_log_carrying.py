"""The access log on a stick, there and back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.log_carrying import CarriedLog, carry_log
from edge.vault import unlock
from server.carried import Brought, take_stick
from server.intake import Intake
from server.unit_logs import UnitLogs, verified_logs
from sync.carried import Stick
from tests.departments import a_department
from tests.test_unit_logs import NOW, Car


@pytest.fixture
def car(tmp_path: Path) -> Iterator[Car]:
    department = a_department(tmp_path / "department")
    made = Car(department, tmp_path)
    yield made
    made.log.close()
    department.engine.dispose()


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


def load(car: Car, stick: Path) -> CarriedLog:
    """At the car."""
    keys = unlock(car.unit.keys)
    return carry_log(
        car.state,
        Stick(stick, "unit-07"),
        storage_key=keys.storage,
        unit_key=keys.signing,
        department=keys.receipts,
    )


def unload(car: Car, stick: Path) -> list[Brought]:
    """At the department."""
    department = car.department
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    logs = UnitLogs(department.engine, department.keys, intake)
    return take_stick(department.engine, intake, stick, actor="console:test", now=NOW, logs=logs)


def test_the_log_goes_on_the_stick_and_only_what_is_new_the_next_time(car: Car, stick: Path) -> None:
    car.do("login", "hits.view")
    assert load(car, stick).line == "access log: entries on the stick 2, at the department 0"
    assert unload(car, stick) == [Brought("unit-07", 0, ())]
    assert car.held() == ["login", "hits.view"]
    car.do("logout")
    assert load(car, stick).line == "access log: entries on the stick 1, at the department 2"
    unload(car, stick)
    assert car.held() == ["login", "hits.view", "logout"]
    assert load(car, stick).line == "access log: entries on the stick 0, at the department 3"


def test_another_stick_brings_it_all_again_and_nothing_is_held_twice(
    car: Car, stick: Path, tmp_path: Path
) -> None:
    car.do("login")
    load(car, stick)
    unload(car, stick)
    car.do("logout")
    other = tmp_path / "other"
    other.mkdir()
    load(car, other)
    assert unload(car, other)[0].faults == ()
    assert car.held() == ["login", "logout"]


def test_what_came_over_a_network_is_not_carried(car: Car, stick: Path) -> None:
    car.do("login", "logout")
    car.courier.work()
    assert load(car, stick).line == "access log: entries on the stick 0, at the department 2"


def test_a_long_log_is_carried_in_pieces_in_their_order(
    car: Car, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.log_carrying.PIECE_RECORDS", 2)
    car.do(*(f"deed.{number}" for number in range(25)))
    load(car, stick)
    assert len(list(stick.rglob("*.piece"))) == 13
    assert unload(car, stick)[0].faults == ()
    assert car.held() == [f"deed.{number}" for number in range(25)]


def test_an_altered_or_a_missing_piece_is_told_and_not_taken(
    car: Car, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.log_carrying.PIECE_RECORDS", 2)
    car.do(*(f"deed.{number}" for number in range(6)))
    load(car, stick)
    pieces = sorted(stick.rglob("*.piece"))
    whole = pieces[1].read_bytes()
    pieces[1].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "not signed by this unit's key" in unload(car, stick)[0].faults[0]
    pieces[1].unlink()
    assert "gap: entry 3 is wanted" in unload(car, stick)[0].faults[0]
    assert car.held() == ["deed.0", "deed.1"]
    load(car, stick)
    assert unload(car, stick)[0].faults == ()
    assert len(car.held()) == 6


def test_a_receipt_of_another_log_is_told(car: Car, stick: Path) -> None:
    car.do("login", "logout")
    load(car, stick)
    unload(car, stick)
    car.log.close()
    (car.state / "access-log.sealed").unlink()
    car.open()
    car.do("something else")
    told = load(car, stick)
    assert told.fault and "a log that is not this one" in told.line


def test_no_plate_that_was_asked_for_stands_open_on_the_stick(car: Car, stick: Path) -> None:
    car.do("reads.search")
    load(car, stick)
    assert b"8ABC012" not in b"".join(path.read_bytes() for path in stick.rglob("*") if path.is_file())
    assert verified_logs(car.department.engine, "unit-07") == []


def test_a_unit_whose_page_nobody_used_has_nothing_to_carry(car: Car, stick: Path) -> None:
    assert not load(car, stick).fault
    (car.state / "access-log.sealed").unlink()
    assert "nobody has used the page" in load(car, stick).line
