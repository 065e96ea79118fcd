"""Each attack on what the department publishes is refused: the old state stays, an alarm is given."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import MetaFile, TargetFile

from edge.clock import SystemClock
from sync.errors import (
    NotPublishedError,
    SyncError,
    TrustLostError,
    UpdateExpiredError,
    UpdateRejectedError,
    UpdateRolledBackError,
    UpdateSlowError,
)
from sync.trust import DATABASE_NAME, METADATA_NAME, TrustedUpdates
from sync.trust_repair import repair
from sync.trust_source import FolderSource, Limits, Source
from sync.trust_values import MAX_NUMBER, Label, Target, Trusted
from tests.clocks import FakeKernel
from tests.repositories import (
    DAY,
    HOTLIST,
    HOUR,
    MODEL,
    NOW,
    Changed,
    Department,
    Ticks,
    a_department,
    a_unit,
    altered,
    hotlist,
)

LATER = NOW + HOUR


@pytest.fixture
def department(tmp_path: Path) -> Department:
    return a_department(tmp_path)


@pytest.fixture
def unit(tmp_path: Path, department: Department) -> Iterator[TrustedUpdates]:
    """A unit that has the second hotlist, and a source that somebody kept of the first."""
    unit = a_unit(tmp_path, department)
    department.keep("first")
    department.issue(2, NOW)
    unit.refresh(department.source, NOW)
    yield unit
    unit.close()


def first(department: Department) -> FolderSource:
    return FolderSource(department.root / "first")


def refused(
    unit: TrustedUpdates,
    source: Source,
    now: datetime = LATER,
    error: type[UpdateRejectedError] = UpdateRejectedError,
    match: str | None = None,
) -> UpdateRejectedError:
    """A refresh is refused with an alarm; what was in force stays so, now and after a restart."""
    before, versions = unit.trusted, unit._record.floors()
    with pytest.raises(error, match=match) as caught:
        unit.refresh(source, now)
    assert caught.value.alarm.startswith(("ALARM: ", "STALE: "))
    assert unit.state(now).alarm == caught.value.alarm
    assert unit.trusted == before is not None
    assert unit.load() == before
    # Roots are climbed at once; of all else nothing moved.
    after = unit._record.floors()
    assert {**after.roles, "root": None} == {**versions.roles, "root": None}
    assert after.sequences == versions.sequences
    return caught.value


def refused_target(
    unit: TrustedUpdates, source: Source, into: Path, match: str, error: type[SyncError] = UpdateRejectedError
) -> None:
    """A target is refused with an alarm, and what stood in its place stays."""
    assert unit.trusted is not None
    into.write_bytes(b"in force")
    with pytest.raises(error, match=match):
        unit.fetch_target(source, unit.trusted.targets[HOTLIST], into, LATER)
    assert unit.state(LATER).alarm.startswith("ALARM: ")
    assert into.read_bytes() == b"in force"


# Replay


def test_old_publication_played_back_is_refused(department: Department, unit: TrustedUpdates) -> None:
    refused(unit, first(department), error=UpdateRolledBackError, match="timestamp 1 is older than 2")


def test_old_snapshot_under_a_new_timestamp_is_refused(department: Department, unit: TrustedUpdates) -> None:
    department.issue(3, LATER)
    shutil.copyfile(department.metadata / "1.snapshot.json", department.metadata / "3.snapshot.json")
    refused(unit, department.source, match="snapshot 3 does not belong")


def test_old_snapshot_signed_into_a_new_timestamp_is_refused(
    department: Department, unit: TrustedUpdates
) -> None:
    def to_first(timestamp: Any) -> None:
        data = (department.metadata / "1.snapshot.json").read_bytes()
        timestamp.snapshot_meta = MetaFile.from_data(1, data, ["sha256"])
        timestamp.version += 1

    department.forge("timestamp", to_first, by=["timestamp key"])
    refused(unit, department.source, error=UpdateRolledBackError, match="snapshot 1 is older than 2")


@pytest.mark.parametrize("role", ["targets", "hotlist"])
def test_old_role_signed_into_a_new_snapshot_is_refused(
    department: Department, unit: TrustedUpdates, role: str
) -> None:
    department.repository.renew("targets", NOW)
    department.sign("targets")
    department.publish(NOW)
    unit.refresh(department.source, NOW)

    def to_first(snapshot: Any) -> None:
        data = (department.metadata / f"1.{role}.json").read_bytes()
        snapshot.meta[f"{role}.json"] = MetaFile.from_data(1, data, ["sha256"])
        snapshot.version += 1

    department.forge("snapshot", to_first, by=["snapshot key"])
    refused(unit, department.source, error=UpdateRolledBackError, match=f"{role} 1 is older than 2")


def test_sequence_that_falls_under_a_valid_signature_is_refused(
    department: Department, unit: TrustedUpdates
) -> None:
    def fall(targets: Any) -> None:
        targets.targets[HOTLIST].unrecognized_fields["custom"]["sequence"] = 1
        targets.version += 1

    department.forge("hotlist", fall, by=["hotlist key"])
    refused(unit, department.source, error=UpdateRolledBackError, match="sequence 1 is older than 2")


def test_sequence_that_falls_after_its_target_was_gone_is_refused(
    department: Department, unit: TrustedUpdates
) -> None:
    department.repository.remove_target(HOTLIST, NOW)
    department.publish(NOW)
    assert HOTLIST not in unit.refresh(department.source, NOW).targets
    department.issue(1, NOW)
    refused(unit, department.source, error=UpdateRolledBackError, match="sequence 1 is older than 2")


# Freeze, and the clock


def test_frozen_publication_is_refused_once_it_ran_out(department: Department, unit: TrustedUpdates) -> None:
    refused(unit, department.source, NOW + DAY, UpdateExpiredError, "timestamp is past its date")
    state = unit.state(NOW + DAY)
    assert state.stale and "ran out: timestamp" in state.line


@pytest.mark.parametrize(
    ("role", "after"), [("snapshot", 8), ("hotlist", 8), ("targets", 181), ("root", 366)]
)
def test_each_role_that_ran_out_is_refused_under_a_fresh_timestamp(
    department: Department, unit: TrustedUpdates, role: str, after: int
) -> None:
    def live_on(signed: Any) -> None:
        signed.expires = NOW + 1000 * DAY
        signed.version += 1

    # As if the online keys were in the hands of who freezes what persons signed.
    for other in ("hotlist", "snapshot"):
        if other != role:
            department.forge(other, live_on, by=[f"{other} key"])
    department.forge("timestamp", live_on, by=["timestamp key"])
    refused(unit, department.source, NOW + after * DAY, UpdateExpiredError, "past its date")


def test_clock_set_back_does_not_revive_what_ran_out(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    def clock() -> SystemClock:
        return SystemClock(tmp_path, kernel)

    kernel = FakeKernel(NOW + 3 * DAY)
    kernel.is_synchronised = True
    trusted_time = clock()
    refused(unit, department.source, trusted_time.now().utc, UpdateExpiredError)
    trusted_time.keep_floor()
    kernel.is_synchronised = False
    kernel.set_wall(NOW)  # within the dates again
    for each in (trusted_time, clock()):  # also after a restart
        refused(unit, department.source, each.now().utc, UpdateExpiredError)
        assert unit.state(each.now().utc).stale


def test_clock_set_far_forward_leaves_the_list_and_heals_when_it_is_right(
    department: Department, unit: TrustedUpdates
) -> None:
    refused(unit, department.source, datetime(2099, 1, 1, tzinfo=UTC), UpdateExpiredError)
    assert unit.state(datetime(2099, 1, 1, tzinfo=UTC)).stale
    department.issue(3, LATER)
    assert unit.refresh(department.source, LATER).targets[HOTLIST].label.sequence == 3
    assert not unit.state(LATER).stale


# Mix and match, forgery


def test_files_of_two_publications_mixed_are_refused(department: Department, unit: TrustedUpdates) -> None:
    # A second line of publications under the same numbers and the same keys.
    shutil.copytree(department.root, department.root.parent / "other")
    other = Department(department.root.parent / "other")
    department.issue(3, LATER)
    other.hotlist(3, LATER, content=b"another third hotlist")
    other.publish(LATER)
    for role in ("hotlist", "snapshot"):
        path = department.metadata / f"3.{role}.json"
        kept = path.read_bytes()
        shutil.copyfile(other.metadata / path.name, path)
        refused(unit, department.source, match=f"{role} 3 does not belong to the same publication")
        path.write_bytes(kept)
    assert unit.refresh(department.source, LATER).targets[HOTLIST].label.sequence == 3


def test_two_publications_under_one_number_are_refused(department: Department, unit: TrustedUpdates) -> None:
    def other_date(timestamp: Any) -> None:
        timestamp.expires += HOUR

    department.forge("timestamp", other_date, by=["timestamp key"])
    refused(unit, department.source, match="timestamp 2 is not the file accepted under that number")


def test_two_contents_of_a_target_under_one_sequence_are_refused(
    department: Department, unit: TrustedUpdates
) -> None:
    def swap(targets: Any) -> None:
        targets.targets[HOTLIST].hashes["sha256"] = "ab" * 32
        targets.version += 1

    department.forge("hotlist", swap, by=["hotlist key"])
    refused(unit, department.source, match="sequence 2 was accepted with another content")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "hotlist"])
def test_role_signed_with_a_strange_key_is_refused(
    department: Department, unit: TrustedUpdates, role: str
) -> None:
    def next_version(signed: Any) -> None:
        signed.version += 1

    department.forge(role, next_version, by=["stranger", "dora"])
    refused(unit, department.source, match="not signed by enough")


@pytest.mark.parametrize("role", ["root", "targets"])
def test_one_signature_of_three_persons_is_too_few(
    department: Department, unit: TrustedUpdates, role: str
) -> None:
    def next_version(signed: Any) -> None:
        signed.version += 1

    department.forge(role, next_version, by=["anna", "stranger"])
    refused(unit, department.source, match="not signed by enough .*1/2")


def test_root_signed_by_its_own_new_keys_alone_is_refused(
    department: Department, unit: TrustedUpdates
) -> None:
    def take_over(root: Any) -> None:
        root.version += 1
        for name in ("dora", "emil"):
            root.add_key(department.repository.ring.named(name).public, "root")
        for name in ("anna", "ben", "carla"):
            root.revoke_key(department.repository.ring.named(name).public.keyid, "root")

    department.forge("root", take_over, by=["dora", "emil", "anna"])
    refused(unit, department.source, match="root 2 is not signed by enough")


def test_root_that_leaves_a_number_out_is_refused(department: Department, unit: TrustedUpdates) -> None:
    def skip(root: Any) -> None:
        root.version += 2

    department.forge("root", skip, by=["anna", "ben"])
    shutil.move(department.metadata / "3.root.json", department.metadata / "2.root.json")
    refused(unit, department.source, match="root 2 does not belong")


def test_hotlist_key_cannot_sign_for_a_model(department: Department, unit: TrustedUpdates) -> None:
    def reach_out(targets: Any) -> None:
        custom = {"custom": Label("model", 9).custom()}
        targets.targets["models/pi5/evil.onnx"] = TargetFile(5, {"sha256": "ab" * 32}, "x", custom)
        targets.version += 1

    department.forge("hotlist", reach_out, by=["hotlist key"])
    error = refused(unit, department.source, match="outside its folder")
    assert "key of hotlist" in error.alarm


def test_hotlist_key_cannot_call_a_file_in_its_folder_a_model(
    department: Department, unit: TrustedUpdates
) -> None:
    def rename(targets: Any) -> None:
        targets.targets[HOTLIST].unrecognized_fields["custom"] = Label("model", 9).custom()
        targets.version += 1

    department.forge("hotlist", rename, by=["hotlist key"])
    refused(unit, department.source, match="belongs in the folder models")


# Revoked keys


def _revoke(department: Department, old: str, new: str) -> None:
    department.replace_key(old, new)
    for role in ("root", "targets"):
        if department.repository.folder.draft(role) is not None:
            department.sign(role)
    department.publish(LATER)


def test_revoked_key_is_refused_from_the_moment_its_root_was_seen(
    department: Department, unit: TrustedUpdates
) -> None:
    kept = Department(shutil.copytree(department.root, department.root.parent / "thief"))
    _revoke(department, "timestamp key", "timestamp key 2")

    def live_on(timestamp: Any) -> None:
        timestamp.version += 7

    kept.forge("timestamp", live_on, by=["timestamp key"])
    shutil.copyfile(department.metadata / "2.root.json", kept.metadata / "2.root.json")
    refused(unit, kept.source, match="timestamp is not signed by enough")
    # Now the thief holds the root back: it was seen once, and that is kept.
    (kept.metadata / "2.root.json").unlink()
    shutil.rmtree(_metadata(unit))
    _metadata(unit).mkdir()
    with pytest.raises(UpdateRolledBackError, match="root 2 was accepted before"):
        unit.refresh(kept.source, LATER)
    assert unit.refresh(department.source, LATER).versions["root"] == 2


def test_target_is_not_fetched_once_its_keys_were_replaced(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    _revoke(department, "timestamp key", "timestamp key 2")
    (department.metadata / "timestamp.json").write_bytes(b"{}")
    refused(unit, department.source)
    refused_expired = pytest.raises(UpdateExpiredError, match="keys were replaced")
    assert unit.trusted is not None
    with refused_expired:
        unit.fetch_target(department.source, unit.trusted.targets[HOTLIST], tmp_path / "list", LATER)


def test_person_who_left_cannot_help_to_sign(department: Department, unit: TrustedUpdates) -> None:
    _revoke(department, "carla", "dora")
    unit.refresh(department.source, LATER)

    def next_version(signed: Any) -> None:
        signed.version += 1

    department.forge("targets", next_version, by=["carla", "anna"])
    refused(unit, department.source, match="targets 3 is not signed by enough")


# Fast-forward


def _run_ahead(signed: Any) -> None:
    signed.version = MAX_NUMBER
    for target in getattr(signed, "targets", {}).values():
        target.unrecognized_fields["custom"]["sequence"] = MAX_NUMBER


@pytest.mark.parametrize("role", ["hotlist", "snapshot", "timestamp"])
def test_department_recovers_from_a_thief_who_published_the_largest_number(
    department: Department, unit: TrustedUpdates, role: str
) -> None:
    thief = Department(shutil.copytree(department.root, department.root.parent / "thief"))
    thief.forge(role, _run_ahead, by=[f"{role} key"])
    assert unit.refresh(thief.source, LATER).versions[role] == MAX_NUMBER
    department.hotlist(3, LATER)
    department.publish(LATER, skip=3)  # beyond what the thief's other files count
    refused(unit, department.source, error=UpdateRolledBackError, match=f"{role} .* older than {MAX_NUMBER}")
    _revoke(department, f"{role} key", f"{role} key 2")
    trusted = unit.refresh(department.source, LATER)
    assert trusted.versions[role] < 9
    assert trusted.targets[HOTLIST].label.sequence == 3
    # From here on it is counted as before.
    refused(unit, first(department), error=UpdateRejectedError)
    department.issue(4, LATER)
    assert unit.refresh(department.source, LATER).targets[HOTLIST].label.sequence == 4


def test_floor_stays_while_enough_of_the_old_keys_count(department: Department, unit: TrustedUpdates) -> None:
    # One person of three was replaced: what the other two signed before could still be played back.
    department.repository.renew("targets", NOW)
    department.sign("targets")
    department.publish(NOW)
    unit.refresh(department.source, NOW)
    _revoke(department, "carla", "dora")

    def to_first(snapshot: Any) -> None:
        data = (department.metadata / "1.targets.json").read_bytes()
        snapshot.meta["targets.json"] = MetaFile.from_data(1, data, ["sha256"])
        snapshot.version += 1

    department.forge("snapshot", to_first, by=["snapshot key"])
    refused(unit, department.source, error=UpdateRolledBackError, match="targets 1 is older than 2")


@pytest.mark.parametrize("version", [MAX_NUMBER + 1, 10**30, 3.0, True])
def test_number_that_cannot_be_is_refused(
    department: Department, unit: TrustedUpdates, version: float
) -> None:
    altered(department.metadata / "timestamp.json", lambda content: content["signed"].update(version=version))

    def keep(signed: Any) -> None:
        signed.version = version

    if not isinstance(version, float):  # canonical JSON has no fractions: a float is refused as unsigned
        department.forge("timestamp", keep, by=["timestamp key"])
    refused(unit, department.source)


# Endless, slow, oversized, cut short, altered


def _endless() -> Iterator[bytes]:
    while True:
        yield b" " * 65_536


@pytest.mark.parametrize("name", ["timestamp_json", "3_snapshot_json", "3_hotlist_json", "2_root_json"])
def test_endless_metadata_are_cut_off(department: Department, unit: TrustedUpdates, name: str) -> None:
    department.issue(3, LATER)
    taken = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in _endless():
            taken += len(chunk)
            yield chunk

    refused(unit, Changed(department.source, **{name: counted}), match="longer than the")
    assert taken <= 2 * 65_536 + 65_536


def test_endless_target_is_cut_off_at_its_length(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    refused_target(unit, Changed(department.source, snapshot=_endless), tmp_path / "list", "longer than the")
    assert sum(path.stat().st_size for path in tmp_path.glob(".list.*")) <= len(hotlist(2))


@pytest.mark.parametrize(
    ("chunk", "pause_s", "said"),
    [
        (
            b"x",
            20.0,
            "sent 2 bytes in 40 s",
        ),  # never silent for long: no timeout between two bytes would end it
        (b"", 20.0, "sent 0 bytes in 40 s"),
        (b"x" * 10, 0.01, "sent 30010 bytes|longer than"),
    ],
)
def test_dripping_source_is_cut_off(
    tmp_path: Path, department: Department, chunk: bytes, pause_s: float, said: str
) -> None:
    ticks = Ticks()
    unit = a_unit(tmp_path, department, monotonic_ns=ticks)
    unit.refresh(department.source, NOW)

    def drip() -> Iterator[bytes]:
        while True:
            ticks.pass_s(pause_s)
            yield chunk

    before = ticks.now_ns
    error = UpdateSlowError if pause_s > 1 else UpdateRejectedError
    refused(unit, Changed(department.source, timestamp_json=drip), LATER, error, said)
    assert ticks.now_ns - before < 60e9


def test_source_that_is_just_fast_enough_is_still_ended(tmp_path: Path, department: Department) -> None:
    ticks = Ticks()
    unit = a_unit(tmp_path, department, monotonic_ns=ticks, limits=Limits(refresh_s=100, least_bytes_s=1))
    unit.refresh(department.source, NOW)

    def drip() -> Iterator[bytes]:
        while True:
            ticks.pass_s(10)
            yield b" " * 11

    refused(
        unit, Changed(department.source, timestamp_json=drip), LATER, UpdateSlowError, "longer than 100 s"
    )


def test_slow_target_is_cut_off_and_continued_later(tmp_path: Path, department: Department) -> None:
    ticks = Ticks()
    unit = a_unit(tmp_path, department, monotonic_ns=ticks)
    unit.refresh(department.source, NOW)

    def drip() -> Iterator[bytes]:
        for byte in hotlist(1):
            ticks.pass_s(5)
            yield bytes([byte])

    refused_target(
        unit, Changed(department.source, snapshot=drip), tmp_path / "list", "bytes in", UpdateSlowError
    )
    target = unit.trusted and unit.trusted.targets[HOTLIST]
    assert target
    source = Changed(department.source)
    unit.fetch_target(source, target, tmp_path / "list", LATER)
    assert source.asked[0][1] > 0
    assert (tmp_path / "list").read_bytes() == hotlist(1)


def test_announced_metadata_that_are_too_large_are_not_even_asked_for(
    department: Department, unit: TrustedUpdates
) -> None:
    def large(snapshot: Any) -> None:
        snapshot.meta["hotlist.json"] = MetaFile(3, 100_000_000, {"sha256": "ab" * 32})
        snapshot.version += 1

    department.forge("snapshot", large, by=["snapshot key"])
    source = Changed(department.source)
    refused(unit, source, match="announced with 100000000 bytes")
    assert "metadata/3.hotlist.json" not in [name for name, _ in source.asked]


def test_target_larger_than_a_unit_takes_is_not_even_asked_for(
    tmp_path: Path, department: Department
) -> None:
    unit = a_unit(tmp_path, department, limits=Limits(target_bytes=100))
    unit.refresh(department.source, NOW)
    source = Changed(department.source)
    refused_target(unit, source, tmp_path / "list", "longer than the 100 bytes")
    assert source.asked == []


@pytest.mark.parametrize("name", ["timestamp.json", "3.snapshot.json", "3.hotlist.json", "2.root.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "zeroed", "nested"])
def test_metadata_cut_short_or_spoiled_are_refused(
    department: Department, unit: TrustedUpdates, name: str, damage: str
) -> None:
    department.repository.renew("root", NOW)
    department.sign("root")
    department.issue(3, LATER)
    path = department.metadata / name
    data = path.read_bytes()
    spoiled = {"cut": data[:-1], "empty": b"", "zeroed": bytes(len(data)), "nested": b"[" * (len(data) - 1)}
    path.write_bytes(spoiled[damage])
    refused(unit, department.source)
    path.write_bytes(data)
    assert unit.refresh(department.source, LATER).targets[HOTLIST].label.sequence == 3


def _published(department: Department, path: str, target: Target) -> Path:
    return department.public / replace(target, path=path).source_name


def _cut_short(data: bytes) -> bytes:
    return data[:-1]


def _one_bit(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


def _one_more(data: bytes) -> bytes:
    return data + b"\0"


@pytest.mark.parametrize(
    ("change", "said"),
    [(_cut_short, "ends at 4999 of 5000|ends at"), (_one_bit, "not the bytes"), (_one_more, "longer than")],
)
def test_altered_target_is_refused(
    tmp_path: Path, department: Department, unit: TrustedUpdates, change: Callable[[bytes], bytes], said: str
) -> None:
    assert unit.trusted is not None
    path = _published(department, HOTLIST, unit.trusted.targets[HOTLIST])
    good = path.read_bytes()
    path.write_bytes(change(good))
    refused_target(unit, department.source, tmp_path / "list", said)
    path.write_bytes(good)
    unit.fetch_target(department.source, unit.trusted.targets[HOTLIST], tmp_path / "list", LATER)
    assert (tmp_path / "list").read_bytes() == hotlist(2)


def test_target_swapped_with_one_of_another_path_is_refused(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    assert unit.trusted is not None
    model = department.public / unit.trusted.targets[MODEL].source_name
    shutil.copyfile(model, department.public / unit.trusted.targets[HOTLIST].source_name)
    refused_target(unit, department.source, tmp_path / "list", "not the bytes|longer than")


def test_target_that_is_gone_from_its_source_leaves_the_old_one(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    assert unit.trusted is not None
    (department.public / unit.trusted.targets[HOTLIST].source_name).unlink()
    with pytest.raises(NotPublishedError, match="not there"):
        unit.fetch_target(department.source, unit.trusted.targets[HOTLIST], tmp_path / "list", LATER)
    assert not (tmp_path / "list").exists()


# The unit's own disk


def _metadata(unit: TrustedUpdates) -> Path:
    return unit._files._folder


def _zeroed(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(bytes(path.stat().st_size))


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"")


def _deleted(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("spoil", [_zeroed, _emptied, _deleted])
def test_spoiled_cache_lets_nothing_older_in(
    tmp_path: Path, department: Department, unit: TrustedUpdates, spoil: Callable[[Path], None]
) -> None:
    department.repository.renew("root", NOW)
    department.sign("root")
    department.issue(3, NOW)
    newest = unit.refresh(department.source, NOW)
    unit.close()
    spoil(tmp_path / "unit" / METADATA_NAME)
    unit = a_unit(tmp_path, department)
    with pytest.raises(UpdateRejectedError, match="damaged or gone") as caught:
        unit.load()
    assert "Still nothing older" in caught.value.alarm
    assert unit.state(NOW).stale
    for kept in (first(department), Changed(first(department))):
        with pytest.raises(UpdateRolledBackError) as replay:
            unit.refresh(kept, NOW)
        assert "ALARM" in replay.value.alarm
    assert unit.refresh(department.source, NOW).versions == newest.versions
    unit.close()
    unit = a_unit(tmp_path, department)
    assert unit.load() == newest  # mended


def test_spoiled_file_among_whole_ones_is_noticed_and_mended(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    newest = unit.trusted
    path = _metadata(unit) / "2.hotlist.json"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(UpdateRejectedError, match=r"2\.hotlist\.json is damaged"):
        unit.load()
    assert unit.trusted == newest
    unit.refresh(department.source, NOW)
    assert unit.load() == newest


def _garbled(database: Path) -> None:
    data = bytearray(database.read_bytes())
    data[4096:8192] = b"\xa5" * 4096
    database.write_bytes(data)


def _zeroed_file(database: Path) -> None:
    database.write_bytes(bytes(database.stat().st_size))


def _cut_file(database: Path) -> None:
    database.write_bytes(b"")


def _deleted_file(database: Path) -> None:
    database.unlink()


@pytest.mark.parametrize("spoil", [_garbled, _zeroed_file, _cut_file, _deleted_file])
def test_spoiled_record_stops_updates_until_a_person_repairs_it(
    tmp_path: Path, department: Department, unit: TrustedUpdates, spoil: Callable[[Path], None]
) -> None:
    newest = unit.trusted
    unit.close()
    spoil(tmp_path / "unit" / DATABASE_NAME)
    for _ in range(2):
        with pytest.raises(TrustLostError, match="repair it") as caught:
            a_unit(tmp_path, department)
        assert caught.value.alarm.startswith("ALARM: ")
    said = repair(tmp_path / "unit", department.first_root, LATER)
    assert "publication 2 was found whole" in said
    unit = a_unit(tmp_path, department)
    loaded = unit.load()
    assert loaded is not None and newest is not None
    assert (loaded.versions, loaded.targets) == (newest.versions, newest.targets)
    refused(unit, first(department), error=UpdateRolledBackError)


def test_repair_without_any_whole_metadata_says_so(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    unit.close()
    _zeroed(tmp_path / "unit" / METADATA_NAME)
    _zeroed_file(tmp_path / "unit" / DATABASE_NAME)
    assert "no publication was found whole" in repair(tmp_path / "unit", department.first_root, LATER)
    unit = a_unit(tmp_path, department)
    assert unit.load() is None
    assert unit.refresh(department.source, LATER).targets[HOTLIST].label.sequence == 2


def test_repaired_publication_that_ran_out_shows_as_stale(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    unit.close()
    (tmp_path / "unit" / DATABASE_NAME).unlink()
    repair(tmp_path / "unit", department.first_root, NOW + 30 * DAY)
    unit = a_unit(tmp_path, department)
    unit.load()
    state = unit.state(NOW + 30 * DAY)
    assert state.stale and state.age_s is not None and state.age_s > timedelta(days=28).total_seconds()


def test_record_that_is_spoiled_while_it_is_open_stops_updates(
    tmp_path: Path, department: Department, unit: TrustedUpdates
) -> None:
    before = unit.trusted
    unit._record._connection.execute("DROP TABLE accepted")
    department.issue(3, LATER)
    with pytest.raises(TrustLostError, match="breaks its own rules"):
        unit.refresh(department.source, LATER)
    assert unit.trusted == before


def test_record_itself_refuses_to_forget(unit: TrustedUpdates) -> None:
    for change in ("UPDATE accepted SET version = 1", "UPDATE sequences SET sequence = 1"):
        with pytest.raises(Exception, match="does not fall"):
            unit._record._connection.execute(
                change + " WHERE rowid IN (SELECT max(rowid) FROM accepted) OR 1"
            )


def test_another_root_than_enrolments_is_not_taken(tmp_path: Path, department: Department) -> None:
    a_unit(tmp_path, department).close()
    (tmp_path / "elsewhere").mkdir()
    other = a_department(tmp_path / "elsewhere")
    other.replace_key("anna", "dora")
    other.sign("root", ("anna", "ben", "dora"))
    strange = other.repository.folder.draft_path("root").read_bytes()
    with pytest.raises(TrustLostError, match="differs from the one installed at enrolment"):
        TrustedUpdates(tmp_path / "unit", strange)


def test_record_of_a_newer_program_is_left_alone(tmp_path: Path, department: Department) -> None:
    unit = a_unit(tmp_path, department)
    unit._record._connection.execute("PRAGMA user_version = 99")
    unit.close()
    with pytest.raises(TrustLostError, match="newer program"):
        a_unit(tmp_path, department)


def test_targets_long_gone_are_forgotten_in_the_end(
    tmp_path: Path, department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.trust_record.KEPT_SEQUENCES", 2)
    unit = a_unit(tmp_path, department)
    for sequence in range(2, 7):
        path = f"hotlist/main.{sequence}.delta"
        department.put(path, b"delta", Label("hotlist-delta", sequence, base=1), NOW)
        department.publish(NOW)
        unit.refresh(department.source, NOW)
        department.repository.remove_target(path, NOW)
    department.publish(NOW)
    unit.refresh(department.source, NOW)
    kept = unit._record.floors().sequences
    assert kept.keys() == {HOTLIST, MODEL, "hotlist/main.5.delta", "hotlist/main.6.delta"}


def test_trusted_values_cannot_be_written_to(unit: TrustedUpdates) -> None:
    assert isinstance(unit.trusted, Trusted)
    with pytest.raises(AttributeError):
        unit.trusted.accepted_at = NOW  # type: ignore[misc]  # that is the point
