"""Run the department's server: the one place that joins its parts. Ends on SIGTERM."""

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event

import structlog

from server import clock
from server.access import Access, factors_of
from server.audit_answers import checkpoints_of
from server.broker import BrokerLink
from server.coming_ends import coming_ends
from server.department import Department, open_department
from server.desk import Desk
from server.errors import ServerError
from server.feed_watch import Watching
from server.hit_desk import HitDesk
from server.intake import Intake
from server.listeners import bind, notify, serve
from server.local_books import LocalBooks
from server.local_publishing import Bringing
from server.maps import atlas_of
from server.pages import pages_app
from server.publications import Publications
from server.retention import carry_on
from server.retention_automatic import AutomaticPurge
from server.rosters import Rosters
from server.unit_logs import UnitLogs
from server.unit_port import unit_app
from server.weekly_check import WeeklyCheck, warn_of_checksums

ANNOUNCE_EVERY_S = 0.5
"""A car hears of a new publication within a second. Looking costs one `stat`."""
KEEP_EVERY_S = 30.0
"""It reads all metadata, and seldom finds anything: a list whose command was cut off, and twice a day a
timestamp of which half is over."""
MOST_STEPS = 50
"""Of moving pictures, one after another: 10,000 pictures in `KEEP_EVERY_S`."""
_log = structlog.get_logger(__name__)


def run(root: Path, host: str, port: int, admin_port: int) -> None:
    """Serve units on *port* and people on *admin_port* until SIGTERM; port 0 takes a free one.

    When both listen, prints one line "ready …" with the ports to standard output and tells systemd.
    Raises SettingsInvalidError if the folder is not a department's or an address is taken.
    """
    department = open_department(root, upgrading=True)
    warn_of_checksums(department.engine)
    for line in coming_ends(department, clock.now()):
        _log.warning("ends soon", why=line)
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    desk = Desk(
        department.engine,
        Access(
            department.engine,
            department.settings.access,
            factors_of(department.engine, department.folder),
            department.settings.department.name,
        ),
        department.settings.department,
        clock.now,
        department.pictures,
        atlas_of(department.settings.map, root),
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

    books = LocalBooks(department.engine, department.keys, intake)
    logs = UnitLogs(department.engine, department.keys, intake)
    units = (unit_app(intake, books, logs, department.publications, clock.now), unit_socket)
    people = (pages_app(desk, department), people_socket)
    asyncio.run(serve(units, people, department.folder.keys, ready, lambda: _tend(department, intake)))
    _log.info("stopped")
    department.engine.dispose()


async def _tend(department: Department, intake: Intake) -> None:
    """Keep the publication fresh, and tell units of each new one, whichever process published it."""
    publications, bringing = department.publications, Bringing(department)
    checkpoints = checkpoints_of(department)

    def keep() -> None:
        # Usually the command that published the list has done it; after a crash in between this does.
        publications.bring_list(department.hotlists, department.keys, clock.now())
        publications.keep_fresh(clock.now())

    def sign() -> None:
        made = checkpoints.step(clock.now())
        if made is not None:
            # This log usually goes to another machine: one more place to hold the access log against.
            _log.info("audit checkpoint", number=made.number, head=f"{made.sequence}:{made.digest.hex()}")

    rosters = Rosters(department.engine, publications, department.settings.access)
    # A department of before there were rosters has none until two persons say who signs them.
    delegated = publications.repository.delegates("rosters")
    if not delegated:
        _log.warning("no roster", remedy="alpr-server roster delegate: else nobody logs in on the units")

    def tell_units_of_accounts() -> None:
        if delegated or publications.repository.delegates("rosters"):
            rosters.bring(clock.now(), actor="server")

    pictures = department.pictures
    automatic, pause = AutomaticPurge(department.engine, department.keys.receipt), Event()

    def purge() -> None:
        automatic.step(clock.now(), pause.wait, clock.now)
        key = department.keys.receipt
        carry_on(department.engine, key, clock.now, wait=pause.wait, sweep=pictures.sweep)

    def move_pictures() -> None:
        pictures.sweep(clock.now())
        # Not until none is left: at each shutdown this step is waited for.
        for _ in range(MOST_STEPS):
            if not pictures.move_out(clock.now()):
                break

    every = timedelta(days=department.settings.check.every_days)
    weekly = WeeklyCheck(department.engine, department.keys.receipt.public_key(), every)
    watching = Watching(department)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_again_and_again(KEEP_EVERY_S, keep))
        tasks.create_task(_again_and_again(KEEP_EVERY_S, tell_units_of_accounts, "roster not published"))
        tasks.create_task(_again_and_again(ANNOUNCE_EVERY_S, lambda: bringing.step(clock.now())))
        tasks.create_task(_again_and_again(KEEP_EVERY_S, sign, "no checkpoint"))
        tasks.create_task(_again_and_again(KEEP_EVERY_S, purge, "nothing was purged"))
        tasks.create_task(
            _again_and_again(KEEP_EVERY_S, lambda: weekly.step(clock.now), "database not looked through")
        )
        if department.settings.feed:
            tasks.create_task(_again_and_again(KEEP_EVERY_S, lambda: watching.step(clock.now())))
        if department.settings.pictures.url:
            tasks.create_task(_again_and_again(KEEP_EVERY_S, move_pictures, "pictures not moved"))
        if department.settings.mqtt.host:
            tasks.create_task(_announce(department, publications, intake))


async def _announce(department: Department, publications: Publications, intake: Intake) -> None:
    """Tell units of each new publication, however long the next one takes to be made; take their hits."""
    link = BrokerLink(
        department.settings.mqtt,
        department.folder.keys,
        department.engine,
        publications,
        clock.now,
        hits=HitDesk(intake, clock.now),
    )
    link.start()
    try:
        await _again_and_again(ANNOUNCE_EVERY_S, link.announce)
    finally:
        link.stop()


async def _again_and_again(
    every_s: float, act: Callable[[], object], failure: str = "publication not fresh"
) -> None:
    """Call *act* in a thread, now and *every_s* after each end; a failure is logged, and tried again."""
    while True:
        try:
            await asyncio.to_thread(act)
        except ServerError as error:
            _log.error(failure, why=str(error))
        await asyncio.sleep(every_s)
