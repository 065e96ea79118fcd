"""A bad network: packets lost on a slow link, and answers that are lost after the server has stored."""

import json
import random
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from server.department import Administrator, found, open_department
from tests.departments import PASSWORD, ROOT
from tests.fault_link import FAR, NotHereError, bad_link
from tests.fault_outcome import Outcome, Watch, not_run
from tests.fault_unit import events_in
from tests.fault_world import World, world

HANDSHAKE_BYTES = 8000
"""More than a unit sends before its first batch; any answer after that is one to a batch."""


def lossy_link(reads: int = 400) -> Outcome:
    """Transfer *reads* reads over a link that loses 10 % of all packets and carries 1 Mbit/s."""
    fault, watch = "10 % packet loss at 1 Mbit/s", Watch()
    try:
        with bad_link() as link, tempfile.TemporaryDirectory() as name:
            root = Path(name) / "department"
            found(
                root,
                Administrator("chief", PASSWORD, date(2099, 1, 1)),
                name="Example Police",
                hosts=["localhost", FAR],
                server_url=f"https://{FAR}:8443",
                now=datetime.now(UTC),
                second_factor="optional",
            )
            with world(department=open_department(root), host=FAR) as this:
                this.start_server()
                orders = this.orders(most=reads)
                fields = {each: getattr(orders, each) for each in orders.__slots__}
                command = ["ip", "netns", "exec", link.namespace, sys.executable, "-m", "tests.fault_unit"]
                done = subprocess.run(
                    [*command, json.dumps(fields)], cwd=ROOT, check=False, timeout=300, capture_output=True
                )
                tally = this.tally()
                lost = (
                    f", {link.dropped:,} of {link.dropped + link.passed:,} packets lost"
                    if link.passed
                    else ""
                )
                return Outcome(
                    fault,
                    reads,
                    tally.lost + max(0, reads - tally.stored),
                    tally.twice,
                    tally.silent + (done.returncode != 0) + _refused(this),
                    f"{link.how}{lost}; {tally.receipts:,} receipts",
                    watch.seconds,
                )
    except NotHereError as error:
        return not_run(fault, str(error))


def bad_proxy(times: int = 200, seed: int = 3) -> Outcome:
    """Cut, stall and slow *times* connections in a proxy, which needs no right: what else works anywhere."""
    watch = Watch()
    with world() as this, proxy(this.port, seed=seed) as between:
        this.start_server()
        this.start_unit(url=f"https://localhost:{between.port}", batch_reads=5)
        _until(lambda: between.cut >= times)
        return _ended(this, "connections cut, stalled and slowed (TCP proxy)", between.cut, watch)


def lost_answers(times: int = 200) -> Outcome:
    """Cut *times* connections after the server has answered, the answer not passed on."""
    watch = Watch()
    with world() as this, proxy(this.port, answers_lost=0.7) as between:
        this.start_server()
        this.start_unit(url=f"https://localhost:{between.port}", batch_reads=5)
        _until(lambda: between.cut >= times)
        return _ended(this, "stored and answered, the answer lost", between.cut, watch)


@dataclass
class Proxy:
    """Passes connections on, and breaks some."""

    port: int
    to_port: int
    answers_lost: float
    """Part of the answers that are lost; 0: it breaks connections at any moment instead."""
    chance: random.Random
    cut: int = 0
    ending: threading.Event = field(default_factory=threading.Event)

    def carry(self, near: socket.socket) -> None:
        """Carry one connection to its end."""
        with near, suppress(OSError), socket.create_connection(("localhost", self.to_port), 5) as far:
            sent, answering = 0, False
            breaks_at = None if self.answers_lost else self.chance.randrange(200, 60_000)
            passed = 0
            while not self.ending.is_set():
                for side in select.select([near, far], [], [], 0.2)[0]:
                    piece = side.recv(8192)
                    if not piece:
                        return
                    if side is near:
                        sent, answering = sent + len(piece), False
                    elif self.answers_lost and sent > HANDSHAKE_BYTES and not answering:
                        answering = True
                        if self.chance.random() < self.answers_lost:
                            self.cut += 1
                            return
                    passed += len(piece)
                    if breaks_at is not None and passed > breaks_at:
                        # Stalled first, now and then: neither side may take silence for success.
                        self.ending.wait(self.chance.choice((0, 0, 0.3)))
                        self.cut += 1
                        return
                    if breaks_at is not None:
                        self.ending.wait(len(piece) / 1_000_000)
                    (far if side is near else near).sendall(piece)


@contextmanager
def proxy(to_port: int, *, answers_lost: float = 0.0, seed: int = 3) -> Iterator[Proxy]:
    """Give a proxy before *to_port* of this machine."""
    with socket.create_server(("localhost", 0)) as listening:
        listening.settimeout(0.2)
        made = Proxy(listening.getsockname()[1], to_port, answers_lost, random.Random(seed))
        threads: list[threading.Thread] = []

        def accept() -> None:
            while not made.ending.is_set():
                with suppress(TimeoutError):
                    near, _ = listening.accept()
                    threads.append(threading.Thread(target=made.carry, args=(near,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield made
        finally:
            made.ending.set()
            for thread in (accepting, *threads):
                thread.join(10)


def _until(reached: object) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if reached():  # type: ignore[operator]
            return
        pause.wait(0.05)


def _ended(this: World, fault: str, times: int, watch: Watch) -> Outcome:
    assert this.car is not None
    this.car.kill()
    this.car.join(10)
    drained = this.drain()
    tally = this.tally()
    note = f"{tally.stored:,} reads stored, {tally.receipts:,} receipts"
    wrong = tally.silent + (not drained) + _refused(this)
    return Outcome(fault, times, tally.lost, tally.twice, wrong, note, watch.seconds)


def _refused(this: World) -> int:
    return sum(event.get("event") == "batch.refused" for event in events_in(this.unit_log))
