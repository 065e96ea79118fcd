"""The department's side of MQTT: give units the newest signed timestamp, hear how they are, take their hits.

paho keeps the connection in a thread of its own and comes back by itself when the broker does. What must not
be lost may travel here, as it stays on the unit until the signed receipt. Which unit may write to which topic
is the broker's to enforce.
"""

import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from sqlalchemy import Engine

from server.errors import SettingsInvalidError, StoreUnavailableError
from server.hit_desk import HitDesk
from server.keys import BROKER_CLIENT
from server.publications import Publications
from server.settings import BrokerSettings
from server.unit_words import keep_word
from sync.errors import WireFormatError
from sync.hit_message import HITS_TOPICS, receipts_topic

UPDATES_TOPIC = "alpr/updates"
STATUS_TOPICS = "alpr/+/status"

_log = structlog.get_logger(__name__)


class BrokerLink:
    """One connection to the broker. `announce` may be called from any thread."""

    def __init__(
        self,
        settings: BrokerSettings,
        keys: Path,
        engine: Engine,
        publications: Publications,
        clock: Callable[[], datetime],
        *,
        hits: HitDesk | None = None,
    ) -> None:
        """*hits* takes batches of hits; None: none are taken here."""
        self._hits = hits
        self._settings = settings
        self._engine = engine
        self._publications = publications
        self._clock = clock
        self._announced: bytes | None = None
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=BROKER_CLIENT, protocol=paho.MQTTv5)
        self._client.tls_set_context(_context(keys))
        self._client.on_connect = self._connected
        self._client.on_message = self._heard
        self._client.reconnect_delay_set(min_delay=1, max_delay=60)

    def start(self) -> None:
        """Begin to connect, and to connect again, in paho's thread."""
        if self._hits is not None:
            self._hits.start(self._acknowledge)
        self._client.connect_async(self._settings.host, self._settings.port, keepalive=30)
        self._client.loop_start()

    def stop(self) -> None:
        """Leave the broker and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()
        if self._hits is not None:
            self._hits.stop()

    def announce(self) -> None:
        """Tell units of the newest publication, unless they were told of it over this connection.

        The message is the signed timestamp itself: a unit believes its signature, not the broker.
        """
        if not self._client.is_connected() or (timestamp := self._publications.timestamp()) is None:
            return
        if timestamp != self._announced:
            self._client.publish(UPDATES_TOPIC, timestamp, qos=1, retain=True)
            self._announced = timestamp

    def _connected(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        _log.info("broker connected", outcome=str(reason))
        # Told again over each connection: a broker that lost its memory lost the retained message too.
        self._announced = None
        client.subscribe(STATUS_TOPICS, qos=1)
        if self._hits is not None:
            client.subscribe(HITS_TOPICS, qos=1)

    def _acknowledge(self, unit_id: str, receipt: bytes) -> None:
        self._client.publish(receipts_topic(unit_id), receipt, qos=1)

    def _heard(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        _, unit_id, what = message.topic.split("/")
        if what == "hits":
            if self._hits is not None:
                self._hits.put(unit_id, bytes(message.payload))
            return
        try:
            keep_word(self._engine, unit_id, bytes(message.payload), self._clock())
        except WireFormatError as error:
            _log.warning("unit status is malformed", unit=unit_id, bytes=len(message.payload), why=str(error))
        except StoreUnavailableError as error:
            # The next status tells it again.
            _log.warning("unit status not stored", unit=unit_id, why=str(error))


def _context(keys: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(keys / "ca.pem")
        context.load_cert_chain(keys / "mqtt.tls.cert.pem", keys / "mqtt.tls.key.pem")
    except (OSError, ssl.SSLError) as error:
        raise SettingsInvalidError(f"{keys}: certificate for the broker cannot be used ({error})") from error
    return context
