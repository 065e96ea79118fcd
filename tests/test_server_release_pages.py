"""The pages of the register: who gets in, what is offered, what is taken, and what is given out."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import Response

from server.access import Role
from server.database import reading
from server.department import Department
from server.evidence_scope import Scope
from server.read_custody import looks_at
from server.release_export import releases_of
from server.release_letters import MAX_LETTER_BYTES
from server.release_recipients import AgencyKind
from server.releases import State
from tests.auditors import Browser
from tests.departments import a_department
from tests.releases import (
    NOW,
    PDF,
    PEOPLE,
    a_holder,
    a_peopled_department,
    a_recipient,
    an_approved_request,
    asked,
    newest_entries,
    read_ids,
    who,
)

SEE = {Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR}
FIELDS = {
    "kind": "law enforcement",
    "person": "Sgt. Invented",
    "purpose": "Burglary series",
    "legal_basis": "Pen. Code 459",
    "case_number": "26-0042",
    "plate": "8ABC*",
}


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
    response = browser.submit("/purpose", "/purpose", code="investigation", case_number="26-0042")
    assert response.status_code == 303


def form_token(browser: Browser) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', browser.get("/units").text)
    assert found is not None
    return found[1]


def enter(
    browser: Browser, *, letter: bytes = PDF, name: str = "letter.pdf", token: str = "", **fields: str
) -> Response:
    """Send the form with a letter, as a browser does."""
    data = {"form_token": token or form_token(browser), **FIELDS, **fields}
    files = {"letter": (name, letter, "text/html")}
    return browser.runner.run(browser.client.post("/releases/enter", data=data, files=files))


def files_under(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


PAGES = ("/releases", "/releases/enter", "/releases/1", "/releases/1/letter", "/recipients")


@pytest.mark.parametrize("path", [*PAGES, "/releases/1/package"])
def test_nothing_is_shown_to_who_is_not_logged_in(browser: Browser, path: str) -> None:
    assert browser.get(path).headers["location"] == "/login"


@pytest.mark.parametrize("path", [*PAGES, "/releases/1/package"])
def test_nothing_is_shown_without_a_purpose(browser: Browser, path: str) -> None:
    browser.log_in("brandt", purpose="")
    assert browser.get(path).headers["location"] == "/purpose"


@pytest.mark.parametrize("name", ["reyes", "brandt", "chief", "okafor", "lindgren"])
@pytest.mark.parametrize("path", PAGES)
def test_the_register_is_shown_to_its_roles_alone_and_each_look_is_recorded(
    browser: Browser, department: Department, name: str, path: str
) -> None:
    an_approved_request(department, Scope(plate="8ABC*"))
    browser.log_in(name, purpose="audit")
    response = browser.get(path)
    may = PEOPLE[name] in SEE
    assert response.status_code == (200 if may else 403)
    assert newest_entries(department, 1)[0][::2] == (name, "success" if may else "refused")
    if not may:
        assert "8ABC" not in response.text and "Sgt. Invented" not in response.text
    assert ('href="/releases"' in browser.get("/units").text) is may


@pytest.mark.parametrize("name", ["reyes", "okafor", "lindgren"])
def test_who_does_not_keep_the_register_changes_nothing_by_any_form(
    browser: Browser, department: Department, name: str
) -> None:
    number = an_approved_request(department, Scope(plate="8ABC*"))
    browser.log_in(name, purpose="audit")
    token = form_token(browser)
    for path in (
        *(f"/releases/{number}/{deed}" for deed in ("review", "approve", "refuse", "handle", "fulfil")),
        *("/recipients", "/recipients/1/approve", "/recipients/1/disable"),
    ):
        response = browser.post(path, form_token=token, note="x", reason="x", kind="court", state="CA")
        assert response.status_code == 403, path
        assert newest_entries(department, 1)[0][::2] == (name, "refused")
    assert enter(browser).status_code == 403
    assert not department.folder.packages.exists()


def test_a_form_of_another_site_is_refused(browser: Browser, department: Department) -> None:
    number = an_approved_request(department, Scope(plate="8ABC*"))
    log_in(browser, "brandt")
    for path in (f"/releases/{number}/fulfil", "/recipients", "/recipients/1/disable"):
        assert browser.post(path, form_token="guessed", reason="x").status_code == 403
    assert enter(browser, token="guessed").status_code == 403
    assert len(releases_of(department).all(who("okafor"), NOW)) == 1


def test_a_request_is_entered_reviewed_approved_fulfilled_and_its_package_downloaded(
    browser: Browser, department: Department
) -> None:
    recipient = a_recipient(department)
    log_in(browser, "brandt")
    assert f'value="{recipient}"' in browser.get("/releases/enter").text
    entered = enter(browser, recipient=f"{recipient}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/releases/1")
    page = browser.get("/releases/1")
    assert "8ABC*" in page.text and "2 reads" in page.text and "Burglary series" in page.text
    assert 'action="/releases/1/approve"' not in page.text
    assert browser.submit("/releases/1", "/releases/1/review", note="called back").status_code == 303
    browser.submit("/units", "/logout")
    log_in(browser, "chief")
    shown = approving(browser.get("/releases/1").text)
    assert browser.post("/releases/1/approve", note="", **shown).status_code == 303
    browser.submit("/units", "/logout")
    log_in(browser, "brandt")
    assert browser.submit("/releases/1", "/releases/1/fulfil", chosen="").status_code == 303
    page = browser.get("/releases/1")
    assert "fulfilled" in page.text and 'href="/releases/1/package"' in page.text
    package = browser.get("/releases/1/package")
    assert package.content.startswith(b"\x30") and package.headers["content-type"] == "application/pkcs7-mime"
    assert package.headers["content-disposition"] == 'attachment; filename="evidence-1.p7m"'
    assert newest_entries(department, 1)[0][1] == "release.download_package"
    assert "fulfilled" in browser.get("/releases").text


def approving(page: str) -> dict[str, str]:
    """Return what the form on *page* that approves carries."""
    form = re.search(r'action="/releases/1/approve".*?</form>', page, re.DOTALL)
    assert form is not None
    return dict(re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', form[0]))


def test_a_request_that_was_changed_after_it_was_shown_is_not_approved(
    browser: Browser, department: Department
) -> None:
    first, second = a_recipient(department), a_recipient(department)
    register = releases_of(department)
    register.enter(asked(first, Scope(plate="8ABC*")), PDF, actor=who("brandt"), now=NOW)
    register.review(1, note="in order", actor=who("brandt"), now=NOW)
    log_in(browser, "chief")
    old = approving(browser.get("/releases/1").text)
    register.review(1, note="more", actor=who("brandt"), now=NOW, recipient_id=second)
    answer = browser.post("/releases/1/approve", **old)
    assert answer.status_code == 409 and "look again, then decide" in answer.text
    assert browser.post("/releases/1/approve", form_token=old["form_token"]).status_code == 409
    assert register.one(1, who("okafor"), NOW).state is State.UNDER_REVIEW
    assert browser.post("/releases/1/approve", **approving(answer.text)).status_code == 303
    assert register.one(1, who("okafor"), NOW).steps[-1].recipient_id == second


def test_a_request_without_a_recipient_is_told_so_and_not_that_it_was_changed(
    browser: Browser, department: Department
) -> None:
    register = releases_of(department)
    register.enter(asked(None, Scope(plate="8ABC*")), PDF, actor=who("brandt"), now=NOW)
    register.review(1, note="in order", actor=who("brandt"), now=NOW)
    log_in(browser, "chief")
    answer = browser.post("/releases/1/approve", **approving(browser.get("/releases/1").text))
    assert answer.status_code == 422 and "names no recipient" in answer.text


def test_who_was_shown_reads_beside_a_request_is_found_by_the_read(
    browser: Browser, department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.release_pages.SHOWN_READS", 1)
    first, beyond, outside = read_ids(department)
    releases_of(department).enter(asked(None, Scope(plate="8ABC*")), PDF, actor=who("brandt"), now=NOW)
    log_in(browser, "chief")
    page = browser.get("/releases/1").text
    assert first in page and beyond not in page
    with reading(department.engine) as connection:
        looks = [looks_at(connection, each) for each in (first, beyond, outside)]
    assert [[(look.actor, look.action) for look in each] for each in looks] == [
        [("chief", "release.view")],
        [],
        [],
    ]


def test_who_entered_a_request_is_offered_no_approval_and_cannot_forge_one(
    browser: Browser, department: Department
) -> None:
    recipient = a_recipient(department)
    log_in(browser, "chief")
    enter(browser, recipient=f"{recipient}")
    browser.submit("/releases/1", "/releases/1/review", note="x")
    assert "another person approves it" in browser.get("/releases/1").text
    response = browser.submit("/releases/1", "/releases/1/approve", note="")
    assert response.status_code == 422 and "another must approve it" in response.text
    assert releases_of(department).one(1, who("okafor"), NOW).state is State.UNDER_REVIEW


def test_an_export_outside_the_scope_is_refused_on_the_page(browser: Browser, department: Department) -> None:
    inside, _, outside = read_ids(department)
    number = an_approved_request(department, Scope(plate="8ABC*"))
    log_in(browser, "brandt")
    response = browser.submit(
        f"/releases/{number}", f"/releases/{number}/fulfil", chosen=f"{inside} {outside}"
    )
    assert response.status_code == 422 and "outside the scope" in response.text
    assert browser.get(f"/releases/{number}/package").status_code == 404


def test_a_request_to_records_is_marked_and_offers_no_approval(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    data = {"kind": "other", "agency": "A newspaper"}
    assert enter(browser, letter=b"", name="", **data).status_code == 303
    page = browser.get("/releases/1").text
    assert "to Records" in page and "goes to Records" in page
    browser.submit("/releases/1", "/releases/1/review", note="x")
    page = browser.get("/releases/1").text
    assert "/handle" in page and "/refuse" in page and "/approve" not in page and "/fulfil" not in page
    assert browser.submit("/releases/1", "/releases/1/handle", note="exempt").status_code == 303
    assert ">handled<" in browser.get("/releases").text


@pytest.mark.parametrize(
    "name", ["../../keys/ca.pem", "/etc/passwd", "..\\..\\x.pdf", "8ABC012.pdf", "a\x00b.pdf", "x" * 3000]
)
def test_the_name_of_an_upload_leads_nowhere_and_is_not_kept(
    browser: Browser, department: Department, name: str
) -> None:
    recipient = a_recipient(department)
    before = files_under(department.folder.root.parent)
    log_in(browser, "brandt")
    assert enter(browser, name=name, recipient=f"{recipient}").status_code == 303
    [new] = files_under(department.folder.root.parent) - before
    assert re.fullmatch(r"department/letters/[0-9a-f]{64}", new)
    page = browser.get("/releases/1")
    assert name[:20] not in page.text.replace(FIELDS["plate"], "")
    assert name[:20] not in str(newest_entries(department))
    given = browser.get("/releases/1/letter")
    assert given.headers["content-disposition"] == 'attachment; filename="request-1-letter.pdf"'


def test_a_letter_is_given_as_a_file_that_no_browser_opens_as_a_page(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    letter = PDF + b"<script>alert(1)</script>"
    enter(browser, letter=letter, recipient=f"{a_recipient(department)}")
    given = browser.get("/releases/1/letter")
    assert given.content == letter and given.headers["content-type"] == "application/pdf"
    assert given.headers["content-disposition"].startswith("attachment;")
    assert given.headers["x-content-type-options"] == "nosniff"
    [path] = department.folder.letters.iterdir()
    path.unlink()
    lost = browser.get("/releases/1/letter")
    assert lost.status_code == 503 and str(path) not in lost.text


@pytest.mark.parametrize("letter", [b"<html></html>", b"", b"MZ"])
def test_what_is_no_letter_is_refused_and_the_form_comes_back_filled_in(
    browser: Browser, department: Department, letter: bytes
) -> None:
    log_in(browser, "brandt")
    response = enter(browser, letter=letter, recipient=f"{a_recipient(department)}")
    assert response.status_code == 422 and 'role="alert"' in response.text
    assert 'value="Sgt. Invented"' in response.text and 'value="8ABC*"' in response.text
    assert releases_of(department).all(who("okafor"), NOW) == []


def test_an_upload_of_20_megabytes_is_refused_unread(browser: Browser, department: Department) -> None:
    log_in(browser, "brandt")
    assert enter(browser, letter=PDF + bytes(20_000_000)).status_code == 413
    assert enter(browser, letter=PDF + bytes(MAX_LETTER_BYTES)).status_code == 422
    assert not department.folder.letters.exists()


def test_no_other_form_takes_more_than_a_form(browser: Browser) -> None:
    log_in(browser, "brandt")
    assert browser.post("/recipients", certificate="x" * 17_000).status_code == 413
    assert browser.post("/releases/enter/", name="x" * 17_000).status_code == 413


def test_who_is_not_logged_in_uploads_nothing(browser: Browser, department: Department) -> None:
    response = enter(browser, token="guessed", letter=PDF + bytes(1_000_000))
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert not department.folder.letters.exists()


@pytest.mark.parametrize(
    "body", [b"", b"--x\r\nno form", b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--"]
)
def test_a_body_that_is_no_form_is_told_so(browser: Browser, body: bytes) -> None:
    log_in(browser, "brandt")
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = browser.runner.run(browser.client.post("/releases/enter", content=body, headers=headers))
    assert response.status_code in (403, 422)


def test_a_request_cannot_bring_two_files_or_a_file_as_another_field(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    token = form_token(browser)
    for files in (
        [("letter", ("a", PDF, "")), ("letter", ("b", PDF, ""))],
        [("person", ("a", PDF, ""))],
    ):
        response = browser.runner.run(
            browser.client.post("/releases/enter", data={"form_token": token}, files=files)
        )
        assert response.status_code == 422
    assert releases_of(department).all(who("okafor"), NOW) == []


def test_a_recipient_is_added_by_one_and_approved_by_another(
    browser: Browser, department: Department
) -> None:
    log_in(browser, "brandt")
    fields = {
        "name": "Example Sheriff",
        "kind": AgencyKind.LAW_ENFORCEMENT.value,
        "state": "CA",
        "contact": "555-0100",
        "certificate": a_holder().certificate.decode(),
    }
    assert browser.submit("/recipients", "/recipients", **fields).status_code == 303
    page = browser.get("/recipients").text
    assert "waits for approval" in page and "/recipients/1/approve" not in page
    browser.submit("/units", "/logout")
    log_in(browser, "chief")
    assert browser.submit("/recipients", "/recipients/1/approve").status_code == 303
    assert ">approved<" in browser.get("/recipients").text
    assert browser.submit("/recipients", "/recipients/1/disable", reason="merged").status_code == 303
    assert "merged" in browser.get("/recipients").text


def test_a_certificate_that_cannot_be_used_does_not_come_back_in_the_answer(browser: Browser) -> None:
    log_in(browser, "brandt")
    key = a_holder().key.decode()
    fields = {"name": "X", "kind": "court", "state": "CA", "contact": "x", "certificate": key}
    response = browser.submit("/recipients", "/recipients", **fields)
    assert response.status_code == 422 and "private key" in response.text
    assert key.splitlines()[1] not in response.text


def test_text_of_a_request_is_never_taken_for_a_page(browser: Browser, department: Department) -> None:
    log_in(browser, "brandt")
    evil = "<script>alert(1)</script>"
    assert enter(browser, kind="other", agency=evil, purpose=evil, person=evil).status_code == 303
    for path in ("/releases", "/releases/1"):
        page = browser.get(path).text
        assert "&lt;script&gt;" in page and "<script>" not in page


def test_no_page_leads_to_an_address_with_a_plate_in_it(browser: Browser, department: Department) -> None:
    an_approved_request(department, Scope(plate="8ABC*"))
    log_in(browser, "brandt")
    for path in ("/releases", "/releases/1"):
        links = re.findall(r'(?:href|action)="([^"]*)"', browser.get(path).text)
        assert links and not [link for link in links if "8ABC" in link]


@pytest.mark.parametrize("path", ["/releases/99", "/releases/99/letter", "/releases/99/package"])
def test_what_is_not_there_is_not_found(browser: Browser, path: str) -> None:
    log_in(browser, "brandt")
    assert browser.get(path).status_code == 404


def test_a_request_without_a_letter_has_none_to_give(browser: Browser, department: Department) -> None:
    wanted = asked(None, Scope(("read-1",)), kind=AgencyKind.OTHER)
    releases_of(department).enter(wanted, b"", actor=who("brandt"), now=NOW)
    log_in(browser, "brandt")
    assert browser.get("/releases/1/letter").status_code == 404


def test_an_empty_register_says_so(tmp_path: Path) -> None:
    department = a_department(tmp_path / "empty")
    made = Browser(department, NOW)
    with made.runner:
        log_in(made, "chief")
        assert "No request is on record" in made.get("/releases").text
        assert "No recipient is on the list" in made.get("/recipients").text
    department.engine.dispose()
