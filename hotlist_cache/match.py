"""How likely it is that a read is of a listed plate: exactly, but for misread characters, or by a part of it.

Every text that the read may be of is weighed by how likely the picture is if it is that one (`evidence`), a
listed one by how often listed plates are met, against all others there are (`prior`). So the same doubt
counts more on a short list than on one of millions, where some listed plate is one character off nearly any
other.

A plate with small letters stacked beside it stands in lists without them, with them first, or with them last.
The reader does not say on which side they stand: a read that has a prefix is matched in all three forms.
Only the plate's own characters may be misread; of stacked letters no more than O for 0 and I for 1 is
forgiven.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry
from hotlist_cache.errors import SnapshotRejectedError
from hotlist_cache.evidence import Confusions
from hotlist_cache.hit import HotlistHit, ListAge, MatchForm, MatchKind, Outcome, StateMatch
from hotlist_cache.lookalike import DEFAULT_CONFUSIONS, differing
from hotlist_cache.patterns import PatternIndex
from hotlist_cache.prior import PlatePrior, StatePrior
from hotlist_cache.snapshot import Buffer, Snapshot
from hotlist_cache.texts import TextIndex
from recognizer.plate import Plate, fold
from recognizer.read import PlateRead, Position

_KINDS = (MatchKind.EXACT, MatchKind.LOOK_ALIKE, MatchKind.WILDCARD)
_FORMS = (MatchForm.PLATE, MatchForm.PREFIX_FIRST, MatchForm.PREFIX_LAST)
_STATES = (StateMatch.SAME, StateMatch.UNKNOWN, StateMatch.DIFFERENT)
_OUTCOMES = (Outcome.HIT, Outcome.POSSIBLE, Outcome.NONE)
_LEAST_SHARE = 0.01
"""A length less likely than this is not looked up."""
_STATE_SAMPLE = 10_000
_OTHER_STATES = 50


@dataclass(frozen=True, slots=True)
class _Shown:
    """One way to take a read: its plate alone, with its stacked letters, or as fewer of its frames do."""

    read: PlateRead
    form: MatchForm
    plate: Plate
    positions: tuple[Position, ...]
    share: float
    """How likely it is that this is the length of the plate, in [0, 1]."""
    as_read: bool
    """Whether it is what the read says, not what a few frames or an unsure last character do."""
    sure: range = range(0)
    """Places of which nothing is doubted: stacked letters."""


class Listed(Protocol):
    """Entries that lie somewhere: those of a snapshot, or an officer's."""

    @property
    def keys(self) -> Buffer:
        """The plates as `packed` makes them, sorted by what they are folded."""

    @property
    def entries(self) -> int:
        """How many plates; patterns are numbered from there on."""

    def entry(self, number: int) -> Entry: ...

    def patterns(self) -> Iterator[tuple[int, str]]: ...


class Hotlist:
    """A list in force, ready for reads. Not changed by matching: several threads may."""

    def __init__(
        self,
        snapshot: Snapshot,
        config: HotlistConfig,
        new_id: Callable[[], str],
        confusions: Confusions = DEFAULT_CONFUSIONS,
        prior: "Prior | None" = None,
    ) -> None:
        """*new_id* gives a new random id at each call; *confusions* are those of the reader in use; *prior*
        None takes the list itself for what plates there are.

        Raises SnapshotRejectedError if the snapshot's plates are not sorted, or a pattern is malformed.
        """
        header = snapshot.header
        self.header = header
        age = ListAge(header.sequence, header.issued_at, expires_at=header.expires_at)
        keys = np.frombuffer(snapshot.body.keys, dtype=">u8")
        if prior is None:
            prior = Prior(PlatePrior(keys), StatePrior(_states(snapshot), config.home))
        try:
            self._matcher = Matcher(
                snapshot.body, config, new_id, confusions, prior=prior, age_of=lambda entry: age
            )
        except ValueError:
            raise SnapshotRejectedError(
                f"hotlist {header.sequence}: its plates are not sorted; publish the list again"
            ) from None

    @property
    def prior(self) -> "Prior":
        """Which plates there are to be met, as this list shows."""
        return self._matcher.prior

    def match(self, read: PlateRead, now: datetime) -> tuple[HotlistHit, ...]:
        """Return a hit for each entry in force at *now* that *read* meets, the surest first.

        An entry of the very text that is read is always among them, if only of another state: the alert
        policy is silent on it, but the record is not.

        Raises SnapshotRejectedError if an entry that was met is malformed.
        """
        return self._matcher.match(read, now)


@dataclass(frozen=True, slots=True)
class Prior:
    """Which plates there are to be met."""

    plates: PlatePrior
    states: StatePrior


class Matcher:
    """Matches reads against any listed entries; see `Hotlist.match`."""

    def __init__(
        self,
        listed: Listed,
        config: HotlistConfig,
        new_id: Callable[[], str],
        confusions: Confusions,
        *,
        prior: Prior,
        age_of: Callable[[Entry], ListAge],
    ) -> None:
        """*age_of* says how old an entry's list is. Raises ValueError if the plates are not sorted."""
        self.prior = prior
        self._body = listed
        self._config = config
        self._new_id = new_id
        self._age_of = age_of
        keys = np.frombuffer(listed.keys, dtype=">u8")
        self._texts = TextIndex(keys, config, confusions, prior.plates)
        self._patterns = PatternIndex(listed.patterns())

    def match(self, read: PlateRead, now: datetime) -> tuple[HotlistHit, ...]:
        """Return the hits of *read* at *now* (aware UTC), the surest first."""
        met: dict[int, HotlistHit] = {}
        for shown in _shown(read):
            for number, probability in self._met(shown):
                entry = self._body.entry(number)
                if not entry.in_force(now):
                    continue
                hit = self._hit(shown, entry, probability)
                # Of one entry the way that needs the least explaining counts, not the one a hair likelier.
                if hit is not None and (number not in met or _plainness(hit) < _plainness(met[number])):
                    met[number] = hit
        return tuple(met.values() if len(met) < 2 else sorted(met.values(), key=rank))

    def _met(self, shown: _Shown) -> Iterator[tuple[int, float]]:
        yield from self._texts.find(shown.plate, shown.positions, shown.share, shown.sure).items()
        for number in self._patterns.find(shown.plate):
            yield number, shown.share

    def _hit(self, shown: _Shown, entry: Entry, probability: float) -> HotlistHit | None:
        read = shown.read
        positions: tuple[int, ...] = ()
        if entry.pattern == shown.plate and shown.as_read:
            kind = MatchKind.EXACT
        elif entry.is_wildcard:
            kind = MatchKind.WILDCARD
            probability *= _sureness(entry.pattern, shown)
        else:
            kind = MatchKind.LOOK_ALIKE
            positions = differing(entry.pattern, shown.plate) if shown.as_read else ()
            if shown.form is not MatchForm.PLATE:
                before = len(read.prefix) if shown.form is MatchForm.PREFIX_FIRST else 0
                positions = tuple(i - before for i in positions if 0 <= i - before < len(read.plate))
        state = _state(read, entry, self._config)
        state_probability = self._state_probability(read, entry)
        # What reads as listed is told whatever the odds, and recorded whatever the state: a person decides.
        plainly = shown.as_read and (
            kind is MatchKind.WILDCARD or fold(Plate(entry.pattern)) == fold(shown.plate)
        )
        outcome = self._outcome(probability * state_probability, plainly, kind)
        if state is StateMatch.DIFFERENT:
            outcome = Outcome.NONE
        if outcome is Outcome.NONE and not plainly:
            return None
        return HotlistHit(
            self._new_id(),
            read,
            entry,
            kind,
            state,
            positions,
            self._age_of(entry),
            shown.form,
            text_probability=probability,
            state_probability=state_probability,
            outcome=outcome,
        )

    def _outcome(self, probability: float, plainly: bool, kind: MatchKind) -> Outcome:
        if probability >= self._config.hit_probability and kind is not MatchKind.WILDCARD:
            return Outcome.HIT
        enough = plainly or probability >= self._config.possible_probability
        return Outcome.POSSIBLE if enough else Outcome.NONE

    def _state_probability(self, read: PlateRead, entry: Entry) -> float:
        """Return how likely the plate is of the listed state, given that it bears the listed text."""
        listed = entry.jurisdiction
        if listed is None:
            return 1.0
        states = self.prior.states
        own = states.of(listed, entry.pattern)
        opinion = read.jurisdiction
        if opinion is None or _contained(opinion.code, listed):
            return own / (own + self._config.shared_serials * (1 - own))
        other = (1 - opinion.confidence) / _OTHER_STATES
        if opinion.code == listed:
            seen, elsewhere = opinion.confidence, (1 - own) * other
        else:
            there = min(states.of(opinion.code, entry.pattern), 1 - own)
            seen, elsewhere = other, there * opinion.confidence + (1 - own - there) * other
        weighed = own * seen
        return weighed / max(weighed + self._config.shared_serials * elsewhere, 1e-300)


def _shown(read: PlateRead) -> Iterator[_Shown]:
    """Yield the ways to take *read*: as it is, as of another length, and with its stacked letters."""
    shorter = dict(read.positions[-1]).get("", 0.0) if read.positions and len(read.plate) > 1 else 0.0
    rival = read.rival.share if read.rival is not None else 0.0
    sure = max(0.0, 1 - shorter - rival)
    yield _Shown(read, MatchForm.PLATE, read.plate, read.positions, sure, as_read=True)
    if read.prefix:
        stacked: tuple[Position, ...] = tuple(((letter, 1.0),) for letter in read.prefix)
        first, last = Plate(read.prefix + read.plate), Plate(read.plate + read.prefix)
        at_start, at_end = range(len(read.prefix)), range(len(read.plate), len(last))
        yield _Shown(read, MatchForm.PREFIX_FIRST, first, stacked + read.positions, sure, True, at_start)
        yield _Shown(read, MatchForm.PREFIX_LAST, last, read.positions + stacked, sure, True, at_end)
    if shorter > _LEAST_SHARE:
        cut = Plate(read.plate[:-1])
        yield _Shown(read, MatchForm.PLATE, cut, read.positions[:-1], shorter, as_read=False)
    if read.rival is not None and rival > _LEAST_SHARE:
        other = read.rival
        yield _Shown(read, MatchForm.PLATE, other.plate, other.positions, rival, as_read=False)


def _sureness(pattern: str, shown: _Shown) -> float:
    """Return how sure the reader is of the characters that a partial plate names, wherever they stand."""
    if len(shown.positions) != len(shown.plate):
        return 1.0
    named = set(fold(Plate(pattern.replace("?", "").replace("*", ""))))
    sure = 1.0
    for character, position in zip(fold(shown.plate), shown.positions, strict=True):
        if character in named:
            sure *= sum(p for other, p in position if other and fold(Plate(other)) == character)
    return sure


def _states(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the plates of a sample of the entries with their jurisdictions."""
    body = snapshot.body
    for number in range(0, body.entries, max(1, body.entries // _STATE_SAMPLE)):
        if (jurisdiction := body.context(number).jurisdiction) is not None:
            yield body.pattern(number), jurisdiction


def _contained(one: str, other: str) -> bool:
    """Whether one says less than the other: "US" and "US-CA" do not contradict."""
    return one != other and (one.startswith(f"{other}-") or other.startswith(f"{one}-"))


def _state(read: PlateRead, entry: Entry, config: HotlistConfig) -> StateMatch:
    opinion, listed = read.jurisdiction, entry.jurisdiction
    if opinion is None or listed is None or opinion.confidence < config.min_state_confidence:
        return StateMatch.UNKNOWN
    if opinion.code == listed:
        return StateMatch.SAME
    if _contained(opinion.code, listed):
        return StateMatch.UNKNOWN
    if opinion.confidence < config.min_different_state_confidence:
        return StateMatch.UNKNOWN
    return StateMatch.DIFFERENT


def _plainness(hit: HotlistHit) -> tuple[int, tuple[int, float, int, int, int, int, int, str]]:
    return _KINDS.index(hit.kind), rank(hit)


def rank(hit: HotlistHit) -> tuple[int, float, int, int, int, int, int, str]:
    """Return what hits of one read are sorted by, the surest first."""
    return (
        _OUTCOMES.index(hit.outcome),
        -round(hit.probability, 2),
        _KINDS.index(hit.kind),
        _STATES.index(hit.state),
        len(hit.differing),
        -hit.entry.priority,
        _FORMS.index(hit.form),
        hit.entry.entry_id,
    )
