"""The department's profiles on a unit: fetched, verified, put in force or refused whole."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from edge.config import Config, UnitConfig
from edge.profiles import PROFILES_NAME, REFUSED, Profiles
from hotlist_cache.disk import RealDisk
from server.publications import PERSONS
from server.repository_errors import RepositoryRefusedError
from server.repository_signing import sign_file
from sync.config import RetentionConfig
from sync.networks import Lists
from sync.trust_source import FolderSource
from sync.trust_values import Label
from tests.hotlists import NOW, STORAGE_KEY
from tests.test_edge_hotlists import Department, Station

SHORT = b"version = 1\n[retention]\nlocal_window_h = 2\nnon_hit_window_min = 3\ntransfer_non_hits = false\n"


class FullDisk(RealDisk):
    """One that takes nothing."""

    def sync(self, file: BinaryIO) -> None:
        raise OSError(28, "No space left on device")


class Car:
    """A unit's desk with its profiles, and what it was told to go on by."""

    def __init__(
        self, folder: Path, department: Department, *, retention: RetentionConfig | None = None
    ) -> None:
        self.station = Station(folder, department.publications.first_root)
        self.own = Config(
            UnitConfig("unit-07", folder, folder), retention=retention or RetentionConfig(local_window_h=24)
        )
        self.used: list[Config] = []
        self.alarms: list[str] = []
        self.lists = Lists.ALL
        self.start()

    def start(self) -> None:
        self.profiles = Profiles(self.own, STORAGE_KEY, use=self.used.append, alarm=self.alarms.append)
        self.station.desk._profiles = self.profiles
        self.station.desk._carried = lambda: self.lists

    def look(self, department: Department) -> None:
        self.station.look(department.source)


@pytest.fixture
def department(tmp_path: Path) -> Department:
    return Department(tmp_path / "department")


@pytest.fixture
def car(tmp_path: Path, department: Department) -> Iterator[Car]:
    made = Car(tmp_path / "unit", department)
    yield made
    made.station.updates.close()


def publish(department: Department, data: bytes, sequence: int, name: str = "retention.toml") -> None:
    """Put the profile in force, signed by the two persons that it takes."""
    department.put(f"profiles/{name}", data, Label("profile", sequence))
    repository = department.publications.repository
    copy = department.folder / "draft.json"
    for person in PERSONS[:2]:
        shutil.copyfile(repository.folder.draft_path("targets"), copy)
        sign_file(copy, repository.ring.named(person), lambda what: "")
        repository.take_signed("targets", copy)
    department.publish()


def test_published_profile_holds_at_once_and_after_a_restart(department: Department, car: Car) -> None:
    publish(department, SHORT, 3)
    car.look(department)
    assert [used.retention.local_window_h for used in car.used] == [2]
    assert (car.profiles.versions, car.profiles.fault) == ("retention.toml 3", "")
    car.start()
    retention = car.profiles.config.retention
    assert (retention.non_hit_window_min, retention.transfer_non_hits) == (3, False)
    car.look(department)
    assert len(car.used) == 1  # nothing changed since


def test_what_the_department_does_not_say_is_as_the_units_own_file_says(
    department: Department, car: Car
) -> None:
    publish(department, b"version = 1\n[page]\nidle_lock_min = 5\n", 1, "page.toml")
    car.look(department)
    assert car.used[-1].page.idle_lock_min == 5
    assert replace(car.used[-1], page=car.own.page) == car.own


def test_refused_profile_leaves_the_old_one_and_sounds_once(
    department: Department, car: Car, tmp_path: Path
) -> None:
    publish(department, SHORT, 1)
    car.look(department)
    # Two profiles that say the same: each is sound, and the department's server cannot see it.
    publish(department, SHORT, 1, "other.toml")
    for _ in range(3):
        car.look(department)
    assert car.alarms == [REFUSED]
    assert "stands in" in car.profiles.fault
    assert (car.profiles.versions, len(car.used)) == ("retention.toml 1", 1)
    publish(department, b"version = 1\n[hotlist]\ncooldown_s = 60\n", 2, "other.toml")
    car.look(department)
    assert (car.profiles.fault, car.profiles.versions) == ("", "other.toml 2, retention.toml 1")
    assert car.used[-1].hotlist.cooldown_s == 60


def test_profile_that_does_not_go_with_the_units_own_file_is_refused(
    department: Department, tmp_path: Path
) -> None:
    car = Car(tmp_path / "strict", department, retention=RetentionConfig(local_window_h=1))
    publish(department, b"version = 1\n[retention]\nnon_hit_window_min = 90\n", 1)
    car.look(department)
    assert (car.alarms, car.used, car.profiles.versions) == ([REFUSED], [], "")
    car.station.updates.close()


def test_lists_come_though_a_profile_is_refused(department: Department, tmp_path: Path) -> None:
    car = Car(tmp_path / "strict", department, retention=RetentionConfig(local_window_h=1))
    department.list(1, "7ABC123")
    publish(department, b"version = 1\n[retention]\nnon_hit_window_min = 90\n", 1)
    car.look(department)
    assert car.station.plates() == ["7ABC123"]
    car.station.updates.close()


def test_department_does_not_publish_what_units_would_refuse(department: Department) -> None:
    with pytest.raises(RepositoryRefusedError, match=r"units would refuse it: profile: sync\.server_url"):
        publish(department, b'version = 1\n[sync]\nserver_url = "https://elsewhere"\n', 1)


def test_damaged_copy_counts_as_none_and_comes_again(
    department: Department, car: Car, tmp_path: Path
) -> None:
    publish(department, SHORT, 1)
    car.look(department)
    path = tmp_path / "unit" / PROFILES_NAME
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    car.start()
    assert (car.profiles.versions, car.profiles.config) == ("", car.own)
    assert "cannot be used" in car.profiles.fault
    car.look(department)
    assert (car.profiles.versions, car.profiles.fault) == ("retention.toml 1", "")


def test_profile_on_the_unit_is_sealed(department: Department, car: Car, tmp_path: Path) -> None:
    publish(department, SHORT, 1)
    car.look(department)
    path = tmp_path / "unit" / PROFILES_NAME
    assert b"local_window_h" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


def test_cellular_brings_changes_and_leaves_a_whole_list_for_wifi(department: Department, car: Car) -> None:
    department.list(1, "7ABC123")
    department.publish()
    car.lists = Lists.CHANGES
    car.look(department)
    assert car.station.desk.sequence == 1  # a unit without a list takes it over whatever there is
    department.list(2, "7ABC123", "7ABC124", base=1)
    department.publish()
    car.look(department)
    assert car.station.desk.sequence == 2
    department.list(3, "8XYZ987", "7ABC124")
    department.publish()
    car.look(department)
    assert (car.station.desk.sequence, car.station.desk.health(NOW).held_back) == (2, 3)
    car.lists = Lists.ALL
    car.look(department)
    assert (car.station.desk.sequence, car.station.desk.health(NOW).held_back) == (3, 0)


def test_whole_list_on_a_stick_is_taken_over_whatever_network_there_is(
    department: Department, car: Car, tmp_path: Path
) -> None:
    department.list(1, "7ABC123")
    department.publish()
    car.look(department)
    department.list(2, "8XYZ987")
    department.publish()
    car.lists = Lists.URGENT
    car.look(department)
    assert car.station.desk.sequence == 1
    department.publications.export(tmp_path / "stick")
    car.station.desk.take_from(FolderSource(tmp_path / "stick"))
    assert (car.station.desk.sequence, car.station.desk.health(NOW).held_back) == (2, 0)


def test_urgent_list_always_comes_and_changes_only_where_they_may(department: Department, car: Car) -> None:
    department.list(1, "7ABC123")
    department.publish()
    car.look(department)
    car.lists = Lists.URGENT
    department.list(2, "7ABC123", "7ABC124", base=1)
    department.urgent(1, "9AMB911")
    department.publish()
    car.look(department)
    assert car.station.urgent is not None
    assert (car.station.desk.sequence, car.station.desk.health(NOW).held_back) == (1, 2)


def test_stale_list_is_renewed_over_whatever_there_is(department: Department, car: Car) -> None:
    department.list(1, "7ABC123")
    department.publish()
    car.look(department)
    car.lists = Lists.URGENT
    department.list(2, "7ABC124", whole=True)
    department.publish()
    car.look(department)
    assert car.station.desk.sequence == 1
    car.station.clock.start += timedelta(hours=30)
    with pytest.MonkeyPatch.context() as patched:
        # The publication itself is of two days ago in this test, and its dates are not what is asked here.
        patched.setattr(type(car.station.updates), "refresh", lambda self, source, now: self.trusted)
        patched.setattr("sync.trust_values.Trusted.expired", lambda self, now: [])
        car.look(department)
    assert car.station.desk.sequence == 2


def test_withdrawn_profile_leaves_the_units_own_file_at_once_and_after_a_restart(
    department: Department, car: Car
) -> None:
    publish(department, SHORT, 3)
    car.look(department)
    none_published: Any = SimpleNamespace(of_kind=lambda kind: ())
    car.profiles.bring(none_published, lambda target: b"")
    assert car.used[-1] == car.own
    assert (car.profiles.versions, car.profiles.fault) == ("", "")
    car.start()
    assert (car.profiles.config, car.profiles.fault) == (car.own, "")


def test_profile_that_the_disk_does_not_take_does_not_hold_until_it_does(
    department: Department, car: Car
) -> None:
    car.profiles._disk = FullDisk()
    publish(department, SHORT, 3)
    car.look(department)
    assert (car.used, car.profiles.versions, car.profiles.config) == ([], "", car.own)
    car.profiles._disk = RealDisk()
    car.station.clock.advance(3600)
    car.look(department)
    assert [used.retention.local_window_h for used in car.used] == [2]
