"""The access log on disk: what is written stays, what is tampered with shows."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.access_log import LOG_NAME, AccessLog, verified
from edge.errors import LogUnwritableError
from sync.access_log import Deed, LogBrokenError, LogEntry, LogHead, read_entry
from tests.clocks import FakeClock

UNIT = "unit-07"
KEY = bytes(range(32))
SIGNING = Ed25519PrivateKey.generate()
DEPARTMENT = X25519PrivateKey.generate()


def opened(folder: Path, unit_id: str = UNIT) -> AccessLog:
    return AccessLog(
        folder,
        unit_id=unit_id,
        storage_key=KEY,
        signing=SIGNING,
        department=DEPARTMENT.public_key(),
        clock=FakeClock(),
    )


def written(folder: Path, count: int = 4) -> list[bytes]:
    """Write *count* entries; return the file's head and its frames."""
    log = opened(folder)
    parts = [(folder / LOG_NAME).read_bytes()]
    for number in range(count):
        before = (folder / LOG_NAME).stat().st_size
        log.append(Deed(f"officer-{number}", "officer", "hits.view", secret={"plate": "8ABC012"}))
        parts.append((folder / LOG_NAME).read_bytes()[before:])
    log.close()
    return parts


def check(folder: Path, noted: LogHead | None = None) -> list[LogEntry]:
    return verified(folder / LOG_NAME, unit_id=UNIT, storage_key=KEY, key=SIGNING.public_key(), noted=noted)


def test_entries_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    written(tmp_path)
    log = opened(tmp_path)
    log.append(Deed("chief", "admin", "log.view"))
    actors = [read_entry(record).actor for record in log.records(0, 100)]
    assert actors == ["officer-0", "officer-1", "officer-2", "officer-3", "chief"]
    assert [read_entry(record).actor for record in log.records(2, 2)] == ["officer-2", "officer-3"]
    assert log.records(5, 10) == () and log.records(99, 10) == ()
    assert log.head.sequence == 5 and log.fault == ""
    log.close()
    assert [entry.actor for entry in check(tmp_path)] == actors


def test_an_entry_is_on_the_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, done = opened(tmp_path), list[str]()
    real_write, real_sync = os.pwrite, os.fsync

    def write(file: int, data: bytes, offset: int) -> int:
        done.append("write")
        return real_write(file, data, offset)

    def sync(file: int) -> None:
        done.append("sync")
        real_sync(file)

    monkeypatch.setattr("edge.access_log.os.pwrite", write)
    monkeypatch.setattr("edge.access_log.os.fsync", sync)
    log.append(Deed("reyes", "officer", "login"))
    assert done == ["write", "sync"]
    log.close()


def test_no_name_case_or_plate_can_be_read_in_the_file(tmp_path: Path) -> None:
    log = opened(tmp_path)
    deed = Deed("reyes", "officer", "reads.search", case_number="26-0042", secret={"asked": "8ABC012"})
    log.append(deed)
    log.close()
    data = (tmp_path / LOG_NAME).read_bytes()
    assert not any(text in data for text in (b"reyes", b"26-0042", b"8ABC012", b"search"))
    assert (tmp_path / LOG_NAME).stat().st_mode & 0o777 == 0o600


def _changed(parts: list[bytes]) -> list[bytes]:
    frame = bytearray(parts[2])
    frame[60] ^= 1
    return [*parts[:2], bytes(frame), *parts[3:]]


def _last_changed(parts: list[bytes]) -> list[bytes]:
    frame = bytearray(parts[-1])
    frame[60] ^= 1
    return [*parts[:-1], bytes(frame)]


TAMPERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "changed": _changed,
    "last changed": _last_changed,
    "first changed": lambda parts: [*parts[:1], parts[1][:-1] + b"\x00", *parts[2:]],
    "removed": lambda parts: [*parts[:2], *parts[3:]],
    "first removed": lambda parts: [parts[0], *parts[2:]],
    "twice": lambda parts: [*parts[:3], *parts[2:]],
    "exchanged": lambda parts: [parts[0], parts[2], parts[1], *parts[3:]],
    "length changed": lambda parts: [*parts[:2], b"\xff" + parts[2][1:], *parts[3:]],
    "another file's head": lambda parts: [b"ALPRLOG1" + bytes(32), *parts[1:]],
    "no log": lambda parts: [b"something else entirely that is long enough to be one", *parts],
}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampering_is_found(tmp_path: Path, how: str) -> None:
    parts = written(tmp_path)
    (tmp_path / LOG_NAME).write_bytes(b"".join(TAMPERED[how](parts)))
    with pytest.raises(LogBrokenError):
        check(tmp_path)


def test_an_entry_put_in_by_who_has_the_storage_key_is_found(tmp_path: Path) -> None:
    """Whoever takes the disk and its storage key still lacks the unit's signing key."""
    other = tmp_path / "other"
    other.mkdir()
    forger = AccessLog(
        other,
        unit_id=UNIT,
        storage_key=KEY,
        signing=Ed25519PrivateKey.generate(),
        department=DEPARTMENT.public_key(),
        clock=FakeClock(),
    )
    forger.append(Deed("officer-0", "officer", "hits.view"))
    forger.close()
    with pytest.raises(LogBrokenError, match="another unit signed it"):
        check(other)


def test_a_cut_shows_where_the_head_was_noted(tmp_path: Path) -> None:
    parts = written(tmp_path)
    noted = LogHead(4, check(tmp_path)[3].digest)
    (tmp_path / LOG_NAME).write_bytes(b"".join(parts[:-1]))
    assert len(check(tmp_path)) == 3
    with pytest.raises(LogBrokenError, match="entry 4, noted earlier, is gone"):
        check(tmp_path, noted)
    log = opened(tmp_path)
    log.append(Deed("somebody", "officer", "login"))
    log.close()
    with pytest.raises(LogBrokenError, match="gone or another"):
        check(tmp_path, noted)


def test_the_log_of_another_unit_is_not_this_ones(tmp_path: Path) -> None:
    log = opened(tmp_path, "unit-08")
    log.append(Deed("reyes", "officer", "login"))
    log.close()
    with pytest.raises(LogBrokenError):
        check(tmp_path)


@pytest.mark.parametrize("kept", [1, 3, 4, 20, -1])
def test_half_an_entry_of_a_power_cut_is_taken_off_and_the_log_goes_on(tmp_path: Path, kept: int) -> None:
    parts = written(tmp_path)
    (tmp_path / LOG_NAME).write_bytes(b"".join([*parts[:-1], parts[-1][:kept]]))
    log = opened(tmp_path)
    log.append(Deed("reyes", "officer", "login"))
    log.close()
    entries = check(tmp_path)
    assert [entry.action for entry in entries] == ["hits.view"] * 3 + ["log.mend", "login"]
    assert entries[3].detail["bytes taken off"] == str(len(parts[-1][:kept]))


@pytest.mark.parametrize("kept", [0, 3, 50])
def test_an_entry_whose_bytes_never_came_is_taken_off_too(tmp_path: Path, kept: int) -> None:
    parts = written(tmp_path)
    last = parts[-1][:kept].ljust(len(parts[-1]), b"\x00")
    (tmp_path / LOG_NAME).write_bytes(b"".join([*parts[:-1], last]))
    log = opened(tmp_path)
    log.close()
    assert [entry.action for entry in check(tmp_path)] == ["hits.view"] * 3 + ["log.mend"]


def test_an_altered_last_entry_is_no_power_cut(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_bytes(b"".join(_last_changed(written(tmp_path))))
    log = opened(tmp_path)
    assert "entry 4 does not open: it was altered" in log.fault
    log.close()


def test_a_damaged_log_is_set_aside_and_the_next_one_says_so(tmp_path: Path) -> None:
    parts = written(tmp_path)
    (tmp_path / LOG_NAME).write_bytes(b"".join(_changed(parts)))
    log = opened(tmp_path)
    assert "set aside" in log.fault and "auditor" in log.fault
    log.close()
    [aside] = tmp_path.glob("*.damaged")
    assert aside.read_bytes() == b"".join(_changed(parts))
    [entry] = check(tmp_path)
    assert (entry.action, entry.outcome, entry.detail["aside"]) == ("log.begin", "refused", aside.name)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 12])
def test_a_long_log_goes_on_after_a_restart_that_looks_at_its_newest_entries_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("edge.access_log.VERIFIED_AT_START", 3)
    written(tmp_path, count)
    log = opened(tmp_path)
    assert log.head.sequence == count and log.fault == ""
    log.append(Deed("reyes", "officer", "login"))
    assert len(log.records(0, 100)) == count + 1
    log.close()
    assert len(check(tmp_path)) == count + 1


@pytest.mark.parametrize(("altered", "seen"), [(2, False), (6, True), (10, True)])
def test_what_the_start_does_not_look_at_the_verification_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, altered: int, seen: bool
) -> None:
    monkeypatch.setattr("edge.access_log.VERIFIED_AT_START", 5)
    parts = written(tmp_path, 10)
    parts[altered] = parts[altered][:60] + bytes([parts[altered][60] ^ 1]) + parts[altered][61:]
    (tmp_path / LOG_NAME).write_bytes(b"".join(parts))
    with pytest.raises(LogBrokenError, match=f"entry {altered} does not open"):
        check(tmp_path)
    log = opened(tmp_path)
    assert bool(log.fault) == seen
    log.close()


def test_what_could_not_be_written_is_not_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(tmp_path)
    log.append(Deed("reyes", "officer", "login"))

    def failing(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("edge.access_log.os.fsync", failing)
    with pytest.raises(LogUnwritableError, match="nothing is shown"):
        log.append(Deed("reyes", "officer", "hits.view"))
    assert log.head.sequence == 1
    monkeypatch.undo()
    log.append(Deed("reyes", "officer", "logout"))
    log.close()
    assert [entry.action for entry in check(tmp_path)] == ["login", "logout"]


def test_two_processes_do_not_write_one_log(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with pytest.raises(LogUnwritableError, match="cannot be opened"):
        opened(tmp_path)
    log.close()
