"""Reads go to the department on a stick, and receipts come back: what is lost or altered is carried again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from edge.carrying import Carried, visit
from edge.cli import main
from server import carried as server_carried
from server.cli import app
from server.database import reading
from server.department import Department
from server.enrolment import revoke
from server.intake import Intake
from server.tables import reads
from sync.carried import Stick, units_on
from sync.config import SyncConfig
from sync.errors import DiskFullError
from sync.outbox import Outbox, open_outbox
from sync.record import encode_record
from tests.departments import NOW, Unit, a_department, a_stranger, a_unit, audited
from tests.fakes import a_read

CONFIG = SyncConfig(batch_reads=4)


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


class Car:
    """A unit with an outbox, and the stick between it and its department."""

    def __init__(self, department: Department, folder: Path, name: str = "unit-07") -> None:
        self.department = department
        self.unit: Unit = a_unit(department, folder / name, name)
        self.outbox: Outbox = open_outbox(folder / f"{name}.db")
        self.root = folder / "stick"
        self.root.mkdir(exist_ok=True)
        self.stick = Stick(self.root, name)

    def store(self, count: int) -> None:
        sealer = self.unit.sealer()
        made = [a_read() for _ in range(count)]
        records = [(read.read_id, encode_record(self.unit.unit_id, read, ())) for read in made]
        self.outbox.append([sealer.seal(name, record) for name, record in records], sealer.epoch, NOW)

    def visit(self) -> Carried:
        return visit(
            self.outbox,
            self.stick,
            CONFIG,
            unit_key=self.unit.signing_key,
            department=self.unit.receipt_key,
            now=NOW,
        )

    def bring(self) -> list[server_carried.Brought]:
        """What the department does with the stick."""
        engine, keys = self.department.engine, self.department.keys
        intake = Intake(engine, keys, self.department.folder.quarantine)
        return server_carried.take_stick(engine, intake, self.root, actor="console:anne", now=NOW)

    def held(self) -> int:
        with reading(self.department.engine) as connection:
            return connection.execute(select(func.count()).select_from(reads)).scalar_one()

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def car(department: Department, tmp_path: Path) -> Iterator[Car]:
    made = Car(department, tmp_path)
    yield made
    made.outbox.close()


def test_reads_go_out_and_receipts_come_back_and_the_stick_is_empty(car: Car) -> None:
    car.store(10)
    out = car.visit()
    assert (out.batches, out.reads, out.receipts) == (3, 10, 0)
    assert [each.batches for each in car.bring()] == [3]
    assert car.held() == 10
    back = car.visit()
    assert (back.receipts, back.receipted_reads, back.batches, back.faults) == (3, 10, 0, ())
    assert car.files() == []
    assert (car.outbox.counts().queued, car.outbox.counts().acknowledged) == (0, 10)


def test_what_came_meanwhile_goes_on_the_next_stick(car: Car) -> None:
    car.store(3)
    car.visit()
    car.bring()
    car.store(2)
    back = car.visit()
    assert (back.receipted_reads, back.reads) == (3, 2)


def test_visit_without_the_department_in_between_writes_nothing_new(car: Car) -> None:
    car.store(10)
    car.visit()
    before = [(path, path.stat().st_mtime_ns) for path in car.files()]
    assert car.visit().batches == 3
    assert [(path, path.stat().st_mtime_ns) for path in car.files()] == before


def test_batch_that_also_went_over_the_network_is_held_once(car: Car) -> None:
    car.store(3)
    car.visit()
    batch = car.outbox.make_batch(unit_id="unit-07", limit_reads=4, limit_bytes=10**6, now=NOW)
    assert batch is not None
    engine, keys = car.department.engine, car.department.keys
    intake = Intake(engine, keys, car.department.folder.quarantine)
    intake.take(car.unit.peer, car.stick.batch(batch.batch_id), NOW)
    car.bring()
    assert car.held() == 3
    assert car.visit().receipted_reads == 3


def test_receipt_of_a_batch_that_was_given_up_meanwhile_counts(car: Car) -> None:
    car.store(10)
    car.visit()
    assert car.outbox.cut(next(car.stick.batches())), "too much for a slow network, while the stick was away"
    car.bring()
    back = car.visit()
    assert (back.receipts, back.batches, back.faults) == (3, 0, ())
    assert (car.held(), car.outbox.counts().queued, car.files()) == (10, 0, [])
    assert car.outbox.purge() == 10


def test_read_that_went_bad_after_the_stick_left_is_not_told_as_lost(car: Car) -> None:
    car.store(4)
    car.visit()
    car.outbox._connection.execute("UPDATE reads SET sealed = x'00' WHERE sequence = 2")
    list(car.outbox.open_batches(unit_id="unit-07", limit_reads=9, limit_bytes=10**7, now=NOW))
    assert car.outbox.counts().damaged == 1
    car.bring()
    assert car.visit().faults == ()
    assert (car.held(), car.outbox.counts().damaged) == (4, 0)
    car.bring()
    car.visit()
    assert (car.held(), car.outbox.counts().queued) == (4, 0)


def test_what_only_looks_like_a_batch_is_told_and_stops_nothing(car: Car) -> None:
    car.store(3)
    car.visit()
    [batch] = car.files()
    batch.with_name("._" + batch.name).write_bytes(b"a note of another system")
    batch.with_name(batch.stem + " (1).batch").write_bytes(batch.read_bytes())
    assert [each.batches for each in car.bring()] == [1]
    back = car.visit()
    assert (back.receipts, back.faults) == (1, (f"{batch.stem} (1).batch: no batch of a unit; left alone",))


def test_lost_stick_costs_nothing_but_the_way(car: Car, tmp_path: Path) -> None:
    car.store(5)
    car.visit()
    car.stick = Stick(tmp_path / "another", "unit-07")
    car.root = tmp_path / "another"
    assert car.visit().reads == 5
    car.bring()
    assert car.visit().receipted_reads == 5


@pytest.mark.parametrize("damage", [b"", b"rubbish", bytes(5000)])
def test_altered_receipt_is_not_taken_and_the_reads_stay(car: Car, damage: bytes) -> None:
    car.store(3)
    car.visit()
    car.bring()
    [receipt] = [path for path in car.files() if path.suffix == ".receipt"]
    receipt.write_bytes(damage)
    back = car.visit()
    assert (back.receipts, back.reads, len(back.faults)) == (0, 3, 1)
    assert car.outbox.counts().queued == 3
    car.bring()  # once more: the same receipt again
    assert car.visit().receipted_reads == 3


def test_altered_batch_is_refused_and_the_others_are_taken(car: Car) -> None:
    car.store(10)
    car.visit()
    first, *_ = [path for path in car.files() if path.suffix == ".batch"]
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(bytes(data))
    [brought] = car.bring()
    assert (brought.batches, len(brought.faults)) == (2, 1)
    assert car.held() < 10
    assert ("console:anne", "transfer.usb", "refused") in audited(car.department)
    car.visit()  # writes the right bytes over the altered ones
    car.bring()
    assert car.visit().batches == 0
    assert car.held() == 10


def test_receipt_of_another_department_is_not_taken(car: Car, tmp_path: Path) -> None:
    car.store(3)
    car.visit()
    stranger = a_stranger(tmp_path / "stranger")
    thief = Car(stranger, tmp_path / "stranger", "unit-07")
    [batch_id] = list(car.stick.batches())
    thief.store(3)
    thief.visit()
    thief.bring()
    [theirs] = [path for path in thief.files() if path.suffix == ".receipt"]
    car.stick.put_receipt(batch_id, theirs.read_bytes())
    back = car.visit()
    assert (back.receipts, len(back.faults)) == (0, 1)
    thief.outbox.close()
    stranger.engine.dispose()


def test_revoked_unit_is_refused(car: Car) -> None:
    car.store(3)
    car.visit()
    revoke(car.department.engine, "unit-07", actor="console:anne", now=NOW)
    [brought] = car.bring()
    assert brought.batches == 0 and "revoked" in brought.faults[0]
    assert car.held() == 0


def test_unit_that_never_was_is_refused_and_a_name_leads_nowhere(car: Car) -> None:
    car.store(1)
    car.visit()
    folder = car.root / "alpr-transfer"
    (folder / "unit-07").rename(folder / "unit-99")
    [brought] = car.bring()
    assert brought.batches == 0 and brought.faults
    with pytest.raises(ValueError):
        Stick(car.root, "../unit-07")


def test_two_units_share_a_stick(car: Car, department: Department, tmp_path: Path) -> None:
    other = Car(department, tmp_path, "unit-08")
    for each in (car, other):
        each.store(2)
        each.visit()
    assert units_on(car.root) == ["unit-07", "unit-08"]
    assert [each.batches for each in car.bring()] == [1, 1]
    assert other.visit().receipted_reads == car.visit().receipted_reads == 2
    other.outbox.close()


def test_stick_that_cannot_be_written_is_said_and_nothing_is_lost(car: Car) -> None:
    car.store(3)
    (car.root / "alpr-transfer").write_bytes(b"a file where the folder belongs")
    with pytest.raises(DiskFullError, match="take another stick"):
        car.visit()
    assert car.outbox.counts().queued == 3


def test_daemons_count_is_right_after_another_process_made_batches(car: Car, tmp_path: Path) -> None:
    car.store(5)
    assert car.outbox.counts().queued == 5
    with open_outbox(tmp_path / "unit-07.db") as other:
        list(other.open_batches(unit_id="unit-07", limit_reads=2, limit_bytes=10**6, now=NOW))
    assert car.outbox.counts().queued == 5
    car.store(1)
    assert car.outbox.counts().queued == 6


def test_nothing_that_was_read_stands_on_the_stick(car: Car) -> None:
    sealer = car.unit.sealer()
    read = a_read(plate="7ABC123")
    sealed = sealer.seal(read.read_id, encode_record("unit-07", read, ()))
    car.outbox.append([sealed], sealer.epoch, NOW)
    car.visit()
    assert all(b"7ABC123" not in path.read_bytes() for path in car.files())


def test_commands_carry_reads_from_the_unit_to_the_department(
    department: Department, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "unit-07"
    unit = a_unit(department, out)
    config = out / "config.toml"
    state = out / "state"
    state.mkdir()
    text = config.read_text().splitlines()
    config.write_text("\n".join(f'state_dir = "{state}"' if "state_dir" in line else line for line in text))
    sealer = unit.sealer()
    with open_outbox(state / "outbox.db") as outbox:
        read = a_read()
        record = encode_record("unit-07", read, ())
        outbox.append([sealer.seal(read.read_id, record)], sealer.epoch, datetime.now(UTC))
    stick = tmp_path / "stick"
    stick.mkdir()
    edge = ["transfer", "usb", str(stick), "--config", str(config)]
    assert main(edge) == 0
    assert "1 reads are on the stick" in capsys.readouterr().out
    server = ["transfer", "usb", str(stick), "--department", str(department.folder.root)]
    result = CliRunner().invoke(app, server)
    assert result.exit_code == 0, result.output
    assert "unit-07: 1 batches held" in result.output
    assert main(edge) == 0
    assert "1 reads have the department's receipt" in capsys.readouterr().out
    assert main([*edge[:2], str(tmp_path / "none"), *edge[3:]]) != 0
    assert "mount the stick" in capsys.readouterr().err
