"""The commands of evidence and releases, as they are typed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server import clock
from server.cli import app
from server.department import Department
from server.errors import ServerError
from server.evidence_scope import Scope
from server.release_export import releases_of
from server.release_recipients import AgencyKind
from tests.departments import audited
from tests.releases import (
    PDF,
    PLATES,
    a_holder,
    a_peopled_department,
    a_recipient,
    an_approved_request,
    newest_entries,
    read_ids,
    who,
)


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = a_peopled_department(tmp_path / "department")
    yield made
    made.engine.dispose()


def run(department: Department, *words: str, typed: str = "", person: str = "ops") -> Result:
    arguments = [*words, "--department", str(department.folder.root)]
    with pytest.MonkeyPatch.context() as patch:
        for module in ("release_commands", "evidence_commands"):
            patch.setattr(f"server.{module}.console_person", lambda: f"console:{person}")
        return CliRunner().invoke(app, arguments, input=typed)


def refused(result: Result) -> str:
    assert isinstance(result.exception, ServerError), result.output
    return str(result.exception)


def test_a_package_for_the_property_room_is_made_booked_listed_and_verified(
    department: Department, tmp_path: Path
) -> None:
    out = tmp_path / "package.zip"
    made = run(
        department,
        *("evidence", "package", "--case", "26-0042", "--out", str(out), "--by-plate"),
        *("--unencrypted-for-booking", "the room has no computer"),
        typed="8abc*\n",
    )
    assert made.exit_code == 0 and "2 reads" in made.output, made.output
    assert out.stat().st_mode & 0o777 == 0o600
    key = run(department, "evidence", "key").output.strip()
    assert f"key {key}" in made.output
    booked = run(department, "evidence", "book", str(out), "--item", "26-1", "--place", "Room 1")
    assert booked.exit_code == 0 and "is item 26-1" in booked.output
    listed = run(department, "evidence", "list").output
    assert "NOT encrypted: the room has no computer" in listed and "item 26-1" in listed
    whole = CliRunner().invoke(app, ["evidence", "verify", str(out), "--key", key])
    assert whole.exit_code == 0 and "The package is whole." in whole.output
    wrong = CliRunner().invoke(app, ["evidence", "verify", str(out), "--key", "00" * 32])
    assert "not whole" in refused(wrong) and "BROKEN" in wrong.output
    assert "still encrypted" in refused(CliRunner().invoke(app, ["evidence", "verify", str(__file__)]))
    assert [entry[1] for entry in audited(department)[-5:]] == [
        *("evidence.prepare", "evidence.key", "evidence.build", "evidence.book", "evidence.list")
    ]


def test_a_package_without_recipient_and_reason_is_refused_and_writes_nothing(
    department: Department, tmp_path: Path
) -> None:
    out = tmp_path / "package.p7m"
    words = ("evidence", "package", "--case", "26-0042", "--out", str(out), "--read", read_ids(department)[0])
    assert "with a reason" in refused(run(department, *words))
    assert not out.exists() and audited(department)[-1] == ("console:ops", "evidence.prepare", "refused")
    own = a_recipient(department, kind=AgencyKind.OWN)
    assert run(department, *words, "--recipient", f"{own}").exit_code == 0
    assert out.read_bytes().startswith(b"\x30")
    assert "nothing is overwritten" in refused(run(department, *words, "--recipient", f"{own}"))
    assert audited(department)[-1][1:] == ("evidence.build", "success")


def test_a_package_needs_a_purpose_of_the_list_with_its_case(department: Department, tmp_path: Path) -> None:
    words = ("evidence", "package", "--out", str(tmp_path / "x"), "--read", "r", "--purpose")
    assert "Pick a purpose" in refused(run(department, *words, "curiosity", "--case", "26-1"))
    assert "needs a case number" in refused(run(department, *words, "investigation", "--case", " "))


def test_a_request_goes_its_way_by_commands(department: Department, tmp_path: Path) -> None:
    letter, pem = tmp_path / "letter.pdf", tmp_path / "agency.pem"
    letter.write_bytes(PDF)
    pem.write_bytes(a_holder().certificate)
    agency = ("--certificate", str(pem), "--kind", "law enforcement", "--contact", "555-0100")
    assert run(department, "release", "recipient", "add", "Example Sheriff", *agency).exit_code == 0
    assert "another person" in refused(run(department, "release", "recipient", "approve", "1"))
    assert run(department, "release", "recipient", "approve", "1", person="other").exit_code == 0
    assert "approved by console:other" in run(department, "release", "recipient", "list").output
    entered = run(
        department,
        *("release", "enter", "--kind", "law enforcement", "--recipient", "1", "--person", "Sgt. Invented"),
        *("--purpose", "Burglary", "--legal-basis", "Pen. Code 459", "--case", "26-0042"),
        *("--letter", str(letter), "--by-plate", "--since", "2026-01-01T00:00"),
        typed="8ABC*\n",
    )
    assert entered.exit_code == 0 and "request 1 is received" in entered.output, entered.output
    assert run(department, "release", "review", "1", "--note", "in order").exit_code == 0
    assert "another must approve" in refused(run(department, "release", "approve", "1"))
    approve = ("release", "approve", "1", "--recipient")
    assert "changed meanwhile" in refused(run(department, *approve, "2", person="other"))
    approved = run(department, *approve, "1", person="other")
    assert "approved for recipient 1, Example Sheriff, CA" in approved.output
    out = tmp_path / "out.p7m"
    outside = read_ids(department)[2]
    words = ("release", "fulfil", "1", "--out", str(out))
    assert "outside the scope" in refused(run(department, *words, "--read", outside))
    assert not out.exists()
    made = run(department, *words)
    assert made.exit_code == 0 and "2 reads" in made.output
    again = tmp_path / "again.p7m"
    assert run(department, "release", "package", "1", "--out", str(again)).exit_code == 0
    assert again.read_bytes() == out.read_bytes()
    assert "1: fulfilled, Example Sheriff" in run(department, "release", "list").output
    shown = run(department, "release", "show", "1").output
    assert "plate 8ABC*" in shown and "approved  console:other" in shown
    assert run(department, "release", "letter", "1", "--out", str(tmp_path / "copy")).exit_code == 0
    assert (tmp_path / "copy").read_bytes() == PDF
    assert run(department, "release", "recipient", "disable", "1", "--reason", "merged").exit_code == 0


def test_a_request_to_records_and_a_refusal_by_commands(department: Department) -> None:
    words = (
        *("release", "enter", "--kind", "other", "--agency", "A newspaper", "--person", "J. Invented"),
        *("--purpose", "A story", "--legal-basis", "Gov. Code 7920", "--case", "R-17"),
        *("--since", "2026-01-01T00:00", "--until", "2026-02-01T00:00"),
    )
    assert "goes to Records" in run(department, *words).output
    run(department, "release", "review", "1", "--note", "x")
    assert "goes to Records" in refused(run(department, "release", "approve", "1", person="other"))
    assert run(department, "release", "handle", "1", "--note", "exempt").exit_code == 0
    assert run(department, *words).exit_code == 0
    assert run(department, "release", "refuse", "2", "--reason", "no public agency").exit_code == 0
    listed = run(department, "release", "list").output
    assert "1: handled, to Records" in listed and "2: refused, to Records" in listed


def test_a_person_is_the_same_at_the_console_and_on_the_pages(department: Department) -> None:
    request = an_approved_request(department, Scope(tuple(read_ids(department))))
    assert request == 1
    register = releases_of(department)
    wanted = register.one(1, who("okafor"), clock.now()).asked
    number = register.enter(wanted, PDF, actor=who("brandt"), now=clock.now())
    register.review(number, note="x", actor=who("brandt"), now=clock.now())
    assert "another must approve" in refused(
        run(department, "release", "approve", f"{number}", person="brandt")
    )


def test_no_plate_stands_in_what_commands_print_but_where_it_is_asked_for(
    department: Department, tmp_path: Path
) -> None:
    an_approved_request(department, Scope(plate="8ABC012"))
    out = str(tmp_path / "out.p7m")
    printed = "".join(
        run(department, *words).output
        for words in (
            ("release", "list"),
            ("release", "fulfil", "1", "--out", out),
            ("evidence", "list"),
            ("release", "recipient", "list"),
        )
    )
    assert "fulfilled" not in printed and "package 1" in printed
    assert not any(plate in printed for plate in PLATES)
    assert "8ABC012" in run(department, "release", "show", "1").output
    assert newest_entries(department, 1)[0][1] == "release.view"


def test_a_letter_or_certificate_that_cannot_be_read_is_told(department: Department, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    words = ("release", "recipient", "add", "X", "--kind", "court", "--contact", "x", "--certificate", gone)
    assert "cannot be read" in refused(run(department, *words))
    assert "cannot be read" in refused(
        run(department, "evidence", "book", gone, "--item", "1", "--place", "x")
    )
