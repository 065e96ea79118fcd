"""The unit's connections to its department, each for one thread, and what the network lets them carry."""

from dataclasses import dataclass
from queue import Queue

from edge.clock import Clock
from edge.config import Config
from edge.keeper import Follow, Keeper, Message
from edge.pacing import Pacing
from edge.roads import Roads
from edge.sightings import Sightings
from sync.https import HttpsTransport
from sync.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Connections:
    """Opened when they are first used. None: no server is configured."""

    transport: HttpsTransport | None
    """For reads that are no hits, officers' entries and the access log; paced as the network's rule says."""
    hit_transport: HttpsTransport | None
    publisher: HttpsTransport | None
    """Where lists come from: a connection of its own, so that a long transfer does not hold up reads."""
    roads: Roads
    pacing: Pacing


def connections_of(config: Config, files: TlsFiles, keeper: Keeper, clock: Clock) -> Connections:
    """Return the connections of *config*."""
    roads = Roads(config.sync.networks, lambda: keeper.counts, lambda: clock.now().utc)
    pacing = Pacing(lambda: roads.bytes_per_s, lambda: clock.now().monotonic_ns)
    if not config.sync.server_url:
        return Connections(None, None, None, roads, pacing)
    return Connections(
        HttpsTransport(config.sync, files, pacing),
        HttpsTransport(config.sync, files),
        HttpsTransport(config.sync, files),
        roads,
        pacing,
    )


def follow(keeper: Queue[Message], sightings: Sightings, roads: Roads, config: Config) -> None:
    """Go on by *config* where that needs no restart: how reads are kept, and what travels over what."""
    keeper.put(Follow(config.retention))
    sightings.follow(config.retention)
    roads.follow(config.sync.networks)
