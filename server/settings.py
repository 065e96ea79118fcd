"""The department's folder, and its `server.toml` made into values.

DIR/
  server.toml            what may be edited by hand
  department.sqlite      reads, accounts, access log
  keys/                  private keys, mode 0600
  hotlists/              what the feeds list, and the lists made of it
  updates/               what units fetch: those lists, models and profiles, signed; and who signs them
  quarantine/            batches that did not open, as they came
"""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from server.errors import SettingsInvalidError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DepartmentSettings:
    """`[department]`: who runs this server and how units reach it."""

    name: str = "Police Department"
    """Shown on every page."""
    server_url: str = "https://localhost:8443"
    """Written into each new unit's configuration."""


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """`[access]`: how long a person stays logged in, and when an account is closed."""

    idle_timeout_min: int = 30
    """CJIS AC-11: a session unused for this long is over."""
    session_hours: int = 12
    """A session ends after a long shift even if it was never idle."""
    lockout_failures: int = 5
    """CJIS AC-7: wrong passwords in a row that lock the account."""
    lockout_min: int = 15
    idle_account_days: int = 90
    """CJIS AC-2: an account unused for this long cannot log in until an administrator enables it again."""
    purpose_min: int = 60
    """A stated purpose holds for this long, then it is asked for again."""


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """`[mqtt]`: the broker that tells units of new hotlists; an empty host means none."""

    host: str = ""
    port: int = 8883


@dataclass(frozen=True, slots=True)
class HotlistSettings:
    """`[hotlist]`: how much of a list may go at once, and what units are given of an entry beside plate,
    state, list, reason, priority and source.

    Names, dates of birth and charges are not even taken over from a source. What is left out here never
    leaves the department, and makes a list of millions small: 8 MB for five million entries with none of it.
    """

    vehicles: bool = True
    """Colour, year, make and model, for the officer to compare."""
    case_numbers: bool = True
    times: bool = True
    """When an entry begins and ends. Without them it is in force as long as the list is."""
    record_ids: bool = False
    """The sources' own; otherwise an entry's id is derived from what it says."""
    least_share_percent: int = 50
    """1 to 100. A feed or list that would keep less of its entries waits for a second person's approval."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of `server.toml`."""

    department: DepartmentSettings = field(default_factory=DepartmentSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    mqtt: BrokerSettings = field(default_factory=BrokerSettings)
    hotlist: HotlistSettings = field(default_factory=HotlistSettings)


@dataclass(frozen=True, slots=True)
class Folder:
    """Where each thing of the department lies."""

    root: Path

    @property
    def settings(self) -> Path:
        """The file that may be edited by hand."""
        return self.root / "server.toml"

    @property
    def database(self) -> Path:
        """The embedded SQLite database."""
        return self.root / "department.sqlite"

    @property
    def keys(self) -> Path:
        """Private keys and certificates."""
        return self.root / "keys"

    @property
    def hotlists(self) -> Path:
        """Published snapshots, one file a sequence number."""
        return self.root / "hotlists"

    @property
    def updates(self) -> Path:
        """What is published to units, signed."""
        return self.root / "updates"

    @property
    def quarantine(self) -> Path:
        """Batches that did not open, sealed as they came."""
        return self.root / "quarantine"


def read_settings(path: Path) -> Settings:
    """Return the settings in the TOML file at *path*.

    Raises SettingsInvalidError naming the key if one is unknown or has a value of the wrong type or range.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsInvalidError(
            f"{path}: cannot be read ({error.strerror}): is this the folder that `alpr-server init` made?"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalidError(f"{path}: is not TOML ({error})") from error
    sections = ("department", "access", "mqtt", "hotlist")
    if unknown := sorted(set(raw) - set(sections)):
        raise SettingsInvalidError(f"{path}: unknown section [{unknown[0]}]: remove it or correct its name")
    hotlist = _section(path, raw, "hotlist", HotlistSettings)
    if hotlist.least_share_percent > 100:
        raise SettingsInvalidError(f"{path}: [hotlist] least_share_percent must be at most 100")
    return Settings(
        department=_section(path, raw, "department", DepartmentSettings),
        access=_section(path, raw, "access", AccessSettings),
        mqtt=_section(path, raw, "mqtt", BrokerSettings),
        hotlist=hotlist,
    )


def _section(path: Path, raw: dict[str, Any], name: str, kind: type[_T]) -> _T:
    given = raw.get(name, {})
    if not isinstance(given, dict):
        raise SettingsInvalidError(f"{path}: {name} must be a section: write [{name}]")
    known = {f.name: f.default for f in fields(kind)}  # type: ignore[arg-type] # each kind is a dataclass
    for key, value in given.items():
        if key not in known:
            raise SettingsInvalidError(f"{path}: [{name}] has no key {key!r}: remove it or correct its name")
        if type(value) is not type(known[key]):
            expected = {str: "text", bool: "true or false"}.get(type(known[key]), "a whole number")
            raise SettingsInvalidError(f"{path}: [{name}] {key} must be {expected}")
        if type(value) is int and value < 1:
            raise SettingsInvalidError(f"{path}: [{name}] {key} must be at least 1")
    return kind(**given)
