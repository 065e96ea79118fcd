"""What brings hits to the department, ahead of everything else and over every network there is."""

from dataclasses import replace
from queue import Queue
from random import SystemRandom

from edge.clock import Clock
from edge.config import Config
from edge.courier import Courier, KeeperStore
from edge.hit_ways import HitWays
from edge.keeper import Message
from edge.vault import Keys
from sync.hit_message import MAX_HIT_BATCH_BYTES
from sync.mqtt import MqttLink
from sync.session import Session
from sync.upload import Transport, Upload

MOST_WAIT_S = 15.0
"""Longest wait after a failure: a hit does not sit out the five minutes that do for other reads."""


def hit_courier_of(
    config: Config,
    keys: Keys,
    keeper: Queue[Message],
    *,
    https: Transport,
    link: MqttLink | None,
    clock: Clock,
) -> Courier:
    """Return the courier of hits; its receipts by MQTT come over *link*, None without a broker."""
    sync = config.sync
    longest_s = min(sync.backoff_max_s, MOST_WAIT_S)
    session = Session(
        replace(sync, backoff_first_s=min(sync.backoff_first_s, longest_s), backoff_max_s=longest_s),
        SystemRandom().random,
    )
    ways = HitWays(
        https,
        None if link is None else link.publish_hits,
        unit_id=config.unit.id,
        department=keys.receipts,
        monotonic_ns=lambda: clock.now().monotonic_ns,
    )
    if link is not None:
        link.on_receipt = ways.receipt_came
    upload = Upload(
        session,
        KeeperStore(keeper, hits=True, limit_bytes=lambda: MAX_HIT_BATCH_BYTES),
        ways,
        unit_id=config.unit.id,
        unit_key=keys.signing,
        department=keys.receipts,
        clock=lambda: clock.now().utc,
    )
    return Courier(upload, session, clock)
