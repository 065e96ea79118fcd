"""The pages on which an officer sees a hit, compares it with what is listed, and says what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.page_desk import Visit, see, visited
from hotlist_cache.errors import LocalEntryRefusedError
from hotlist_cache.hit import Alert, HotlistHit, StateMatch
from hotlist_cache.verification import ANSWERS, Disposition, Ladder, NotThisRungError, Rung

SUPPRESSED_FOR = timedelta(days=30)
_STATE = {
    StateMatch.SAME: "as listed",
    StateMatch.UNKNOWN: "not known: CHECK STATE",
    StateMatch.DIFFERENT: "ANOTHER STATE than listed",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One character place, as read and as listed."""

    read: str = field(repr=False)
    listed: str = field(repr=False)
    sure: float
    """The reader's confidence in its character, in [0, 1]."""

    @property
    def differs(self) -> bool:
        """Whether another character is listed, also one that looks the same: both are always shown."""
        return self.read != self.listed


@dataclass(frozen=True, slots=True)
class Card:
    """One hit as a page shows it."""

    alert: Alert
    ladder: Ladder
    places: tuple[Place, ...] = field(repr=False)
    """Character by character; empty where the listed plate is partial or of another length."""
    listed_plate: str = field(repr=False)
    listed_prefix: str = field(repr=False)
    state: str
    read_state: str
    listed_state: str
    list_age: str

    @property
    def hit(self) -> HotlistHit:
        """The hit itself."""
        return self.alert.hit

    @property
    def open(self) -> bool:
        """Whether somebody must still answer it."""
        return self.ladder.disposition is None and not self.alert.corrected


def card_of(alert: Alert, ladder: Ladder, now: datetime) -> Card:
    """Return *alert* as a page shows it at *now* (aware UTC)."""
    hit, read = alert.hit, alert.hit.read
    prefix, listed = hit.listed
    places: tuple[Place, ...] = ()
    if len(listed) == len(read.plate) and not hit.entry.is_wildcard:
        places = tuple(Place(*each) for each in zip(read.plate, listed, read.confidences, strict=True))
    opinion = read.jurisdiction
    return Card(
        alert=alert,
        ladder=ladder,
        places=places,
        listed_plate=listed,
        listed_prefix=prefix,
        state=_STATE[hit.state],
        read_state=opinion.code if opinion is not None and opinion.likely else "not known",
        listed_state=hit.entry.jurisdiction or "none listed",
        list_age=_age(hit, now),
    )


def hits_of_shift(visit: Visit) -> list[Alert]:
    """Return the alerts since the person logged in, newest first, and earlier ones without an answer."""
    return [
        alert
        for alert in visit.desk.board.shown.alerts
        if alert.raised_at >= visit.session.started_at
        or (visit.desk.ladder(alert).disposition is None and not alert.corrected)
    ]


def now(visit: Visit, _: Request) -> Response:
    """Show the newest hit that is open, or the newest of all."""
    cards = _cards(visit, hits_of_shift(visit))
    card = next((each for each in cards if each.open), cards[0] if cards else None)
    others = [each for each in cards if each is not card and each.open]
    _record(visit, "hits.now", ([card] if card else []) + others[:5])
    return visit.show(
        "now.html", card=card, others=others[:5], message="", rungs=tuple(Rung), answers=ANSWERS
    )


def hits(visit: Visit, _: Request) -> Response:
    """Show every hit of this shift."""
    cards = _cards(visit, hits_of_shift(visit))
    _record(visit, "hits.view", cards)
    return visit.show("hits.html", cards=cards)


def hit(visit: Visit, request: Request) -> Response:
    """Show one hit."""
    return _one(visit, request.path_params["hit_id"])


def answer(visit: Visit, request: Request) -> Response:
    """Take one answer on a hit's ladder."""
    desk, form = visit.desk, visit.form
    alert = _found(visit, request.path_params["hit_id"])
    if alert is None:
        return _gone(visit)
    hit_id, ladder = alert.hit.hit_id, desk.ladder(alert)
    # Two officers, one hit: who answers must have seen what the other answered before.
    if form.get("seen") != str(len(ladder.answers)):
        last = ladder.answers[-1].by if ladder.answers else "Somebody"
        return _one(visit, hit_id, f"{last} answered meanwhile. Look again, then answer.", 409)
    try:
        rung = Rung(form.get("rung", ""))
        fresh = ladder.answered(rung, form.get("answer", ""), by=visit.session.name, at=desk.clock.now().utc)
    except NotThisRungError as error:
        return _one(visit, hit_id, str(error), 422)
    except ValueError:
        return _one(visit, hit_id, "This form was not understood.", 422)
    detail = {"hit": hit_id, "read": alert.hit.read.read_id, "entry": alert.hit.entry.entry_id}
    detail |= {"rung": rung.value, "answer": form["answer"]}
    visit.record("hit.verify", detail=detail, case_number=alert.hit.entry.case_number)
    desk.ladders[hit_id] = fresh
    desk.board.touch()
    return see(f"/hits/{hit_id}")


def suppress(visit: Visit, request: Request) -> Response:
    """Ask that hits of this plate on this entry be told no more: a supervisor must approve."""
    alert = _found(visit, request.path_params["hit_id"])
    if alert is None:
        return _gone(visit)
    wrong = (Disposition.MISREAD, Disposition.WRONG_JURISDICTION, Disposition.NO_LONGER_WANTED)
    if visit.desk.ladder(alert).disposition not in wrong:
        return _one(visit, alert.hit.hit_id, "Say first what was wrong with this hit.", 422)
    hit_id, reason = alert.hit.hit_id, visit.form.get("reason", "")
    visit.record("suppression.ask", detail={"hit": hit_id, "reason": reason})
    try:
        with visit.desk.book() as book:
            book.suppress(
                alert.hit.read.plate,
                alert.hit.entry.entry_id,
                officer=visit.session.name,
                reason=reason,
                now=visit.desk.clock.now().utc,
                lasting=SUPPRESSED_FOR,
            )
    except (LocalEntryRefusedError, OSError) as error:
        visit.record("suppression.ask", "refused", detail={"hit": hit_id})
        return _one(visit, hit_id, str(error), 422)
    return see("/entries")


ROUTES = [
    Route("/now", visited("hits", now, place="/now")),
    Route("/hits", visited("hits", hits, place="/hits")),
    Route("/hits/{hit_id}", visited("hits", hit)),
    Route("/hits/{hit_id}/answer", visited("hits", answer), methods=["POST"]),
    Route("/hits/{hit_id}/suppress", visited("change entries", suppress), methods=["POST"]),
]


def _one(visit: Visit, hit_id: str, message: str = "", status: int = 200) -> Response:
    alert = _found(visit, hit_id)
    if alert is None:
        return _gone(visit)
    visit.desk.accounts.change(visit.token, place=f"/hits/{alert.hit.hit_id}")
    [card] = _cards(visit, [alert])
    _record(visit, "hit.view", [card])
    return visit.show(
        "now.html", status, card=card, others=[], message=message, rungs=tuple(Rung), answers=ANSWERS
    )


def _found(visit: Visit, hit_id: str) -> Alert | None:
    return next((each for each in visit.desk.board.shown.alerts if each.hit.hit_id == hit_id), None)


def _gone(visit: Visit) -> Response:
    message = "The unit no longer holds this hit. The department has it with its read."
    return visit.show("message.html", 404, title="Not here", message=message)


def _cards(visit: Visit, alerts: Sequence[Alert]) -> list[Card]:
    moment = visit.desk.clock.now().utc
    return [card_of(each, visit.desk.ladder(each), moment) for each in alerts]


def _record(visit: Visit, action: str, cards: Sequence[Card]) -> None:
    """Write down which hits are about to be shown; their plates for the department alone."""
    # One entry holds what fits it; the rest goes into further ones.
    for start in range(0, max(len(cards), 1), 6):
        some = cards[start : start + 6]
        secret = {each.hit.hit_id[:64]: f"{each.hit.read.plate} / {each.hit.entry.pattern}" for each in some}
        detail = {"hits": " ".join(each.hit.hit_id[:36] for each in some)}
        visit.record(action, purpose="hit-verification", detail=detail, secret=secret)


def _age(hit: HotlistHit, now: datetime) -> str:
    hours = max(0.0, hit.list_age.age(now) / timedelta(hours=1))
    age = f"{hours:.1f} h old" if hours < 48 else f"{hours / 24:.0f} days old"
    number = hit.list_age.snapshot_sequence
    return f"list {number}, {age}" if number else f"officer's own entry, {age}"
