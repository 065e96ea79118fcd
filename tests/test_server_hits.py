"""The queue of hits and what came of them, on both databases."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError

from hotlist_cache.verification import Rung
from server.audit_period import Period
from server.database import reading, writing
from server.dispositions import Said
from server.errors import HitRefusedError, NotPermittedError
from server.hit_accuracy import Accuracy, accuracy, band_of
from server.hit_answers import catch_up
from server.hit_corrections import TicketState, advance, as_csv, tickets
from server.hit_samples import draw, judge, waiting
from server.hit_tables import dispositions
from server.hits import list_names, standings
from server.tables import audit
from tests.databases import Database
from tests.departments import audited
from tests.hits import NOW, Desk, a_desk, who

DAY = Period(NOW - timedelta(days=1), NOW + timedelta(minutes=1))


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Iterator[Desk]:
    made = a_desk(tmp_path, database)
    yield made
    made.department.engine.dispose()


def measured(desk: Desk) -> Accuracy:
    catch_up(desk.department.engine)
    with reading(desk.department.engine) as connection:
        return accuracy(connection, DAY)


def test_high_priority_comes_first_and_then_the_newest(desk: Desk) -> None:
    desk.hit(list_name="Supervised release", at=NOW)
    desk.hit(list_name="Stolen vehicle", at=NOW - timedelta(hours=9))
    desk.hit(list_name="A list of our own", at=NOW)
    desk.hit(list_name="Stolen vehicle", at=NOW - timedelta(hours=2))
    assert desk.queue() == ["hit-4", "hit-2", "hit-3", "hit-1"]


def test_filters_narrow_the_queue(desk: Desk) -> None:
    desk.hit(at=NOW - timedelta(days=2))
    second = desk.hit(list_name="Wanted person")
    third = desk.hit()
    desk.say(second, "not pursued")
    desk.say(third, "confirmed", compared=True, clets=True)
    assert desk.queue() == ["hit-1"]
    assert desk.queue(standing="closed") == ["hit-2"]
    assert desk.queue(standing="verified") == ["hit-3"]
    assert desk.queue(standing="all") == ["hit-3", "hit-1", "hit-2"]
    assert desk.queue(standing="all", list_name="Wanted person") == ["hit-2"]
    assert desk.queue(standing="all", priority=3) == ["hit-3", "hit-1"]
    assert desk.queue(standing="all", since=NOW - timedelta(days=1)) == ["hit-3", "hit-2"]
    assert desk.queue(standing="all", until=NOW - timedelta(days=1)) == ["hit-1"]
    assert desk.queue(standing="all", unit_id="unit-99") == []
    with reading(desk.department.engine) as connection:
        assert standings(connection) == {"open": 1, "verified": 1, "closed": 1}
        assert list_names(connection) == ["Stolen vehicle", "Wanted person"]


def test_the_ladder_of_the_car_comes_with_its_log(desk: Desk) -> None:
    ids = desk.hit()
    assert desk.get(ids).ladder.answers == () and desk.get(ids).officer == ""
    desk.climbed(ids)
    hit = desk.get(ids)
    assert [each.rung for each in hit.ladder.answers] == list(Rung)
    assert (hit.officer, hit.disposition, hit.standing) == ("tanaka", "confirmed", "verified")
    assert not hit.ladder.lacks and not hit.contradicted


def test_a_log_that_comes_before_its_hit_waits_for_it(desk: Desk) -> None:
    read = desk.read(at=NOW)
    desk.car((read.read_id, "hit-1"), ("disposition", "misread"))
    catch_up(desk.department.engine)
    from dataclasses import replace

    from tests.fakes import a_hit

    desk.hand_in([read], [replace(a_hit(read), hit_id="hit-1")])
    assert desk.get((read.read_id, "hit-1")).disposition == "misread"


def test_the_last_answer_of_the_car_counts_and_each_is_taken_once(desk: Desk) -> None:
    ids = desk.hit()
    desk.car(ids, ("disposition", "misread"))
    assert desk.get(ids).disposition == "misread"
    desk.car(ids, ("disposition", "not pursued"), by="reyes")
    hit = desk.get(ids)
    assert (hit.disposition, hit.officer, len(hit.ladder.answers)) == ("not pursued", "reyes", 2)


def test_an_answer_on_another_units_hit_of_the_same_id_is_not_taken(desk: Desk) -> None:
    ids = desk.hit()
    desk.car(("another-read", ids[1]), ("disposition", "misread"))
    assert desk.get(ids).disposition == ""


def test_a_later_disposition_counts_and_the_one_before_stays(desk: Desk) -> None:
    ids = desk.hit("8ABC012")
    desk.say(ids, "not pursued", note="out of the county")
    desk.say(ids, "misread", by="reyes", true_plate="babc012", true_state="NV")
    hit = desk.get(ids)
    assert [each.verdict for each in hit.judged] == ["not pursued", "misread"]
    assert hit.disposition == "misread" and hit.standing == "closed"
    last = hit.judged[-1]
    assert (last.true_plate("8ABC012"), last.true_state, last.judged_by) == ("BABC012", "US-NV", "reyes")


def test_a_disposition_that_contradicts_the_car_is_flagged(desk: Desk) -> None:
    ids, other = desk.hit(), desk.hit()
    desk.climbed(ids)
    desk.car(other, ("disposition", "not pursued"))
    desk.say(ids, "no longer wanted")
    desk.say(other, "not pursued")
    assert desk.get(ids).contradicted and not desk.get(other).contradicted
    assert desk.queue(standing="contradicted") == [ids[1]]
    with reading(desk.department.engine) as connection:
        details = connection.execute(select(audit.c.detail).where(audit.c.action == "hit.dispose"))
        assert [json.loads(row)["contradicts_car"] for row in details.scalars()] == [True, False]


def test_what_the_car_says_later_does_not_undo_the_department(desk: Desk) -> None:
    ids = desk.hit("8ABC012")
    desk.say(ids, "misread", true_plate="BABC012")
    desk.climbed(ids)
    hit = desk.get(ids)
    assert (hit.disposition, hit.standing, hit.contradicted) == ("misread", "closed", True)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"verdict": "arrested"}, "pick one of"),
        ({"verdict": "confirmed"}, "lacks or contradicts"),
        ({"verdict": "confirmed", "compared": True}, "lacks or contradicts"),
        ({"verdict": "confirmed", "clets": True}, "lacks or contradicts"),
        ({"verdict": "misread"}, "which plate the picture shows"),
        ({"verdict": "misread", "true_plate": "TEST123"}, "no misread"),
        ({"verdict": "misread", "true_plate": "X" * 17}, "at most 16"),
        ({"verdict": "wrong jurisdiction"}, "which state"),
        ({"verdict": "wrong jurisdiction", "true_state": "Q9"}, "US-NV"),
        ({"verdict": "not pursued", "outcome": "arrest"}, "confirmed hit alone"),
        ({"verdict": "not pursued", "outcome": "applause"}, "an outcome is one of"),
        ({"verdict": "not pursued", "note": "x" * 513}, "512"),
    ],
)
def test_what_is_not_as_the_rules_say_is_refused_and_recorded(
    desk: Desk, said: dict[str, object], why: str
) -> None:
    ids = desk.hit()
    with pytest.raises(HitRefusedError, match=why):
        desk.say(ids, **said)  # type: ignore[arg-type]
    assert audited(desk.department)[-1] == ("brandt", "hit.dispose", "refused")
    assert desk.get(ids).judged == () and desk.get(ids).standing == "open"


def test_a_hit_that_the_car_verified_is_confirmed_without_doing_it_again(desk: Desk) -> None:
    ids = desk.hit()
    desk.climbed(ids)
    desk.say(ids, "confirmed", outcome="recovered")
    assert desk.get(ids).standing == "closed"


@pytest.mark.parametrize("name", ["okafor", "lindgren"])
def test_auditors_and_technicians_say_nothing_of_hits(desk: Desk, name: str) -> None:
    ids = desk.hit()
    with pytest.raises(NotPermittedError):
        desk.say(ids, "not pursued", by=name)
    assert audited(desk.department)[-1] == (name, "hit.dispose", "refused")


def test_no_plate_stands_in_a_disposition_or_in_the_access_log(desk: Desk) -> None:
    ids = desk.hit("8ABC012")
    desk.say(ids, "misread", true_plate="BABC012")
    with reading(desk.department.engine) as connection:
        rows = [str(tuple(row)) for row in connection.execute(select(dispositions))]
        rows += [str(tuple(row)) for row in connection.execute(select(audit.c.detail))]
    assert not [row for row in rows if "ABC012" in row]


@pytest.mark.parametrize("table", ["dispositions", "correction_steps"])
def test_nobody_changes_or_removes_what_was_said(desk: Desk, table: str) -> None:
    ids = desk.hit()
    desk.say(ids, "no longer wanted")
    advance(
        desk.department.engine, "Stolen vehicle", "E1", state="sent", note="", actor=who("brandt"), now=NOW
    )
    for statement in (f"UPDATE {table} SET note = 'x'", f"DELETE FROM {table}"):
        with pytest.raises(DBAPIError, match="append-only"), writing(desk.department.engine) as connection:
            connection.execute(text(statement))


def test_no_longer_wanted_makes_a_ticket_for_the_lists_owner(desk: Desk) -> None:
    first, second, engine = desk.hit("8ABC012"), desk.hit(list_name="=Own list"), desk.department.engine
    desk.say(first, "no longer wanted")
    desk.car(second, ("disposition", "no longer wanted"))
    catch_up(engine)
    with reading(engine) as connection:
        found = tickets(connection)
    assert {(each.list_name, each.entry_id, each.state.value) for each in found} == {
        ("Stolen vehicle", "E1", "open"),
        ("=Own list", "E2", "open"),
    }
    with pytest.raises(HitRefusedError, match="it can be sent or dropped"):
        advance(engine, "Stolen vehicle", "E1", state="answered", note="", actor=who("brandt"), now=NOW)
    with pytest.raises(HitRefusedError, match="no hit of this entry"):
        advance(engine, "Stolen vehicle", "E9", state="sent", note="", actor=who("brandt"), now=NOW)
    with pytest.raises(NotPermittedError):
        advance(engine, "Stolen vehicle", "E1", state="sent", note="", actor=who("okafor"), now=NOW)
    for state, note in (("sent", ""), ("answered", "taken off")):
        advance(engine, "Stolen vehicle", "E1", state=state, note=note, actor=who("brandt"), now=NOW)
    with reading(engine) as connection:
        after = {each.entry_id: each for each in tickets(connection)}
    assert after["E1"].state is TicketState.ANSWERED and not after["E1"].listed_again
    rows = list(csv.reader(line for line in io.StringIO(as_csv(found, "D", "brandt", NOW)) if line[0] != "#"))
    assert rows[0][0] == "list" and {row[0] for row in rows[1:]} == {"Stolen vehicle", "'=Own list"}


def test_an_entry_listed_again_after_the_owners_answer_is_marked(desk: Desk) -> None:
    ids, engine = desk.hit(), desk.department.engine
    desk.say(ids, "no longer wanted")
    for state in ("sent", "answered"):
        before = NOW - timedelta(days=1)
        advance(engine, "Stolen vehicle", "E1", state=state, note="", actor=who("brandt"), now=before)
    with reading(engine) as connection:
        assert tickets(connection)[0].listed_again


def test_accuracy_counts_what_was_said_and_how_much_nobody_said(desk: Desk) -> None:
    for number in range(12):
        ids = desk.hit("8ABC012", camera="front" if number < 11 else "rear")
        if number < 4:
            desk.say(ids, "misread", true_plate="BABC012")
        elif number < 6:
            desk.say(ids, "wrong jurisdiction", true_state="NV")
        elif number < 8:
            desk.say(ids, "no longer wanted")
        else:
            desk.climbed(ids)
    desk.say(desk.hit(), "not pursued")
    desk.hit()
    found = measured(desk)
    whole = found.measured.whole
    assert (found.hits, found.without.count, found.not_pursued) == (14, 1, 1)
    assert (whole.judged, whole.right.count, whole.misread.count, whole.wrong_state.count) == (12, 6, 4, 2)
    by = {title: {row.name: row for row in rows} for title, rows in found.measured.by}
    assert by["Camera"]["unit-07, front"].judged == 11 and not by["Camera"]["unit-07, rear"].right.enough
    assert by["List"]["Stolen vehicle"].stale.count == 2
    assert list(by["Confidence of the weakest character"]) == ["0.90 to 0.95"]
    [eight] = found.measured.characters
    assert (eight.read, eight.wrong.count, eight.wrong.of, eight.taken_for) == ("8", 4, 12, (("B", 4),))


def test_a_misread_told_by_the_car_alone_says_nothing_of_characters(desk: Desk) -> None:
    desk.car(desk.hit(), ("disposition", "misread"))
    found = measured(desk)
    assert found.measured.whole.misread.count == 1 and found.measured.characters == ()


@pytest.mark.parametrize(
    ("confidence", "band"), [(0.0, "0.00 to 0.50"), (0.9, "0.90 to 0.95"), (1.0, "0.99 to 1.00")]
)
def test_each_confidence_is_in_one_band(confidence: float, band: str) -> None:
    assert band_of(confidence) == band


def test_a_sample_is_written_down_before_it_is_judged(desk: Desk) -> None:
    engine, actor = desk.department.engine, who("okafor", "quality-assurance")
    desk.hand_in([desk.read(plate=f"TEST{number:03}") for number in range(15)])
    assert draw(engine, DAY, 12, actor=actor, now=NOW) == 12
    assert draw(engine, DAY, 12, actor=who("brandt", "quality-assurance"), now=NOW) == 3
    said = [Said("misread", true_plate="X1"), Said("cannot be told"), *[Said("as read")] * 9]
    for each in said:
        with reading(engine) as connection:
            read = waiting(connection, "okafor").read
        assert read is not None
        judge(engine, read.read_id, each, actor, NOW)
    with reading(engine) as connection:
        left = waiting(connection, "okafor")
    assert left.left == 1
    found = measured(desk)
    assert (found.drawn, found.unjudged.count) == (15, 5)
    assert (found.sample.whole.judged, found.sample.whole.right.count) == (10, 9)
    assert found.measured.whole.judged == 0


def test_drawing_looks_through_the_period_without_the_writers_lock(desk: Desk) -> None:
    desk.hand_in([desk.read(f"AAA{number}") for number in range(3)])
    engine, seen = desk.department.engine, list[str]()

    @event.listens_for(engine, "before_cursor_execute")
    def _(_c: object, _u: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    assert draw(engine, DAY, 2, actor=who("brandt", "quality-assurance"), now=NOW) == 2
    locked = next(at for at, each in enumerate(seen) if "IMMEDIATE" in each or "advisory" in each)
    through = [at for at, each in enumerate(seen) if "FROM reads" in each and "reads.settled_at >=" in each]
    assert through and max(through) < locked


def test_only_what_was_drawn_is_judged_and_for_that_purpose_alone(desk: Desk) -> None:
    engine, read = desk.department.engine, desk.read()
    desk.hand_in([read])
    with pytest.raises(HitRefusedError, match="not drawn"):
        judge(engine, read.read_id, Said("as read"), who("brandt", "quality-assurance"), NOW)
    with pytest.raises(HitRefusedError, match="Quality assurance"):
        draw(engine, DAY, 5, actor=who("brandt"), now=NOW)
    with pytest.raises(NotPermittedError):
        draw(engine, DAY, 5, actor=who("lindgren", "quality-assurance"), now=NOW)
    with pytest.raises(HitRefusedError, match="31 days"):
        long = Period(NOW - timedelta(days=32), NOW)
        draw(engine, long, 5, actor=who("brandt", "quality-assurance"), now=NOW)


def test_a_corrected_read_is_not_drawn(desk: Desk) -> None:
    first = desk.read("TEST128")
    desk.hand_in([first, desk.read("TEST123", revises=first.read_id)])
    engine, actor = desk.department.engine, who("brandt", "quality-assurance")
    assert draw(engine, DAY, 5, actor=actor, now=NOW) == 1
    with reading(engine) as connection:
        read = waiting(connection, "brandt").read
        assert read is not None and read.plate == "TEST123"
        assert connection.execute(select(func.count()).select_from(dispositions)).scalar() == 1
