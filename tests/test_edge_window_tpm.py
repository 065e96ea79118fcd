"""A TPM really forgets: the window's anchor and the sealed storage key on a real TPM 2.0 in software."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.errors import WindowLostError
from edge.window_file import SlotFile
from edge.window_tpm import DEVICE, TpmAnchor, anchor_of
from sync.window import new_slot
from tests.windows import UnitStore, opened_by_thief, pages_opened, seized

PATIENCE_S = 10.0

pytestmark = pytest.mark.skipif(
    shutil.which("swtpm") is None or shutil.which("tpm2_nvread") is None,
    reason="no TPM in software: apt-get install swtpm tpm2-tools",
)


@contextmanager
def running_tpm(folder: Path) -> Iterator[str]:
    """Give the TCTI of a new TPM that keeps its state in *folder*, reached by sockets there."""
    folder.mkdir(exist_ok=True)
    # The tools want the control port right above the other.
    port = next(port for port in range(23_000 + os.getpid() % 1000 * 2, 32_000, 2) if _free(port))
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}"]
    command += ["--server", f"type=tcp,port={port},bindaddr=127.0.0.1,disconnect"]
    command += ["--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1"]
    command += ["--flags", "not-need-init,startup-clear"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(int(PATIENCE_S / 0.1)):
            if not _free(port):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        yield f"swtpm:host=127.0.0.1,port={port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _free(port: int) -> bool:
    for each in (port, port + 1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", each)) == 0:
                return False
    return True


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_tpm(tmp_path_factory.mktemp("tpm")) as tcti:
        yield tcti


def test_tpm_gives_what_it_was_given_last_and_nothing_before_that(tpm: str) -> None:
    anchor = TpmAnchor(tpm, 0x0180A1B1)
    assert anchor.read() == b""
    for byte in (b"a", b"b", b"c"):
        anchor.replace(byte * 32)
        assert TpmAnchor(tpm, 0x0180A1B1).read() == byte * 32


def test_copy_of_the_key_file_opens_no_more_after_the_tpm_was_given_a_new_secret(
    tpm: str, tmp_path: Path
) -> None:
    anchor = TpmAnchor(tpm, 0x0180A1B2)
    file = SlotFile(tmp_path / "window.keys", bytes(32), anchor)
    old, new = (new_slot(1),), (new_slot(2),)
    file.replace(old)
    remnant = (tmp_path / "window.keys").read_bytes()
    assert pages_opened(remnant, bytes(32), anchor.read())
    file.replace(new)
    assert SlotFile(tmp_path / "window.keys", bytes(32), anchor).load() == new
    assert pages_opened(remnant, bytes(32), anchor.read()) == []
    assert anchor.read() not in (tmp_path / "window.keys").read_bytes()


def test_whole_disk_with_the_storage_key_opens_nothing_without_the_tpm(tpm: str, tmp_path: Path) -> None:
    anchor, key = TpmAnchor(tpm, 0x0180A1B3), bytes(range(32))
    (tmp_path / "state").mkdir()
    unit = UnitStore(tmp_path / "state", storage_key=key, anchor=anchor)
    read_id = unit.keep("QXZ7734")
    unit.restart(3600, monotonic_from_zero=True)
    assert unit.find("QXZ7734") == [read_id]
    state = seized(unit.folder, tmp_path / "thief")
    assert opened_by_thief(state, [key], [b""]) == set()
    assert opened_by_thief(state, [key], [anchor.read()]) == {read_id}
    assert unit.keeper.window_error == ""
    unit.stop()


def test_unit_whose_tpm_does_not_answer_keeps_its_window_in_memory_and_says_so(tmp_path: Path) -> None:
    unit = UnitStore(tmp_path, anchor=TpmAnchor("swtpm:host=127.0.0.1,port=1"))
    read_id = unit.keep("QXZ7734")
    assert unit.find("QXZ7734") == [read_id]
    assert "retention.window_tpm" in unit.keeper.window_error
    assert opened_by_thief(tmp_path, [bytes(range(32))], [b""]) == set()
    unit.restart()
    assert unit.find("QXZ7734") == []
    unit.stop()


def test_missing_tools_are_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for act in (TpmAnchor("swtpm:port=1").read, lambda: TpmAnchor("swtpm:port=1").replace(bytes(32))):
        with pytest.raises(WindowLostError, match="Install tpm2-tools"):
            act()


def test_setting_says_which_tpm_is_used() -> None:
    assert anchor_of("") is None
    assert isinstance(anchor_of("swtpm:port=1"), TpmAnchor)
    assert (anchor_of("auto") is not None) == os.access(DEVICE, os.R_OK | os.W_OK)


@pytest.mark.skipif(shutil.which("systemd-creds") is None, reason="systemd-creds is not installed")
def test_storage_key_sealed_by_systemd_opens_with_that_tpm_alone(tpm: str, tmp_path: Path) -> None:
    """What an installation with a TPM does: the key's file on the disk is a credential sealed to the TPM."""
    key = bytes(range(32))
    (tmp_path / "storage.key").write_bytes(key)
    sealed = tmp_path / "storage.cred"

    def creds(tcti: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = ["systemd-creds", f"--tpm2-device={tcti}", "--name=storage.key", *arguments]
        return subprocess.run(command, capture_output=True, timeout=60, check=False)

    done = creds(tpm, "--with-key=tpm2", "encrypt", str(tmp_path / "storage.key"), str(sealed))
    assert done.returncode == 0, done.stderr
    assert key not in sealed.read_bytes()
    assert creds(tpm, "decrypt", str(sealed), "-").stdout == key
    with running_tpm(tmp_path / "other") as other:
        refused = creds(other, "decrypt", str(sealed), "-")
    assert (refused.returncode != 0, refused.stdout) == (True, b"")
