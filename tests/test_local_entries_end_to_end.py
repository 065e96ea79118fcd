"""An officer's entry, from one car to the department and, if that approves, to every other car."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from edge.book_courier import BookCourier
from edge.cli import main
from edge.vault import unlock
from hotlist_cache.entry import Priority
from hotlist_cache.local import LocalBook
from server.database import reading
from server.department import Department
from server.local_entries import offer
from server.local_publishing import bring
from server.tables import audit, local_entries
from sync.config import SyncConfig
from sync.errors import RefusedError, UnreachableError
from sync.https import HttpsTransport
from sync.local_book import MAX_BOOK_BYTES, SignedBook
from sync.session import Session
from sync.tls import TlsFiles
from tests.cars import MOSQUITTO, Car, broker, cars, free_port, until
from tests.departments import Unit, a_department, a_unit, running
from tests.test_push_end_to_end import Scene
from tests.units import station

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
PLATE = "7LCL123"


class Officer:
    """Somebody in a car: their commands, and the upload thread's part that carries the book."""

    def __init__(self, unit: Unit, folder: Path, url: str) -> None:
        keys = unlock(unit.keys)
        ids = iter(range(1000))
        folder /= "hotlist"
        self.book = LocalBook(folder, storage_key=keys.storage, new_id=lambda: f"{unit.unit_id}-{next(ids)}")
        self._transport = HttpsTransport(SyncConfig(server_url=url), TlsFiles.in_folder(unit.keys))
        self.courier = BookCourier(
            LocalBook(folder, storage_key=keys.storage, new_id=str),
            Session(SyncConfig(), lambda: 0.0),
            self._transport,
            unit_id=unit.unit_id,
            unit_key=keys.signing,
            department=keys.receipts,
            storage_key=keys.storage,
            clock=lambda: datetime.now(UTC),
        )

    def add(self, plate: str, priority: Priority) -> str:
        entry = self.book.add(
            plate,
            state="US-CA",
            officer="Officer 12",
            purpose="Burglary",
            case_number="26-1",
            now=datetime.now(UTC),
            lasting=timedelta(days=1),
            priority=priority,
        ).entry
        self.send()
        return entry.entry_id

    def remove(self, entry_id: str) -> None:
        self.book.remove(entry_id, officer="Officer 12", now=datetime.now(UTC))
        self.send()

    def send(self) -> None:
        self.courier.work()
        assert not self.courier.waiting, self.courier.fault

    def close(self) -> None:
        self._transport.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    department = a_department(tmp_path / "department")
    port = free_port()
    settings = department.folder.settings
    settings.write_text(
        settings.read_text().replace('host = ""', 'host = "localhost"').replace("8883", str(port))
    )
    with broker(department, tmp_path, port) as process, running(department, tmp_path / "log") as server:
        yield Scene(department, port, server.units_url, tmp_path, process)
    department.engine.dispose()


def state_of(department: Department, entry_id: str) -> str | None:
    with reading(department.engine) as connection:
        query = select(local_entries.c.state).where(local_entries.c.entry_id == entry_id)
        return connection.execute(query).scalar()


@pytest.mark.parametrize("priority", [Priority.HIGH, Priority.MEDIUM])
def test_what_an_officer_adds_is_met_in_another_car_once_it_is_offered_and_not_once_it_is_removed(
    scene: Scene, priority: Priority
) -> None:
    scene.publish("7ABC123", "7ABC124")
    units = [a_unit(scene.department, scene.folder / name, name) for name in ("unit-01", "unit-02")]
    places = [scene.place_of(unit.unit_id) for unit in units]
    first, second = (Car(unit, *place) for unit, place in zip(units, places, strict=True))
    officer = Officer(units[0], places[0][0], scene.url)
    with cars(first, second):
        until(lambda: first.hits("7ABC123") and second.hits("7ABC123"))
        entry_id = officer.add(PLATE, priority)
        first._lists.look()
        [own] = first.hits(PLATE)
        assert own.entry.list_name == "Local entry"
        assert state_of(scene.department, entry_id) == "held"
        assert not second.hits(PLATE)

        now = datetime.now(UTC)
        offer(scene.department.engine, "unit-01", entry_id, until=None, actor="console:anne", now=now)
        bring(scene.department, actor="console:anne", now=now)
        until(lambda: second.hits(PLATE))
        [hit] = second.hits(PLATE)
        assert (hit.entry.list_name, hit.entry.entry_id) == ("Local entry of unit-01", entry_id)
        assert hit.entry.priority is priority
        # The car that it came from is on the list too by now, and meets it once.
        until(lambda: [h.entry.list_name for h in first.hits(PLATE)] == ["Local entry of unit-01"])

        officer.remove(entry_id)
        first._lists.look()
        until(lambda: not second.hits(PLATE) and not first.hits(PLATE))
        assert second.hits("7ABC123")
        assert state_of(scene.department, entry_id) == "withdrawn"
    officer.close()
    with reading(scene.department.engine) as connection:
        done = connection.execute(select(audit.c.action, audit.c.actor)).all()
    assert {
        ("local_entry.add", "unit:unit-01"),
        ("local_entry.offer", "console:anne"),
        ("local_entry.remove", "unit:unit-01"),
    } <= {tuple(each) for each in done}


def test_running_unit_sends_what_its_officer_types(tmp_path: Path) -> None:
    with station(tmp_path) as place:
        place.state.mkdir()
        config = place.unit / "own.toml"
        text = place.config.read_text().replace("/var/lib/alpr-edge", str(place.state))
        config.write_text(text)
        given = ("--officer", "Officer 12", "--purpose", "Burglary", "--case", "26-1", "--plate", PLATE)
        assert main(["hotlist", "add", *given, "--config", str(config)]) == 0
        unit = place.run_unit()
        try:
            until(lambda: held_in(place.department) == [("unit-01", PLATE, "Officer 12")])
        finally:
            unit.terminate()
            unit.wait(60)


def held_in(department: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(department / "department.sqlite")) as database:
        return database.execute("SELECT unit_id, pattern, officer FROM local_entries").fetchall()


def test_what_is_no_book_is_refused_at_the_door(scene: Scene) -> None:
    unit = a_unit(scene.department, scene.folder / "unit-01", "unit-01")
    transport = HttpsTransport(SyncConfig(server_url=scene.url), TlsFiles.in_folder(unit.keys))
    for payload, signature in ((b"", bytes(64)), (bytes(100), bytes(64)), (bytes(100), b"")):
        with pytest.raises(RefusedError, match="not signed by this unit's key") as caught:
            transport.send_book(SignedBook(payload, signature))
        assert caught.value.status == 422
    # By its declared length, before it is read: whether the unit still hears the answer is chance.
    with pytest.raises((RefusedError, UnreachableError)):
        transport.send_book(SignedBook(bytes(MAX_BOOK_BYTES + 1), bytes(64)))
    transport.close()


def test_a_unit_that_was_set_back_is_told_so_and_its_entries_stay(scene: Scene) -> None:
    unit = a_unit(scene.department, scene.folder / "unit-01", "unit-01")
    place = scene.place_of("unit-01")
    (place[0] / "hotlist").mkdir(parents=True)
    officer = Officer(unit, place[0], scene.url)
    officer.add("7LCL123", Priority.LOW)
    before = officer.book.path.read_bytes()
    officer.add("7LCL124", Priority.LOW)
    officer.book.path.write_bytes(before)
    officer.courier.work()
    assert officer.courier.waiting
    assert "unit-01 was set back: it holds 1 changes, and 2 were received" in officer.courier.fault
    assert "status 409" in officer.courier.fault
    officer.book.load()
    assert len(officer.book.entries) == 1
    officer.close()
