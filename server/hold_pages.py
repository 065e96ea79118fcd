"""The page of legal holds: what they name, how much each keeps, placing and lifting."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from server.custody import At, Doing, Line, Looking, moment_of
from server.errors import RetentionRefusedError
from server.holds import HoldKind, all_holds, counted, kept_by, lift, place

_FIELDS = (
    *("kind", "authority", "case_number", "plate", "latitude_deg", "longitude_deg", "radius_m"),
    *("since", "until", "unit", "reads"),
)
_NUMBERS = ("latitude_deg", "longitude_deg", "radius_m")
Short = Annotated[str, Form(max_length=64)]

router = APIRouter()


@router.get("/holds")
def show_holds(at: Looking) -> Response:
    """Show every hold, in force or lifted: they name plates and places."""
    at.visit.require_purpose()
    return _page(at)


@router.post("/holds")
def place_hold(
    *,
    at: Doing,
    kind: Short = "",
    authority: Line = "",
    case_number: Short = "",
    plate: Short = "",
    latitude_deg: Short = "",
    longitude_deg: Short = "",
    radius_m: Short = "",
    since: Short = "",
    until: Short = "",
    unit: Short = "",
    reads: Annotated[str, Form(max_length=12_000)] = "",
) -> Response:
    """Keep from now on what the form names."""
    at.visit.require_purpose()
    given = {
        "kind": kind,
        "authority": authority,
        "case_number": case_number,
        "plate": plate,
        "latitude_deg": latitude_deg,
        "longitude_deg": longitude_deg,
        "radius_m": radius_m,
        "since": since,
        "until": until,
        "unit": unit,
        "reads": reads,
    }
    try:
        chosen = _kind(kind)
        place(
            at.department.engine,
            chosen,
            _subject(chosen, given),
            authority=authority,
            case_number=case_number,
            actor=at.actor,
            now=at.now,
        )
    except RetentionRefusedError as error:
        return _page(at, 422, str(error), given)
    return RedirectResponse("/holds", 303)


@router.post("/holds/{hold_id}/lift")
def lift_hold(at: Doing, hold_id: int, reason: Line = "") -> Response:
    """End a hold that another person placed."""
    at.visit.require_purpose()
    try:
        lift(at.department.engine, hold_id, reason=reason, actor=at.actor, now=at.now)
    except RetentionRefusedError as error:
        return _page(at, 422, str(error))
    return RedirectResponse("/holds", 303)


def _page(at: At, status: int = 200, message: str = "", given: dict[str, str] | None = None) -> Response:
    found, kept = all_holds(at.department.engine), kept_by(at.department.engine)
    at.visit.record("hold.list", holds=[hold.hold_id for hold in found])
    return at.visit.show(
        "holds.html",
        status,
        message=message,
        holds=found,
        kept={hold_id: counted(count) for hold_id, count in kept.items()},
        given=given or dict.fromkeys(_FIELDS, ""),
        may=at.may,
        is_own=at.actor.is_person,
    )


def _kind(text: str) -> HoldKind:
    try:
        return HoldKind(text)
    except ValueError:
        raise RetentionRefusedError("pick what the hold names") from None


def _subject(kind: HoldKind, given: dict[str, str]) -> dict[str, Any]:
    match kind:
        case HoldKind.PLATE:
            return {"plate": given["plate"]}
        case HoldKind.PLACE:
            try:
                return {name: float(given[name]) for name in _NUMBERS}
            except ValueError:
                raise RetentionRefusedError("latitude and longitude are degrees, the radius metres") from None
        case HoldKind.TIME:
            since, until = moment_of("From", given["since"]), moment_of("Until", given["until"])
            if since is None or until is None:
                raise RetentionRefusedError("a hold on a time needs its beginning and its end")
            return {"since": since.isoformat(), "until": until.isoformat(), "unit": given["unit"]}
        case HoldKind.CASE:
            return {"case_number": given["case_number"]}
        case HoldKind.READS:
            return {"ids": [given["reads"]]}
