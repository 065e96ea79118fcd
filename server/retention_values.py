"""Rules of retention as values: how long reads are kept, by what law, and what became of a proposal."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from server.durations import parse_duration
from server.errors import RetentionRefusedError
from server.retention_law import is_californian
from server.settings import CALIFORNIA, CALIFORNIA_DAYS, RetentionSettings
from sync.errors import WireFormatError
from sync.profile import VERSION, decode_profile

PROPOSED, APPROVED, REFUSED, STOPPED = "proposed", "approved", "refused", "stopped"


@dataclass(frozen=True, slots=True)
class Rules:
    """How long reads are kept, and by what law."""

    others: timedelta
    """Reads that are no hits."""
    hits: timedelta
    """Reads that met a hotlist entry, and those that belong to one."""
    law: str = CALIFORNIA
    """What sets it. Where it is California's, nothing goes sooner than after a year."""
    floor: timedelta = timedelta(days=CALIFORNIA_DAYS)
    """Nothing may go sooner."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Rules as somebody wants them."""

    others: timedelta
    hits: timedelta
    reference: str
    """Of what decided it: council resolution, order, statute."""
    law: str = ""
    """Empty: California's."""
    automatic: bool = False
    """Whether the server then purges reads that are no hits by itself."""
    in_force_at: datetime | None = None
    """Aware UTC; None: as soon as it is approved."""
    window: timedelta | None = None
    """How long units themselves can find a read; None: as their own configuration says."""
    window_others: timedelta | None = None
    """The same of reads that are no hits."""


@dataclass(frozen=True, slots=True)
class Said:
    """A proposal as a person typed it, at the console or on a page."""

    others: str
    hits: str
    reference: str
    law: str = ""
    window: str = ""
    window_others: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What somebody did with a rule."""

    step: str
    done_by: str
    done_at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule on record."""

    rule_id: int
    rules: Rules
    automatic: bool
    reference: str
    in_force_at: datetime
    proposed_by: str
    proposed_at: datetime
    window: timedelta | None
    window_others: timedelta | None
    steps: tuple[Step, ...]

    @property
    def state(self) -> str:
        """PROPOSED, APPROVED, REFUSED or STOPPED: then it is in force, but purges nothing by itself."""
        return self.steps[-1].step if self.steps else PROPOSED

    @property
    def approved(self) -> Step | None:
        """Who approved it, and when; None: nobody."""
        return next((each for each in self.steps if each.step == APPROVED), None)

    @property
    def effective_at(self) -> datetime | None:
        """From when it is in force; None: it is not approved."""
        return None if self.approved is None else max(self.in_force_at, self.approved.done_at)

    @property
    def purges_by_itself(self) -> bool:
        """Whether the server purges by it while it is in force."""
        return self.automatic and self.state == APPROVED


def of_settings(settings: RetentionSettings) -> Rules:
    """Return the rules of server.toml."""
    return Rules(
        timedelta(days=settings.other_reads_days),
        timedelta(days=settings.hits_days),
        settings.floor_basis,
        timedelta(days=settings.floor_days),
    )


def rules_by(others: timedelta, hits: timedelta, law: str) -> Rules:
    """Return rules by *law*: California's has a floor of its own, another one none but what it says."""
    floor = timedelta(days=CALIFORNIA_DAYS) if is_californian(law) else min(others, hits)
    return Rules(others, hits, law, floor)


def proposal_of(said: Said, *, automatic: bool, in_force_at: datetime | None) -> Proposal:
    """Return what a person typed as a proposal.

    Raises RetentionRefusedError naming the field that is not understood.
    """
    optional = [
        _typed(name, text) if text.strip() else None
        for name, text in (("window of units", said.window), ("other reads on units", said.window_others))
    ]
    return Proposal(
        _typed("reads that are no hits", said.others),
        _typed("hits", said.hits),
        said.reference,
        said.law.strip(),
        automatic,
        in_force_at,
        *optional,
    )


def unit_profile(window: timedelta | None, others: timedelta | None) -> str:
    """Return what units are told as a signed profile, TOML; "" where they are told nothing.

    Raises ValueError if no unit would take it.
    """
    lines = []
    if window is not None:
        lines.append(f"local_window_h = {window / timedelta(hours=1)}")
    if others is not None:
        lines.append(f"non_hit_window_min = {others / timedelta(minutes=1)}")
    if not lines:
        return ""
    text = "\n".join([f"version = {VERSION}", "", "[retention]", *lines, ""])
    try:
        decode_profile(text.encode())
    except WireFormatError as error:
        raise ValueError(str(error)) from None
    return text


def _typed(name: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise RetentionRefusedError(f"{name}: {error}") from None
