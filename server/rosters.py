"""The roster of users that units let in by: made of the accounts, published when they change.

Each account that could log in at the department's server can at the units, in its role. One that was unused
for too long, at the server and on every unit that told of it, is closed in the roster too. So is one with a
one-time password, which another person knows, until its own person has changed it at the server. A second
factor is not asked for on units, which must let people in without a network (decision 0015).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, Engine, select

from server.audit import Deed, append
from server.database import reading, writing
from server.publications import Publications
from server.settings import AccessSettings
from server.tables import accounts
from sync.roster import Role, Roster, RosterUser, decode_roster, encode_roster

LASTS = timedelta(days=35)
"""Longer than a unit may stay away from its department: the 30-day clock."""
RENEWED_AFTER = timedelta(days=7)

_log = structlog.get_logger(__name__)


class Rosters:
    """Publishes the roster of one department. Threads and processes may do so beside each other."""

    def __init__(self, engine: Engine, publications: Publications, settings: AccessSettings) -> None:
        self._engine = engine
        self._publications = publications
        self._settings = settings

    def bring(self, now: datetime, *, actor: str, at_once: bool = False) -> int:
        """Publish a roster if the accounts are others, or the one in force is a week old; return its number.

        0 if nothing was due. *at_once*: it is due whatever there is.
        Raises what `Publications.publish_roster` raises, and StoreUnavailableError.
        """
        users: Sequence[RosterUser] = ()

        def made(number: int) -> bytes | None:
            nonlocal users
            # Read under the publication's lock: of two that publish, the later has the later accounts.
            with reading(self._engine) as connection:
                users = users_of(connection, self._settings, now)
            issued = now.replace(microsecond=0)
            if not at_once and self._stands(users, issued):
                return None
            return encode_roster(Roster(number, issued, issued + LASTS, tuple(users)))

        number = self._publications.publish_roster(made, now)
        if number:
            _log.info("roster published", number=number, users=len(users))
            detail = {"number": number, "users": len(users)}
            with writing(self._engine) as connection:
                append(connection, Deed(actor, "roster.publish", detail=detail), now)
        return number

    def _stands(self, users: Sequence[RosterUser], now: datetime) -> bool:
        held = self._publications.roster()
        if held is None:
            return False
        roster = decode_roster(held[1])
        return roster.users == tuple(users) and roster.issued_at <= now < roster.issued_at + RENEWED_AFTER


def users_of(connection: Connection, settings: AccessSettings, now: datetime) -> list[RosterUser]:
    """Return every account as units know it at *now* (aware UTC), sorted by name."""
    idle = timedelta(days=settings.idle_account_days)
    found = [
        RosterUser(
            name=row.name,
            role=Role(row.role),
            password_hash=row.password_hash,
            training_expires=row.training_expires,
            disabled=row.disabled or now >= row.active_at + idle or row.one_time_until is not None,
        )
        for row in connection.execute(select(accounts))
    ]
    return sorted(found, key=lambda user: user.name)
