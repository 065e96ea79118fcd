"""Processes killed at random moments: unit and server by SIGKILL, and the server restarted in mid-batch."""

import os
import random
import signal
import threading
from multiprocessing.process import BaseProcess

from tests.fault_outcome import Outcome, Watch
from tests.fault_unit import events_in
from tests.fault_world import World, world

LONGEST_S = 0.25


def kills(times: int = 500, seed: int = 1, *, forgetful: bool = False) -> Outcome:
    """Kill the unit or the server *times* times in the midst of transfers.

    *forgetful*: the control, a unit whose outbox is in memory alone.
    """
    watch = Watch()
    with world() as this:
        this.forgetful = forgetful
        this.start_server()
        this.start_unit()
        chance, pause = random.Random(seed), threading.Event()
        of_units = 0
        for _ in range(times):
            this.wait_for(this.said)
            pause.wait(chance.uniform(0, LONGEST_S))
            if chance.random() < 0.6:
                of_units += 1
                _end(this.car, signal.SIGKILL)
                this.start_unit()
            else:
                _end(this.server, signal.SIGKILL)
                this.start_server()
        _end(this.car, signal.SIGKILL)
        return _counted(
            this,
            "kill -9, its outbox in memory alone, to test the test"
            if forgetful
            else "kill -9 of unit and server",
            times,
            watch,
            f"{of_units} of the unit",
            control=forgetful,
        )


def server_restarts(times: int = 60, seed: int = 2) -> Outcome:
    """Restart the server while batches are on their way: half of them as asked (SIGTERM), half killed."""
    watch = Watch()
    with world() as this:
        this.start_server()
        this.start_unit(every_s=0.004)
        chance, pause = random.Random(seed), threading.Event()
        for number in range(times):
            this.wait_for(this.said)
            pause.wait(chance.uniform(0, LONGEST_S))
            _end(this.server, signal.SIGTERM if number % 2 else signal.SIGKILL)
            this.start_server()
        _end(this.car, signal.SIGKILL)
        return _counted(this, "server restarted in mid-batch", times, watch, "SIGTERM and SIGKILL in turn")


def _counted(
    this: World, fault: str, times: int, watch: Watch, note: str, *, control: bool = False
) -> Outcome:
    drained = this.drain()
    tally = this.tally()
    events = events_in(this.unit_log)
    refused = sum(event.get("event") == "batch.refused" for event in events)
    failed = sum(event.get("event") in ("thread.failed", "outbox.set_aside") for event in events)
    return Outcome(
        fault,
        times,
        tally.lost,
        tally.twice,
        tally.silent + refused + failed + (not drained),
        f"{note}; {tally.stored:,} reads stored, {tally.receipts:,} receipts",
        watch.seconds,
        control,
    )


def _end(process: BaseProcess | None, number: int) -> None:
    assert process is not None and process.pid is not None
    os.kill(process.pid, number)
    process.join(30)
