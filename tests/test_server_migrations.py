"""A department of an older version is upgraded with everything in it, on both databases."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Engine, MetaData, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

import server.cli  # with all modules that define tables
from server.access import Access
from server.actors import Actor
from server.copying import claim
from server.database import is_postgresql, migrate, reading, require_current, writing
from server.department import Department
from server.fleet import fleet
from server.hits import HitQuery, find_hits
from server.holds import HoldKind, all_holds, place
from server.intake import Intake
from server.partitions import make_month, month_of
from server.purge_book import all_purges
from server.records import ReadQuery, find_reads
from server.tables import accounts, audit, evidence, hits, metadata, purges, reads, training_records, units
from tests.databases import Database
from tests.departments import NOW, PASSWORD, a_department, a_unit
from tests.fakes import a_hit, a_read

BEFORE = "0011"
_LOST = {("units", "status"), ("units", "status_at")}
"""What an upgrade leaves out, in the form of before: each unit tells it again within minutes."""
Held = dict[str, list[dict[str, Any]]]
Columns = Mapping[str, list[Column[Any]]]


def upgraded_to(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(server.__file__).parent / "migrations"))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def a_filled_department(root: Path) -> Department:
    department = a_department(root)
    unit = a_unit(department, root.with_name("unit"))
    taken = [a_read(plate=plate) for plate in ("8ABC012", "8ABC999", "XYZ777", "7DEF456")]
    found = [replace(a_hit(read), hit_id=f"hit-{number}") for number, read in enumerate(taken[:2])]
    Intake(department.engine, department.keys, department.folder.quarantine).take(
        unit.peer, unit.batch(taken, found), NOW
    )
    order = {"authority": "Superior Court, 26-1", "case_number": "26-1"}
    place(department.engine, HoldKind.PLATE, {"plate": "XYZ777"}, **order, actor=Actor("console:a"), now=NOW)
    done = {"asked_by": "anne", "asked_at": NOW, "approved_by": "ben", "approved_at": NOW, "ended_at": NOW}
    ends = {"others_before": NOW - timedelta(days=365), "hits_before": NOW - timedelta(days=1825)}
    gone = {"chain": bytes(32), "hits": 1, "others": 7, "oldest": NOW, "newest": NOW}
    with writing(department.engine) as connection:
        row = {**done, **ends, **gone, "state": "done", "reference": "R 26-1", "certificate": "{}"}
        connection.execute(insert(purges).values(row))
        connection.execute(update(units).values(status='{"online": true}', status_at=NOW))
    return department


def rows_of(engine: Engine, columns: Columns) -> Held:
    with reading(engine) as connection:
        return {
            name: sorted(map(_plain, connection.execute(select(*chosen))), key=str)
            for name, chosen in columns.items()
        }


def _plain(row: Any) -> dict[str, Any]:
    return {name: bytes(v) if isinstance(v, memoryview) else v for name, v in row._asdict().items()}


def columns_of(engine: Engine, like: Columns | None = None) -> Columns:
    """Return the columns of our tables as the database has them; those alone that *like* has too."""
    found = MetaData()
    found.reflect(engine, only=lambda name, _: name in (metadata.tables if like is None else like))
    if like is None:
        return {name: list(table.columns) for name, table in found.tables.items()}
    return {name: [found.tables[name].c[column.name] for column in chosen] for name, chosen in like.items()}


def copied(source: Engine, target: Engine) -> Held:
    """Write what *source* holds into the older *target*; return it as it stands there."""
    old = columns_of(target)
    held = rows_of(source, columns_of(source, old))
    with writing(target) as connection:
        if is_postgresql(connection):
            for month in {month_of(row["settled_at"]) for row in held["reads"]}:
                make_month(connection, month)
            with reading(source) as bare:
                times = bare.execute(select(reads.c.read_id, reads.c.settled_at))
                claim(connection, {row.read_id: row.settled_at for row in times})
        for table in metadata.sorted_tables:
            if held.get(table.name):
                connection.execute(insert(old[table.name][0].table), held[table.name])
    return rows_of(target, old)


@pytest.mark.parametrize("nameless", [False, True])
def test_a_filled_department_of_the_version_before_is_upgraded_whole(
    database: Database, tmp_path: Path, nameless: bool
) -> None:
    department = a_filled_department(tmp_path / "department")
    engine = database.engine(tmp_path / "older.sqlite")
    upgraded_to(engine, BEFORE)
    before = copied(department.engine, engine)
    assert all(
        before[name] for name in ("reads", "hits", "evidence", "units", "purges", "legal_holds", "audit")
    )
    if nameless and database.name == "sqlite":
        with writing(engine) as connection:  # of before evidence knew its read's time
            connection.execute(text("UPDATE evidence SET settled_at = NULL"))
    migrate(engine)
    require_current(engine)

    after = rows_of(engine, columns_of(engine))
    for name, rows in before.items():
        kept = [{key: row[key] for key in rows[0]} for row in after[name]] if rows else after[name]
        lost = {column for table, column in _LOST if table == name}
        told = [[{k: v for k, v in row.items() if k not in lost} for row in each] for each in (kept, rows)]
        assert sorted(told[0], key=str) == sorted(told[1], key=str), name
    with reading(engine) as connection:
        if database.name == "sqlite":  # PostgreSQL has its months' tables besides
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(select(units.c.status)).scalars().all() == [None]
    engine.dispose()
    department.engine.dispose()


def test_what_is_new_of_old_rows_is_what_the_new_version_would_have_written(
    database: Database, tmp_path: Path
) -> None:
    department = a_filled_department(tmp_path / "department")
    engine = database.engine(tmp_path / "older.sqlite")
    upgraded_to(engine, BEFORE)
    copied(department.engine, engine)
    with writing(engine) as connection:  # a unit of an older version did not say how a hit was told
        connection.execute(update(hits).where(hits.c.hit_id == "hit-1").values(outcome=None))
    migrate(engine)
    columns = ("read_id", "hit_id", "unit_id", "settled_at", "priority", "standing", "disposition")
    with reading(department.engine) as old, reading(engine) as new:
        wanted = select(*(hits.c[name] for name in columns)).order_by(hits.c.hit_id)
        assert new.execute(wanted).all() == old.execute(wanted).all()
        found = find_hits(new, HitQuery(), 10, 0)
        assert [hit.hit_id for hit in found] == [hit.hit_id for hit in find_hits(old, HitQuery(), 10, 0)]
        assert len(found) == 2
        # Of what came before the upgrade nothing says whether it is as it came in.
        query = ReadQuery()
        shown, same = find_reads(new, query, 10, 0), find_reads(old, query, 10, 0)
        assert shown == [replace(read, intact=None, picture_part=b"") for read in same]
        assert [unit.status for unit in fleet(new, NOW).units] == [None]
        history = new.execute(select(training_records.c.account, training_records.c.expires)).all()
        assert history == new.execute(select(accounts.c.name, accounts.c.training_expires)).all()
        assert new.execute(select(evidence.c.object).distinct()).scalars().all() == [None]
    assert [(each.state, each.automatic, each.others) for each in all_purges(engine)] == [("done", False, 7)]
    assert [hold.subject for hold in all_holds(engine)] == [{"plate": "XYZ777"}]
    for table in (training_records, audit):
        with pytest.raises(DBAPIError, match="append-only"), writing(engine) as connection:
            connection.execute(delete(table))
    # Work goes on where it was.
    assert Access(engine, department.settings.access).log_in("chief", PASSWORD, "192.0.2.1", NOW)
    other = a_unit(department, tmp_path / "other", "unit-08")
    with reading(department.engine) as old:
        row = old.execute(select(units).where(units.c.unit_id == "unit-08")).one()
    with writing(engine) as new:
        new.execute(insert(units).values(row._asdict()))
    read = a_read(plate="NEW111")
    Intake(engine, department.keys, department.folder.quarantine).take(
        other.peer, other.batch([read], [a_hit(read)]), NOW
    )
    with reading(engine) as connection:
        assert len(find_hits(connection, HitQuery(), 10, 0)) == 3
    engine.dispose()
    department.engine.dispose()
