"""What officers did in vehicles stands in the auditor's reports too."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from server.audit import Deed as AuditDeed
from server.audit_entries import Entry
from server.audit_period import Period
from server.audit_reports import access_log, by_plate, by_user
from server.audit_reviews import ReviewRefusedError, Verdict, draw, drawn, review
from server.audit_unit_entries import all_entries
from server.database import reading
from server.department import Department
from server.errors import AuditBrokenError
from server.intake import Intake
from server.transparency import transparency_of
from server.unit_logs import UnitLogs
from sync.access_log import Deed, LogPiece, encode_piece, made, start
from tests.auditors import MORNING, searched, tamper
from tests.departments import Unit, a_department, a_unit

DAY = Period(MORNING - timedelta(hours=1), MORNING + timedelta(hours=1))
LATER = MORNING + timedelta(minutes=5)


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> Unit:
    return a_unit(department, tmp_path / "unit")


def hand_in(department: Department, unit: Unit, *deeds: Deed, at: datetime = LATER) -> None:
    """Have the department take a log of these deeds."""
    sealing = load_pem_public_key((unit.keys / "department.x25519.pub.pem").read_bytes())
    assert isinstance(sealing, X25519PublicKey)
    head, records = start(unit.unit_id), []
    for deed in deeds:
        entry, record = made(
            deed,
            head,
            at=at,
            quality="gps",
            unit_id=unit.unit_id,
            key=unit.signing_key,
            department=sealing,
        )
        head = type(head)(entry.sequence, entry.digest)
        records.append(record)
    payload, signature = encode_piece(LogPiece(unit.unit_id, tuple(records)), unit.signing_key)
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    UnitLogs(department.engine, department.keys, intake).take(
        unit.peer, payload, signature, datetime.now(UTC)
    )


def look_up(who: str, text: str) -> Deed:
    return Deed(who, "officer", "reads.search", purpose="canvass", case_number="26-7", secret={"asked": text})


def entries(
    department: Department, *, plates: bool = False, key: X25519PrivateKey | None = None
) -> list[Entry]:
    with reading(department.engine) as connection:
        return all_entries(connection, DAY, key or department.keys.unseal, plates=plates)


def about(department: Department, plate: str, key: X25519PrivateKey | None = None) -> list[tuple[str, str]]:
    found = entries(department, plates=True, key=key)
    with reading(department.engine) as connection:
        return [(str(row[2]), str(row[3])) for row in by_plate(connection, found, plate).rows]


def test_a_look_up_in_a_vehicle_is_in_the_californian_log(department: Department, unit: Unit) -> None:
    searched(department.engine, "okafor", "TEST*")
    hand_in(department, unit, look_up("reyes", "TEST1?3"))
    rows = access_log(entries(department), "Example Police").rows
    assert [row[0] for row in rows] == [5, "unit-07/1/1"]
    assert rows[1][2:] == (
        "plate TEST1?3",
        "reyes",
        "Example Police",
        "Canvass around a major incident, case 26-7",
    )


def test_deeds_in_a_vehicle_count_for_the_person(department: Department, unit: Unit) -> None:
    searched(department.engine, "reyes", "TEST*")
    hand_in(
        department,
        unit,
        Deed("reyes", "officer", "login"),
        look_up("reyes", "TEST123"),
        Deed("reyes", "officer", "hits.view", purpose="hit-verification"),
        Deed("unit", "unit", "log.begin"),
    )
    rows = by_user(entries(department), "reyes").rows
    assert [row[:4] for row in rows] == [("reyes", 1, 2, 1)]
    assert "unit" not in [row[0] for row in by_user(entries(department)).rows]


def test_who_searched_or_saw_a_plate_in_a_vehicle_is_told(department: Department, unit: Unit) -> None:
    hand_in(
        department,
        unit,
        look_up("exact", "TEST-123"),
        look_up("fits", "TE*"),
        look_up("other", "OTHER*"),
        Deed("saw", "officer", "reads.view", detail={"reads": "r-1"}, secret={"r-1": "TEST123"}),
        Deed("listed", "officer", "hits.now", detail={"hits": "h-1"}, secret={"h-1": "TESTI23 / TEST123"}),
        Deed("else", "officer", "hits.view", detail={"hits": "h-2"}, secret={"h-2": "OTHER99 / OTHER99"}),
    )
    assert about(department, "TEST123") == [
        ("exact", "searched for it"),
        ("fits", "searched with a pattern that fits it"),
        ("saw", "was shown a read of it"),
        ("listed", "was shown a read of it"),
    ]


def test_a_detail_that_does_not_open_cannot_be_ruled_out(department: Department, unit: Unit) -> None:
    hand_in(department, unit, look_up("reyes", "OTHER99"))
    other = X25519PrivateKey.generate()
    assert about(department, "TEST123", other) == [
        ("reyes", "cannot be ruled out: what the unit sealed does not open")
    ]


def test_entries_come_by_time_from_all_logs(department: Department, unit: Unit) -> None:
    hand_in(department, unit, look_up("second", "A1"), at=LATER)
    searched(department.engine, "third", "A1", at=LATER + timedelta(minutes=1))
    searched(department.engine, "first", "A1", at=LATER - timedelta(minutes=1))
    assert [entry.actor for entry in entries(department)] == ["first", "second", "third"]


def test_look_ups_in_vehicles_are_counted_for_the_public(department: Department, unit: Unit) -> None:
    hand_in(department, unit, *[look_up("reyes", "TEST123") for _ in range(11)])
    with reading(department.engine) as connection:
        found = transparency_of(connection, department.settings, DAY, LATER)
    assert dict(found.queries)["Canvass around a major incident"] == "11"


def test_the_last_answer_on_each_hit_is_counted_for_the_public(department: Department, unit: Unit) -> None:
    def answer(hit: int, rung: str, answer: str) -> Deed:
        detail = {"hit": f"hit-{hit}", "rung": rung, "answer": answer}
        return Deed("reyes", "officer", "hit.verify", detail=detail)

    misread = [answer(hit, "disposition", "misread") for hit in range(12)]
    corrected = [answer(0, "disposition", "not pursued"), answer(1, "plate", "differs")]
    hand_in(department, unit, *misread, *corrected)
    with reading(department.engine) as connection:
        found = transparency_of(connection, department.settings, DAY, LATER)
    counts = dict(found.dispositions)
    assert counts.pop("misread") == "11" and set(counts.values()) == {"<10"} and len(counts) == 4


def test_a_malformed_entry_of_a_unit_is_said_and_not_left_out(department: Department, unit: Unit) -> None:
    hand_in(department, unit, look_up("reyes", "TEST123"))
    tamper(
        department.engine,
        "DROP TRIGGER unit_log_entries_refuses_update",
        "UPDATE unit_log_entries SET data = x'00'",
    )
    with pytest.raises(AuditBrokenError, match="access log of unit unit-07, entry 1"):
        entries(department)


def test_a_look_up_in_a_vehicle_is_drawn_and_judged(department: Department, unit: Unit) -> None:
    hand_in(department, unit, look_up("reyes", "TEST123"))
    assert draw(department.engine, DAY, 5, AuditDeed("okafor", "audit.sample"), LATER) == ["unit-07/1/1"]
    assert draw(department.engine, DAY, 5, AuditDeed("okafor", "audit.sample"), LATER) == []
    own = AuditDeed("reyes", "audit.review")
    with pytest.raises(ReviewRefusedError, match="your own"):
        review(department.engine, "unit-07/1/1", Verdict.IN_ORDER, "", deed=own, now=LATER)
    review(
        department.engine,
        "unit-07/1/1",
        Verdict.IN_ORDER,
        "",
        deed=AuditDeed("okafor", "audit.review"),
        now=LATER,
    )
    with reading(department.engine) as connection:
        [judged] = drawn(connection, department.keys.unseal)
    assert (judged.entry.query, judged.verdict) == ("plate TEST123", "in order")
