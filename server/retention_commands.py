"""`alpr-server retention …` and `alpr-server hold …`: what is destroyed, and what may not be."""

from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer

from server import clock
from server.actors import Actor, console_person
from server.audit import Deed, append
from server.database import reading, writing
from server.department import Department, open_department
from server.durations import spoken
from server.errors import RetentionRefusedError, SettingsInvalidError
from server.holds import HoldKind, all_holds, counted, kept_by, lift, place
from server.hotlist_commands import DEFAULT_ROOT, RootOption
from server.purge_book import all_purges, certificate_of, verify_certificate
from server.retention import approve, ask, carry_out, withdraw
from server.retention_clock import confirm_clock, purge_clock_of
from server.retention_plan import Plan, plan
from server.retention_profile import PROFILE_PATH, draft_profile
from server.retention_rules import (
    all_rules,
    approve_rule,
    in_force,
    propose,
    refuse_rule,
    rule_in_force,
    stop_automatic,
)
from server.retention_values import Rules, Said, of_settings, proposal_of
from server.settings import CALIFORNIA

retention_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="How long reads are kept, and their destruction."
)
hold_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Legal holds, which no purge passes."
)

RuleArgument = Annotated[int, typer.Argument(help="The rule's number.")]
ReasonOption = Annotated[str, typer.Option(help="Who decided it, and why.")]
PurgeArgument = Annotated[int, typer.Argument(help="The purge's number.")]
_MINUTE = "%Y-%m-%dT%H:%M"


@retention_app.command("rules")
def retention_rules_list(root: RootOption = DEFAULT_ROOT) -> None:
    """Show the rules in force, and every one that was ever proposed."""
    department = open_department(root)
    now = clock.now()
    with reading(department.engine) as connection:
        rule = rule_in_force(connection, now)
    if rule is None:
        typer.echo(
            f"in force: [retention] of server.toml: {_rules(of_settings(department.settings.retention))}"
        )
    for each in all_rules(department.engine):
        state = "IN FORCE" if rule is not None and each.rule_id == rule.rule_id else each.state
        how = "purges by itself" if each.automatic else "purges wait for two persons"
        typer.echo(
            f"{each.rule_id}: {state}, {_rules(each.rules)}; {how}; from {each.in_force_at:%Y-%m-%d %H:%M}Z; "
            f"{each.reference}; {each.proposed_by}"
        )
        for step in each.steps:
            typer.echo(
                f"    {step.step} {step.done_at:%Y-%m-%d %H:%M}Z by {step.done_by} {step.note}".rstrip()
            )
    found = purge_clock_of(department.engine)
    if found is not None and found.refused:
        typer.echo(f"NOTHING IS PURGED BY ITSELF: {found.refused}: `alpr-server retention confirm-clock`")


@retention_app.command("propose")
def retention_propose(
    others: Annotated[str, typer.Option(help='How long reads that are no hits are kept: "3 min", "21 d".')],
    hits: Annotated[str, typer.Option(help="The same of hits.")],
    reference: Annotated[str, typer.Option(help="Of what decided it: council resolution, statute.")],
    *,
    law: Annotated[str, typer.Option(help=f"Which law sets it; else {CALIFORNIA}, one year at least.")] = "",
    automatic: Annotated[
        bool, typer.Option("--automatic", help="The server purges reads that are no hits by itself.")
    ] = False,
    begin: Annotated[
        datetime | None, typer.Option("--from", formats=[_MINUTE], help="UTC; else when approved.")
    ] = None,
    unit_window: Annotated[str, typer.Option(help="How long units themselves find a read.")] = "",
    unit_others: Annotated[str, typer.Option(help="The same of reads that are no hits.")] = "",
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Propose how long reads are kept. Another person approves it with `retention approve-rule`."""
    proposal = proposal_of(
        Said(others, hits, reference, law, unit_window, unit_others),
        automatic=automatic,
        in_force_at=None if begin is None else begin.replace(tzinfo=UTC),
    )
    number = propose(open_department(root).engine, proposal, actor=_person(), now=clock.now())
    typer.echo(f"rule {number} waits for another person: `alpr-server retention approve-rule {number}`")


@retention_app.command("approve-rule")
def retention_approve_rule(number: RuleArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Put a rule in force that another person proposed."""
    approve_rule(open_department(root).engine, number, actor=_person(), now=clock.now())
    typer.echo(f"rule {number} is approved; units: `alpr-server retention profile`")


@retention_app.command("refuse-rule")
def retention_refuse_rule(
    number: RuleArgument, reason: ReasonOption, root: RootOption = DEFAULT_ROOT
) -> None:
    """Let a rule that waits never come into force."""
    refuse_rule(open_department(root).engine, number, reason=reason, actor=_person(), now=clock.now())
    typer.echo(f"rule {number} is refused")


@retention_app.command("stop")
def retention_stop(number: RuleArgument, reason: ReasonOption, root: RootOption = DEFAULT_ROOT) -> None:
    """Let the server purge nothing by itself by a rule any more, at once. One person suffices."""
    stop_automatic(open_department(root).engine, number, reason=reason, actor=_person(), now=clock.now())
    typer.echo(f"rule {number} purges nothing by itself any more")


@retention_app.command("confirm-clock")
def retention_confirm_clock(
    today: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="Today's date, UTC, from a watch or a wall.")
    ],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Say which day it is, after purges by themselves stopped because the server's clock was not believed."""
    confirm_clock(open_department(root).engine, today.date(), actor=_person(), now=clock.now())
    typer.echo("the server's clock is believed from now on")


@retention_app.command("profile")
def retention_profile(root: RootOption = DEFAULT_ROOT) -> None:
    """Draft the profile that tells units how long they themselves may find reads; two persons sign it."""
    rule = draft_profile(open_department(root), actor=_person(), now=clock.now())
    typer.echo(f"drafted: rule {rule.rule_id} as {PROFILE_PATH}; have targets signed, then")
    typer.echo("`alpr-server updates publish`")


@retention_app.command("plan")
def retention_plan(root: RootOption = DEFAULT_ROOT) -> None:
    """Say what the rules would let go now. Nothing is changed."""
    department = open_department(root)
    rules, now = _in_force(department)
    typer.echo(f"rules: {_rules(rules)}; never sooner than {spoken(rules.floor)} ({rules.law})")
    _tell(plan(department.engine, rules, now))


@retention_app.command("ask")
def retention_ask(
    approval: Annotated[str, typer.Option(help="Reference of the written approval of the destruction.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Ask that this be destroyed. Another person approves it with `retention approve`."""
    department = open_department(root)
    rules, now = _in_force(department)
    number, found = ask(department.engine, rules, reference=approval, actor=_person(), now=now)
    _tell(found)
    typer.echo(f"purge {number} waits for another person: `alpr-server retention approve {number}`")


@retention_app.command("withdraw")
def retention_withdraw(number: PurgeArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Let a purge that waits not happen."""
    withdraw(open_department(root).engine, number, actor=_person(), now=clock.now())
    typer.echo(f"purge {number} is withdrawn")


@retention_app.command("approve")
def retention_approve(number: PurgeArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Approve a purge and do it, in steps between which units hand in their reads."""
    approve(open_department(root).engine, number, actor=_person(), now=clock.now())
    retention_resume(number, root)


@retention_app.command("resume")
def retention_resume(number: PurgeArgument, root: RootOption = DEFAULT_ROOT) -> None:
    """Go on with an approved purge that was interrupted."""
    department = open_department(root)
    gone = carry_out(
        department.engine,
        number,
        department.keys.receipt,
        clock.now,
        wait=Event().wait,
        sweep=department.pictures.sweep,
    )
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
    typer.echo(certificate_of(department.engine, number, department.keys.receipt.public_key()))


@retention_app.command("verify-certificate")
def retention_verify_certificate(
    file: Annotated[Path, typer.Argument(help="The certificate, as it was printed or downloaded.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Check that this department signed a certificate, and that nothing in it was changed."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise RetentionRefusedError(f"{file}: cannot be read as a certificate") from None
    said = verify_certificate(text, open_department(root).keys.receipt.public_key())
    typer.echo(f"signed by this department: purge {said['purge']}, {said['destroyed_reads']} reads and")
    typer.echo(f"{said['destroyed_hits']} hits, ended {said['ended_at']}")


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
    read: Annotated[
        list[str] | None, typer.Option(help="A read's id, or several with commas between; may be repeated.")
    ] = None,
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
    engine = open_department(root).engine
    number = place(
        engine,
        kind,
        subjects[kind],
        authority=authority,
        case_number=case,
        actor=_person(),
        now=clock.now(),
    )
    typer.echo(f"hold {number} is in force")
    count = kept_by(engine, number).get(number, 0)
    typer.echo(f"it keeps now: {counted(count)}" + ("" if count else ": is that what you meant?"))


@hold_app.command("lift")
def hold_lift(
    number: Annotated[int, typer.Argument(help="The hold's number.")],
    reason: Annotated[str, typer.Option(help="Who decided it, and how that is known.")],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """End a hold that another person placed. It stays on record."""
    lift(open_department(root).engine, number, reason=reason, actor=_person(), now=clock.now())
    typer.echo(f"hold {number} is lifted")


@hold_app.command("list")
def hold_list(root: RootOption = DEFAULT_ROOT) -> None:
    """Show every hold, with what it names: plates and places. The access log says who looked."""
    engine, now = open_department(root).engine, clock.now()
    found = all_holds(engine)
    with writing(engine) as connection:
        detail = {"holds": [hold.hold_id for hold in found]}
        append(connection, Deed(console_person(), "hold.list", detail=detail), now)
    for hold in found:
        state = f"lifted by {hold.lifted_by}: {hold.lift_reason}" if hold.lifted_at else "IN FORCE"
        what = ", ".join(f"{name} {value}" for name, value in hold.subject.items() if value)
        typer.echo(f"{hold.hold_id}: {hold.kind.value}, {what}; {hold.authority}, {hold.placed_by}; {state}")


def _person() -> Actor:
    return Actor(console_person())


def _in_force(department: Department) -> tuple[Rules, datetime]:
    now = clock.now()
    with reading(department.engine) as connection:
        return in_force(connection, department.settings.retention, now), now


def _rules(rules: Rules) -> str:
    return f"reads {spoken(rules.others)}, hits {spoken(rules.hits)}"


def _tell(found: Plan) -> None:
    oldest = "" if found.oldest is None else f", the oldest of {found.oldest:%Y-%m-%d}"
    typer.echo(f"would go: {found.others} reads and {found.hits} hits{oldest}")
    typer.echo(f"kept by legal holds: {found.held}")
    for month in found.months:
        typer.echo(f"    {month.name}: {month.go} would go, {month.held} are held")


def _utc(moment: datetime | None) -> str:
    if moment is None:
        raise SettingsInvalidError("give --since and --until, as 2026-11-25T03:40 (UTC)")
    return moment.replace(tzinfo=UTC).isoformat()
