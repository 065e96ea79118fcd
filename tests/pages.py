"""The officers' page of one unit as a browser sees it, with invented people, hits and reads."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from httpx import ASGITransport, AsyncClient, Response

from edge.access_log import AccessLog
from edge.incident import Incidents
from edge.local_entries import book_in
from edge.page import page_app
from edge.page_accounts import Accounts
from edge.page_board import Board
from edge.page_config import PageConfig
from edge.page_desk import Desk
from edge.page_lockouts import Lockouts
from edge.status import CameraHealth, HotlistHealth, Status, TransferHealth
from edge.window import WindowRead
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.hit import Alert, HotlistHit, ListAge, MatchKind, StateMatch
from recognizer.plate import Jurisdiction
from sync.access_log import LogEntry, read_entry
from sync.config import RetentionConfig
from sync.roster import Role, Roster, RosterUser
from tests.clocks import START, FakeClock
from tests.fakes import a_read

UNIT = "unit-07"
PASSWORD = "an invented password"
STORAGE_KEY = bytes(range(32))
# Hashing is meant to be costly, and tests log in some hundred times.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASH = CHEAP.hash(PASSWORD)
PEOPLE = {
    "reyes": Role.OFFICER,
    "tanaka": Role.OFFICER,
    "brandt": Role.SUPERVISOR,
    "lindgren": Role.TECHNICIAN,
    "chief": Role.ADMIN,
    "okafor": Role.AUDITOR,
}


def a_roster(version: int = 1, **changes: object) -> Roster:
    """Return a roster of `PEOPLE`, all trained; *changes* are made to "reyes"."""
    users = [RosterUser(name, role, HASH, date(2099, 1, 1)) for name, role in sorted(PEOPLE.items())]
    users = [replace(each, **changes) if each.name == "reyes" else each for each in users]  # type: ignore[arg-type]
    return Roster(version, START - timedelta(days=1), START + timedelta(days=35), tuple(users))


@dataclass
class HeldRoster:
    """Fills `HoldsRoster`; a test puts another in force."""

    roster: Roster | None = field(default_factory=a_roster)


@dataclass
class FakeWindow:
    """Fills `LocalWindow` with reads that it is given, and remembers what it was asked."""

    reads: list[WindowRead] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def search(self, text: str, *, since: datetime, until: datetime, limit: int = 50) -> list[WindowRead]:
        self.asked.append(text)
        if re.fullmatch(r"[A-Z0-9?*]+", text) is None:
            raise ValueError("a plate is letters and digits, a partial one also ? and *")
        wanted = re.compile(text.replace("?", ".").replace("*", ".*"))
        return [read for read in self.reads if wanted.fullmatch(read.plate)][:limit]


def an_alert(
    plate: str = "8ABC012",
    pattern: str = "",
    *,
    vehicle: str = "red 2011 Honda Civic",
    state: StateMatch = StateMatch.SAME,
    at: datetime = START,
    reason: str = "stolen vehicle",
    case_number: str = "26-0042",
    evidence: bytes = b"\xff\xd8a picture\xff\xd9",
    probability: float = 0.99,
) -> Alert:
    """Return an alert of an invented plate."""
    listed = pattern or plate
    read = a_read(plate=plate, evidence=evidence)
    entry = Entry(
        entry_id=f"entry-{read.read_id}",
        pattern=listed,
        jurisdiction=Jurisdiction("US-CA"),
        list_name="Stolen vehicle",
        reason=reason,
        priority=Priority.HIGH,
        vehicle=vehicle,
        case_number=case_number,
        source="Example Police",
    )
    differing = tuple(i for i, pair in enumerate(zip(plate, listed, strict=False)) if pair[0] != pair[1])
    hit = HotlistHit(
        hit_id=f"hit-{read.read_id}",
        read=read,
        entry=entry,
        kind=MatchKind.LOOK_ALIKE if differing else MatchKind.EXACT,
        state=state,
        differing=differing if "*" not in listed else (),
        list_age=ListAge(12, at - timedelta(hours=5)),
        text_probability=probability,
    )
    return Alert(f"alert-{read.read_id}", hit, Priority.HIGH, at, advisory_only=False)


STATUS = Status(
    unit=UNIT,
    pid=1,
    monotonic_ns=0,
    boot_id="boot",
    uptime_s=60.0,
    frames_per_s=14.8,
    frames=900,
    reads=120,
    hits=2,
    alerts=2,
    settle_to_alert_p95_ms=20.0,
    cameras=(
        CameraHealth("front-left", "running", 900, 3, 0),
        CameraHealth("rear", "lost", 10, 0, 2, "gone"),
    ),
    time_quality="gps",
    has_fix=True,
    hotlist=HotlistHealth(12, 5_000_000, 5.0),
    transfer=TransferHealth(queued=120, days_left=21.5, level="warn"),
    faults=("camera rear: gone",),
    sound="sound device",
)


class Page:
    """One unit's page, and everything behind it."""

    def __init__(self, folder: Path, config: PageConfig | None = None) -> None:
        self.folder = folder
        self.config = config or PageConfig()
        self.clock = FakeClock()
        self.rosters = HeldRoster()
        self.unit_key, self.department = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.window = FakeWindow()
        self.retention = RetentionConfig()
        self.board = Board()
        self.board.put_status(STATUS)
        self.runner = asyncio.Runner()
        self.start()

    def start(self) -> None:
        """Begin anew on what is on the disk, as after a restart."""
        self.log = AccessLog(
            self.folder,
            unit_id=UNIT,
            storage_key=STORAGE_KEY,
            signing=self.unit_key,
            department=self.department.public_key(),
            clock=self.clock,
        )
        self.incidents = Incidents(self.log, self.clock)
        lockouts = Lockouts(self.folder, STORAGE_KEY, self.config)
        self.desk = Desk(
            unit_id=UNIT,
            config=self.config,
            accounts=Accounts(
                self.rosters, lockouts, self.log, self.config, self.clock, ended=self.incidents.end_of_shift
            ),
            log=self.log,
            board=self.board,
            window=self.window,
            book=lambda: book_in(self.folder, STORAGE_KEY),
            clock=self.clock,
            incidents=self.incidents,
            retention=lambda: self.retention,
        )

    def close(self) -> None:
        """Let go of the log."""
        self.log.close()
        self.runner.close()

    def browser(self) -> "Browser":
        """Return a browser that has never been here."""
        return Browser(self)

    def logged_in(self, name: str) -> "Browser":
        """Return a browser of who is called *name*, logged in."""
        made = self.browser()
        assert made.log_in(name).status_code == 303
        return made

    def entries(self) -> list[LogEntry]:
        """Everything in the log."""
        return [read_entry(record) for record in self.log.records(0, 10_000)]

    def logged(self) -> list[tuple[str, str, str]]:
        """Who did what with which outcome, the oldest first."""
        return [(each.actor, each.action, each.outcome) for each in self.entries()]

    def show(self, alerts: Iterable[Alert]) -> None:
        """Put *alerts*, newest first, on the board."""
        self.board.put_alerts(tuple(alerts))


class Browser:
    """A person's browser."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.client = AsyncClient(
            transport=ASGITransport(page_app(page.desk), raise_app_exceptions=False),
            base_url="https://localhost:8460",
            trust_env=False,
        )

    def get(self, path: str, **headers: str) -> Response:
        """Open a page."""
        return self._page.runner.run(self.client.get(path, headers=headers))

    def post(self, path: str, **fields: str) -> Response:
        """Send a form."""
        return self._page.runner.run(self.client.post(path, data=fields))

    def token(self, page: str) -> str:
        """Return the secret in the forms of *page*."""
        found = re.search(r'name="form_token" value="([^"]+)"', self.get(page).text)
        assert found is not None, f"no form on {page}"
        return found[1]

    def submit(self, page: str, to: str, **fields: str) -> Response:
        """Fill in a form that stands on *page* and send it."""
        return self.post(to, form_token=self.token(page), **fields)

    def log_in(self, name: str, password: str = PASSWORD) -> Response:
        """Log in on the login page."""
        return self.submit("/login", "/login", name=name, password=password)

    def answer(self, alert: Alert, rung: str, answer: str, seen: int | None = None) -> Response:
        """Answer on a rung of a hit's ladder, having seen what is there."""
        path = f"/hits/{alert.hit.hit_id}"
        count = len(self._page.desk.ladder(alert).answers) if seen is None else seen
        return self.submit(path, f"{path}/answer", rung=rung, answer=answer, seen=str(count))
