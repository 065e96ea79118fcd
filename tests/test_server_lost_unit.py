"""A lost unit is refused everywhere, and the report says what could have been on it."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from server.cli import app
from server.database import reading
from server.department import Department
from server.errors import NotPermittedError, SettingsInvalidError
from server.intake import Intake
from server.lost_unit import BreachReport, report_lost
from server.revocation import revocation_list
from tests.cars import MOSQUITTO, Car, broker, cars, free_port, until
from tests.departments import NOW, a_department, a_unit, audited
from tests.fakes import a_read
from tests.hotlists import a_read as a_hotlist_read

HOUR = timedelta(hours=1)


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def lost(department: Department, at: datetime, *, window: timedelta = 24 * HOUR) -> BreachReport:
    return report_lost(
        department,
        "unit-07",
        lost_at=at,
        reported_by="Sergeant 3",
        window=window,
        actor="console:anne",
        now=at + HOUR,
    )


def serials(department: Department) -> set[int]:
    with reading(department.engine) as connection:
        pem = revocation_list(connection, department.keys, datetime.now(UTC))
    crl = x509.load_pem_x509_crl(pem)
    ca_key = department.keys.ca_certificate.public_key()
    assert crl.is_signature_valid(ca_key)  # type: ignore[arg-type]  # an elliptic curve's
    return {each.serial_number for each in crl}


def test_report_lists_the_reads_that_the_unit_could_still_hold_and_the_proof_of_all(
    department: Department, tmp_path: Path
) -> None:
    unit = a_unit(department, tmp_path / "unit")
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    old = replace(a_hotlist_read("7ABC123", utc=NOW - 30 * HOUR), read_id="old")
    new = replace(a_hotlist_read("8XYZ987", utc=NOW - HOUR), read_id="new")
    intake.take(unit.peer, unit.batch([old]), NOW - 29 * HOUR)
    signed = unit.batch([new])
    intake.take(unit.peer, signed, NOW)
    report = lost(department, NOW)
    assert report.window_reads == (new.read_id,)
    assert (report.held_reads, report.reads_an_hour, report.last_batch_at) == (2, 1.0, NOW)
    assert report.batches[0].digest == signed.digest.hex()
    text = report.text()
    assert "\nnew\n" in text and signed.digest.hex() in text and "Sergeant 3" in text
    assert "7ABC123" not in text and "8XYZ987" not in text
    assert lost(department, NOW, window=timedelta()).window_reads == ()


def test_lost_unit_is_refused_and_the_first_revocation_stands(department: Department, tmp_path: Path) -> None:
    unit = a_unit(department, tmp_path / "unit")
    first = lost(department, NOW)
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    with pytest.raises(NotPermittedError, match="revoked"):
        intake.take(unit.peer, unit.batch([a_read()]), NOW)
    assert lost(department, NOW + HOUR).revoked_at == first.revoked_at
    assert audited(department).count(("console:anne", "unit.lost", "success")) == 2


def test_what_cannot_be_is_refused(department: Department, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalidError, match="never enrolled"):
        lost(department, NOW)
    a_unit(department, tmp_path / "unit")
    with pytest.raises(SettingsInvalidError, match="future"):
        report_lost(
            department,
            "unit-07",
            lost_at=NOW + HOUR,
            reported_by="x",
            window=HOUR,
            actor="console:anne",
            now=NOW,
        )


def test_revoked_and_replaced_certificates_stand_on_the_list_and_no_other(
    department: Department, tmp_path: Path
) -> None:
    assert serials(department) == set()
    before = int(a_unit(department, tmp_path / "before").peer.serial, 16)
    again = int(a_unit(department, tmp_path / "again").peer.serial, 16)
    other = int(a_unit(department, tmp_path / "other", "unit-08").peer.serial, 16)
    assert serials(department) == {before}
    lost(department, datetime.now(UTC) - HOUR)
    assert serials(department) == {before, again}
    assert other not in serials(department)


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_broker_refuses_a_lost_unit_and_takes_the_others(department: Department, tmp_path: Path) -> None:
    port = free_port()
    gone = Car(a_unit(department, tmp_path / "gone"), tmp_path / "gone-state", "https://localhost:1", port)
    kept = Car(
        a_unit(department, tmp_path / "kept", "unit-08"), tmp_path / "kept-state", "https://localhost:1", port
    )
    lost(department, datetime.now(UTC) - HOUR)
    with broker(department, tmp_path, port), cars(gone, kept):
        until(lambda: kept.link.connected)
        until(lambda: gone.link.last_error is not None)
        assert not gone.link.connected


def test_commands_write_the_report_and_the_list(department: Department, tmp_path: Path) -> None:
    a_unit(department, tmp_path / "unit")
    folder = ["--department", str(department.folder.root)]
    report, crl = tmp_path / "report.md", tmp_path / "crl.pem"
    at = (datetime.now(UTC) - HOUR).strftime("%Y-%m-%dT%H:%M")
    arguments = ["unit", "lost", "unit-07", "--at", at, "--reported-by", "Sergeant 3", "--out", str(report)]
    result = CliRunner().invoke(app, [*arguments, *folder])
    assert result.exit_code == 0, result.output
    assert report.read_text().startswith("# Lost unit unit-07")
    assert report.stat().st_mode & 0o077 == 0
    assert CliRunner().invoke(app, ["broker-crl", "--out", str(crl), *folder]).exit_code == 0
    shown = subprocess.run(
        ["openssl", "crl", "-in", crl, "-noout", "-text"], capture_output=True, text=True, check=True
    ).stdout
    assert "Revoked Certificates" in shown
