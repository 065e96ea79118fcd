"""An invented department in the middle of a shift: people, units on patrol, reads, hits. For its pages."""

import json
import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from sqlalchemy import select

from camera.fix import Fix
from camera.frame import Moment, TimeQuality
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.hit import HotlistHit, ListAge, MatchKind, StateMatch
from recognizer.plate import Jurisdiction, normalise
from recognizer.read import JurisdictionOpinion, PlateRead
from server.access import Purpose, Role, add_account
from server.actors import Actor
from server.database import reading
from server.department import Department, open_department
from server.dispositions import Said, dispose
from server.holds import HoldKind, place
from server.intake import Intake
from server.tables import hits
from server.unit_words import keep_word
from sync.unit_status import CameraWord, encode_status
from tests.departments import PASSWORD, Unit, a_department, a_unit
from tests.fakes import a_read
from tests.statuses import a_status

PEOPLE = {
    "reyes": Role.OFFICER,
    "okafor": Role.AUDITOR,
    "lindqvist": Role.SUPERVISOR,
    "tran": Role.TECHNICIAN,
    "adeyemi": Role.ADMIN,
}
SOUTH, WEST = 0.25, -30.5
"""A town in the middle of the Atlantic: nobody lives there."""
READS = 40
"""Of each unit."""
CALIFORNIA = Jurisdiction("US-CA")
LISTED = ("7KZR318", "5TNM902", "8QVD447")
_WHY = ("Stolen vehicle", "Felony vehicle", "Missing person")


def a_busy_department(root: Path, now: datetime) -> Department:
    """Return one whose units drove until *now*; everybody's password is `PASSWORD`."""
    made = a_department(root / "department")
    for name, role in PEOPLE.items():
        add_account(made.engine, name, role, PASSWORD, date(2099, 1, 1), actor="console:test", now=now)
    chance = random.Random(11)
    (made.folder.root / "streets.geojson").write_text(json.dumps(_streets()))
    for number in range(6):
        unit = a_unit(made, root / f"unit-{number:02}", f"unit-{number + 1:02}")
        _drive(made, unit, now - timedelta(days=(0, 0, 0, 1, 23, 31)[number]), chance)
        _say_status(made, unit, now, number)
    _list(made, now)
    _judge(made, now)
    made.engine.dispose()
    settings = made.folder.settings.read_text()
    streets = f'streets = "{made.folder.root / "streets.geojson"}"'
    made.folder.settings.write_text(settings.replace('streets = ""', streets, 1))
    return open_department(made.folder.root)


def _drive(department: Department, unit: Unit, until: datetime, chance: random.Random) -> None:
    reads, hits = [], []
    x, y = chance.random(), chance.random()
    for step in range(READS):
        at = until - timedelta(minutes=3 * (READS - step), seconds=chance.randrange(60))
        if chance.random() < 0.5:
            x = min(1.0, max(0.0, x + chance.choice((-0.05, 0.05))))
        else:
            y = min(1.0, max(0.0, y + chance.choice((-0.05, 0.05))))
        listed = step % 17 == 5
        text = LISTED[chance.randrange(3)] if listed else _a_plate(chance)
        read = _a_read(text, at, SOUTH + 0.05 * y, WEST + 0.05 * x, chance)
        reads.append(read)
        if listed:
            hits.append(_a_hit(read, chance))
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch(reads, hits), until)


def _a_plate(chance: random.Random) -> str:
    letters = "".join(chance.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(3))
    return f"{chance.randrange(4, 9)}{letters}{chance.randrange(1000):03}"


def _a_read(text: str, at: datetime, latitude: float, longitude: float, chance: random.Random) -> PlateRead:
    moment = Moment(at, int(at.timestamp() * 1e9), "boot-a", TimeQuality.GPS)
    confidences = [round(chance.uniform(0.9, 0.999), 3) for _ in text]
    confidences[chance.randrange(len(text))] = round(chance.uniform(0.62, 0.98), 3)
    return replace(
        a_read(read_id=f"{chance.getrandbits(96):024x}", plate=text, evidence=_photograph(text, chance)),
        plate=normalise(text),
        positions=tuple(
            ((sign, share), ("8", round((1 - share) / 2, 3)))
            for sign, share in zip(text, confidences, strict=True)
        ),
        confidence=min(confidences),
        jurisdiction=JurisdictionOpinion(Jurisdiction("US-CA"), round(chance.uniform(0.7, 0.99), 3)),
        first_seen=replace(moment, utc=at - timedelta(seconds=1)),
        settled=moment,
        fix=Fix(at, latitude, longitude, chance.uniform(0, 18), chance.uniform(0, 360), 4.0),
        frames=chance.randrange(4, 12),
    )


def _a_hit(read: PlateRead, chance: random.Random) -> HotlistHit:
    kind = LISTED.index(str(read.plate))
    entry = Entry(
        f"entry-{kind}",
        str(read.plate),
        Jurisdiction("US-CA"),
        _WHY[kind],
        _WHY[kind].lower(),
        (Priority.MEDIUM, Priority.HIGH, Priority.HIGH)[kind],
    )
    age = ListAge(41, read.settled.utc - timedelta(hours=chance.randrange(1, 20)))
    return HotlistHit(f"hit-{read.read_id}", read, entry, MatchKind.EXACT, StateMatch.SAME, (), age)


def _photograph(text: str, chance: random.Random) -> bytes:
    """Return a picture of a plate that nobody ever issued."""
    image = np.full((64, 168, 3), chance.randrange(40, 90), np.uint8)
    cv2.rectangle(image, (10, 8), (158, 56), (228, 232, 236), -1)
    cv2.rectangle(image, (10, 8), (158, 56), (120, 90, 60), 2)
    cv2.putText(image, text, (18, 44), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (96, 52, 22), 2, cv2.LINE_AA)
    noise = np.random.default_rng(chance.randrange(10**6)).normal(0, 6, image.shape)
    blurred = cv2.GaussianBlur(np.clip(image + noise, 0, 255).astype(np.uint8), (3, 3), 0.8)
    return bytes(cv2.imencode(".jpg", blurred)[1].tobytes())


def _say_status(department: Department, unit: Unit, now: datetime, number: int) -> None:
    """What the unit tells of itself; the last one never did."""
    if number == 5:
        return
    at = now - timedelta(minutes=number)
    told = a_status(
        made_at=at,
        started_at=at - timedelta(hours=3),
        day=at.date(),
        list_sequence=1,
        list_age_h=(2.0, 2.0, 2.0, 26.5, 570.0)[number],
        list_stale=number >= 3,
        queued=(0, 3, 0, 120, 8400)[number],
        days_left=(30.0, 30.0, 30.0, 28.9, 6.7)[number],
        level=("ok", "ok", "ok", "ok", "warn")[number],
        cameras=(
            CameraWord("front", "live", 0),
            CameraWord("rear", "lost" if number == 2 else "live", number),
        ),
        has_fix=number != 3,
        fault_count=int(number == 2),
        faults=("camera rear: no frame for 40 s",) if number == 2 else (),
        reads_today=READS * (5 - number),
        hits_today=3 - number // 2,
    )
    keep_word(department.engine, unit.unit_id, encode_status(told), at)


def _judge(department: Department, now: datetime) -> None:
    """What a supervisor says of most hits."""
    supervisor = Actor("lindqvist", Role.SUPERVISOR, "192.0.2.9", Purpose("hit-verification", ""))
    with reading(department.engine) as connection:
        found = connection.execute(select(hits.c.read_id, hits.c.hit_id).order_by(hits.c.read_id)).all()
    for number, row in enumerate(found[:-4]):
        said = Said("confirmed", compared=True, clets=True) if number % 7 else Said("no longer wanted")
        dispose(department.engine, row.read_id, row.hit_id, said, actor=supervisor, now=now)


def _list(department: Department, now: datetime) -> None:
    """Lists of two sources, published; and an order of a court."""
    for feed, name, count in (("svs", "Stolen vehicle", 1200), ("sfr", "Felony vehicle", 310)):
        entries = [
            Entry(
                f"{feed}-{n}",
                f"{n % 9}ZZZ{n:03}"[:7],
                Jurisdiction("US-CA"),
                name,
                "invented",
                Priority.MEDIUM,
            )
            for n in range(count)
        ]
        department.hotlists.replace_feed(feed, entries, actor="console:brandt", now=now - timedelta(hours=3))
    at = now - timedelta(hours=2)
    department.hotlists.publish(
        department.keys, actor="console:brandt", now=at, expires_at=at + timedelta(days=3)
    )
    place(
        department.engine,
        HoldKind.PLATE,
        {"plate": LISTED[1]},
        authority="Superior Court, order of 4 May",
        case_number="26-0042",
        actor=Actor("console:brandt"),
        now=now - timedelta(days=12),
    )


def _streets() -> dict[str, object]:
    """Return a town's streets as GeoJSON: a grid, and a road that crosses it."""
    lines = [[[WEST + 0.005 * n, SOUTH], [WEST + 0.005 * n, SOUTH + 0.05]] for n in range(11)] + [
        [[WEST, SOUTH + 0.005 * n], [WEST + 0.05, SOUTH + 0.005 * n]] for n in range(11)
    ]
    lines.append([[WEST - 0.01, SOUTH + 0.012], [WEST + 0.02, SOUTH + 0.03], [WEST + 0.06, SOUTH + 0.041]])
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": line}}
        for line in lines
    ]
    return {"type": "FeatureCollection", "features": features}
