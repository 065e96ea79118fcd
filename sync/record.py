"""What is sealed of a read: one CBOR map with everything the department is to hold of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from camera.fix import Fix
from camera.frame import Moment, TimeQuality
from hotlist_cache.hit import HotlistHit, MatchForm, MatchKind, Outcome, StateMatch
from recognizer.plate import Jurisdiction, Plate, normalise
from recognizer.read import Box, JurisdictionOpinion, PlateRead, Position
from sync import wire
from sync.errors import WireFormatError
from sync.purposes import checked_incident

RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordedHit:
    """What is kept of a hit: enough to say later why the officer was told."""

    hit_id: str
    entry_id: str
    pattern: str = field(repr=False)
    list_name: str
    kind: str
    state: str
    differing: tuple[int, ...]
    snapshot_sequence: int
    list_issued_at: datetime
    form: str = MatchForm.PLATE.value
    outcome: str = Outcome.HIT.value
    text_probability: float | None = None
    """None in a record of a unit that did not tell."""
    state_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A read as the department holds it."""

    unit_id: str
    read: PlateRead
    hits: tuple[RecordedHit, ...]
    context: bytes = field(default=b"", repr=False)
    """JPEG of the scene around a hit; empty where none was kept."""
    incident: str = ""
    """Number of the incident around which the unit canvassed; empty where it did not."""


def recorded(hit: HotlistHit) -> RecordedHit:
    """Return what is kept of *hit*."""
    return RecordedHit(
        hit_id=hit.hit_id,
        entry_id=hit.entry.entry_id,
        pattern=hit.entry.pattern,
        list_name=hit.entry.list_name,
        kind=hit.kind.value,
        state=hit.state.value,
        differing=hit.differing,
        snapshot_sequence=hit.list_age.snapshot_sequence,
        list_issued_at=hit.list_age.issued_at,
        form=hit.form.value,
        outcome=hit.outcome.value,
        text_probability=round(hit.text_probability, 4),
        state_probability=round(hit.state_probability, 4),
    )


def encode_record(
    unit_id: str,
    read: PlateRead,
    hits: Sequence[HotlistHit],
    *,
    context: bytes = b"",
    incident: str = "",
) -> bytes:
    """Return *read* and its *hits*, with the scene as JPEG in *context*, as the bytes to seal.

    *incident* is the number of the incident around which the unit canvasses, "" in none.

    A read may come without its picture (`evidence` empty), as one does when the disk is nearly full.
    """
    opinion, fix = read.jurisdiction, read.fix
    return wire.dumps(
        {
            "v": RECORD_VERSION,
            "unit": unit_id,
            "read": read.read_id,
            "camera": read.camera,
            "plate": read.plate,
            "positions": [[[c, round(p, 4)] for c, p in position] for position in read.positions],
            "confidence": round(read.confidence, 4),
            "jurisdiction": None if opinion is None else [opinion.code, round(opinion.confidence, 4)],
            "first_seen": _packed(read.first_seen),
            "settled": _packed(read.settled),
            "box": [read.box.left, read.box.top, read.box.right, read.box.bottom],
            "frames": read.frames,
            "evidence": read.evidence,
            "fix": None
            if fix is None
            else [
                wire.microseconds(fix.at),
                fix.latitude_deg,
                fix.longitude_deg,
                fix.speed_mps,
                fix.course_deg,
                fix.accuracy_m,
            ],
            "hits": [
                [
                    h.hit_id,
                    h.entry_id,
                    h.pattern,
                    h.list_name,
                    h.kind,
                    h.state,
                    list(h.differing),
                    h.snapshot_sequence,
                    wire.microseconds(h.list_issued_at),
                ]
                for h in map(recorded, hits)
            ],
            **_optional_fields(read, hits),
            **({"context": context} if context else {}),
            **({"incident": incident} if incident else {}),
        }
    )


def _optional_fields(read: PlateRead, hits: Sequence[HotlistHit]) -> dict[str, Any]:
    """Return what few records have. Left out where it says nothing, so that a server without it reads on."""
    fields: dict[str, Any] = {}
    if read.prefix:
        fields["prefix"] = [read.prefix, round(read.prefix_confidence, 4)]
    if read.revises is not None:
        fields["revises"] = read.revises
    if any(hit.form is not MatchForm.PLATE for hit in hits):
        fields["forms"] = [hit.form.value for hit in hits]
    if hits:
        fields["chances"] = [
            [hit.outcome.value, round(hit.text_probability, 4), round(hit.state_probability, 4)]
            for hit in hits
        ]
    return fields


def decode_record(data: bytes) -> Record:
    """Return the record in *data*.

    Raises WireFormatError if the bytes are not a record of a known version. Its text names a field or a type,
    never a value: a record's values are plates and places.
    """
    fields = wire.loads(data, "record")
    if not isinstance(fields, dict) or fields.get("v") != RECORD_VERSION:
        raise WireFormatError(f"record is not of version {RECORD_VERSION}: update the server")
    try:
        context = wire.octets(fields.get("context", b""))
        return Record(
            wire.identifier(fields["unit"]), _read(fields), _hits(fields), context, _incident(fields)
        )
    except KeyError as error:
        raise WireFormatError(f"record has no field {error}") from None
    except (TypeError, ValueError) as error:
        raise WireFormatError(
            f"record has a field of a wrong type or value ({type(error).__name__})"
        ) from None


def _incident(fields: dict[str, Any]) -> str:
    if "incident" not in fields:
        return ""
    incident = wire.text(fields["incident"])
    if checked_incident(incident) != incident:
        raise ValueError("an incident number has no spaces around it")
    return incident


def _read(fields: dict[str, Any]) -> PlateRead:
    prefix, prefix_confidence = fields.get("prefix", ("", 0.0))
    left, top, right, bottom = (wire.whole(edge) for edge in fields["box"])
    return PlateRead(
        read_id=wire.identifier(fields["read"]),
        camera=wire.text(fields["camera"]),
        plate=_plate(fields["plate"]),
        positions=tuple(_position(position) for position in fields["positions"]),
        confidence=_share(fields["confidence"]),
        jurisdiction=_opinion(fields["jurisdiction"]),
        first_seen=_moment(fields["first_seen"]),
        settled=_moment(fields["settled"]),
        box=Box(left, top, right, bottom),
        frames=wire.whole(fields["frames"]),
        evidence=wire.octets(fields["evidence"]),
        fix=_fix(fields["fix"]),
        prefix=_plate(prefix),
        prefix_confidence=_share(prefix_confidence),
        revises=wire.identifier(fields["revises"]) if "revises" in fields else None,
    )


def _plate(value: object) -> Plate:
    plate = normalise(wire.text(value))
    if plate != value:
        raise ValueError("a plate is A-Z and 0-9 only")
    return plate


def _position(values: Sequence[Any]) -> Position:
    return tuple((wire.text(character), _share(probability)) for character, probability in values)


def _opinion(values: Sequence[Any] | None) -> JurisdictionOpinion | None:
    if values is None:
        return None
    code, confidence = values
    return JurisdictionOpinion(Jurisdiction(wire.text(code)), _share(confidence))


def _fix(values: Sequence[Any] | None) -> Fix | None:
    if values is None:
        return None
    at, latitude, longitude, speed, course, accuracy = values
    return Fix(
        wire.from_microseconds(at),
        _within(latitude, 90.0),
        _within(longitude, 180.0),
        _optional(speed),
        _optional(course),
        _optional(accuracy),
    )


def _hits(fields: dict[str, Any]) -> tuple[RecordedHit, ...]:
    hits = fields["hits"]
    forms = fields.get("forms", [MatchForm.PLATE] * len(hits))
    chances = fields.get("chances", [(Outcome.HIT, None, None)] * len(hits))
    return tuple(_hit(*each) for each in zip(hits, forms, chances, strict=True))


def _hit(values: Sequence[Any], form: str, chance: Sequence[Any]) -> RecordedHit:
    hit_id, entry_id, pattern, list_name, kind, state, differing, sequence, issued = values
    outcome, of_text, of_state = chance
    return RecordedHit(
        wire.identifier(hit_id),
        wire.text(entry_id),
        wire.text(pattern),
        wire.text(list_name),
        MatchKind(kind).value,
        StateMatch(state).value,
        tuple(wire.whole(place) for place in differing),
        wire.whole(sequence),
        wire.from_microseconds(issued),
        MatchForm(form).value,
        Outcome(outcome).value,
        None if of_text is None else _share(of_text),
        None if of_state is None else _share(of_state),
    )


def _packed(moment: Moment) -> list[Any]:
    return [wire.microseconds(moment.utc), moment.monotonic_ns, moment.boot_id, moment.quality.value]


def _moment(values: Sequence[Any]) -> Moment:
    utc, monotonic_ns, boot_id, quality = values
    return Moment(
        wire.from_microseconds(utc), wire.whole(monotonic_ns), wire.text(boot_id), TimeQuality(quality)
    )


def _share(value: object) -> float:
    return _within(value, 1.0, least=0.0)


def _within(value: object, most: float, *, least: float | None = None) -> float:
    number = wire.real(value)
    if not (-most if least is None else least) <= number <= most:
        raise ValueError("a number is out of its range")
    return number


def _optional(value: object) -> float | None:
    return None if value is None else wire.real(value)
