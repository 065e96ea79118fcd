"""The same plate over frames: candidates go in, one read per passing vehicle comes out.

A track predicts where its plate will be (constant velocity, constant rate of growth) and takes the candidate
that fits best. A plate is small and fast (an oncoming one moves several of its own widths between two frames,
so boxes need not overlap): place is therefore judged in plate widths, and the text decides how far a jump is
believed. The same place with a plainly different text is another vehicle.

A track gives out one read: at once when it is sure, else when it has ended. After that it is followed so that
the vehicle is not read again, also when an occlusion breaks its track in two, and so that a read given out
early can be corrected: the frames of the read go on voting together with those that follow. When they come to
another text, as sure as settling early asks, and what speaks for it outweighs what spoke for the first, a
second read is given out that names the first. The weights decide, not the two confidences: far frames that
agree on a misread may be as sure of it as near ones are of the truth.

One tracker per camera. Time is the frames' `monotonic_ns`, which for a recording is the recording's own time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from camera.fix import Fix
from camera.frame import Frame, Moment
from recognizer.config import RecognizerConfig
from recognizer.plate import Plate, fold
from recognizer.read import Box, PlateCandidate, PlateRead
from recognizer.vote import Verdict, best, vote, weight

_NANOSECONDS = 1_000_000_000

_SAME_TEXT = 0.75
"""At most about two of seven characters differ: two frames of one plate."""
_OTHER_TEXT = 0.35
"""Two legible texts less alike than this are different plates."""
_NEAR_WIDTHS = 1.5
"""How far, in plate widths, a candidate may lie from the predicted place whatever its text."""
_FAR_WIDTHS = 7.0
"""The same when the texts agree: a closing speed of 60 m/s, a plate 8 m away and 3 m aside, 10 frames a
second."""
_GROWTH = 2.0
"""Largest ratio of the widths of one plate in consecutive sightings."""
_OVERLAP = 0.3
_KEPT = 24
"""Candidates kept of one track, the most legible ones: a car in a jam is in view for minutes."""
_OUTWEIGHS = 2.0
"""How many times the frames of the new text must weigh those of the old: a text on the fence between the two
is not given out again and again, as going back takes as much."""
_LEGIBLE = 0.5
"""Weakest character above which a single text is worth comparing."""


@dataclass(frozen=True, slots=True)
class _Sighting:
    candidate: PlateCandidate
    moment: Moment
    fix: Fix | None


@dataclass(slots=True)
class _Given:
    """A vehicle whose read was given out a short while ago."""

    read: PlateRead
    seen_ns: int
    misreads: set[Plate] = field(default_factory=set, repr=False)
    """Folded, what was given out of it before and then corrected: not believed of it a second time."""

    @property
    def texts(self) -> set[Plate]:
        """Folded, all that it was given out as."""
        return self.misreads | {fold(self.read.plate)}


@dataclass(slots=True)
class _Track:
    first_seen: Moment
    box: Box
    seen_ns: int
    text: Plate = field(repr=False)
    """The newest legible text; empty until there is one."""
    x_rate: float = 0.0
    """Pixels a second, of the box's centre."""
    y_rate: float = 0.0
    growth_rate: float = 0.0
    """Of the logarithm of the width, per second."""
    sightings: list[_Sighting] = field(default_factory=list)
    given: _Given | None = None
    """What has been given out of this vehicle, by this track or by the one that was broken off."""

    def predicted(self, at_ns: int) -> tuple[float, float, float]:
        """Return the centre and width to expect at *at_ns*, in pixels."""
        elapsed_s = (at_ns - self.seen_ns) / _NANOSECONDS
        x, y = _centre(self.box)
        growth = min(_GROWTH, max(1 / _GROWTH, math.exp(self.growth_rate * elapsed_s)))
        return x + self.x_rate * elapsed_s, y + self.y_rate * elapsed_s, self.box.width * growth

    def join(self, candidate: PlateCandidate, moment: Moment, fix: Fix | None) -> None:
        elapsed_s = (moment.monotonic_ns - self.seen_ns) / _NANOSECONDS
        if elapsed_s > 0.0:
            self._move(candidate.box, elapsed_s)
        self.box, self.seen_ns = candidate.box, moment.monotonic_ns
        if candidate.text:
            self.text = candidate.text
            self.sightings.append(_Sighting(candidate, moment, fix))
            if len(self.sightings) > _KEPT:
                self.sightings.remove(min(self.sightings, key=lambda s: weight(s.candidate)))

    def _move(self, box: Box, elapsed_s: float) -> None:
        (x0, y0), (x1, y1) = _centre(self.box), _centre(box)
        # Half old, half new: boxes jitter by a pixel or two, and a plate's own motion changes slowly.
        still = self.x_rate == self.y_rate == 0.0
        share = 1.0 if still else 0.5
        self.x_rate += share * ((x1 - x0) / elapsed_s - self.x_rate)
        self.y_rate += share * ((y1 - y0) / elapsed_s - self.y_rate)
        growth = math.log(max(1, box.width) / max(1, self.box.width)) / elapsed_s
        self.growth_rate += share * (growth - self.growth_rate)


class Tracker:
    """Follows the plates of one camera."""

    def __init__(self, config: RecognizerConfig, new_id: Callable[[], str]) -> None:
        self._config = config
        self._new_id = new_id
        self._tracks: list[_Track] = []
        self._given: list[_Given] = []
        self._last: Frame | None = None

    def update(self, frame: Frame, candidates: Sequence[PlateCandidate]) -> tuple[PlateRead, ...]:
        """Take what *frame* shows and return the reads that it settles or corrects.

        Call it for every frame, also for those without candidates: a track ends by not being seen.

        Raises ValueError if *frame* is of another camera, or not later than the one before.
        """
        if self._last is not None:
            if frame.camera != self._last.camera:
                raise ValueError(f"one tracker per camera: {self._last.camera}, then {frame.camera}")
            if frame.moment.monotonic_ns < self._last.moment.monotonic_ns:
                raise ValueError(f"frame {frame.sequence} is older than the one before")
        self._last = frame
        now_ns = frame.moment.monotonic_ns
        # Ended first: a candidate of this frame cannot revive what has been out of sight too long.
        reads = self._end_lost(frame)
        self._associate(frame, candidates)
        for track in self._tracks:
            if track.given is not None:
                self._see_again(track)
            if track.seen_ns != now_ns:
                continue
            if track.given is None and (verdict := self._sure(track)) is not None:
                reads += self._give(track, verdict, frame)
            elif track.given is not None and (verdict := self._otherwise(track, track.given)) is not None:
                reads.append(self._read(track, verdict, frame))
        return tuple(reads)

    def flush(self) -> tuple[PlateRead, ...]:
        """End all tracks, as at the end of a recording, and return their reads."""
        if self._last is None:
            return ()
        reads: list[PlateRead] = []
        for track in self._tracks:
            reads += self._end(track, self._last)
        self._tracks = []
        return tuple(reads)

    def _associate(self, frame: Frame, candidates: Sequence[PlateCandidate]) -> None:
        now_ns = frame.moment.monotonic_ns
        pairs = [
            (fit, track_index, candidate_index)
            for track_index, track in enumerate(self._tracks)
            for candidate_index, candidate in enumerate(candidates)
            if (fit := _fit(track, candidate, now_ns)) is not None
        ]
        taken_tracks: set[int] = set()
        taken_candidates: set[int] = set()
        for _, track_index, candidate_index in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
            if track_index in taken_tracks or candidate_index in taken_candidates:
                continue
            taken_tracks.add(track_index)
            taken_candidates.add(candidate_index)
            self._tracks[track_index].join(candidates[candidate_index], frame.moment, frame.fix)
        for candidate_index, candidate in enumerate(candidates):
            if candidate_index not in taken_candidates:
                track = _Track(frame.moment, candidate.box, now_ns, Plate(""))
                track.join(candidate, frame.moment, frame.fix)
                self._tracks.append(track)

    def _end_lost(self, frame: Frame) -> list[PlateRead]:
        oldest_ns = frame.moment.monotonic_ns - round(self._config.lost_after_s * _NANOSECONDS)
        reads: list[PlateRead] = []
        for track in self._tracks:
            if track.seen_ns < oldest_ns:
                reads += self._end(track, frame)
        self._tracks = [track for track in self._tracks if track.seen_ns >= oldest_ns]
        forgotten_ns = frame.moment.monotonic_ns - round(self._config.repeat_after_s * _NANOSECONDS)
        self._given = [given for given in self._given if given.seen_ns >= forgotten_ns]
        return reads

    def _end(self, track: _Track, frame: Frame) -> list[PlateRead]:
        if track.given is not None or not self._is_plate(track):
            return []
        verdict = vote([sighting.candidate for sighting in track.sightings])
        config = self._config
        enough = verdict.voters >= config.min_frames or verdict.confidence >= config.single_frame_confidence
        long_enough = (
            len(verdict.plate) >= config.min_characters or verdict.confidence >= config.sure_confidence
        )
        if not enough or not long_enough or verdict.confidence < config.min_confidence:
            return []
        return self._give(track, verdict, frame)

    def _is_plate(self, track: _Track) -> bool:
        confidences = (sighting.candidate.detection_confidence for sighting in track.sightings)
        return max(confidences, default=0.0) >= self._config.plate_confidence

    def _sure(self, track: _Track) -> Verdict | None:
        if len(track.sightings) < self._config.sure_frames or not self._is_plate(track):
            return None
        verdict = vote([sighting.candidate for sighting in track.sightings])
        sure = (
            verdict.confidence >= self._config.sure_confidence
            and verdict.agreeing >= self._config.sure_frames
        )
        return verdict if sure else None

    def _otherwise(self, track: _Track, given: _Given) -> Verdict | None:
        """Return what *track* says now, if that is to be given out in place of *given*."""
        read, newest = given.read, track.sightings[-1]
        # Most frames only repeat the read: no vote for them, nor for those too poor to be kept.
        if newest.moment.monotonic_ns != track.seen_ns or _agrees(newest.candidate, read):
            return None
        verdict = self._sure(track)
        if verdict is None:
            return None
        if fold(verdict.plate) == fold(read.plate):
            surer = verdict.prefix_confidence > read.prefix_confidence
            return verdict if surer and verdict.prefix_text != read.prefix else None
        if fold(verdict.plate) in given.misreads:
            return None
        new, old = (_weight_of(track, text) for text in (verdict.plate, read.plate))
        return verdict if new >= _OUTWEIGHS * old else None

    def _give(self, track: _Track, verdict: Verdict, frame: Frame) -> list[PlateRead]:
        """Settle *track*; the read is left out where the vehicle has already been given."""
        track.given = self._repeated(verdict, track.seen_ns)
        if track.given is not None:
            track.text = verdict.plate
            return []
        return [self._read(track, verdict, frame)]

    def _read(self, track: _Track, verdict: Verdict, frame: Frame) -> PlateRead:
        """Return the read of *track*, in place of the one given out before where there is one."""
        chosen = best([sighting.candidate for sighting in track.sightings], verdict.plate)
        sighting = next(sighting for sighting in track.sightings if sighting.candidate is chosen)
        read = PlateRead(
            read_id=self._new_id(),
            camera=frame.camera,
            plate=verdict.plate,
            positions=verdict.positions,
            confidence=verdict.confidence,
            jurisdiction=verdict.jurisdiction,
            first_seen=track.first_seen,
            settled=frame.moment,
            box=chosen.box,
            frames=verdict.voters,
            evidence=chosen.evidence,
            fix=sighting.fix,
            prefix=verdict.prefix_text,
            prefix_confidence=verdict.prefix_confidence,
            rival=verdict.rival,
            revises=None if track.given is None else track.given.read.read_id,
        )
        track.text = read.plate
        if track.given is None:
            track.given = _Given(read, track.seen_ns)
        else:
            # In place: another track of the same vehicle may know it too.
            track.given.misreads = track.given.texts - {fold(read.plate)}
            track.given.read, track.given.seen_ns = read, track.seen_ns
        if all(known is not track.given for known in self._given):
            self._given.append(track.given)
        return read

    def _repeated(self, verdict: Verdict, seen_ns: int) -> _Given | None:
        for given in self._given:
            if fold(verdict.plate) in given.texts:
                given.seen_ns = max(given.seen_ns, seen_ns)
                return given
            # One character off and less sure: the remains of a track that an occlusion broke. A sure text is
            # never dropped for resembling another: convoys and fleets carry consecutive plates.
            unsure = verdict.confidence < min(given.read.confidence, self._config.sure_confidence)
            if unsure and _distance(given.read.plate, verdict.plate) <= 1:
                given.seen_ns = max(given.seen_ns, seen_ns)
                return given
        return None

    def _see_again(self, track: _Track) -> None:
        for given in self._given:
            if track.text and fold(track.text) in given.texts:
                given.seen_ns = max(given.seen_ns, track.seen_ns)


def _fit(track: _Track, candidate: PlateCandidate, now_ns: int) -> float | None:
    """Return how well *candidate* continues *track*, larger is better; None if it does not."""
    x, y, width = track.predicted(now_ns)
    if not 1 / _GROWTH <= candidate.box.width / max(1.0, width) <= _GROWTH:
        return None
    centre_x, centre_y = _centre(candidate.box)
    widths = math.hypot(centre_x - x, centre_y - y) / max(1.0, (width + candidate.box.width) / 2)
    overlap = _overlap(track, candidate.box, x, y, width)
    alike = _alike(track.text, candidate.text)
    if alike is not None and alike < _OTHER_TEXT and min(candidate.confidences) >= _LEGIBLE:
        return None
    reach = _FAR_WIDTHS if alike is not None and alike >= _SAME_TEXT else _NEAR_WIDTHS
    if overlap < _OVERLAP and widths > reach:
        return None
    return overlap + (0.5 if alike is None else alike) - widths / _FAR_WIDTHS


def _overlap(track: _Track, box: Box, x: float, y: float, width: float) -> float:
    """Return the intersection over union of *box* and the track's predicted box."""
    height = track.box.height * width / max(1, track.box.width)
    across = min(x + width / 2, box.right) - max(x - width / 2, box.left)
    down = min(y + height / 2, box.bottom) - max(y - height / 2, box.top)
    if across <= 0.0 or down <= 0.0:
        return 0.0
    shared = across * down
    return shared / (width * height + box.width * box.height - shared)


def _agrees(candidate: PlateCandidate, read: PlateRead) -> bool:
    same = fold(candidate.text) == fold(read.plate)
    return same and (not candidate.prefix or candidate.prefix_text == read.prefix)


def _weight_of(track: _Track, text: Plate) -> float:
    """Return how much the frames that read *text* weigh together."""
    candidates = (sighting.candidate for sighting in track.sightings)
    return math.fsum(weight(c) for c in candidates if fold(c.text) == fold(text))


def _centre(box: Box) -> tuple[float, float]:
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def _alike(one: Plate, other: Plate) -> float | None:
    """Return 1 for equal texts, 0 for wholly different ones, None if one of them is not legible."""
    if not one or not other:
        return None
    return 1.0 - _distance(fold(one), fold(other)) / max(len(one), len(other))


def _distance(one: str, other: str) -> int:
    """Return the least number of characters inserted, dropped or changed between the texts."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
