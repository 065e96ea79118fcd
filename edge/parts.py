"""What a unit is made of, as the composition root hands it to the daemon."""

from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from edge.access_log import AccessLog
from edge.alerts import Sounder
from edge.cameras import CameraBank
from edge.clock import SystemClock
from edge.contexts import Contexts
from edge.courier import Courier
from edge.department_packs import DepartmentPacks
from edge.hotlists import HotlistDesk
from edge.incident import Incidents
from edge.keeper import Keeper
from edge.lists import Lists
from edge.notify import Notifier
from edge.pacing import Pacing
from edge.page import PageServer
from edge.page_board import Board
from edge.pipeline import Pipeline
from edge.presence import Presence
from edge.profiles import Profiles
from edge.roads import Roads
from edge.sightings import Sightings
from edge.window import Window
from hotlist_cache.hit import Sighting
from sync.https import HttpsTransport
from sync.mqtt import MqttLink


@dataclass(frozen=True, slots=True)
class Parts:
    """What the composition root made; the daemon runs it and closes it."""

    unit_id: str
    run_dir: Path
    clock: SystemClock
    bank: CameraBank
    pipeline: Pipeline
    contexts: Contexts | None
    """None: no scenes are kept."""
    incidents: Incidents
    """What reads carry now; the page begins and ends it."""
    keeper: Keeper
    alarms: "SimpleQueue[str]"
    """Lines for the officer on the unit's own state, without plate or place."""
    transport: HttpsTransport | None
    courier: Courier | None
    """None, as `transport`: no server is configured, and reads wait on the unit. Brings what is no hit."""
    hit_courier: Courier | None
    """Brings hits, over a connection of its own: none waits behind a batch of other reads."""
    hit_transport: HttpsTransport | None
    hit_stored: Event
    """Set whenever a hit is on the disk."""
    roads: Roads
    pacing: Pacing
    profiles: Profiles
    packs: DepartmentPacks
    """The department's model packs: what runs, and what the next start takes."""
    publisher: HttpsTransport | None
    """Where lists come from: a connection of its own, so that a long transfer does not hold up reads."""
    lists: Lists
    sightings: Sightings
    window: Window
    """Look-up of this unit's own reads; any thread may ask it."""
    past: "SimpleQueue[Sighting]"
    """Plates that were read before they were listed, to be told."""
    desk: HotlistDesk
    link: MqttLink | None
    presence: Presence
    """What the department is told of the unit's state."""
    sounder: Sounder
    notifier: Notifier
    board: Board
    """What the officers' page shows."""
    access_log: AccessLog | None
    page: PageServer | None
    page_faults: tuple[str, ...] = ()
    """Why there is no page or no access log, for the technician."""
