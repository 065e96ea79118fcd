"""A real broker as `alpr-server broker-config` makes it, and cars: a unit's own parts for lists."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edge.clock import SystemClock
from edge.hotlists import HotlistDesk
from edge.lists import Lists
from edge.vault import unlock
from hotlist_cache.config import HotlistConfig
from hotlist_cache.hit import HotlistHit
from hotlist_cache.local import LocalBook
from hotlist_cache.store import HotlistStore
from hotlist_cache.together import ListsInForce
from server.broker_config import write_broker_config
from server.database import reading
from server.department import Department
from server.revocation import revocation_list
from sync.config import MqttConfig, SyncConfig
from sync.https import HttpsTransport
from sync.mqtt import MqttLink
from sync.tls import TlsFiles
from sync.trust import TrustedUpdates
from tests.departments import Unit
from tests.hotlists import a_read

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
PATIENCE_S = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def broker(department: Department, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Give a running mosquitto with the configuration that a department gets."""
    place = folder / "broker"
    if not place.exists():
        with reading(department.engine) as connection:
            revoked = revocation_list(connection, department.keys, datetime.now(UTC))
        write_broker_config(
            department.keys,
            place,
            ["localhost", "127.0.0.1"],
            revoked=revoked,
            name="Test",
            port=port,
            now=datetime.now(UTC),
            folder=str(place),
            data=str(place),
            bind="127.0.0.1",
        )
    assert MOSQUITTO is not None
    conf = place / "mosquitto.test.conf"
    conf.write_text("user root\n" + (place / "mosquitto.conf").read_text())
    with (folder / "broker.log").open("ab") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", str(conf)], stderr=log)
    try:
        until(lambda: reachable(port))
        yield process
    finally:
        process.terminate()
        process.wait(10)


def reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def until(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> float:
    """Wait until *holds*; return how long that took, seconds."""
    started = time.monotonic()
    pause = threading.Event()
    while time.monotonic() - started < patience_s:
        if holds():
            return time.monotonic() - started
        pause.wait(0.01)
    raise AssertionError("it did not come about in time")


class Car:
    """What of a unit brings lists into force and matches reads, with its two threads, on real connections."""

    def __init__(self, unit: Unit, folder: Path, server_url: str, mqtt_port: int) -> None:
        folder.mkdir(exist_ok=True)
        for each in ("hotlist/urgent", "updates", "run"):
            (folder / each).mkdir(parents=True, exist_ok=True)
        config = HotlistConfig()
        keys = unlock(unit.keys)
        clock = SystemClock(folder)
        self.in_force: ListsInForce | None = None
        self.listed_anew: list[str] = []
        book = LocalBook(folder / "hotlist", storage_key=keys.storage, new_id=lambda: "x")
        self._lists = Lists(book, config, lambda: "hit", self._put)
        store, urgent = (
            HotlistStore(folder / each, storage_key=keys.storage, keys=(keys.hotlists,), config=config)
            for each in ("hotlist", "hotlist/urgent")
        )
        self.updates = TrustedUpdates(folder / "updates", keys.updates_root)
        self.desk = HotlistDesk(
            self.updates,
            store,
            urgent,
            config,
            clock,
            scratch=folder / "run",
            put_in_force=self._lists.use,
            listed_anew=self.listed_anew.extend,
        )
        files = TlsFiles.in_folder(unit.keys)
        self._transport = HttpsTransport(SyncConfig(server_url=server_url), files)
        self.link = MqttLink(
            MqttConfig(host="localhost", port=mqtt_port), unit.unit_id, files, self.desk.told, lambda: 0.0
        )
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._listen, self._fetch)]

    def __enter__(self) -> "Car":
        self.desk.load()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.desk.look_soon()
        for thread in self._threads:
            thread.join(20)
        self._transport.close()
        self.updates.close()

    def hits(self, plate: str) -> tuple[HotlistHit, ...]:
        """Return what a sure read of *plate* meets now."""
        now = datetime.now(UTC)
        return () if self.in_force is None else self.in_force.match(a_read(plate, utc=now), now)

    def _put(self, in_force: ListsInForce) -> None:
        self.in_force = in_force

    def _listen(self) -> None:
        while not self._stop.is_set():
            self.link.step(0.05)
            if not self.link.connected:
                self._stop.wait(0.05)
        self.link.close()

    def _fetch(self) -> None:
        while not self._stop.is_set():
            self.desk.wait(min(self.desk.work(self._transport.updates), 0.5))


@contextmanager
def cars(*opened: Car) -> Iterator[None]:
    with ExitStack() as stack:
        for car in opened:
            stack.enter_context(car)
        yield
