"""What of the transfer can be set in `config.toml`: `[sync]`, `[mqtt]` and `[retention]`.

A value that cannot work raises ValueError when it is made, and says which key it is.
"""

from dataclasses import dataclass

from sync.batch import MAX_BATCH_BYTES


@dataclass(frozen=True, slots=True)
class SyncConfig:
    """How reads travel to the department."""

    server_url: str = ""
    """`https://host:port` of the department's unit port; "" is no transfer over the network."""
    interval_s: float = 30.0
    """How long an empty outbox is left before it is looked at again."""
    batch_reads: int = 200
    """Most reads in a batch."""
    batch_bytes: int = 4 * 1024 * 1024
    """Most sealed bytes in a batch; a batch of one read may be larger."""
    connect_timeout_s: float = 10.0
    io_timeout_s: float = 30.0
    """Longest silence while sending or receiving."""
    exchange_timeout_s: float = 600.0
    """Longest whole answer: a server that drips is given up."""
    backoff_first_s: float = 2.0
    backoff_max_s: float = 300.0
    """Waits double from first to max while the server cannot be reached, each shortened at random."""
    refused_wait_s: float = 3600.0
    """How long nothing is sent after the server refused the unit itself (401, 403)."""

    def __post_init__(self) -> None:
        if self.server_url and not self.server_url.startswith("https://"):
            raise ValueError("server_url: must begin with https://, or be empty for no transfer")
        _positive(self, "interval_s", "batch_reads", "batch_bytes", "connect_timeout_s", "io_timeout_s")
        _positive(self, "exchange_timeout_s", "backoff_first_s", "backoff_max_s", "refused_wait_s")
        if self.batch_bytes > MAX_BATCH_BYTES // 2:
            raise ValueError(f"batch_bytes: at most {MAX_BATCH_BYTES // 2}, or the server refuses the batch")
        if self.backoff_first_s > self.backoff_max_s:
            raise ValueError("backoff_first_s: must not be more than backoff_max_s")


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """How the unit tells its status and hears of a new hotlist."""

    host: str = ""
    """Name in the broker's certificate; "" is no MQTT."""
    port: int = 8883
    keepalive_s: int = 30
    """The broker tells the last will after one and a half of these without a sign of life."""
    connect_timeout_s: float = 10.0
    backoff_first_s: float = 2.0
    backoff_max_s: float = 300.0

    def __post_init__(self) -> None:
        _positive(self, "port", "keepalive_s", "connect_timeout_s", "backoff_first_s", "backoff_max_s")
        if self.port > 65_535:
            raise ValueError("port: at most 65535")
        if self.backoff_first_s > self.backoff_max_s:
            raise ValueError("backoff_first_s: must not be more than backoff_max_s")


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long reads stay on the unit, and what room they leave on its disk."""

    local_window_h: float = 24.0
    """A read stays this long after it was stored, even when the department holds it; never less than its
    receipt takes. 0 removes it as soon as its receipt was checked."""
    image_reserve_bytes: int = 512 * 1024 * 1024
    """With less room on the disk, reads are stored without their picture."""
    stop_reserve_bytes: int = 64 * 1024 * 1024
    """With less room on the disk, recording stops with an alarm."""

    def __post_init__(self) -> None:
        if self.local_window_h < 0:
            raise ValueError("local_window_h: must not be negative")
        _positive(self, "image_reserve_bytes", "stop_reserve_bytes")
        if self.stop_reserve_bytes > self.image_reserve_bytes:
            raise ValueError("stop_reserve_bytes: must not be more than image_reserve_bytes")


def _positive(config: object, *keys: str) -> None:
    for key in keys:
        if not 0 < getattr(config, key) < float("inf"):
            raise ValueError(f"{key}: must be more than 0")
