"""Every family of the campaign of faults, a small piece of each: the whole is `./run faults`."""

from collections.abc import Callable, Iterator

import pytest
import structlog

from tests import (
    fault_batches,
    fault_clocks,
    fault_database,
    fault_disks,
    fault_kills,
    fault_network,
    fault_pages,
    fault_secrets,
)
from tests.fault_outcome import Outcome, not_run

SMALL: dict[str, Callable[[], Outcome]] = {
    "kill -9": lambda: fault_kills.kills(6),
    "kill -9, the control": lambda: fault_kills.kills(4, forgetful=True),
    "server restarted": lambda: fault_kills.server_restarts(2),
    "packet loss": lambda: fault_network.lossy_link(20),
    "connections broken": lambda: fault_network.bad_proxy(2),
    "answers lost": lambda: fault_network.lost_answers(2),
    "database restarted": lambda: fault_database.database_restarts(1),
    "unit's disk full": lambda: fault_disks.unit_disk_full(2),
    "server's disk full": lambda: fault_disks.server_disk_full(1),
    "clocks jump": lambda: fault_clocks.clock_jumps(12),
    "outbox damaged": lambda: fault_pages.outbox_pages(40),
    "server's pages gone": lambda: fault_pages.server_pages(12),
    "server's bits turned over": lambda: fault_pages.server_bits(30),
    "batches repeated": lambda: fault_batches.repeated(4),
    "batch altered": lambda: fault_batches.altered(20),
    "wrong receipts": lambda: fault_batches.wrong_receipts(40),
    "secrets": lambda: fault_secrets.light_unit(10),
    "secrets, the control": fault_secrets.control,
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("name", SMALL)
def test_nothing_promised_is_lost_doubled_or_silently_wrong(name: str) -> None:
    outcome = SMALL[name]()
    if not outcome.ran:
        pytest.skip(outcome.note)
    assert outcome.good, outcome
    assert outcome.times > 0


def test_fault_that_cannot_be_made_here_is_not_counted_as_made() -> None:
    outcome = not_run("a fault", "no root")
    assert (outcome.ran, outcome.times) == (False, 0)
    assert "not permitted here" in outcome.note


@pytest.mark.parametrize(("lost", "control", "good"), [(0, False, True), (1, False, False), (1, True, True)])
def test_control_must_fail_and_all_else_must_not(lost: int, control: bool, good: bool) -> None:
    assert Outcome("a fault", 1, lost, control=control).good is good
    assert not Outcome("a control", 1, 0, control=True).good
