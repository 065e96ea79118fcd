"""Release requests and recipients: who may do what, what an approval binds, and what nobody can change."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der
from cryptography.x509 import Certificate, load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.actors import Actor
from server.database import reading, writing
from server.department import Department
from server.errors import NotPermittedError, SettingsInvalidError
from server.evidence_book import book, packages_in, the_book
from server.evidence_scope import MOST_READS, Scope, checked, from_json, reads_in, to_json
from server.evidence_seal import encrypted
from server.release_errors import EvidenceRefusedError, ReleaseRefusedError
from server.release_export import fetch, fulfil, package_for_booking, releases_of
from server.release_letters import MAX_LETTER_BYTES
from server.release_recipients import AgencyKind
from server.releases import ReleaseChangedError, Releases, State
from server.settings import ReleaseSettings, read_settings
from server.tables import metadata
from tests.auditors import done
from tests.databases import Database
from tests.fakes import a_read
from tests.releases import (
    NOW,
    PDF,
    PLATES,
    a_certificate,
    a_holder,
    a_peopled_department,
    a_recipient,
    an_approved_request,
    asked,
    hand_in,
    newest_entries,
    read_ids,
    rsa_key,
    who,
)

TABLES = (
    "release_recipients",
    "release_recipient_steps",
    "release_requests",
    "release_steps",
    "evidence_packages",
    "evidence_bookings",
)


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_peopled_department(tmp_path / "department")
    yield made
    made.engine.dispose()


@pytest.fixture
def register(department: Department) -> Releases:
    return releases_of(department)


def under_review(department: Department, scope: Scope | None = None) -> int:
    register = releases_of(department)
    wanted = scope or Scope(tuple(read_ids(department)))
    number = register.enter(asked(a_recipient(department), wanted), PDF, actor=who("brandt"), now=NOW)
    register.review(number, note="in order", actor=who("brandt"), now=NOW)
    return number


def state_of(department: Department, number: int) -> State:
    return releases_of(department).one(number, who("okafor"), NOW).state


# Who may do what


@pytest.mark.parametrize("name", ["reyes", "okafor", "lindgren"])
def test_who_does_not_keep_the_register_enters_reviews_and_exports_nothing(
    department: Department, register: Releases, name: str
) -> None:
    request = an_approved_request(department, Scope(tuple(read_ids(department))))
    wanted = asked(1, Scope(("read-1",)))
    deeds: list[Callable[[], object]] = [
        lambda: register.enter(wanted, PDF, actor=who(name), now=NOW),
        lambda: register.review(request, note="x", actor=who(name), now=NOW),
        lambda: register.approve(request, note="x", actor=who(name), now=NOW),
        lambda: register.refuse(request, reason="x", actor=who(name), now=NOW),
        lambda: register.handle(request, note="x", actor=who(name), now=NOW),
        lambda: fulfil(department, request, actor=who(name), now=NOW),
        lambda: fetch(department, request, actor=who(name), now=NOW),
        lambda: register.recipients.approve(1, actor=who(name), now=NOW),
        lambda: register.recipients.disable(1, reason="x", actor=who(name), now=NOW),
        lambda: package_for_booking(
            department, Scope(("read-1",)), unencrypted_reason="x", actor=who(name), now=NOW
        ),
    ]
    for deed in deeds:
        with pytest.raises(NotPermittedError):
            deed()
        actor, _, outcome, _ = newest_entries(department, 1)[0]
        assert (actor, outcome) == (name, "refused")
    assert state_of(department, request) is State.APPROVED


@pytest.mark.parametrize(
    ("name", "may"), [("okafor", True), ("brandt", True), ("chief", True), ("reyes", False)]
)
def test_the_register_is_seen_by_who_keeps_it_decides_or_audits(
    register: Releases, department: Department, name: str, may: bool
) -> None:
    number = under_review(department)
    looks: list[Callable[[], object]] = [
        lambda: register.all(who(name), NOW),
        lambda: register.one(number, who(name), NOW),
        lambda: register.letter(number, who(name), NOW),
        lambda: register.recipients.all(who(name), NOW),
    ]
    for look in looks:
        if may:
            assert look()
        else:
            with pytest.raises(NotPermittedError):
                look()
        assert newest_entries(department, 1)[0][::2] == (name, "success" if may else "refused")


def test_a_supervisor_does_not_approve_unless_the_settings_say_so(
    register: Releases, department: Department
) -> None:
    number = under_review(department)
    with pytest.raises(NotPermittedError, match="admin"):
        register.approve(number, note="", actor=who("tanaka"), now=NOW)
    others = replace(register, rules=ReleaseSettings(approver_role="supervisor"))
    others.approve(number, note="", actor=who("tanaka"), now=NOW)
    assert state_of(department, number) is State.APPROVED


# Two persons


@pytest.mark.parametrize("approver", ["chief", "console:chief", "console:Chief"])
def test_who_entered_a_request_never_approves_it(
    register: Releases, department: Department, approver: str
) -> None:
    wanted = asked(a_recipient(department), Scope(tuple(read_ids(department))))
    number = register.enter(wanted, PDF, actor=who("chief"), now=NOW)
    register.review(number, note="in order", actor=who("brandt"), now=NOW)
    actor = who(approver)
    with pytest.raises(ReleaseRefusedError, match="another"):
        register.approve(number, note="", actor=actor, now=NOW)
    assert state_of(department, number) is State.UNDER_REVIEW
    assert ("release.approve", "refused") in [entry[1:3] for entry in newest_entries(department)]
    register.approve(number, note="", actor=who("deputy"), now=NOW)
    assert state_of(department, number) is State.APPROVED


@pytest.mark.parametrize("approver", ["chief", "console:CHIEF"])
def test_who_added_a_recipient_never_approves_of_it(
    register: Releases, department: Department, approver: str
) -> None:
    number = register.recipients.add(
        name="Example Sheriff",
        kind=AgencyKind.LAW_ENFORCEMENT,
        state="CA",
        contact="555-0100",
        pem=a_holder().certificate,
        actor=who("chief"),
        now=NOW,
    )
    with pytest.raises(ReleaseRefusedError, match="another person"):
        register.recipients.approve(number, actor=Actor(approver, who("chief").role), now=NOW)
    register.recipients.approve(number, actor=who("deputy"), now=NOW)
    [found] = register.recipients.all(who("okafor"), NOW)
    assert (found.standing, found.added_by, found.approved_by) == ("approved", "chief", "deputy")


# States


def test_a_request_goes_from_received_to_fulfilled_and_every_step_has_its_name(
    register: Releases, department: Department
) -> None:
    number = an_approved_request(department, Scope(tuple(read_ids(department))))
    made = fulfil(department, number, actor=who("tanaka"), now=NOW)
    steps = register.one(number, who("okafor"), NOW).steps
    assert [(step.state.value, step.done_by) for step in steps] == [
        ("received", "brandt"),
        ("under review", "brandt"),
        ("approved", "chief"),
        ("fulfilled", "tanaka"),
    ]
    assert steps[-1].package_id == made.package_id
    assert fetch(department, number, actor=who("brandt"), now=NOW).content == made.content
    kept = department.folder.packages / made.sha256
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_approved_or_exported_out_of_turn(register: Releases, department: Department) -> None:
    wanted = asked(a_recipient(department), Scope(tuple(read_ids(department))))
    number = register.enter(wanted, PDF, actor=who("brandt"), now=NOW)
    with pytest.raises(ReleaseRefusedError, match="is received"):
        register.approve(number, note="", actor=who("chief"), now=NOW)
    register.review(number, note="x", actor=who("brandt"), now=NOW)
    with pytest.raises(ReleaseRefusedError, match="nothing is exported"):
        fulfil(department, number, actor=who("brandt"), now=NOW)
    with pytest.raises(ReleaseRefusedError, match="not answered with a package"):
        fetch(department, number, actor=who("brandt"), now=NOW)
    register.approve(number, note="", actor=who("chief"), now=NOW)
    register.refuse(number, reason="withdrawn by the agency", actor=who("chief"), now=NOW)
    for deed in (
        lambda: fulfil(department, number, actor=who("brandt"), now=NOW),
        lambda: register.approve(number, note="", actor=who("chief"), now=NOW),
        lambda: register.review(number, note="x", actor=who("brandt"), now=NOW),
        lambda: register.refuse(number, reason="x", actor=who("chief"), now=NOW),
    ):
        with pytest.raises(ReleaseRefusedError, match="is refused"):
            deed()
    assert not department.folder.packages.exists()


def test_what_is_approved_is_what_was_shown(register: Releases, department: Department) -> None:
    number, another = under_review(department), a_recipient(department)
    shown = register.one(number, who("chief"), NOW)
    recipient, step = shown.recipient_id, shown.steps[-1].number
    for changed in (None, another):
        register.review(number, note="more", actor=who("brandt"), now=NOW, recipient_id=changed)
        with pytest.raises(ReleaseChangedError, match="look again"):
            register.approve(number, note="", actor=who("chief"), now=NOW, recipient_id=recipient, step=step)
    with pytest.raises(ReleaseChangedError, match="look again"):
        register.approve(number, note="", actor=who("chief"), now=NOW, recipient_id=recipient)
    assert newest_entries(department, 1)[0][:3] == ("chief", "release.approve", "refused")
    assert state_of(department, number) is State.UNDER_REVIEW
    seen = register.one(number, who("chief"), NOW).steps[-1].number
    to = register.approve(number, note="", actor=who("chief"), now=NOW, recipient_id=another, step=seen)
    assert to.recipient_id == another and state_of(department, number) is State.APPROVED


def test_a_look_at_a_request_names_the_plate_and_the_reads_and_a_refused_one_no_read(
    register: Releases, department: Department
) -> None:
    number, ids = under_review(department, Scope(plate="8ABC*")), read_ids(department)
    register.one(number, who("chief"), NOW, ids[:2])
    detail = json.loads(newest_entries(department, 1)[0][3])
    assert detail == {"request": number, "plate": "8ABC*", "shown": ids[:2]}
    with pytest.raises(NotPermittedError):
        register.one(number, who("reyes"), NOW, ids[:2])
    assert ids[0] not in newest_entries(department, 1)[0][3]


def test_another_agency_is_not_told_of_other_investigations(department: Department) -> None:
    ids = read_ids(department)
    done(department.engine, "reyes", "read.view", at=NOW, detail={"read": ids[0]},
         purpose="missing-person", case_number="IA-26-777")  # fmt: skip
    done(department.engine, "tanaka", "read.view", at=NOW, detail={"read": ids[0]},
         purpose="investigation", case_number="26-0042")  # fmt: skip
    number, later = an_approved_request(department, Scope((ids[0],))), NOW + timedelta(minutes=1)
    content = fulfil(department, number, actor=who("brandt"), now=later).content
    archive = pkcs7_decrypt_der(content, load_pem_x509_certificate(a_holder().certificate), rsa_key(), [])
    with zipfile.ZipFile(io.BytesIO(archive)) as held:
        files = {name: held.read(name) for name in held.namelist()}
    seen = json.loads(files["evidence/custody.json"])["seen"]
    looks = [(each["actor"], each["action"], each["purpose"], each["case_number"]) for each in seen]
    assert looks == [
        ("reyes", "read.view", "withheld", "withheld"),
        ("tanaka", "read.view", "investigation", "26-0042"),
    ]
    assert b'"withheld"' in files["evidence/README.txt"]
    assert not [name for name, data in files.items() if b"IA-26-777" in data]


def test_the_departments_own_package_tells_of_all_looks(department: Department) -> None:
    ids = read_ids(department)
    done(department.engine, "reyes", "read.view", at=NOW, detail={"read": ids[0]},
         purpose="missing-person", case_number="IA-26-777")  # fmt: skip
    made = package_for_booking(
        department,
        Scope((ids[0],)),
        unencrypted_reason="no computer",
        actor=who("brandt"),
        now=NOW + timedelta(minutes=1),
    )
    with zipfile.ZipFile(io.BytesIO(made.content)) as held:
        seen = json.loads(held.read("evidence/custody.json"))["seen"]
    assert ("missing-person", "IA-26-777") in [(each["purpose"], each["case_number"]) for each in seen]


def test_a_fulfilled_request_is_not_fulfilled_again_or_refused(
    register: Releases, department: Department
) -> None:
    number = an_approved_request(department, Scope(tuple(read_ids(department))))
    fulfil(department, number, actor=who("brandt"), now=NOW)
    with pytest.raises(ReleaseRefusedError):
        fulfil(department, number, actor=who("brandt"), now=NOW)
    with pytest.raises(ReleaseRefusedError):
        register.refuse(number, reason="x", actor=who("chief"), now=NOW)


def test_a_request_by_no_public_agency_goes_to_records_and_is_never_exported(
    register: Releases, department: Department
) -> None:
    wanted = asked(None, Scope(tuple(read_ids(department))), kind=AgencyKind.OTHER, agency="A newspaper")
    number = register.enter(wanted, b"", actor=who("brandt"), now=NOW)
    assert register.one(number, who("brandt"), NOW).to_records
    with pytest.raises(ReleaseRefusedError):
        register.handle(number, note="x", actor=who("brandt"), now=NOW)
    register.review(number, note="a public records request", actor=who("brandt"), now=NOW)
    with pytest.raises(ReleaseRefusedError, match="Records"):
        register.approve(number, note="", actor=who("chief"), now=NOW)
    with pytest.raises(ReleaseRefusedError):
        fulfil(department, number, actor=who("brandt"), now=NOW)
    register.handle(number, note="told that it is exempt", actor=who("tanaka"), now=NOW)
    assert state_of(department, number) is State.HANDLED
    with pytest.raises(ReleaseRefusedError, match="public agency"):
        register.handle(under_review(department), note="x", actor=who("brandt"), now=NOW)


def test_records_refuses_what_goes_to_records_and_only_who_decides_the_rest(
    register: Releases, department: Department
) -> None:
    wanted = asked(None, Scope(("read-1",)), kind=AgencyKind.OTHER, agency="A company")
    number = register.enter(wanted, b"", actor=who("brandt"), now=NOW)
    register.refuse(number, reason="no public agency", actor=who("brandt"), now=NOW)
    assert state_of(department, number) is State.REFUSED
    with pytest.raises(NotPermittedError):
        register.refuse(under_review(department), reason="x", actor=who("brandt"), now=NOW)


def test_no_recipient_is_slipped_under_a_request_to_records(
    register: Releases, department: Department
) -> None:
    recipient = a_recipient(department)
    with pytest.raises(ReleaseRefusedError, match="another kind"):
        register.enter(
            asked(recipient, Scope(("r",)), kind=AgencyKind.OTHER), b"", actor=who("brandt"), now=NOW
        )
    number = register.enter(
        asked(None, Scope(("r",)), kind=AgencyKind.OTHER), b"", actor=who("brandt"), now=NOW
    )
    with pytest.raises(ReleaseRefusedError, match="another kind"):
        register.review(number, note="x", actor=who("brandt"), now=NOW, recipient_id=recipient)


# Recipients


@pytest.mark.parametrize(("out_of_state", "taken"), [(False, False), (True, True)])
def test_agencies_of_other_states_are_taken_only_where_the_department_says_so(
    register: Releases, department: Department, out_of_state: bool, taken: bool
) -> None:
    rules = replace(register, rules=ReleaseSettings(out_of_state=out_of_state))

    def add() -> int:
        return rules.recipients.add(
            name="Example Bureau",
            kind=AgencyKind.LAW_ENFORCEMENT,
            state="US",
            contact="555-0100",
            pem=a_holder().certificate,
            actor=who("brandt"),
            now=NOW,
        )

    if not taken:
        with pytest.raises(ReleaseRefusedError, match=r"1798\.90\.55"):
            add()
        return
    number = add()
    rules.recipients.approve(number, actor=who("chief"), now=NOW)
    # Once the setting is taken back, who is on the list is given nothing more.
    with pytest.raises(ReleaseRefusedError, match=r"1798\.90\.55"), reading(department.engine) as connection:
        register.recipients.usable(connection, number, NOW)


@pytest.mark.parametrize("state", ["", "C", "Ca", "CAL", "C1"])
def test_a_state_is_two_letters(department: Department, state: str) -> None:
    with pytest.raises(ReleaseRefusedError, match="two letters"):
        a_recipient(department, state=state)


def test_who_asks_for_the_public_is_never_on_the_list(department: Department) -> None:
    with pytest.raises(ReleaseRefusedError, match="a recipient is one of"):
        a_recipient(department, kind=AgencyKind.OTHER)


def test_nothing_is_approved_for_a_recipient_that_waits_is_disabled_or_lets_its_certificate_lapse(
    register: Releases, department: Department
) -> None:
    ids = Scope(tuple(read_ids(department)))
    short = a_certificate(rsa_key(), ends=NOW + timedelta(hours=1))
    waits = a_recipient(department, approved=False)
    disabled = a_recipient(department)
    register.recipients.disable(disabled, reason="merged", actor=who("brandt"), now=NOW)
    lapses = a_recipient(department, certificate=short)
    for recipient, said in ((waits, "is added"), (disabled, "is disabled"), (lapses, "not valid today")):
        number = register.enter(asked(recipient, ids), PDF, actor=who("brandt"), now=NOW)
        register.review(number, note="x", actor=who("brandt"), now=NOW)
        with pytest.raises((ReleaseRefusedError, EvidenceRefusedError), match=said):
            register.approve(number, note="", actor=who("chief"), now=NOW + timedelta(hours=2))
    with pytest.raises(ReleaseRefusedError, match="does not wait"):
        register.recipients.approve(disabled, actor=who("chief"), now=NOW)
    with pytest.raises(ReleaseRefusedError, match="disabled already"):
        register.recipients.disable(disabled, reason="x", actor=who("brandt"), now=NOW)


def test_a_recipient_that_is_disabled_after_the_approval_is_given_nothing(
    register: Releases, department: Department
) -> None:
    number = an_approved_request(department, Scope(tuple(read_ids(department))))
    register.recipients.disable(1, reason="key was lost", actor=who("brandt"), now=NOW)
    with pytest.raises(ReleaseRefusedError, match="disabled"):
        fulfil(department, number, actor=who("brandt"), now=NOW)
    assert state_of(department, number) is State.APPROVED


def test_a_recipient_that_is_disabled_while_the_package_is_made_is_given_nothing(
    register: Releases, department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = an_approved_request(department, Scope(tuple(read_ids(department))))

    def meanwhile(content: bytes, certificate: Certificate) -> bytes:
        register.recipients.disable(1, reason="key was lost", actor=who("chief"), now=NOW)
        return encrypted(content, certificate)

    monkeypatch.setattr("server.release_export.encrypted", meanwhile)
    with pytest.raises(ReleaseRefusedError, match="disabled"):
        fulfil(department, number, actor=who("brandt"), now=NOW)
    with reading(department.engine) as connection:
        assert packages_in(connection) == []
    assert not department.folder.packages.exists()


def test_a_recipient_is_named_in_the_review_where_the_request_did_not(
    register: Releases, department: Department
) -> None:
    wanted = asked(None, Scope(tuple(read_ids(department))), kind=AgencyKind.PROSECUTOR, agency="Example DA")
    number = register.enter(wanted, PDF, actor=who("brandt"), now=NOW)
    register.review(number, note="x", actor=who("brandt"), now=NOW)
    with pytest.raises(ReleaseRefusedError, match="names no recipient"):
        register.approve(number, note="", actor=who("chief"), now=NOW)
    recipient = a_recipient(department, kind=AgencyKind.PROSECUTOR)
    register.review(number, note="called back", actor=who("brandt"), now=NOW, recipient_id=recipient)
    register.approve(number, note="", actor=who("chief"), now=NOW)
    assert fulfil(department, number, actor=who("brandt"), now=NOW).reads == 3


# Scope


def test_an_export_of_anything_outside_the_approved_scope_is_refused_and_recorded(
    department: Department,
) -> None:
    inside, other, _ = read_ids(department)
    number = an_approved_request(department, Scope((inside,)))
    with pytest.raises(EvidenceRefusedError, match="1 of the chosen reads are outside"):
        fulfil(department, number, [inside, other], actor=who("brandt"), now=NOW)
    assert newest_entries(department, 1)[0][1:3] == ("release.prepare", "refused")
    assert state_of(department, number) is State.APPROVED
    assert fulfil(department, number, [inside], actor=who("brandt"), now=NOW).reads == 1


@pytest.mark.parametrize(
    ("scope", "plates"),
    [
        (Scope(plate="8ABC*"), PLATES[:2]),
        (Scope(plate="8abc-o12"), PLATES[:1]),
        (Scope(plate="8ABC*", unit_id="unit-99"), ()),
        (Scope(since=datetime(2020, 1, 1, tzinfo=UTC), until=NOW), PLATES),
        (Scope(since=datetime(2020, 1, 1, tzinfo=UTC), until=datetime(2021, 1, 1, tzinfo=UTC)), ()),
        (Scope(plate="XYZ777", unit_id="unit-07"), PLATES[2:]),
    ],
)
def test_a_scope_covers_what_it_names_and_nothing_else(
    department: Department, scope: Scope, plates: tuple[str, ...]
) -> None:
    with reading(department.engine) as connection:
        found = [each.read_id for each in reads_in(connection, checked(scope))]
    held = dict(zip(PLATES, read_ids(department), strict=True))
    assert found == [held[plate] for plate in plates]


def test_a_scope_narrows_by_all_that_it_names_together(department: Department) -> None:
    first, second, _ = read_ids(department)
    number = an_approved_request(department, Scope((first, second), plate=PLATES[1]))
    made = fulfil(department, number, actor=who("brandt"), now=NOW)
    assert made.reads == 1
    detail = json.loads(newest_entries(department, 1)[0][3])
    assert detail["shown"] == [second]


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(unit_id="unit-07"),
        Scope(plate="*"),
        Scope(plate="A*"),
        Scope(plate="?" * 7),
        Scope(since=NOW),
        Scope(since=NOW, until=NOW),
        Scope(plate="TEST123", since=NOW, until=NOW - timedelta(days=1)),
        Scope(plate="TEST123", since=datetime(2026, 1, 1)),  # noqa: DTZ001 # a naive time is the point
        Scope(tuple(f"read-{number}" for number in range(MOST_READS + 1))),
        Scope(("x" * 65,)),
    ],
)
def test_a_scope_that_names_nothing_or_everything_is_refused(
    register: Releases, department: Department, scope: Scope
) -> None:
    with pytest.raises(EvidenceRefusedError):
        register.enter(asked(a_recipient(department), scope), PDF, actor=who("brandt"), now=NOW)
    assert newest_entries(department, 1)[0][1:3] == ("release.enter", "refused")


def test_nobody_has_what_is_still_to_come_sent_after_them(register: Releases, department: Department) -> None:
    recipient = a_recipient(department)
    with pytest.raises(ReleaseRefusedError, match="is to come"):
        register.enter(
            asked(recipient, Scope(plate="8ABC*", until=NOW + timedelta(days=1))),
            PDF,
            actor=who("brandt"),
            now=NOW,
        )
    number = register.enter(asked(recipient, Scope(plate="8ABC*")), PDF, actor=who("brandt"), now=NOW)
    assert register.one(number, who("brandt"), NOW).asked.scope.until == NOW


def test_more_reads_than_a_package_holds_are_refused_not_cut(department: Department) -> None:
    number = an_approved_request(department, Scope(since=datetime(2020, 1, 1, tzinfo=UTC), until=NOW))
    hand_in(department, [a_read() for _ in range(MOST_READS)])
    with pytest.raises(EvidenceRefusedError, match="narrow it"):
        fulfil(department, number, actor=who("brandt"), now=NOW)
    chosen = read_ids(department)[:MOST_READS]
    assert fulfil(department, number, chosen, actor=who("brandt"), now=NOW).reads == MOST_READS


moments = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 # bounds are naive, times are not


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=20), moments, moments)
def test_a_scope_is_read_back_as_it_was_written(
    ids: list[str], plate: str, since: datetime | None, until: datetime | None
) -> None:
    scope = Scope(tuple(ids), plate, "unit-07", since, until)
    assert from_json(to_json(scope)) == scope
    assert "plate" not in repr(Scope(plate="TEST123"))


# Letters


def test_an_agency_asks_in_writing(register: Releases, department: Department) -> None:
    with pytest.raises(ReleaseRefusedError, match="in writing"):
        register.enter(asked(a_recipient(department), Scope(("r",))), b"", actor=who("brandt"), now=NOW)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(PDF, "pdf"), (b"\xff\xd8\xff\xe0 jpeg", "jpg"), (b"\x89PNG\r\n\x1a\n png", "png")],
)
def test_a_letter_is_kept_under_its_digest_and_given_back_as_it_came(
    register: Releases, department: Department, content: bytes, kind: str
) -> None:
    number = register.enter(
        asked(a_recipient(department), Scope(("r",))), content, actor=who("brandt"), now=NOW
    )
    [path] = department.folder.letters.iterdir()
    assert path.name == hashlib.sha256(content).hexdigest()
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    letter, given_back = register.letter(number, who("okafor"), NOW)
    assert (letter.kind, letter.sha256, given_back) == (kind, path.name, content)
    path.write_bytes(b"%PDF- another")
    with pytest.raises(SettingsInvalidError, match="not the file that was kept"):
        register.letter(number, who("okafor"), NOW)
    register.enter(asked(1, Scope(("r",))), content, actor=who("brandt"), now=NOW)
    assert register.letter(number, who("okafor"), NOW)[1] == content


@pytest.mark.parametrize(
    "content",
    [b"<script>alert(1)</script>", b"MZ", b"\n%PDF-1.7", b"PK\x03\x04", PDF + bytes(MAX_LETTER_BYTES)],
    ids=["html", "exe", "pdf-not-at-once", "zip", "too-large"],
)
def test_what_is_no_letter_or_too_large_is_refused_and_not_kept(
    register: Releases, department: Department, content: bytes
) -> None:
    with pytest.raises(ReleaseRefusedError, match="letter"):
        register.enter(asked(a_recipient(department), Scope(("r",))), content, actor=who("brandt"), now=NOW)
    assert not department.folder.letters.exists()


@pytest.mark.parametrize("name", ["person", "purpose", "legal_basis", "case_number", "agency"])
@pytest.mark.parametrize("value", ["", "  ", "x" * 513, "line\x00end"])
def test_a_request_without_what_it_must_say_is_refused(register: Releases, name: str, value: str) -> None:
    wanted = replace(asked(None, Scope(("r",))), **{name: value})  # type: ignore[arg-type] # each is text
    with pytest.raises(ReleaseRefusedError) as refused:
        register.enter(wanted, PDF, actor=who("brandt"), now=NOW)
    assert "xxx" not in str(refused.value)


# The register and the access log


def test_nothing_in_the_register_is_changed_or_deleted(database: Database, tmp_path: Path) -> None:
    department = a_peopled_department(tmp_path / "department", database)
    number = an_approved_request(department, Scope(plate="8ABC*"))
    made = fulfil(department, number, actor=who("brandt"), now=NOW)
    assert made.reads == 2
    copy = tmp_path / "copy.p7m"
    copy.write_bytes(fetch(department, number, actor=who("brandt"), now=NOW).content)
    book(department.engine, copy, item_number="26-1", place="Room 1", actor=who("brandt"), now=NOW)
    for table in TABLES:
        column = list(metadata.tables[table].columns)[-1].name
        with reading(department.engine) as connection:
            before = connection.execute(text(f"SELECT * FROM {table}")).all()
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
            with pytest.raises(DBAPIError, match="append-only"), writing(department.engine) as connection:
                connection.execute(text(statement))
        with reading(department.engine) as connection:
            assert before and connection.execute(text(f"SELECT * FROM {table}")).all() == before
    department.engine.dispose()


def test_every_deed_is_an_entry_with_its_outcome_and_an_export_names_what_was_given(
    department: Department,
) -> None:
    ids = read_ids(department)
    number = an_approved_request(department, Scope(plate="8ABC*"))
    made = fulfil(department, number, actor=who("brandt"), now=NOW)
    entries = newest_entries(department)
    assert [entry[1:3] for entry in entries[:7]] == [
        ("release.export", "success"),
        ("evidence.key", "success"),
        ("release.prepare", "success"),
        ("release.approve", "success"),
        ("release.review", "success"),
        ("release.enter", "success"),
        ("recipient.approve", "success"),
    ]
    export = json.loads(entries[0][3])
    assert (export["shown"], export["sha256"], export["asked"]["plate"]) == (ids[:2], made.sha256, "8ABC*")
    assert (export["request"], export["recipient"], export["package"]) == (number, 1, made.package_id)
    entered = json.loads(entries[5][3])
    assert entered["letter"] == hashlib.sha256(PDF).hexdigest() and entered["asked"]["plate"] == "8ABC*"


# The property room


def test_without_a_recipient_a_package_needs_a_reason_and_with_both_it_is_refused(
    department: Department,
) -> None:
    scope = Scope(tuple(read_ids(department)))
    own = a_recipient(department, kind=AgencyKind.OWN)
    with pytest.raises(EvidenceRefusedError, match="with a reason"):
        package_for_booking(department, scope, actor=who("brandt"), now=NOW)
    with pytest.raises(EvidenceRefusedError, match="one of the two"):
        package_for_booking(
            department, scope, recipient_id=own, unencrypted_reason="x", actor=who("brandt"), now=NOW
        )
    plain = package_for_booking(
        department, scope, unencrypted_reason="the room has no computer", actor=who("brandt"), now=NOW
    )
    assert plain.content.startswith(b"PK")
    _, action, outcome, detail = newest_entries(department, 1)[0]
    assert (action, outcome) == ("evidence.build", "success")
    assert json.loads(detail)["reason"] == "the room has no computer"
    sealed = package_for_booking(department, scope, recipient_id=own, actor=who("brandt"), now=NOW)
    assert sealed.content.startswith(b"\x30")
    assert plain.key == sealed.key


def test_another_agency_is_given_nothing_without_a_request(department: Department) -> None:
    agency = a_recipient(department)
    with pytest.raises(ReleaseRefusedError, match="is another agency"):
        package_for_booking(
            department,
            Scope(tuple(read_ids(department))),
            recipient_id=agency,
            actor=who("brandt"),
            now=NOW,
        )
    with pytest.raises(ReleaseRefusedError, match="who asks is one of"):
        releases_of(department).enter(
            asked(None, Scope(("r",)), kind=AgencyKind.OWN), PDF, actor=who("brandt"), now=NOW
        )


def test_a_booking_names_item_place_person_and_digest_and_only_of_what_was_made_here(
    department: Department, tmp_path: Path
) -> None:
    made = package_for_booking(
        department,
        Scope(tuple(read_ids(department))),
        unencrypted_reason="property room",
        actor=who("brandt"),
        now=NOW,
    )
    file = tmp_path / "disk"
    file.write_bytes(made.content)
    booked = book(
        department.engine, file, item_number="26-0042-1", place="Room 1", actor=who("tanaka"), now=NOW
    )
    assert (booked.package_id, booked.sha256) == (made.package_id, made.sha256)
    packages, bookings = the_book(department.engine, who("okafor"), NOW)
    assert bookings == [booked] and (booked.booked_by, booked.item_number) == ("tanaka", "26-0042-1")
    assert [each.unencrypted_reason for each in packages] == ["property room"]
    file.write_bytes(made.content + b"\0")
    with pytest.raises(EvidenceRefusedError, match="no package that was made here"):
        book(department.engine, file, item_number="1", place="Room 1", actor=who("tanaka"), now=NOW)
    assert newest_entries(department, 1)[0][1:3] == ("evidence.book", "refused")


# Settings


@pytest.mark.parametrize(
    "line",
    [
        'records_role = "officer"',
        'approver_role = "auditor"',
        'state = "ca"',
        'state = "California"',
        "x = 1",
    ],
)
def test_settings_of_releases_that_cannot_be_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(f"[release]\n{line}\n")
    with pytest.raises(SettingsInvalidError, match="release"):
        read_settings(path)


def test_without_settings_california_alone_is_given_anything(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text("")
    assert read_settings(path).release == ReleaseSettings("CA", False, "supervisor", "admin")
