"""Which network a unit is on, what that holds back, and how fast it sends."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from edge.pacing import LONGEST_S, Pacing
from edge.reckoning import transfer_health
from edge.roads import Roads
from edge.status import TransferHealth
from sync.errors import UnreachableError
from sync.networks import COMMON, Lists, NetworkRule
from sync.outbox import Counts
from tests.clocks import FakeClock


@dataclass
class Street:
    """A unit whose network the test changes."""

    interface: str | None = "wwan0"
    waiting: int = 120
    hits: int = 2
    oldest: datetime | None = None

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.roads = Roads(COMMON, self.counts, lambda: self.clock.now().utc, lambda: self.interface)

    def counts(self) -> Counts:
        return Counts(self.waiting + self.hits, 0, 0, 0, self.hits, self.oldest)


def test_cellular_holds_other_reads_back_and_says_for_what() -> None:
    street = Street()
    assert not street.roads.carries_all_reads
    assert street.roads.network == "cellular (wwan0)"
    assert street.roads.waits_for == "120 reads wait for Wi-Fi or Ethernet"
    assert street.roads.lists is Lists.CHANGES


def test_wifi_lets_them_go_as_soon_as_it_is_seen() -> None:
    street = Street()
    street.interface = "wlan0"
    assert street.roads.look()
    assert not street.roads.look()
    assert (street.roads.carries_all_reads, street.roads.waits_for) == (True, "")
    assert (street.roads.network, street.roads.lists) == ("Wi-Fi (wlan0)", Lists.ALL)


def test_from_day_25_everything_goes_by_what_there_is() -> None:
    street = Street()
    street.oldest = street.clock.now().utc - timedelta(days=25)
    assert (street.roads.carries_all_reads, street.roads.waits_for) == (True, "")


def test_without_a_default_route_nothing_is_held_back() -> None:
    roads = Street(interface=None).roads
    assert (roads.carries_all_reads, roads.network, roads.bytes_per_s) == (True, "", 0)


def test_other_rules_hold_at_once() -> None:
    street = Street()
    street.roads.follow((NetworkRule("cellular", ("wwan0",), max_bytes_s=20_000),))
    assert street.roads.carries_all_reads
    assert (street.roads.bytes_per_s, street.roads.batch_bytes) == (20_000, 1_200_000)


def test_rules_that_come_while_the_network_changes_hold_for_the_new_one() -> None:
    street = Street()
    slow = NetworkRule("garage", ("wlan0",), max_bytes_s=20_000)

    def asked() -> str:
        street.roads.follow((slow,))  # the other thread, just now
        return "wlan0"

    street.roads._ask = asked
    street.roads.look()
    assert (street.roads.network, street.roads.bytes_per_s) == ("garage (wlan0)", 20_000)
    street.roads.follow(COMMON)
    assert street.roads.bytes_per_s == 0


def test_a_department_that_was_reached_over_wifi_is_not_called_connected_while_hits_do_not_reach_it() -> None:
    street = Street()
    now = street.clock.now().utc
    keeper = SimpleNamespace(counts=street.counts(), purged=0)
    others = SimpleNamespace(health=TransferHealth(connected=True))
    hits = SimpleNamespace(health=TransferHealth(last_error="server cannot be reached"))

    def told() -> TransferHealth:
        return transfer_health(others, keeper, now, hits, street.roads)  # type: ignore[arg-type]  # what it asks of them

    assert (told().connected, told().last_error) == (False, "server cannot be reached")
    hits.health = TransferHealth()  # no hit was there to be brought
    assert told().connected
    hits.health = TransferHealth(last_error="server cannot be reached")
    street.interface = "wlan0"
    street.roads.look()
    assert told().connected


class PassingClock:
    """Goes on by itself a little whenever it is asked: nobody waits in a test."""

    def __init__(self) -> None:
        self.ns = 0

    def monotonic_ns(self) -> int:
        self.ns += 10_000_000
        return self.ns


def sent(pacing: Pacing, payload: bytes) -> Iterator[bytes]:
    pacing._stopping.wait = lambda timeout=None: False  # type: ignore[method-assign]  # time passes by the clock
    return pacing.pieces(payload)


def test_batch_takes_as_long_as_the_rate_says_and_comes_whole() -> None:
    clock, beats = PassingClock(), []
    pacing = Pacing(lambda: 10_000, clock.monotonic_ns)
    pacing.alive = lambda: beats.append(1)
    payload = bytes(range(256)) * 200
    assert b"".join(sent(pacing, payload)) == payload
    assert 4.5 <= clock.ns / 1e9 <= 6.5
    assert beats


def test_batch_of_before_is_never_so_slow_that_the_department_refuses_it() -> None:
    clock = PassingClock()
    pacing = Pacing(lambda: 1000, clock.monotonic_ns)
    assert sum(map(len, sent(pacing, bytes(1_000_000)))) == 1_000_000
    assert clock.ns / 1e9 <= LONGEST_S * 1.1


def test_without_a_limit_a_batch_goes_in_one_piece() -> None:
    assert list(Pacing(lambda: 0, FakeClock().now().utc.microsecond.__int__).pieces(b"all")) == [b"all"]


def test_stop_breaks_off_what_is_on_its_way() -> None:
    pacing = Pacing(lambda: 1000, PassingClock().monotonic_ns)
    pacing.stop()
    with pytest.raises(UnreachableError, match="again after the start"):
        list(pacing.pieces(bytes(5000)))
