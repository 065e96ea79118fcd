"""The server at a real broker over TLS: what units say is shown, and they hear of a new hotlist."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from hotlist_cache.entry import Entry, Priority
from server.broker import UPDATES_TOPIC, BrokerLink
from server.database import reading
from server.department import Department
from server.overview import all_units
from server.settings import BrokerSettings
from sync.tls import TlsFiles, client_context
from tests.departments import NOW, Unit, a_department, a_unit

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
PATIENCE_S = 30.0

ACL = """\
pattern write alpr/%u/status
pattern read alpr/updates
user department
topic read alpr/+/status
topic write alpr/updates
"""


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def port(department: Department, tmp_path: Path) -> Iterator[int]:
    """A broker that asks for certificates of the department, as decision 0003 describes it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    keys = department.folder.keys
    (tmp_path / "acl").write_text(ACL)
    (tmp_path / "acl").chmod(0o600)
    (tmp_path / "broker.conf").write_text(
        f"user root\nlistener {port} 127.0.0.1\nacl_file {tmp_path / 'acl'}\nallow_anonymous true\n"
        f"cafile {keys / 'ca.pem'}\ncertfile {keys / 'server.tls.cert.pem'}\n"
        f"keyfile {keys / 'server.tls.key.pem'}\nrequire_certificate true\nuse_identity_as_username true\n"
    )
    assert MOSQUITTO is not None
    with (tmp_path / "broker.log").open("w") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", str(tmp_path / "broker.conf")], stderr=log)
    try:
        wait_until(lambda: reachable(port))
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def link(department: Department, port: int) -> Iterator[BrokerLink]:
    made = BrokerLink(
        BrokerSettings("localhost", port),
        department.folder.keys,
        department.engine,
        department.publications,
        lambda: NOW,
    )
    made.start()
    yield made
    made.stop()


def reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.1)):
        if holds():
            return
        pause.wait(0.1)
    pytest.fail("it did not come about in time")


def connected(unit: Unit, port: int) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id=unit.unit_id, protocol=MQTTv5)
    context: ssl.SSLContext = client_context(TlsFiles.in_folder(unit.keys))
    client.tls_set_context(context)
    client.connect("localhost", port)
    client.loop_start()
    return client


def left(client: Client) -> None:
    client.disconnect()
    client.loop_stop()


def states(department: Department) -> dict[str, str]:
    with reading(department.engine) as connection:
        return {row.unit_id: row.state for row in all_units(connection, NOW)}


def test_the_units_page_learns_how_a_unit_is(
    department: Department, link: BrokerLink, port: int, tmp_path: Path
) -> None:
    unit = a_unit(department, tmp_path / "unit")
    client = connected(unit, port)
    assert states(department) == {"unit-07": "unknown"}
    for status, state in ((b'{"state": "online"}', "online"), (b'{"state": "offline"}', "offline")):
        client.publish("alpr/unit-07/status", status, qos=1, retain=True)
        wait_until(lambda state=state: states(department) == {"unit-07": state})  # type: ignore[misc] # bound now
    left(client)


def test_a_malformed_status_changes_nothing_and_the_next_one_counts(
    department: Department, link: BrokerLink, port: int, tmp_path: Path
) -> None:
    unit = a_unit(department, tmp_path / "unit")
    client = connected(unit, port)
    for status in (b"", b"{", b"[]", b'{"state": 7}', b'{"state": "<b>"}', b"x" * 9000):
        client.publish("alpr/unit-07/status", status, qos=1)
    client.publish("alpr/unit-07/status", b'{"state": "online"}', qos=1, retain=True)
    wait_until(lambda: states(department) == {"unit-07": "online"})
    left(client)


def test_a_unit_cannot_speak_for_another(
    department: Department, link: BrokerLink, port: int, tmp_path: Path
) -> None:
    client = connected(a_unit(department, tmp_path / "one", "unit-1"), port)
    a_unit(department, tmp_path / "two", "unit-2")
    # Retained: whichever of the two connects first, the department hears it.
    client.publish("alpr/unit-2/status", b'{"state": "offline"}', qos=1, retain=True)
    client.publish("alpr/unit-1/status", b'{"state": "online"}', qos=1, retain=True)
    wait_until(lambda: states(department)["unit-1"] == "online")
    assert states(department)["unit-2"] == "unknown"
    left(client)


def test_units_hear_of_each_new_publication_once(
    department: Department, link: BrokerLink, port: int, tmp_path: Path
) -> None:
    heard: list[bytes] = []
    client = connected(a_unit(department, tmp_path / "unit"), port)

    def note(_client: Client, _data: object, message: MQTTMessage) -> None:
        heard.append(bytes(message.payload))

    client.on_message = note
    wait_until(client.is_connected)
    client.subscribe(UPDATES_TOPIC, qos=1)
    entry = Entry("entry-1", "TEST123", None, "Stolen vehicle", "stolen", Priority.HIGH)
    now = datetime.now(UTC)
    department.hotlists.replace_feed("test", [entry], actor="console:test", now=now)
    published = []
    for _ in range(3):
        published.append(department.publications.timestamp())

        def told(count: int = len(published)) -> bool:
            link.announce()
            return len(heard) >= count

        wait_until(told)
        department.hotlists.publish(
            department.keys, expires_at=now + timedelta(days=1), actor="console:test", now=now
        )
        assert department.publications.bring_list(department.hotlists, department.keys, now)
    assert heard == published
    left(client)
