"""The pages of retention: rules in force and proposed, the dry run, purges and their certificates."""

from collections.abc import Callable
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from server.custody import At, Doing, Line, Looking, file_of, moment_of
from server.database import reading
from server.durations import spoken
from server.errors import RetentionRefusedError
from server.purge_book import all_purges, certificate_of
from server.retention import approve, ask, withdraw
from server.retention_clock import confirm_clock, purge_clock_of
from server.retention_plan import plan
from server.retention_rules import (
    all_rules,
    approve_rule,
    in_force,
    propose,
    refuse_rule,
    rule_in_force,
    stop_automatic,
)
from server.retention_values import PROPOSED, Said, of_settings, proposal_of
from server.settings import CALIFORNIA

_FIELDS = ("others", "hits", "reference", "law", "in_force_at", "window", "window_others", "automatic")
Short = Annotated[str, Form(max_length=32)]

router = APIRouter()


@router.get("/retention")
def show_retention(at: Looking) -> Response:
    """Show what is in force, what waits, and what was destroyed."""
    return _page(at)


@router.post("/retention/propose")
def propose_rule(
    *,
    at: Doing,
    others: Short = "",
    hits: Short = "",
    reference: Line = "",
    law: Line = "",
    in_force_at: Short = "",
    window: Short = "",
    window_others: Short = "",
    automatic: Short = "",
) -> Response:
    """Put rules before another person."""
    given = dict(
        zip(
            _FIELDS,
            (others, hits, reference, law, in_force_at, window, window_others, automatic),
            strict=True,
        )
    )
    try:
        said = Said(others, hits, reference, law, window, window_others)
        begin = moment_of("In force from", in_force_at)
        proposal = proposal_of(said, automatic=automatic == "yes", in_force_at=begin)
        propose(at.department.engine, proposal, actor=at.actor, now=at.now)
    except RetentionRefusedError as error:
        return _page(at, 422, str(error), given)
    return RedirectResponse("/retention", 303)


@router.post("/retention/rules/{rule_id}/approve")
def approve_proposed(at: Doing, rule_id: int) -> Response:
    """Approve a rule that another person proposed."""
    return _do(at, lambda: approve_rule(at.department.engine, rule_id, actor=at.actor, now=at.now))


@router.post("/retention/rules/{rule_id}/refuse")
def refuse_proposed(at: Doing, rule_id: int, reason: Line = "") -> Response:
    """Refuse a rule."""
    return _do(
        at, lambda: refuse_rule(at.department.engine, rule_id, reason=reason, actor=at.actor, now=at.now)
    )


@router.post("/retention/rules/{rule_id}/stop")
def stop_rule(at: Doing, rule_id: int, reason: Line = "") -> Response:
    """Let the server purge nothing by itself any more."""
    return _do(
        at, lambda: stop_automatic(at.department.engine, rule_id, reason=reason, actor=at.actor, now=at.now)
    )


@router.post("/retention/clock")
def say_the_date(at: Doing, today: Short = "") -> Response:
    """Take a person's word for the date, after the server's clock was not believed."""

    def confirm() -> None:
        try:
            day = date.fromisoformat(today.strip())
        except ValueError:
            raise RetentionRefusedError("today: write the date as 2026-11-25") from None
        confirm_clock(at.department.engine, day, actor=at.actor, now=at.now)

    return _do(at, confirm)


@router.get("/retention/plan")
def show_plan(at: Looking, rule: int | None = None) -> Response:
    """Show what would go now: by the rules in force, or by those of a rule on record."""
    return _plan(at, rule)


@router.post("/retention/purges")
def ask_for_purge(at: Doing, approval: Line = "") -> Response:
    """Ask that what would go now be destroyed."""
    engine = at.department.engine
    with reading(engine) as connection:
        rules = in_force(connection, at.department.settings.retention, at.now)
    try:
        ask(engine, rules, reference=approval, actor=at.actor, now=at.now)
    except RetentionRefusedError as error:
        return _plan(at, None, 422, str(error).replace(": give --approval", ""), approval=approval)
    return RedirectResponse("/retention", 303)


@router.post("/retention/purges/{purge_id}/approve")
def approve_purge(at: Doing, purge_id: int) -> Response:
    """Approve a purge that another person asked for. The server does it."""
    return _do(at, lambda: approve(at.department.engine, purge_id, actor=at.actor, now=at.now))


@router.post("/retention/purges/{purge_id}/withdraw")
def withdraw_purge(at: Doing, purge_id: int) -> Response:
    """Let a purge that waits not happen."""
    return _do(at, lambda: withdraw(at.department.engine, purge_id, actor=at.actor, now=at.now))


@router.get("/retention/purges/{purge_id}/certificate")
def give_certificate(at: Looking, purge_id: int) -> Response:
    """Give the signed certificate of a purge, as a file."""
    try:
        key = at.department.keys.receipt.public_key()
        text = certificate_of(at.department.engine, purge_id, key)
    except RetentionRefusedError as error:
        return at.visit.show("message.html", 404, title="Not given", message=str(error))
    at.visit.record("purge.certificate", purge=purge_id)
    return file_of(text.encode(), f"purge-{purge_id}.json", "application/json")


def _page(at: At, status: int = 200, message: str = "", given: dict[str, str] | None = None) -> Response:
    engine = at.department.engine
    with reading(engine) as connection:
        rule = rule_in_force(connection, at.now)
    rules, purges = all_rules(engine), all_purges(engine)
    clock = purge_clock_of(engine)
    at.visit.record("retention.view", rules=len(rules), purges=len(purges))
    return at.visit.show(
        "retention.html",
        status,
        message=message,
        rule=rule,
        rules=of_settings(at.department.settings.retention) if rule is None else rule.rules,
        history=rules,
        waiting=next((each for each in rules if each.state == PROPOSED), None),
        purges=purges,
        refused=clock.refused if clock is not None and rule is not None and rule.purges_by_itself else "",
        given=given or dict.fromkeys(_FIELDS, ""),
        opened=given is not None,
        may=at.may,
        is_own=at.actor.is_person,
        spoken=spoken,
        california=CALIFORNIA,
        key=at.department.keys.receipt.public_key().public_bytes_raw().hex(),
    )


def _plan(
    at: At, rule_id: int | None, status: int = 200, message: str = "", *, approval: str = ""
) -> Response:
    engine = at.department.engine
    with reading(engine) as connection:
        rules = in_force(connection, at.department.settings.retention, at.now)
    if rule_id is not None:
        chosen = next((each for each in all_rules(engine) if each.rule_id == rule_id), None)
        if chosen is None:
            return at.visit.show("message.html", 404, title="Not found", message="There is no such rule.")
        rules = chosen.rules
    found = plan(engine, rules, at.now)
    at.visit.record("retention.plan", rule=rule_id, others=found.others, hits=found.hits, held=found.held)
    return at.visit.show(
        "retention_plan.html",
        status,
        message=message,
        found=found,
        rules=rules,
        rule_id=rule_id,
        approval=approval,
        may=at.may,
        spoken=spoken,
        most=max((month.go + month.held for month in found.months), default=1),
    )


def _do(at: At, deed: Callable[[], object]) -> Response:
    try:
        deed()
    except RetentionRefusedError as error:
        return _page(at, 422, str(error))
    return RedirectResponse("/retention", 303)
