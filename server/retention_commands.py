"""`alpr-server retention …` and `alpr-server hold …`: what is destroyed, and what may not be."""

from datetime import UTC, datetime
from threading import Event
from typing import Annotated, Any

import typer

from server import clock
from server.audit import Deed, append
from server.database import writing
from server.department import console_actor, open_department
from server.errors import RetentionRefusedError, SettingsInvalidError
from server.holds import HoldKind, all_holds, lift, place
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.retention import Plan, all_purges, approve, ask, carry_out, plan, verify_certificate, withdraw

retention_app = typer.Typer(no_args_is_help=True, help="How long reads are kept, and their destruction.")
hold_app = typer.Typer(no_args_is_help=True, help="Legal holds, which no purge passes.")

PurgeArgument = Annotated[int, typer.Argument(help="The purge's number.")]
_MINUTE = "%Y-%m-%dT%H:%M"


@retention_app.command("plan")
def retention_plan(root: RootOption = DEFAULT_ROOT) -> None:
    """Say what the rules would let go now. Nothing is changed."""
    department = open_department(root)
    rules = department.settings.retention
    typer.echo(
        f"rules: reads {rules.other_reads_days} days, hits {rules.hits_days} days; "
        f"never sooner than {rules.floor_days} ({rules.floor_basis})"
    )
    _tell(plan(department.engine, rules, clock.now()))


@retention_app.command("ask")
def retention_ask(
    approval: Annotated[str, typer.Option(help="Reference of the written approval of the destruction.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Ask that this be destroyed. Another person approves it with `retention approve`."""
    department = open_department(root)
    rules = department.settings.retention
    number, found = ask(department.engine, rules, reference=approval, actor=console_actor(), now=clock.now())
    _tell(found)
    typer.echo(f"purge {number} waits for another person: `alpr-server retention approve {number}`")


@retention_app.command("withdraw")
def retention_withdraw(number: PurgeArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Let a purge that waits not happen."""
    withdraw(open_department(root).engine, number, actor=console_actor(), now=clock.now())
    typer.echo(f"purge {number} is withdrawn")


@retention_app.command("approve")
def retention_approve(number: PurgeArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Approve a purge and do it, in steps between which units hand in their reads."""
    approve(open_department(root).engine, number, actor=console_actor(), now=clock.now())
    retention_resume(number, root)


@retention_app.command("resume")
def retention_resume(number: PurgeArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Go on with an approved purge that was interrupted."""
    department = open_department(root)
    gone = carry_out(department.engine, number, department.keys.receipt, clock.now, wait=Event().wait)
    typer.echo(f"{gone} reads destroyed; the certificate: `alpr-server retention certificate {number}`")


@retention_app.command("list")
def retention_list(root: RootOption = DEFAULT_ROOT) -> None:
    """Show every purge on record."""
    for each in all_purges(open_department(root).engine):
        typer.echo(
            f"{each.purge_id}: {each.state}, {each.others} reads and {each.hits} hits, asked for by "
            f"{each.asked_by}, approved by {each.approved_by or 'nobody'}, {each.reference}"
        )


@retention_app.command("certificate")
def retention_certificate(number: PurgeArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Print the signed certificate of a purge."""
    department = open_department(root)
    found = next((each for each in all_purges(department.engine) if each.purge_id == number), None)
    if found is None or not found.certificate:
        raise RetentionRefusedError(f"purge {number} has no certificate: see `alpr-server retention list`")
    verify_certificate(found.certificate, department.keys.receipt.public_key())
    typer.echo(found.certificate)


@hold_app.command("place")
def hold_place(
    kind: Annotated[HoldKind, typer.Argument(help="What it names.")],
    authority: Annotated[
        str, typer.Option(help="Who ordered it: court, prosecutor, counsel; order's number.")
    ],
    case: Annotated[str, typer.Option("--case", help="Case number; of a hold on a case, that case.")],
    *,
    plate: Annotated[str, typer.Option(help="A plate, or a partial one with ? and *.")] = "",
    since: Annotated[datetime | None, typer.Option(formats=[_MINUTE], help="UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=[_MINUTE], help="UTC.")] = None,
    unit: Annotated[str, typer.Option(help="Of a time: this unit's reads alone.")] = "",
    latitude: Annotated[float | None, typer.Option()] = None,
    longitude: Annotated[float | None, typer.Option()] = None,
    radius_m: Annotated[float, typer.Option()] = 500.0,
    read: Annotated[list[str] | None, typer.Option(help="A read's id; may be given several times.")] = None,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Keep what is named from every purge, also what comes in later."""
    subjects: dict[HoldKind, dict[str, Any]] = {
        HoldKind.PLATE: {"plate": plate},
        HoldKind.PLACE: {"latitude_deg": latitude, "longitude_deg": longitude, "radius_m": radius_m},
        HoldKind.TIME: {"unit": unit},
        HoldKind.CASE: {"case_number": case},
        HoldKind.READS: {"ids": read or []},
    }
    if kind is HoldKind.TIME:
        subjects[kind] |= {"since": _utc(since), "until": _utc(until)}
    number = place(
        open_department(root).engine,
        kind,
        subjects[kind],
        authority=authority,
        case_number=case,
        actor=console_actor(),
        now=clock.now(),
    )
    typer.echo(f"hold {number} is in force")


@hold_app.command("lift")
def hold_lift(
    number: Annotated[int, typer.Argument(help="The hold's number.")],
    reason: Annotated[str, typer.Option(help="Who decided it, and how that is known.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """End a hold that another person placed. It stays on record."""
    lift(open_department(root).engine, number, reason=reason, actor=console_actor(), now=clock.now())
    typer.echo(f"hold {number} is lifted")


@hold_app.command("list")
def hold_list(root: RootOption = DEFAULT_ROOT) -> None:
    """Show every hold, with what it names: plates and places. The access log says who looked."""
    engine, now = open_department(root).engine, clock.now()
    found = all_holds(engine)
    with writing(engine) as connection:
        detail = {"holds": [hold.hold_id for hold in found]}
        append(connection, Deed(console_actor(), "hold.list", detail=detail), now)
    for hold in found:
        state = f"lifted by {hold.lifted_by}: {hold.lift_reason}" if hold.lifted_at else "IN FORCE"
        what = ", ".join(f"{name} {value}" for name, value in hold.subject.items() if value)
        typer.echo(f"{hold.hold_id}: {hold.kind.value}, {what}; {hold.authority}, {hold.placed_by}; {state}")


def _tell(found: Plan) -> None:
    oldest = "" if found.oldest is None else f", the oldest of {found.oldest:%Y-%m-%d}"
    typer.echo(f"would go: {found.others} reads and {found.hits} hits{oldest}")
    typer.echo(f"kept by legal holds: {found.held}")


def _utc(moment: datetime | None) -> str:
    if moment is None:
        raise SettingsInvalidError("give --since and --until, as 2026-11-25T03:40 (UTC)")
    return moment.replace(tzinfo=UTC).isoformat()
