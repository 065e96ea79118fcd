"""What may travel over which network: a vehicle's link is Wi-Fi in the garage and cellular on the road.

The network in use is that of the default route; its interface says which rule holds. Deciding is here,
reading the kernel's tables is the caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from sync.transfer_clock import TransferLevel, transfer_clock

_UP, _REJECT = 0x1, 0x200
"""Flags of a route (RTF_UP, RTF_REJECT of the kernel)."""


class Reads(StrEnum):
    """Which reads travel."""

    HITS = "hits"
    """Hits alone, at once; the others wait for a network that carries all."""
    ALL = "all"


class Lists(StrEnum):
    """What of the department's publication is fetched. Its metadata, the urgent list, the roster and the
    profiles always are: they are small."""

    URGENT = "urgent"
    CHANGES = "changes"
    """Also the changes to the list."""
    ALL = "all"
    """Also the list whole, and model packs."""


@dataclass(frozen=True, slots=True)
class NetworkRule:
    """What a kind of network carries."""

    name: str
    """As the officer is told: "Wi-Fi"."""
    interfaces: tuple[str, ...]
    """Patterns of its interfaces' names, as "wl*"."""
    reads: Reads = Reads.ALL
    lists: Lists = Lists.ALL
    max_bytes_s: int = 0
    """Most bytes of reads sent in a second, hits apart, which never wait; 0: no limit."""

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= 40 or not self.name.isprintable():
            raise ValueError("name: 1 to 40 characters in one line")
        if not self.interfaces or not all(0 < len(each) <= 40 for each in self.interfaces):
            raise ValueError("interfaces: give at least one pattern, such as wl*")
        if self.max_bytes_s != 0 and not 1000 <= self.max_bytes_s <= 10**9:
            raise ValueError("max_bytes_s: at least 1000, or 0 for no limit")


COMMON = (
    NetworkRule("Wi-Fi", ("wl*",)),
    NetworkRule("Ethernet", ("eth*", "en*")),
    NetworkRule("cellular", ("ww*", "ppp*", "rmnet*", "usb*"), Reads.HITS, Lists.CHANGES),
)
"""Names as Linux gives them. A router that is itself on a cellular network looks like Ethernet: say so in
`[[sync.networks]]`."""
_TUNNELS = ("tun*", "tap*", "wg*", "ipsec*", "vti*", "xfrm*")
"""A VPN's interfaces: what is paid for is the network beneath."""
ANY = NetworkRule("network", ("*",))
"""Of an interface that no rule names, and where there is no default route: everything."""


def rule_for(interface: str | None, rules: Sequence[NetworkRule]) -> NetworkRule:
    """Return the first of *rules* that names *interface*; None: there is no default route."""
    if interface is None:
        return ANY
    for rule in rules:
        if any(fnmatchcase(interface, pattern) for pattern in rule.interfaces):
            return rule
    return ANY


def reads_carried(rule: NetworkRule, *, oldest: datetime | None, now: datetime) -> Reads:
    """Return which reads *rule* lets travel at *now* (aware UTC); *oldest* is when the oldest read without a
    receipt was stored.

    From day 25 on all reads go by whatever there is: within 30 days they must be with the department, and
    five days are what a technician needs to bring in a car whose link does not do it either.
    """
    late = transfer_clock(oldest, now).level >= TransferLevel.WARN_25
    return Reads.ALL if late else rule.reads


def waiting_line(count: int, rules: Sequence[NetworkRule]) -> str:
    """Return what *count* reads wait for, as "120 reads wait for Wi-Fi or Ethernet"; "" of none."""
    if not count:
        return ""
    what = "1 read waits" if count == 1 else f"{count} reads wait"
    names = [rule.name for rule in rules if rule.reads is Reads.ALL]
    return f"{what} for {' or '.join(names) or 'day 25, as no network carries them before'}"


def default_interface(ipv4: str, ipv6: str) -> str | None:
    """Return the interface of the default route with the least metric, IPv4 before IPv6; None: there is none.
    A VPN's counts only where no other interface has a default route.

    The texts are those of /proc/self/net/route and ipv6_route there; lines that cannot be read are left out.
    """
    found: list[tuple[int, int, str]] = []
    for line in ipv4.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 8 and fields[1] == fields[7] == "00000000":
            flags, metric = _number(fields[3], 16), _number(fields[6], 10)
            if flags is not None and metric is not None and flags & _UP and not flags & _REJECT:
                found.append((4, metric, fields[0]))
    for line in ipv6.splitlines():
        fields = line.split()
        if len(fields) >= 10 and fields[0] == "0" * 32 and fields[1] == "00":
            flags, metric = _number(fields[8], 16), _number(fields[5], 16)
            if flags is not None and metric is not None and flags & _UP and not flags & _REJECT:
                found.append((6, metric, fields[9]))
    return min(found, key=_rank)[2] if found else None


def _rank(route: tuple[int, int, str]) -> tuple[bool, int, int, str]:
    return any(fnmatchcase(route[2], pattern) for pattern in _TUNNELS), *route


def _number(text: str, base: int) -> int | None:
    try:
        return int(text, base)
    except ValueError:
        return None
