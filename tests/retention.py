"""A department with reads of one unit, of all ages, and what became of them."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from camera.frame import Moment, TimeQuality
from recognizer.read import PlateRead
from server.actors import Actor
from server.database import is_postgresql, reading
from server.department import Department
from server.holds import HoldKind, place
from server.intake import Intake
from server.retention import approve, ask, step
from server.retention_values import Rules, of_settings
from server.settings import RetentionSettings
from server.tables import evidence, hits, reads
from tests.departments import NOW, Unit
from tests.fakes import a_hit
from tests.hotlists import a_read

ANNE, BERT = Actor("console:anne"), Actor("console:bert")
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
RULES = of_settings(RetentionSettings())


class Held:
    """A department with reads of one unit."""

    def __init__(self, department: Department, unit: Unit) -> None:
        self.department, self.engine = department, department.engine
        self.unit = unit
        self.intake = Intake(department.engine, department.keys, department.folder.quarantine)
        self.count = 0

    def read(self, plate: str = "7ABC123", *, days: float = 400, **changes: Any) -> PlateRead:
        self.count += 1
        made = a_read(plate, utc=NOW - timedelta(days=days), prefix=changes.pop("prefix", ""))
        return replace(made, read_id=f"read-{self.count}", **changes)

    def made_at(
        self, moment: datetime, quality: TimeQuality = TimeQuality.GPS, plate: str = "7ABC123"
    ) -> PlateRead:
        """Return a read that its unit made at *moment*, by its own clock."""
        made = self.read(plate)
        when = Moment(moment, made.settled.monotonic_ns, made.settled.boot_id, quality)
        return replace(made, first_seen=when, settled=when)

    def store(self, *made: PlateRead, hit: bool = False, at: datetime | None = None) -> None:
        """Hand *made* in, each an hour after it was made, or all *at* one moment."""
        if at is None:
            for each in made:
                self.store(each, hit=hit, at=each.settled.utc + timedelta(hours=1))
            return
        found = [a_hit(each) for each in made] if hit else []
        self.intake.take(self.unit.peer, self.unit.batch(list(made), found), at)

    def ids(self) -> set[str]:
        with reading(self.engine) as connection:
            return set(connection.execute(select(reads.c.read_id)).scalars())

    def traces(self) -> set[str]:
        """The reads of which anything is left: the row, the picture, the hit, or the id alone."""
        with reading(self.engine) as connection:
            found = {
                each
                for table in (reads, evidence, hits)
                for each in connection.execute(select(table.c.read_id)).scalars()
            }
            if is_postgresql(connection):
                count = connection.exec_driver_sql("SELECT count(*) FROM read_ids").scalar_one()
                assert count == len(self.ids())
        return found

    def hold(self, kind: HoldKind, **subject: Any) -> int:
        return place(
            self.engine,
            kind,
            subject,
            authority="Superior Court, order 12",
            case_number=str(subject.get("case_number", "26-1")),
            actor=ANNE,
            now=NOW,
        )

    def purge(self, rules: Rules = RULES) -> int:
        number, _ = ask(self.engine, rules, reference="Resolution 7", actor=ANNE, now=NOW)
        approve(self.engine, number, actor=BERT, now=NOW)
        while step(self.engine, number, self.department.keys.receipt, NOW, most=2):
            pass
        return number
