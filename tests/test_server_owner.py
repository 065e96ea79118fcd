"""Commands that root runs leave the department's folder to its owner; and say what no unit could use."""

import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from server.cli import app
from server.coming_ends import coming_ends
from server.department import open_department
from server.own_certificates import ending, names_of
from server.owner import give_back
from tests.departments import a_department

SERVICE = 54321


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what another owns")
def test_what_a_command_of_root_makes_is_the_services_in_the_end(tmp_path: Path) -> None:
    root = tmp_path / "department"
    a_department(root).engine.dispose()
    for path in (root, *root.rglob("*")):
        os.chown(path, SERVICE, SERVICE)

    done = command("enroll", "unit-08", "--out", str(tmp_path / "unit"), "--department", str(root))
    assert done.returncode == 0, done.stderr
    done = command("updates", "status", "--department", str(root))
    assert done.returncode == 0, done.stderr
    (root / "made.later").write_text("by root")
    assert command("report", str(root)).returncode == 0
    assert {path.lstat().st_uid for path in (root, *root.rglob("*"))} == {SERVICE}
    assert (tmp_path / "unit").stat().st_uid == 0, "what is not in the folder stays who made it"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what another owns")
def test_pictures_are_left_alone_and_a_link_is_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "department", tmp_path / "outside"
    outside.write_text("of somebody else")
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "one").write_text("x")
    (folder / "link").symlink_to(outside)
    os.chown(folder, SERVICE, SERVICE)
    give_back(folder)
    assert (folder / "link").lstat().st_uid == SERVICE
    assert outside.stat().st_uid == 0
    assert (folder / "pictures" / "one").stat().st_uid == 0


@pytest.mark.parametrize(
    ("url", "warned"), [("https://localhost:8443", False), ("https://alpr.example.org:8443", True)]
)
def test_enrolling_for_an_address_that_the_certificate_lacks_is_warned_of(
    tmp_path: Path, url: str, warned: bool
) -> None:
    root = tmp_path / "department"
    a_department(root).engine.dispose()
    arguments = ["enroll", "unit-08", "--out", str(tmp_path / "unit"), "--server-url", url]
    result = CliRunner().invoke(app, [*arguments, "--department", str(root)])
    assert result.exit_code == 0
    assert ("WARNING: the server's certificate does not name" in result.stderr) is warned


def test_a_unit_that_never_sent_anything_is_not_said_to_have_sent_today(tmp_path: Path) -> None:
    root = tmp_path / "department"
    a_department(root).engine.dispose()
    runner = CliRunner()
    runner.invoke(app, ["enroll", "unit-08", "--out", str(tmp_path / "unit"), "--department", str(root)])
    assert "never" in runner.invoke(app, ["report", str(root)]).stdout


def test_the_servers_certificates_are_made_anew_and_units_trust_them(tmp_path: Path) -> None:
    root = tmp_path / "department"
    made = a_department(root)
    keys, authority = made.folder.keys, made.keys.ca_certificate
    made.engine.dispose()
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    now = datetime.now(UTC)
    assert ending(keys, now) == ""
    assert "ends on" in ending(keys, now + timedelta(days=800))
    assert "ended on" in ending(keys, now + timedelta(days=900))
    result = CliRunner().invoke(
        app,
        ["server-certificate", "--host", "alpr.example.org", "--host", "10.0.0.7", "--department", str(root)],
    )
    assert result.exit_code == 0, result.output
    assert names_of(keys) == ("alpr.example.org", "10.0.0.7")
    after = {path.name: path.read_bytes() for path in keys.iterdir()}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        *("server.tls.key.pem", "server.tls.cert.pem", "mqtt.tls.key.pem", "mqtt.tls.cert.pem"),
    }
    assert before.keys() == after.keys(), "no half-made file is left"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("server", "mqtt"):
        context.load_cert_chain(keys / f"{name}.tls.cert.pem", keys / f"{name}.tls.key.pem")
        certificate = x509.load_pem_x509_certificate(after[f"{name}.tls.cert.pem"])
        certificate.verify_directly_issued_by(authority)
    again = CliRunner().invoke(app, ["server-certificate", "--department", str(root)])
    assert "good for alpr.example.org, 10.0.0.7 until" in again.output


def test_what_runs_out_and_needs_persons_is_told_in_the_report_and_before_it_is_too_late(
    tmp_path: Path,
) -> None:
    root = tmp_path / "department"
    a_department(root).engine.dispose()
    department = open_department(root)
    now = datetime.now(UTC)
    assert coming_ends(department, now) == ()
    later = coming_ends(department, now + timedelta(days=150))
    assert [line for line in later if line.startswith("targets runs out on")]
    everything = coming_ends(department, now + timedelta(days=800))
    assert {line.split()[0] for line in everything} >= {"root", "targets"}
    assert any(".tls.cert.pem ends on" in line for line in everything)
    department.engine.dispose()
    assert "WARNING" not in CliRunner().invoke(app, ["report", str(root)]).stdout
