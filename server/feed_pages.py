"""The pages on what sources brought: a feed with its last imports, a file to import, a plate to look for."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from hotlist_cache.errors import HotlistError
from hotlist_cache.importing import ACTION, FIELDS
from hotlist_cache.sources.codes import DEFAULT_CODES, LIST_CODES
from server.access import same_secret
from server.desk import Text
from server.entry_search import find_entries
from server.errors import ForeignFormError, HotlistRefusedError, SettingsInvalidError
from server.feed_journal import arrivals
from server.feed_watch import refused_files
from server.hotlist_visit import Asking, At, Looking, Uploading
from server.import_rules import TITLES, ImportOptions, column_map
from server.list_imports import OWN_FEEDS, feed_name, import_file
from server.web import MAX_FORM_BYTES

IMPORT = "/hotlists/import"
MAX_LIST_BYTES = 10 * 1024 * 1024
"""Of a file that a browser sends. A longer one is imported by command, or from a watched folder."""
UPLOADS = {IMPORT: MAX_LIST_BYTES + 64 * 1024}
"""Paths that take more than a form, and how many bytes."""
_FIELDS = ("feed", "form", "codes", "columns", "list_name", "source", "country", "timezone", "priority")
_PRESET = {"form": "csv", "country": "US", "timezone": "UTC", "priority": "medium"}

Feed = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]

router = APIRouter()


@router.get(IMPORT)
def show_import(at: Looking, feed: str = "") -> Response:
    """Show the form with which a file is imported, as it was last filled in for *feed*."""
    at.visit.record("hotlists.view_import", feed=feed[:64])
    known = next(iter(arrivals(at.department.folder.hotlists, feed)), None) if _is_name(feed) else None
    given = {} if known is None else {**known.how, "feed": feed}
    return _form(at, given=given)


@router.post(IMPORT)
async def import_list(request: Request, at: Uploading) -> Response:
    """Take a file. The body is read only now, when it is known who sends it."""
    try:
        form = await request.form(max_files=1, max_fields=20, max_part_size=MAX_FORM_BYTES)
    except HTTPException:
        return await run_in_threadpool(
            _form, at, 422, "The form was not understood, or was cut off: send it again."
        )
    try:
        fields = {name: value[:1024] for name, value in form.items() if isinstance(value, str)}
        if not same_secret(fields.get("form_token", ""), at.visit.session.form_token):
            raise ForeignFormError
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.size:
            return await run_in_threadpool(_form, at, 422, "Choose a file that holds something.", fields)
        if file.size > MAX_LIST_BYTES:
            return await run_in_threadpool(_form, at, 422, _TOO_LARGE, fields)
        return await run_in_threadpool(_import, at, fields, file)
    finally:
        await form.close()


@router.get("/hotlists/feeds/{feed}")
def show_feed(at: Looking, feed: Feed) -> Response:
    """Show one feed with the reports of its last imports."""
    return _feed(at, feed)


@router.get("/hotlists/find")
def show_find(at: Looking) -> Response:
    """Show the form with which a plate is looked for among the entries."""
    at.visit.require_purpose()
    at.visit.record("hotlists.view_find")
    return _found(at)


@router.post("/hotlists/find")
def find(at: Asking, plate: Annotated[str, Form(max_length=32)] = "", feed: Text = "") -> Response:
    """Show what the feeds list of a plate."""
    at.visit.require_purpose()
    files = [each for each in at.department.hotlists.feed_files() if feed in ("", each[0])]
    try:
        found, more = find_entries(files, plate)
    except HotlistRefusedError as error:
        at.visit.record("hotlists.find", asked={"plate": plate, "feed": feed}, why=str(error))
        return _found(at, 422, str(error), plate=plate, feed=feed)
    role, lists = at.visit.session.role, at.department.visibility
    found = [each for each in found if not lists.hides(each.entry.list_name, role)]
    at.visit.record(
        "hotlists.find",
        asked={"plate": plate, "feed": feed},
        shown=[{"feed": each.feed, "entry": each.entry.entry_id} for each in found],
    )
    return _found(at, plate=plate, feed=feed, found=found, more=more, searching=True)


_TOO_LARGE = (
    f"The file is larger than {MAX_LIST_BYTES // 2**20} MB: import it with `alpr-server hotlist import`, "
    "or put it into the feed's watched folder."
)


def _import(at: At, fields: dict[str, str], upload: UploadFile) -> Response:
    name = _clean(upload.filename or "")
    feed = fields.get("feed", "").strip() or feed_name(name.rpartition(".")[0] or name)[:64]
    try:
        how = ImportOptions(
            columns=column_map(
                [each for each in re.split(r"[,\n]", fields.get("columns", "")) if each.strip()]
            ),
            **{key: fields[key].strip() for key in _FIELDS[1:] if key != "columns" and fields.get(key)},
        )
        how.rules(name)
        at.visit.record("hotlists.import", feed=feed, file=name, form=how.form)
        report = import_file(at.department, upload.file, name, feed=feed, how=how, actor=at.actor, now=at.now)
    except (HotlistRefusedError, HotlistError, SettingsInvalidError) as error:
        return _form(at, 422, _said(error), fields)
    except OSError as error:
        return _form(
            at, 503, f"The file could not be kept ({error.strerror}): tell the administrator.", fields
        )
    return RedirectResponse(f"/hotlists/feeds/{report.feed}", 303)


def _form(at: At, status: int = 200, message: str = "", given: dict[str, str] | None = None) -> Response:
    given = _PRESET | (given or {})
    return at.show(
        "hotlist_import.html",
        status,
        message=message,
        given={name: given.get(name, "") for name in _FIELDS},
        feeds=[each.feed for each in at.department.hotlists.feeds() if each.feed not in OWN_FEEDS],
        formats=TITLES,
        fields=(*FIELDS, ACTION),
        codes=LIST_CODES,
        taken=DEFAULT_CODES,
        most_mb=MAX_LIST_BYTES // 2**20,
    )


def _feed(at: At, feed: str) -> Response:
    state = next((each for each in at.department.hotlists.feeds() if each.feed == feed), None)
    known = arrivals(at.department.folder.hotlists, feed)
    watched = next((each for each in at.department.settings.feed if each.name == feed), None)
    at.visit.record("hotlists.view_feed", feed=feed, found=state is not None)
    if state is None and not known and watched is None:
        return at.visit.show("message.html", 404, title="Not found", message="There is no such feed.")
    return at.show(
        "hotlist_feed.html",
        feed=feed,
        state=state,
        arrivals=known,
        watched=watched,
        set_apart=0 if watched is None else refused_files(watched.folder),
        formats=TITLES,
        own=feed in OWN_FEEDS,
    )


def _found(at: At, status: int = 200, message: str = "", **asked: object) -> Response:
    preset = {"plate": "", "feed": "", "found": [], "more": False, "searching": False}
    feeds = [each.feed for each in at.department.hotlists.feeds()]
    lists = at.department.visibility.hidden_from
    hidden = any(at.visit.session.role in roles for roles in lists.values())
    return at.show(
        "hotlist_find.html", status, message=message, feeds=feeds, hidden=hidden, **(preset | asked)
    )


def _is_name(feed: str) -> bool:
    return re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", feed) is not None


def _clean(name: str) -> str:
    """Return what is kept of an upload's name: it comes from a stranger, and some sources need it."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", re.split(r"[/\\]", name)[-1])[-64:] or "list"


def _said(error: Exception) -> str:
    """Return what a refusal says, in the words of a form, not of a command."""
    return re.sub(r"^(--|import: )", "", str(error))
