"""Which network the unit is on, and what may travel over it now."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from sync.networks import Lists, NetworkRule, Reads, default_interface, reads_carried, rule_for, waiting_line
from sync.outbox import Counts

ROUTES = (Path("/proc/self/net/route"), Path("/proc/self/net/ipv6_route"))
BATCH_S = 60
"""A batch is cut so that it takes about so long where the rate is limited: what is broken off goes again."""

log = structlog.get_logger(__name__)


def interface_in_use() -> str | None:
    """Return the interface of the default route; None: there is none, or the kernel does not say."""
    texts = []
    for path in ROUTES:
        try:
            texts.append(path.read_text(encoding="ascii", errors="replace"))
        except OSError:
            texts.append("")
    return default_interface(*texts)


class Roads:
    """One thread calls `look`, one `follow`; any may ask the rest."""

    def __init__(
        self,
        rules: tuple[NetworkRule, ...],
        counts: Callable[[], Counts],
        now: Callable[[], datetime],
        interface: Callable[[], str | None] = interface_in_use,
    ) -> None:
        """*counts* are the outbox's, *now* gives aware UTC."""
        self._rules = rules
        self._counts = counts
        self._now = now
        self._ask = interface
        self._interface = interface()

    def look(self) -> bool:
        """See which network is in use; return whether it is another than at the last look."""
        found = self._ask()
        if found == self._interface:
            return False
        self._interface = found
        log.info("network.changed", network=self.network or "none")
        return True

    def follow(self, rules: tuple[NetworkRule, ...]) -> None:
        """Go by *rules* from now on."""
        self._rules = rules

    @property
    def _rule(self) -> NetworkRule:
        # Found out anew each time: one thread may see another network while the other takes new rules.
        return rule_for(self._interface, self._rules)

    @property
    def network(self) -> str:
        """As "cellular (wwan0)"; empty where there is no default route."""
        return "" if self._interface is None else f"{self._rule.name} ({self._interface})"

    @property
    def carries_all_reads(self) -> bool:
        """Whether reads that are no hits may travel now."""
        return reads_carried(self._rule, oldest=self._counts().oldest, now=self._now()) is Reads.ALL

    @property
    def lists(self) -> Lists:
        """What of the publication may be fetched, of a unit whose list is fresh."""
        return self._rule.lists

    @property
    def bytes_per_s(self) -> int:
        """Most bytes of reads sent in a second; 0: no limit."""
        return self._rule.max_bytes_s

    @property
    def batch_bytes(self) -> int | None:
        """Most sealed bytes in a batch over this network; None: as configured."""
        return self.bytes_per_s * BATCH_S or None

    @property
    def waits_for(self) -> str:
        """Which reads are held back, and until what; empty: none is."""
        counts = self._counts()
        return "" if self.carries_all_reads else waiting_line(counts.queued - counts.hits, self._rules)

    @property
    def list_network(self) -> str:
        """Where a long list comes over, as "Wi-Fi or Ethernet"."""
        return " or ".join(rule.name for rule in self._rules if rule.lists is Lists.ALL) or "another network"
