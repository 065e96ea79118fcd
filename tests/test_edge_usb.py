"""A stick with the department's lists: copied whole, taken up by the daemon, its outcome told."""

import threading
from pathlib import Path

import pytest

from edge.errors import UsbRefusedError
from edge.updating import bring_updates
from edge.usb import OFFERED_NAME, OUTCOME_NAME, offer, wait_until_taken
from tests.test_edge_hotlists import Department, Station


@pytest.fixture
def department(tmp_path: Path) -> Department:
    department = Department(tmp_path / "department")
    department.list(1, "7ABC123")
    department.publish()
    return department


@pytest.fixture
def station(department: Department, tmp_path: Path) -> Station:
    return Station(tmp_path / "unit", department.publications.first_root)


def look(station: Station) -> None:
    """What the daemon's thread does again and again."""
    bring_updates(station.desk, None, station.run, alive=lambda: None, longest_wait_s=0.01)


def test_stick_is_taken_up_and_its_list_is_in_force(
    department: Department, station: Station, tmp_path: Path
) -> None:
    department.publications.export(tmp_path / "stick")
    offer(station.run, tmp_path / "stick")
    look(station)
    assert wait_until_taken(station.run) == "list 1 is in force"
    assert station.plates() == ["7ABC123"]
    assert not (station.run / OFFERED_NAME).exists()


def test_altered_stick_is_refused_and_the_list_in_force_stays(
    department: Department, station: Station, tmp_path: Path
) -> None:
    station.look(department.source)
    department.list(2, "8XYZ987", base=1)
    department.publish()
    department.publications.export(tmp_path / "stick")
    timestamp = tmp_path / "stick" / "metadata" / "timestamp.json"
    timestamp.write_bytes(timestamp.read_bytes().replace(b'"version":', b'"version": 1'))
    offer(station.run, tmp_path / "stick")
    look(station)
    with pytest.raises(UsbRefusedError, match=r"the stick was refused.*lists in force stay"):
        wait_until_taken(station.run)
    assert station.plates() == ["7ABC123"]


def test_what_is_no_export_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "run").mkdir()
    with pytest.raises(UsbRefusedError):
        offer(tmp_path / "run", tmp_path / "stick")
    assert not list((tmp_path / "run").iterdir())


def test_second_stick_waits_for_the_first(department: Department, station: Station, tmp_path: Path) -> None:
    department.publications.export(tmp_path / "stick")
    offer(station.run, tmp_path / "stick")
    with pytest.raises(UsbRefusedError, match="not yet taken up"):
        offer(station.run, tmp_path / "stick")


def test_offer_that_no_daemon_takes_up_is_taken_back(
    department: Department, station: Station, tmp_path: Path
) -> None:
    department.publications.export(tmp_path / "stick")
    offer(station.run, tmp_path / "stick")
    with pytest.raises(UsbRefusedError, match="is it running"):
        wait_until_taken(station.run, longest_s=0.3)
    assert not (station.run / OFFERED_NAME).exists()
    assert not (station.run / OUTCOME_NAME).exists()


def test_unit_without_a_server_waits_between_two_looks_and_is_woken(station: Station) -> None:
    waiter = threading.Thread(
        target=bring_updates,
        args=(station.desk, None, station.run),
        kwargs={"alive": lambda: None, "longest_wait_s": 60.0},
    )
    waiter.start()
    waiter.join(0.2)
    assert waiter.is_alive()
    station.desk.wake()
    waiter.join(10)
    assert not waiter.is_alive()
