"""Made-up reads by the million, straight into the tables, and how long it takes to find some of them again.

A third of the reads is of few cars that come by often, the rest of a fleet a quarter as large as the number
of reads. They spread over the months and over a city of 28 by 23 km. They have no pictures: a search reads
those of what it shows, and no others.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Engine, insert

from recognizer.plate import fold, normalise
from server.canvass import CanvassQuestion, Scene, canvass
from server.convoy import ConvoyQuestion, convoy
from server.database import is_postgresql, reading, writing
from server.partitions import PARTITIONED, month_end, month_of
from server.records import Place, ReadQuery, find_reads
from server.tables import batches, units

SOUTH_DEG, WEST_DEG, SIDE_DEG = 34.0, -118.5, 0.25
UNITS = 40
SHOWN = 50
"""Reads a page of results has."""
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_POSITIONS = '[["7", 0.9412], ["1", 0.0213], ["", 0.0031]]'
_BATCH = "made-up"

_COLUMNS = """read_id, batch_id, unit_id, record_digest, camera, plate, plate_folded, positions, confidence,
  jurisdiction, jurisdiction_confidence, first_seen_at, settled_at, time_quality, latitude_deg, longitude_deg,
  accuracy_m, speed_mps, course_deg, fix_at, box, frames"""

_POSTGRESQL_ROWS = """
INSERT INTO {table} ({columns})
SELECT replace(gen_random_uuid()::text, '-', ''), '{batch}', 'made-up-' || mod(n, {units}),
  decode(md5(n::text) || md5((-n)::text), 'hex'), 'front', plate, translate(plate, 'OI', '01'), {positions},
  0.94, 'US-CA', 0.81, at, at, 'gps', {south} + random() * {side}, {west} + random() * {side},
  4.0, 9.5, 88.0, at, '[610, 420, 742, 470]', 7
FROM (SELECT n, at, mod(v / 13824000, 10)::text
        || substr('{letters}', (mod(v / 576, 24) + 1)::int, 1)
        || substr('{letters}', (mod(v / 24, 24) + 1)::int, 1)
        || substr('{letters}', (mod(v, 24) + 1)::int, 1) || lpad(mod(v / 13824, 1000)::text, 3, '0') AS plate
  FROM (SELECT n,
      timestamp '{start}' + (timestamp '{end}' - timestamp '{start}') * ((n + random()) / {count}) AS at,
      mod(CASE WHEN mod(n, 3) = 0 THEN floor(random() * {often})
        ELSE floor(random() * {fleet}) END::bigint
        * 7368787, 138240000) AS v
    FROM generate_series(0, {count} - 1) AS n) AS drawn) AS named
"""

_IDS = """
INSERT INTO read_ids SELECT substring(sha256(convert_to(read_id, 'UTF8')) for 16), settled_at
FROM {table} WHERE batch_id = '{batch}' ORDER BY 1 ON CONFLICT DO NOTHING
"""

_SQLITE_ROWS = """
WITH RECURSIVE series(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM series LIMIT {count}),
  drawn AS MATERIALIZED (SELECT n,
      (CASE WHEN n % 3 = 0 THEN abs(random()) % {often} ELSE abs(random()) % {fleet} END * 7368787
        % 138240000) AS v,
      strftime('%Y-%m-%d %H:%M:%S.', {start} + n * {step}, 'unixepoch')
        || printf('%06d', abs(random()) % 1000000) AS at
    FROM series),
  named AS (SELECT n, at, (v / 13824000 % 10) || substr('{letters}', v / 576 % 24 + 1, 1)
      || substr('{letters}', v / 24 % 24 + 1, 1) || substr('{letters}', v % 24 + 1, 1)
      || printf('%03d', v / 13824 % 1000) AS plate FROM drawn)
INSERT INTO reads ({columns})
SELECT lower(hex(randomblob(16))), '{batch}', 'made-up-' || (n % {units}), randomblob(32), 'front', plate,
  replace(replace(plate, 'O', '0'), 'I', '1'), {positions}, 0.94, 'US-CA', 0.81, at, at, 'gps',
  {south} + (abs(random()) % 1000000) / 1e6 * {side}, {west} + (abs(random()) % 1000000) / 1e6 * {side},
  4.0, 9.5, 88.0, at, '[610, 420, 742, 470]', 7 FROM named
"""


@dataclass(frozen=True, slots=True)
class Searched:
    """How long one kind of search took."""

    ms: tuple[float, ...]
    found: float
    """Reads found in the middle, at most `SHOWN`; of a canvass and a convoy plates."""


def make_reads(
    engine: Engine,
    count: int,
    since: datetime,
    until: datetime,
    *,
    enough: Callable[[], bool] = lambda: False,
    told: Callable[[str], None] = lambda _: None,
) -> int:
    """Store *count* reads that settled from *since* to *until*; return how many.

    Month by month, the newest first. It ends before a month for which *enough* is true.
    """
    if count == 0:
        return 0
    _make_units(engine, until)
    spans = list(_months(since, until))
    made, whole = 0, (until - since).total_seconds()
    for start, end in reversed(spans):
        if enough():
            break
        share = count - made if start == since else round(count * (end - start).total_seconds() / whole)
        _fill(engine, start, end, share, max(count // 4, 1))
        made += share
        told(f"{made:,} reads")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    return made


def search_exact(engine: Engine, times: int, chance: random.Random) -> Searched:
    """Search for whole plates, half of them held."""
    plates = [_plate(chance) for _ in range(times // 2)] + _held_plates(engine, times // 2, chance)
    return _search(engine, [ReadQuery(plate=plate) for plate in plates])


def search_partial(engine: Engine, times: int, chance: random.Random) -> Searched:
    """Search for three to five neighbouring characters, anywhere in the plate."""
    queries = []
    for plate in _held_plates(engine, times, chance):
        length = chance.choice((3, 4, 5))
        start = chance.randrange(len(plate) - length + 1)
        queries.append(ReadQuery(plate=plate[start : start + length], anywhere=True))
    return _search(engine, queries)


def search_place(
    engine: Engine, times: int, since: datetime, until: datetime, chance: random.Random
) -> Searched:
    """Search the square around a place, 500 m to its sides, in one hour."""
    queries = []
    for _ in range(times):
        start = since + (until - since - timedelta(hours=1)) * chance.random()
        place = Place(SOUTH_DEG + SIDE_DEG * chance.random(), WEST_DEG + SIDE_DEG * chance.random(), 500.0)
        queries.append(ReadQuery(place=place, since=start, until=start + timedelta(hours=1)))
    return _search(engine, queries)


def search_alike(engine: Engine, times: int, chance: random.Random) -> Searched:
    """Search for whole plates and all that look like them."""
    return _search(
        engine, [ReadQuery(plate=plate, alike=True) for plate in _held_plates(engine, times, chance)]
    )


def search_canvass(
    engine: Engine, times: int, since: datetime, until: datetime, chance: random.Random
) -> Searched:
    """Canvass three scenes, each 500 m around a place and a day long; found are plates."""

    def scene() -> Scene:
        start = since + (until - since - timedelta(days=1)) * chance.random()
        place = Place(SOUTH_DEG + SIDE_DEG * chance.random(), WEST_DEG + SIDE_DEG * chance.random(), 500.0)
        return Scene(place, start, start + timedelta(days=1))

    questions = [CanvassQuestion((scene(), scene(), scene())) for _ in range(times)]
    return _timed(engine, [partial(_plates_of, question) for question in questions])


def search_convoy(engine: Engine, times: int, until: datetime, chance: random.Random) -> Searched:
    """Look for the companions of plates over 90 days, within 60 s and 200 m; found are companions."""
    since = until - timedelta(days=90)
    questions = [
        ConvoyQuestion(plate, since, until, 60, 200.0, 2) for plate in _held_plates(engine, times, chance)
    ]
    return _timed(engine, [partial(_companions_of, question) for question in questions])


def _plates_of(question: CanvassQuestion, connection: Connection) -> int:
    return canvass(connection, question).found


def _companions_of(question: ConvoyQuestion, connection: Connection) -> int:
    return convoy(connection, question).found


def _reads_of(query: ReadQuery, connection: Connection) -> int:
    return len(find_reads(connection, query, SHOWN, 0))


def _timed(engine: Engine, asking: Sequence[Callable[[Connection], int]]) -> Searched:
    taken, found = [], []
    for ask in asking:
        started = time.perf_counter()
        with reading(engine) as connection:
            found.append(ask(connection))
        taken.append((time.perf_counter() - started) * 1e3)
    return Searched(tuple(taken), sum(found) / max(len(found), 1))


def _search(engine: Engine, queries: Sequence[ReadQuery]) -> Searched:
    return _timed(
        engine,
        [partial(_reads_of, query) for query in queries],
    )


def _held_plates(engine: Engine, times: int, chance: random.Random) -> list[str]:
    """Plates of made-up reads, drawn as `make_reads` draws them: nothing is asked of the database."""
    with reading(engine) as connection:
        drawn = connection.exec_driver_sql(
            "SELECT plate_folded FROM reads WHERE batch_id = 'made-up' ORDER BY settled_at DESC LIMIT 20000"
        ).scalars()
        plates = sorted(set(drawn))
    return [chance.choice(plates) for _ in range(times)]


def _plate(chance: random.Random) -> str:
    letters = "".join(chance.choice(_LETTERS) for _ in range(3))
    return fold(normalise(f"{chance.randrange(10)}{letters}{chance.randrange(1000):03d}"))


def _make_units(engine: Engine, now: datetime) -> None:
    with writing(engine) as connection:
        held = connection.exec_driver_sql("SELECT 1 FROM batches WHERE batch_id = 'made-up'").first()
        if held is not None:
            return
        fleet = [
            {
                "unit_id": f"made-up-{number}",
                "public_key": bytes(32),
                "certificate_serial": "0",
                "certificate_expires_at": now,
                "enrolled_at": now,
            }
            for number in range(UNITS)
        ]
        connection.execute(insert(units), fleet)
        connection.execute(
            insert(batches).values(
                batch_id=_BATCH,
                unit_id="made-up-0",
                digest=bytes(32),
                made_at=now,
                received_at=now,
                reads=0,
                already_held=0,
                receipt=b"",
            )
        )


def _fill(engine: Engine, start: datetime, end: datetime, count: int, fleet: int) -> None:
    positions = "'[" + ", ".join([_POSITIONS] * 7) + "]'"
    shared = {
        "count": count,
        "columns": _COLUMNS,
        "batch": _BATCH,
        "units": UNITS,
        "letters": _LETTERS,
        "positions": positions,
        "often": max(fleet // 20, 1),
        "fleet": fleet,
        "south": SOUTH_DEG,
        "west": WEST_DEG,
        "side": SIDE_DEG,
    }
    with writing(engine) as connection:
        if not is_postgresql(connection):
            step = (end - start).total_seconds() / max(count, 1)
            statement = _SQLITE_ROWS.format(start=start.timestamp(), step=step, **shared)
            connection.exec_driver_sql(statement)
            return
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
        times = {"start": f"{start:%Y-%m-%d %H:%M:%S}", "end": f"{end:%Y-%m-%d %H:%M:%S}"}
        _fill_month(connection, month_of(start), shared | times)


def _fill_month(connection: Connection, month: date, values: dict[str, object]) -> None:
    """Fill the month's partition. One that is not there yet is indexed after that, by attaching it."""
    suffix, end = f"{month:%Y_%m}", month_end(month)
    there = connection.exec_driver_sql(f"SELECT to_regclass('reads_{suffix}')").scalar() is not None
    some = f"SELECT 1 FROM reads_{suffix} LIMIT 1"  # noqa: S608 - a month
    if there and connection.exec_driver_sql(some).first() is None:
        for table in PARTITIONED:
            connection.exec_driver_sql(f"DROP TABLE {table}_{suffix}")
        there = False
    if not there:
        connection.exec_driver_sql(f"CREATE TABLE reads_{suffix} (LIKE reads INCLUDING STORAGE)")
        connection.exec_driver_sql(f"CREATE TABLE evidence_{suffix} (LIKE evidence INCLUDING STORAGE)")
    connection.exec_driver_sql(_POSTGRESQL_ROWS.format(table=f"reads_{suffix}", **values))
    connection.exec_driver_sql(_IDS.format(table=f"reads_{suffix}", batch=_BATCH))
    if there:
        return
    for table in PARTITIONED:
        connection.exec_driver_sql(
            f"ALTER TABLE {table} ATTACH PARTITION {table}_{suffix} FOR VALUES FROM ('{month}') TO ('{end}')"
        )


def _months(since: datetime, until: datetime) -> "list[tuple[datetime, datetime]]":
    spans, start = [], since
    while start < until:
        end = min(datetime.combine(month_end(month_of(start)), datetime.min.time(), UTC), until)
        spans.append((start, end))
        start = end
    return spans
