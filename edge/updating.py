"""The thread that brings what the department publishes: from a stick that is offered, and from the server."""

import shutil
from collections.abc import Callable
from pathlib import Path

import structlog

from edge.department_packs import DepartmentPacks
from edge.hotlists import HotlistDesk
from edge.usb import OFFERED_NAME, OUTCOME_NAME, REFUSED
from sync.https import HttpsTransport
from sync.trust_source import FolderSource

log = structlog.get_logger(__name__)


def bring_updates(
    desk: HotlistDesk,
    publisher: HttpsTransport | None,
    run_dir: Path,
    *,
    packs: DepartmentPacks | None = None,
    alive: Callable[[], None],
    longest_wait_s: float,
) -> None:
    """Take what is offered and due, then wait until something newer is told of, *longest_wait_s* at most.

    *publisher* None: no server is configured, and sticks alone are looked for. *packs* tries the model packs
    that came. *alive* is called again and
    again; what it raises breaks off a transfer.
    """
    offered = run_dir / OFFERED_NAME
    if offered.is_dir():
        desk.take_from(FolderSource(offered), alive)
        refusal = desk.last_error
        outcome = f"{REFUSED}{refusal}" if refusal else f"list {desk.sequence} is in force"
        log.info("updates.stick_taken", sequence=desk.sequence, refused=bool(refusal))
        (run_dir / OUTCOME_NAME).write_text(outcome, encoding="utf-8")
        shutil.rmtree(offered)
    wait_s = longest_wait_s
    if publisher is not None:
        wait_s = min(desk.work(publisher.updates, alive), wait_s)
    if packs is not None:
        packs.work()
    desk.wait(wait_s)
