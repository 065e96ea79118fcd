"""How a hit is verified before anybody acts on it: one rung after the other, each with who climbed it.

    plate seen ──▶ state ──▶ vehicle ──▶ CLETS answer ──▶ disposition

The next rung is offered once the one before has an answer. A disposition may be given at any time, but
"confirmed" only on a ladder whose every rung says so: a hit is a lead, and the machine never confirms one.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Disposition(StrEnum):
    """The officer's answer to a hit."""

    CONFIRMED = "confirmed"
    MISREAD = "misread"
    WRONG_JURISDICTION = "wrong jurisdiction"
    NO_LONGER_WANTED = "no longer wanted"
    NOT_PURSUED = "not pursued"


class Rung(StrEnum):
    """One step of the ladder, in the order in which they are climbed."""

    PLATE = "plate"
    STATE = "state"
    VEHICLE = "vehicle"
    CLETS = "clets"
    DISPOSITION = "disposition"


ANSWERS: dict[Rung, tuple[str, ...]] = {
    Rung.PLATE: ("same", "differs", "not seen"),
    Rung.STATE: ("same", "differs", "not seen"),
    Rung.VEHICLE: ("fits", "does not fit", "not listed"),
    Rung.CLETS: ("wanted", "not wanted", "no answer"),
    Rung.DISPOSITION: tuple(Disposition),
}
"""What may be answered on each rung."""
_CONFIRMING = {
    Rung.PLATE: ("same",),
    Rung.STATE: ("same",),
    # A list that names no vehicle cannot be contradicted by it.
    Rung.VEHICLE: ("fits", "not listed"),
    Rung.CLETS: ("wanted",),
}


class NotThisRungError(ValueError):
    """The answer is none of this rung's, or its time has not come: tell the person the message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one person said on one rung."""

    rung: Rung
    answer: str
    by: str
    at: datetime
    """Aware UTC."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Everything that was answered on one hit, the oldest first; on each rung the last answer counts."""

    answers: tuple[Answer, ...] = ()

    def of(self, rung: Rung) -> Answer | None:
        """Return the answer that counts on *rung*, or None."""
        return next((each for each in reversed(self.answers) if each.rung is rung), None)

    @property
    def next_rung(self) -> Rung:
        """The first rung without an answer; the disposition where all have one."""
        return next((rung for rung in Rung if self.of(rung) is None), Rung.DISPOSITION)

    @property
    def disposition(self) -> Disposition | None:
        """What the hit came to, or None while it is open."""
        found = self.of(Rung.DISPOSITION)
        return None if found is None else Disposition(found.answer)

    @property
    def lacks(self) -> tuple[Rung, ...]:
        """The rungs that stand in the way of "confirmed"."""
        return tuple(
            rung
            for rung, fitting in _CONFIRMING.items()
            if (found := self.of(rung)) is None or found.answer not in fitting
        )

    def answered(self, rung: Rung, answer: str, *, by: str, at: datetime) -> "Ladder":
        """Return this with one more answer; a rung may be answered anew, and all answers stay.

        Raises NotThisRungError if *answer* is none of the rung's, an earlier rung has none yet, or it would
        confirm a hit that is not verified.
        """
        if answer not in ANSWERS[rung]:
            raise NotThisRungError(f"{rung.value}: give one of {', '.join(ANSWERS[rung])}")
        order = list(Rung)
        if rung is not Rung.DISPOSITION and order.index(rung) > order.index(self.next_rung):
            raise NotThisRungError(f"First answer: {self.next_rung.value}.")
        if rung is Rung.DISPOSITION and answer == Disposition.CONFIRMED and self.lacks:
            missing = ", ".join(each.value for each in self.lacks)
            raise NotThisRungError(f"Not confirmed: the ladder lacks or contradicts {missing}.")
        return Ladder((*self.answers, Answer(rung, answer, by, at)))
