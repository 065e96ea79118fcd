"""The lists in force on a unit: whatever comes or fails, they are whole or there is none."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from edge.hotlists import LOOK_EVERY_S, RETRY_AFTER_S, HotlistDesk, LostTrust
from hotlist_cache.delta import encode_delta
from hotlist_cache.entry import Entry
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.header import read_header
from hotlist_cache.snapshot import Snapshot
from hotlist_cache.store import HotlistStore
from server.publications import Publications
from sync.errors import RefusedError, SyncError, TrustLostError, UnreachableError
from sync.trust import TrustedUpdates
from sync.trust_source import FolderSource, Opened, Source
from sync.trust_values import Label
from tests.clocks import FakeClock
from tests.hotlists import CONFIG, KEY, KEYS, NOW, STORAGE_KEY, a_list, an_entry


class Department:
    """Publishes real lists, signed by the tests' hotlist key, through a real repository."""

    def __init__(self, folder: Path) -> None:
        (folder / "keys").mkdir(parents=True)
        self.folder = folder
        self.publications = Publications(folder / "updates")
        with _hasty():
            self.publications.found(folder / "keys", NOW)
        self._lists: dict[int, bytes] = {}

    @property
    def source(self) -> FolderSource:
        return FolderSource(self.folder / "updates" / "public")

    def list(self, sequence: int, *plates: str, whole: bool = True, base: int | None = None) -> bytes:
        """Draft list *sequence*, whole, and the change that leads to it from the list *base*."""
        data = self._lists[sequence] = a_list(map(_entry, plates), sequence)
        if whole:
            self.put("hotlist/list", data, Label("hotlist", sequence))
        if base is not None:
            delta = encode_delta(self._lists[base], data, key=KEY)
            self.put(f"hotlist/delta-{sequence}", delta, Label("hotlist-delta", sequence, base=base))
        return data

    def urgent(self, sequence: int, *plates: str) -> None:
        data = a_list(map(_entry, plates), sequence, shrink_approved=True)
        self.put("hotlist/urgent", data, Label("hotlist", sequence, urgent=True))

    def put(self, path: str, data: bytes, label: Label) -> None:
        file = self.folder / "target"
        file.write_bytes(data)
        with _hasty():
            self.publications.repository.put_target(path, file, label, NOW)

    def publish(self) -> None:
        with _hasty():
            self.publications.repository.publish(NOW, lambda what: "")


class Station:
    """A desk with its folders, a clock at which the lists are fresh, and what it put in force."""

    def __init__(self, folder: Path, root: bytes, refused_sequence: int = 0) -> None:
        self.refused_sequence = refused_sequence
        for name in ("hotlist/urgent", "updates", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.run = folder / "run"
        self.list_file = folder / "hotlist" / "hotlist.sealed"
        self.clock = FakeClock(NOW)
        self.list: Snapshot | None = None
        self.urgent: Snapshot | None = None
        self.anew: list[str] = []
        self.updates = TrustedUpdates(folder / "updates", root)
        store, urgent = (
            HotlistStore(folder / each, storage_key=STORAGE_KEY, keys=KEYS, config=CONFIG)
            for each in ("hotlist", "hotlist/urgent")
        )
        self.desk = HotlistDesk(
            self.updates,
            store,
            urgent,
            CONFIG,
            self.clock,
            scratch=self.run,
            put_in_force=self._put,
            listed_anew=self.anew.extend,
        )
        self.desk.load()

    def plates(self) -> list[str]:
        return [] if self.list is None else sorted(entry.pattern for entry in self.list.entries())

    def look(self, source: Source) -> float:
        self.desk.look_soon()
        return self.desk.work(source)

    def _put(self, snapshot: Snapshot | None, urgent: Snapshot | None) -> None:
        if snapshot is not None and snapshot.header.sequence == self.refused_sequence:
            raise SnapshotRejectedError("hotlist: it cannot be matched; publish it again")
        self.list, self.urgent = snapshot, urgent


class Watched:
    """A source that notes what is asked of it, and fails or acts before what a test says."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.asked: list[tuple[str, int]] = []
        self.before: Callable[[str], None] = lambda name: None
        self.piece_bytes = 1 << 16

    def open(self, name: str, start: int) -> AbstractContextManager[Opened]:
        self.asked.append((name, start))
        return self._opened(name, start)

    @contextmanager
    def _opened(self, name: str, start: int) -> Iterator[Opened]:
        self.before(name)
        with self._source.open(name, start) as opened:
            yield Opened(opened.start, self._pieces(name, b"".join(opened.chunks)))

    def _pieces(self, name: str, whole: bytes) -> Iterator[bytes]:
        for place in range(0, len(whole), self.piece_bytes):
            self.before(f"{name} at {place}")
            yield whole[place : place + self.piece_bytes]

    def targets(self) -> list[str]:
        """The targets asked for, by their last name without the digest."""
        return [name.rsplit(".", 1)[-1] for name, _ in self.asked if name.startswith("targets/")]


def _entry(plate: str) -> Entry:
    return an_entry(plate, f"id-{plate}")


def _hasty() -> AbstractContextManager[object]:
    """The department waits for no disk here."""
    return patch("os.fsync", lambda descriptor: None)


@pytest.fixture
def department(tmp_path: Path) -> Department:
    return Department(tmp_path / "department")


@pytest.fixture
def unit(tmp_path: Path, department: Department) -> Iterator[Station]:
    station = Station(tmp_path / "unit", department.publications.first_root)
    yield station
    station.updates.close()


def test_unit_without_a_list_says_so_and_a_publication_without_one_is_no_error(
    department: Department, unit: Station
) -> None:
    assert unit.look(department.source) == LOOK_EVERY_S
    health = unit.desk.health(NOW)
    assert (health.sequence, health.last_error) == (0, "no hotlist yet: connect to the department")
    assert (unit.list, unit.urgent) == (None, None)


def test_first_list_comes_whole_and_the_next_ones_as_changes_in_one_step(
    department: Department, unit: Station
) -> None:
    department.list(1, "7ABC123", "7ABC124")
    department.publish()
    unit.look(department.source)
    assert (unit.desk.sequence, unit.plates()) == (1, ["7ABC123", "7ABC124"])
    assert unit.anew == []
    for sequence, plates in ((2, ["7ABC124"]), (3, ["7ABC124", "8XYZ987"]), (4, ["8XYZ987"])):
        department.list(sequence, *plates, base=sequence - 1)
    department.publish()
    source = Watched(department.source)
    assert unit.look(source) == LOOK_EVERY_S
    assert source.targets() == ["delta-2", "delta-3", "delta-4"]
    assert (unit.desk.sequence, unit.plates(), unit.anew) == (4, ["8XYZ987"], ["8XYZ987"])
    assert list(unit.run.iterdir()) == []


def test_nothing_is_fetched_twice(department: Department, unit: Station) -> None:
    department.list(1, "7ABC123")
    department.urgent(1, "7AMB911")
    department.publish()
    unit.look(department.source)
    source = Watched(department.source)
    unit.look(source)
    assert source.targets() == []


def test_missing_change_and_one_for_another_list_bring_the_list_whole(
    department: Department, unit: Station
) -> None:
    department.list(1, "7ABC123")
    department.publish()
    unit.look(department.source)
    department.list(2, "7ABC124", whole=False)
    department.list(3, "7ABC125", base=2)
    department.publish()
    unit.look(department.source)
    assert (unit.desk.sequence, unit.plates()) == (3, ["7ABC125"])
    assert unit.anew == ["7ABC125"]  # not those of the first list: all of that are new
    # A change that says it is from list 3, and is from another list of that number.
    other = a_list([_entry("1XYZ999")], 3)
    new = department.list(4, "7ABC126")
    department.put("hotlist/delta-4", encode_delta(other, new, key=KEY), Label("hotlist-delta", 4, base=3))
    department.publish()
    unit.look(department.source)
    assert (unit.desk.sequence, unit.plates()) == (4, ["7ABC126"])
    assert unit.desk.health(NOW).last_error == ""
    assert unit.anew == ["7ABC125", "7ABC126"]


def test_of_a_list_that_is_another_altogether_past_reads_are_not_searched(
    department: Department, unit: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.hotlists.MOST_ADDED", 1)
    department.list(1, "7ABC123")
    department.publish()
    unit.look(department.source)
    department.list(2, "8XYZ987", "8XYZ988")
    department.publish()
    unit.look(department.source)
    assert (unit.desk.sequence, unit.anew) == (2, [])


def test_list_that_is_older_than_the_newest_change_is_followed_by_it(
    department: Department, unit: Station
) -> None:
    department.list(1, "7ABC123")
    department.list(2, "7ABC123", "8XYZ987", whole=False, base=1)
    department.publish()
    source = Watched(department.source)
    unit.look(source)
    assert source.targets() == ["list", "delta-2"]
    assert unit.plates() == ["7ABC123", "8XYZ987"]


def test_urgent_list_comes_first_and_the_long_transfer_goes_on_where_it_was(
    department: Department, unit: Station
) -> None:
    department.list(1, *(f"{i % 10}ABC{i:03d}" for i in range(900)))
    department.publish()
    source = Watched(department.source)
    source.piece_bytes = 256
    seen: list[tuple[int, int]] = []

    def overtake(name: str) -> None:
        if name.endswith(".list at 512") and not seen:
            health = unit.desk.health(NOW)
            seen.append((health.received_bytes, health.wanted_bytes))
            department.urgent(1, "7AMB911")
            department.publish()
            timestamp = department.publications.timestamp()
            assert timestamp is not None
            unit.desk.told(timestamp)

    source.before = overtake
    assert unit.look(source) == 0.0
    assert (unit.list, unit.urgent) == (None, None)
    unit.desk.work(source)
    assert unit.urgent is not None and unit.anew == ["7AMB911"]
    assert unit.desk.sequence == 1
    starts = [start for name, start in source.asked if name.endswith(".list")]
    assert starts[0] == 0 and starts[-1] > 0
    assert seen[0][0] == 512 and seen[0][1] > 512
    assert source.targets()[1] == "urgent"
    assert list(unit.run.iterdir()) == []
    health = unit.desk.health(NOW)
    assert (health.urgent_entries, health.received_bytes, health.wanted_bytes) == (1, 0, 0)


def test_urgent_entries_that_go_are_gone_and_new_ones_alone_are_told_anew(
    department: Department, unit: Station
) -> None:
    for sequence, plates in ((1, ["7AMB911", "7AMB912"]), (2, ["7AMB912", "7AMB913"]), (3, [])):
        department.urgent(sequence, *plates)
        department.publish()
        unit.look(department.source)
    assert unit.anew == ["7AMB911", "7AMB912", "7AMB913"]
    assert unit.urgent is not None and unit.urgent.header.count == 0


def test_told_timestamp_saves_asking_for_it_and_rubbish_is_asked_of_the_server(
    department: Department, unit: Station
) -> None:
    department.list(1, "7ABC123")
    department.publish()
    timestamp = department.publications.timestamp()
    assert timestamp is not None
    unit.desk.told(timestamp)
    source = Watched(department.source)
    unit.desk.work(source)
    assert unit.desk.sequence == 1
    assert "metadata/timestamp.json" not in [name for name, _ in source.asked]
    department.list(2, "7ABC124", base=1)
    department.publish()
    for rubbish in (b"", b"{}", b"\xff" * 100, timestamp[:-1]):
        unit.desk.told(rubbish)
        unit.desk.work(department.source)
        assert unit.desk.sequence == 2
        assert unit.desk.health(NOW).last_error == ""


def test_storm_of_a_thousand_messages_costs_one_look(department: Department, unit: Station) -> None:
    department.list(1, "7ABC123")
    department.publish()
    timestamp = department.publications.timestamp()
    assert timestamp is not None
    for number in range(1000):
        unit.desk.told(timestamp if number % 2 else b"x" * 10_000)
    source = Watched(department.source)
    unit.desk.work(source)
    assert unit.desk.sequence == 1
    assert len(source.asked) < 10
    asked = len(source.asked)
    unit.desk.work(source)
    assert len(source.asked) == asked


@pytest.mark.parametrize("path", ["hotlist/list", "hotlist/urgent"])
def test_disk_that_is_full_in_the_midst_leaves_the_lists_in_force(
    department: Department, unit: Station, path: str
) -> None:
    department.list(1, "7ABC123")
    department.urgent(1, "7AMB911")
    department.publish()
    unit.look(department.source)
    department.list(2, "8XYZ987")
    department.urgent(2, "7AMB912")
    department.publish()
    store = unit.desk._store if path == "hotlist/list" else unit.desk._urgent
    with patch.object(store, "install", side_effect=OSError(28, "No space left on device")):
        assert unit.look(department.source) == RETRY_AFTER_S
    assert unit.plates() == ["7ABC123"]
    assert "No space" in unit.desk.health(NOW).last_error
    unit.look(department.source)
    assert unit.plates() == ["8XYZ987"] and sorted(unit.anew) == ["7AMB911", "7AMB912", "8XYZ987"]


@pytest.mark.parametrize(
    ("error", "wait_s"),
    [(UnreachableError("away"), RETRY_AFTER_S), (RefusedError("no", status=403), LOOK_EVERY_S)],
)
def test_whatever_the_server_says_the_lists_stay(
    department: Department, unit: Station, error: SyncError, wait_s: float
) -> None:
    department.list(1, "7ABC123")
    department.publish()
    unit.look(department.source)
    source = Watched(department.source)

    def fail(name: str) -> None:
        raise error

    source.before = fail
    assert unit.look(source) == wait_s
    assert (unit.plates(), unit.desk.health(NOW).last_error) == (["7ABC123"], str(error))
    # Nothing is asked before the wait is over, and then it is.
    asked = len(source.asked)
    assert 0 < unit.desk.work(source) <= wait_s
    assert len(source.asked) == asked
    unit.clock.advance(wait_s + 1)
    unit.desk.work(department.source)
    assert unit.desk.health(NOW).last_error == ""


def test_altered_list_is_refused_with_an_alarm_and_the_one_in_force_stays(
    department: Department, unit: Station
) -> None:
    department.list(1, "7ABC123")
    department.publish()
    unit.look(department.source)
    department.list(2, "8XYZ987")
    department.publish()
    (file,) = (
        unit_file for unit_file in _files(department) if "list" in unit_file.name and _is(unit_file, 2)
    )
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    unit.look(department.source)
    health = unit.desk.health(NOW)
    assert (unit.plates(), health.sequence) == (["7ABC123"], 1)
    assert "altered" in health.alarm
    assert [path for path in unit.run.iterdir() if not path.name.startswith(".")] == []


def test_restart_without_network_loads_both_lists(
    department: Department, unit: Station, tmp_path: Path
) -> None:
    department.list(1, "7ABC123")
    department.urgent(1, "7AMB911")
    department.publish()
    unit.look(department.source)
    unit.updates.close()
    again = Station(tmp_path / "unit", department.publications.first_root)
    assert again.plates() == ["7ABC123"] and again.urgent is not None
    assert "accepted" in again.desk.health(NOW).publication
    again.updates.close()


def test_damaged_list_is_said_to_be_none_and_the_next_look_brings_it_back(
    department: Department, unit: Station, tmp_path: Path
) -> None:
    department.list(1, "7ABC123")
    department.publish()
    unit.look(department.source)
    unit.updates.close()
    unit.list_file.write_bytes(b"rubbish")
    again = Station(tmp_path / "unit", department.publications.first_root)
    assert again.list is None and "NO LIST" in again.desk.health(NOW).last_error
    again.look(department.source)
    assert again.plates() == ["7ABC123"]
    again.updates.close()


def test_list_that_cannot_be_matched_leaves_the_one_before_in_force_and_does_not_stop_the_next_start(
    department: Department, unit: Station, tmp_path: Path
) -> None:
    department.list(1, "7ABC123")
    department.urgent(1, "7AMB911")
    department.publish()
    unit.look(department.source)
    department.list(2, "8XYZ987", base=1)
    department.publish()
    unit.refused_sequence = 2
    unit.look(department.source)
    assert (unit.desk.sequence, unit.plates()) == (1, ["7ABC123"])
    assert "cannot be matched" in unit.desk.health(NOW).last_error
    unit.updates.close()
    again = Station(tmp_path / "unit", department.publications.first_root, refused_sequence=2)
    assert again.list is None and again.urgent is not None
    assert "cannot be matched" in again.desk.health(NOW).last_error
    again.updates.close()


def test_list_gets_stale_with_time(department: Department, unit: Station) -> None:
    department.list(1, "7ABC123")
    department.publish()
    unit.look(department.source)
    assert not unit.desk.health(NOW).stale
    assert unit.desk.health(NOW + timedelta(hours=CONFIG.max_age_h + 1)).stale
    assert unit.desk.health(NOW + timedelta(days=3)).publication.startswith("STALE")


def test_unit_whose_trust_is_lost_keeps_its_list_and_says_why(
    department: Department, unit: Station, tmp_path: Path
) -> None:
    department.list(1, "7ABC123")
    department.publish()
    unit.look(department.source)
    error = TrustLostError("the record is damaged", alarm="ALARM: the record is damaged")
    in_force: list[Snapshot | None] = []
    folder = tmp_path / "unit" / "hotlist"
    store, urgent = (
        HotlistStore(each, storage_key=STORAGE_KEY, keys=KEYS, config=CONFIG)
        for each in (folder, folder / "urgent")
    )
    desk = HotlistDesk(
        LostTrust(error),
        store,
        urgent,
        CONFIG,
        FakeClock(NOW),
        scratch=unit.run,
        put_in_force=lambda snapshot, _: in_force.append(snapshot),
    )
    desk.load()
    assert desk.work(department.source) == RETRY_AFTER_S
    assert in_force[-1] is not None and desk.sequence == 1
    assert desk.health(NOW).alarm == "ALARM: the record is damaged"


def _files(department: Department) -> list[Path]:
    return [
        path for path in (department.folder / "updates" / "public" / "targets").rglob("*") if path.is_file()
    ]


def _is(path: Path, sequence: int) -> bool:
    return read_header(path.read_bytes()).sequence == sequence
