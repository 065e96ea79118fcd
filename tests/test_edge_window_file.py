"""The file of the window's secrets holds what it was given last, nothing older, whenever the power fails."""

import contextlib
import os
from pathlib import Path

import pytest

from edge.errors import WindowLostError
from edge.window_file import MOST_SLOTS, PAGE_BYTES, SlotFile
from sync.window import new_slot
from tests.windows import pages_opened

KEY = bytes(range(32))
OLD, NEW = (new_slot(1000), new_slot(2000)), (new_slot(3000),)


class FakeTpm:
    """Fills `edge.window_file.Anchor`; remembers every secret it ever held."""

    def __init__(self) -> None:
        self.held = [b""]

    def read(self) -> bytes:
        return self.held[-1]

    def replace(self, secret: bytes) -> None:
        _step("tpm", lambda: self.held.append(secret))


class PowerCutError(Exception):
    pass


_left = [10**9]


def _step(what: str, act: object) -> None:
    _left[0] -= 1
    if _left[0] < 0:
        raise PowerCutError(what)
    act()  # type: ignore[operator]  # a plain function


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "window.keys"


def test_what_was_put_in_is_there_and_there_is_no_file_before(path: Path) -> None:
    file = SlotFile(path, KEY, None)
    assert file.load() == ()
    file.replace(OLD)
    assert SlotFile(path, KEY, None).load() == OLD
    assert path.stat().st_mode & 0o777 == 0o600
    file.replace(())
    assert SlotFile(path, KEY, None).load() == ()


def test_file_is_overwritten_where_it_lies_and_keeps_its_size(path: Path) -> None:
    file = SlotFile(path, KEY, None)
    file.replace(OLD)
    before = path.stat()
    for count in (0, 1, MOST_SLOTS):
        file.replace([new_slot(n) for n in range(count)])
        assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, 2 * PAGE_BYTES)
        assert list(path.parent.iterdir()) == [path]


def test_destroyed_secret_is_nowhere_in_the_file(path: Path) -> None:
    file = SlotFile(path, KEY, None)
    file.replace(OLD)
    file.replace(NEW)
    held = pages_opened(path.read_bytes(), KEY, b"")
    assert set(held) == set(NEW)


def test_more_slots_than_fit_keep_the_last_to_end(path: Path) -> None:
    slots = tuple(new_slot(n) for n in range(MOST_SLOTS + 5))
    SlotFile(path, KEY, None).replace(slots)
    assert SlotFile(path, KEY, None).load() == slots[5:]


@pytest.mark.parametrize("anchored", [False, True])
def test_power_cut_at_any_step_leaves_the_old_slots_or_the_new(
    path: Path, monkeypatch: pytest.MonkeyPatch, anchored: bool
) -> None:
    pwrite = os.pwrite
    outcomes = []
    for cut_at in range(4):
        for torn in (0, 1, 700, PAGE_BYTES):
            tpm = FakeTpm() if anchored else None
            _left[0] = 10**9
            path.unlink(missing_ok=True)
            file = SlotFile(path, KEY, tpm)
            file.replace(OLD)

            def cut(descriptor: int, data: bytes, at: int, torn: int = torn) -> int:
                def whole() -> None:
                    pwrite(descriptor, data, at)

                try:
                    _step("disk", whole)
                except PowerCutError:
                    pwrite(descriptor, data[:torn], at)
                    raise
                return len(data)

            _left[0] = cut_at
            monkeypatch.setattr(os, "pwrite", cut)
            with contextlib.suppress(PowerCutError):
                file.replace(NEW)
            monkeypatch.setattr(os, "pwrite", pwrite)
            _left[0] = 10**9
            again = SlotFile(path, KEY, tpm)
            found = again.load()
            outcomes.append(found)
            assert found in (OLD, NEW), (cut_at, torn)
            # After the next start nothing of the old is left, in whatever state the cut found it.
            again.replace(NEW)
            assert set(pages_opened(path.read_bytes(), KEY, tpm.read() if tpm else b"")) == set(NEW)
            assert again.settled
    assert OLD in outcomes and NEW in outcomes


def test_half_written_file_says_that_it_is_not_settled(path: Path) -> None:
    file = SlotFile(path, KEY, None)
    file.replace(OLD)
    content = path.read_bytes()
    file.replace(NEW)
    path.write_bytes(path.read_bytes()[:PAGE_BYTES] + content[PAGE_BYTES:])
    half = SlotFile(path, KEY, None)
    assert (half.load(), half.settled) == (NEW, False)
    whole = SlotFile(path, KEY, None)
    whole.replace(NEW)
    assert (whole.load(), whole.settled) == (NEW, True)


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(2 * PAGE_BYTES), os.urandom(3 * PAGE_BYTES)])
def test_damaged_file_says_what_is_lost(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(WindowLostError, match="the department has every read"):
        SlotFile(path, KEY, None).load()


def test_another_storage_key_opens_nothing(path: Path) -> None:
    SlotFile(path, KEY, None).replace(OLD)
    with pytest.raises(WindowLostError, match="another storage key"):
        SlotFile(path, bytes(32), None).load()


def test_with_a_tpm_an_old_copy_of_the_file_opens_no_more(path: Path) -> None:
    """What a flash card may still hold of the overwritten blocks, and a backup of the disk."""
    tpm = FakeTpm()
    file = SlotFile(path, KEY, tpm)
    file.replace(OLD)
    remnant = path.read_bytes()
    assert pages_opened(remnant, KEY, tpm.read())
    file.replace(NEW)
    assert pages_opened(remnant, KEY, tpm.read()) == pages_opened(remnant, KEY, b"") == []
    assert len({*tpm.held}) == 3
    path.write_bytes(remnant)
    with pytest.raises(WindowLostError):
        SlotFile(path, KEY, tpm).load()


def test_without_a_tpm_an_old_copy_opens_with_the_storage_key(path: Path) -> None:
    """The price that the threat model names: a Raspberry Pi has no place that really forgets."""
    file = SlotFile(path, KEY, None)
    file.replace(OLD)
    remnant = path.read_bytes()
    file.replace(NEW)
    assert set(pages_opened(remnant, KEY, b"")) == set(OLD)
