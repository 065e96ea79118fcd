"""Which role sees what a list says: no state or federal data unless authorised (policy D .03 E).

`[hotlist] hidden_from` names lists, and the roles from which they are hidden. At the department a hit of such
a list is still a hit, but of which list, of which entry and how it met it are withheld; entries are not
found. Units are one for all roles: what any role may not see there is not even published to them
(`Carried.withheld`), so that the officer is alerted with the list's name and no more. See decision 14.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from server.records import StoredHit, StoredRead

WITHHELD = "Withheld list"
"""The name of a list that a person may not see, wherever a list's name stands."""


@dataclass(frozen=True, slots=True)
class ListVisibility:
    """What `hidden_from` says; empty: every list is open to everybody who sees hits."""

    hidden_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By a list's name, "*" for any run of characters, case aside: roles."""

    def hides(self, list_name: str, role: str) -> bool:
        """Whether a person of *role* may not see what list *list_name* says."""
        name = list_name.casefold()
        return any(
            role in roles and fnmatchcase(name, pattern.casefold())
            for pattern, roles in self.hidden_from.items()
        )

    def name_for(self, list_name: str, role: str) -> str:
        """Return *list_name* as a person of *role* is shown it."""
        return WITHHELD if self.hides(list_name, role) else list_name

    def hit_for(self, hit: StoredHit, role: str) -> StoredHit:
        """Return *hit* as a person of *role* is shown it."""
        if not self.hides(hit.list_name, role):
            return hit
        # How it met the entry says what the entry is: an exact hit, of the same state, is the listed plate.
        return replace(
            hit,
            list_name=WITHHELD,
            pattern="withheld",
            differing=(),
            kind="withheld",
            form="plate",
            state="withheld",
            text_probability=None,
            state_probability=None,
        )

    def read_for(self, read: StoredRead, role: str) -> StoredRead:
        """Return *read* as a person of *role* is shown it, on a page or in a file."""
        if not self.hidden_from or not read.hits:
            return read
        return replace(read, hits=tuple(self.hit_for(hit, role) for hit in read.hits))

    @property
    def withheld(self) -> tuple[str, ...]:
        """Of which lists units are given no reason, source, case number and record id."""
        return tuple(sorted(self.hidden_from))
