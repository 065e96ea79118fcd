"""The unit's keys: each one must be there, of its kind, and private where it is private."""

from pathlib import Path

import pytest

from edge.errors import VaultLockedError
from edge.vault import unlock
from tests.keys import make_keys

PRIVATE = ("unit.ed25519.key.pem", "storage.key", "unit.tls.key.pem")
ALL = (
    *PRIVATE,
    "department.x25519.pub.pem",
    "receipt.ed25519.pub.pem",
    "hotlist.ed25519.pub.pem",
    "unit.tls.cert.pem",
    "ca.pem",
)


def test_complete_folder_gives_the_departments_keys(tmp_path: Path) -> None:
    made = make_keys(tmp_path / "keys")
    keys = unlock(tmp_path / "keys")
    assert keys.department.public_bytes_raw() == made.seal.public_key().public_bytes_raw()
    assert keys.receipts.public_bytes_raw() == made.receipts.public_key().public_bytes_raw()
    assert keys.signing.private_bytes_raw() == made.unit.private_bytes_raw()
    assert keys.storage == bytes(range(32))


@pytest.mark.parametrize("name", ALL)
def test_missing_key_is_named_with_the_remedy(tmp_path: Path, name: str) -> None:
    make_keys(tmp_path / "keys")
    (tmp_path / "keys" / name).unlink()
    with pytest.raises(
        VaultLockedError, match=rf"{name}: key file is missing; enrol the unit again"
    ) as caught:
        unlock(tmp_path / "keys")
    assert caught.value.exit_code == 77


@pytest.mark.parametrize("name", PRIVATE)
def test_private_key_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    make_keys(tmp_path / "keys")
    (tmp_path / "keys" / name).chmod(0o640)
    with pytest.raises(VaultLockedError, match="others can read"):
        unlock(tmp_path / "keys")


@pytest.mark.parametrize(
    "name", [name for name in ALL if name not in ("unit.tls.cert.pem", "ca.pem", PRIVATE[2])]
)
def test_damaged_key_is_refused_without_showing_it(tmp_path: Path, name: str) -> None:
    make_keys(tmp_path / "keys")
    path = tmp_path / "keys" / name
    path.write_bytes(b"SECRET-BYTES")
    with pytest.raises(VaultLockedError) as caught:
        unlock(tmp_path / "keys")
    assert name in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    folder = tmp_path / "keys"
    (folder / "department.x25519.pub.pem").write_bytes((folder / "receipt.ed25519.pub.pem").read_bytes())
    with pytest.raises(VaultLockedError, match="is not an X25519 public key"):
        unlock(folder)


def test_keys_are_in_no_repr(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    assert "bytes" not in repr(unlock(tmp_path / "keys"))
    assert "\\x01" not in repr(unlock(tmp_path / "keys"))


def test_systemds_credentials_take_the_place_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_keys(tmp_path / "given")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    assert unlock(tmp_path / "nowhere").storage == bytes(range(32))
