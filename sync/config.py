"""What of the transfer can be set in `config.toml`: `[sync]`, `[mqtt]` and `[retention]`.

A value that cannot work raises ValueError when it is made, and says which key it is.
"""

from dataclasses import dataclass
from enum import StrEnum

from sync.batch import MAX_BATCH_BYTES
from sync.networks import COMMON, NetworkRule


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
    networks: tuple[NetworkRule, ...] = COMMON
    """What may travel over which network; the first rule holds that names the interface in use."""

    def __post_init__(self) -> None:
        if self.server_url and not self.server_url.startswith("https://"):
            raise ValueError("server_url: must begin with https://, or be empty for no transfer")
        _positive(self, "interval_s", "batch_reads", "batch_bytes", "connect_timeout_s", "io_timeout_s")
        _positive(self, "exchange_timeout_s", "backoff_first_s", "backoff_max_s", "refused_wait_s")
        if self.batch_bytes > MAX_BATCH_BYTES // 2:
            raise ValueError(f"batch_bytes: at most {MAX_BATCH_BYTES // 2}, or the server refuses the batch")
        if self.backoff_first_s > self.backoff_max_s:
            raise ValueError("backoff_first_s: must not be more than backoff_max_s")
        names = [rule.name for rule in self.networks]
        if len(names) != len(set(names)):
            raise ValueError("networks: two have the same name; give each its own")


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


class FirstToGo(StrEnum):
    """What the unit does without when its disk runs short. A read without a receipt is never among it."""

    CONTEXT_IMAGES = "context_images"
    """New hits are kept without their picture of the whole scene, where one is made."""
    ACKNOWLEDGED_READS = "acknowledged_reads"
    """Reads that the department holds leave before their window ends, with their pictures, oldest first."""
    NON_HIT_IMAGES = "non_hit_images"
    """New reads without a hit are kept without their picture."""
    HIT_IMAGES = "hit_images"
    """New hits are kept without their picture."""


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long reads stay on the unit, and what room they leave on its disk.

    A busy car makes 1,000 reads an hour, 12 hours a day. What it has not transferred in 30 days, some 370,000
    reads, must fit on its disk: of 32 GB (10^9 bytes each) there are 86 kB for a read and all that belongs to
    it. Measured are 3.5 kB for a record with the picture of the plate (sample drive; 5.7 kB at most), 1.2 kB
    of the file's own, and for the reads inside the window 0.55 kB of index. A hit may bring a picture of the
    scene of 300 kB: one read in 300 makes that 1 kB for each.
    """

    local_window_h: float = 24.0
    """So long after it was stored, at most, can the unit itself open and find a read; then the key is
    destroyed. A read that has its receipt leaves with it. 0 keeps no key at all, and a read leaves as soon as
    its receipt was checked. Less than 2 keeps the keys in memory alone: they do not outlive the daemon."""
    non_hit_window_min: float | None = None
    """The same for reads without a hit, in minutes; None: as for all. Where it is set, hits and other reads
    are sealed under different keys, and the file shows how many were hits."""
    transfer_non_hits: bool = True
    """False: reads without a hit are never sent. They are destroyed with their window, `non_hit_window_min`
    or `local_window_h`, and are not stored at all where that is 0: New Hampshire (RSA 261:75-b) leaves them
    three minutes. What was stored before it was set is still sent."""
    window_outlives_restart: bool = True
    """False keeps the window's keys in memory alone, whatever its length: with the power they are gone."""
    window_tpm: str = "auto"
    """The TPM 2.0 that guards the window's keys: "auto" takes /dev/tpmrm0 where it can be opened, "" none;
    else a TCTI as the tpm2 tools know it. One that is named or found and fails: the keys stay in memory."""
    image_reserve_bytes: int = 512 * 1024 * 1024
    """With less room on the disk, the unit does without the first of `when_full`."""
    stop_reserve_bytes: int = 64 * 1024 * 1024
    """With less room on the disk, recording stops with an alarm."""
    context_images: bool = False
    """Whether hits bring a picture of the whole scene, which shows others too: only where the department says
    so."""
    when_full: tuple[FirstToGo, ...] = (
        FirstToGo.CONTEXT_IMAGES,
        FirstToGo.ACKNOWLEDGED_READS,
        FirstToGo.NON_HIT_IMAGES,
    )
    """What goes first, in order; the steps are spread evenly between the two reserves."""

    def __post_init__(self) -> None:
        if self.local_window_h < 0:
            raise ValueError("local_window_h: must not be negative")
        if not self.local_window_h <= 24 * 366:
            raise ValueError("local_window_h: must not be more than 8784, a year")
        if self.non_hit_window_min is not None and not (
            0 <= self.non_hit_window_min <= self.local_window_h * 60
        ):
            raise ValueError("non_hit_window_min: must lie between 0 and local_window_h (in minutes)")
        _positive(self, "image_reserve_bytes", "stop_reserve_bytes")
        if self.stop_reserve_bytes > self.image_reserve_bytes:
            raise ValueError("stop_reserve_bytes: must not be more than image_reserve_bytes")
        if len(set(self.when_full)) != len(self.when_full):
            raise ValueError("when_full: names one thing twice")

    def window_s(self, *, hit: bool) -> int:
        """Return how many seconds the unit can open a read that is a *hit*, or is none."""
        if hit or self.non_hit_window_min is None:
            return int(self.local_window_h * 3600)
        return int(self.non_hit_window_min * 60)

    def done_without(self, free_bytes: int) -> frozenset[FirstToGo]:
        """Return what the unit does without while *free_bytes* are free on its disk."""
        span = self.image_reserve_bytes - self.stop_reserve_bytes
        steps = len(self.when_full)
        return frozenset(
            each
            for number, each in enumerate(self.when_full)
            if free_bytes < self.stop_reserve_bytes + span * (steps - number) / steps
        )


def _positive(config: object, *keys: str) -> None:
    for key in keys:
        if not 0 < getattr(config, key) < float("inf"):
            raise ValueError(f"{key}: must be more than 0")
