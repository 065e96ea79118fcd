"""What people at the department say of a hit, or of a read that was drawn at random: appended, never changed.

The words are those of the car (`hotlist_cache.verification`). A later one counts in place of the one before,
and in place of what the car said. Of a misread the plate that the picture shows is asked for; only where it
differs from the read is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from hotlist_cache.states import parse_jurisdiction
from hotlist_cache.verification import Disposition
from recognizer.plate import normalise
from server.access import Role
from server.actors import Actor, recorded
from server.daylight import daylight
from server.errors import HitRefusedError, NotPermittedError
from server.hit_answers import catch_up, ladder_of, standing_of
from server.hit_tables import dispositions
from server.integrity import DAMAGED
from server.plate_differences import Difference, applied, differences, from_text, to_text
from server.records import StoredRead, get_read
from server.release_errors import ReleaseRefusedError
from server.tables import hits
from server.texts import line_of

JUDGING = (Role.OFFICER, Role.SUPERVISOR, Role.ADMIN)
"""Who says what came of a hit. An auditor sees it, and changes nothing."""
MOST_CHARACTERS = 16
MOST_NOTE = 512


class Outcome(StrEnum):
    """What a confirmed hit led to."""

    RECOVERED = "recovered"
    ARREST = "arrest"
    CITATION = "citation"
    OTHER = "other"
    NONE = "none"


class Verdict(StrEnum):
    """What a person says of a read that was drawn at random, beside misread and wrong jurisdiction."""

    DRAWN = "drawn"
    """Nobody judged it yet."""
    AS_READ = "as read"
    NOT_TOLD = "cannot be told"
    """The picture does not show it, or there is none."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a form or a command says, as text."""

    verdict: str
    outcome: str = ""
    true_plate: str = field(default="", repr=False)
    """What the picture shows, of a misread."""
    true_state: str = ""
    """Of a misread, where it is another one, and of a wrong jurisdiction: "NV" or "US-NV"."""
    note: str = field(default="", repr=False)
    compared: bool = False
    """The person compared picture and listed plate, and the state."""
    clets: bool = False
    """CLETS answered that it is wanted."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One disposition as it is kept."""

    number: int
    judged_at: datetime
    judged_by: str
    purpose: str
    case_number: str
    verdict: str
    outcome: str
    differences: tuple[Difference, ...] = field(repr=False)
    true_state: str
    note: str = field(repr=False)

    def true_plate(self, read: str) -> str:
        """Return what the picture showed; *read* is what the plate was read as."""
        return applied(read, self.differences)


def dispose(engine: Engine, read_id: str, hit_id: str, said: Said, *, actor: Actor, now: datetime) -> int:
    """Write down what *actor* says of a hit; return its number.

    Raises HitRefusedError with what to tell the person, or NotPermittedError if it is not theirs to say.
    """
    catch_up(engine)
    detail: dict[str, Any] = {"hit": hit_id[:64], "read": read_id[:64], "verdict": said.verdict[:24]}
    with recorded(engine, actor, "hit.dispose", detail, now) as connection:
        require_judge(actor)
        read, row = get_read(connection, read_id), _hit_row(connection, read_id, hit_id)
        if read is None or row is None:
            raise HitRefusedError("there is no such hit: its read may have been purged")
        if read.damaged:
            raise HitRefusedError(DAMAGED)
        verdict = _disposition(said.verdict)
        outcome = _outcome(said.outcome)
        if outcome and verdict is not Disposition.CONFIRMED:
            raise HitRefusedError("an outcome is told of a confirmed hit alone; leave it empty")
        if verdict is Disposition.CONFIRMED:
            lacks = ladder_of(connection, (read.unit_id, hit_id, read_id)).lacks
            if lacks and not (said.compared and said.clets):
                raise HitRefusedError(
                    "not confirmed: the ladder of the car lacks or contradicts "
                    f"{', '.join(each.value for each in lacks)}. Compare picture and list, ask CLETS, and "
                    "say that you did both"
                )
        car = row.car_disposition or ""
        detail |= {"outcome": outcome, "contradicts_car": bool(car) and car != verdict.value}
        number = write(
            connection, read, hit_id, said, verdict=verdict.value, actor=actor, now=now, outcome=outcome
        )
        connection.execute(
            update(hits)
            .where(hits.c.read_id == read_id, hits.c.hit_id == hit_id)
            .values(disposition=verdict.value, standing=standing_of(verdict.value, outcome))
        )
    return number


def write(
    connection: Connection,
    read: StoredRead,
    hit_id: str,
    said: Said,
    *,
    verdict: str,
    actor: Actor,
    now: datetime,
    outcome: str = "",
) -> int:
    """Append one row on *read*; return its number. Raises HitRefusedError."""
    if not actor.purpose.code:
        raise HitRefusedError("say first what you look at reads for")
    found = _differences(read, said.true_plate) if verdict == Disposition.MISREAD else ()
    made = connection.execute(
        insert(dispositions).values(
            **facts_of(read),
            hit_id=hit_id,
            judged_at=now,
            judged_by=actor.name,
            purpose=actor.purpose.code,
            case_number=actor.purpose.case_number,
            verdict=verdict,
            outcome=outcome,
            differences=to_text(found) if found else "",
            true_state=_true_state(read, said, verdict),
            note=_note(said.note),
        )
    )
    [number] = made.inserted_primary_key or (0,)
    return int(number)


def facts_of(read: StoredRead) -> Mapping[str, Any]:
    """Return what a row keeps of *read*, which it may outlive: no plate, no place, no person."""
    return {
        "read_id": read.read_id,
        "unit_id": read.unit_id,
        "camera": read.camera,
        "seen_at": read.settled_at,
        "daylight": daylight(read.settled_at, read.latitude_deg, read.longitude_deg),
        "state": (read.jurisdiction or "") if read.state_likely else "",
        "confidence": read.confidence,
    }


def judged_of(connection: Connection, read_ids: Sequence[str]) -> dict[tuple[str, str], tuple[Judged, ...]]:
    """Return what the department said of the hits of some reads, oldest first; by the ids of read and hit."""
    rows = connection.execute(
        select(dispositions)
        .where(dispositions.c.read_id.in_(read_ids), dispositions.c.hit_id != "")
        .order_by(dispositions.c.number)
    )
    found: dict[tuple[str, str], tuple[Judged, ...]] = {}
    for row in rows:
        key = row.read_id, row.hit_id
        found[key] = (*found.get(key, ()), _judged(row))
    return found


def require_judge(actor: Actor) -> None:
    """Raises NotPermittedError if it is not for *actor* to say what came of a hit."""
    if actor.role is not None and actor.role not in JUDGING:
        raise NotPermittedError("Officers, supervisors and administrators say what came of a hit.")


def _disposition(text: str) -> Disposition:
    try:
        return Disposition(text)
    except ValueError:
        raise HitRefusedError(f"pick one of: {', '.join(Disposition)}") from None


def _outcome(text: str) -> str:
    try:
        return Outcome(text).value if text else ""
    except ValueError:
        raise HitRefusedError(f"an outcome is one of: {', '.join(Outcome)}") from None


def _differences(read: StoredRead, typed: str) -> tuple[Difference, ...]:
    true = normalise(typed)
    if not true:
        raise HitRefusedError("of a misread say which plate the picture shows")
    if len(true) > MOST_CHARACTERS:
        raise HitRefusedError(f"a plate has at most {MOST_CHARACTERS} characters")
    found = differences(read.plate, true)
    if not found:
        raise HitRefusedError("that is what was read: then it is no misread")
    return found


def _true_state(read: StoredRead, said: Said, verdict: str) -> str:
    if verdict not in (Disposition.MISREAD, Disposition.WRONG_JURISDICTION):
        return ""
    try:
        found = parse_jurisdiction(said.true_state, "US")
    except ValueError as error:
        raise HitRefusedError(f"state: {error}; write it as NV or US-NV") from None
    if verdict == Disposition.WRONG_JURISDICTION:
        if found is None:
            raise HitRefusedError("of a wrong jurisdiction say which state the picture shows")
        if read.state_likely and found == read.jurisdiction and not read.hits:
            raise HitRefusedError("that is the state that was read: then it is not wrong")
    return "" if found is None else str(found)


def _note(text: str) -> str:
    try:
        return line_of("the note", text, MOST_NOTE) if text.strip() else ""
    except ReleaseRefusedError as error:
        raise HitRefusedError(str(error)) from None


def _hit_row(connection: Connection, read_id: str, hit_id: str) -> Row[Any] | None:
    wanted = hits.c.read_id == read_id, hits.c.hit_id == hit_id
    return connection.execute(select(hits).where(*wanted)).first()


def _judged(row: Row[Any]) -> Judged:
    return Judged(
        number=row.number,
        judged_at=row.judged_at,
        judged_by=row.judged_by,
        purpose=row.purpose,
        case_number=row.case_number,
        verdict=row.verdict,
        outcome=row.outcome,
        differences=from_text(row.differences),
        true_state=row.true_state,
        note=row.note,
    )
