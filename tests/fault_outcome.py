"""What one family of faults came to, and the table of all."""

import time
from dataclasses import dataclass, field

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found after one fault was made *times* times."""

    fault: str
    times: int
    lost: int = 0
    """Reads that were promised (stored, or acknowledged) and are nowhere."""
    twice: int = 0
    silent: int = 0
    """Cases in which something went wrong and nobody was told."""
    note: str = ""
    seconds: float = 0.0
    control: bool = False
    """Whether it tests the test: something that must fail was put in."""
    ran: bool = True
    """False: it cannot be made on this machine, which is neither good nor bad."""

    @property
    def good(self) -> bool:
        """Whether nothing went wrong; of a control, whether something did."""
        wrong = self.lost + self.twice + self.silent
        return not self.ran or (wrong > 0) == self.control


def not_run(fault: str, why: str) -> Outcome:
    """Return that *fault* cannot be made here."""
    return Outcome(fault, 0, note=f"not permitted here: {why}", ran=False)


@dataclass(slots=True)
class Watch:
    """How long something took."""

    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self.started


def verdict_of(outcome: Outcome) -> str:
    """Return in a word or two what *outcome* means."""
    if not outcome.ran:
        return "not run"
    if not outcome.good:
        return "NOT GOOD"
    return "control: found" if outcome.control else "good"


def table_of(outcomes: list[Outcome]) -> Table:
    """Return *outcomes* as they are printed."""
    table = Table("fault", "times", "lost", "twice", "silent", "", "took, s", "note", title="Faults survived")
    for each in outcomes:
        found = [f"{count:,}" for count in (each.times, each.lost, each.twice, each.silent)]
        if not each.ran:
            found = ["-"] * 4
        table.add_row(each.fault, *found, verdict_of(each), f"{each.seconds:.0f}", each.note)
    return table
