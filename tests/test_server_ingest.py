"""Judging a batch: what opens, and what is refused and why."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from camera.fix import Fix
from recognizer.plate import Plate
from recognizer.read import PlateRead
from server.department import Department
from server.errors import NotPermittedError
from server.ingest import OpenedBatch, open_batch
from sync.batch import SignedBatch
from sync.errors import SealBrokenError, WireFormatError
from sync.record import encode_record
from tests.departments import NOW, Unit, a_department, a_stranger, a_unit
from tests.fakes import a_hit, a_read


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Department:
    return a_department(tmp_path_factory.mktemp("ingest") / "department")


@pytest.fixture(scope="module")
def unit(department: Department, tmp_path_factory: pytest.TempPathFactory) -> Unit:
    return a_unit(department, tmp_path_factory.mktemp("ingest-unit") / "unit")


@pytest.fixture(scope="module")
def other(department: Department, tmp_path_factory: pytest.TempPathFactory) -> Unit:
    return a_unit(department, tmp_path_factory.mktemp("ingest-other") / "unit", "unit-08")


def opened(department: Department, unit: Unit, signed: SignedBatch) -> OpenedBatch:
    return open_batch(signed, unit.unit_id, unit.signing_key.public_key(), department.keys.unseal)


def test_every_read_of_a_batch_comes_out_as_it_went_in(department: Department, unit: Unit) -> None:
    reads = [a_read(), a_read(evidence=b"")]
    batch = opened(department, unit, unit.batch(reads, [a_hit(reads[0])]))
    assert [item.record.read.read_id for item in batch.reads] == [read.read_id for read in reads]
    assert [item.record.read.evidence for item in batch.reads] == [read.evidence for read in reads]
    assert [len(item.record.hits) for item in batch.reads] == [1, 0]


def test_a_batch_of_another_unit_is_not_signed_by_this_one(
    department: Department, unit: Unit, other: Unit
) -> None:
    with pytest.raises(SealBrokenError, match="not signed by this unit's key"):
        opened(department, unit, other.batch([a_read()]))


def test_nothing_is_built_of_bytes_that_nobody_signed(department: Department, unit: Unit) -> None:
    tables = 1 << 20
    payload = b"\xa1\x64unit\x9a" + tables.to_bytes(4, "big") + b"\xa0" * tables
    tracemalloc.start()
    try:
        with pytest.raises(SealBrokenError):
            opened(department, unit, SignedBatch("batch-1", payload, bytes(64)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * len(payload)


def test_a_unit_cannot_sign_in_the_name_of_another(department: Department, unit: Unit, other: Unit) -> None:
    sealer = other.sealer()
    sealed = sealer.seal("read-x", encode_record(other.unit_id, a_read("read-x"), ()))
    with pytest.raises(NotPermittedError, match="another unit's"):
        opened(department, unit, unit.signed(sealer, [sealed], unit_id=other.unit_id))


def test_no_byte_of_a_batch_can_be_turned_over(department: Department, unit: Unit) -> None:
    signed = unit.batch([a_read()])
    for place in range(0, len(signed.payload), 7):
        altered = bytearray(signed.payload)
        altered[place] ^= 1
        with pytest.raises(SealBrokenError):
            opened(department, unit, replace(signed, payload=bytes(altered)))


def test_a_seal_of_another_department_does_not_open(unit: Unit, tmp_path: Path) -> None:
    stranger = a_stranger(tmp_path / "stranger")
    with pytest.raises(SealBrokenError):
        opened(stranger, unit, unit.batch([a_read()]))


@pytest.mark.parametrize("named", ["another read", "another unit"])
def test_a_record_that_names_something_else_than_its_envelope_is_refused(
    department: Department, unit: Unit, named: str
) -> None:
    sealer = unit.sealer()
    inside = ("unit-99", a_read("read-a")) if named == "another unit" else (unit.unit_id, a_read("read-b"))
    sealed = sealer.seal("read-a", encode_record(inside[0], inside[1], ()))
    with pytest.raises(WireFormatError, match="read-a"):
        opened(department, unit, unit.signed(sealer, [sealed]))


UNSOUND: dict[str, Callable[[PlateRead], PlateRead]] = {
    "plate in lower case": lambda read: replace(read, plate=Plate("abc")),
    "endless plate": lambda read: replace(read, plate=Plate("A" * 33)),
    "confidence above one": lambda read: replace(read, confidence=1.5),
    "confidence no number": lambda read: replace(read, confidence=float("nan")),
    "position off the earth": lambda read: replace(read, fix=Fix(NOW, 91.0, 0.0)),
    "speed no number": lambda read: replace(read, fix=Fix(NOW, 1.0, 1.0, float("inf"))),
    "evidence no JPEG": lambda read: replace(read, evidence=b"<svg onload=alert(1)>"),
    "endless camera name": lambda read: replace(read, camera="c" * 65),
}


@pytest.mark.parametrize("what", UNSOUND)
def test_a_record_with_an_impossible_value_is_refused(department: Department, unit: Unit, what: str) -> None:
    with pytest.raises(WireFormatError):
        opened(department, unit, unit.batch([UNSOUND[what](a_read())]))


def test_a_refusal_never_says_a_plate(department: Department, unit: Unit) -> None:
    read = replace(a_read(plate="SECRET7"), confidence=2.0)
    with pytest.raises(WireFormatError) as caught:
        opened(department, unit, unit.batch([read]))
    assert "SECRET7" not in str(caught.value) + repr(caught.value)
