"""The access log on its way to the department: held once, in order, and every gap or fork is an alarm."""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from edge.access_log import AccessLog
from edge.log_courier import ACKNOWLEDGED_NAME, LOOK_S, PIECE_RECORDS, LogCourier
from edge.vault import unlock
from server.access import Role, add_account
from server.cli import app
from server.database import reading, writing
from server.department import Department
from server.errors import AuditBrokenError, LogConflictError, SettingsInvalidError
from server.intake import Intake
from server.tables import accounts
from server.unit_logs import UnitLogs, begin_log_anew, verified_logs
from sync.access_log import Deed, LogHead, LogPiece, decode_log_receipt, encode_piece, open_detail, start
from sync.config import SyncConfig
from sync.errors import RefusedError, SealBrokenError, UnreachableError
from sync.session import Session
from tests.clocks import FakeClock
from tests.departments import PASSWORD, Unit, a_department, a_unit, audited

NOW = datetime.now(UTC)


class Link:
    """Fills `LogTransport`: the real taker of a real department, without a network."""

    def __init__(self, department: Department, unit: Unit) -> None:
        self.fates: deque[Exception | str] = deque()
        self.pieces = 0
        self._unit = unit
        intake = Intake(department.engine, department.keys, department.folder.quarantine)
        self.logs = UnitLogs(department.engine, department.keys, intake)

    def send_log(self, payload: bytes, signature: bytes) -> bytes:
        fate = self.fates.popleft() if self.fates else None
        if isinstance(fate, Exception):
            raise fate
        self.pieces += 1
        try:
            receipt = self.logs.take(self._unit.peer, payload, signature, NOW)
        except LogConflictError as error:
            raise RefusedError(str(error), status=409) from error
        if fate == "lost":
            raise UnreachableError("the receipt was lost")
        return receipt[:-1] + bytes([receipt[-1] ^ 1]) if fate == "altered" else receipt


class Car:
    """An enrolled unit with its log and what brings it."""

    def __init__(self, department: Department, folder: Path) -> None:
        self.department = department
        self.unit = a_unit(department, folder / "unit")
        self.state = folder / "state"
        self.state.mkdir()
        self.link = Link(department, self.unit)
        self.clock = FakeClock()
        self.open()

    def open(self) -> None:
        """Begin anew on what is on the disk, as after a restart."""
        keys = unlock(self.unit.keys)
        self.log = AccessLog(
            self.state,
            unit_id=self.unit.unit_id,
            storage_key=keys.storage,
            signing=keys.signing,
            department=keys.department,
            clock=self.clock,
        )
        self.courier = LogCourier(
            self.log,
            self.state,
            Session(SyncConfig(), lambda: 0.5),
            self.link,
            unit_id=self.unit.unit_id,
            unit_key=keys.signing,
            department=keys.receipts,
            storage_key=keys.storage,
            clock=lambda: self.clock.now().utc,
        )

    def restart(self) -> None:
        self.log.close()
        self.open()

    def do(self, *actions: str) -> None:
        for action in actions:
            secret = {"asked": "8ABC012"} if action == "reads.search" else {}
            detail = {"hit": "hit-1", "rung": "plate"} if action == "hit.verify" else {}
            self.log.append(Deed("reyes", "officer", action, detail=detail, secret=secret))

    def held(self) -> list[str]:
        """What the department has of the newest log."""
        logs = verified_logs(self.department.engine, self.unit.unit_id)
        return [entry.action for entry in logs[-1].entries] if logs else []


@pytest.fixture
def car(tmp_path: Path) -> Iterator[Car]:
    department = a_department(tmp_path / "department")
    made = Car(department, tmp_path)
    yield made
    made.log.close()
    department.engine.dispose()


def test_the_log_goes_to_the_department_and_on_from_there(car: Car) -> None:
    assert car.courier.work() == LOOK_S and car.link.pieces == 0  # nobody did anything yet
    car.do("login", "hits.view")
    car.courier.work()
    assert car.held() == ["login", "hits.view"]
    car.do("reads.search")
    car.restart()
    car.courier.work()
    assert car.held() == ["login", "hits.view", "reads.search"]
    assert car.courier.acknowledged == car.log.head
    assert car.courier.work() == LOOK_S and car.link.pieces == 2


def test_a_long_log_goes_in_pieces(car: Car) -> None:
    car.do(*["hits.view"] * (PIECE_RECORDS + 3))
    assert car.courier.work() < LOOK_S
    assert len(car.held()) == PIECE_RECORDS
    car.courier.work()
    assert len(car.held()) == PIECE_RECORDS + 3


@pytest.mark.parametrize("fate", ["lost", "altered"])
def test_a_piece_whose_receipt_does_not_come_is_sent_again_and_held_once(car: Car, fate: str) -> None:
    car.do("login", "hits.view")
    car.link.fates.append(fate)
    car.courier.work()
    assert car.courier.acknowledged.sequence == 0
    car.do("logout")
    car.clock.advance(600)
    car.courier.work()
    assert car.held() == ["login", "hits.view", "logout"]
    assert car.courier.acknowledged == car.log.head and car.courier.fault == ""


def test_a_server_that_is_away_is_waited_for(car: Car) -> None:
    car.do("login")
    car.link.fates.extend([UnreachableError("away")] * 3)
    for _ in range(3):
        car.courier.work()
        car.courier.work()  # at once: too early
        car.clock.advance(600)
    assert not car.link.fates and car.held() == []
    car.courier.work()
    assert car.held() == ["login"]


def test_a_lost_acknowledgement_costs_one_exchange(car: Car) -> None:
    car.do("login", "logout")
    car.courier.work()
    (car.state / ACKNOWLEDGED_NAME).unlink()
    car.restart()
    car.courier.work()
    assert car.held() == ["login", "logout"] and car.courier.acknowledged == car.log.head


def test_an_unused_page_sends_nothing(car: Car) -> None:
    car.courier.work()
    assert car.link.pieces == 0
    assert verified_logs(car.department.engine, "unit-07") == []


def _piece(car: Car, first: int, last: int) -> tuple[bytes, bytes]:
    records = car.log.records(first - 1, last - first + 1)
    return encode_piece(LogPiece("unit-07", records), unlock(car.unit.keys).signing)


def test_a_gap_is_refused_and_recorded(car: Car) -> None:
    car.do("login", "hits.view", "logout")
    with pytest.raises(LogConflictError, match="gap: entry 1 is wanted, the piece begins with 2"):
        car.link.logs.take(car.unit.peer, *_piece(car, 2, 3), NOW)
    assert car.held() == []
    assert audited(car.department)[-1] == ("unit:unit-07", "unit_log.refuse", "refused")


def test_a_log_that_was_cut_and_written_anew_is_a_fork(car: Car) -> None:
    car.do("login", "hits.view", "logout")
    car.courier.work()
    car.log.close()
    (car.state / "access-log.sealed").unlink()
    car.open()
    car.do("login", "something else")
    car.courier.work()
    assert "fork: entry 2 is another than the one that is held" in car.courier.fault
    assert car.held() == ["login", "hits.view", "logout"]
    assert audited(car.department)[-1] == ("unit:unit-07", "unit_log.refuse", "refused")
    run = CliRunner().invoke(
        app, ["audit", "unit", "unit-07", "--department", str(car.department.folder.root)]
    )
    assert "3 entries, unbroken" in run.output and "a piece was refused: fork: entry 2" in run.output
    # A person at the department has seen to it: the new log is taken beside the old one.
    begin_log_anew(car.department.engine, "unit-07", actor="console:test", now=NOW)
    car.clock.advance(4000)
    car.courier.work()
    assert car.courier.fault == ""
    logs = verified_logs(car.department.engine, "unit-07")
    assert [[entry.action for entry in each.entries] for each in logs] == [
        ["login", "hits.view", "logout"],
        ["login", "something else"],
    ]


def test_a_unit_that_is_enrolled_anew_begins_a_new_log(car: Car, tmp_path: Path) -> None:
    car.do("login")
    car.courier.work()
    car.log.close()
    car.unit = a_unit(car.department, tmp_path / "again")
    car.link = Link(car.department, car.unit)
    car.open()
    assert "set aside" in car.log.fault
    car.do("login", "logout")
    car.courier.work()
    logs = verified_logs(car.department.engine, "unit-07")
    assert [[entry.action for entry in each.entries] for each in logs] == [
        ["login"],
        ["log.begin", "login", "logout"],
    ]


def test_a_piece_of_another_unit_or_key_is_refused(car: Car, tmp_path: Path) -> None:
    car.do("login")
    payload, signature = _piece(car, 1, 1)
    other = a_unit(car.department, tmp_path / "other", "unit-08")
    with pytest.raises(SealBrokenError):
        car.link.logs.take(other.peer, payload, signature, NOW)
    with pytest.raises(SealBrokenError):
        car.link.logs.take(car.unit.peer, payload, bytes([signature[0] ^ 1]) + signature[1:], NOW)
    assert car.held() == []


def test_a_piece_without_entries_asks_how_far_the_log_is_held(car: Car) -> None:
    car.do("login")
    car.courier.work()
    keys = unlock(car.unit.keys)
    for unit_id, head in (("unit-07", car.log.head),):
        payload, signature = encode_piece(LogPiece(unit_id, ()), keys.signing)
        data = car.link.logs.take(car.unit.peer, payload, signature, NOW)
        assert decode_log_receipt(data, keys.receipts, unit_id).head == head


def test_what_is_held_cannot_be_changed_and_an_altered_database_is_found(car: Car) -> None:
    car.do("login", "hits.view", "logout")
    car.courier.work()
    for statement in (
        "UPDATE unit_log_entries SET actor = 'x'",
        "DELETE FROM unit_log_entries",
        "UPDATE unit_logs SET beginning = 7",
        "DELETE FROM unit_logs",
    ):
        with pytest.raises(IntegrityError, match="append-only"), writing(car.department.engine) as connection:
            connection.execute(text(statement))
    noted = verified_logs(car.department.engine, "unit-07")[0].head
    with writing(car.department.engine) as connection:
        connection.execute(text("DROP TRIGGER unit_log_entries_refuses_delete"))
        connection.execute(text("DELETE FROM unit_log_entries WHERE sequence = 3"))
    assert car.held() == ["login", "hits.view"]
    with pytest.raises(AuditBrokenError, match="entry 3, noted earlier, is gone"):
        verified_logs(car.department.engine, "unit-07", noted)
    with writing(car.department.engine) as connection:
        connection.execute(text("DELETE FROM unit_log_entries WHERE sequence = 1"))
    with pytest.raises(AuditBrokenError, match="entry 1 is missing"):
        verified_logs(car.department.engine, "unit-07")


def test_an_account_that_is_used_on_units_alone_is_not_idle(car: Car) -> None:
    long_ago, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
    add_account(car.department.engine, "reyes", Role.OFFICER, PASSWORD, later.date(), actor="x", now=long_ago)
    car.log.append(Deed("reyes", "officer", "login", "refused"))
    car.log.append(Deed("unknown", "", "login", "refused"))
    car.courier.work()
    assert _active_at(car) == long_ago
    car.do("login")
    car.courier.work()
    assert _active_at(car) == car.clock.now().utc < NOW
    # A unit's clock that is ahead keeps no account open beyond its time.
    car.clock.advance(3650 * 86400)
    car.do("login")
    car.courier.work()
    assert _active_at(car) == NOW


def _active_at(car: Car) -> datetime:
    with reading(car.department.engine) as connection:
        found: datetime = connection.execute(
            select(accounts.c.active_at).where(accounts.c.name == "reyes")
        ).scalar_one()
        return found


def test_dispositions_can_be_asked_for_by_hit(car: Car) -> None:
    car.do("hits.view", "hit.verify")
    car.courier.work()
    with reading(car.department.engine) as connection:
        rows = connection.execute(text("SELECT actor, action FROM unit_log_entries WHERE hit_id = 'hit-1'"))
        assert [tuple(row) for row in rows] == [("reyes", "hit.verify")]


def test_the_department_alone_opens_what_was_asked_for(car: Car) -> None:
    car.do("reads.search")
    car.courier.work()
    [log] = verified_logs(car.department.engine, "unit-07")
    assert open_detail(log.entries[0], "unit-07", car.department.keys.unseal) == {"asked": "8ABC012"}
    assert b"8ABC012" not in car.department.folder.database.read_bytes()


def test_the_command_verifies_and_prints_and_is_recorded(car: Car) -> None:
    car.do("login", "reads.search", "logout")
    car.courier.work()
    root = ["--department", str(car.department.folder.root)]
    run = CliRunner().invoke(app, ["audit", "unit", "unit-07", *root, "--newest", "2"])
    assert run.exit_code == 0, run.output
    assert "log 1, begun" in run.output and "3 entries, unbroken" in run.output
    assert f"head {car.log.head}" in run.output
    assert "reads.search" in run.output and "login" not in run.output and "8ABC012" not in run.output
    opened = CliRunner().invoke(app, ["audit", "unit", "unit-07", *root, "--newest", "2", "--plates"])
    assert "asked: 8ABC012" in opened.output
    assert audited(car.department)[-1][1] == "unit_log.view"
    noted = LogHead(3, bytes(32))
    broken = CliRunner().invoke(app, ["audit", "unit", "unit-07", *root, "--head", str(noted)])
    assert isinstance(broken.exception, AuditBrokenError)
    unknown = CliRunner().invoke(app, ["audit", "unit", "unit-99", *root])
    assert isinstance(unknown.exception, SettingsInvalidError)


def test_the_units_own_command_verifies_it_against_what_the_department_has(
    car: Car, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge.cli import main

    config = car.unit.folder / "config.toml"
    config.write_text(config.read_text().replace("/var/lib/alpr-edge", str(car.state)))
    car.do("login", "hits.view")
    car.courier.work()
    car.do("logout")
    assert main(["log", "verify", "--config", str(config)]) == 0
    told = capsys.readouterr().out
    assert "3 entries, unbroken; the department has 2 of them" in told and f"head {car.log.head}" in told
    head = str(car.log.head)
    car.log.close()
    whole = (car.state / "access-log.sealed").read_bytes()
    (car.state / "access-log.sealed").unlink()
    car.open()
    car.do("login")
    assert main(["log", "verify", "--config", str(config)]) == 1
    assert "entry 2, noted earlier, is gone" in capsys.readouterr().err
    (car.state / "access-log.sealed").write_bytes(whole)
    assert main(["log", "verify", "--config", str(config), "--head", head]) == 0
    assert main(["log", "verify", "--config", str(config), "--head", "7"]) == 64


def test_nothing_can_begin_anew_that_never_began(car: Car) -> None:
    with pytest.raises(SettingsInvalidError, match="no access log of it is held"):
        begin_log_anew(car.department.engine, "unit-07", actor="console:test", now=NOW)
    assert start("unit-07") != start("unit-08")
