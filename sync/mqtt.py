"""The unit's presence at the department's broker: MQTT v5 over TLS with a certificate on both sides.

It says how the unit is (`alpr/<unit>/status`, retained, with a last will) and hears of new publications:
their signed timestamp (`alpr/updates`, retained). Nothing that must not be lost travels here: reads go by
HTTPS, against a receipt.

No thread is made: the caller's thread calls `step`, and every callback runs inside it.
"""

import json
import time
from collections.abc import Callable, Mapping

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sync.config import MqttConfig
from sync.errors import NotTrustedError, RefusedError, SyncError, UnreachableError
from sync.tls import TlsFiles, certificate_fault, client_context
from sync.trust_check import MAX_BYTES, TIMESTAMP
from sync.wire import identifier

UPDATES_TOPIC = "alpr/updates"
MAX_STATUS_BYTES = 8192
"""paho does not heed the broker's maximum packet size: a larger message would be sent again for ever."""
_MAX_PACKET_BYTES = 16_384
"""What the broker may send us."""
_DISCONNECT_WITH_WILL = 0x04


def status_topic(unit_id: str) -> str:
    """Return where the unit's status stands."""
    return f"alpr/{identifier(unit_id)}/status"


class MqttLink:
    """One unit's connection to the broker. Not for several threads at a time."""

    def __init__(
        self,
        config: MqttConfig,
        unit_id: str,
        files: TlsFiles,
        on_timestamp: Callable[[bytes], None],
        jitter: Callable[[], float],
    ) -> None:
        """*on_timestamp* is called inside `step` with what nobody has checked yet; *jitter* gives numbers in
        [0, 1).

        Raises NotTrustedError if the unit's own TLS files cannot be used.
        """
        self._config = config
        self._topic = status_topic(unit_id)
        self._on_timestamp = on_timestamp
        self._jitter = jitter
        self._status: bytes | None = None
        self._told: bytes | None = None
        """What the broker was given over the present connection."""
        self._next_attempt_ns = 0
        self._attempts = 0
        self._open = False
        self._refusal: str | None = None
        self._answered = False
        """Whether the broker answered to our CONNECT at all."""
        self.connected = False
        self.last_error: SyncError | None = None
        """Why the last connection failed or ended; None since it stands. `NotTrustedError`: tell a person."""
        self.malformed = 0
        """Messages too long to be a timestamp, which were left out."""
        self._client = self._new_client(unit_id, files)

    def publish_status(self, fields: Mapping[str, object]) -> None:
        """Make *fields* the unit's status, told now or as soon as the broker is reached, and again after it.

        What is told already is not told again. "state" is added: it is the link's own word.

        Raises ValueError if it is larger than `MAX_STATUS_BYTES`.
        """
        status = _json({**fields, "state": "online"})
        if len(status) > MAX_STATUS_BYTES:
            raise ValueError(f"a status is at most {MAX_STATUS_BYTES} bytes")
        self._status = status
        self._tell()

    def step(self, timeout_s: float) -> None:
        """Keep the connection up and handle what comes, for about *timeout_s* at most.

        While the broker cannot be reached this returns at once between two attempts: wait before the next
        call. An attempt itself takes up to `connect_timeout_s`. Never raises for what the network does; see
        `connected` and `last_error`.
        """
        if not self._open:
            if time.monotonic_ns() < self._next_attempt_ns:
                return
            self._connect()
            return
        outcome = self._client.loop(timeout_s)
        if outcome != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost(self._ending(outcome))

    def close(self) -> None:
        """Leave: the broker tells the last will ("offline") at once, not after the keep-alive."""
        if self._open:
            self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=_DISCONNECT_WITH_WILL))
            self._open = self.connected = False

    def _new_client(self, unit_id: str, files: TlsFiles) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=unit_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        client.tls_set_context(client_context(files))
        client.will_set(self._topic, _json({"state": "offline"}), qos=1, retain=True)
        client.connect_timeout = self._config.connect_timeout_s
        client.on_connect = self._connected
        client.on_message = self._message
        client.on_disconnect = self._disconnected
        return client

    def _connect(self) -> None:
        self._told = None
        self._refusal = None
        self._answered = False
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
        properties.MaximumPacketSize = _MAX_PACKET_BYTES
        try:
            self._client.connect(
                self._config.host,
                self._config.port,
                keepalive=self._config.keepalive_s,
                clean_start=True,
                properties=properties,
            )
        except OSError as error:  # ssl.SSLError and timeouts are among them
            fault = certificate_fault(error)
            self._lost(
                NotTrustedError(f"broker: {fault}; check the certificates")
                if fault is not None
                else UnreachableError(f"broker: cannot be reached ({error})")
            )
            return
        self._open = True

    def _connected(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._answered = True
        if reason.is_failure:
            self._refusal = f"broker: refused this unit ({reason})"
            return
        self.connected = True
        self.last_error = None
        self._attempts = 0
        # Not kept by the broker over connections: a retained message comes after every subscription anyway.
        client.subscribe(UPDATES_TOPIC, qos=1)
        self._tell()

    def _disconnected(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.connected = False

    def _ending(self, outcome: MQTTErrorCode) -> SyncError:
        if self._refusal is not None:
            return RefusedError(self._refusal)
        # In TLS 1.3 our handshake is over before the broker has looked at our certificate. Its alert may then
        # be lost with the connection, so what counts is that it hung up instead of answering.
        if not self._answered:
            return NotTrustedError(
                "broker: hung up instead of answering, as one that does not accept this unit's certificate"
            )
        return UnreachableError(f"broker: connection ended ({paho.error_string(outcome)})")

    def _message(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        if message.topic != UPDATES_TOPIC or not message.payload:
            return  # an empty retained message means that there is none any more
        if len(message.payload) > MAX_BYTES[TIMESTAMP]:
            self.malformed += 1
            return
        self._on_timestamp(bytes(message.payload))

    def _tell(self) -> None:
        if not self.connected or self._status is None or self._status == self._told:
            return
        self._client.publish(self._topic, self._status, qos=1, retain=True)
        self._told = self._status

    def _lost(self, error: SyncError) -> None:
        self._open = self.connected = False
        self.last_error = error
        self._attempts += 1
        doubled = self._config.backoff_first_s * 2.0 ** min(self._attempts - 1, 32)
        wait_s = min(doubled, self._config.backoff_max_s) * (0.5 + 0.5 * self._jitter())
        self._next_attempt_ns = time.monotonic_ns() + int(wait_s * 1e9)


def _json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
