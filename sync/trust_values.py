"""What the department publishes and has signed: targets, with what their label says of them.

A target's path begins with the folder of its kind, and who may sign for that folder is decided by the
department's metadata. A kind that this program does not know is left out; a known one in another kind's
folder is refused, so that the key of one folder cannot speak for another.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LIST_PATH, URGENT_PATH = "hotlist/list", "hotlist/urgent"
"""The newest list that travels whole; the short one that is fetched first."""
LIST_KIND, DELTA_KIND = "hotlist", "hotlist-delta"
ROSTER_PATH, ROSTER_KIND = "rosters/roster", "roster"
"""Who may log in on the units."""
MODEL_KIND = "model"
PROFILE_KIND = "profile"
"""What the department sets on its units (`sync.profile`)."""
DELTA_PREFIX = "hotlist/delta-"
"""Before the sequence of the list that the change leads to."""
PACK_SUFFIX = ".pack"
"""Of the path of a model pack."""
FOLDERS = {
    LIST_KIND: "hotlist",
    DELTA_KIND: "hotlist",
    MODEL_KIND: "models",
    PROFILE_KIND: "profiles",
    ROSTER_KIND: "rosters",
}
"""The kinds of targets, and the first part of their paths."""

MAX_NUMBER = 2**53 - 1
"""Largest version and sequence: JSON readers elsewhere lose precision beyond."""

_PATH = re.compile(r"[a-z][a-z0-9-]{0,31}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){1,3}")
_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Label:
    """What the department says of a target beside its length and digest: the metadata's `custom`."""

    kind: str
    sequence: int
    """Grows whenever the file of that path is replaced."""
    base: int | None = None
    """Of a delta: the sequence that it changes into `sequence`."""
    urgent: bool = False
    """Fetch it at once, over whatever connection there is."""

    def __post_init__(self) -> None:
        if _KIND.fullmatch(self.kind) is None:
            raise ValueError("kind: use 1 to 32 of a-z, 0-9 and hyphens")
        if not is_number(self.sequence):
            raise ValueError(f"sequence: must be a whole number from 1 to {MAX_NUMBER}")
        if self.base is not None and not (is_number(self.base) and self.base < self.sequence):
            raise ValueError("base: must be a whole number from 1, and less than sequence")
        if type(self.urgent) is not bool:
            raise ValueError("urgent: must be true or false")

    def custom(self) -> dict[str, Any]:
        """Return it as the metadata holds it."""
        fields: dict[str, Any] = {"kind": self.kind, "sequence": self.sequence}
        if self.base is not None:
            fields["base"] = self.base
        if self.urgent:
            fields["urgent"] = True
        return fields


@dataclass(frozen=True, slots=True)
class Target:
    """A file that the department has signed for."""

    path: str
    length_bytes: int
    sha256: str
    """64 lower-case hexadecimal digits."""
    label: Label
    role: str
    """Who signed for it: `targets` (two persons) or a delegated role."""

    @property
    def source_name(self) -> str:
        """Where a source holds it: under its digest, so that a newer one does not take its place."""
        folder, _, name = self.path.rpartition("/")
        return f"targets/{folder}/{self.sha256}.{name}"


@dataclass(frozen=True, slots=True)
class Trusted:
    """The newest publication that the unit has verified and accepted."""

    versions: Mapping[str, int]
    """Of each role's metadata."""
    expires: Mapping[str, datetime]
    """When each role's metadata runs out, aware UTC."""
    targets: Mapping[str, Target]
    """By path."""
    accepted_at: datetime
    """When it was first accepted, aware UTC."""

    def of_kind(self, kind: str) -> list[Target]:
        """Return the targets of *kind*, the newest sequence first."""
        return sorted(
            (target for target in self.targets.values() if target.label.kind == kind),
            key=lambda target: (-target.label.sequence, target.path),
        )

    def expired(self, now: datetime) -> list[str]:
        """Return the roles whose metadata have run out at *now*."""
        return [role for role, at in self.expires.items() if at <= now]


@dataclass(frozen=True, slots=True)
class Accepted:
    """One role's metadata as last accepted: what a later one is measured against."""

    version: int
    sha256: str
    """Of the file."""
    keys: frozenset[str]
    """Ids of the keys that could sign for the role then."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One target as last accepted."""

    sequence: int
    sha256: str
    role: str


@dataclass(frozen=True, slots=True)
class Floors:
    """What the unit has accepted: nothing older is taken, whatever else is lost."""

    roles: Mapping[str, Accepted]
    sequences: Mapping[str, Sequence]
    """By target path."""


def is_number(value: object) -> bool:
    """Whether *value* can be a version or sequence: JSON also gives floats, booleans and huge integers."""
    return type(value) is int and 0 < value <= MAX_NUMBER


def require_path(path: str) -> str:
    """Return *path* if a target may be called so. Raises ValueError if not."""
    if _PATH.fullmatch(path) is None:
        raise ValueError(
            "a target is called folder/name: letters, digits, dot, hyphen, underscore; depth 2 to 4"
        )
    return path


def pack_path(name: str) -> str:
    """Return the path of the target that takes the place of the model pack *name* on the units that have it.

    Raises ValueError if a pack of that name cannot be published.
    """
    return require_path(f"{FOLDERS[MODEL_KIND]}/{name}{PACK_SUFFIX}")


def parse_label(path: str, custom: object) -> Label | None:
    """Return what *custom* says of the target *path*, or None if it is of a kind that is not known.

    Keys that are not known are left out. Raises ValueError if it is no label, or of another folder's kind.
    """
    require_path(path)
    if not isinstance(custom, dict):
        raise ValueError("target without custom data")
    kind = custom.get("kind")
    if not isinstance(kind, str):
        raise ValueError("kind: must be text")
    if kind not in FOLDERS:
        return None
    if not path.startswith(f"{FOLDERS[kind]}/"):
        raise ValueError(f"kind {kind} belongs in the folder {FOLDERS[kind]}")
    # The types are checked by the label itself.
    return Label(kind, custom.get("sequence", 0), custom.get("base"), custom.get("urgent", False))
