"""How reads lie on PostgreSQL: by the month in which they settled, each id once over all months.

    read_ids           one slim row a read: the id's digest, and when the read settled. Not partitioned:
                       here the database itself sees to it that an id comes once
    reads, evidence    partitioned by `settled_at`, which their primary keys must therefore contain
      reads_2026_11    a month
      reads_default    what an uncertain clock put into no sensible month
    hits               few, not partitioned

A month is made half a month ahead, by the first batch of that time; and where one is missing, by the batch
that needs it. Reads that lay in the default partition move into their month when it is made. SQLite has none
of this: there `reads.read_id` is the primary key.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from threading import Lock

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from server.database import adding
from server.errors import StoreUnavailableError

PARTITIONED = ("reads", "evidence")
_AHEAD = timedelta(days=15)
_TRY_AGAIN = timedelta(minutes=1)
_LONGEST_PAST = timedelta(days=400)
"""A unit hands in what is 30 days old at most; older times, but for restored data, are a clock's mistake."""
_MONTHS_LOCK = 0x616C706D

_log = structlog.get_logger(__name__)

_KEY = "substring(sha256(convert_to({0}, 'UTF8')) for 16)"
"""128 bits of an id's digest: as unique as the id, and half as long in the one index over all months."""

_INSTALL = (
    "ALTER TABLE evidence DROP CONSTRAINT fk_evidence_read_id",
    "ALTER TABLE hits DROP CONSTRAINT fk_hits_read_id",
    "ALTER TABLE reads RENAME TO reads_before",
    "ALTER TABLE evidence RENAME TO evidence_before",
    "ALTER TABLE reads_before DROP CONSTRAINT pk_reads",
    "ALTER TABLE evidence_before DROP CONSTRAINT pk_evidence",
    *(
        f"DROP INDEX ix_reads_{name}"
        for name in (
            "plate_folded",
            "settled_at",
            "unit_id_settled_at",
            "prefix_first_folded",
            "prefix_last_folded",
            "revises",
        )
    ),
    "CREATE TABLE reads (LIKE reads_before) PARTITION BY RANGE (settled_at)",
    "CREATE TABLE evidence (LIKE evidence_before) PARTITION BY RANGE (settled_at)",
    "ALTER TABLE reads ADD CONSTRAINT pk_reads PRIMARY KEY (read_id, settled_at)",
    "ALTER TABLE evidence ADD CONSTRAINT pk_evidence PRIMARY KEY (read_id, settled_at)",
    # JPEG does not get smaller; trying costs time at each insert.
    "ALTER TABLE evidence ALTER COLUMN jpeg SET STORAGE EXTERNAL",
    # An hour anywhere on the map is one short stretch of this index, which holds the places too.
    "CREATE INDEX ix_reads_settled_at ON reads (settled_at, latitude_deg, longitude_deg)",
    "CREATE INDEX ix_reads_unit_id_settled_at ON reads (unit_id, settled_at)",
    "CREATE INDEX ix_reads_plate_folded ON reads (plate_folded, settled_at)",
    *(
        f"CREATE INDEX ix_reads_{column} ON reads ({column}) WHERE {column} IS NOT NULL"
        for column in ("prefix_first_folded", "prefix_last_folded", "revises")
    ),
    "CREATE TABLE read_ids (key bytea PRIMARY KEY, settled_at timestamp NOT NULL)",
    "CREATE TABLE reads_default PARTITION OF reads DEFAULT",
    "CREATE TABLE evidence_default PARTITION OF evidence DEFAULT",
    f"INSERT INTO read_ids SELECT {_KEY.format('read_id')}, settled_at FROM reads_before",
    "INSERT INTO reads SELECT * FROM reads_before",
    "INSERT INTO evidence SELECT e.read_id, e.jpeg, r.settled_at FROM evidence_before e"
    " JOIN reads_before r USING (read_id)",
    "DROP TABLE evidence_before",
    "DROP TABLE reads_before",
    # Whoever deletes a read, by whatever way, gives its id free.
    "CREATE FUNCTION reads_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    f" DELETE FROM read_ids WHERE key IN (SELECT {_KEY.format('read_id')} FROM gone); RETURN NULL; END $$",
    "CREATE TRIGGER reads_gone AFTER DELETE ON reads REFERENCING OLD TABLE AS gone"
    " FOR EACH STATEMENT EXECUTE FUNCTION reads_gone()",
)

_TRIGRAMS = (
    "CREATE INDEX ix_reads_plates_trigrams ON reads USING gin (plate_folded gin_trgm_ops,"
    " prefix_first_folded gin_trgm_ops, prefix_last_folded gin_trgm_ops) WITH (fastupdate = off)"
)


class Months:
    """The months there are, as one process knows them. May be used by several threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: set[date] = set()
        self._lock = Lock()
        self._not_before = datetime.min.replace(tzinfo=UTC)

    def ensure(self, moments: Iterable[datetime], now: datetime) -> None:
        """Make the months of *moments*, and the one that comes next, where they are missing.

        A month that cannot be, seen from *now*, is not made; neither is one while a long search holds the
        default partition: that is where its reads go then, and it is tried again in a minute. Nothing is done
        on SQLite. Raises StoreUnavailableError if the database is not there.
        """
        if self._engine.dialect.name != "postgresql":
            return
        wanted = {month_of(moment) for moment in moments if sensible(moment, now)}
        wanted |= {month_of(now), month_of(now + _AHEAD)}
        if wanted <= self._known or now < self._not_before:
            return
        with self._lock:
            for month in sorted(wanted - self._known):
                try:
                    with adding(self._engine) as connection:
                        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
                        make_month(connection, month)
                except StoreUnavailableError as error:
                    cause = error.__cause__
                    if not isinstance(cause, OperationalError) or cause.connection_invalidated:
                        raise
                    _log.warning("month not made", month=month.isoformat())
                    self._not_before = now + _TRY_AGAIN
                    return
                self._known.add(month)


def install(connection: Connection) -> None:
    """Turn the plain tables of the first migrations into partitioned ones. For the migration alone."""
    for statement in _INSTALL:
        connection.exec_driver_sql(statement)
    if has_trigrams(connection):
        connection.exec_driver_sql(_TRIGRAMS)
    else:
        _log.warning("no pg_trgm: parts of plates are looked for in every read")


def has_trigrams(connection: Connection) -> bool:
    """Whether parts of plates are found by an index: pg_trgm is there, or could be made by this account."""
    found = "SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'"
    if connection.exec_driver_sql(found).first() is not None:
        return True
    offered = connection.exec_driver_sql(
        "SELECT trusted AND has_database_privilege(current_database(), 'CREATE') OR usesuper"
        " FROM pg_available_extension_versions, pg_user"
        " WHERE pg_available_extension_versions.name = 'pg_trgm' AND usename = current_user"
    ).scalars()
    if not any(offered):
        return False
    connection.exec_driver_sql("CREATE EXTENSION pg_trgm")
    return True


def month_of(moment: datetime) -> date:
    """Return the first day of the month, in UTC, in which *moment* lies."""
    return moment.astimezone(UTC).date().replace(day=1)


def month_names(connection: Connection) -> list[tuple[date, str]]:
    """Return the months there are, oldest first, each with the end of its tables' names: "2026_11"."""
    rows = connection.exec_driver_sql(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = 'reads'::regclass ORDER BY relname"
    ).scalars()
    names = [str(name).removeprefix("reads_") for name in rows]
    return [(date(int(n[:4]), int(n[5:]), 1), n) for n in names if n != "default"]


def spans(
    connection: Connection, since: datetime | None, until: datetime | None
) -> list[tuple[datetime | None, datetime | None]]:
    """Return the stretches of time from *since* to *until*, both included, newest first: one a month held.

    What lies between or beyond the months held, in the default partition, is in stretches of its own. None is
    no bound.
    """
    found: list[tuple[datetime | None, datetime | None]] = []
    upper = until
    for month, _ in reversed(month_names(connection)):
        for edge in (month_end(month), month):
            start = datetime.combine(edge, datetime.min.time(), UTC)
            if upper is not None and upper < start:
                continue
            if since is not None and start <= since:
                return [*found, (since, upper)]
            found.append((start, upper))
            upper = start - timedelta(microseconds=1)
    return [*found, (since, upper)]


def make_month(connection: Connection, month: date) -> None:
    """Make the partitions of *month* if they are not there, in the caller's transaction."""
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_MONTHS_LOCK,))
    suffix, end = f"{month:%Y_%m}", month_end(month)
    if connection.exec_driver_sql("SELECT to_regclass(%s)", (f"reads_{suffix}",)).scalar() is not None:
        return
    within = f"settled_at >= '{month}' AND settled_at < '{end}'"
    for table in PARTITIONED:
        # Attached, not made as a partition at once: that would keep all readers and writers out.
        for statement in (
            f"CREATE TABLE {table}_{suffix} (LIKE {table} INCLUDING ALL)",
            f"WITH moved AS (DELETE FROM {table}_default WHERE {within} RETURNING *)"
            f" INSERT INTO {table}_{suffix} SELECT * FROM moved",
            f"ALTER TABLE {table} ATTACH PARTITION {table}_{suffix} FOR VALUES FROM ('{month}') TO ('{end}')",
        ):
            connection.exec_driver_sql(statement)


def month_end(month: date) -> date:
    """Return the first day of the month after *month*."""
    return (month + timedelta(days=31)).replace(day=1)


def sensible(moment: datetime, now: datetime) -> bool:
    """Whether a month of its own is made for *moment*, seen from *now*."""
    return now - _LONGEST_PAST <= moment and month_of(moment) <= month_of(now + timedelta(days=31))
