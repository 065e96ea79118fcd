"""What an evidence package holds, and that the same reads and statement give the same bytes."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from server.audit import Deed, append
from server.database import reading, writing
from server.department import Department
from server.evidence_package import Package, Statement, make_package
from server.evidence_verify import FOLDER
from server.release_errors import EvidenceRefusedError
from sync.access_log import LogEntry
from sync.batch import decode_receipt
from tests.auditors import done, searched
from tests.fakes import a_read
from tests.releases import NOW, PLATES, a_peopled_department, hand_in, read_ids

KEY = Ed25519PrivateKey.generate()
LATER = NOW + timedelta(minutes=5)
STATEMENT = Statement("Example Police", "brandt", LATER, "26-0042", "Burglary series", "Example Sheriff", 7)


@dataclass(frozen=True)
class SentBatch:
    """What a package says of a batch: the bytes themselves are not held."""

    batch_id: str
    digest: bytes


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_peopled_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def package(department: Department, ids: list[str], statement: Statement = STATEMENT) -> Package:
    receipt_key = department.keys.receipt.public_key().public_bytes_raw()
    return make_package(
        department.engine, ids, statement, key=KEY, receipt_key=receipt_key, fetch=department.pictures.fetch
    )


def files_of(made: Package) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(made.archive)) as held:
        return {name.removeprefix(FOLDER): held.read(name) for name in held.namelist()}


def told(made: Package, name: str) -> dict[str, Any]:
    value = json.loads(files_of(made)[name])
    assert isinstance(value, dict)
    return value


def test_a_read_is_told_with_all_that_is_recorded_of_it(department: Department) -> None:
    ids = read_ids(department)
    read = told(package(department, ids[:1]), "reads/0001.json")
    with reading(department.engine) as connection:
        columns = {row[1] for row in connection.execute(text("PRAGMA table_info(reads)"))}
        hit_columns = {row[1] for row in connection.execute(text("PRAGMA table_info(hits)"))}
    assert set(read["read"]) == {
        name for name in columns if not name.endswith("_folded") and name != "row_digest"
    }
    assert [set(hit) for hit in read["hits"]] == [hit_columns]
    assert (read["read"]["plate"], read["read"]["read_id"]) == (PLATES[0], ids[0])
    assert read["read"]["positions"][0] == [["8", 0.9], ["", 0.05]] and read["read"]["box"] == [
        10,
        20,
        110,
        50,
    ]
    assert read["read"]["settled_at"].endswith("+00:00")
    picture = files_of(package(department, ids[:1]))["reads/0001.jpg"]
    assert read["picture_sha256"] == hashlib.sha256(picture).hexdigest() and picture.startswith(b"\xff\xd8")


def test_a_corrected_read_says_so_and_one_without_a_picture_too(department: Department) -> None:
    first = a_read(plate="TEST128", evidence=b"")
    second = replace(a_read(plate="TEST123"), revises=first.read_id)
    hand_in(department, [first, second])
    made = package(department, [first.read_id])
    read = told(made, "reads/0001.json")
    assert read["corrected_by"] == [second.read_id] and read["picture"] is None
    assert "reads/0001.jpg" not in files_of(made)


def test_the_receipt_in_a_package_is_the_departments_word_for_that_batch(department: Department) -> None:
    made = package(department, read_ids(department))
    [batch] = told(made, "custody.json")["batches"]
    receipt = files_of(made)[batch["receipt"]]
    with reading(department.engine) as connection:
        held = connection.execute(text("SELECT receipt FROM batches")).scalar_one()
    assert receipt == held and batch["unit_id"] == "unit-07" and len(bytes.fromhex(batch["digest"])) == 32

    sent = SentBatch(batch["batch_id"], bytes.fromhex(batch["digest"]))
    found = decode_receipt(receipt, department.keys.receipt.public_key(), sent, "unit-07")  # type: ignore[arg-type] # as much of a batch as a receipt names
    assert (found.reads, found.digest.hex()) == (3, batch["digest"])


def test_custody_names_who_saw_the_reads_and_nothing_of_other_reads(department: Department) -> None:
    ids = read_ids(department)
    searched(department.engine, "reyes", "SECRET9", at=NOW, shown=[ids[0], "another-read"])
    done(department.engine, "tanaka", "read.view", at=NOW, detail={"read": ids[1], "found": True})
    done(department.engine, "okafor", "read.view", at=NOW, detail={"read": "another-read", "found": True})
    made = package(department, ids[:2])
    seen = told(made, "custody.json")["seen"]
    assert [(each["actor"], each["action"], each["reads"]) for each in seen] == [
        ("reyes", "reads.search", [ids[0]]),
        ("tanaka", "read.view", [ids[1]]),
    ]
    assert set(seen[0]) == {
        *("sequence", "at", "actor", "action", "outcome", "purpose", "case_number", "digest", "reads")
    }
    assert b"SECRET9" not in made.archive and b"another-read" not in made.archive


def test_custody_is_found_in_a_log_of_many_entries(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.evidence_files._ENTRIES_AT_ONCE", 3)
    ids = read_ids(department)
    for number in range(10):
        done(department.engine, f"officer-{number}", "read.view", at=NOW, detail={"read": ids[0]})
    seen = told(package(department, ids[:1]), "custody.json")["seen"]
    assert [each["actor"] for each in seen] == [f"officer-{number}" for number in range(10)]


def test_the_same_reads_and_statement_give_the_same_bytes(department: Department) -> None:
    ids = read_ids(department)
    first = package(department, ids)
    # What is recorded at that moment or later, the first package among it, is not part of it.
    for at in (LATER, LATER + timedelta(seconds=1)):
        done(department.engine, "brandt", "evidence.build", at=at, detail={"shown": ids})
    second = package(department, ids[::-1])
    assert second.manifest_sha256 == first.manifest_sha256 and second.archive == first.archive
    other = package(department, ids, replace(STATEMENT, purpose="Another"))
    assert other.manifest_sha256 != first.manifest_sha256
    with zipfile.ZipFile(io.BytesIO(first.archive)) as held:
        assert held.namelist() == sorted(held.namelist())
        assert {info.date_time for info in held.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_no_plate_and_no_read_stands_in_a_file_name(department: Department) -> None:
    names = "\n".join(files_of(package(department, read_ids(department))))
    assert not any(plate in names for plate in PLATES) and "read-" not in names
    assert all(re.fullmatch(r"[A-Za-z0-9./]+", name) for name in names.splitlines())


def test_reads_are_numbered_in_the_order_in_which_they_settled(department: Department) -> None:
    ids = read_ids(department)
    made = package(department, [ids[2], ids[0]])
    assert made.read_ids == (ids[0], ids[2])
    assert told(made, "reads/0002.json")["read"]["plate"] == PLATES[2]


def test_the_statement_says_who_made_it_when_for_which_case_and_for_whom(department: Department) -> None:
    stated = told(package(department, read_ids(department)), "statement.json")
    assert (stated["made_by"], stated["case_number"], stated["purpose"]) == (
        "brandt",
        "26-0042",
        "Burglary series",
    )
    assert (stated["recipient"], stated["request"], stated["reads"]) == ("Example Sheriff", 7, 3)
    assert stated["made_at"] == LATER.isoformat()


def test_a_read_that_is_not_held_is_not_left_out_silently(department: Department) -> None:
    with pytest.raises(EvidenceRefusedError, match="1 of the reads are not held"):
        package(department, [*read_ids(department), "purged-read"])


def test_what_officers_answered_on_the_unit_stands_with_the_hit(department: Department) -> None:
    ids = read_ids(department)
    entry = LogEntry(
        1, NOW, "gps", "reyes", "officer", "hit.verify", "success", "hit-verification", "26-0042",
        {"hit": "hit-1", "rung": "plate", "answer": "yes"}, b"", bytes(32),
    )  # fmt: skip
    values = {
        "unit": "unit-07", "at": NOW.replace(tzinfo=None).isoformat(sep=" "), "data": entry.encoded(),
        "digest": entry.digest, "signature": bytes(64),
    }  # fmt: skip
    with writing(department.engine) as connection:
        connection.execute(
            text(
                "INSERT INTO unit_log_entries VALUES (:unit, 1, 1, :at, 'reyes', 'hit.verify', 'success', "
                "'hit-1', :data, :signature, :digest, :at)"
            ),
            values,
        )
    [answer] = told(package(department, ids[:1]), "reads/0001.json")["answers"]
    assert (answer["actor"], answer["action"], answer["detail"]["answer"]) == ("reyes", "hit.verify", "yes")
    assert answer["log"] == "unit-07/1" and answer["digest"] == entry.digest.hex()


def test_an_entry_that_names_reads_as_something_else_than_a_list_breaks_nothing(
    department: Department,
) -> None:
    with writing(department.engine) as connection:
        for detail in ({"shown": "many"}, {"read": 7}, {"shown": [1, None]}):
            append(connection, Deed("brandt", "reads.list", detail=detail), NOW)
    assert told(package(department, read_ids(department)), "custody.json")["seen"] == []
