"""The pages on lists: what is published, what waits for a second person, local entries, which unit has which.

What the sources brought is in `feed_pages`, the urgent list in `urgent_pages`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from server import local_entries
from server.access import Role
from server.audit import same_person
from server.database import reading
from server.desk import Number, Text
from server.errors import HotlistRefusedError
from server.feed_report import report_of
from server.hotlist_visit import At, Doing, Glancing, Looking
from server.import_rules import TITLES
from server.list_publishing import approve_pending, publish_list, published_by
from server.publish_job import Job
from server.unit_lists import unit_lists

REFRESH_S = 3
PATIENCE = timedelta(minutes=10)
"""After so long the page is not fetched anew by itself: it would keep an unattended session alive."""
_MINUTE = "%Y-%m-%dT%H:%M"

router = APIRouter()


@router.get("/hotlists")
def show_lists(at: Glancing) -> Response:
    """Show what is published, what waits, and the feeds."""
    return _overview(at)


@router.post("/hotlists/publish")
def publish(at: Doing, expires_days: Annotated[int, Form(ge=1, le=3650)] = 7, whole: Text = "") -> Response:
    """Publish the list, as `hotlist publish` does."""
    at.visit.record("hotlists.publish", expires_days=expires_days, whole=whole == "yes")
    department, actor, now = at.department, at.actor, at.now

    def make() -> str:
        published = publish_list(
            department,
            expires_at=now + timedelta(days=expires_days),
            actor=actor,
            now=now,
            whole=whole == "yes",
        )
        return f"List {published.sequence} is published: {published.entries:,} entries."

    return _start(at, Job("the list", actor, now), make)


@router.get("/hotlists/making")
def show_making(at: Looking) -> Response:
    """Show that a list is being made; the browser asks again by itself until it is."""
    job = at.job.job
    if job is None or job.outcome:
        return RedirectResponse("/hotlists", 303)
    # Not recorded: it is fetched every few seconds by itself, and shows nothing of any list.
    answer = at.show("hotlist_making.html", job=job)
    if at.now - job.asked_at < PATIENCE:
        answer.headers["Refresh"] = f"{REFRESH_S}"
    return answer


@router.post("/hotlists/pending/{pending_id}/approve")
def approve(at: Doing, pending_id: Number) -> Response:
    """Apply what another person asked for."""
    at.visit.record("hotlists.approve", pending=pending_id)
    department, actor, now = at.department, at.actor, at.now

    def apply() -> str:
        published = approve_pending(department, pending_id, actor=actor, now=now)
        if published is None:
            return f"Number {pending_id} is approved: the feed lists it from now on. Publish the list next."
        return f"List {published.sequence} is published: {published.entries:,} entries."

    return _start(at, Job("what was approved", actor, now), apply)


@router.post("/hotlists/pending/{pending_id}/reject")
def reject(at: Doing, pending_id: Number) -> Response:
    """Throw away what waits; what was listed stays listed."""
    at.visit.record("hotlists.reject", pending=pending_id)
    try:
        at.department.hotlists.reject(pending_id, actor=at.actor, now=at.now)
    except HotlistRefusedError as error:
        return _overview(at, 422, str(error))
    return RedirectResponse("/hotlists", 303)


@router.get("/hotlists/units")
def show_unit_lists(at: Looking) -> Response:
    """Show which list each unit says that it has."""
    newest = at.department.hotlists.newest()
    with reading(at.department.engine) as connection:
        found = unit_lists(connection, 0 if newest is None else newest.sequence)
    at.visit.record("hotlists.units", units=len(found))
    return at.show("hotlist_units.html", units=found, newest=newest)


@router.get("/hotlists/local")
def show_local(at: Glancing) -> Response:
    """Show what officers put on their units; an officer their own."""
    return _local(at)


@router.post("/hotlists/local/offer")
def offer(at: Doing, unit: Text = "", entry: Text = "", until: Text = "") -> Response:
    """Give a unit's entry to all units. The running server publishes it within seconds."""
    at.visit.require_purpose()
    at.visit.record("hotlists.offer", unit=unit, entry=entry)
    try:
        ends = _moment(until)
        local_entries.offer(at.department.engine, unit, entry, until=ends, actor=at.actor, now=at.now)
    except HotlistRefusedError as error:
        return _local(at, 422, str(error))
    return RedirectResponse("/hotlists/local", 303)


@router.post("/hotlists/local/refuse")
def refuse(at: Doing, unit: Text = "", entry: Text = "") -> Response:
    """Leave an entry to its own unit, and withdraw it from the others."""
    at.visit.require_purpose()
    at.visit.record("hotlists.refuse", unit=unit, entry=entry)
    try:
        local_entries.refuse(at.department.engine, unit, entry, actor=at.actor, now=at.now)
    except HotlistRefusedError as error:
        return _local(at, 422, str(error))
    return RedirectResponse("/hotlists/local", 303)


def _overview(at: At, status: int = 200, message: str = "") -> Response:
    department, hotlists = at.department, at.department.hotlists
    feeds, pending, newest = hotlists.feeds(), hotlists.pending(), hotlists.newest()
    at.visit.record("hotlists.view", feeds=len(feeds), pending=len(pending))
    with reading(department.engine) as connection:
        by = "" if newest is None else published_by(connection, newest)
    return at.show(
        "hotlists.html",
        status,
        message=message,
        newest=newest,
        by=by,
        urgent=department.publications.urgent(department.keys),
        feeds=feeds,
        formats=TITLES,
        watched={each.name: each for each in department.settings.feed},
        pending=pending,
        reports={each.pending_id: report_of(each.detail) for each in pending if each.feed is not None},
        own={each.pending_id for each in pending if same_person(each.asked_by, at.actor)},
        job=at.job.job,
    )


def _start(at: At, job: Job, deed: Callable[[], str]) -> Response:
    """Begin *deed*, and show its outcome, or that it is being made."""
    try:
        at.job.start(job, deed)
    except HotlistRefusedError as error:
        return _overview(at, 409, str(error))
    done = at.job.job
    if done is not None and done.failed:
        return _overview(at, 422)
    return RedirectResponse("/hotlists" if done is None or done.outcome else "/hotlists/making", 303)


def _local(at: At, status: int = 200, message: str = "") -> Response:
    at.visit.require_purpose()
    officer = at.actor if at.visit.session.role is Role.OFFICER else ""
    at.visit.record("hotlists.local", own=bool(officer))
    entries, suppressions = local_entries.known(
        at.department.engine, actor=at.actor, now=at.now, officer=officer
    )
    return at.show(
        "hotlist_local.html",
        status,
        message=message,
        entries=entries,
        suppressions=suppressions,
        own={each.entry_id for each in entries if same_person(each.officer, at.actor)},
    )


def _moment(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.strptime(text.strip()[:16], _MINUTE).replace(tzinfo=UTC)
    except ValueError:
        raise HotlistRefusedError("until: write it as 2026-12-01T18:00, in UTC") from None
