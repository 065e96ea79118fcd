"""A unit follows the department's signed publications, over restarts, by any way."""

import os
import shutil
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import httpx
import pytest
import time_machine

from sync.errors import (
    NotPublishedError,
    RefusedError,
    UnreachableError,
    UpdateExpiredError,
    UpdateRejectedError,
)
from sync.trust import TrustedUpdates
from sync.trust_fetch import part_of
from sync.trust_source import HttpsSource, Limits, ToldSource
from sync.trust_values import Label, parse_label
from tests.hotlists import CutDisk
from tests.hotlists import PowerCut as MemoryPowerCut
from tests.repositories import (
    DAY,
    HOTLIST,
    HOUR,
    MODEL,
    NOW,
    Changed,
    Department,
    Nothing,
    PowerCut,
    StepDisk,
    a_department,
    a_unit,
    hotlist,
)

ROLES = {"root", "timestamp", "snapshot", "targets", "hotlist"}


def test_first_refresh_gives_all_targets_with_what_is_said_of_them(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    trusted = a_unit(tmp_path, department).refresh(department.source, NOW)
    assert trusted.versions.keys() == ROLES
    assert {path: (target.role, target.label) for path, target in trusted.targets.items()} == {
        HOTLIST: ("hotlist", Label("hotlist", 1)),
        MODEL: ("targets", Label("model", 1)),
    }
    assert [target.path for target in trusted.of_kind("hotlist")] == [HOTLIST]


def test_deltas_are_sorted_newest_first_and_keep_base_and_urgency(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    for sequence in (2, 3):
        label = Label("hotlist-delta", sequence, base=sequence - 1, urgent=sequence == 3)
        department.put(f"hotlist/main.{sequence}.delta", b"delta", label)
    department.publish(NOW)
    deltas = a_unit(tmp_path, department).refresh(department.source, NOW).of_kind("hotlist-delta")
    assert [(each.label.sequence, each.label.base, each.label.urgent) for each in deltas] == [
        (3, 2, True),
        (2, 1, False),
    ]


def test_target_of_a_kind_of_later_days_is_left_out(tmp_path: Path) -> None:
    department = a_department(tmp_path)

    def newer_kind(targets: object) -> None:
        targets.targets[MODEL].unrecognized_fields["custom"] = {"kind": "firmware", "sequence": 1}  # type: ignore[attr-defined]  # tests' forge is untyped
        targets.version += 1  # type: ignore[attr-defined]  # the same

    department.forge("targets", newer_kind, by=("anna", "ben"))
    assert list(a_unit(tmp_path, department).refresh(department.source, NOW).targets) == [HOTLIST]


def test_offline_start_gives_the_publication_in_force(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    assert unit.load() is None
    trusted = unit.refresh(department.source, NOW)
    unit.close()
    unit = a_unit(tmp_path, department)
    assert unit.load() == trusted
    assert not unit.state(NOW + HOUR).stale


def test_offline_for_a_month_is_shown_as_stale_with_its_age(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    a_unit(tmp_path, department).refresh(department.source, NOW)
    unit = a_unit(tmp_path, department)
    trusted = unit.load()
    state = unit.state(NOW + 30 * DAY)
    assert trusted is not None and trusted.targets.keys() == {HOTLIST, MODEL}
    assert state.stale and state.age_s == 30 * 86_400
    assert "STALE" in state.line and "30 days" in state.line and "timestamp" in state.line
    assert state.expires_at == NOW + DAY


def test_unit_that_was_away_a_month_catches_up_in_one_refresh(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    unit.refresh(department.source, NOW)
    for day in range(1, 31):
        newest = department.issue(1 + day, NOW + day * DAY)
    source = Changed(department.source)
    trusted = unit.refresh(source, NOW + 30 * DAY)
    assert trusted.versions == newest.versions
    assert trusted.targets[HOTLIST].label.sequence == 31
    assert [name for name, _ in source.asked] == [
        "metadata/2.root.json",
        "metadata/timestamp.json",
        f"metadata/{newest.versions['snapshot']}.snapshot.json",
        "metadata/31.hotlist.json",  # the targets did not change, and are at hand
    ]


def test_refresh_without_news_reads_the_timestamp_alone_and_does_not_make_it_younger(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    unit.refresh(department.source, NOW)
    source = Changed(department.source)
    assert unit.refresh(source, NOW + HOUR).accepted_at == NOW
    assert [name for name, _ in source.asked] == ["metadata/2.root.json", "metadata/timestamp.json"]
    assert unit.state(NOW + HOUR).age_s == 3600


def test_roots_rotated_three_times_while_a_unit_was_away_are_climbed(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    unit.refresh(department.source, NOW)
    signers = ["anna", "ben", "carla"]
    for old, new in (("anna", "dora"), ("ben", "emil"), ("carla", "frida")):
        department.replace_key(old, new)
        department.sign("root", [*signers, new])
        signers[signers.index(old)] = new
        department.sign("targets", signers)
        department.publish(NOW + HOUR)
    department.put(MODEL, b"new weights", Label("model", 2), NOW + HOUR)
    department.sign("targets", ("dora", "emil"))
    department.publish(NOW + HOUR)
    trusted = unit.refresh(department.source, NOW + HOUR)
    assert trusted.versions["root"] == 4
    assert trusted.targets[MODEL].label.sequence == 2
    # A new start climbs from the pinned root over the unit's own copies.
    unit.close()
    unit = a_unit(tmp_path, department)
    assert unit.load() == trusted
    # And a unit that comes new, with the first root still pinned.
    (tmp_path / "other").mkdir()
    assert (
        a_unit(tmp_path / "other", department).refresh(department.source, NOW + HOUR).versions
        == trusted.versions
    )


def test_unit_enrolled_later_begins_at_the_root_of_its_day(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    department.replace_key("timestamp key", "timestamp key 2")
    department.sign("root")
    department.publish(NOW)
    (tmp_path / "late").mkdir()
    second = (department.metadata / "2.root.json").read_bytes()
    source = Changed(department.source)
    unit = TrustedUpdates(tmp_path / "late", second)
    trusted = unit.refresh(source, NOW)
    assert trusted.versions["root"] == 2
    assert source.asked[0][0] == "metadata/3.root.json"
    assert unit.load() == trusted


def test_too_many_roots_at_once_are_taken_in_several_refreshes(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department, limits=Limits(root_rotations=2))
    for _ in range(3):
        department.repository.renew("root", NOW)
        department.sign("root")
        department.publish(NOW)
    with pytest.raises(UpdateRejectedError, match="more than 2 new roots"):
        unit.refresh(department.source, NOW)
    assert unit.refresh(department.source, NOW).versions["root"] == 4


def test_timestamp_that_mqtt_brought_leads_to_the_rest(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    told = (department.metadata / "timestamp.json").read_bytes()
    (department.metadata / "timestamp.json").unlink()
    assert len(told) < 2000
    assert a_unit(tmp_path, department).refresh(ToldSource(department.source, told), NOW).targets


def test_target_is_fetched_whole_and_reports_its_progress(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    target = unit.refresh(department.source, NOW).targets[HOTLIST]
    told: list[tuple[int, int]] = []
    into = tmp_path / "list"
    unit.fetch_target(department.source, target, into, NOW, lambda *at: told.append(at))
    assert into.read_bytes() == hotlist(1)
    assert into.stat().st_mode & 0o777 == 0o600
    assert told[-1] == (target.length_bytes, target.length_bytes)
    unit.fetch_target(Nothing(), target, into, NOW)  # there already: nobody is asked


def test_target_that_broke_off_is_continued_where_it_ended(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    target = unit.refresh(department.source, NOW).targets[HOTLIST]
    into = tmp_path / "list"

    def broken():  # type: ignore[no-untyped-def]  # a generator that fails
        yield hotlist(1)[:1000]
        raise UnreachableError("gone")

    with pytest.raises(UnreachableError):
        unit.fetch_target(Changed(department.source, snapshot=broken), target, into, NOW)
    assert not into.exists()
    source = Changed(department.source)
    unit.fetch_target(source, target, into, NOW)
    assert [start for _, start in source.asked] == [1000]
    assert into.read_bytes() == hotlist(1)
    assert not part_of(into, target).exists()


def test_beginning_that_a_power_cut_spoiled_is_fetched_again(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    target = unit.refresh(department.source, NOW).targets[HOTLIST]
    into = tmp_path / "list"
    part_of(into, target).write_bytes(bytes(1000))
    source = Changed(department.source)
    unit.fetch_target(source, target, into, NOW)
    assert [start for _, start in source.asked] == [1000, 0]
    assert into.read_bytes() == hotlist(1)


def test_beginning_of_an_older_target_is_thrown_away(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    into = tmp_path / "list"
    older = part_of(into, unit.refresh(department.source, NOW).targets[HOTLIST])
    older.write_bytes(b"half")
    department.issue(2, NOW)
    unit.fetch_target(department.source, unit.refresh(department.source, NOW).targets[HOTLIST], into, NOW)
    assert into.read_bytes() == hotlist(2)
    assert not older.exists()


def test_target_is_not_fetched_from_a_publication_that_ran_out_or_was_replaced(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    target = unit.refresh(department.source, NOW).targets[HOTLIST]
    with pytest.raises(UpdateExpiredError, match="refresh"):
        unit.fetch_target(department.source, target, tmp_path / "list", NOW + 2 * DAY)
    department.issue(2, NOW)
    unit.refresh(department.source, NOW)
    with pytest.raises(ValueError, match="not of the publication"):
        unit.fetch_target(department.source, target, tmp_path / "list", NOW)


def test_time_comes_from_the_caller_and_never_from_the_system(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    for day in ("1971-01-01", "2099-01-01"):
        unit = a_unit(tmp_path, department)
        with time_machine.travel(f"{day}T00:00:00Z", tick=False):
            unit.refresh(department.source, NOW)
            unit.load()
            assert not unit.state(NOW).stale
        unit.close()
    with pytest.raises(ValueError, match="aware"):
        a_unit(tmp_path, department).refresh(department.source, NOW.replace(tzinfo=None))


# Power cuts


def _two_publications(folder: Path) -> Department:
    """Return a department with a second root and hotlist, and leave a unit that has the first ones."""
    department = a_department(folder)
    unit = a_unit(folder, department)
    unit.refresh(department.source, NOW)
    unit.close()
    (folder / "unit").rename(folder / "first")
    department.repository.renew("root", NOW)
    department.sign("root")
    department.issue(2, NOW)
    return department


def _cut(folder: Path, department: Department, cut_at: int, seed: int, *, obeys_sync: bool = True) -> bool:
    """Refresh that unit with the power cut at a call of its disk; return whether it got through."""
    shutil.rmtree(folder / "unit", ignore_errors=True)
    shutil.copytree(folder / "first", folder / "unit")
    disk = CutDisk(folder / "unit" / "metadata", cut_at, seed, obeys_sync=obeys_sync)
    unit = a_unit(folder, department, disk=disk)
    try:
        unit.refresh(department.source, NOW)
    except MemoryPowerCut:
        return False
    finally:
        unit.close()
        disk.power_off()
    return True


CALLS = 22
"""More than a refresh makes: four new files with a creation, a write, two syncs and a renaming each."""


def test_power_cut_at_any_call_leaves_the_old_or_the_new_publication(tmp_path: Path) -> None:
    department = _two_publications(tmp_path)
    seen = set()
    for cut_at in range(CALLS):
        through = _cut(tmp_path, department, cut_at, seed=cut_at)
        unit = a_unit(tmp_path, department)
        trusted = unit.load()
        assert trusted is not None
        seen.add((through, trusted.targets[HOTLIST].label.sequence))
        if cut_at % 5 == 0:
            assert unit.refresh(department.source, NOW).targets[HOTLIST].label.sequence == 2
        unit.close()
    assert seen == {(False, 1), (True, 2)}


def test_power_cut_on_a_disk_that_does_not_sync_spoils_the_copy(tmp_path: Path) -> None:
    # Otherwise the test above would prove nothing.
    department = _two_publications(tmp_path)
    spoiled = 0
    for seed in range(6):
        assert _cut(tmp_path, department, CALLS, seed, obeys_sync=False)
        unit = a_unit(tmp_path, department)
        try:
            unit.load()
        except UpdateRejectedError:
            spoiled += 1
        unit.close()
    assert spoiled


def test_power_cut_while_a_target_gets_its_name_leaves_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    into = tmp_path / "list"
    seen = set()
    for cut_at in range(4):
        unit = a_unit(tmp_path, department, disk=(disk := StepDisk(-1)))
        target = unit.refresh(department.source, NOW).targets[HOTLIST]
        into.write_bytes(b"old")
        disk.left = cut_at
        with suppress(PowerCut):
            unit.fetch_target(department.source, target, into, NOW)
        unit.close()
        seen.add((cut_at, into.read_bytes() == hotlist(1)))
        assert into.read_bytes() in (b"old", hotlist(1))
    assert seen == {(0, False), (1, False), (2, True), (3, True)}


def test_metadata_are_synced_before_the_record_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    order: list[str] = []
    monkeypatch.setattr(
        "sync.trust_files.MetadataFiles.write",
        lambda self, role, version, data: order.append(f"{role} written"),
    )
    monkeypatch.setattr("sync.trust_record.TrustRecord.accept", lambda *args: order.append("accepted"))
    unit.refresh(department.source, NOW)
    assert order[-1] == "accepted" and len(order) == 5


def test_record_waits_for_the_disk_at_each_commit(tmp_path: Path) -> None:
    connection = a_unit(tmp_path, a_department(tmp_path))._record._connection
    assert connection.pragma("synchronous") == 2  # FULL
    assert connection.pragma("journal_mode") == "wal"


# Sources


def _served(folder: Path, *, ranges: bool = True) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        path = folder / request.url.path.removeprefix("/v1/updates/")
        if not path.is_file():
            return httpx.Response(404)
        data = path.read_bytes()
        asked = request.headers.get("Range")
        if asked is None or not ranges:
            return httpx.Response(200, stream=httpx.ByteStream(data))
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        where = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return httpx.Response(206, stream=httpx.ByteStream(data[start:]), headers={"Content-Range": where})

    return httpx.Client(base_url="https://department", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("ranges", [True, False])
def test_https_source_continues_a_target_or_begins_it_anew(tmp_path: Path, ranges: bool) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    source = HttpsSource(_served(department.public, ranges=ranges))
    target = unit.refresh(source, NOW).targets[HOTLIST]
    part_of(tmp_path / "list", target).write_bytes(hotlist(1)[:1234])
    unit.fetch_target(source, target, tmp_path / "list", NOW)
    assert (tmp_path / "list").read_bytes() == hotlist(1)


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotPublishedError), (403, RefusedError), (302, UnreachableError), (503, UnreachableError)],
)
def test_https_source_says_what_an_answer_means(status: int, error: type[Exception]) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status))
    source = HttpsSource(httpx.Client(base_url="https://department", transport=transport))
    with pytest.raises(error), source.open("metadata/timestamp.json", 0):
        pass


def test_https_source_that_cannot_be_reached_is_tried_again(tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    source = HttpsSource(httpx.Client(base_url="https://department", transport=httpx.MockTransport(refuse)))
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    before = unit.refresh(department.source, NOW)
    with pytest.raises(UnreachableError, match="try again"):
        unit.refresh(source, NOW)
    assert unit.trusted == before


def test_stick_with_a_pipe_or_a_link_in_it_does_not_hold_the_unit(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    timestamp = department.metadata / "timestamp.json"
    unit = a_unit(tmp_path, department)
    timestamp.unlink()
    os.mkfifo(timestamp)
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match="not a file"):
        unit.refresh(department.source, NOW)
    (tmp_path / "elsewhere").write_bytes(b"{}")
    for aim in (Path("/dev/zero"), tmp_path / "elsewhere"):
        timestamp.unlink()
        timestamp.symlink_to(aim)
        with pytest.raises(UnreachableError, match="cannot be read"):
            unit.refresh(department.source, NOW)
    assert time.monotonic() - begun < 2


# Labels


@pytest.mark.parametrize(
    ("path", "custom"),
    [
        (HOTLIST, None),
        (HOTLIST, {"sequence": 1}),
        (HOTLIST, {"kind": "hotlist", "sequence": 0}),
        (HOTLIST, {"kind": "hotlist", "sequence": 1.5}),
        (HOTLIST, {"kind": "hotlist", "sequence": True}),
        (HOTLIST, {"kind": "hotlist", "sequence": 2, "base": 2}),
        (HOTLIST, {"kind": "hotlist", "sequence": 2, "urgent": "yes"}),
        (HOTLIST, {"kind": "model", "sequence": 1}),
        ("hotlist/../../etc/passwd", {"kind": "hotlist", "sequence": 1}),
        ("/hotlist/main", {"kind": "hotlist", "sequence": 1}),
        ("hotlist", {"kind": "hotlist", "sequence": 1}),
    ],
)
def test_label_that_cannot_be_is_refused(path: str, custom: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_label(path, custom)


def test_label_survives_the_metadata() -> None:
    label = Label("hotlist-delta", 9, base=8, urgent=True)
    assert parse_label("hotlist/x", {**label.custom(), "later": "key"}) == label


def test_ages_are_told_in_hours_then_days(tmp_path: Path) -> None:
    department = a_department(tmp_path)
    unit = a_unit(tmp_path, department)
    assert unit.state(NOW).stale and unit.state(NOW).age_s is None
    unit.refresh(department.source, NOW)
    later: datetime = NOW + 5 * HOUR
    assert "5 h ago" in unit.state(later).line
