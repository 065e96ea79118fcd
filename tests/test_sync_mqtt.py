"""The unit's presence, with a real mosquitto on loopback that demands certificates."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from sync.config import MqttConfig
from sync.errors import NotTrustedError, RefusedError, UnreachableError
from sync.mqtt import UPDATES_TOPIC, MqttLink, status_topic
from sync.tls import TlsFiles, client_context
from sync.trust_check import MAX_BYTES
from sync.unit_status import MAX_STATUS_BYTES
from tests.fakes import UNIT
from tests.pki import Authority, authority

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)"
)

TIMESTAMP = b'{"signed": 1}'
ACL = """\
user server
topic readwrite alpr/#
pattern write alpr/%u/status
pattern read alpr/updates
"""


@dataclass
class Broker:
    """A mosquitto of our own; `stop` and `start` as the test likes."""

    folder: Path
    ca: Authority
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: listening(self.port))

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def config(self, **changes: float) -> MqttConfig:
        values = {"keepalive_s": 5, "backoff_first_s": 0.01, "backoff_max_s": 0.05, **changes}
        return MqttConfig(host="127.0.0.1", port=self.port, **values)  # type: ignore[arg-type]  # int and float


@dataclass
class Watcher:
    """The department's own client: sees what is published, and publishes."""

    client: paho.Client
    seen: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def step(self) -> None:
        turn(self.client)

    def states(self) -> list[object]:
        return [status["state"] for topic, status in self.seen if topic == status_topic(UNIT)]


def turn(client: paho.Client) -> None:
    """One turn of *client*. Its own `loop` makes two sockets that nobody closes."""
    if (connection := client.socket()) is not None:
        select.select([connection], [], [], 0.02)
    client.loop_read()
    client.loop_write()
    client.loop_misc()


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(holds: Callable[[], object], *steps: Callable[[], object], limit_s: float = 10.0) -> None:
    """Step until *holds*; fail after *limit_s*."""
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        for step in steps:
            step()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("pki") / "department")


@pytest.fixture
def broker(tmp_path: Path, ca: Authority) -> Iterator[Broker]:
    files = ca.issue("broker", hosts=("127.0.0.1",))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "acl").write_text(ACL)
    (tmp_path / "acl").chmod(0o600)
    (tmp_path / "mosquitto.conf").write_text(
        f"user {os.environ.get('USER', 'root')}\n"
        f"listener {port} 127.0.0.1\n"
        f"cafile {ca.ca_file}\ncertfile {files.certificate}\nkeyfile {files.key}\n"
        "require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid true\n"
        f"allow_anonymous false\nacl_file {tmp_path / 'acl'}\n"
    )
    made = Broker(tmp_path, ca, port)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def watcher(broker: Broker, ca: Authority) -> Iterator[Watcher]:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="server", protocol=paho.MQTTv5)
    client.tls_set_context(client_context(ca.issue("server")))
    made = Watcher(client)
    client.on_connect = lambda c, *_: c.subscribe("alpr/#", qos=1)
    client.on_message = lambda _c, _u, m: made.seen.append((m.topic, json.loads(m.payload or b"{}")))
    subscribed: list[int] = []
    client.on_subscribe = lambda *_: subscribed.append(1)
    client.connect("127.0.0.1", broker.port)
    until(lambda: subscribed, made.step)
    yield made
    client.disconnect()


@pytest.fixture
def told() -> list[bytes]:
    return []


@pytest.fixture
def link(broker: Broker, ca: Authority, told: list[bytes]) -> Iterator[MqttLink]:
    made = MqttLink(broker.config(), UNIT, ca.issue(UNIT), told.append, lambda: 0.5)
    yield made
    made.close()


def online(**fields: object) -> bytes:
    return json.dumps({"state": "online", **fields}).encode()


def stepping(link: MqttLink) -> Callable[[], None]:
    return lambda: link.step(0.02)


def test_a_status_is_told_and_kept_for_whoever_comes_later(link: MqttLink, watcher: Watcher) -> None:
    link.publish_status(online(queued=3))
    until(lambda: watcher.seen, stepping(link), watcher.step)
    assert watcher.seen == [(status_topic(UNIT), {"state": "online", "queued": 3})]
    assert link.connected
    assert link.last_error is None
    watcher.client.subscribe("alpr/+/status", qos=1)  # as if anew: a retained message comes again
    until(lambda: len(watcher.seen) == 2, stepping(link), watcher.step)
    assert watcher.seen[1] == watcher.seen[0]


def test_a_status_is_told_again_only_when_it_changed(link: MqttLink, watcher: Watcher) -> None:
    for queued in (3, 3, 3, 4):
        link.publish_status(online(queued=queued))
        until(lambda: link.connected, stepping(link))
    until(lambda: len(watcher.seen) >= 2, stepping(link), watcher.step)
    for _ in range(10):
        link.step(0.01)
        watcher.step()
    assert [status["queued"] for _, status in watcher.seen] == [3, 4]


def test_leaving_tells_offline_at_once(link: MqttLink, watcher: Watcher) -> None:
    link.publish_status(online())
    until(lambda: watcher.states() == ["online"], stepping(link), watcher.step)
    link.close()
    until(lambda: watcher.states() == ["online", "offline"], watcher.step, limit_s=3)


CHILD = """
import sys
from pathlib import Path
from sync.config import MqttConfig
from sync.mqtt import MqttLink
from sync.tls import TlsFiles

port, *files = sys.argv[1:]
config = MqttConfig(host="127.0.0.1", port=int(port))
link = MqttLink(config, "unit-07", TlsFiles(*map(Path, files)), print, lambda: 0.5)
link.publish_status(b'{"state":"online"}')
while True:
    link.step(0.1)
"""


def test_the_last_will_is_told_when_the_unit_is_killed(
    broker: Broker, watcher: Watcher, ca: Authority
) -> None:
    files = ca.issue(UNIT)
    arguments = [str(broker.port), str(files.ca), str(files.certificate), str(files.key)]
    with subprocess.Popen([sys.executable, "-c", CHILD, *arguments]) as unit:
        try:
            until(lambda: watcher.states() == ["online"], watcher.step)
        finally:
            unit.send_signal(signal.SIGKILL)
    until(lambda: watcher.states() == ["online", "offline"], watcher.step)


def test_a_retained_timestamp_is_handed_on_unread_and_one_too_long_is_counted(
    link: MqttLink, watcher: Watcher, told: list[bytes]
) -> None:
    watcher.client.publish(UPDATES_TOPIC, TIMESTAMP, qos=1, retain=True)
    until(lambda: watcher.seen, watcher.step)
    until(lambda: told, stepping(link))
    assert told == [TIMESTAMP]
    watcher.client.publish(UPDATES_TOPIC, b'"' + b"x" * MAX_BYTES["timestamp"] + b'"', qos=1)
    watcher.client.publish(UPDATES_TOPIC, b"", qos=1, retain=True)
    watcher.client.publish(UPDATES_TOPIC, b'{"signed": 2}', qos=1)
    until(lambda: len(told) == 2, stepping(link), watcher.step)
    assert told[1] == b'{"signed": 2}'
    assert link.malformed <= 1


def test_after_the_broker_was_away_the_unit_comes_back_and_tells_its_status(
    broker: Broker, link: MqttLink, ca: Authority
) -> None:
    until(lambda: link.connected, stepping(link))
    broker.stop()
    until(lambda: not link.connected, stepping(link))
    link.publish_status(online(queued=9))
    until(lambda: link.last_error, stepping(link))
    assert isinstance(link.last_error, UnreachableError)
    broker.start()
    until(lambda: link.connected, stepping(link))
    assert link.last_error is None
    seen: list[bytes] = []
    other = paho.Client(CallbackAPIVersion.VERSION2, client_id="server", protocol=paho.MQTTv5)
    other.tls_set_context(client_context(ca.issue("server")))
    other.on_connect = lambda c, *_: c.subscribe(status_topic(UNIT), qos=1)
    other.on_message = lambda _c, _u, m: seen.append(m.payload)
    other.connect("127.0.0.1", broker.port)
    until(lambda: seen, stepping(link), lambda: turn(other))
    assert json.loads(seen[0]) == {"state": "online", "queued": 9}
    other.disconnect()


@pytest.mark.parametrize("name", ["stranger", "lapsed"])
def test_a_wrong_unit_certificate_is_refused_and_a_person_is_told(
    broker: Broker, ca: Authority, tmp_path: Path, name: str
) -> None:
    issuer = authority(tmp_path / "other") if name == "stranger" else ca
    own = issuer.issue(UNIT, days=-1.0 if name == "lapsed" else 1.0)
    link = MqttLink(broker.config(), UNIT, TlsFiles(ca.ca_file, own.certificate, own.key), print, lambda: 0.5)
    until(lambda: link.last_error, stepping(link))
    assert isinstance(link.last_error, NotTrustedError)
    assert not link.connected


# paho leaves the socket of a failed handshake to the garbage collector, which closes it at once and warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_of_another_authority_is_not_spoken_to(
    broker: Broker, ca: Authority, tmp_path: Path
) -> None:
    own = ca.issue(UNIT)
    other = TlsFiles(authority(tmp_path / "other").ca_file, own.certificate, own.key)
    link = MqttLink(broker.config(), UNIT, other, print, lambda: 0.5)
    until(lambda: link.last_error, stepping(link))
    assert isinstance(link.last_error, NotTrustedError)
    assert "server's certificate is not accepted" in str(link.last_error)


def test_a_unit_cannot_speak_for_another(broker: Broker, watcher: Watcher, ca: Authority) -> None:
    impostor = MqttLink(broker.config(), UNIT, ca.issue("unit-08"), print, lambda: 0.5)
    impostor.publish_status(online())
    own = MqttLink(broker.config(), "unit-08", ca.issue("unit-08"), print, lambda: 0.5)
    for _ in range(20):
        impostor.step(0.02)
        watcher.step()
    impostor.close()
    own.publish_status(online())
    until(lambda: watcher.seen, stepping(own), watcher.step)
    assert {topic for topic, _ in watcher.seen} == {status_topic("unit-08")}
    own.close()


def test_hits_that_the_connection_ended_under_are_published_again_over_the_next(
    broker: Broker, link: MqttLink, watcher: Watcher
) -> None:
    until(lambda: link.connected, stepping(link))
    ended = link._client.socket()
    assert isinstance(ended, socket.socket)
    ended.shutdown(socket.SHUT_RDWR)  # as when the car leaves the network in the middle of it
    assert link.publish_hits(b'{"batch": 1}')
    link._put_hits()
    until(lambda: not link.connected, stepping(link))
    until(lambda: link.connected, stepping(link))
    assert link.publish_hits(b'{"batch": 1}')  # no receipt came: the same batch again
    for _ in range(5):
        link.step(0.02)
    assert link.connected


def test_what_a_slow_network_does_not_take_yet_is_waited_with(link: MqttLink, broker: Broker) -> None:
    until(lambda: link.connected, stepping(link))
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)  # it reads no more: the socket's buffers fill
    try:
        for number in range(64):
            link.publish_hits(b"%d" % number + bytes(400_000))
            link.step(0.0)
            if link._client.want_write():
                break
        assert link._client.want_write()
        turns, end = 0, time.monotonic() + 0.5
        while time.monotonic() < end:
            link.step(0.1)
            turns += 1
        assert turns <= 10
    finally:
        broker.process.send_signal(signal.SIGCONT)


def test_a_link_leaves_no_socket_behind(broker: Broker, ca: Authority) -> None:
    link = MqttLink(broker.config(), UNIT, ca.issue(UNIT), print, lambda: 0.5)
    until(lambda: link.connected, stepping(link))
    for _ in range(3):
        link.step(0.01)
    link.close()
    client = link._client
    assert [client.socket(), client._sockpairR, client._sockpairW] == [None] * 3


def test_an_attempt_is_made_only_after_the_wait(broker: Broker, ca: Authority) -> None:
    broker.stop()
    link = MqttLink(
        broker.config(backoff_first_s=60, backoff_max_s=60), UNIT, ca.issue(UNIT), print, lambda: 0.5
    )
    link.step(0.01)
    assert link.last_error is not None
    broker.start()
    for _ in range(5):
        link.step(0.01)
    assert not link.connected


def test_a_status_too_large_for_a_broker_is_refused(link: MqttLink) -> None:
    with pytest.raises(ValueError, match="at most"):
        link.publish_status(online(text="x" * MAX_STATUS_BYTES))


@pytest.mark.parametrize("unit_id", ["", "+", "a/b", "#", "x" * 65])
def test_a_unit_id_that_is_no_single_topic_level_is_refused(unit_id: str) -> None:
    with pytest.raises(ValueError, match="an id is"):
        status_topic(unit_id)


def test_a_broker_that_refuses_the_connection_is_told_apart(broker: Broker, link: MqttLink) -> None:
    broker.stop()
    conf = broker.folder / "mosquitto.conf"
    # Nobody's certificate gives a name any more, and nobody without a name is let in.
    conf.write_text(
        conf.read_text()
        .replace("use_identity_as_username true\n", "")
        .replace("use_username_as_clientid true\n", "")
    )
    broker.start()
    until(lambda: link.last_error, stepping(link))
    assert isinstance(link.last_error, RefusedError)
