"""What may travel over which network."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.networks import (
    ANY,
    COMMON,
    Lists,
    NetworkRule,
    Reads,
    default_interface,
    reads_carried,
    rule_for,
    waiting_line,
)

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
LO6 = f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"


def route(
    interface: str, *, to: str = "00000000", mask: str = "00000000", flags: str = "0003", metric: int = 100
) -> str:
    return f"{interface}\t{to}\t0101A8C0\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"


def route6(interface: str, metric: int, flags: str = "00000003") -> str:
    return f"{'0' * 32} 00 {'0' * 32} 00 {'f' * 32} {metric:08x} 00000001 00000000 {flags}    {interface}\n"


def test_network_in_use_is_that_of_the_default_route_with_the_least_metric() -> None:
    text = HEAD + route("eth0", to="0001A8C0", mask="00FFFFFF", metric=1) + route("wwan0", metric=700)
    assert default_interface(text, LO6) == "wwan0"
    assert default_interface(text + route("wlan0", metric=600), "") == "wlan0"
    assert default_interface(text + route("wlan0", metric=1, flags="0002"), "") == "wwan0"  # it is down


def test_a_vpn_does_not_hide_the_network_beneath_it() -> None:
    cellular = HEAD + route("wwan0", metric=700)
    for vpn in ("tun0", "wg0"):
        assert default_interface(cellular + route(vpn, metric=50), "") == "wwan0"
        assert default_interface(HEAD + route(vpn, metric=50), route6("wlan0", 512)) == "wlan0"
    assert default_interface(HEAD + route("tun0", metric=50), LO6) == "tun0"  # it took the only one


def test_default_route_of_ipv6_counts_where_there_is_no_other() -> None:
    assert default_interface(HEAD, LO6 + route6("wlan0", 512)) == "wlan0"
    assert default_interface(HEAD + route("eth0"), route6("wlan0", 1)) == "eth0"
    assert default_interface(HEAD, LO6) is None


@given(st.text(), st.text())
def test_no_text_of_a_kernel_is_too_odd(ipv4: str, ipv6: str) -> None:
    found = default_interface(ipv4, ipv6)
    assert found is None or found in ipv4 + ipv6


@pytest.mark.parametrize(
    ("interface", "name"),
    [
        ("wlan0", "Wi-Fi"),
        ("wlp2s0", "Wi-Fi"),
        ("eth0", "Ethernet"),
        ("enx00", "Ethernet"),
        ("wwan0", "cellular"),
        ("usb0", "cellular"),
        ("ppp0", "cellular"),
        ("tun0", "network"),
        (None, "network"),
    ],
)
def test_kind_of_network_is_known_by_its_interface(interface: str | None, name: str) -> None:
    assert rule_for(interface, COMMON).name == name


def test_first_rule_that_names_the_interface_holds() -> None:
    router = NetworkRule("cellular router", ("eth0",), Reads.HITS)
    assert rule_for("eth0", (router, *COMMON)) is router


def test_cellular_carries_hits_alone_until_day_25_and_then_everything() -> None:
    cellular = rule_for("wwan0", COMMON)
    assert reads_carried(cellular, oldest=None, now=NOW) is Reads.HITS
    assert reads_carried(cellular, oldest=NOW - timedelta(days=24, hours=23), now=NOW) is Reads.HITS
    assert reads_carried(cellular, oldest=NOW - timedelta(days=25), now=NOW) is Reads.ALL
    assert reads_carried(ANY, oldest=None, now=NOW) is Reads.ALL
    assert (cellular.lists, ANY.lists) == (Lists.CHANGES, Lists.ALL)


def test_line_says_how_many_reads_wait_for_what() -> None:
    assert waiting_line(120, COMMON[:1]) == "120 reads wait for Wi-Fi"
    assert waiting_line(1, COMMON) == "1 read waits for Wi-Fi or Ethernet"
    assert waiting_line(0, COMMON) == ""
    assert "day 25" in waiting_line(2, COMMON[2:])


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"name": "a\nb"}, {"interfaces": ()}, {"interfaces": ("",)}, {"max_bytes_s": 10}],
)
def test_rule_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"name|interfaces|max_bytes_s"):
        NetworkRule(**{"name": "Wi-Fi", "interfaces": ("wl*",), **changes})  # type: ignore[arg-type]  # of several types
