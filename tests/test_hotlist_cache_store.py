import contextlib
import errno
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from hotlist_cache import sealed_file, store
from hotlist_cache.config import HotlistConfig
from hotlist_cache.delta import DeltaNotForThisListError, encode_delta
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from hotlist_cache.snapshot import open_snapshot
from hotlist_cache.store import JOURNAL_NAME, LIST_NAME, NEWEST_NAME, HotlistStore
from tests.hotlists import (
    CONFIG,
    EXPIRES,
    ISSUED,
    KEY,
    KEYS,
    NOW,
    OTHER_KEY,
    STORAGE_KEY,
    CutDisk,
    PowerCut,
    a_list,
    an_entry,
    signed_anew,
)

ONE, TWO, SIX, WILD = an_entry("7ABC123"), an_entry("2GHJ222"), an_entry("6DEF456"), an_entry("8XYZ9*")
FIRST = a_list([ONE, WILD], 1)
SECOND = a_list([ONE, SIX, WILD], 2)
THIRD = a_list([ONE, SIX, TWO, WILD], 3)
FOURTH = a_list([SIX, TWO, WILD], 4)
TO_SECOND, TO_THIRD, TO_FOURTH = (
    encode_delta(base, new, key=KEY) for base, new in pairwise([FIRST, SECOND, THIRD, FOURTH])
)


def open_store(folder: Path, disk: Disk | None = None, config: HotlistConfig = CONFIG) -> HotlistStore:
    return HotlistStore(folder, storage_key=STORAGE_KEY, keys=KEYS, config=config, disk=disk)


def loaded_sequence(folder: Path) -> int:
    snapshot = open_store(folder).load()
    assert snapshot is not None
    assert len(list(snapshot.entries())) == snapshot.header.count
    return snapshot.header.sequence


def test_installed_list_is_there_after_a_restart(tmp_path: Path) -> None:
    assert open_store(tmp_path).load() is None
    open_store(tmp_path).install(FIRST, NOW)
    assert loaded_sequence(tmp_path) == 1


def test_list_in_force_survives_its_own_expiry_and_a_wrong_clock(tmp_path: Path) -> None:
    # load asks no clock: the alert policy makes the alerts of an old list advisory.
    open_store(tmp_path).install(FIRST, NOW)
    with pytest.raises(SnapshotRejectedError, match="expired"):
        open_store(tmp_path).install(SECOND, EXPIRES)
    assert loaded_sequence(tmp_path) == 1


def test_rejected_list_leaves_the_one_in_force(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.install(SECOND, NOW)
    with pytest.raises(SnapshotRejectedError, match="older"):
        store.install(FIRST, NOW)
    assert store.newest is not None and store.newest.sequence == 2
    assert loaded_sequence(tmp_path) == 2


def test_deleting_the_list_does_not_let_an_older_one_in(tmp_path: Path) -> None:
    open_store(tmp_path).install(SECOND, NOW)
    (tmp_path / LIST_NAME).unlink()
    store = open_store(tmp_path)
    with pytest.raises(SnapshotRejectedError, match="NO LIST: list 2 was accepted but is gone"):
        store.load()
    with pytest.raises(SnapshotRejectedError, match="older"):
        store.install(FIRST, NOW)
    store.install(SECOND, NOW)
    assert loaded_sequence(tmp_path) == 2


def test_older_sealed_list_put_back_is_set_aside(tmp_path: Path) -> None:
    open_store(tmp_path).install(FIRST, NOW)
    kept = (tmp_path / LIST_NAME).read_bytes()
    store = open_store(tmp_path)
    store.load()
    store.install(SECOND, NOW)
    (tmp_path / LIST_NAME).write_bytes(kept)
    with pytest.raises(SnapshotRejectedError, match="NO LIST: list 1 lay on disk though 2 was accepted"):
        open_store(tmp_path).load()
    assert not (tmp_path / LIST_NAME).exists()


def test_new_department_key_does_not_forget_which_list_was_newest(tmp_path: Path) -> None:
    open_store(tmp_path).install(SECOND, NOW)
    (tmp_path / LIST_NAME).unlink()
    keys = [OTHER_KEY.public_key()]
    store = HotlistStore(tmp_path, storage_key=STORAGE_KEY, keys=keys, config=CONFIG)
    with pytest.raises(SnapshotRejectedError, match="list 2"):
        store.load()
    assert store.newest is not None


@pytest.mark.parametrize("name", [LIST_NAME, NEWEST_NAME])
def test_every_damaged_byte_of_a_sealed_file_is_noticed(tmp_path: Path, name: str) -> None:
    open_store(tmp_path).install(FIRST, NOW)
    sealed = (tmp_path / name).read_bytes()
    for position in range(0, len(sealed), 7):
        altered = bytearray(sealed)
        altered[position] ^= 0x10
        (tmp_path / name).write_bytes(altered)
        with pytest.raises(SealedFileDamagedError):
            read_sealed(tmp_path / name, STORAGE_KEY, name)


def test_damaged_list_is_set_aside_and_the_same_list_installs_again(tmp_path: Path) -> None:
    open_store(tmp_path).install(FIRST, NOW)
    sealed = bytearray((tmp_path / LIST_NAME).read_bytes())
    sealed[-1] ^= 1
    (tmp_path / LIST_NAME).write_bytes(sealed)
    store = open_store(tmp_path)
    with pytest.raises(SnapshotRejectedError, match=f"NO LIST.*{LIST_NAME}.damaged.*fetch"):
        store.load()
    assert (tmp_path / f"{LIST_NAME}.damaged").read_bytes() == sealed
    store.install(FIRST, NOW)
    assert loaded_sequence(tmp_path) == 1


def test_damaged_record_of_the_newest_is_mended_from_a_whole_list(tmp_path: Path) -> None:
    open_store(tmp_path).install(SECOND, NOW)
    (tmp_path / NEWEST_NAME).write_bytes(b"rubbish")
    assert loaded_sequence(tmp_path) == 2
    (tmp_path / LIST_NAME).unlink()
    with pytest.raises(SnapshotRejectedError, match="list 2 was accepted"):
        open_store(tmp_path).load()


def test_damaged_record_without_a_list_is_said_and_not_taken_for_a_new_unit(tmp_path: Path) -> None:
    (tmp_path / NEWEST_NAME).write_bytes(b"rubbish")
    with pytest.raises(SnapshotRejectedError, match=r"NO LIST.*damaged"):
        open_store(tmp_path).load()


def test_one_sealed_file_cannot_stand_for_the_other(tmp_path: Path) -> None:
    open_store(tmp_path).install(FIRST, NOW)
    (tmp_path / LIST_NAME).write_bytes((tmp_path / NEWEST_NAME).read_bytes())
    with pytest.raises(SnapshotRejectedError, match="does not open"):
        open_store(tmp_path).load()


def test_nothing_readable_is_on_the_disk(tmp_path: Path) -> None:
    open_store(tmp_path).install(FIRST, NOW)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
        assert not any(text in content for text in (b"TOYOTA", b"8XYZ9", b"Stolen", b"26-000123"))


def test_another_storage_key_opens_nothing(tmp_path: Path) -> None:
    open_store(tmp_path).install(FIRST, NOW)
    store = HotlistStore(tmp_path, storage_key=bytes(32), keys=KEYS, config=CONFIG)
    with pytest.raises(SnapshotRejectedError, match="NO LIST"):
        store.load()


def test_storage_key_of_another_length_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        HotlistStore(tmp_path, storage_key=b"short", keys=KEYS, config=CONFIG).install(FIRST, NOW)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 200])
def test_sealed_file_gives_back_what_was_put_in(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_file, "CHUNK_BYTES", 64)
    content = bytes(range(size % 251)) * 2 + bytes(size)
    write_sealed(RealDisk(), tmp_path / "file", memoryview(content), STORAGE_KEY, "test")
    assert read_sealed(tmp_path / "file", STORAGE_KEY, "test") == content


def test_chunks_left_out_swapped_or_cut_off_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_file, "CHUNK_BYTES", 64)
    path = tmp_path / "file"
    write_sealed(RealDisk(), path, memoryview(bytes(64 * 3)), STORAGE_KEY, "test")
    sealed = path.read_bytes()
    start, a, b, c, last = sealed[:40], sealed[40:120], sealed[120:200], sealed[200:280], sealed[280:]
    assert len(last) == 16
    orders = [
        [a, b, c],
        [a, b, last],
        [a, b],
        [b, a, c, last],
        [a, b, c, last, last],
        [a, b, c, last[:-1]],
        [a, b, c, c, last],
        [],
    ]
    for order in orders:
        path.write_bytes(b"".join((start, *order)))
        with pytest.raises(SealedFileDamagedError):
            read_sealed(path, STORAGE_KEY, "test")


def _cut_while_installing(folder: Path, cut_at: int, seed: int, *, obeys_sync: bool) -> bool:
    """Install the second list over the first with the power cut at a call; return whether it got through."""
    for path in folder.iterdir():
        path.unlink()
    store = open_store(folder)
    store.install(FIRST, NOW)
    disk = CutDisk(folder, cut_at, seed, obeys_sync=obeys_sync)
    store = open_store(folder, disk)
    store.load()
    try:
        store.install(SECOND, NOW)
    except PowerCut:
        return False
    finally:
        disk.power_off()
    return True


CALLS = 13
"""What an installation makes: two files with a creation, two writes, two syncs and a renaming each; and the
removal of a journal."""


def test_power_cut_at_any_call_leaves_the_old_or_the_new_list_whole(tmp_path: Path) -> None:
    seen = set()
    for cut_at in range(CALLS + 1):
        for seed in range(4):
            through = _cut_while_installing(tmp_path, cut_at, seed, obeys_sync=True)
            sequence = loaded_sequence(tmp_path)
            seen.add((through, sequence))
            assert sequence == 2 or not through
            store = open_store(tmp_path)
            store.load()
            store.install(SECOND, NOW)
            assert loaded_sequence(tmp_path) == 2
    assert seen == {(False, 1), (False, 2), (True, 2)}


def test_power_cut_on_a_disk_that_does_not_sync_loses_lists(tmp_path: Path) -> None:
    # Otherwise the test above would prove nothing.
    damaged = 0
    for cut_at in range(CALLS + 1):
        for seed in range(4):
            _cut_while_installing(tmp_path, cut_at, seed, obeys_sync=False)
            try:
                loaded_sequence(tmp_path)
            except SnapshotRejectedError:
                damaged += 1
    assert damaged


def test_power_cut_while_the_record_is_mended_loses_nothing(tmp_path: Path) -> None:
    for cut_at in range(7):
        for path in tmp_path.iterdir():
            path.unlink()
        open_store(tmp_path).install(FIRST, NOW)
        record = (tmp_path / NEWEST_NAME).read_bytes()
        store = open_store(tmp_path)
        store.load()
        store.install(SECOND, NOW)
        (tmp_path / NEWEST_NAME).write_bytes(record)  # as a cut between the two files leaves it
        disk = CutDisk(tmp_path, cut_at, seed=cut_at)
        with contextlib.suppress(PowerCut):
            open_store(tmp_path, disk).load()
        disk.power_off()
        assert loaded_sequence(tmp_path) == 2


def test_full_disk_keeps_the_list_in_force_and_its_room(tmp_path: Path) -> None:
    class FullDisk(RealDisk):
        def sync(self, file: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    open_store(tmp_path).install(FIRST, NOW)
    store = open_store(tmp_path, FullDisk())
    store.load()
    with pytest.raises(OSError, match="No space"):
        store.install(SECOND, NOW)
    assert store.newest is not None and store.newest.sequence == 1
    assert {path.name for path in tmp_path.iterdir()} == {LIST_NAME, NEWEST_NAME}
    assert loaded_sequence(tmp_path) == 1


def test_departments_private_key_is_not_what_the_unit_needs() -> None:
    assert KEYS[0].public_bytes_raw() == KEY.public_key().public_bytes_raw()


def with_deltas(folder: Path, *deltas: bytes, disk: Disk | None = None) -> HotlistStore:
    """Return a store with the first list and *deltas* applied to it one after another, opened anew."""
    open_store(folder).install(FIRST, NOW)
    for data in deltas:
        opened = open_store(folder)
        opened.load()
        opened.install_delta(data, NOW)
    opened = open_store(folder, disk)
    opened.load()
    return opened


def test_changed_list_is_there_after_a_restart_and_is_the_whole_list(tmp_path: Path) -> None:
    open_store(tmp_path).install(FIRST, NOW)
    sealed = (tmp_path / LIST_NAME).read_bytes()
    for data, whole in ((TO_SECOND, SECOND), (TO_THIRD, THIRD), (TO_FOURTH, FOURTH)):
        opened = open_store(tmp_path)
        opened.load()
        changed = opened.install_delta(data, NOW)
        again = open_store(tmp_path).load()
        assert again is not None
        assert again.stored == changed.stored == open_snapshot(whole, keys=KEYS).stored
    assert (tmp_path / LIST_NAME).read_bytes() == sealed


def test_many_deltas_in_one_step_make_the_newest_list(tmp_path: Path) -> None:
    opened = with_deltas(tmp_path)
    changed = opened.install_deltas([TO_SECOND, TO_THIRD, TO_FOURTH], NOW)
    assert changed.stored == open_snapshot(FOURTH, keys=KEYS).stored
    assert loaded_sequence(tmp_path) == 4
    assert opened.install_deltas([], NOW) is changed


def test_store_goes_on_from_one_delta_to_the_next_and_to_whole_lists(tmp_path: Path) -> None:
    opened = open_store(tmp_path)
    opened.install(FIRST, NOW)
    opened.install_delta(TO_SECOND, NOW)
    opened.install(THIRD, NOW)
    assert not (tmp_path / JOURNAL_NAME).exists()
    opened.install_delta(TO_FOURTH, NOW)
    assert loaded_sequence(tmp_path) == 4
    with pytest.raises(SnapshotRejectedError, match="older"):
        opened.install(THIRD, NOW)


def test_whole_list_in_force_installs_over_the_same_list_made_of_deltas(tmp_path: Path) -> None:
    opened = with_deltas(tmp_path, TO_SECOND)
    opened.install(SECOND, NOW)
    assert not (tmp_path / JOURNAL_NAME).exists()
    assert loaded_sequence(tmp_path) == 2


@pytest.mark.parametrize("deltas", [[TO_THIRD], [TO_SECOND, TO_FOURTH], [TO_SECOND, TO_SECOND]])
def test_gap_in_the_deltas_leaves_the_list_and_says_to_fetch_it_whole(
    tmp_path: Path, deltas: Sequence[bytes]
) -> None:
    opened = with_deltas(tmp_path)
    with pytest.raises(DeltaNotForThisListError, match="fetch the whole list"):
        opened.install_deltas(deltas, NOW)
    assert loaded_sequence(tmp_path) == 1


def test_delta_without_a_list_is_told_from_a_bad_one(tmp_path: Path) -> None:
    opened = open_store(tmp_path)
    opened.load()
    with pytest.raises(DeltaNotForThisListError, match="there is no list"):
        opened.install_delta(TO_SECOND, NOW)


def test_altered_delta_leaves_the_list_in_force(tmp_path: Path) -> None:
    opened = with_deltas(tmp_path)
    with pytest.raises(SnapshotRejectedError):
        opened.install_delta(TO_SECOND[:-1] + b"!", NOW)
    assert {path.name for path in tmp_path.iterdir()} == {LIST_NAME, NEWEST_NAME}
    assert loaded_sequence(tmp_path) == 1
    opened.install_delta(TO_SECOND, NOW)


def test_list_that_a_delta_makes_must_be_fresh_but_not_those_between(tmp_path: Path) -> None:
    expired = signed_anew(SECOND, expires_at=NOW)
    deltas = [encode_delta(FIRST, expired, key=KEY), encode_delta(expired, THIRD, key=KEY)]
    opened = with_deltas(tmp_path)
    with pytest.raises(SnapshotRejectedError, match="expired"):
        opened.install_delta(deltas[0], NOW)
    with pytest.raises(SnapshotRejectedError, match="future"):
        opened.install_delta(TO_SECOND, ISSUED - timedelta(days=1))
    assert loaded_sequence(tmp_path) == 1
    assert opened.install_deltas(deltas, NOW).header.sequence == 3


@pytest.mark.parametrize("approved", [False, True])
def test_delta_that_takes_most_of_the_list_needs_approval(tmp_path: Path, approved: bool) -> None:
    shrunken = a_list([], 2, shrink_approved=approved)
    opened = with_deltas(tmp_path)
    deltas = [encode_delta(FIRST, shrunken, key=KEY)]
    # Not even if the next one fills it again.
    deltas.append(encode_delta(shrunken, THIRD, key=KEY))
    if approved:
        assert opened.install_deltas(deltas, NOW).header.sequence == 3
        return
    with pytest.raises(SnapshotRejectedError, match="shrunken from 2 to 0"):
        opened.install_deltas(deltas, NOW)
    assert loaded_sequence(tmp_path) == 1


def test_journal_that_would_grow_too_long_becomes_part_of_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "JOURNAL_BYTES", len(TO_SECOND) + len(TO_THIRD))
    with_deltas(tmp_path, TO_SECOND, TO_THIRD)
    sealed = (tmp_path / LIST_NAME).read_bytes()
    opened = open_store(tmp_path)
    opened.load()
    opened.install_delta(TO_FOURTH, NOW)
    assert (tmp_path / LIST_NAME).read_bytes() != sealed
    assert not (tmp_path / JOURNAL_NAME).exists()
    assert loaded_sequence(tmp_path) == 4


def test_removing_the_journal_does_not_bring_the_older_list_back(tmp_path: Path) -> None:
    with_deltas(tmp_path, TO_SECOND)
    (tmp_path / JOURNAL_NAME).unlink()
    opened = open_store(tmp_path)
    with pytest.raises(SnapshotRejectedError, match="NO LIST: list 1 lay on disk though 2 was accepted"):
        opened.load()
    with pytest.raises(DeltaNotForThisListError):
        opened.install_delta(TO_SECOND, NOW)
    opened.install(SECOND, NOW)
    assert loaded_sequence(tmp_path) == 2


def test_every_damaged_byte_of_the_journal_is_noticed(tmp_path: Path) -> None:
    with_deltas(tmp_path, TO_SECOND)
    sealed = (tmp_path / JOURNAL_NAME).read_bytes()
    for position in range(0, len(sealed), 7):
        altered = bytearray(sealed)
        altered[position] ^= 0x10
        (tmp_path / JOURNAL_NAME).write_bytes(altered)
        with pytest.raises(SealedFileDamagedError):
            read_sealed(tmp_path / JOURNAL_NAME, STORAGE_KEY, JOURNAL_NAME)
    with pytest.raises(SnapshotRejectedError, match="NO LIST"):
        open_store(tmp_path).load()
    assert (tmp_path / f"{JOURNAL_NAME}.damaged").exists()


def test_journal_of_an_older_list_is_not_looked_at(tmp_path: Path) -> None:
    with_deltas(tmp_path, TO_SECOND)
    journal = (tmp_path / JOURNAL_NAME).read_bytes()
    opened = open_store(tmp_path)
    opened.load()
    opened.install(THIRD, NOW)
    (tmp_path / JOURNAL_NAME).write_bytes(journal)  # as a cut before its removal leaves it
    assert loaded_sequence(tmp_path) == 3
    opened.install_delta(TO_FOURTH, NOW)
    assert loaded_sequence(tmp_path) == 4


def test_nothing_readable_of_a_delta_is_on_the_disk(tmp_path: Path) -> None:
    with_deltas(tmp_path, TO_SECOND)
    content = (tmp_path / JOURNAL_NAME).read_bytes()
    assert (tmp_path / JOURNAL_NAME).stat().st_mode & 0o077 == 0
    assert not any(text in content for text in (b"TOYOTA", b"Stolen", b"ALPRDEL"))


@pytest.mark.parametrize("bound", [store.JOURNAL_BYTES, len(TO_SECOND)])
@pytest.mark.parametrize(
    "steps", [[[TO_SECOND], [TO_THIRD], [TO_FOURTH]], [[TO_SECOND], [TO_THIRD, TO_FOURTH]]]
)
def test_power_cut_at_any_call_leaves_the_list_and_a_prefix_of_its_deltas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Sequence[Sequence[bytes]], bound: int
) -> None:
    monkeypatch.setattr(store, "JOURNAL_BYTES", bound)
    wholes = {1: FIRST, 2: SECOND, 3: THIRD, 4: FOURTH}
    ends = [1]
    for step in steps:
        ends.append(ends[-1] + len(step))
    seen = set()
    cut_at = 0
    while True:
        for seed in range(2):
            for path in tmp_path.iterdir():
                path.unlink()
            open_store(tmp_path).install(FIRST, NOW)
            disk = CutDisk(tmp_path, cut_at, seed)
            opened = open_store(tmp_path, disk)
            opened.load()
            done = 0
            with contextlib.suppress(PowerCut):
                for step in steps:
                    opened.install_deltas(step, NOW)
                    done += 1
            disk.power_off()
            again = open_store(tmp_path)
            snapshot = again.load()
            assert snapshot is not None
            sequence = snapshot.header.sequence
            # What was said to be durable is there; what was under way is there whole or not at all.
            assert sequence in ends[done : done + 2]
            assert snapshot.stored == open_snapshot(wholes[sequence], keys=KEYS).stored
            missed = steps[ends.index(sequence) :]
            if missed:
                again.install_deltas([data for step in missed for data in step], NOW)
            assert loaded_sequence(tmp_path) == 4
            seen.add(sequence)
        if done == len(steps):
            break
        cut_at += 1
    assert seen == set(ends)


def test_full_disk_keeps_the_list_before_the_delta(tmp_path: Path) -> None:
    class FullDisk(RealDisk):
        def sync(self, file: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    opened = with_deltas(tmp_path, TO_SECOND, disk=FullDisk())
    with pytest.raises(OSError, match="No space"):
        opened.install_delta(TO_THIRD, NOW)
    assert opened.newest is not None and opened.newest.sequence == 2
    assert loaded_sequence(tmp_path) == 2
