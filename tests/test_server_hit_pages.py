"""The pages on hits, accuracy and samples as a browser sees them, and the commands beside them."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from hotlist_cache.hit import StateMatch
from server.cli import app
from server.database import reading
from server.errors import HitRefusedError
from server.list_visibility import ListVisibility
from server.tables import audit
from tests.departments import PASSWORD, audited
from tests.hits import NOW, Desk, a_desk
from tests.test_server_pages import Browser


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = a_desk(tmp_path)
    yield made
    made.department.engine.dispose()


@pytest.fixture
def browser(desk: Desk) -> Iterator[Browser]:
    made = Browser(desk.department)
    with made.runner:
        yield made


def at_work(browser: Browser, name: str = "brandt", purpose: str = "hit-verification") -> Browser:
    browser.log_in(name, PASSWORD)
    browser.state_purpose(purpose, "")
    return browser


def shown(desk: Desk) -> list[dict[str, object]]:
    with reading(desk.department.engine) as connection:
        return [json.loads(row) for row in connection.execute(select(audit.c.detail)).scalars()]


def test_hits_are_shown_only_after_a_purpose_and_never_to_technicians(browser: Browser, desk: Desk) -> None:
    ids = desk.hit()
    browser.log_in("brandt")
    for path in ("/hits", f"/hits/{ids[0]}/{ids[1]}", "/hits/corrections", "/hits/sample"):
        assert browser.get(path).headers["location"] == "/purpose", path
    browser.submit("/units", "/logout")
    browser.log_in("lindgren")
    assert browser.get("/hits").status_code == 403


def test_the_queue_compares_character_by_character_and_is_recorded_first(
    browser: Browser, desk: Desk
) -> None:
    ids = desk.hit("8ABC012", "BABC012", state=StateMatch.DIFFERENT)
    page = at_work(browser).get("/hits").text
    assert re.findall(r'<td class="differs"[^>]*>(\w)</td>', page) == ["8", "B"]
    assert "another than listed" in page and "list 5.0 h old by then" in page and "unverified" in page
    assert audited(desk.department)[-1] == ("brandt", "hits.list", "success")
    assert shown(desk)[-1]["shown"] == [ids[0]]


def test_no_address_of_these_pages_has_a_plate_in_it(browser: Browser, desk: Desk) -> None:
    ids = desk.hit("8ABC012", "BABC012")
    desk.say(ids, "no longer wanted")
    at_work(browser)
    for path in ("/hits", f"/hits/{ids[0]}/{ids[1]}", "/hits/corrections", "/hits/accuracy"):
        page = browser.get(path).text
        assert not [link for link in re.findall(r'(?:href|action)="([^"]*)"', page) if "ABC012" in link]


def test_filters_travel_in_a_form(browser: Browser, desk: Desk) -> None:
    desk.hit(list_name="Amber alert")
    desk.hit("OTHER99", list_name="Supervised release")
    at_work(browser)
    page = browser.submit("/hits", "/hits", standing="all", list_name="Amber alert", priority="high").text
    assert page.count('<li class="card hit-card') == 1 and "OTHER99" not in page
    for wrong in ({"standing": "gone"}, {"priority": "huge"}, {"since": "yesterday"}):
        assert browser.submit("/hits", "/hits", **wrong).status_code == 422


def test_a_misread_is_written_down_and_shown_with_the_true_plate(browser: Browser, desk: Desk) -> None:
    ids = desk.hit("8ABC012")
    desk.car(ids, ("plate", "same"), ("disposition", "not pursued"))
    at_work(browser)
    path = f"/hits/{ids[0]}/{ids[1]}"
    page = browser.get(path).text
    assert "Verified in the car" in page and "tanaka" in page
    answer = browser.submit(path, path, verdict="misread", true_plate="babc012", note="glare")
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    page = browser.get(path).text
    assert "<code>BABC012</code>" in page and "glare" in page
    assert "The department says “misread”, the car said “not pursued”" in page


def test_a_refused_disposition_says_why_and_the_page_stays(browser: Browser, desk: Desk) -> None:
    ids = desk.hit()
    at_work(browser)
    path = f"/hits/{ids[0]}/{ids[1]}"
    answer = browser.submit(path, path, verdict="confirmed", note="seen twice", outcome="citation")
    assert answer.status_code == 422 and "ask CLETS" in answer.text
    assert 'value="confirmed" required checked' in answer.text and 'value="seen twice"' in answer.text
    assert "<option selected>citation</option>" in answer.text
    assert browser.get("/hits/no-read/no-hit").status_code == 404


def test_who_did_not_see_another_ones_answer_is_asked_to_look_again(browser: Browser, desk: Desk) -> None:
    ids = desk.hit()
    at_work(browser)
    path = f"/hits/{ids[0]}/{ids[1]}"
    desk.say(ids, "not pursued", by="reyes")
    answer = browser.submit(path, path, verdict="no longer wanted", seen="0 0")
    assert answer.status_code == 409 and desk.get(ids).disposition == "not pursued"


def test_an_auditor_sees_a_hit_and_says_nothing(browser: Browser, desk: Desk) -> None:
    ids = desk.hit()
    at_work(browser, "okafor")
    path = f"/hits/{ids[0]}/{ids[1]}"
    assert "Write it down" not in browser.get(path).text
    assert browser.submit("/hits", path, verdict="not pursued").status_code == 403


def test_a_correction_is_sent_answered_and_exported(browser: Browser, desk: Desk) -> None:
    ids = desk.hit("8ABC012")
    desk.say(ids, "no longer wanted")
    at_work(browser)
    where = "/hits/corrections"
    assert "8ABC012" in browser.get(where).text
    form = {"list_name": "Stolen vehicle", "entry_id": "E1"}
    assert browser.submit(where, f"{where}/advance", **form, state="answered").status_code == 422
    assert browser.submit(where, f"{where}/advance", **form, state="sent", note="by mail").status_code == 303
    file = browser.submit(where, where)
    assert "attachment" in file.headers["content-disposition"] and "8ABC012" in file.text
    assert "sent" in file.text and audited(desk.department)[-1][1] == "hits.export_corrections"


def test_accuracy_withholds_shares_of_few_cases_and_says_how_many_said_nothing(
    browser: Browser, desk: Desk
) -> None:
    desk.say(desk.hit("8ABC012"), "misread", true_plate="BABC012")
    desk.hit()
    at_work(browser)
    page = browser.get("/hits/accuracy").text
    assert "too few" in page and "of 2 hits without a disposition" in page and "100 %" not in page
    file = browser.submit("/hits/accuracy", "/hits/accuracy", kind="json")
    told = json.loads(file.text)
    assert told["hits_without_disposition"] == 1 and told["of_hits"]["all"]["misread"]["share"] is None
    assert "ABC012" not in file.text
    assert "hits,all,all,1" in browser.submit("/hits/accuracy", "/hits/accuracy", kind="csv").text
    assert browser.submit("/hits/accuracy", "/hits/accuracy", since="soon").status_code == 422


def test_a_sample_needs_its_own_purpose_and_leads_from_one_read_to_the_next(
    browser: Browser, desk: Desk
) -> None:
    before = NOW - timedelta(hours=1)  # the browser's now may be some moments older than ours
    desk.hand_in([desk.read("AAA111", at=before), desk.read("BBB222", at=before)])
    at_work(browser)
    page = browser.get("/hits/sample").text
    assert "Another purpose is needed" in page and "AAA111" not in page
    browser.state_purpose("quality-assurance", "")
    assert browser.submit("/hits/sample", "/hits/sample", count="10").status_code == 303
    for left in (2, 1):
        page = browser.get("/hits/sample").text
        assert f"{left} to judge" in page
        [read_id] = re.findall(r'name="read_id" value="([^"]+)"', page)
        answer = browser.submit("/hits/sample", "/hits/sample/judge", read_id=read_id, verdict="as read")
        assert answer.status_code == 303
    assert "Draw some" in browser.get("/hits/sample").text
    page = browser.submit("/hits/sample", "/hits/sample", count="10").text
    assert "Nothing was drawn" in page


def test_what_a_list_says_is_withheld_from_who_may_not_see_it(browser: Browser, desk: Desk) -> None:
    ids = desk.hit("8ABC012", "BABC012", list_name="Federal list")
    desk.say(ids, "no longer wanted")
    shop: Any = browser.client._transport
    visibility = ListVisibility({"federal*": ("officer",)})
    shop.app.state.desk = replace(shop.app.state.desk, lists=visibility)
    at_work(browser, "reyes")
    pages = [browser.get(f"/hits/{ids[0]}/{ids[1]}").text]
    pages += [browser.submit("/hits", "/hits", standing="all").text]
    pages += [browser.get(path).text for path in ("/hits/corrections", "/hits/accuracy")]
    pages += [browser.submit("/hits", "/hits/corrections").text]
    assert "Withheld list" in pages[0] and "Withheld list" in pages[1]
    for page in pages:
        assert "Federal list" not in page and "BABC012" not in page and "E1" not in page
    assert browser.submit("/hits", "/hits", list_name="Federal list").status_code == 422
    form = {"list_name": "Federal list", "entry_id": "E1", "state": "sent"}
    assert browser.submit("/hits", "/hits/corrections/advance", **form).status_code == 403
    browser.submit("/units", "/logout")
    at_work(browser, "brandt")
    assert "BABC012" in browser.get("/hits/corrections").text


def run(desk: Desk, *arguments: str, typed: str = "") -> str:
    root = ["--department", str(desk.department.folder.root)]
    done = CliRunner().invoke(app, ["hits", *arguments, *root], input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_the_commands_do_what_the_pages_do(desk: Desk, tmp_path: Path) -> None:
    ids, other = desk.hit("8ABC012"), desk.hit("8ABC013")
    assert "8ABC012 / 8ABC012" in run(desk, "list") and "no hit fits" in run(
        desk, "list", "--priority", "low"
    )
    typed = run(desk, "dispose", *ids, "--verdict", "misread", typed="BABC012\n")
    assert "misread" in typed and "BABC012" not in typed
    assert "plate BABC012" in run(desk, "show", ids[0])
    run(desk, "dispose", *other, "--verdict", "no longer wanted")
    out = tmp_path / "corrections.csv"
    assert "1 entries" in run(desk, "corrections", "--out", str(out)) and "8ABC013" in out.read_text()
    run(desk, "corrections", "--to", "sent", "--list", "Stolen vehicle", "--entry", "E2")
    assert "sent" in run(desk, "corrections")
    assert "too few" in run(desk, "accuracy")
    assert json.loads(run(desk, "accuracy", "--json"))["hits"] == 2
    assert run(desk, "accuracy", "--csv").startswith("# ")
    done = [action for _, action, _ in audited(desk.department)]
    assert {"hits.list", "hit.view", "hit.dispose", "hits.accuracy", "hits.view_corrections"} <= set(done)
    for wrong in (["list", "--priority", "huge"], ["list", "--standing", "gone"], ["show", "no-read"]):
        with pytest.raises(HitRefusedError):
            run(desk, *wrong)
