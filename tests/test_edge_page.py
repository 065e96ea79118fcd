"""The officers' page as a browser sees it: who gets in, what each role opens, what is written down."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from edge.page_config import PageConfig
from edge.window import WindowRead
from hotlist_cache.hit import StateMatch
from sync.access_log import open_detail
from sync.config import RetentionConfig
from sync.roster import Role
from tests.clocks import START
from tests.fakes import a_read
from tests.pages import PASSWORD, PEOPLE, UNIT, Browser, Page, a_roster, an_alert


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    made = Page(tmp_path)
    yield made
    made.close()


PAGES = (
    "/",
    "/now",
    "/hits",
    "/hits/hit-1",
    "/lookup",
    "/entries",
    "/status",
    "/log",
    "/incident",
    "/logout",
)
FORMS = (
    *("/logout", "/palette", "/lookup", "/purpose", "/purpose/new", "/hits/hit-1/answer"),
    *(
        "/hits/hit-1/suppress",
        "/entries/add",
        "/entries/remove",
        "/suppressions/approve",
        "/suppressions/lift",
        "/incident/begin",
        "/incident/end",
    ),
)


# -- who gets in --


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_to_who_is_not_logged_in(page: Page, path: str) -> None:
    response = page.browser().get(path)
    assert (response.status_code, response.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("path", FORMS)
def test_no_form_is_taken_from_who_is_not_logged_in(page: Page, path: str) -> None:
    response = page.browser().post(path, form_token="x")
    assert (response.status_code, response.headers["location"]) == (303, "/login")


def test_the_login_page_carries_the_use_banner(page: Page) -> None:
    text = page.browser().get("/login").text
    assert "Official use only" in text and "consent to monitoring" in text


def test_login_leads_to_the_hits_and_is_logged(page: Page) -> None:
    browser = page.logged_in("reyes")
    assert browser.get("/").headers["location"] == "/now"
    assert browser.get("/now").status_code == 200
    assert page.logged()[0] == ("reyes", "login", "success")


def test_a_unit_without_a_roster_lets_nobody_in_and_says_why(page: Page) -> None:
    page.rosters.roster = None
    browser = page.browser()
    assert "no roster of users yet" in browser.get("/login").text
    assert browser.log_in("reyes").status_code == 401


def test_a_roster_that_has_run_out_lets_nobody_in(page: Page) -> None:
    browser = page.logged_in("reyes")
    page.clock.advance(35 * 86400)
    assert browser.get("/now").headers["location"] == "/login"
    assert "has run out" in browser.get("/login").text
    assert browser.log_in("reyes").status_code == 401


@pytest.mark.parametrize(("name", "password"), [("reyes", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_wrong_name_and_wrong_password_get_the_same_answer(page: Page, name: str, password: str) -> None:
    response = page.browser().log_in(name, password)
    assert response.status_code == 401
    assert "Name or password is wrong, or the account is locked" in response.text


def test_a_name_that_is_none_is_not_written_down(page: Page) -> None:
    page.browser().log_in("my-password-in-the-wrong-field", "x")
    entry = page.entries()[-1]
    assert (entry.actor, entry.action, entry.outcome) == ("unknown", "login", "refused")
    assert "wrong-field" not in str(entry)


def test_five_wrong_passwords_lock_the_name_also_over_a_restart(page: Page) -> None:
    for _ in range(5):
        page.browser().log_in("reyes", "wrong")
    page.log.close()
    page.start()
    response = page.browser().log_in("reyes")
    assert response.status_code == 401 and "locked for some minutes" in response.text
    assert page.entries()[-1].detail["why"] == "account is locked"
    assert page.browser().log_in("tanaka").status_code == 303
    page.clock.advance(15 * 60)
    assert page.browser().log_in("reyes").status_code == 303


def test_four_wrong_passwords_do_not_lock_and_a_right_one_forgives_them(page: Page) -> None:
    for _ in range(2):
        for _ in range(4):
            page.browser().log_in("reyes", "wrong")
        assert page.browser().log_in("reyes").status_code == 303


def test_a_wrong_password_that_cannot_be_counted_gets_nobody_further(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.page_lockouts.write_sealed", full)
    response = page.browser().log_in("reyes", "wrong")
    assert response.status_code == 503 and "cannot be counted" in response.text


@pytest.mark.parametrize("path", ["/login", "/purpose"])
def test_a_form_with_a_file_or_asked_for_in_another_way_is_not_understood(page: Page, path: str) -> None:
    browser = page.browser()
    sending = browser.client.post(path, files={"name": ("a", b"x")})
    assert page.runner.run(sending).status_code in (303, 400)
    assert page.runner.run(browser.client.delete(path)).status_code == 405


def test_attempts_while_locked_do_not_lengthen_the_lock(page: Page) -> None:
    for _ in range(5):
        page.browser().log_in("reyes", "wrong")
    page.clock.advance(14 * 60)
    page.browser().log_in("reyes", "wrong")
    page.clock.advance(60)
    assert page.browser().log_in("reyes").status_code == 303


def test_every_attempt_hashes_once_and_writes_the_count_once(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge import page_accounts, page_lockouts
    from hotlist_cache.sealed_file import write_sealed

    done: list[str] = []
    verify = page_accounts._verify

    def verifying(hashed: str, password: str) -> bool:
        done.append("hash")
        return verify(hashed, password)

    def writing(*arguments: object) -> None:
        done.append("write")
        write_sealed(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(page_accounts, "_verify", verifying)
    monkeypatch.setattr(page_lockouts, "write_sealed", writing)
    for _ in range(5):
        page.browser().log_in("reyes", "wrong")
    done.clear()
    for name in ("reyes", "nobody", "tanaka"):  # locked, unknown, wrong password
        page.browser().log_in(name, "wrong")
    assert done == ["hash", "write"] * 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training_expires": START.date()}, "training on record expired on 2026-06-01"),
        ({"disabled": True}, "the account is disabled"),
    ],
)
def test_lapsed_training_is_told_only_to_who_knows_the_password(
    page: Page, changes: dict[str, Any], said: str
) -> None:
    page.rosters.roster = a_roster(**changes)
    assert said not in page.browser().log_in("reyes", "wrong").text
    response = page.browser().log_in("reyes")
    assert response.status_code == 401 and said in response.text
    assert page.logged()[-1] == ("reyes", "login", "refused")


def test_training_that_lapses_in_the_middle_of_a_shift_ends_the_session(page: Page) -> None:
    page.rosters.roster = a_roster(training_expires=date(2026, 6, 2))
    browser = page.logged_in("reyes")
    page.clock.advance(11.9 * 3600)
    assert browser.get("/unlock").status_code == 200
    page.clock.advance(0.2 * 3600)
    assert browser.get("/now").headers["location"] == "/login"
    assert page.logged()[-1] == ("reyes", "session.end", "success")


def test_who_leaves_the_roster_is_out_at_once(page: Page) -> None:
    browser = page.logged_in("reyes")
    roster = a_roster(2)
    page.rosters.roster = replace(roster, users=tuple(u for u in roster.users if u.name != "reyes"))
    assert browser.get("/now").headers["location"] == "/login"


def test_no_account_comes_with_the_unit(page: Page) -> None:
    page.rosters.roster = replace(a_roster(), users=())
    for name in ("admin", "root", "alpr", "officer", ""):
        assert page.browser().log_in(name, name).status_code == 401


# -- sessions --


def test_login_gives_a_secret_of_its_own_and_not_the_one_that_was_planted(page: Page) -> None:
    browser = page.browser()
    browser.client.cookies.set("__Host-alpr-unit", "planted")
    response = browser.log_in("reyes")
    assert "planted" not in str(response.headers.get_list("set-cookie"))
    other = page.browser()
    other.client.cookies.set("__Host-alpr-unit", "planted")
    assert other.get("/now").headers["location"] == "/login"


def test_unlocking_changes_the_secret(page: Page) -> None:
    browser = page.logged_in("reyes")
    before = browser.client.cookies["__Host-alpr-unit"]
    page.clock.advance(31 * 60)
    browser.submit("/unlock", "/unlock", password=PASSWORD)
    assert browser.client.cookies["__Host-alpr-unit"] != before
    thief = page.browser()
    # The same way of planting works with a secret that counts.
    thief.client.cookies.set("__Host-alpr-unit", browser.client.cookies["__Host-alpr-unit"])
    assert thief.get("/now").status_code == 200
    thief.client.cookies.clear()
    thief.client.cookies.set("__Host-alpr-unit", before)
    assert thief.get("/now").headers["location"] == "/login"


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(page: Page) -> None:
    cookie = page.browser().log_in("reyes").headers.get_list("set-cookie")[-1]
    assert cookie.startswith("__Host-")
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))


def test_idle_session_asks_for_the_password_and_keeps_the_place(page: Page) -> None:
    browser = page.logged_in("reyes")
    browser.get("/lookup")
    page.clock.advance(30 * 60)
    assert browser.get("/hits").headers["location"] == "/unlock"
    assert "reyes" in browser.get("/unlock").text
    assert browser.submit("/unlock", "/unlock", password="wrong").status_code == 401
    response = browser.submit("/unlock", "/unlock", password=PASSWORD)
    assert (response.status_code, response.headers["location"]) == (303, "/lookup")
    assert browser.get("/hits").status_code == 200
    actions = [action for _, action, _ in page.logged()]
    assert actions.count("session.lock") == 1 and actions.count("session.unlock") == 2


def test_locked_session_takes_no_form(page: Page) -> None:
    alert = an_alert()
    page.show([alert])
    browser = page.logged_in("reyes")
    token = browser.token("/now")
    page.clock.advance(31 * 60)
    response = browser.post(
        f"/hits/{alert.hit.hit_id}/answer", form_token=token, rung="plate", answer="same", seen="0"
    )
    assert response.headers["location"] == "/unlock"
    assert page.desk.ladder(alert).answers == ()


def test_wrong_passwords_at_the_lock_count_towards_the_lock_out(page: Page) -> None:
    browser = page.logged_in("reyes")
    page.clock.advance(31 * 60)
    for _ in range(5):
        browser.submit("/unlock", "/unlock", password="wrong")
    assert browser.submit("/unlock", "/unlock", password=PASSWORD).status_code == 401


def test_the_script_that_looks_for_news_keeps_no_session_awake(page: Page) -> None:
    browser = page.logged_in("reyes")
    for _ in range(31):
        page.clock.advance(60)
        browser.get("/version")
        told = browser.get("/now?auto=1")
    assert told.headers["location"] == "/unlock"
    assert browser.get("/version").json() == {"over": True, "version": 0}


def test_idle_lock_of_zero_never_locks(tmp_path: Path) -> None:
    page = Page(tmp_path, PageConfig(idle_lock_min=0))
    browser = page.logged_in("reyes")
    page.clock.advance(10 * 3600)
    assert browser.get("/now").status_code == 200
    page.close()


def test_a_session_ends_after_a_shift_whatever_is_done(page: Page) -> None:
    browser = page.logged_in("reyes")
    for _ in range(14 * 3 - 1):
        page.clock.advance(20 * 60)
        assert browser.get("/status").status_code == 200
    page.clock.advance(20 * 60)
    assert browser.get("/status").headers["location"] == "/login"


def test_end_of_shift_shows_what_it_came_to(page: Page) -> None:
    browser = page.logged_in("reyes")
    page.clock.advance(600)
    first, second = an_alert(at=START + timedelta(minutes=5)), an_alert(at=START + timedelta(minutes=6))
    page.show([second, first])
    assert page.desk.board.shown.status is not None
    page.board.put_status(replace(page.desk.board.shown.status, reads=170))
    browser.answer(first, "disposition", "not pursued")
    text = browser.get("/logout").text
    assert "1 hit still without an answer" in text
    ended = browser.submit("/logout", "/logout")
    told = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", ended.text))
    assert (told["reads"], told["hits told"], told["verified"], told["unverified"]) == ("50", "2", "1", "1")
    assert (told["reads waiting for transfer"], told["days left to transfer"]) == ("120", "21.5")
    assert browser.get("/now").headers["location"] == "/login"
    assert page.entries()[-1].action == "logout" and page.entries()[-1].detail["unverified"] == "1"


def test_a_session_that_was_left_locked_can_be_ended_by_the_next_shift(page: Page) -> None:
    browser = page.logged_in("reyes")
    page.clock.advance(31 * 60)
    assert browser.submit("/unlock", "/end").headers["location"] == "/login"
    assert browser.get("/unlock").headers["location"] == "/login"


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": ""},
        {"port": 70_000},
        {"idle_lock_min": -1},
        {"session_hours": 0},
        {"lockout_failures": 0},
        {"look_up_most": 1000},
    ],
)
def test_settings_that_would_open_the_page_wide_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PageConfig(**wrong)


# -- forms and headers --


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", ["", "another site's"])
def test_a_form_of_another_site_is_refused(page: Page, path: str, token: str) -> None:
    response = page.logged_in("brandt").post(path, form_token=token)
    assert response.status_code == 403 and "did not come from your own page" in response.text


def test_a_login_form_of_another_site_is_refused(page: Page) -> None:
    browser = page.browser()
    browser.get("/login")
    assert browser.post("/login", name="reyes", password=PASSWORD, form_token="x").status_code == 403


@pytest.mark.parametrize("path", ["/login", "/now", "/version", "/no-such-page", "/static/page.css"])
def test_every_answer_tells_the_browser_to_be_careful(page: Page, path: str) -> None:
    headers = page.logged_in("reyes").get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["strict-transport-security"] and headers["x-content-type-options"] == "nosniff"


def test_no_page_holds_a_script_or_a_style_of_its_own(page: Page) -> None:
    page.show([an_alert()])
    browser = page.logged_in("brandt")
    for path in ("/login", "/now", "/hits", "/lookup", "/entries", "/status", "/logout"):
        text = browser.get(path).text
        assert re.findall(r"<script(?! src=\"/static/page.js\" defer>)|\sstyle=|\son\w+=", text) == []


def test_another_name_that_leads_here_gets_nothing(page: Page) -> None:
    browser = page.browser()
    assert browser.get("/login", host="evil.example").status_code == 421
    assert browser.get("/login", host=f"{UNIT}:8460").status_code == 200


def test_a_form_that_is_too_large_is_refused_unread(page: Page) -> None:
    browser = page.logged_in("reyes")
    response = browser.post("/purpose", form_token=browser.token("/lookup"), case_number="x" * 20_000)
    assert response.status_code == 413


@pytest.mark.parametrize("path", ["/static/../page.py", "/static/%2e%2e/page.py", "/static/none.css"])
def test_nothing_else_of_the_disk_is_served(page: Page, path: str) -> None:
    assert page.browser().get(path).status_code == 404


# -- what each role opens --

_ALL = set(Role)
_PATROL = {Role.OFFICER, Role.SUPERVISOR}
OPENS = {
    "/now": _PATROL,
    "/hits": _PATROL,
    "/hits/hit-1": _PATROL,
    "/lookup": _PATROL,
    "/entries": _PATROL | {Role.ADMIN, Role.AUDITOR},
    "/status": _ALL,
    "/incident": _PATROL,
    "/log": {Role.ADMIN, Role.AUDITOR},
    "/logout": _ALL,
}
TAKES = {
    "/palette": _ALL,
    "/lookup": _PATROL,
    "/purpose": _PATROL,
    "/purpose/new": _PATROL,
    "/hits/hit-1/answer": _PATROL,
    "/hits/hit-1/suppress": _PATROL,
    "/entries/add": _PATROL,
    "/entries/remove": _PATROL,
    "/suppressions/approve": {Role.SUPERVISOR},
    "/suppressions/lift": _PATROL,
    "/incident/begin": _PATROL,
    "/incident/end": _PATROL,
}


def test_the_matrix_below_names_every_route() -> None:
    from edge import page_entries, page_hits, page_incident, page_login, page_lookup, page_status

    parts = (page_entries, page_hits, page_incident, page_login, page_lookup, page_status)
    routes = {
        (path.replace("{hit_id}", "hit-1"), method)
        for part in parts
        for route in part.ROUTES
        for path in [route.path]
        for method in (route.methods or ())
        if method != "HEAD"
    }
    open_to_all = {
        ("/login", "GET"),
        ("/login", "POST"),
        ("/version", "GET"),
        ("/", "GET"),
        ("/logout", "POST"),
    }
    open_to_all |= {("/unlock", "GET"), ("/unlock", "POST"), ("/end", "POST")}
    assert routes - open_to_all == {(p, "GET") for p in OPENS} | {(p, "POST") for p in TAKES}


@pytest.mark.parametrize("path", OPENS)
@pytest.mark.parametrize(("name", "role"), PEOPLE.items())
def test_a_page_opens_for_its_roles_alone(page: Page, name: str, role: Role, path: str) -> None:
    response = page.logged_in(name).get(path)
    opened = 404 if path == "/hits/hit-1" else 200
    assert response.status_code == (opened if role in OPENS[path] else 403)
    assert (page.logged()[-1][2] == "refused") == (role not in OPENS[path])


@pytest.mark.parametrize("path", TAKES)
@pytest.mark.parametrize(("name", "role"), PEOPLE.items())
def test_a_form_is_taken_of_its_roles_alone(page: Page, name: str, role: Role, path: str) -> None:
    browser = page.logged_in(name)
    response = browser.submit("/logout", path)
    assert response.status_code in ({303, 404, 422} if role in TAKES[path] else {403})


def test_navigation_shows_what_the_role_opens(page: Page) -> None:
    page.show([])
    assert 'href="/log"' not in page.logged_in("reyes").get("/now").text
    text = page.logged_in("lindgren").get("/status").text
    assert 'href="/now"' not in text and 'href="/status"' in text


# -- hits --


def test_the_newest_hit_is_shown_whole_and_unverified(page: Page) -> None:
    page.show([an_alert("8ABC0I2", "8ABC012", probability=0.8123)])
    text = page.logged_in("reyes").get("/now").text
    assert "UNVERIFIED: CHECK CLETS" in text
    assert text.count('class="differs"') == 2  # the one place, as read and as listed
    assert "6th character reads I, listed 1" in text
    assert "red 2011 Honda Civic" in text and "does it match?" in text
    assert ">likely this plate: 81 %" in text
    assert "list 12, 5.0 h old" in text
    assert "data:image/jpeg;base64,/9hhIHBpY3R1cmX/2Q==" in text


def test_another_state_is_said_aloud(page: Page) -> None:
    page.show([an_alert(state=StateMatch.DIFFERENT)])
    assert "ANOTHER STATE than listed" in page.logged_in("reyes").get("/now").text


def test_a_partial_plate_is_not_compared_character_by_character(page: Page) -> None:
    page.show([an_alert("8ABC012", "8A*")])
    text = page.logged_in("reyes").get("/now").text
    assert "A partial plate is listed" in text and 'class="differs"' not in text


def test_certainty_is_never_shown_as_whole(page: Page) -> None:
    page.show([an_alert(probability=1.0)])
    text = page.logged_in("reyes").get("/now").text
    assert "99 %" in text and "100 %" not in text


def test_a_hit_is_logged_before_it_is_shown_with_its_plate_for_the_department_alone(page: Page) -> None:
    alert = an_alert()
    page.show([alert])
    page.logged_in("reyes").get("/now")
    entry = page.entries()[-1]
    assert (entry.actor, entry.action) == ("reyes", "hits.now")
    assert entry.detail["hits"] == alert.hit.hit_id
    assert "8ABC012" not in str(entry)
    assert b"8ABC012" not in b"".join(path.read_bytes() for path in page.folder.iterdir() if path.is_file())
    assert open_detail(entry, UNIT, page.department) == {alert.hit.hit_id: "8ABC012 / 8ABC012"}


def test_nothing_is_shown_that_cannot_be_logged(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.show([an_alert()])
    browser = page.logged_in("reyes")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.access_log.os.pwrite", full)
    response = browser.get("/now")
    assert response.status_code == 503 and "8ABC012" not in response.text
    assert "No space left on device" in response.text and "Alerts go on sounding" in response.text
    monkeypatch.undo()
    assert "8ABC012" in browser.get("/now").text


def test_the_ladder_is_climbed_rung_by_rung_with_names(page: Page) -> None:
    alert = an_alert()
    page.show([alert])
    reyes, tanaka = page.logged_in("reyes"), page.logged_in("tanaka")
    assert reyes.answer(alert, "state", "same").status_code == 422
    for rung, given in (("plate", "same"), ("state", "same")):
        assert reyes.answer(alert, rung, given).status_code == 303
    assert reyes.answer(alert, "disposition", "confirmed").status_code == 422
    for rung, given in (("vehicle", "fits"), ("clets", "wanted")):
        assert tanaka.answer(alert, rung, given).status_code == 303
    assert reyes.answer(alert, "disposition", "confirmed").status_code == 303
    text = reyes.get(f"/hits/{alert.hit.hit_id}").text
    assert "CONFIRMED: reyes" in text and "UNVERIFIED" not in text and "tanaka, 12:00:00" in text
    done = [
        (e.actor, e.detail["rung"], e.detail["answer"]) for e in page.entries() if e.action == "hit.verify"
    ]
    assert done == [
        ("reyes", "plate", "same"),
        ("reyes", "state", "same"),
        ("tanaka", "vehicle", "fits"),
        ("tanaka", "clets", "wanted"),
        ("reyes", "disposition", "confirmed"),
    ]
    assert all(
        e.detail["hit"] == alert.hit.hit_id and e.detail["read"] == alert.hit.read.read_id
        for e in page.entries()
        if e.action == "hit.verify"
    )


@pytest.mark.parametrize(
    ("rung", "given"),
    [("plate", "differs"), ("state", "not seen"), ("vehicle", "does not fit"), ("clets", "no answer")],
)
def test_a_hit_that_one_rung_speaks_against_is_not_confirmed(page: Page, rung: str, given: str) -> None:
    alert = an_alert()
    page.show([alert])
    browser = page.logged_in("reyes")
    good = {"plate": "same", "state": "same", "vehicle": "fits", "clets": "wanted"} | {rung: given}
    for name, answer in good.items():
        browser.answer(alert, name, answer)
    response = browser.answer(alert, "disposition", "confirmed")
    assert response.status_code == 422 and rung in response.text
    assert page.desk.ladder(alert).disposition is None


def test_who_has_not_seen_what_another_answered_must_look_again(page: Page) -> None:
    alert = an_alert()
    page.show([alert])
    reyes, tanaka = page.logged_in("reyes"), page.logged_in("tanaka")
    reyes.answer(alert, "plate", "same")
    response = tanaka.answer(alert, "plate", "differs", seen=0)
    assert response.status_code == 409 and "reyes answered meanwhile" in response.text
    assert len(page.desk.ladder(alert).answers) == 1


@pytest.mark.parametrize(
    ("rung", "given"), [("plate", "yes"), ("no rung", "same"), ("disposition", "arrested")]
)
def test_an_answer_that_is_none_is_refused(page: Page, rung: str, given: str) -> None:
    alert = an_alert()
    page.show([alert])
    assert page.logged_in("reyes").answer(alert, rung, given).status_code == 422
    assert page.desk.ladder(alert).answers == ()


def test_a_corrected_alert_is_shown_as_such_and_offers_no_answer(page: Page) -> None:
    page.show([replace(an_alert(at=START + timedelta(seconds=1)), corrected=True)])
    text = page.logged_in("reyes").get("/hits").text
    assert "corrected" in text
    page.show([replace(an_alert(at=START + timedelta(minutes=1)), corrected=True)])
    text = page.logged_in("reyes").get("/now").text
    assert "CORRECTED" in text and 'name="answer"' not in text


def test_open_hits_of_the_shift_before_are_handed_over_and_answered_ones_are_not(page: Page) -> None:
    old, answered = an_alert("7XYZ111"), an_alert("7XYZ222")
    page.show([old, answered])
    page.logged_in("reyes").answer(answered, "disposition", "not pursued")
    page.clock.advance(60)
    text = page.logged_in("tanaka").get("/hits").text
    assert "7XYZ111" in text and "7XYZ222" not in text


def test_the_script_is_told_of_a_new_alert_and_of_a_new_answer_and_nothing_else(page: Page) -> None:
    browser = page.logged_in("reyes")
    versions = [browser.get("/version").json()["version"]]
    alert = an_alert()
    page.show([alert])
    versions.append(browser.get("/version").json()["version"])
    page.show([alert])
    assert browser.get("/version").json()["version"] == versions[-1]
    browser.answer(alert, "plate", "same")
    versions.append(browser.get("/version").json()["version"])
    assert len(set(versions)) == 3
    assert set(browser.get("/version").json()) == {"over", "version"}


# -- look-up --


def a_window_read(plate: str) -> WindowRead:
    read = a_read(plate=plate)
    return WindowRead(
        read.read_id, read.plate, read.prefix, None, read.camera, START, read.fix, read.evidence, ()
    )


def test_nothing_is_looked_up_before_a_purpose_is_stated(page: Page) -> None:
    browser = page.logged_in("reyes")
    assert "Why do you look up reads?" in browser.get("/lookup").text
    assert browser.submit("/lookup", "/lookup", plate="8ABC012").status_code == 422
    assert page.window.asked == []


@pytest.mark.parametrize(
    ("code", "case", "said"),
    [
        ("investigation", "", "needs a case number"),
        ("curiosity", "26-0042", "Pick a purpose"),
        ("investigation", "<b>", "A case number has"),
    ],
)
def test_a_purpose_that_is_none_is_refused(page: Page, code: str, case: str, said: str) -> None:
    response = page.logged_in("reyes").submit("/lookup", "/purpose", code=code, case_number=case)
    assert response.status_code == 422 and said in response.text


def test_a_look_up_is_logged_with_purpose_case_and_what_was_shown(page: Page) -> None:
    page.window.reads = [a_window_read("8ABC012"), a_window_read("7XYZ111")]
    browser = page.logged_in("reyes")
    browser.submit("/lookup", "/purpose", code="investigation", case_number="26-0042")
    text = browser.submit("/lookup", "/lookup", plate=" 8abc* ").text
    assert "8ABC012" in text and "7XYZ111" not in text
    asked, shown = page.entries()[-2:]
    assert (asked.action, shown.action) == ("reads.search", "reads.view")
    assert {(e.purpose, e.case_number) for e in (asked, shown)} == {("investigation", "26-0042")}
    assert open_detail(asked, UNIT, page.department) == {"asked": "8ABC*"}
    assert shown.detail["reads"] == page.window.reads[0].read_id


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        (RetentionConfig(), "of the last 24 hours."),
        (RetentionConfig(local_window_h=1), "of the last 60 minutes."),
        (
            RetentionConfig(non_hit_window_min=3, transfer_non_hits=False),
            "of the last 24 hours, those without a hit of the last 3 minutes. "
            "Older hits are at the department; other reads are destroyed.",
        ),
        (RetentionConfig(non_hit_window_min=0), "of the last 24 hours, hits alone."),
    ],
)
def test_how_far_a_look_up_reaches_is_said_as_it_is_now(
    page: Page, retention: RetentionConfig, said: str
) -> None:
    browser = page.logged_in("reyes")
    browser.submit("/lookup", "/purpose", code="investigation", case_number="26-0042")
    page.retention = retention  # a profile came in the middle of the shift
    assert said in browser.get("/lookup").text


@pytest.mark.parametrize("text", ["", "*", "???", "8" * 17, "8ABC%", "' OR 1=1"])
def test_a_text_that_asks_for_everything_or_nothing_is_not_searched(page: Page, text: str) -> None:
    page.window.reads = [a_window_read("8ABC012")]
    browser = page.logged_in("reyes")
    browser.submit("/lookup", "/purpose", code="investigation", case_number="26-0042")
    response = browser.submit("/lookup", "/lookup", plate=text)
    assert response.status_code == 422 and "8ABC012" not in response.text


def test_another_purpose_can_be_stated(page: Page) -> None:
    browser = page.logged_in("reyes")
    browser.submit("/lookup", "/purpose", code="investigation", case_number="26-0042")
    browser.submit("/lookup", "/purpose/new")
    assert "Why do you look up reads?" in browser.get("/lookup").text


# -- local entries --


def add(browser: Browser, **changes: str) -> Response:
    fields = {"plate": "8ABC0?2", "code": "wanted-person", "case_number": "26-0042", "hours": "24"}
    return browser.submit("/entries", "/entries/add", **(fields | {"priority": "high"} | changes))


def test_an_entry_is_added_seen_and_removed_in_the_officers_name(page: Page) -> None:
    browser = page.logged_in("reyes")
    assert add(browser).status_code == 303
    text = browser.get("/entries").text
    assert "8ABC0?2" in text and "26-0042" in text and "reyes" in text and "Wanted person" in text
    [entry_id] = re.findall(r'name="id" value="(local-[^"]+)"', text)
    assert browser.submit("/entries", "/entries/remove", id=entry_id).status_code == 303
    assert "8ABC0?2" not in browser.get("/entries").text
    actions = [action for _, action, outcome in page.logged() if outcome == "success"]
    assert "entry.add" in actions and "entry.remove" in actions


@pytest.mark.parametrize(
    "changes",
    [
        {"plate": "A?"},
        {"plate": "<b>"},
        {"case_number": ""},
        {"code": "audit", "case_number": ""},
        {"hours": "721"},
        {"hours": "nan"},
        {"hours": "soon"},
        {"hours": "0"},
        {"priority": "urgent"},
        {"code": "curiosity"},
    ],
)
def test_an_entry_that_lacks_something_is_refused(page: Page, changes: dict[str, str]) -> None:
    browser = page.logged_in("reyes")
    assert add(browser, **changes).status_code == 422
    with page.desk.book() as book:
        assert book.entries == ()


def asked_suppression(page: Page, browser: Browser) -> str:
    alert = an_alert("8ABC0I2", "8ABC012")
    page.show([alert])
    browser.answer(alert, "disposition", "misread")
    path = f"/hits/{alert.hit.hit_id}"
    assert browser.submit(path, f"{path}/suppress", reason="a grey truck").status_code == 303
    with page.desk.book() as book:
        [asked] = book.suppressions
    return asked.suppression_id


def test_a_suppression_needs_a_supervisor_who_did_not_ask_for_it(page: Page) -> None:
    asked = asked_suppression(page, page.logged_in("brandt"))
    brandt = page.logged_in("brandt")
    assert "waits for a supervisor" in brandt.get("/entries").text
    assert brandt.submit("/entries", "/suppressions/approve", id=asked).status_code == 422
    with page.desk.book() as book:
        assert book.suppressions[0].supervisor == ""
    page.rosters.roster = replace(
        a_roster(2), users=tuple(replace(u, role=Role.SUPERVISOR) for u in a_roster().users)
    )
    other = page.logged_in("tanaka")
    assert other.submit("/entries", "/suppressions/approve", id=asked).status_code == 303
    assert "approved by tanaka" in other.get("/entries").text


def test_a_hit_that_nobody_found_wrong_is_not_suppressed(page: Page) -> None:
    alert = an_alert()
    page.show([alert])
    browser = page.logged_in("reyes")
    path = f"/hits/{alert.hit.hit_id}"
    assert browser.submit(path, f"{path}/suppress", reason="x").status_code == 422


def test_a_suppression_can_be_lifted(page: Page) -> None:
    browser = page.logged_in("reyes")
    asked = asked_suppression(page, browser)
    assert browser.submit("/entries", "/suppressions/lift", id=asked).status_code == 303
    with page.desk.book() as book:
        assert book.suppressions == ()


# -- the rest --


def test_status_shows_cameras_place_list_clock_and_faults(page: Page) -> None:
    text = page.logged_in("lindgren").get("/status").text
    for part in ("front-left", "lost", "GPS fix", "5.0 h old", "21.5 of 30 days left", "camera rear: gone"):
        assert part in text


def test_the_log_is_shown_and_looking_at_it_is_logged(page: Page) -> None:
    page.logged_in("reyes")
    browser = page.logged_in("okafor")
    text = browser.get("/log").text
    assert "reyes" in text and "log.view" not in text.partition("<tbody>")[2].partition("log.view")[2]
    assert page.logged()[-1] == ("okafor", "log.view", "success")
    assert "log.view" in browser.get("/log?before=9999").text
    assert browser.get("/log?before=' OR 1").status_code == 200


@pytest.mark.parametrize(
    "planted", ["{{ 7*1919 }}", "<script>alert(1)</script>", '"><img src=x>', "{% raw %}"]
)
def test_what_people_and_lists_write_is_shown_as_text(page: Page, planted: str) -> None:
    alert = an_alert(vehicle=planted, reason=planted, case_number=planted)
    page.show([alert])
    browser = page.logged_in("reyes")
    with page.desk.book() as book:
        book.add(
            "8ABC012",
            state="",
            officer="reyes",
            purpose=planted,
            case_number=planted,
            now=START,
            lasting=timedelta(hours=1),
        )
    for path in ("/now", "/hits", "/entries"):
        text = browser.get(path).text
        if "<" in planted:
            assert planted not in text and "<script>" not in text and "<img src=x" not in text
        assert "13433" not in text
    response = browser.submit("/lookup", "/purpose", code="investigation", case_number=planted)
    assert response.status_code == 422 and planted not in response.text.replace("{{ 7*1919 }}", "").replace(
        "{% raw %}", ""
    )


def test_night_is_the_default_and_turning_it_off_is_logged(page: Page) -> None:
    browser = page.logged_in("reyes")
    assert 'class="night"' in browser.get("/now").text
    browser.submit("/now", "/palette")
    assert 'class="day"' in browser.get("/now").text
    assert ("reyes", "setting.change", "success") in page.logged()


def test_a_page_that_fails_says_so_without_what_it_choked_on(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("8ABC012")

    browser = page.logged_in("reyes")
    browser.submit("/lookup", "/purpose", code="investigation", case_number="26-0042")
    monkeypatch.setattr(page.window, "search", broken)
    response = browser.submit("/lookup", "/lookup", plate="8ABC*")
    assert response.status_code == 500 and "8ABC012" not in response.text
