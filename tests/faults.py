"""The campaign of faults: `python -m tests.faults [--cuts N] [--kills]` prints what each came to.

Ends with 1 if anything that was promised was lost, doubled or damaged, or if the harness did not find what
weaker settings lose: then it proves nothing.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.outbox_power import cut_outbox, worked

ROOT = Path(__file__).parent.parent
WORK_ROUNDS = 400


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuts", type=int, default=10_000, help="of the unit's power")
    parser.add_argument(
        "--kills", action="store_true", help="also kill a driving unit 100 times: five minutes"
    )
    arguments = parser.parse_args()
    table = Table(
        "fault", "times", "damaged", "promised and lost", "twice", "took, s", title="Faults survived"
    )
    good = True
    for setting, count in (("FULL", arguments.cuts), ("NORMAL", 1000), ("OFF", 1000)):
        started = time.monotonic()
        outcome = cut_outbox(worked(WORK_ROUNDS, setting), count)
        ours = setting == "FULL"
        bad = outcome.corrupt + outcome.lost + outcome.twice
        good = good and (bad == 0 if ours else bad > 0)
        table.add_row(
            "power cut, the outbox as it is"
            if ours
            else f"the same at synchronous={setting}, to test the test",
            f"{outcome.cuts:,}",
            f"{outcome.corrupt:,}",
            f"{outcome.lost:,}",
            f"{outcome.twice:,}",
            f"{time.monotonic() - started:.0f}",
        )
    Console().print(table)
    if arguments.kills:
        test = "tests/test_unit_end_to_end.py"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "slow", test], cwd=ROOT, check=False
        )
        good = good and done.returncode == 0
    print("nothing promised was lost" if good else "NOT GOOD: see above")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
