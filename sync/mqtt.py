"""The unit's presence at the department's broker: MQTT v5 over TLS with a certificate on both sides.

It says how the unit is (`alpr/<unit>/status`, retained, with a last will) and hears of new publications:
their signed timestamp (`alpr/updates`, retained). Batches of hits go this way too, as a second one: they stay
on the unit until their signed receipt came (`alpr/<unit>/receipts`, or by HTTPS).

No thread is made: the caller's thread calls `step`, and every callback runs inside it.
"""

import json
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sync.config import MqttConfig
from sync.errors import NotTrustedError, RefusedError, SyncError, UnreachableError
from sync.hit_message import MAX_HIT_MESSAGE_BYTES, hits_topic, receipts_topic
from sync.receipts import MAX_RECEIPT_BYTES
from sync.tls import TlsFiles, certificate_fault, client_context
from sync.trust_check import MAX_BYTES, TIMESTAMP
from sync.unit_status import MAX_STATUS_BYTES
from sync.wire import identifier

UPDATES_TOPIC = "alpr/updates"
_MAX_PACKET_BYTES = 16_384
"""What the broker may send us."""
_DISCONNECT_WITH_WILL = 0x04
_TOPIC_BYTES = 256
"""What of a packet is not its message."""


def status_topic(unit_id: str) -> str:
    """Return where the unit's status stands."""
    return f"alpr/{identifier(unit_id)}/status"


class MqttLink:
    """One unit's connection to the broker. Not for several threads at a time, but for `publish_hits`."""

    def __init__(
        self,
        config: MqttConfig,
        unit_id: str,
        files: TlsFiles,
        on_timestamp: Callable[[bytes], None],
        jitter: Callable[[], float],
    ) -> None:
        """*on_timestamp* is called inside `step` with what nobody has checked yet, and so is `on_receipt`;
        *jitter* gives numbers in [0, 1).

        Raises NotTrustedError if the unit's own TLS files cannot be used.
        """
        self._config = config
        self._topic = status_topic(unit_id)
        self._on_timestamp = on_timestamp
        self.on_receipt: Callable[[bytes], None] = lambda data: None
        """Called with what came as a receipt for hits."""
        self._hits_topic, self._receipts_topic = hits_topic(unit_id), receipts_topic(unit_id)
        self._hits: deque[bytes] = deque(maxlen=1)
        """What is to be published next: the batch on its way, and no other."""
        self._published: tuple[bytes, paho.MQTTMessageInfo] | None = None
        self._largest_message = 0
        """What the broker takes."""
        self._wakes: tuple[socket.socket, ...] = ()
        """Two ends, while a connection is open: what is put into the first ends the wait at the second."""
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
        self._unit_id = unit_id
        self._context = client_context(files)
        self._client = self._new_client()

    def publish_status(self, status: bytes) -> None:
        """Make *status* the unit's own, told now or as soon as the broker is reached, and again after it.

        It is a document of `sync.unit_status`. What is told already is not told again.

        Raises ValueError if it is larger than `MAX_STATUS_BYTES`.
        """
        # paho does not heed the broker's maximum packet size: a larger message would be sent again for ever.
        if len(status) > MAX_STATUS_BYTES:
            raise ValueError(f"a status is at most {MAX_STATUS_BYTES} bytes")
        self._status = status
        self._tell()

    def publish_hits(self, message: bytes) -> bool:
        """Publish *message* (`sync.hit_message`) as soon as `step` comes to it; return whether it will be:
        the broker is connected, and takes messages so long. Any thread may call it."""
        if not self.connected or len(message) > min(self._largest_message, MAX_HIT_MESSAGE_BYTES):
            return False
        self._hits.append(message)
        with suppress(OSError, IndexError):  # the connection has just ended, or wakes enough wait
            self._wakes[0].send(b"\0")
        return True

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
        self._wait(timeout_s)
        self._put_hits()
        outcome = self._turn()
        if outcome != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lost(self._ending(outcome))

    def close(self) -> None:
        """Leave: the broker tells the last will ("offline") at once, not after the keep-alive."""
        if self._open:
            self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=_DISCONNECT_WITH_WILL))
            self._open = self.connected = False
            if (left := self._client.socket()) is not None:
                left.close()  # what was said could not be sent any more
        self._close_wakes()

    def _turn(self) -> MQTTErrorCode:
        """Read, write and keep alive, whatever is due, without waiting."""
        # Not paho's `loop`: it makes two sockets of its own, and leaves them to the garbage collector.
        outcome = self._client.loop_read()
        if outcome == MQTTErrorCode.MQTT_ERR_SUCCESS and self._client.want_write():
            outcome = self._client.loop_write()
        return self._client.loop_misc() if outcome == MQTTErrorCode.MQTT_ERR_SUCCESS else outcome

    def _wait(self, timeout_s: float) -> None:
        """Wait until the broker sends something or takes more, or `publish_hits` is called."""
        connection = self._client.socket()
        if connection is None or (self._hits and self.connected):
            return
        # What TLS has deciphered already shows at no socket.
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return
        # What a slow network does not take yet is waited with, not tried again and again.
        writing = [connection] if self._client.want_write() else []
        select.select([connection, self._wakes[1]], writing, [], timeout_s)
        with suppress(BlockingIOError):
            self._wakes[1].recv(4096)

    def _put_hits(self) -> None:
        if not self.connected or not self._hits:
            return
        message = self._hits.popleft()
        before = self._published
        if before is None or before[0] != message or not _on_its_way(before[1]):
            self._published = message, self._client.publish(self._hits_topic, message, qos=1)

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._unit_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.tls_set_context(self._context)
        client.will_set(self._topic, _json({"state": "offline"}), qos=1, retain=True)
        client.connect_timeout = self._config.connect_timeout_s
        client.on_connect = self._connected
        client.on_message = self._message
        client.on_disconnect = self._disconnected
        return client

    def _connect(self) -> None:
        # A new one each time: what was not confirmed paho would send again over the next connection, a status
        # of before after that of now, and hits that the department has had by HTTPS long since.
        self._client = self._new_client()
        self._told = self._published = None
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
        self._close_wakes()
        self._wakes = socket.socketpair()
        for end in self._wakes:
            end.setblocking(False)

    def _close_wakes(self) -> None:
        for end in self._wakes:
            end.close()
        self._wakes = ()

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
        takes = getattr(properties, "MaximumPacketSize", None)
        self._largest_message = MAX_HIT_MESSAGE_BYTES if takes is None else int(takes) - _TOPIC_BYTES
        self.connected = True
        self.last_error = None
        self._attempts = 0
        # Not kept by the broker over connections: a retained message comes after every subscription anyway.
        client.subscribe([(UPDATES_TOPIC, 1), (self._receipts_topic, 1)])
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
        if message.topic == self._receipts_topic:
            if len(message.payload) <= MAX_RECEIPT_BYTES:
                self.on_receipt(bytes(message.payload))
            return
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
        self._close_wakes()
        self.last_error = error
        self._attempts += 1
        doubled = self._config.backoff_first_s * 2.0 ** min(self._attempts - 1, 32)
        wait_s = min(doubled, self._config.backoff_max_s) * (0.5 + 0.5 * self._jitter())
        self._next_attempt_ns = time.monotonic_ns() + int(wait_s * 1e9)


def _on_its_way(info: paho.MQTTMessageInfo) -> bool:
    """Whether the broker has yet to confirm it: paho itself sends it again. What the connection ended under,
    paho answers for with an error, whatever becomes of it: that is to be published anew."""
    try:
        return not info.is_published()
    except (RuntimeError, ValueError):
        return False


def _json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
