"""Taking batches into the database: once each, whole or not at all, and never a receipt too early."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from server import intake as intake_module
from server.database import reading
from server.department import Department
from server.enrolment import revoke
from server.errors import BatchConflictError, NotPermittedError, StoreUnavailableError
from server.intake import Intake
from server.records import get_read
from server.tables import batches, evidence, hits, reads
from sync.batch import SignedBatch, decode_receipt
from sync.errors import SealBrokenError, WireFormatError
from tests.departments import NOW, Unit, a_department, a_unit, audited
from tests.fakes import a_hit, a_read


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


@pytest.fixture
def intake(department: Department) -> Intake:
    return Intake(department.engine, department.keys, department.folder.quarantine)


def held(department: Department) -> dict[str, int]:
    with reading(department.engine) as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (batches, reads, evidence, hits)
        }


def test_a_receipt_names_the_batch_and_the_reads_are_held(
    department: Department, unit: Unit, intake: Intake
) -> None:
    first = a_read()
    signed = unit.batch([first, a_read()], [a_hit(first)])
    receipt = decode_receipt(intake.take(unit.peer, signed, NOW), unit.receipt_key, signed, unit.unit_id)
    assert (receipt.reads, receipt.received_at) == (2, NOW)
    assert held(department) == {"batches": 1, "reads": 2, "evidence": 2, "hits": 1}
    with reading(department.engine) as connection:
        stored = get_read(connection, first.read_id)
    assert stored is not None
    assert (stored.plate, stored.evidence, stored.settled_at) == (
        first.plate,
        first.evidence,
        first.settled.utc,
    )
    assert [hit.list_name for hit in stored.hits] == ["Stolen vehicle"]


def test_the_same_batch_again_gets_the_same_receipt_and_stores_nothing(
    department: Department, unit: Unit, intake: Intake
) -> None:
    signed = unit.batch([a_read()])
    first = intake.take(unit.peer, signed, NOW)
    assert intake.take(unit.peer, signed, NOW + timedelta(hours=1)) == first
    assert held(department)["reads"] == 1


def test_a_batch_sent_many_times_at_once_is_stored_once(
    department: Department, unit: Unit, intake: Intake
) -> None:
    signed = unit.batch([a_read() for _ in range(20)])
    with ThreadPoolExecutor(8) as pool:
        receipts = set(pool.map(lambda _: intake.take(unit.peer, signed, NOW), range(16)))
    assert len(receipts) == 1
    assert held(department) == {"batches": 1, "reads": 20, "evidence": 20, "hits": 0}


def test_a_read_that_came_in_another_batch_is_counted_as_held_and_not_doubled(
    department: Department, unit: Unit, intake: Intake
) -> None:
    known, new = a_read(), a_read()
    intake.take(unit.peer, unit.batch([known]), NOW)
    signed = unit.batch([known, new])
    receipt = decode_receipt(intake.take(unit.peer, signed, NOW), unit.receipt_key, signed, unit.unit_id)
    assert receipt.reads == 2
    assert held(department)["reads"] == 2


def test_a_known_read_id_with_other_content_stores_nothing_of_its_batch(
    department: Department, unit: Unit, intake: Intake
) -> None:
    known = a_read()
    intake.take(unit.peer, unit.batch([known]), NOW)
    with pytest.raises(BatchConflictError):
        intake.take(unit.peer, unit.batch([a_read(), replace(known, confidence=0.1)]), NOW)
    assert held(department) == {"batches": 1, "reads": 1, "evidence": 1, "hits": 0}


def test_other_bytes_under_a_known_batch_id_are_a_conflict(
    department: Department, unit: Unit, intake: Intake
) -> None:
    intake.take(unit.peer, unit.batch([a_read()], batch_id="batch-1"), NOW)
    with pytest.raises(BatchConflictError):
        intake.take(unit.peer, unit.batch([a_read()], batch_id="batch-1"), NOW)
    assert audited(department)[-1] == ("unit:unit-07", "batch.refuse", "refused")


def test_another_unit_cannot_fetch_a_receipt_by_sending_the_same_bytes(
    department: Department, unit: Unit, intake: Intake, tmp_path: Path
) -> None:
    other = a_unit(department, tmp_path / "other", "unit-08")
    signed = unit.batch([a_read()])
    intake.take(unit.peer, signed, NOW)
    with pytest.raises(NotPermittedError):
        intake.take(other.peer, signed, NOW)


def broken(unit: Unit) -> SignedBatch:
    sealer = unit.sealer()
    sealed = sealer.seal("read-1", b"not a record")
    return unit.signed(sealer, [replace(sealed, sealed=sealed.sealed[:-1] + b"\x00")])


def test_a_broken_seal_is_kept_apart_as_it_came_and_gets_no_receipt(
    department: Department, unit: Unit, intake: Intake
) -> None:
    signed = broken(unit)
    with pytest.raises(SealBrokenError):
        intake.take(unit.peer, signed, NOW)
    kept = list(department.folder.quarantine.iterdir())
    assert [file.read_bytes() for file in kept] == [signed.payload]
    assert [file.stat().st_mode & 0o777 for file in kept] == [0o600]
    assert audited(department)[-1] == ("unit:unit-07", "batch.quarantine", "refused")
    assert held(department) == {"batches": 0, "reads": 0, "evidence": 0, "hits": 0}


def test_one_bad_record_keeps_the_whole_batch_out(department: Department, unit: Unit, intake: Intake) -> None:
    sealer = unit.sealer()
    good = unit.batch([a_read()])
    with pytest.raises(WireFormatError):
        intake.take(unit.peer, unit.signed(sealer, [sealer.seal("read-1", b"\xa0")]), NOW)
    intake.take(unit.peer, good, NOW)
    assert held(department)["reads"] == 1


def test_quarantine_does_not_grow_without_end(
    department: Department, unit: Unit, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "QUARANTINE_FILES", 2)
    for _ in range(4):
        with pytest.raises(SealBrokenError):
            intake.take(unit.peer, broken(unit), NOW)
    assert len(list(department.folder.quarantine.iterdir())) == 2
    assert [action for _, action, _ in audited(department)].count("batch.quarantine") == 4


def test_a_revoked_unit_is_not_let_in(department: Department, unit: Unit, intake: Intake) -> None:
    revoke(department.engine, unit.unit_id, actor="console:test", now=NOW)
    with pytest.raises(NotPermittedError, match="revoked"):
        intake.take(unit.peer, unit.batch([a_read()]), NOW)
    assert audited(department)[-1] == ("unit:unit-07", "unit.connect", "refused")


def test_enrolling_again_ends_the_older_certificate(
    department: Department, unit: Unit, intake: Intake, tmp_path: Path
) -> None:
    renewed = a_unit(department, tmp_path / "renewed", unit.unit_id)
    with pytest.raises(NotPermittedError, match="newer"):
        intake.take(unit.peer, unit.batch([a_read()]), NOW)
    intake.take(renewed.peer, renewed.batch([a_read()]), NOW)
    assert held(department)["reads"] == 1


def test_an_unknown_name_with_a_good_certificate_is_not_let_in(
    department: Department, unit: Unit, intake: Intake
) -> None:
    with pytest.raises(NotPermittedError, match="not enrolled"):
        intake.admit(replace(unit.peer, unit_id="unit-99"), NOW)


def test_a_full_disk_gives_no_receipt_and_loses_nothing(
    department: Department, unit: Unit, intake: Intake
) -> None:
    # Admission and the look for a known batch find room; the transaction that stores does not.
    rooms = iter([2**30, 2**30, 30])

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={next(rooms, 2**30)}")

    event.listen(department.engine, "checkout", limit)
    signed = unit.batch([a_read(evidence=b"\xff\xd8" + bytes(100_000))])
    with pytest.raises(StoreUnavailableError, match="SQLITE_FULL") as caught:
        intake.take(unit.peer, signed, NOW)
    assert caught.value.retry_after_s >= 60
    assert held(department) == {"batches": 0, "reads": 0, "evidence": 0, "hits": 0}
    intake.take(unit.peer, signed, NOW)
    assert held(department)["reads"] == 1


def test_what_is_committed_is_synced_to_the_disk(department: Department) -> None:
    with reading(department.engine) as connection:
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    assert (synchronous, journal) == (2, "truncate")
