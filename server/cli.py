"""`alpr-server`: each command parses, calls one function, prints, and returns a code."""

import secrets
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.table import Table

from hotlist_cache.entry import Priority
from hotlist_cache.errors import HotlistError
from hotlist_cache.importing import FIELDS, ImportRules, RefusedRow, import_entries
from server import clock
from server.access import Role, add_account, change_account
from server.audit import AuditHead, verify
from server.daemon import run as run_daemon
from server.database import reading
from server.department import Administrator, console_actor, found, open_department
from server.enrolment import UnitAddresses
from server.enrolment import enroll as enroll_unit
from server.enrolment import revoke as revoke_unit
from server.errors import ServerError, SettingsInvalidError
from server.logs import set_up_logs
from server.report import holdings

SHOWN_REFUSALS = 20

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The department's side.")
hotlist_app = typer.Typer(no_args_is_help=True, help="Lists of wanted plates.")
user_app = typer.Typer(no_args_is_help=True, help="Accounts of the pages.")
audit_app = typer.Typer(no_args_is_help=True, help="The access log.")
app.add_typer(hotlist_app, name="hotlist")
app.add_typer(user_app, name="user")
app.add_typer(audit_app, name="audit")

Root = Annotated[Path, typer.Argument(envvar="ALPR_SERVER_DIR", help="The department's folder.")]
RootOption = Annotated[
    Path, typer.Option("--department", envvar="ALPR_SERVER_DIR", help="The department's folder.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help='File whose first line is the password; "-" is standard input. Else one is made.'),
]
TrainingExpires = Annotated[
    datetime, typer.Option(formats=["%Y-%m-%d"], help="Day on which the person's training lapses.")
]
DEFAULT_ROOT = Path("/var/lib/alpr-server")


@app.command()
def init(
    root: Root,
    name: Annotated[str, typer.Option(help="The department's name.")] = "Police Department",
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address of this server; may be given several times.")
    ] = None,
    server_url: Annotated[str, typer.Option(help="How units reach it; else https://<first host>:8443.")] = "",
    admin: Annotated[str, typer.Option(help="Name of the first account.")] = "admin",
    password_file: PasswordFile = None,
    training_expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Of the first account; else 90 days from now."),
    ] = None,
) -> None:
    """Make a new department: folder, keys, database, first administrator."""
    now = clock.now()
    hosts = host or ["localhost", "127.0.0.1"]
    password, made = _password(password_file)
    expires = training_expires.date() if training_expires else (now + timedelta(days=90)).date()
    url = server_url or f"https://{hosts[0]}:8443"
    first = Administrator(admin, password, expires)
    found(root, first, name=name, hosts=hosts, server_url=url, now=now)
    typer.echo(f"department made in {root}")
    typer.echo(f"account {admin}: training on record until {expires.isoformat()}")
    _tell_password(admin, password, made)
    typer.echo(f"Back up {root / 'keys'} offline: without it no sealed read can ever be opened.")


@app.command()
def enroll(
    unit: Annotated[str, typer.Argument(help="The unit's id, e.g. unit-07.")],
    out: Annotated[Path | None, typer.Option(help="New folder for the unit's files.")] = None,
    server_url: Annotated[str, typer.Option(help="How the unit reaches the server; else as set.")] = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="Refuse this unit from now on.")] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Take a unit in: write its certificate, keys and configuration. A certificate it had before ends."""
    if revoke == (out is not None):
        raise SettingsInvalidError("give either --out DIR to take the unit in, or --revoke to refuse it")
    department = open_department(root)
    if out is None:
        revoke_unit(department.engine, unit, actor=console_actor(), now=clock.now())
        typer.echo(f"unit {unit} is refused from now on")
        return
    settings = department.settings
    addresses = UnitAddresses(
        server_url or settings.department.server_url, settings.mqtt.host, settings.mqtt.port
    )
    enroll_unit(
        department.engine, department.keys, unit, out, addresses, actor=console_actor(), now=clock.now()
    )
    typer.echo(f"unit {unit} is enrolled; its files are in {out}")
    typer.echo("Carry them to the unit by a way nobody else can read, then delete them here.")


@app.command()
def run(
    root: Root,
    port: Annotated[int, typer.Option(help="For units; 0 takes a free one.")] = 8443,
    admin_port: Annotated[int, typer.Option(help="For people's browsers; 0 takes a free one.")] = 8444,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve units and people until SIGTERM."""
    set_up_logs()
    run_daemon(root, host, port, admin_port)


@app.command()
def report(root: Root) -> None:
    """Say what the department holds, in numbers."""
    held = holdings(open_department(root), clock.now())
    units = Table("unit", "reads held", "days since its last batch", "state", title="Units")
    for unit in held.units:
        state = "revoked" if unit.revoked else unit.state
        units.add_row(unit.unit_id, f"{unit.reads}", f"{unit.quiet_days}", state)
    lists = Table("list", "match", "hits", title="Hits on record")
    for name, kind, count in held.hits:
        lists.add_row(name, kind, f"{count}")
    console = Console()
    console.print(units, lists)
    newest = held.hotlist
    for line in (
        f"{held.reads} reads, from {held.batches} batches with a signed receipt for {held.receipted}",
        "no hotlist is published"
        if newest is None
        else f"hotlist {newest.sequence} in force, {newest.entries} entries",
        f"{held.quarantined} batches in quarantine",
        f"access log: {held.audit.sequence} entries, chain unbroken",
    ):
        console.print(line, highlight=False)


@hotlist_app.command("import")
def hotlist_import(
    file: Annotated[Path, typer.Argument(help="CSV or TSV with a header, in UTF-8.")],
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help=f"FIELD=COLUMN; fields: {', '.join(FIELDS)}. May be given several times."),
    ] = None,
    feed: Annotated[str, typer.Option(help="Name of this source; else made from the file's name.")] = "",
    list_name: Annotated[str, typer.Option("--list", help="List of rows that name none.")] = "",
    source: Annotated[str, typer.Option(help="Source of rows that name none.")] = "",
    country: Annotated[str, typer.Option(help="Whose states two letters mean first.")] = "US",
    timezone: Annotated[str, typer.Option(help="Of dates that do not say.")] = "UTC",
    priority: Annotated[str, typer.Option(help="Of rows that name none: low, medium, high.")] = "medium",
    approve_shrink: Annotated[
        bool, typer.Option("--approve-shrink", help="It is right that most entries are gone.")
    ] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Replace all that one source listed. Units see nothing of it before `hotlist publish`."""
    department = open_department(root)
    refused = _Refusals()
    rules = ImportRules(
        columns=_column_map(columns or []),
        country=country,
        timezone=_zone(timezone),
        list_name=list_name,
        source=source,
        priority=_priority(priority),
    )
    try:
        with file.open("rb") as rows:
            count = department.hotlists.replace_feed(
                feed or "".join(c if c.isascii() and c.isalnum() else "-" for c in file.stem.lower()),
                import_entries(rows, rules, refused.add),
                actor=console_actor(),
                now=clock.now(),
                approve_shrink=approve_shrink,
            )
    except OSError as error:
        raise SettingsInvalidError(f"{file}: cannot be read ({error.strerror})") from error
    refused.report()
    typer.echo(f"{count} entries taken, {refused.count} rows refused")


@hotlist_app.command("publish")
def hotlist_publish(
    expires_days: Annotated[float, typer.Option(help="Units refuse it after so many days.")] = 7.0,
    sequence: Annotated[int | None, typer.Option(help="Higher than any a unit holds; else the next.")] = None,
    approve_shrink: Annotated[
        bool, typer.Option("--approve-shrink", help="It is right that most entries are gone.")
    ] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Sign all feeds as the next snapshot. A running server tells the units of it."""
    if not 0 < expires_days <= 3650:
        raise SettingsInvalidError("--expires-days: more than 0 and at most 3650")
    department = open_department(root)
    now = clock.now()
    published = department.hotlists.publish(
        department.keys,
        expires_at=now + timedelta(days=expires_days),
        actor=console_actor(),
        now=now,
        approve_shrink=approve_shrink,
        sequence=sequence,
    )
    typer.echo(f"snapshot {published.sequence}: {published.entries} entries, {published.bytes} bytes")


@user_app.command("add")
def user_add(
    name: str,
    role: Annotated[Role, typer.Option()],
    training_expires: TrainingExpires,
    password_file: PasswordFile = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Make an account."""
    engine = open_department(root).engine
    password, made = _password(password_file)
    until = training_expires.date()
    add_account(engine, name, role, password, until, actor=console_actor(), now=clock.now())
    typer.echo(f"account {name} ({role.value}): training on record until {until.isoformat()}")
    _tell_password(name, password, made)


@user_app.command("change")
def user_change(
    name: str,
    new_password: Annotated[bool, typer.Option("--new-password", help="Give it another password.")] = False,
    password_file: PasswordFile = None,
    training_expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="After a new training.")
    ] = None,
    disable: Annotated[bool | None, typer.Option("--disable/--enable", help="Close or open it.")] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Change an account; ends its sessions and lifts its lock."""
    engine = open_department(root).engine
    changes_password = new_password or password_file is not None
    password, made = _password(password_file) if changes_password else (None, False)
    until: date | None = training_expires.date() if training_expires else None
    change_account(
        engine,
        name,
        actor=console_actor(),
        now=clock.now(),
        password=password,
        training_expires=until,
        disabled=disable,
    )
    typer.echo(f"account {name} is changed")
    _tell_password(name, password or "", made)


@audit_app.command("verify")
def audit_verify(
    root: Root,
    noted: Annotated[str, typer.Option("--head", help="SEQUENCE:DIGEST as an earlier run printed it.")] = "",
) -> None:
    """Check that no entry was changed, removed or put in between; print the head to note down."""
    department = open_department(root)
    with reading(department.engine) as connection:
        head = verify(connection, _head(noted) if noted else None)
    typer.echo(f"{head.sequence} entries, unbroken")
    typer.echo(f"head {head}")


def main() -> None:
    """Run the command line; an error is one line on standard error and its own exit code."""
    try:
        app()
    except ServerError as error:
        _fail(error, error.exit_code)
    except HotlistError as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    typer.echo(f"alpr-server: {error}", err=True)
    sys.exit(code)


class _Refusals:
    """Rows an import did not take: the first ones told, all counted."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[RefusedRow] = []

    def add(self, row: RefusedRow) -> None:
        self.count += 1
        if len(self._first) < SHOWN_REFUSALS:
            self._first.append(row)

    def report(self) -> None:
        for row in self._first:
            typer.echo(f"line {row.line}: {row.why}", err=True)
        if self.count > len(self._first):
            typer.echo(f"… and {self.count - len(self._first)} more", err=True)


def _password(file: Path | None) -> tuple[str, bool]:
    """Return a password, and whether it was made here."""
    if file is None:
        return secrets.token_urlsafe(15), True
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalidError(f"{file}: no password could be read from it") from error
    return text.partition("\n")[0].rstrip("\r"), False


def _tell_password(name: str, password: str, made: bool) -> None:
    if made:
        typer.echo(f"password of {name}, shown only now: {password}")


def _column_map(pairs: list[str]) -> dict[str, str]:
    mapping = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals:
            raise SettingsInvalidError(f"--map {pair!r}: write FIELD=COLUMN")
        mapping[field] = column
    return mapping


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingsInvalidError(f"--timezone {name!r}: write it as America/Los_Angeles") from error


def _priority(name: str) -> Priority:
    try:
        return Priority[name.upper()]
    except KeyError:
        raise SettingsInvalidError(f"--priority {name!r}: low, medium or high") from None


def _head(text: str) -> AuditHead:
    sequence, _, digest = text.partition(":")
    try:
        return AuditHead(int(sequence), bytes.fromhex(digest))
    except ValueError:
        raise SettingsInvalidError("--head: write it as an earlier `audit verify` printed it") from None
