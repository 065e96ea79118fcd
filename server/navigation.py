"""The places that the bar on top of each page leads to."""

from collections.abc import Callable
from dataclasses import dataclass

from server.access import Role


@dataclass(frozen=True, slots=True)
class Place:
    """One of them."""

    name: str
    """What a template sets as `active` where it is shown."""
    path: str
    label: str
    open_to: Callable[[Role], bool]
    """Whose bar has it. The page itself refuses all others besides."""


def _anyone(_: Role) -> bool:
    return True


KEEPING = (Role.ADMIN, Role.SUPERVISOR)
"""Who decides on retention and holds."""

PLACES = (
    Place("units", "/units", "Units", _anyone),
    Place("hits", "/hits", "Hits", lambda role: role.sees_reads),
    Place("reads", "/reads", "Reads", lambda role: role.sees_reads),
    Place("hotlists", "/hotlists", "Hotlists", lambda role: role is not Role.TECHNICIAN),
    Place("releases", "/releases", "Releases", lambda role: role not in (Role.OFFICER, Role.TECHNICIAN)),
    Place("retention", "/retention", "Retention", lambda role: role in KEEPING or role is Role.AUDITOR),
    Place("audit", "/audit", "Access log", lambda role: role.sees_audit),
    Place("accounts", "/accounts", "Accounts", lambda role: role is Role.ADMIN),
    Place("audit", "/policy", "Policy", lambda role: not role.sees_audit),
)


def places_of(role: Role) -> tuple[Place, ...]:
    """Return what the bar of a person with *role* leads to."""
    return tuple(place for place in PLACES if place.open_to(role))
