"""The campaign of faults: `python -m tests.faults [--only NAME] [--quick]` prints what each came to.

Ends with 1 if anything that was promised was lost, doubled or damaged, or went wrong without a word, or if a
control did not fail: then it proves nothing. What each fault is and proves stands in docs/faults.md.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import structlog
from rich.console import Console

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
from tests.fault_outcome import Outcome, Watch, table_of, verdict_of
from tests.outbox_power import cut_outbox, worked

ROOT = Path(__file__).parent.parent
WORK_ROUNDS = 400


def power(times: int, setting: str = "FULL") -> Outcome:
    """Cut the power of an outbox at work; at a weaker *setting* it is the control."""
    watch = Watch()
    found = cut_outbox(worked(WORK_ROUNDS if times > 1000 else 120, setting), times)
    ours = setting == "FULL"
    name = "power cut" if ours else f"the same at synchronous={setting}, to test the test"
    note = f"{found.corrupt} files damaged"
    return Outcome(name, times, found.lost, found.twice, found.corrupt, note, watch.seconds, not ours)


Family = Callable[[Callable[[int], int]], list[Outcome]]
"""Makes the faults of one kind; how often is given to a function that cuts it down for `--quick`."""

FAMILIES: dict[str, Family] = {
    "power": lambda n: [
        power(n(10_000)),
        power(max(100, n(1000)), "NORMAL"),
        power(max(100, n(1000)), "OFF"),
    ],
    "kills": lambda n: [
        fault_kills.kills(n(500)),
        fault_kills.kills(10, forgetful=True),
        fault_kills.server_restarts(n(60)),
    ],
    "network": lambda n: [
        fault_network.lossy_link(n(400)),
        fault_network.bad_proxy(n(100)),
        fault_network.lost_answers(n(100)),
    ],
    "database": lambda n: [fault_database.database_restarts(n(20))],
    "disks": lambda n: [fault_disks.unit_disk_full(n(100)), fault_disks.server_disk_full(n(20))],
    "clocks": lambda n: [
        fault_clocks.clock_jumps(n(200)),
        fault_clocks.clock_jumps(n(200), seed=13, window_h=0.0),
    ],
    "pages": lambda n: [
        fault_pages.outbox_pages(n(2000)),
        fault_pages.server_pages(n(400)),
        fault_pages.server_bits(n(400)),
    ],
    "batches": lambda n: [
        fault_batches.repeated(n(100)),
        fault_batches.altered(n(1000)),
        fault_batches.wrong_receipts(n(1000)),
    ],
    "secrets": lambda n: [
        fault_secrets.light_unit(n(400)),
        fault_secrets.control(),
        fault_secrets.driven_unit(),
    ],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run faults")
    parser.add_argument("--only", action="append", choices=FAMILIES, help="these kinds of faults alone")
    parser.add_argument("--quick", action="store_true", help="a tenth of each")
    parser.add_argument(
        "--kills", action="store_true", help="also kill a unit with its models 100 times: five minutes"
    )
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))

    def count(times: int) -> int:
        return max(3, times // 10) if arguments.quick else times

    watch, outcomes = Watch(), list[Outcome]()
    for name in arguments.only or FAMILIES:
        made = FAMILIES[name](count)
        outcomes += made
        for each in made:
            # Said at once too: the table comes after minutes.
            counts = f"{each.times:,} times, {each.lost} lost, {each.twice} twice, {each.silent} silent"
            told = f"{name}: {each.fault}: {verdict_of(each)}: {counts}, {each.seconds:.0f} s"
            print(told, file=sys.stderr, flush=True)
    Console(width=170).print(table_of(outcomes))
    good = all(each.good for each in outcomes)
    if arguments.kills:
        test = "tests/test_unit_end_to_end.py"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "slow", test], cwd=ROOT, check=False
        )
        good = good and done.returncode == 0
    left_out = sum(not each.ran for each in outcomes)
    print(f"{len(outcomes)} faults in {watch.seconds:.0f} s, {left_out} of them not run")
    print("nothing promised was lost" if good else "NOT GOOD: see above")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
