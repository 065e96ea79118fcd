"""Taking batches into the database: once each, whole or not at all, and never a receipt too early."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from server import intake as intake_module
from server.database import is_postgresql, reading
from server.department import Department
from server.enrolment import revoke
from server.errors import BatchConflictError, NotPermittedError, StoreUnavailableError
from server.intake import Intake
from server.records import get_read
from server.tables import audit, batches, evidence, hits, reads
from sync.batch import SignedBatch, decode_receipt
from sync.errors import SealBrokenError, WireFormatError
from tests.databases import Database
from tests.departments import NOW, Unit, a_unit, audited
from tests.fakes import a_hit, a_read


@pytest.fixture
def department(database: Database, tmp_path: Path) -> Iterator[Department]:
    made = database.department(tmp_path / "department")
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


def kept_of(department: Department) -> list[str]:
    """What the access log says was kept of each batch in quarantine."""
    with reading(department.engine) as connection:
        details = connection.execute(
            select(audit.c.detail).where(audit.c.action == "batch.quarantine").order_by(audit.c.sequence)
        ).scalars()
        return [json.loads(detail)["kept"] for detail in details]


def hand_in_broken(intake: Intake, unit: Unit, count: int) -> None:
    for _ in range(count):
        with pytest.raises(SealBrokenError):
            intake.take(unit.peer, broken(unit), NOW)


def test_a_unit_that_fills_its_quarantine_leaves_the_others_their_places(
    department: Department, unit: Unit, intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = a_unit(department, tmp_path / "other", f"{unit.unit_id}-b")  # begins as the first one's name
    monkeypatch.setattr(intake_module, "UNIT_QUARANTINE_FILES", 2)
    hand_in_broken(intake, unit, 4)
    hand_in_broken(intake, other, 2)
    hand_in_broken(intake, unit, 1)
    assert len(list(department.folder.quarantine.iterdir())) == 4
    beyond = "digest only: this unit has its share of the quarantine"
    assert kept_of(department) == ["whole", "whole", beyond, beyond, "whole", "whole", beyond]


@pytest.mark.parametrize(
    ("bound", "said"), [("UNIT_QUARANTINE_BYTES", "this unit has"), ("QUARANTINE_BYTES", "is full")]
)
def test_quarantine_is_bounded_in_bytes(
    department: Department,
    unit: Unit,
    intake: Intake,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    said: str,
) -> None:
    monkeypatch.setattr(intake_module, bound, 2 * len(broken(unit).payload) + 10)
    hand_in_broken(intake, unit, 3)
    assert len(list(department.folder.quarantine.iterdir())) == 2
    *whole, last = kept_of(department)
    assert whole == ["whole", "whole"] and last.startswith("digest only: ") and said in last


def test_a_broken_batch_that_comes_again_takes_no_second_place(
    department: Department, unit: Unit, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "UNIT_QUARANTINE_FILES", 1)
    signed = broken(unit)
    for _ in range(2):
        with pytest.raises(SealBrokenError):
            intake.take(unit.peer, signed, NOW)
    assert kept_of(department) == ["whole", "whole"]


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


def fill_the_disk(department: Department) -> str:
    """Let the transaction that stores find no room, once; return what the database calls that."""
    if department.engine.dialect.name == "postgresql":
        with department.engine.begin() as connection:
            # What the server says when it cannot extend a file: the class of the error is its own.
            connection.exec_driver_sql(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER full_disk BEFORE INSERT ON evidence_default FOR EACH ROW"
                " EXECUTE FUNCTION full_disk()"
            )
        return "DiskFull"
    # Admission and the look for a known batch find room; the transaction that stores does not.
    rooms = iter([2**30, 2**30, 30])

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={next(rooms, 2**30)}")

    event.listen(department.engine, "checkout", limit)
    return "SQLITE_FULL"


def test_a_full_disk_gives_no_receipt_and_loses_nothing(
    department: Department, unit: Unit, intake: Intake
) -> None:
    # From long before any month that is made: so it goes into the default partition.
    read = replace(a_read(), evidence=b"\xff\xd8" + bytes(100_000))
    long_ago = replace(read.settled, utc=NOW - timedelta(days=900))
    signed = unit.batch([replace(read, settled=long_ago)])
    reason = fill_the_disk(department)
    with pytest.raises(StoreUnavailableError, match=reason) as caught:
        intake.take(unit.peer, signed, NOW)
    assert caught.value.retry_after_s >= 60
    assert held(department) == {"batches": 0, "reads": 0, "evidence": 0, "hits": 0}
    if reason == "DiskFull":
        with department.engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER full_disk ON evidence_default")
    intake.take(unit.peer, signed, NOW)
    assert held(department)["reads"] == 1


def test_what_is_committed_is_synced_to_the_disk(department: Department) -> None:
    with reading(department.engine) as connection:
        if is_postgresql(connection):
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
            return
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    assert (synchronous, journal) == (2, "truncate")


def test_a_known_read_id_with_another_time_is_a_conflict_in_whatever_month(
    department: Department, unit: Unit, intake: Intake
) -> None:
    known = a_read()
    intake.take(unit.peer, unit.batch([known]), NOW)
    later = replace(known.settled, utc=known.settled.utc - timedelta(days=60))
    with pytest.raises(BatchConflictError):
        intake.take(unit.peer, unit.batch([replace(known, settled=later)]), NOW)
    assert held(department)["reads"] == 1


def test_batches_that_share_reads_sent_at_once_store_each_read_once(
    department: Department, unit: Unit, intake: Intake
) -> None:
    shared = [a_read() for _ in range(30)]
    sent = [unit.batch([*shared, a_read()]) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda signed: intake.take(unit.peer, signed, NOW), sent))
    assert held(department) == {"batches": 6, "reads": 36, "evidence": 36, "hits": 0}


def test_two_units_with_one_batch_id_at_once_get_one_receipt_and_one_refusal(
    department: Department, unit: Unit, intake: Intake, tmp_path: Path
) -> None:
    other = a_unit(department, tmp_path / "other", "unit-08")
    for number in range(5):
        sent = [(each, each.batch([a_read()], batch_id=f"batch-{number}")) for each in (unit, other)]

        def take(one: tuple[Unit, SignedBatch]) -> bool:
            try:
                intake.take(one[0].peer, one[1], NOW)
            except (BatchConflictError, NotPermittedError):
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(take, sent)) == [False, True]
    assert held(department)["reads"] == 5


@pytest.mark.parametrize("change", [{"frames": 2**40}, {"camera": "front\x00"}])
def test_a_value_that_postgresql_cannot_hold_is_kept_apart_and_never_cut(
    department: Department, unit: Unit, intake: Intake, change: dict[str, Any]
) -> None:
    if department.engine.dialect.name == "sqlite":
        pytest.skip("SQLite can hold both")
    with pytest.raises(WireFormatError, match="stored"):
        intake.take(unit.peer, unit.batch([a_read(), replace(a_read(), **change)]), NOW)
    assert held(department) == {"batches": 0, "reads": 0, "evidence": 0, "hits": 0}
    assert len(list(department.folder.quarantine.iterdir())) == 1
