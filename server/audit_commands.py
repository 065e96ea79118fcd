"""`alpr-server audit`, `policy` and `transparency`: each command parses, calls one function, prints."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from server import clock
from server.actors import console_person
from server.audit import AuditHead, Deed, append
from server.audit_answers import REPORTS, Question, answer, checkpoints_of, imprint_of
from server.audit_export import write_export
from server.audit_offline import ExportBrokenError, verify_export
from server.audit_period import Period, last_year, period_of
from server.audit_report import as_csv, as_json
from server.audit_reviews import Verdict, draw, review
from server.audit_signing import is_signed
from server.database import reading, writing
from server.department import Department, open_department
from server.errors import AuditBrokenError, SettingsInvalidError
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.keys import write_private
from server.policy_document import as_html, as_markdown, policy_of
from server.purposes import stated_purpose
from server.transparency import as_html as transparency_html
from server.transparency import transparency_of

audit_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The access log.")

From = Annotated[str, typer.Option("--from", help="Day or moment, UTC: 2026-03-01; else 30 days back.")]
To = Annotated[str, typer.Option("--to", help="The last day, included, or a moment; else now.")]
Why = Annotated[str, typer.Option("--purpose", help="Of the pick list; it stands on what is written.")]
Case = Annotated[str, typer.Option("--case", help="Case number, where the purpose asks for one.")]
KeyName = Annotated[
    str | None, typer.Option("--key", help="The fingerprint you noted: another key is refused.")
]


@audit_app.command("verify")
def audit_verify(
    root: Annotated[Path, typer.Argument(envvar="ALPR_SERVER_DIR", help="The department's folder.")],
    noted: Annotated[str, typer.Option("--head", help="SEQUENCE:DIGEST as an earlier run printed it.")] = "",
    copies: Annotated[
        list[Path] | None,
        typer.Option("--copy", help="File of checkpoints that was copied away; may be given several times."),
    ] = None,
    key: KeyName = None,
) -> None:
    """Check the log's chain and every checkpoint there is; print head and key, to be noted down."""
    department = open_department(root)
    now = clock.now()
    try:
        checked = checkpoints_of(department).check(copies or [], _head(noted) if noted else None, key)
    except AuditBrokenError as error:
        _record(department, "audit.verify", now, outcome="refused", why=str(error))
        raise
    _record(department, "audit.verify", now, head=str(checked.head), checkpoints=checked.checkpoints)
    typer.echo(f"{checked.head.sequence} entries, unbroken")
    typer.echo(f"{checked.checkpoints} checkpoints agree, {checked.in_file} of them in the file")
    if checked.newest is not None:
        since = checked.head.sequence - checked.newest.sequence
        typer.echo(f"newest checkpoint: entry {checked.newest.sequence}, {since} entries ago")
    if checked.damaged_lines:
        typer.echo(f"{checked.damaged_lines} lines of files could not be read")
    typer.echo(f"head {checked.head}")
    typer.echo(f"key {checked.key or 'none yet'}")


@audit_app.command("checkpoint")
def audit_checkpoint(root: RootOption = DEFAULT_ROOT) -> None:
    """Sign the log's head now, and write it to the file of checkpoints."""
    checkpoints = checkpoints_of(open_department(root))
    made = checkpoints.step(clock.now(), at_once=True)
    if made is None:
        raise SettingsInvalidError("the access log is empty: there is nothing to sign")
    typer.echo(f"checkpoint {made.number}: entry {made.sequence}, key {made.key}")
    typer.echo(f"copy {checkpoints.file} to another machine")


@audit_app.command("export")
def audit_export(
    out: Annotated[Path, typer.Option(help="New file.")],
    *,
    start: From = "",
    end: To = "",
    purpose: Why = "audit",
    case: Case = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Write entries, checkpoints and public key to a file that can be checked without the department."""
    department, now = open_department(root), clock.now()
    question = _question("export", start, end, now, purpose=purpose, case=case)
    deed = _deed("audit.export", question, form="signed")
    imprint = imprint_of(department, question, now)
    made = write_export(department.engine, checkpoints_of(department), imprint, out, deed=deed, now=now)
    typer.echo(f"{out}: entries {made.first} to {made.last}, {made.checkpoints} checkpoints, key {made.key}")


@audit_app.command("verify-export")
def audit_verify_export(
    file: Annotated[Path, typer.Argument(help="As `audit export` wrote it.")],
    key: Annotated[str | None, typer.Option("--key", help="The fingerprint you noted.")] = None,
) -> None:
    """Check an export; needs neither the department's folder nor a network."""
    try:
        found = verify_export(_lines(file), is_signed, key)
    except ExportBrokenError as error:
        raise AuditBrokenError(f"{file}: {error}") from error
    typer.echo(f"{found.department}: entries {found.first} to {found.last}, unbroken")
    typer.echo(
        f"{found.checkpoints} checkpoints agree; exported at {found.exported_at} by {found.exported_by}"
    )
    typer.echo(f"for the purpose: {found.purpose}")
    typer.echo(f"key {found.key}" + ("" if key else ": compare it with the one that you noted"))


@audit_app.command("offline-verifier")
def audit_offline_verifier(
    out: Annotated[Path, typer.Option(help="New folder.")],
) -> None:
    """Write the two files with which anybody checks an export; they need Python alone."""
    try:
        out.mkdir()
        for name in ("audit_offline.py", "evidence_verify.py"):
            (out / name).write_bytes((Path(__file__).parent / name).read_bytes())
    except OSError as error:
        raise SettingsInvalidError(f"{out}: cannot be made ({error.strerror})") from error
    typer.echo(f"python3 {out / 'audit_offline.py'} --key FINGERPRINT EXPORT")


@audit_app.command("report")
def audit_report(
    report: Annotated[str, typer.Argument(help=f"One of {', '.join(REPORTS)}.")],
    *,
    start: From = "",
    end: To = "",
    user: Annotated[str, typer.Option(help='Narrows "users" to one account.')] = "",
    form: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",
    out: Annotated[Path | None, typer.Option(help="New file; else standard output.")] = None,
    purpose: Why = "audit",
    case: Case = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Write a report. The plate of "plate" is asked for: what stands in a command ends up in histories."""
    if report not in REPORTS:
        raise SettingsInvalidError(f"there is no report {report!r}: one of {', '.join(REPORTS)}")
    if form not in ("csv", "json"):
        raise SettingsInvalidError(f"--format {form!r}: csv or json")
    plate = typer.prompt("Plate", err=True).strip() if report == "plate" else ""
    department, now = open_department(root), clock.now()
    question = _question(report, start, end, now, purpose=purpose, case=case, user=user, plate=plate)
    try:
        found = answer(department, question, now)
    except ValueError as error:
        raise SettingsInvalidError(str(error)) from None
    deed = _deed("audit.export", question, rows=len(found.rows), form=form)
    with writing(department.engine) as connection:
        append(connection, deed, now)
    imprint = imprint_of(department, question, now)
    _write(out, as_csv(found, imprint) if form == "csv" else as_json(found, imprint))


@audit_app.command("sample")
def audit_sample(
    count: Annotated[int, typer.Option(help="How many queries.")] = 20,
    start: From = "",
    end: To = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Draw queries at random, to be judged with `audit review` or on the page."""
    department, now = open_department(root), clock.now()
    question = _question("sample", start, end, now, purpose="audit")
    drawn = draw(department.engine, question.period, count, _deed("audit.sample", question), now)
    typer.echo(f"{len(drawn)} drawn: {', '.join(drawn) or 'none is left in the period'}")


@audit_app.command("review")
def audit_review(
    place: Annotated[str, typer.Argument(help="Of a drawn query, as `audit sample` shows it.")],
    verdict: Annotated[Verdict, typer.Option()],
    note: Annotated[str, typer.Option(help="Needed unless all is in order.")] = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Keep how you judge a drawn query; not for the person who made it."""
    deed = Deed(console_person(), "audit.review", purpose="audit")
    review(open_department(root).engine, place, verdict, note, deed=deed, now=clock.now())
    typer.echo(f"entry {place}: {verdict.value}")


def policy(
    out: Annotated[Path, typer.Option(help="New file; .md is Markdown, .html a page of its own.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Write the usage and privacy policy, of the live configuration, for the department's website."""
    if out.suffix not in (".md", ".html"):
        raise SettingsInvalidError("--out: give it a name that ends with .md or .html")
    department, now = open_department(root), clock.now()
    with reading(department.engine) as connection:
        made = policy_of(connection, department.settings, now)
    _record(department, "policy.export", now)
    name = department.settings.department.name
    _write(out, as_markdown(made) if out.suffix == ".md" else as_html(made, name))
    for missing in made.missing:
        typer.echo(f"missing: {missing}", err=True)


def transparency(
    out: Annotated[Path, typer.Option(help="New HTML file.")],
    start: From = "",
    end: To = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Write counts for the public: no plate, person, place or unit. Else of the last year."""
    department, now = open_department(root), clock.now()
    period = _period(start, end, now) if start or end else last_year(now)
    with reading(department.engine) as connection:
        found = transparency_of(connection, department.settings, period, now)
    _record(department, "transparency.export", now, period=str(period))
    _write(out, transparency_html(found))


def _question(
    report: str,
    start: str,
    end: str,
    now: datetime,
    *,
    purpose: str,
    case: str = "",
    user: str = "",
    plate: str = "",
) -> Question:
    try:
        stated = stated_purpose(purpose, case)
    except ValueError as error:
        raise SettingsInvalidError(f"--purpose {purpose!r}: {error}") from None
    period = _period(start, end, now)
    return Question(report, period, console_person(), stated.code, stated.case_number, user=user, plate=plate)


def _period(start: str, end: str, now: datetime) -> Period:
    try:
        return period_of(start, end, now)
    except ValueError as error:
        raise SettingsInvalidError(f"--from, --to: {error}") from None


def _deed(action: str, question: Question, **more: object) -> Deed:
    detail = {**question.detail, **more}
    return Deed(
        question.asked_by,
        action,
        purpose=question.purpose,
        case_number=question.case_number,
        detail=detail,
    )


def _record(
    department: Department, action: str, now: datetime, *, outcome: str = "success", **detail: object
) -> None:
    with writing(department.engine) as connection:
        append(connection, Deed(console_person(), action, outcome, detail=detail), now)


def _write(out: Path | None, text: str) -> None:
    content = text.encode("utf-8", "backslashreplace")
    if out is None:
        typer.echo(content, nl=False)
        return
    try:
        write_private(out, content)
    except OSError as error:
        raise SettingsInvalidError(
            f"{out}: cannot be made ({error.strerror}); nothing is overwritten"
        ) from error
    typer.echo(f"{out} is written", err=True)


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as data:
            yield from data
    except OSError as error:
        raise SettingsInvalidError(f"{file}: cannot be read ({error.strerror})") from error


def _head(text: str) -> AuditHead:
    sequence, _, digest = text.partition(":")
    try:
        return AuditHead(int(sequence), bytes.fromhex(digest))
    except ValueError:
        raise SettingsInvalidError("--head: write it as an earlier `audit verify` printed it") from None
