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
from server.errors import ServerError
from server.intake import Intake
from server.listeners import bind, notify, serve
from server.pages import pages_app
from server.unit_port import unit_app

ANNOUNCE_EVERY_S = 0.5
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

    units = (unit_app(intake, department.publications, clock.now), unit_socket)
    people = (pages_app(desk), people_socket)
    asyncio.run(serve(units, people, department.folder.keys, ready, lambda: _announce(department)))
    _log.info("stopped")
    department.engine.dispose()


async def _announce(department: Department) -> None:
    """Keep the publication fresh, and tell units of each new one, whichever process published it."""
    publications, link = department.publications, None
    if department.settings.mqtt.host:
        link = BrokerLink(
            department.settings.mqtt,
            department.folder.keys,
            department.engine,
            publications,
            clock.now,
        )
        link.start()
    try:
        while True:
            try:
                # Usually the command that published the list has done it; after a crash in between this does.
                await asyncio.to_thread(
                    publications.bring_list, department.hotlists, department.keys, clock.now()
                )
                await asyncio.to_thread(publications.keep_fresh, clock.now())
                if link is not None:
                    await asyncio.to_thread(link.announce)
            except ServerError as error:
                _log.error("publication not fresh", why=str(error))
            await asyncio.sleep(ANNOUNCE_EVERY_S)
    finally:
        if link is not None:
            link.stop()
