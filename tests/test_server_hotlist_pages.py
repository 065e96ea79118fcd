"""The pages on lists: who gets in, what is taken, that no person decides alone, one list at a time."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from httpx import Response
from sqlalchemy import text, update

from server import list_publishing
from server.database import reading, writing
from server.department import Department
from server.errors import HotlistRefusedError
from server.feed_journal import arrivals
from server.feed_pages import MAX_LIST_BYTES
from server.local_publishing import bring
from server.tables import local_entries, units
from tests.auditors import Browser
from tests.releases import NOW, PEOPLE, a_peopled_department, newest_entries
from tests.statuses import a_word

CSV = b"plate,state,list,reason,case\n8ABC012,CA,Stolen vehicle,taken,26-1\n7XY?99,CA,Felony,wanted,26-2\n"
PAGES = (
    "/hotlists",
    "/hotlists/import",
    "/hotlists/find",
    "/hotlists/urgent",
    "/hotlists/local",
    "/hotlists/units",
    "/hotlists/feeds/svs",
)
FORMS = (
    "/hotlists/publish",
    "/hotlists/pending/1/approve",
    "/hotlists/pending/1/reject",
    "/hotlists/local/offer",
    "/hotlists/local/refuse",
    "/hotlists/urgent",
    "/hotlists/urgent/end",
    "/hotlists/urgent/publish",
)
DO, SEE = {"brandt", "chief"}, {"brandt", "chief", "okafor"}
FOR_OFFICERS = {"/hotlists", "/hotlists/local"}


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_peopled_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def browser(department: Department) -> Iterator[Browser]:
    made = Browser(department, NOW)
    with made.runner:
        yield made


def log_in(browser: Browser, name: str) -> None:
    browser.log_in(name, purpose="")
    answer = browser.submit("/purpose", "/purpose", code="investigation", case_number="26-0042")
    assert answer.status_code == 303


def log_out(browser: Browser) -> None:
    assert browser.submit("/units", "/logout").status_code == 303


def form_token(browser: Browser) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', browser.get("/units").text)
    assert found is not None
    return found[1]


def bring_file(
    browser: Browser, content: bytes = CSV, *, name: str = "svs.csv", token: str = "", **fields: str
) -> Response:
    """Send the form with a file, as a browser does."""
    data = {"form_token": token or form_token(browser), **fields}
    files = {"file": (name, content, "text/csv")}
    return browser.runner.run(browser.client.post("/hotlists/import", data=data, files=files))


def later(browser: Browser, minutes: int = 1) -> None:
    browser.now += timedelta(minutes=minutes)


def many(count: int) -> bytes:
    rows = "".join(f"TST{number:04},CA,Stolen vehicle,taken,26-1\n" for number in range(count))
    return f"plate,state,list,reason,case\n{rows}".encode()


def entries_of(department: Department, feed: str) -> int:
    return next((each.entries for each in department.hotlists.feeds() if each.feed == feed), 0)


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_to_who_is_not_logged_in(browser: Browser, path: str) -> None:
    assert browser.get(path).headers["location"] == "/login"


@pytest.mark.parametrize("name", sorted(PEOPLE))
def test_each_page_is_for_its_roles_alone_and_each_look_is_recorded(
    browser: Browser, department: Department, name: str
) -> None:
    log_in(browser, "brandt")
    bring_file(browser)
    log_out(browser)
    browser.log_in(name, purpose="audit")
    for path in PAGES:
        answer = browser.get(path)
        officer = PEOPLE[name].value == "officer"
        may = PEOPLE[name].value in ("supervisor", "admin", "auditor") or (officer and path in FOR_OFFICERS)
        assert answer.status_code == (200 if may else 403), path
        newest = newest_entries(department, 1)[0]
        assert (newest[0], newest[2]) == (name, "success" if may else "refused"), path


@pytest.mark.parametrize("name", ["reyes", "okafor", "lindgren"])
def test_who_only_looks_changes_nothing_by_any_form(
    browser: Browser, department: Department, name: str
) -> None:
    browser.log_in(name, purpose="audit")
    token = form_token(browser)
    for path in FORMS:
        assert browser.post(path, form_token=token, plate="8ABC012", reason="x").status_code == 403, path
        assert newest_entries(department, 1)[0][2] == "refused"
    assert bring_file(browser).status_code == 403
    assert department.hotlists.feeds() == [] and department.hotlists.newest() is None
    page = browser.get("/hotlists").text
    if name == "reyes":
        assert "Publish all feeds" not in page and "Feeds" not in page


def test_a_form_of_another_site_is_refused(browser: Browser, department: Department) -> None:
    log_in(browser, "brandt")
    for path in (*FORMS, "/hotlists/find"):
        assert browser.post(path, form_token="guessed", plate="8ABC012").status_code == 403, path
    assert bring_file(browser, token="guessed").status_code == 403
    assert department.hotlists.feeds() == []


def test_a_file_is_imported_and_its_report_shows_what_became_of_each_row(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    answer = bring_file(browser, CSV + b"9A!C1,CA,Felony,damaged,\n8ABC012,CA,Stolen vehicle,taken,26-1\n")
    assert (answer.status_code, answer.headers["location"]) == (303, "/hotlists/feeds/svs")
    page = browser.get("/hotlists/feeds/svs").text
    assert "<strong>2</strong> rows taken" in page and "<strong>1</strong> refused" in page
    assert "<strong>1</strong> duplicates" in page
    assert re.search(r'Stolen vehicle</td><td class="number">1<', page)
    assert "in force" in page and "8ABC012" not in page
    [arrival] = arrivals(department.folder.hotlists, "svs")
    assert arrival.by == "brandt" and arrival.how["form"] == "csv"
    assert "svs" in browser.get("/hotlists").text


@pytest.mark.parametrize(
    ("content", "fields", "said"),
    [
        (CSV[:-20] + b',"cut in the middle', {}, "refused"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), {}, "refused"),
        (CSV, {"form": "ncic"}, "refused"),
        (CSV, {"columns": "plate=NO_SUCH"}, "refused"),
        (b"", {}, "holds something"),
        (CSV, {"form": "../../etc"}, "one of csv"),
        (CSV, {"columns": "rubbish"}, "write FIELD=COLUMN"),
        (CSV, {"timezone": "../../etc/passwd"}, "America/Los_Angeles"),
        (CSV, {"feed": "../../keys"}, "a-z, 0-9 and hyphens"),
        (CSV, {"feed": "urgent-local"}, "own, of officers"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_changes_nothing_and_says_why(
    browser: Browser, department: Department, content: bytes, fields: dict[str, str], said: str
) -> None:
    log_in(browser, "brandt")
    bring_file(browser)
    later(browser)
    answer = bring_file(browser, content, **fields)
    assert answer.status_code == 422 and 'role="alert"' in answer.text
    assert "8ABC012" not in answer.text
    assert [(each.feed, each.entries) for each in department.hotlists.feeds()] == [("svs", 2)]
    if said == "refused":
        assert newest_entries(department, 2)[0][1:3] == ("hotlist.import", "refused")
        assert ">refused<" in browser.get("/hotlists/feeds/svs").text
    else:
        assert said in answer.text


# Starlette leaves the started file of such a body to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_body_that_is_cut_off_changes_nothing(browser: Browser, department: Department) -> None:
    log_in(browser, "brandt")
    token = form_token(browser)
    part = "--b\r\nContent-Disposition: form-data; name="
    body = (f'{part}"form_token"\r\n\r\n{token}\r\n{part}"file"; filename="svs.csv"\r\n\r\n').encode() + CSV[
        :40
    ]
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = browser.runner.run(browser.client.post("/hotlists/import", content=body, headers=headers))
    assert answer.status_code in (403, 422)
    assert department.hotlists.feeds() == []


def test_a_file_larger_than_a_browser_may_send_is_refused_with_what_to_do(browser: Browser) -> None:
    log_in(browser, "brandt")
    answer = bring_file(browser, bytes(MAX_LIST_BYTES + 1))
    assert answer.status_code == 422 and "alpr-server hotlist import" in answer.text
    assert bring_file(browser, bytes(MAX_LIST_BYTES + 200_000)).status_code == 413


@pytest.mark.parametrize("name", ["../../keys/ca.pem", "/etc/passwd", "..\\x.csv", "<b>.csv", "a\nb.csv"])
def test_the_name_of_an_upload_leads_nowhere(browser: Browser, department: Department, name: str) -> None:
    log_in(browser, "brandt")
    before = {path for path in department.folder.root.rglob("*") if path.is_file()}
    assert bring_file(browser, name=name, feed="svs").status_code == 303
    new = {path for path in department.folder.root.rglob("*") if path.is_file()} - before
    assert {
        str(path.relative_to(department.folder.hotlists)) for path in new if "sqlite" not in path.name
    } == {
        "feeds/svs.jsonl",
        "reports/svs.json",
    }
    assert "<b>" not in browser.get("/hotlists/feeds/svs").text


def test_a_file_that_loses_most_of_a_feed_waits_for_another_person(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    bring_file(browser, many(100))
    later(browser)
    assert bring_file(browser, many(10)).status_code == 303
    page = browser.get("/hotlists").text
    assert "would go from 100 to 10 entries" in page and "another person approves it" in page
    assert "90 entries go, 0 come: another person must approve." in page
    assert "/hotlists/pending/1/approve" not in page
    answer = browser.submit("/hotlists", "/hotlists/pending/1/approve")
    assert answer.status_code == 422 and "another person must approve it" in answer.text
    assert entries_of(department, "svs") == 100
    assert ("brandt", "hotlist.approve", "refused") in [each[:3] for each in newest_entries(department)]
    log_out(browser)
    log_in(browser, "tanaka")
    assert browser.submit("/hotlists", "/hotlists/pending/1/approve").status_code == 303
    assert entries_of(department, "svs") == 10
    assert browser.submit("/hotlists", "/hotlists/pending/1/approve").status_code == 422


def test_what_waits_can_be_refused_and_is_not_applied(browser: Browser, department: Department) -> None:
    log_in(browser, "brandt")
    bring_file(browser, many(100))
    later(browser)
    bring_file(browser, many(10))
    assert browser.submit("/hotlists", "/hotlists/pending/1/reject").status_code == 303
    assert department.hotlists.pending() == [] and entries_of(department, "svs") == 100
    assert "was not applied" in browser.get("/hotlists/feeds/svs").text


def test_the_list_is_published_and_the_page_says_which_and_by_whom(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    assert "disabled>Publish all feeds" in browser.get("/hotlists").text
    bring_file(browser)
    later(browser)
    assert (
        browser.submit("/hotlists", "/hotlists/publish", expires_days="3").headers["location"] == "/hotlists"
    )
    newest = department.hotlists.newest()
    assert newest is not None and newest.sequence == 1
    assert newest.expires_at == (browser.now + timedelta(days=3)).replace(microsecond=0)
    page = browser.get("/hotlists").text
    assert "List 1 is published: 2 entries." in page and "by brandt" in page and newest.sha256 in page
    actions = [each[:3] for each in newest_entries(department, 5)]
    assert ("brandt", "hotlists.publish", "success") in actions
    assert ("brandt", "hotlist.publish", "success") in actions


@pytest.mark.parametrize("days", ["0", "3651", "x", "-1"])
def test_a_list_is_good_for_a_day_to_ten_years(browser: Browser, department: Department, days: str) -> None:
    log_in(browser, "brandt")
    bring_file(browser)
    assert browser.submit("/hotlists", "/hotlists/publish", expires_days=days).status_code == 422
    assert department.hotlists.newest() is None


def test_only_one_list_is_made_at_a_time_and_the_page_says_that_it_is_being_made(
    browser: Browser, department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(browser, "brandt")
    bring_file(browser)
    later(browser)
    begun, go_on = threading.Event(), threading.Event()
    whole = type(department.hotlists).publish

    def slowly(*arguments: object, **named: object) -> object:
        begun.set()
        assert go_on.wait(30)
        return whole(*arguments, **named)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(type(department.hotlists), "publish", slowly)
    try:
        answer = browser.submit("/hotlists", "/hotlists/publish")
        assert begun.is_set() and answer.headers["location"] == "/hotlists/making"
        making = browser.get("/hotlists/making")
        assert "The list is being made" in making.text and making.headers["refresh"] == "3"
        again = browser.submit("/hotlists", "/hotlists/publish")
        assert again.status_code == 409 and "wait until it is done" in again.text
        with pytest.raises(HotlistRefusedError, match="being made"):  # nor does a command
            list_publishing.publish_list(
                department, expires_at=NOW + timedelta(days=1), actor="console:x", now=browser.now
            )
        later(browser, 11)
        assert "refresh" not in browser.get("/hotlists/making").headers
    finally:
        go_on.set()
        browser.client._transport.app.state.publish_job.wait()  # type: ignore[attr-defined]  # httpx hides it
    assert browser.get("/hotlists/making").headers["location"] == "/hotlists"
    newest = department.hotlists.newest()
    assert newest is not None and newest.sequence == 1


def test_a_publication_that_loses_too_much_is_approved_by_another_person_on_the_page(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    bring_file(browser, many(100))
    later(browser)
    browser.submit("/hotlists", "/hotlists/publish")
    for count in (60, 35, 20):  # none of them loses half
        later(browser)
        bring_file(browser, many(count))
    later(browser)
    answer = browser.submit("/hotlists", "/hotlists/publish")
    assert answer.status_code == 422 and "from 100 to 20 entries (80 go, 0 come)" in answer.text
    number = department.hotlists.pending()[0].pending_id
    log_out(browser)
    log_in(browser, "chief")
    later(browser)
    assert browser.submit("/hotlists", f"/hotlists/pending/{number}/approve").status_code == 303
    newest = department.hotlists.newest()
    assert newest is not None and newest.entries == 20


def test_a_plate_is_found_on_the_lists_after_a_purpose_and_the_search_is_recorded(
    browser: Browser, department: Department
) -> None:
    browser.log_in("brandt", purpose="")
    assert browser.get("/hotlists/find").headers["location"] == "/purpose"
    assert browser.submit("/purpose", "/hotlists/find", plate="8ABC012").headers["location"] == "/purpose"
    browser.submit("/purpose", "/purpose", code="investigation", case_number="26-0042")
    bring_file(browser)
    for plate, found in (("8abc-o12", "8ABC012"), ("7XYA99", "7XY?99"), ("9ZZZ999", "")):
        answer = browser.submit("/hotlists/find", "/hotlists/find", plate=plate)
        assert re.findall(r'<span class="plate">([^<]+)', answer.text) == ([found] if found else [])
        assert newest_entries(department, 1)[0][1] == "hotlists.find"
        assert plate in newest_entries(department, 1)[0][3]
    assert browser.submit("/hotlists/find", "/hotlists/find", plate="--").status_code == 422
    with reading(department.engine) as connection:
        row = connection.execute(
            text("SELECT purpose, case_number, source FROM audit ORDER BY sequence DESC LIMIT 1")
        )
        assert row.one()[:2] == ("investigation", "26-0042")


def test_entries_of_a_list_hidden_from_a_role_are_not_found_by_it(
    department: Department,
) -> None:
    hotlist = replace(department.settings.hotlist, hidden_from={"stolen*": ("auditor",)})
    hidden = replace(department, settings=replace(department.settings, hotlist=hotlist))
    browser = Browser(hidden, NOW)
    with browser.runner:
        log_in(browser, "brandt")
        bring_file(browser)
        assert "8ABC012</span>" in browser.submit("/hotlists/find", "/hotlists/find", plate="8ABC012").text
        log_out(browser)
        log_in(browser, "okafor")
        page = browser.submit("/hotlists/find", "/hotlists/find", plate="8ABC012").text
    assert "8ABC012</span>" not in page and "may not see are left out" in page


def test_an_alert_is_put_out_by_one_person_and_ended_by_one_at_once(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    put = {"plate": "9amb001", "state": "CA", "reason": "child taken", "hours": "6"}
    assert browser.submit("/hotlists/urgent", "/hotlists/urgent", **put).status_code == 303
    header = department.publications.urgent(department.keys)
    assert header is not None and (header.sequence, header.count) == (1, 1)
    page = browser.get("/hotlists/urgent").text
    assert '<span class="plate">9AMB001' in page
    entry = re.search(r'name="entry" value="([^"]+)"', page)
    assert entry is not None
    later(browser)
    ended = browser.submit("/hotlists/urgent", "/hotlists/urgent/end", feed="urgent-by-hand", entry=entry[1])
    assert ended.status_code == 303
    header = department.publications.urgent(department.keys)
    assert header is not None and (header.sequence, header.count) == (2, 0)
    assert department.hotlists.pending() == []
    again = browser.submit("/hotlists/urgent", "/hotlists/urgent/end", feed="urgent-by-hand", entry=entry[1])
    assert again.status_code == 422


@pytest.mark.parametrize(
    "fields",
    [
        {"plate": "", "reason": "x"},
        {"plate": "A*", "reason": "x"},
        {"plate": "9AMB001", "reason": " "},
        {"plate": "9AMB001", "reason": "x", "state": "Nowhere"},
        {"plate": "9AMB001", "reason": "x", "hours": "721"},
        {"plate": "9AMB001", "reason": "x", "hours": "0"},
    ],
)
def test_an_alert_that_cannot_be_one_is_not_put_out(
    browser: Browser, department: Department, fields: dict[str, str]
) -> None:
    log_in(browser, "brandt")
    assert browser.submit("/hotlists/urgent", "/hotlists/urgent", **fields).status_code == 422
    assert department.publications.urgent(department.keys) is None and department.hotlists.feeds() == []


def put_on_unit(department: Department, officer: str, entry_id: str, plate: str) -> None:
    row = {
        **{"unit_id": "unit-07", "entry_id": entry_id, "pattern": plate, "priority": 3, "officer": officer},
        **{"purpose": "investigation", "case_number": "26-9", "added_at": NOW, "state": "held"},
        "expires_at": NOW + timedelta(days=3),
    }
    with writing(department.engine) as connection:
        connection.execute(local_entries.insert().values(row))


def test_a_local_entry_is_offered_to_all_units_withdrawn_and_seen_by_its_officer(
    browser: Browser, department: Department
) -> None:
    put_on_unit(department, "reyes", "local-1", "5LOC001")
    put_on_unit(department, "brandt", "local-2", "5LOC002")
    log_in(browser, "brandt")
    page = browser.get("/hotlists/local").text
    assert "5LOC001" in page and "5LOC002" in page and "another person offers it" in page
    own = browser.submit("/hotlists/local", "/hotlists/local/offer", unit="unit-07", entry="local-2")
    assert own.status_code == 422 and "somebody else must offer it" in own.text
    offered = browser.submit("/hotlists/local", "/hotlists/local/offer", unit="unit-07", entry="local-1")
    assert offered.status_code == 303
    assert bring(department, actor="server", now=browser.now)
    assert "offered to all units" in browser.get("/hotlists/local").text
    withdrawn = browser.submit("/hotlists/local", "/hotlists/local/refuse", unit="unit-07", entry="local-1")
    assert withdrawn.status_code == 303
    missing = browser.submit("/hotlists/local", "/hotlists/local/offer", unit="unit-07", entry="nothing")
    assert missing.status_code == 422
    log_out(browser)
    log_in(browser, "reyes")
    page = browser.get("/hotlists/local").text
    assert "5LOC001" in page and "5LOC002" not in page


def test_the_page_says_which_list_each_unit_said_to_have(browser: Browser, department: Department) -> None:
    log_in(browser, "brandt")
    assert "said nothing yet" in browser.get("/hotlists/units").text
    bring_file(browser)
    later(browser)
    browser.submit("/hotlists", "/hotlists/publish")
    for status, said in (
        (a_word(list_sequence=1).decode(), "newest"),
        (a_word(list_sequence=0).decode(), "has no list"),
        (a_word(list_sequence=1, list_stale=True).decode(), "too old"),
        ("[]", "said nothing"),  # not as a unit says it
        ("{", "said nothing"),
    ):
        with writing(department.engine) as connection:
            connection.execute(update(units).values(status=status, status_at=NOW))
        assert said in browser.get("/hotlists/units").text
