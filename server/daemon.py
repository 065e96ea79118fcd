"""Run the department's server: the one place that joins its parts. Ends on SIGTERM."""

import asyncio
import sys
from pathlib import Path

import structlog

from server import clock
from server.access import Access
from server.broker import BrokerLink
from server.department import Department, open_department
from server.desk import Desk
from server.errors import StoreUnavailableError
from server.intake import Intake
from server.listeners import bind, notify, serve
from server.pages import pages_app
from server.unit_port import unit_app

ANNOUNCE_EVERY_S = 5.0
_log = structlog.get_logger(__name__)


def run(root: Path, host: str, port: int, admin_port: int) -> None:
    """Serve units on *port* and people on *admin_port* until SIGTERM; port 0 takes a free one.

    When both listen, prints one line "ready …" with the ports to standard output and tells systemd.
    Raises SettingsInvalidError if the folder is not a department's or an address is taken.
    """
    department = open_department(root, upgrading=True)
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    desk = Desk(
        department.engine,
        Access(department.engine, department.settings.access),
        department.settings.department,
        clock.now,
    )
    unit_socket, people_socket = bind(host, port), bind(host, admin_port)

    def ready() -> None:
        ports = {
            "units": unit_socket.getsockname()[1],
            "people": people_socket.getsockname()[1],
        }
        sys.stdout.write(f"ready units={ports['units']} people={ports['people']}\n")
        sys.stdout.flush()
        _log.info("ready", **ports)
        notify("READY=1")

    units = (unit_app(intake, department.hotlists, clock.now), unit_socket)
    people = (pages_app(desk), people_socket)
    asyncio.run(serve(units, people, department.folder.keys, ready, lambda: _announce(department)))
    _log.info("stopped")
    department.engine.dispose()


async def _announce(department: Department) -> None:
    """Tell units of each new snapshot, whichever process published it, as long as there is a broker."""
    if not department.settings.mqtt.host:
        return
    link = BrokerLink(
        department.settings.mqtt,
        department.folder.keys,
        department.engine,
        department.hotlists,
        clock.now,
    )
    link.start()
    try:
        while True:
            try:
                await asyncio.to_thread(link.announce)
            except StoreUnavailableError as error:
                _log.warning("hotlist not announced", why=str(error))
            await asyncio.sleep(ANNOUNCE_EVERY_S)
    finally:
        link.stop()
