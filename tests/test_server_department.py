"""A department's folder, its settings, its database and the units taken into it."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from cryptography.x509 import DNSName, ExtendedKeyUsage, SubjectAlternativeName, load_pem_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from sqlalchemy import text
from typer.testing import CliRunner

from server.cli import app
from server.database import migrate, open_database, reading, require_current, writing
from server.department import open_department
from server.enrolment import UnitAddresses, enroll, revoke
from server.errors import SettingsInvalidError
from server.settings import read_settings
from server.tables import metadata
from tests.departments import ADDRESSES, PASSWORD, a_department, a_stranger, a_unit, audited
from tests.hotlists import an_entry

KEYS_OF_A_UNIT = {
    "department.x25519.pub.pem",
    "receipt.ed25519.pub.pem",
    "hotlist.ed25519.pub.pem",
    "unit.ed25519.key.pem",
    "unit.tls.cert.pem",
    "unit.tls.key.pem",
    "ca.pem",
    "storage.key",
    "updates.root.json",
    "page.tls.cert.pem",
    "page.tls.key.pem",
}


def test_nobody_else_can_read_what_init_makes(tmp_path: Path) -> None:
    a_stranger(tmp_path / "department").engine.dispose()
    made = [tmp_path / "department", *(tmp_path / "department").rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    root = tmp_path / "department"
    a_department(root).engine.dispose()
    before = (root / "keys" / "ca.key.pem").read_bytes()
    with pytest.raises(SettingsInvalidError, match="nothing is overwritten"):
        a_stranger(root)
    assert (root / "keys" / "ca.key.pem").read_bytes() == before


def test_init_prints_a_new_password_each_time(tmp_path: Path) -> None:
    outputs = [CliRunner().invoke(app, ["init", str(tmp_path / name)]).output for name in "ab"]
    passwords = {output.partition("shown only now: ")[2].split()[0] for output in outputs}
    assert len(passwords) == 2 and min(map(len, passwords)) >= 20


def test_a_password_from_standard_input_is_not_printed(tmp_path: Path) -> None:
    arguments = ["init", str(tmp_path / "a"), "--password-file", "-"]
    result = CliRunner().invoke(app, arguments, input=f"{PASSWORD}\n")
    assert result.exit_code == 0 and PASSWORD not in result.output


def test_a_unit_gets_all_its_files_for_its_eyes_only(tmp_path: Path) -> None:
    unit = a_unit(a_department(tmp_path / "department"), tmp_path / "unit")
    files = list(unit.keys.iterdir())
    assert {file.name for file in files} == KEYS_OF_A_UNIT
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert len((unit.keys / "storage.key").read_bytes()) == 32
    config = tomllib.loads((unit.folder / "config.toml").read_text())
    assert config["unit"]["id"] == "unit-07" and config["unit"]["keys_dir"] == "keys"
    assert config["sync"]["server_url"] == ADDRESSES.server_url


def test_a_units_certificate_names_it_and_is_for_clients_alone(tmp_path: Path) -> None:
    unit = a_unit(a_department(tmp_path / "department"), tmp_path / "unit")
    certificate = load_pem_x509_certificate((unit.keys / "unit.tls.cert.pem").read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=unit-07"
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert names.get_values_for_type(DNSName) == ["unit-07"]
    usage = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_two_units_share_no_key(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    one, two = (a_unit(department, tmp_path / name, name) for name in ("unit-1", "unit-2"))
    for name in ("unit.ed25519.key.pem", "unit.tls.key.pem", "storage.key"):
        assert (one.keys / name).read_bytes() != (two.keys / name).read_bytes()


@pytest.mark.parametrize("unit_id", ["", "Unit 7", "-x", "x" * 64, "a/b", "department", "unit+1"])
def test_a_unit_id_that_cannot_be_one_is_refused(tmp_path: Path, unit_id: str) -> None:
    with pytest.raises(SettingsInvalidError, match="unit id"):
        a_unit(a_department(tmp_path / "department"), tmp_path / "unit", unit_id)


def test_enrolling_into_a_folder_of_a_unit_overwrites_nothing(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    unit = a_unit(department, tmp_path / "unit")
    before = (unit.keys / "storage.key").read_bytes()
    with pytest.raises(SettingsInvalidError, match="nothing is overwritten"):
        a_unit(department, tmp_path / "unit", "unit-08")
    assert (unit.keys / "storage.key").read_bytes() == before


def test_a_server_url_that_would_spoil_the_configuration_is_refused(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    addresses = UnitAddresses('https://host"\n[evil]', "", 8883)
    with pytest.raises(SettingsInvalidError, match="server URL"):
        enroll(
            department.engine,
            department.keys,
            "unit-07",
            tmp_path / "unit",
            addresses,
            updates_root=department.publications.first_root,
            actor="console:test",
            now=datetime.now(UTC),
        )


def test_enrolling_and_revoking_are_in_the_access_log(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    a_unit(department, tmp_path / "unit")
    revoke(department.engine, "unit-07", actor="console:test", now=datetime.now(UTC))
    assert [action for _, action, _ in audited(department)][-2:] == ["unit.enroll", "unit.revoke"]
    with pytest.raises(SettingsInvalidError, match="never enrolled"):
        revoke(department.engine, "unit-99", actor="console:test", now=datetime.now(UTC))


def test_migrations_lead_from_nothing_to_the_tables_the_code_knows(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "new.sqlite")
    with pytest.raises(SettingsInvalidError, match="form none"):
        require_current(engine)
    migrate(engine)
    require_current(engine)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    migrate(engine)
    engine.dispose()


def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "newer.sqlite")
    migrate(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsInvalidError, match="newer program"):
        migrate(engine)
    engine.dispose()


@pytest.mark.parametrize("name", ["ca.pem", "receipt.ed25519.key.pem", "department.x25519.key.pem"])
@pytest.mark.parametrize("content", [None, b"", b"not PEM"])
def test_a_missing_or_broken_key_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    root = tmp_path / "department"
    a_department(root).engine.dispose()
    if content is None:
        (root / "keys" / name).unlink()
    else:
        (root / "keys" / name).write_bytes(content)
    with pytest.raises(SettingsInvalidError, match=name):
        open_department(root)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("[acess]\nidle_timeout_min = 5", "acess"),
        ("[access]\nidle_timeout = 5", "idle_timeout"),
        ('[access]\nidle_timeout_min = "5"', "idle_timeout_min"),
        ("[access]\nidle_timeout_min = 0", "idle_timeout_min"),
        ("[access]\nidle_timeout_min = true", "idle_timeout_min"),
        ("[hotlist]\nleast_share_percent = 0", "least_share_percent"),
        ("[hotlist]\nleast_share_percent = 101", "least_share_percent"),
        ("[hotlist]\nleast_share_percent = 0.5", "least_share_percent"),
        ("access = 3", "access"),
        ("[access", "TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, line: str, named: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(line)
    with pytest.raises(SettingsInvalidError, match=named):
        read_settings(path)


def test_share_of_a_feed_that_may_go_unasked_is_set_in_server_toml(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    entries = [an_entry(f"TEST{number}") for number in range(30)]
    for percent, waits in ((50, False), (60, True), (100, True)):
        made = a_department(tmp_path / str(percent))
        made.engine.dispose()
        text = made.folder.settings.read_text()
        assert "least_share_percent = 50\n" in text
        made.folder.settings.write_text(text.replace("_percent = 50", f"_percent = {percent}"))
        department = open_department(made.folder.root)
        department.hotlists.replace_feed("stolen", entries, actor="console:a", now=now)
        report = department.hotlists.replace_feed("stolen", entries[:17], actor="console:a", now=now)
        assert (report.pending_id is not None) == waits
        department.engine.dispose()


def test_settings_left_out_are_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text("[access]\nlockout_failures = 3\n")
    settings = read_settings(path)
    assert (settings.access.lockout_failures, settings.access.idle_timeout_min) == (3, 30)
