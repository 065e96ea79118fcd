"""What a list says is withheld from the roles that may not see it: on pages, in files, and from units."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.publishing import Carried, rows_of
from hotlist_cache.snapshot import open_snapshot
from recognizer.plate import Jurisdiction
from server.access import Role
from server.department import Department
from server.errors import SettingsInvalidError
from server.evidence_scope import Scope
from server.list_visibility import WITHHELD, ListVisibility
from server.release_errors import EvidenceRefusedError
from server.release_export import package_for_booking
from server.release_recipients import AgencyKind
from server.settings import read_settings
from tests.auditors import Browser
from tests.departments import audited
from tests.hotlists import TEXTS
from tests.releases import NOW, a_holder, a_peopled_department, a_recipient, read_ids, who

HIDDEN = {"Stolen*": ("officer",)}


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_peopled_department(tmp_path / "department")
    hotlist = replace(made.settings.hotlist, hidden_from=HIDDEN)
    yield replace(made, settings=replace(made.settings, hotlist=hotlist))
    made.engine.dispose()


@pytest.fixture
def browser(department: Department) -> Iterator[Browser]:
    made = Browser(department, NOW)
    with made.runner:
        yield made


def an_entry(list_name: str, entry_id: str = "id-1") -> Entry:
    return Entry(
        entry_id,
        "8ABC012",
        Jurisdiction("US-CA"),
        list_name,
        "secret reason",
        Priority.HIGH,
        vehicle="white van",
        case_number="26-secret",
        source="secret source",
    )


def test_the_name_of_a_list_is_met_case_aside_and_with_any_run_of_characters() -> None:
    lists = ListVisibility({"stolen VEHICLE": ("officer",), "Gang*": ("officer", "auditor")})
    assert lists.hides("Stolen vehicle", "officer") and lists.hides("GANG member", "auditor")
    assert not lists.hides("Stolen vehicles", "officer")
    assert not lists.hides("Stolen vehicle", "supervisor") and not lists.hides("Felony", "officer")


@given(TEXTS, st.sampled_from([role.value for role in Role]))
def test_what_is_not_named_is_open_to_everybody(name: str, role: str) -> None:
    assert ListVisibility().name_for(name, role) == name


@pytest.mark.parametrize("path", ["/reads", "read"])
def test_an_officer_sees_that_there_was_a_hit_and_not_of_which_list(browser: Browser, path: str) -> None:
    for name, sees in (("reyes", False), ("brandt", True)):
        browser.log_in(name, purpose="hit-verification")
        where = path if path != "read" else f"/reads/{read_ids(browser.department)[0]}"
        page = browser.get(where).text
        assert ("Stolen vehicle" in page) is sees and (WITHHELD in page) is not sees
        browser.submit("/units", "/logout")


@pytest.mark.parametrize("path", ["read", "/hits"])
def test_how_a_read_met_a_hidden_list_is_withheld_too(browser: Browser, path: str) -> None:
    browser.log_in("reyes", purpose="hit-verification")
    page = browser.get(path if path != "read" else f"/reads/{read_ids(browser.department)[0]}").text
    assert "as listed" not in page and "exact" not in page and "Likelihood" not in page
    exported = browser.submit("/reads", "/reads/export", kind="csv").text
    assert "exact" not in exported and WITHHELD in exported


def test_nobody_judges_a_hit_of_a_list_that_they_may_not_see(browser: Browser) -> None:
    with browser.department.engine.connect() as connection:
        read_id, hit_id = connection.execute(text("SELECT read_id, hit_id FROM hits LIMIT 1")).one()
    path = f"/hits/{read_id}/{hit_id}"
    said = {"verdict": "not pursued", "note": "out of the town"}
    browser.log_in("reyes", purpose="hit-verification")
    shown = browser.get(path)
    assert WITHHELD in shown.text and 'name="verdict"' not in shown.text
    assert browser.submit("/units", path, **said).status_code == 403
    assert audited(browser.department)[-1] == ("reyes", "hit.dispose", "refused")
    ticket = {"list_name": "Stolen vehicle", "entry_id": "id-1", "state": "sent"}
    assert browser.submit("/units", "/hits/corrections/advance", **ticket).status_code == 403
    assert audited(browser.department)[-1] == ("reyes", "correction.advance", "refused")
    browser.submit("/units", "/logout")
    browser.log_in("brandt", purpose="hit-verification")
    assert 'name="verdict"' in browser.get(path).text
    assert browser.submit(path, path, **said).status_code == 303


def test_nobody_makes_an_open_package_of_hits_of_a_list_that_they_may_not_see(department: Department) -> None:
    rules = replace(
        department.settings, hotlist=replace(department.settings.hotlist, hidden_from={"*": ("supervisor",)})
    )
    hidden, scope = replace(department, settings=rules), Scope(tuple(read_ids(department)[:1]))
    with pytest.raises(EvidenceRefusedError, match="your role may not see"):
        package_for_booking(hidden, scope, unencrypted_reason="no key", actor=who("brandt"), now=NOW)
    made = package_for_booking(hidden, scope, unencrypted_reason="no key", actor=who("chief"), now=NOW)
    assert made.reads == 1
    room = a_recipient(hidden, kind=AgencyKind.OWN, certificate=a_holder().certificate)
    assert package_for_booking(hidden, scope, recipient_id=room, actor=who("brandt"), now=NOW).reads == 1


def test_a_list_is_published_without_what_a_role_may_not_see_and_names_itself_all_the_same(
    department: Department,
) -> None:
    entries = [an_entry("Stolen vehicle"), replace(an_entry("Felony", "id-2"), pattern="7XYZ999")]
    department.hotlists.replace_feed("svs", entries, actor="console:anne", now=NOW)
    published = department.hotlists.publish(
        department.keys, expires_at=NOW + timedelta(days=1), actor="console:anne", now=NOW
    )
    path = department.hotlists.path_of(published.sequence)
    assert path is not None
    snapshot = open_snapshot(path.read_bytes(), keys=[department.keys.hotlist.public_key()])
    found = {each.list_name: each for each in snapshot.entries()}
    hidden, open_ = found["Stolen vehicle"], found["Felony"]
    assert (hidden.reason, hidden.source, hidden.case_number) == ("", "", "")
    assert (hidden.vehicle, hidden.priority) == ("white van", Priority.HIGH)
    assert (open_.reason, open_.source, open_.case_number) == ("secret reason", "secret source", "26-secret")


@given(st.sampled_from(["Stolen vehicle", "STOLEN", "Felony"]), st.booleans())
def test_no_row_of_a_withheld_list_carries_what_is_secret(list_name: str, ids: bool) -> None:
    carried = Carried(record_ids=ids, vehicles=True, case_numbers=True, withheld=("stolen*",))
    [row] = rows_of([an_entry(list_name, "secret-id")], carried)
    assert ("secret" in " ".join(row)) is (list_name == "Felony")


def test_an_officers_own_entry_keeps_its_id_when_its_list_is_withheld() -> None:
    [row] = rows_of([an_entry("Local entry of unit-07", "local-1")], Carried(withheld=("*",)))
    assert row[2] == "local-1"


def test_what_a_list_was_made_with_comes_back_from_its_file_as_the_same() -> None:
    from server.basis import _carried

    for carried in (Carried(), Carried(record_ids=True, withheld=("A*", "b"))):
        assert _carried(json.loads(json.dumps(asdict(carried)))) == carried
    older = asdict(Carried())
    del older["withheld"]
    assert _carried(older) == Carried()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{ "Stolen" = ["captain"] }', "name some of"),
        ('{ "Stolen" = [] }', "name some of"),
        ('{ "Stolen" = "officer" }', "name some of"),
        ('["Stolen"]', "must be as"),
        ('{ "Stolen" = ["admin", "supervisor"] }', "somebody answers for it"),
    ],
)
def test_a_rule_that_cannot_be_one_is_refused_with_its_key(
    department: Department, value: str, said: str
) -> None:
    path = department.folder.settings
    path.write_text(path.read_text().replace("hidden_from = {}", f"hidden_from = {value}"))
    with pytest.raises(SettingsInvalidError, match=said):
        read_settings(path)


def test_a_new_department_hides_nothing_and_its_settings_say_how(department: Department) -> None:
    assert "hidden_from = {}" in department.folder.settings.read_text()
    assert read_settings(department.folder.settings).hotlist.hidden_from == {}
