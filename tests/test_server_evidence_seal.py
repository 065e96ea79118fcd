"""The key that signs packages, and the envelope that hides them: openssl opens it, and nobody else."""

import subprocess
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate
from typer.testing import CliRunner

from server.cli import app
from server.department import Department
from server.errors import SettingsInvalidError
from server.evidence_scope import Scope
from server.evidence_seal import KEY_FILE, encrypted, evidence_key, recipients_certificate
from server.evidence_verify import verify_package
from server.release_errors import EvidenceRefusedError
from server.release_export import fulfil
from tests.departments import a_department, audited
from tests.releases import (
    NOW,
    a_certificate,
    a_holder,
    a_peopled_department,
    an_approved_request,
    read_ids,
    rsa_key,
    who,
)


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def openssl(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", *words], capture_output=True)


def test_openssl_gives_a_package_back_to_its_recipient_byte_for_byte(tmp_path: Path) -> None:
    department = a_peopled_department(tmp_path / "department")
    request = an_approved_request(department, Scope(tuple(read_ids(department))))
    made = fulfil(department, request, actor=who("brandt"), now=NOW)
    department.engine.dispose()
    key, certificate = a_holder().write(tmp_path / "agency")
    (tmp_path / "package.p7m").write_bytes(made.content)
    out = tmp_path / "package.zip"
    opened = openssl(
        *("-in", str(tmp_path / "package.p7m"), "-out", str(out)),
        *("-inkey", str(key), "-recip", str(certificate)),
    )
    assert opened.returncode == 0, opened.stderr
    assert verify_package(out, made.key).whole
    assert zipfile.ZipFile(out).testzip() is None
    stranger = tmp_path / "stranger.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(stranger), "2048"], check=True, capture_output=True)
    out.unlink()
    openssl("-in", str(tmp_path / "package.p7m"), "-out", str(out), "-inkey", str(stranger))
    assert not out.exists() or not zipfile.is_zipfile(out)


def test_the_envelope_is_aes_256_and_keeps_line_ends(tmp_path: Path) -> None:
    content = b"a\nb\r\nc\x00\r\r\n"
    sealed = tmp_path / "sealed"
    sealed.write_bytes(encrypted(content, load_pem_x509_certificate(a_holder().certificate)))
    told = subprocess.run(
        ["openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", str(sealed)], capture_output=True
    )
    assert b"aes-256-cbc" in told.stdout and b"envelopedData" in told.stdout
    key, _ = a_holder().write(tmp_path / "agency")
    assert openssl("-in", str(sealed), "-inkey", str(key), "-binary").stdout == content
    assert content not in sealed.read_bytes()


def test_two_envelopes_of_the_same_content_differ() -> None:
    certificate = load_pem_x509_certificate(a_holder().certificate)
    assert encrypted(b"x", certificate) != encrypted(b"x", certificate)
    assert BytesIO(encrypted(b"x", certificate)).read(1) == b"\x30"


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (b"no certificate", "one X.509 certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is no X.509"),
        (a_holder().certificate * 2, "one X.509 certificate"),
        (a_holder().key, "private key"),
        (a_holder().certificate + a_holder().key, "private key"),
        (a_certificate(ec.generate_private_key(ec.SECP256R1())), "RSA"),
        (a_certificate(rsa_key(1024)), "at least 2048"),
        (a_certificate(rsa_key(), ends=NOW - timedelta(hours=1)), "not valid today"),
        (a_certificate(rsa_key(), begins=NOW + timedelta(hours=1)), "not valid today"),
        (a_certificate(rsa_key(), encipherment=False), "key usage"),
    ],
)
def test_a_certificate_that_nothing_can_be_encrypted_to_is_refused(pem: bytes, said: str) -> None:
    with pytest.raises(EvidenceRefusedError, match=said) as refused:
        recipients_certificate(pem, NOW)
    assert "BEGIN" not in str(refused.value)


def test_a_certificate_for_encipherment_is_taken() -> None:
    assert recipients_certificate(a_certificate(rsa_key(), encipherment=True), NOW)


def test_an_older_department_is_given_its_key_once_and_the_log_says_so(department: Department) -> None:
    path = department.folder.keys / KEY_FILE
    assert not path.exists()
    first = evidence_key(department.engine, department.folder, NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (
        evidence_key(department.engine, department.folder, NOW).private_bytes_raw()
        == first.private_bytes_raw()
    )
    assert audited(department).count(("server", "evidence.key", "success")) == 1


def test_a_new_department_has_its_key_from_the_start(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["init", str(tmp_path / "new"), "--admin", "chief"])
    assert made.exit_code == 0 and (tmp_path / "new/keys" / KEY_FILE).is_file()


def test_a_lost_key_is_not_replaced_beside_packages_that_it_signed(tmp_path: Path) -> None:
    department = a_peopled_department(tmp_path / "department")
    request = an_approved_request(department, Scope(tuple(read_ids(department))))
    fulfil(department, request, actor=who("brandt"), now=NOW)
    path = department.folder.keys / KEY_FILE
    path.unlink()
    with pytest.raises(SettingsInvalidError, match="restore it from the backup"):
        evidence_key(department.engine, department.folder, NOW)
    assert not path.exists()
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nsecret\n")
    with pytest.raises(SettingsInvalidError, match="is not PEM") as refused:
        evidence_key(department.engine, department.folder, NOW)
    assert refused.value.__cause__ is None and "secret" not in str(refused.value)
    department.engine.dispose()
