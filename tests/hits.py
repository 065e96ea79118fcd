"""A department with hits of one unit, what its officers answered in the car, and people at the desk."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hotlist_cache.hit import HotlistHit, StateMatch
from recognizer.read import PlateRead
from server.access import Purpose, Role, add_account
from server.actors import Actor
from server.database import reading
from server.department import Department
from server.dispositions import Said, dispose
from server.hit_answers import catch_up
from server.hits import Hit, HitQuery, find_hits, get_hit
from server.intake import Intake
from server.unit_logs import UnitLogs
from sync.access_log import Deed, LogPiece, encode_piece, made, start
from tests.databases import Database
from tests.departments import PASSWORD, Unit, a_department, a_unit
from tests.fakes import a_hit, a_read

NOW = datetime.now(UTC)
PEOPLE = {
    "reyes": Role.OFFICER,
    "brandt": Role.SUPERVISOR,
    "okafor": Role.AUDITOR,
    "lindgren": Role.TECHNICIAN,
}


def who(name: str, purpose: str = "hit-verification") -> Actor:
    """Return one of `PEOPLE` at the desk."""
    return Actor(name, PEOPLE[name], "192.0.2.9", Purpose(purpose, ""))


@dataclass
class Desk:
    """One department with one unit."""

    department: Department
    unit: Unit
    deeds: list[Deed] = field(default_factory=list)
    count: int = 0

    def hit(
        self,
        plate: str = "TEST123",
        listed: str = "",
        *,
        list_name: str = "Stolen vehicle",
        at: datetime = NOW - timedelta(hours=1),
        state: StateMatch = StateMatch.SAME,
        **changes: Any,
    ) -> tuple[str, str]:
        """Hand in a read with one hit; return the ids of both."""
        self.count += 1
        read = self.read(plate, at=at, **changes)
        one = a_hit(read)
        entry = replace(one.entry, pattern=listed or plate, list_name=list_name, entry_id=f"E{self.count}")
        aged = replace(one.list_age, issued_at=at - timedelta(hours=5))
        self.hand_in(
            [read], [replace(one, hit_id=f"hit-{self.count}", entry=entry, list_age=aged, state=state)]
        )
        return read.read_id, f"hit-{self.count}"

    def read(self, plate: str = "TEST123", *, at: datetime = NOW, **changes: Any) -> PlateRead:
        """Return a read; it is not handed in."""
        one = a_read(plate=plate)
        moment = replace(one.settled, utc=at)
        return replace(one, first_seen=moment, settled=moment, **changes)

    def hand_in(self, items: Sequence[PlateRead], hits: Sequence[HotlistHit] = ()) -> None:
        """Let the unit hand in a batch."""
        made = self.department
        intake = Intake(made.engine, made.keys, made.folder.quarantine)
        intake.take(self.unit.peer, self.unit.batch(items, hits), NOW)

    def car(self, ids: tuple[str, str], *answers: tuple[str, str], by: str = "tanaka") -> None:
        """Let an officer answer rungs of a hit in the car; the log comes in."""
        for rung, answer in answers:
            detail = {"hit": ids[1], "read": ids[0], "rung": rung, "answer": answer}
            self.deeds.append(Deed(by, "officer", "hit.verify", detail=detail))
        sealing = load_pem_public_key((self.unit.keys / "department.x25519.pub.pem").read_bytes())
        assert isinstance(sealing, X25519PublicKey)
        head, records = start(self.unit.unit_id), []
        for number, deed in enumerate(self.deeds):
            entry, record = made(
                deed,
                head,
                at=NOW - timedelta(minutes=30) + timedelta(seconds=number),
                quality="gps",
                unit_id=self.unit.unit_id,
                key=self.unit.signing_key,
                department=sealing,
            )
            head = type(head)(entry.sequence, entry.digest)
            records.append(record)
        piece = LogPiece(self.unit.unit_id, tuple(records))
        payload, signature = encode_piece(piece, self.unit.signing_key)
        own = self.department
        intake = Intake(own.engine, own.keys, own.folder.quarantine)
        UnitLogs(own.engine, own.keys, intake).take(self.unit.peer, payload, signature, NOW)

    def climbed(self, ids: tuple[str, str]) -> None:
        """Let an officer confirm a hit in the car, rung by rung."""
        rungs = (("plate", "same"), ("state", "same"), ("vehicle", "fits"), ("clets", "wanted"))
        self.car(ids, *rungs, ("disposition", "confirmed"))

    def say(self, ids: tuple[str, str], verdict: str, *, by: str = "brandt", **more: Any) -> int:
        """Say at the desk what came of a hit."""
        return dispose(self.department.engine, *ids, Said(verdict, **more), actor=who(by), now=NOW)

    def get(self, ids: tuple[str, str]) -> Hit:
        """Return a hit as its page has it."""
        catch_up(self.department.engine)
        with reading(self.department.engine) as connection:
            found = get_hit(connection, *ids)
        assert found is not None
        return found

    def queue(self, **query: Any) -> list[str]:
        """Return the ids of the hits that are asked for."""
        catch_up(self.department.engine)
        with reading(self.department.engine) as connection:
            return [hit.hit_id for hit in find_hits(connection, HitQuery(**query), 100, 0)]


def a_desk(root: Path, database: Database | None = None) -> Desk:
    """Return a department with `PEOPLE` and one unit, and no hit yet."""
    folder = root / "department"
    department = a_department(folder) if database is None else database.department(folder)
    for name, role in PEOPLE.items():
        add_account(department.engine, name, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=NOW)
    return Desk(department, a_unit(department, root / "unit"))
