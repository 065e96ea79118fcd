"""`alpr-server updates`: keys change hands by the command line, and a unit that was away follows."""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.cli import main
from server.department import Department
from sync.trust import TrustedUpdates
from sync.trust_source import FolderSource
from tests.departments import a_department
from tests.painted import tiny_archive


@pytest.fixture
def department(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Department:
    made = a_department(tmp_path / "department")
    monkeypatch.setenv("ALPR_SERVER_DIR", str(made.folder.root))
    return made


@pytest.fixture
def unit(department: Department, tmp_path: Path) -> TrustedUpdates:
    (tmp_path / "unit").mkdir()
    trusted = TrustedUpdates(tmp_path / "unit", department.publications.first_root)
    trusted.refresh(source(department), datetime.now(UTC))
    return trusted


def source(department: Department) -> FolderSource:
    return FolderSource(department.folder.updates / "public")


def updates(*arguments: str) -> int:
    with patch.object(sys, "argv", ["alpr-server", "updates", *arguments]):
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def signed(tmp_path: Path, role: str, *names: str) -> None:
    draft = tmp_path / f"{role}-{len(list(tmp_path.iterdir()))}.json"
    assert updates("export-draft", role, str(draft)) == 0
    for name in names:
        assert updates("sign", name, str(draft)) == 0
    assert updates("import-signed", role, str(draft)) == 0


def make_key(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "a passphrase")
    assert updates("make-key", name, str(tmp_path / f"{name}.pem")) == 0


def test_key_of_a_person_is_replaced_and_a_unit_follows(
    department: Department, unit: TrustedUpdates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path, "dora", monkeypatch)
    assert updates("replace-key", "person-3", "dora") == 0
    for role in ("root", "targets"):
        signed(tmp_path, role, "person-1", "person-2")
    assert updates("publish") == 0
    assert unit.refresh(source(department), datetime.now(UTC)).versions["root"] == 2
    # The new holder's signature counts, the old one's does not.
    pack = tiny_archive(tmp_path / "tiny.pack")
    add = ("add-target", "models/tiny.pack", str(pack), "--kind", "model", "--sequence")
    assert updates(*add, "1") == 0
    signed(tmp_path, "targets", "dora", "person-1")
    assert updates("publish") == 0
    assert "models/tiny.pack" in unit.refresh(source(department), datetime.now(UTC)).targets
    assert updates(*add, "2") == 0
    draft = tmp_path / "old.json"
    updates("export-draft", "targets", str(draft))
    updates("sign", "person-3", str(draft))
    assert updates("import-signed", "targets", str(draft)) != 0


def test_one_signature_is_not_enough_and_says_so(
    department: Department, unit: TrustedUpdates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert updates("add-pack", str(tiny_archive(tmp_path / "tiny.pack"))) == 0
    signed(tmp_path, "targets", "person-1")
    assert updates("publish") == 0
    assert "not in it: the draft of targets lacks signatures" in capsys.readouterr().out
    assert "models/tiny.pack" not in unit.refresh(source(department), datetime.now(UTC)).targets


def test_status_says_what_is_in_force_and_what_waits(
    department: Department, capsys: pytest.CaptureFixture[str]
) -> None:
    assert updates("status") == 0
    assert "root       version 1" in capsys.readouterr().out
    assert updates("renew", "root") == 0
    assert updates("status") == 0
    assert "draft of root, version 2" in capsys.readouterr().out


def test_servers_own_roles_are_not_signed_by_persons(
    department: Department, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert updates("export-draft", "timestamp", str(tmp_path / "draft")) != 0
    assert "persons sign for root and targets" in capsys.readouterr().err


def test_persons_sign_with_keys_on_their_own_media_where_no_department_is(
    department: Department,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.move(department.folder.updates / "persons", tmp_path / "sticks")
    assert updates("renew", "root") == 0
    draft = tmp_path / "draft.json"
    assert updates("export-draft", "root", str(draft)) == 0
    assert updates("sign", "person-1", str(draft)) != 0
    assert "person-1.pem cannot be read" in capsys.readouterr().err
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("ALPR_SERVER_DIR", str(tmp_path / "none"))
        for name in ("person-1", "person-3"):
            key = tmp_path / "sticks" / f"{name}.pem"
            assert updates("sign", name, str(draft), "--key", str(key)) == 0
            told = capsys.readouterr().out
            assert "root version 2" in told and f"is signed with {name}" in told
    assert updates("import-signed", "root", str(draft)) == 0
    assert "signed by person-1, person-3" in capsys.readouterr().out
    assert updates("publish") == 0
    assert "root 2" in capsys.readouterr().out


def test_key_under_a_passphrase_asks_for_it_once_and_a_wrong_one_is_said_plainly(
    department: Department,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_key(tmp_path, "dora", monkeypatch)
    assert updates("replace-key", "person-3", "dora") == 0
    draft, asked = tmp_path / "draft.json", list[str]()
    assert updates("export-draft", "root", str(draft)) == 0

    def told(what: str, **_: object) -> str:
        asked.append(what)
        return "a passphrase"

    monkeypatch.setattr("typer.prompt", told)
    sign = ("sign", "dora", str(draft), "--key")
    assert updates(*sign, str(tmp_path / "dora.pem")) == 0
    assert asked == ["passphrase of dora"]
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "another")
    assert updates(*sign, str(tmp_path / "dora.pem")) == 78
    assert updates(*sign, str(draft)) == 78
    assert capsys.readouterr().err.count("wrong passphrase, or ") == 2


def test_key_that_cannot_be_made_or_read_is_said_plainly(
    department: Department,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_key(tmp_path, "dora", monkeypatch)
    assert updates("make-key", "emil", str(tmp_path / "dora.pem")) != 0
    assert "no key was made" in capsys.readouterr().err
    (tmp_path / "public.pem").write_text("not PEM")
    for name in ("public.pem", "none.pem"):
        assert updates("add-key", "kms", "hsm:2", str(tmp_path / name)) != 0
        assert "cannot be read as a public key" in capsys.readouterr().err


def test_key_in_a_device_is_known_by_its_public_half(department: Department, tmp_path: Path) -> None:
    public = Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(pem)
    assert updates("add-key", "kms", "hsm:2?label=ALPR", str(tmp_path / "public.pem")) == 0
    assert department.publications.repository.ring.named("kms").uri == "hsm:2?label=ALPR"


def test_pack_is_numbered_published_withdrawn_and_published_again_under_a_higher_number(
    department: Department, unit: TrustedUpdates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = tiny_archive(tmp_path / "tiny.pack")
    numbers = []
    for _ in range(2):
        assert updates("add-pack", str(pack)) == 0
        assert "reader.onnx  1625 bytes  SHA-256" in capsys.readouterr().out
        signed(tmp_path, "targets", "person-1", "person-2")
        assert updates("publish") == 0
        target = unit.refresh(source(department), datetime.now(UTC)).targets["models/tiny.pack"]
        assert target.length_bytes == pack.stat().st_size
        numbers.append(target.label.sequence)
        assert updates("remove-target", "models/tiny.pack") == 0
        signed(tmp_path, "targets", "person-1", "person-2")
        assert updates("publish") == 0
        assert "models/tiny.pack" not in unit.refresh(source(department), datetime.now(UTC)).targets
    assert numbers[0] < numbers[1]


def test_pack_that_units_would_refuse_is_not_drafted(
    department: Department, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = tiny_archive(tmp_path / "tiny.pack")
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "altered.pack").write_bytes(content)
    assert updates("add-pack", str(tmp_path / "altered.pack")) != 0
    assert "the archive is damaged" in capsys.readouterr().err
    add = ("--kind", "model", "--sequence", "1")
    assert updates("add-target", "models/other.pack", str(pack), *add) != 0
    assert "its manifest calls it tiny" in capsys.readouterr().err
    assert updates("add-target", "models/a.onnx", str(pack), *add) != 0
    assert "as one file models/NAME.pack" in capsys.readouterr().err
    assert updates("remove-target", "hotlist/list") != 0
    assert "only models and profiles" in capsys.readouterr().err
    assert updates("status") == 0
    assert "draft of targets" not in capsys.readouterr().out
