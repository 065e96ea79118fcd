"""Hits on their way to the department, by HTTPS and by a real broker: ahead of all else, and stored once."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import func, select

from edge.bench_link import slow_link
from edge.clock import SystemClock
from edge.config import Config, UnitConfig
from edge.hit_courier import hit_courier_of
from edge.keeper import Keeper, Stop
from edge.pipeline import ReadWithHits
from edge.vault import unlock
from edge.window_file import SlotFile
from edge.window_slots import Slots
from server.database import reading
from server.department import Department
from server.tables import batches, reads
from sync.batch import SignedBatch
from sync.config import MqttConfig, RetentionConfig, SyncConfig
from sync.hit_message import encode_hits, hits_topic, receipts_topic
from sync.https import HttpsTransport
from sync.mqtt import MqttLink
from sync.outbox import open_outbox
from sync.tls import TlsFiles, client_context
from tests.cars import MOSQUITTO, broker, free_port, until
from tests.departments import Unit, a_department, a_unit, audited, running
from tests.fakes import a_hit, a_read

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
AWAY = "https://localhost:9"


@dataclass
class Scene:
    department: Department
    port: int
    url: str
    folder: Path
    broker: "subprocess.Popen[bytes]"

    def held(self) -> list[str]:
        """Ids of the reads that the department holds."""
        with reading(self.department.engine) as connection:
            return [row.read_id for row in connection.execute(select(reads.c.read_id))]

    def batches(self) -> int:
        with reading(self.department.engine) as connection:
            return connection.execute(select(func.count()).select_from(batches)).scalar_one()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("hits")
    department = a_department(folder / "department")
    port = free_port()
    settings = department.folder.settings
    settings.write_text(
        settings.read_text().replace('host = ""', 'host = "localhost"').replace("8883", str(port))
    )
    with broker(department, folder, port) as process, running(department, folder / "log") as server:
        yield Scene(department, port, server.units_url, folder, process)
    department.engine.dispose()


@dataclass
class CarWithHits:
    """Keeper, hits' courier and broker's link of a unit, each in its thread."""

    unit: Unit
    folder: Path
    url: str
    mqtt_port: int
    sent: list[SignedBatch] = field(default_factory=list)
    """What was tried by HTTPS."""

    def __enter__(self) -> "CarWithHits":
        self.folder.mkdir()
        keys, self.clock = unlock(self.unit.keys), SystemClock(self.folder)
        self.config = Config(
            UnitConfig(self.unit.unit_id, self.folder, self.unit.keys),
            sync=SyncConfig(server_url=self.url, connect_timeout_s=2, backoff_first_s=0.2, backoff_max_s=1),
            mqtt=MqttConfig(host="localhost", port=self.mqtt_port, backoff_max_s=2),
            retention=RetentionConfig(local_window_h=0),
        )
        self._stored = threading.Event()
        self._stop = threading.Event()
        self.keeper = Keeper(
            unit_id=self.unit.unit_id,
            department=keys.department,
            outbox=open_outbox(self.folder / "outbox.db"),
            state_dir=self.folder,
            retention=self.config.retention,
            sync=self.config.sync,
            slots=Slots(
                self.config.retention, SlotFile(self.folder / "k", bytes(32), None), self.clock.now()
            ),
            clock=self.clock,
            alarm=lambda text: None,
            hit_stored=self._stored.set,
        )
        files = TlsFiles.in_folder(self.unit.keys)
        self._https = HttpsTransport(self.config.sync, files)
        self.link = MqttLink(self.config.mqtt, self.unit.unit_id, files, lambda data: None, lambda: 0.0)
        self.courier = hit_courier_of(
            self.config, keys, self.keeper.queue, https=self, link=self.link, clock=self.clock
        )
        self._threads = [
            threading.Thread(target=each)
            for each in (lambda: self.keeper.run(lambda: None), self._bring, self._listen)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._stored.set()
        for thread in self._threads[1:]:
            thread.join(20)
        self.keeper.queue.put(Stop())
        self._threads[0].join(20)
        self.keeper.close()
        self._https.close()

    def send(self, batch: SignedBatch) -> bytes:
        """By HTTPS, as `hit_courier_of` asks for it."""
        self.sent.append(batch)
        return self._https.send(batch)

    def see(self, *, hit: bool = True, evidence: bytes = b"\xff\xd8a picture\xff\xd9") -> str:
        """Store a read made now; return its id."""
        read = a_read(f"{self.unit.unit_id}-{datetime.now(UTC).timestamp():.6f}", evidence=evidence)
        self.keeper.queue.put(ReadWithHits(read, (a_hit(read),) if hit else ()))
        return read.read_id

    def _bring(self) -> None:
        while not self._stop.is_set():
            if self._stored.wait(min(self.courier.work(), 1.0)):
                self._stored.clear()
                self.courier.look_again()

    def _listen(self) -> None:
        while not self._stop.is_set():
            self.link.step(0.5)
            if not self.link.connected:
                self._stop.wait(0.05)
        self.link.close()


def a_car(scene: Scene, name: str, url: str, mqtt_port: int) -> CarWithHits:
    return CarWithHits(
        a_unit(scene.department, scene.folder / name, name), scene.folder / f"{name}-state", url, mqtt_port
    )


@contextmanager
def broker_at(scene: Scene, port: int) -> Iterator[None]:
    """Let the broker also be reached at *port* meanwhile."""
    with slow_link(scene.port, 1000, port=port):
        yield


def a_client(scene: Scene, unit: Unit, heard: list[tuple[str, bytes]] | None = None) -> Client:
    """Another program with this unit's certificate."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=unit.unit_id, protocol=MQTTv5)
    client.tls_set_context(client_context(TlsFiles.in_folder(unit.keys)))

    def note(_client: Client, _data: object, message: MQTTMessage) -> None:
        if heard is not None:
            heard.append((message.topic, bytes(message.payload)))

    client.on_message = note
    client.connect("localhost", scene.port)
    client.loop_start()
    until(client.is_connected)
    return client


def ended(client: Client) -> None:
    client.disconnect()
    client.loop_stop()


def test_hit_is_stored_within_a_second_though_no_server_answers_by_https(scene: Scene) -> None:
    with a_car(scene, "unit-a", AWAY, scene.port) as car:
        until(lambda: car.link.connected)
        hit = car.see()
        assert until(lambda: hit in scene.held()) < 1.5
        until(
            lambda: car.keeper.counts.queued == 0
        )  # the receipt that came by the broker was verified and kept
    assert car.sent == []


def test_hit_goes_by_https_where_no_broker_answers(scene: Scene) -> None:
    with a_car(scene, "unit-b", scene.url, free_port()) as car:
        hit = car.see()
        assert until(lambda: hit in scene.held()) < 2
        until(lambda: car.keeper.counts.queued == 0)


def test_hit_that_goes_both_ways_is_stored_once_and_gets_one_receipt(scene: Scene) -> None:
    car = a_car(scene, "unit-c", scene.url, scene.port)
    heard: list[tuple[str, bytes]] = []
    before = scene.batches()
    client = a_client(scene, car.unit, heard)
    client.subscribe(receipts_topic("unit-c"), 1)
    batch = car.unit.batch([read := a_read("both-ways")], [a_hit(read)])
    https = HttpsTransport(SyncConfig(server_url=scene.url), TlsFiles.in_folder(car.unit.keys))
    for _ in range(3):  # a broker that plays it again gets the same answer
        client.publish(hits_topic("unit-c"), encode_hits(batch), qos=1)
    receipt = https.send(batch)
    until(lambda: len(heard) == 3)
    assert {data for _, data in heard} == {receipt}
    assert (scene.held().count("both-ways"), scene.batches() - before) == (1, 1)
    ended(client)
    https.close()


def test_hits_do_not_wait_for_other_reads_and_those_do_not_go_with_them(scene: Scene) -> None:
    with a_car(scene, "unit-d", AWAY, scene.port) as car:
        until(lambda: car.link.connected)
        others = [car.see(hit=False) for _ in range(5)]
        hit = car.see()
        until(lambda: hit in scene.held())
        until(lambda: car.keeper.counts.hits == 0)
        assert not set(others) & set(scene.held())
        assert car.keeper.counts.queued == 5


def test_hit_waits_while_neither_way_is_open_and_goes_with_the_first_that_is(scene: Scene) -> None:
    port = free_port()
    with a_car(scene, "unit-e", AWAY, port) as car:
        hits = [car.see() for _ in range(3)]
        until(lambda: len(car.sent) > 2)
        assert car.keeper.counts.hits == 3
        with broker_at(scene, port):
            until(lambda: set(hits) <= set(scene.held()))
            until(lambda: car.keeper.counts.hits == 0)


def test_longer_batch_than_the_broker_takes_goes_by_https(scene: Scene) -> None:
    with a_car(scene, "unit-f", scene.url, scene.port) as car:
        until(lambda: car.link.connected)
        hit = car.see(evidence=b"\xff\xd8" + bytes(600_000))
        until(lambda: hit in scene.held())
        assert len(car.sent) == 1


def test_another_units_hits_are_refused_by_the_broker(scene: Scene) -> None:
    victim = a_unit(scene.department, scene.folder / "unit-g", "unit-g")
    thief = a_unit(scene.department, scene.folder / "unit-h", "unit-h")
    heard: list[tuple[str, bytes]] = []
    client = a_client(scene, thief, heard)
    client.subscribe([(receipts_topic("unit-g"), 1), ("alpr/+/hits", 1)])
    batch = victim.batch([a_read("not-by-another")])
    client.publish(hits_topic("unit-g"), encode_hits(batch), qos=1)
    own = thief.batch([a_read("by-itself")])
    client.publish(hits_topic("unit-h"), encode_hits(own), qos=1)
    until(lambda: "by-itself" in scene.held())  # the broker keeps the order: the first would be there
    assert "not-by-another" not in scene.held()
    assert heard == []
    ended(client)


def test_what_a_unit_did_not_sign_leaves_no_trace(scene: Scene) -> None:
    unit = a_unit(scene.department, scene.folder / "unit-i", "unit-i")
    entries = len(audited(scene.department))
    client = a_client(scene, unit)
    good = unit.batch([a_read("after-the-bad")])
    stranger = a_unit(scene.department, scene.folder / "unit-j", "unit-j")
    entries = len(audited(scene.department))
    forged = SignedBatch(good.batch_id, good.payload, bytes(64))
    for message in (b"", b"\xff", encode_hits(forged), encode_hits(stranger.batch([a_read("strange")]))):
        client.publish(hits_topic("unit-i"), message, qos=1)
    client.publish(hits_topic("unit-i"), encode_hits(good), qos=1)
    until(lambda: "after-the-bad" in scene.held())
    assert "strange" not in scene.held()
    assert not list(scene.department.folder.quarantine.glob("*"))
    assert len(audited(scene.department)) == entries
    ended(client)


def test_receipt_that_the_broker_made_up_is_not_believed(scene: Scene) -> None:
    with a_car(scene, "unit-k", AWAY, free_port()) as car:
        car.see()
        until(lambda: car.sent)
        car.link.on_receipt(b"not a receipt")
        other = a_car(scene, "unit-l", AWAY, free_port()).unit
        https = HttpsTransport(SyncConfig(server_url=scene.url), TlsFiles.in_folder(other.keys))
        car.link.on_receipt(https.send(other.batch([a_read("of-another")])))
        https.close()
        count = len(car.sent)
        until(lambda: len(car.sent) > count + 1)
        assert car.keeper.counts.queued == 1
