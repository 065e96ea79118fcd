"""Incident mode: who begins it, what carries it, how it ends, and that both ends stand in the access log."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console

from edge.compose import compose
from edge.daemon import Daemon
from edge.doctor import Verdict, _incident
from edge.incident import Incidents
from edge.page_config import PageConfig
from edge.status import write_status
from edge.stores import OUTBOX_FILE
from edge.view import view
from sync.config import RetentionConfig
from sync.outbox import open_outbox
from sync.record import decode_record
from sync.roster import Role
from sync.seal import EpochOpener
from tests.clocks import FakeClock
from tests.pages import PASSWORD, STATUS, Browser, Page
from tests.test_edge_daemon import unit

HOUR = 3600.0


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    made = Page(tmp_path)
    yield made
    made.close()


def begun(page: Page, name: str = "reyes", number: str = "26-0042", hours: str = "2") -> Browser:
    browser = page.logged_in(name)
    response = browser.submit("/incident", "/incident/begin", number=number, hours=hours)
    assert response.status_code == 303
    return browser


def test_where_reads_without_a_hit_are_never_sent_the_page_says_so_before_and_while_it_is_on(
    page: Page,
) -> None:
    assert "do not reach" not in page.logged_in("brandt").get("/incident").text
    page.retention = RetentionConfig(non_hit_window_min=3, transfer_non_hits=False)
    assert "Reads without a hit do not reach the department" in page.logged_in("tanaka").get("/incident").text
    assert "destroyed on this unit" in begun(page).get("/incident").text


def ends(page: Page) -> list[tuple[str, str, str]]:
    return [
        (each.actor, each.detail["why"], each.detail["reads"])
        for each in page.entries()
        if each.action == "incident.end"
    ]


def test_an_incident_is_begun_with_name_purpose_and_number_in_the_log(page: Page) -> None:
    begun(page)
    (entry,) = [each for each in page.entries() if each.action == "incident.begin"]
    assert (entry.actor, entry.role, entry.purpose, entry.case_number) == (
        "reyes",
        "officer",
        "canvass",
        "26-0042",
    )
    assert entry.detail["until"].startswith("2026-06-01T14:00")


def test_every_page_shows_it_while_it_is_on_and_none_after(page: Page) -> None:
    browser = begun(page)
    tanaka = page.logged_in("tanaka")
    for path in ("/now", "/hits", "/lookup", "/entries", "/status", "/incident", "/logout"):
        assert "INCIDENT 26-0042" in tanaka.get(path).text, path
    assert "26-0042" not in page.browser().get("/login").text
    browser.submit("/incident", "/incident/end")
    assert "INCIDENT" not in tanaka.get("/now").text


@pytest.mark.parametrize(
    ("number", "hours"),
    [
        ("", "2"),
        ("x", "2"),
        ("26-<b>", "2"),
        ("26-0042", "0"),
        ("26-0042", "13"),
        ("26-0042", "nan"),
        ("26-0042", "x"),
    ],
)
def test_what_is_no_incident_number_or_no_time_begins_nothing(page: Page, number: str, hours: str) -> None:
    response = page.logged_in("reyes").submit("/incident", "/incident/begin", number=number, hours=hours)
    assert response.status_code == 422
    assert page.incidents.current is None
    assert "incident.begin" not in [each.action for each in page.entries()]


def test_a_second_one_is_not_begun_over_the_first(page: Page) -> None:
    begun(page)
    again = page.logged_in("tanaka").submit("/incident", "/incident/begin", number="26-0043", hours="1")
    assert again.status_code == 422 and "end it first" in again.text
    assert page.incidents.current is not None and page.incidents.current.number == "26-0042"


def test_reads_carry_it_until_another_officer_ends_it(page: Page) -> None:
    begun(page)
    assert [page.incidents.mark(), page.incidents.mark()] == ["26-0042", "26-0042"]
    page.logged_in("brandt").submit("/incident", "/incident/end")
    assert page.incidents.mark() == ""
    assert ends(page) == [("brandt", "ended on the page", "2")]


def test_it_ends_with_the_shift_of_who_began_it_alone(page: Page) -> None:
    reyes = begun(page)
    tanaka = page.logged_in("tanaka")
    tanaka.submit("/logout", "/logout")
    assert page.incidents.mark() == "26-0042"
    reyes.submit("/logout", "/logout")
    assert page.incidents.mark() == ""
    assert ends(page) == [("unit", "end of shift", "1")]


def test_it_does_not_outlast_the_login_of_who_began_it_though_the_laptop_was_closed(page: Page) -> None:
    browser = page.logged_in("reyes")
    page.clock.advance((page.config.session_hours - 1) * HOUR - 60)
    browser.submit("/unlock", "/unlock", password=PASSWORD)
    response = browser.submit("/incident", "/incident/begin", number="26-0042", hours="12")
    assert response.status_code == 303
    page.clock.advance(HOUR)
    assert page.incidents.mark() == "26-0042"
    page.clock.advance(61)
    assert page.incidents.mark() == ""


def test_it_ends_with_the_shift_also_where_the_log_takes_no_entry(page: Page) -> None:
    reyes = begun(page)
    token = reyes.token("/logout")
    whole, page.log._file = page.log._file, os.open("/dev/full", os.O_RDWR)
    assert reyes.post("/logout", form_token=token).status_code == 503
    os.close(page.log._file)
    page.log._file = whole
    assert page.incidents.mark() == ""


def test_it_ends_when_the_account_of_who_began_it_is_closed(page: Page, tmp_path: Path) -> None:
    reyes = begun(page)
    page.rosters.roster = None
    reyes.get("/now")
    assert page.incidents.mark() == "" and ends(page)[0][1] == "end of shift"


def test_it_ends_when_its_hours_are_over_and_that_is_logged(page: Page) -> None:
    begun(page, hours="2")
    page.clock.advance(2 * HOUR - 1)
    assert page.incidents.mark() == "26-0042"
    page.clock.advance(1)
    assert page.incidents.mark() == "" and page.incidents.current is None
    page.incidents.look()
    page.incidents.look()
    assert ends(page) == [("unit", "its hours are over", "1")]


def test_after_a_restart_nobody_stands_for_it_and_it_is_off(page: Page) -> None:
    begun(page)
    page.log.close()
    page.start()
    assert page.incidents.current is None


def test_hours_of_the_configuration_stand_in_the_form(tmp_path: Path) -> None:
    made = Page(tmp_path, PageConfig(incident_hours=6.5))
    assert 'value="6.5"' in made.logged_in("reyes").get("/incident").text
    made.close()
    with pytest.raises(ValueError, match="incident_hours"):
        PageConfig(incident_hours=13)


def test_sealed_reads_of_a_drive_carry_it_to_the_department(tmp_path: Path) -> None:
    config, secret = unit(tmp_path), X25519PrivateKey.generate()
    public = secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "keys" / "department.x25519.pub.pem").write_bytes(public)
    parts = compose(config)
    parts.incidents.begin("26-0042", 1.0, by="reyes", role=Role.OFFICER)
    status = Daemon(parts).run(until_end=True, on_status=lambda status, alerts: None)
    assert (status.incident, status.reads) == ("26-0042", 1) and 58 < status.incident_left_min <= 60
    with open_outbox(tmp_path / "state" / OUTBOX_FILE) as outbox:
        batch = outbox.make_batch(
            unit_id="unit-07", limit_reads=10, limit_bytes=10**6, now=parts.clock.now().utc
        )
    assert batch is not None
    (sealed,) = batch.reads
    assert decode_record(EpochOpener(batch.epochs[0], secret).open(sealed)).incident == "26-0042"


def test_status_shows_it_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    on = dataclasses.replace(STATUS, incident="26-0042", incident_left_min=42.3)
    Console(width=120).print(view(on))
    assert "INCIDENT 26-0042: reads carry it, 42 min left" in capsys.readouterr().out
    Console(width=120).print(view(STATUS))
    assert "INCIDENT" not in capsys.readouterr().out


def test_check_warns_that_stopping_the_daemon_ends_it(tmp_path: Path) -> None:
    config = unit(tmp_path)
    assert list(_incident(config)) == []
    parts = compose(config)
    now = parts.clock.now()
    on = dataclasses.replace(STATUS, monotonic_ns=now.monotonic_ns, boot_id=now.boot_id, incident="26-0042")
    write_status(parts.run_dir, on)
    (finding,) = _incident(config)
    assert finding.verdict is Verdict.WARNING and "26-0042" in finding.text


def test_without_an_access_log_nothing_breaks() -> None:
    clock = FakeClock()
    incidents = Incidents(None, clock)
    assert incidents.mark() == ""
    incidents.look()
    incidents.end("x", by="unit", role="unit")
