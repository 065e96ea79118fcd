"""`alpr-server`: each command parses, calls one function, prints, and returns a code."""

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from hotlist_cache.errors import HotlistError
from server import clock
from server.account_commands import PasswordFile, account_app, password_from, tell_password
from server.actors import console_person
from server.audit import Deed, append
from server.audit_commands import audit_app, policy, transparency
from server.broker_config import write_broker_config
from server.check_commands import check
from server.coming_ends import coming_ends
from server.daemon import run as run_daemon
from server.database import reading, writing
from server.department import Administrator, found, open_department
from server.enrolment import UnitAddresses, renew_page
from server.enrolment import enroll as enroll_unit
from server.enrolment import revoke as revoke_unit
from server.errors import ServerError, SettingsInvalidError
from server.evidence_commands import evidence_app
from server.evidence_seal import evidence_key
from server.feed_commands import hotlist_app
from server.fleet_commands import fleet_units
from server.hit_commands import hits_app
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.keys import write_private
from server.logs import set_up_logs
from server.moving_commands import move_to_postgresql
from server.own_certificates import names_host, names_of
from server.own_certificates import renew as renew_own
from server.picture_commands import pictures_app
from server.read_commands import reads_app
from server.release_commands import release_app
from server.report import holdings
from server.retention_commands import hold_app, retention_app
from server.revocation import revocation_list
from server.roster_commands import roster_app
from server.settings import SECOND_FACTOR
from server.transfer_commands import transfer_app
from server.unit_commands import unit_app
from server.unit_log_commands import audit_unit
from server.updates_commands import updates_app

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help="The department's side."
)
app.add_typer(hotlist_app, name="hotlist")
app.add_typer(updates_app, name="updates")
app.add_typer(transfer_app, name="transfer")
app.add_typer(unit_app, name="unit")
app.add_typer(retention_app, name="retention")
app.add_typer(hold_app, name="hold")
app.add_typer(roster_app, name="roster")
app.add_typer(account_app, name="account")
app.add_typer(evidence_app, name="evidence")
app.add_typer(reads_app, name="reads")
app.add_typer(release_app, name="release")
app.add_typer(pictures_app, name="pictures")
app.add_typer(hits_app, name="hits")
app.add_typer(audit_app, name="audit")
audit_app.command("unit")(audit_unit)
app.command("move")(move_to_postgresql)
app.command()(policy)
app.command()(check)
app.command("units")(fleet_units)
app.command()(transparency)

Root = Annotated[Path, typer.Argument(envvar="ALPR_SERVER_DIR", help="The department's folder.")]
PageHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--page-host", help="Further name or address by which a laptop calls the unit's page; repeatable."
    ),
]


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
    database_url: Annotated[
        str,
        typer.Option(
            envvar="ALPR_DATABASE_URL",
            help="postgresql+psycopg://user@host/database, which is empty; else SQLite in the folder.",
        ),
    ] = "",
    second_factor: Annotated[
        str, typer.Option(help='"required" of everybody, or "optional"; [access] in server.toml.')
    ] = "required",
) -> None:
    """Make a new department: folder, keys, database, first administrator."""
    now = clock.now()
    hosts = host or ["localhost", "127.0.0.1"]
    password, made = password_from(password_file)
    expires = training_expires.date() if training_expires else (now + timedelta(days=90)).date()
    url = server_url or f"https://{hosts[0]}:8443"
    first = Administrator(admin, password, expires)
    if second_factor not in SECOND_FACTOR:
        raise SettingsInvalidError(f"--second-factor must be one of {', '.join(SECOND_FACTOR)}")
    found(
        root,
        first,
        name=name,
        hosts=hosts,
        server_url=url,
        now=now,
        database_url=database_url,
        second_factor=second_factor,
    )
    department = open_department(root)
    # Made now, so that it is in the first backup of the keys.
    evidence_key(department.engine, department.folder, now)
    department.engine.dispose()
    typer.echo(f"department made in {root}")
    typer.echo(f"account {admin}: training on record until {expires.isoformat()}")
    tell_password(admin, password, made)
    if second_factor == "required":
        typer.echo("The first login on the pages sets up a second factor: have an authenticator app ready.")
    typer.echo(f"Back up {root / 'keys'} offline: without it no sealed read can ever be opened.")
    typer.echo(
        f"Give the keys in {root / 'updates/persons'} to three persons and delete them here: two of them "
        "sign for models and profiles, and for new keys."
    )


@app.command()
def enroll(
    unit: Annotated[str, typer.Argument(help="The unit's id, e.g. unit-07.")],
    out: Annotated[Path | None, typer.Option(help="New folder for the unit's files.")] = None,
    server_url: Annotated[str, typer.Option(help="How the unit reaches the server; else as set.")] = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="Refuse this unit from now on.")] = False,
    page_host: PageHosts = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Take a unit in: write its certificate, keys and configuration. A certificate it had before ends."""
    if revoke == (out is not None):
        raise SettingsInvalidError("give either --out DIR to take the unit in, or --revoke to refuse it")
    department = open_department(root)
    if out is None:
        revoke_unit(department.engine, unit, actor=console_person(), now=clock.now())
        typer.echo(f"unit {unit} is refused from now on")
        return
    settings = department.settings
    addresses = UnitAddresses(
        server_url or settings.department.server_url, settings.mqtt.host, settings.mqtt.port
    )
    enroll_unit(
        department.engine,
        department.keys,
        unit,
        out,
        addresses,
        updates_root=department.publications.first_root,
        actor=console_person(),
        now=clock.now(),
        page_hosts=page_host or (),
    )
    typer.echo(f"unit {unit} is enrolled; its files are in {out}")
    host = urlsplit(addresses.server_url).hostname or ""
    if not names_host(department.folder.keys, host):
        typer.echo(
            f"WARNING: the server's certificate does not name {host!r}: no unit will connect to it there. "
            "Give another --server-url, or a department founded with --host",
            err=True,
        )
    typer.echo("Carry them to the unit by a way nobody else can read, then delete them here.")


@app.command("server-certificate")
def server_certificate(
    host: Annotated[list[str] | None, typer.Option(help="Name or address; else those it has.")] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Make the server's own certificates anew, as they end, or as it has another name. Then restart it."""
    department = open_department(root)
    folder = department.folder.keys
    hosts = host or list(names_of(folder))
    end = renew_own(folder, department.keys, hosts, clock.now())
    with writing(department.engine) as connection:
        deed = Deed(
            console_person(), "server.certificate", detail={"hosts": hosts, "until": f"{end:%Y-%m-%d}"}
        )
        append(connection, deed, clock.now())
    typer.echo(f"good for {', '.join(hosts)} until {end:%Y-%m-%d}; restart the server, and back up keys/")


@app.command("page-certificate")
def page_certificate(
    unit: Annotated[str, typer.Argument(help="The unit's id, e.g. unit-07.")],
    out: Annotated[Path, typer.Option(help="New folder for page.tls.cert.pem and page.tls.key.pem.")],
    page_host: PageHosts = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Write a new certificate for a unit's page: it ran out, the names changed, or the unit had none."""
    department = open_department(root)
    settings = department.settings
    renew_page(
        department.engine,
        department.keys,
        unit,
        out,
        UnitAddresses(settings.department.server_url, settings.mqtt.host, settings.mqtt.port),
        actor=console_person(),
        now=clock.now(),
        page_hosts=page_host or (),
    )
    typer.echo(f"{out}: copy both files into the unit's keys folder, restart the unit; then delete them here")


@app.command("broker-config")
def broker_config(
    host: Annotated[list[str], typer.Option(help="Name under which units reach the broker; repeatable.")],
    out: Annotated[Path, typer.Option(help="New folder for its files.")],
    port: Annotated[int, typer.Option(help="It listens there.")] = 8883,
    folder: Annotated[
        str, typer.Option(help="Where the files will lie on its machine.")
    ] = "/etc/mosquitto/alpr",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Write a ready mosquitto configuration with the broker's key, certificate and access list."""
    department = open_department(root)
    name = department.settings.department.name
    now = clock.now()
    with reading(department.engine) as connection:
        revoked = revocation_list(connection, department.keys, now)
    write_broker_config(
        department.keys, out, host, revoked=revoked, name=name, port=port, now=now, folder=folder
    )
    typer.echo(f"{out}: copy it to {folder} on the broker's machine, owned by mosquitto; then delete it here")
    typer.echo(f"set [mqtt] host and port in {root / 'server.toml'}, and restart the server")


@app.command("broker-crl")
def broker_crl(out: Annotated[Path, typer.Option(help="New file.")], root: RootOption = DEFAULT_ROOT) -> None:
    """Write the list of revoked units for the broker: its crl.pem. Restart mosquitto to make it read that."""
    department = open_department(root)
    with reading(department.engine) as connection:
        revoked = revocation_list(connection, department.keys, clock.now())
    try:
        write_private(out, revoked)
    except FileExistsError:
        raise SettingsInvalidError(f"{out} exists: nothing is overwritten; choose another file") from None
    typer.echo(f"{out}: copy it to the broker's folder as crl.pem, owned by mosquitto, and restart mosquitto")


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
    department = open_department(root)
    held = holdings(department, clock.now())
    units = Table("unit", "reads held", "days since its last batch", "state", title="Units")
    for unit in held.units:
        state = "revoked" if unit.revoked else unit.state
        quiet = "never" if unit.last_batch_at is None else f"{unit.quiet_days}"
        units.add_row(unit.unit_id, f"{unit.reads}", quiet, state)
    lists = Table("list", "match", "hits", title="Hits on record")
    for name, kind, count in held.hits:
        lists.add_row(name, kind, f"{count}")
    console = Console()
    console.print(units, lists)
    newest = held.hotlist
    for line in (
        *(f"WARNING: {line}" for line in coming_ends(department, clock.now())),
        f"{held.reads} reads, from {held.batches} batches with a signed receipt for {held.receipted}",
        "no hotlist is published"
        if newest is None
        else f"hotlist {newest.sequence} in force, {newest.entries} entries",
        f"{held.quarantined} batches in quarantine",
        f"access log: {held.audit.sequence} entries, chain unbroken",
    ):
        console.print(line, highlight=False)


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
