"""From the department's publication to a match in the car, over a real server and a real broker."""

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from sqlalchemy import select

from hotlist_cache.entry import Entry, Priority
from recognizer.plate import Jurisdiction
from server.database import reading
from server.department import Department, publish_urgent
from server.tables import units
from sync.config import MqttConfig
from sync.mqtt import MqttLink
from sync.tls import TlsFiles
from sync.trust_source import FolderSource
from tests.cars import MOSQUITTO, Car, broker, cars, free_port, until
from tests.departments import Unit, a_department, a_unit, running

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
NEVER_LISTED = "9ZZZ999"


def entry(plate: str, list_name: str = "Stolen vehicle") -> Entry:
    return Entry(f"id-{plate}", plate, Jurisdiction("US-CA"), list_name, "invented", Priority.HIGH)


@dataclass
class Scene:
    department: Department
    port: int
    url: str
    folder: Path
    broker: "subprocess.Popen[bytes]"

    def car(self, name: str) -> Car:
        return Car(a_unit(self.department, self.folder / name, name), *self.place_of(name))

    def place_of(self, name: str) -> tuple[Path, str, int]:
        return self.folder / f"{name}-state", self.url, self.port

    def publish(self, *plates: str) -> None:
        """What `alpr-server hotlist import` and `hotlist publish` do."""
        now, hotlists = datetime.now(UTC), self.department.hotlists
        report = hotlists.replace_feed("stolen", map(entry, plates), actor="console:a", now=now)
        if report.pending_id is not None:
            hotlists.approve(report.pending_id, self.department.keys, actor="console:b", now=now)
        hotlists.publish(self.department.keys, expires_at=now + timedelta(days=1), actor="console:a", now=now)
        self.department.publications.bring_list(hotlists, self.department.keys, now)

    def publish_urgent(self, *plates: str) -> None:
        now = datetime.now(UTC)
        entries = [entry(plate, "Amber alert") for plate in plates]
        self.department.hotlists.replace_feed("urgent", entries, actor="console:a", now=now)
        publish_urgent(self.department, "console:a", now + timedelta(days=1), now)


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


def test_what_is_published_is_met_in_both_cars_and_what_is_withdrawn_is_not(scene: Scene) -> None:
    first, second = scene.car("unit-01"), scene.car("unit-02")
    with cars(first, second):
        until(lambda: first.link.connected and second.link.connected)
        scene.publish("7ABC123", "7ABC124")
        until(lambda: first.hits("7ABC123") and second.hits("7ABC123"))
        scene.publish("7ABC123", "7ABC124", "8XYZ987")
        until(lambda: first.hits("8XYZ987") and second.hits("8XYZ987"))
        assert first.listed_anew == ["8XYZ987"]
        assert not first.hits(NEVER_LISTED)
        scene.publish("7ABC124", "8XYZ987")
        until(lambda: not first.hits("7ABC123") and not second.hits("7ABC123"))
        assert first.hits("8XYZ987")
        assert first.desk.health(datetime.now(UTC)).alarm == ""


def test_a_one_entry_change_is_met_in_the_car_within_seconds(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    car = scene.car("unit-01")
    with cars(car):
        until(lambda: car.link.connected)
        listed = ["7ABC123"]
        scene.publish(*listed)
        until(lambda: car.hits(listed[0]))
        took_s = []
        for number in range(12):
            listed.append(f"8XYZ9{number:02d}")
            scene.publish(*listed)
            took_s.append(until(lambda: car.hits(listed[-1])))
    with capsys.disabled():
        sys.stdout.write(f"\npublished to met, s: p50 {sorted(took_s)[6]:.2f}, worst {max(took_s):.2f}\n")
    assert car.desk.sequence == 13


class SlowLink:
    """An HTTP client over which the long list comes in small pieces, as over a cellular link."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.pause_s = 0.1
        self.pieces = 0
        self.began_at: list[int] = []
        """Where in the list each of its transfers began."""

    @contextmanager
    def stream(self, method: str, url: str, headers: dict[str, str]) -> Iterator[object]:
        with self._client.stream(method, url, headers=headers) as response:
            if url.endswith(".list"):
                self.began_at.append(int(headers.get("Range", "bytes=0-").strip("bytes=-")))
                whole = response.read()
                yield SimpleNamespace(
                    status_code=response.status_code,
                    headers=response.headers,
                    iter_raw=lambda: self._pieces(whole),
                )
            else:
                yield response

    def close(self) -> None:
        self._client.close()

    def _pieces(self, whole: bytes) -> Iterator[bytes]:
        pause = threading.Event()
        for start in range(0, len(whole), 2048):
            pause.wait(self.pause_s)
            self.pieces += 1
            yield whole[start : start + 2048]


def test_an_urgent_entry_overtakes_a_long_transfer_which_then_goes_on_where_it_was(scene: Scene) -> None:
    car = scene.car("unit-01")
    scene.publish(*_random_plates(20_000))
    link = SlowLink(car._transport._client)
    car._transport._client = link  # type: ignore[assignment]  # what of it is used
    with cars(car):
        until(lambda: link.pieces > 3)
        assert 0 < car.desk.received_bytes < car.desk.wanted_bytes
        scene.publish_urgent("7AMB911")
        until(lambda: car.hits("7AMB911"))
        assert (car.desk.sequence, car.listed_anew) == (0, ["7AMB911"])
        link.pause_s = 0.0
        until(lambda: car.desk.sequence == 1)
        assert car.hits("7AMB911")
        assert link.began_at[0] == 0 and link.began_at[-1] > 0
    assert list((scene.folder / "unit-01-state" / "run").glob("**/*")) == []


def test_a_car_that_was_off_catches_up_in_one_step_and_one_without_network_keeps_its_list(
    scene: Scene,
) -> None:
    car = scene.car("unit-01")
    listed = ["7ABC123"]
    scene.publish(*listed)
    with cars(car):
        until(lambda: car.hits("7ABC123"))
    for number in range(30):
        listed.append(f"8XYZ9{number:02d}")
        scene.publish(*listed)
    again = Car(Unit("unit-01", scene.folder / "unit-01"), *scene.place_of("unit-01"))
    again.desk.load()
    assert again.hits("7ABC123") and not again.hits("8XYZ929")
    with cars(again):
        until(lambda: again.hits("8XYZ929"))
        assert again.desk.sequence == 31


def test_a_car_without_network_takes_the_lists_from_a_stick(scene: Scene) -> None:
    scene.publish("7ABC123")
    scene.publish("7ABC123", "8XYZ987")
    scene.publish_urgent("7AMB911")
    stick = scene.folder / "stick"
    assert scene.department.publications.export(stick) > 0
    unit = a_unit(scene.department, scene.folder / "unit-01", "unit-01")
    car = Car(unit, scene.folder / "unit-01-state", "https://localhost:1", free_port())
    car.desk.load()
    car.desk.take_from(FolderSource(stick))
    assert car.hits("8XYZ987") and car.hits("7AMB911")
    assert car.desk.health(datetime.now(UTC)).last_error == ""
    # A stick that was written over is refused, and the lists stay.
    (stick / "metadata" / "timestamp.json").write_bytes(b"{}")
    car.desk.take_from(FolderSource(stick))
    assert car.hits("8XYZ987")
    assert car.desk.health(datetime.now(UTC)).alarm
    car.updates.close()


def test_another_units_certificate_takes_over_no_session(scene: Scene) -> None:
    car = scene.car("unit-01")
    thief = a_unit(scene.department, scene.folder / "unit-02", "unit-02")
    with cars(car):
        until(lambda: car.link.connected)
        link = MqttLink(
            MqttConfig(host="localhost", port=scene.port),
            "unit-01",
            TlsFiles.in_folder(thief.keys),
            lambda timestamp: None,
            lambda: 0.0,
        )
        link.publish_status(b'{"state":"online","posing":true}')
        for _ in range(40):
            link.step(0.05)
        scene.publish("7ABC123")
        until(lambda: car.hits("7ABC123"))
        assert car.link.connected
        link.close()
    with reading(scene.department.engine) as connection:
        status = connection.execute(select(units.c.status).where(units.c.unit_id == "unit-01")).scalar()
    assert "posing" not in (status or "")


def test_a_broker_that_was_down_for_long_is_not_needed_and_comes_back(scene: Scene) -> None:
    car = scene.car("unit-01")
    with cars(car):
        until(lambda: car.link.connected)
        scene.broker.terminate()
        scene.broker.wait(10)
        until(lambda: not car.link.connected)
        scene.publish("7ABC123")
        car.desk.look_soon()  # as it does every quarter of an hour
        until(lambda: car.hits("7ABC123"))
        with broker(scene.department, scene.folder, scene.port):
            until(lambda: car.link.connected)
            scene.publish("7ABC123", "8XYZ987")
            until(lambda: car.hits("8XYZ987"))


def _random_plates(count: int) -> set[str]:
    """Plates that do not compress: a list of them is as long as one of real ones."""
    source = random.Random(1)
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    return {"".join(source.choices(letters, k=3)) + f"{source.randrange(10_000):04d}" for _ in range(count)}
