"""The department's folder, and its `server.toml` made into values.

DIR/
  server.toml            what may be edited by hand
  department.sqlite      reads, accounts, access log, unless [database] says where else
  keys/                  private keys, mode 0600
  hotlists/              what the feeds list, and the lists made of it
  updates/               what units fetch: those lists, models and profiles, signed; and who signs them
  quarantine/            batches that did not open, as they came
  letters/ packages/     what other agencies asked for with, and what they were given, encrypted to them
  audit-checkpoints.jsonl  signed heads of the access log; copy it off this machine
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.errors import SettingsInvalidError
from server.feed_settings import WatchedFeed, hidden_lists, watched_feeds
from server.retention_law import is_californian

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DepartmentSettings:
    """`[department]`: who runs this server and how units reach it."""

    name: str = "Police Department"
    """Shown on every page."""
    server_url: str = "https://localhost:8443"
    """Written into each new unit's configuration."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """`[database]`: where reads, accounts and the access log are held."""

    url: str = field(default="", repr=False)
    """Empty: SQLite in this folder. For PostgreSQL `postgresql+psycopg://user@host/database`; a password in
    it is never shown."""


SECOND_FACTOR = ("required", "optional")


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
    second_factor: str = "optional"
    """CJIS IA-2: "required" leads everybody without one to enrolment at the next login; "optional" asks for
    a code who has one. A new department's file says "required"; one that an upgrade finds without the key
    locks nobody out."""


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
    hidden_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By a list's name, "*" for any run of characters: roles that may not see what it says of a plate."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """`[audit]`: when the access log's head is signed, and what counts as night in its reports."""

    checkpoint_entries: int = 1000
    """The head is signed when so many entries came since it last was, ..."""
    checkpoint_hours: int = 24
    """... and after so long, whatever came."""
    checkpoint_file: str = ""
    """Path of the append-only copy of all signed heads; empty: in the department's folder."""
    timezone: str = "UTC"
    """The department's, as America/Los_Angeles: by it days and nights are told apart."""
    night_from_hour: int = 22
    """1 to 23, of that timezone."""
    night_until_hour: int = 6


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """`[policy]`: what the published policy must say and no configuration can know; empty: it says so."""

    custodian_title: str = ""
    custodian_contact: str = ""
    job_titles: str = ""
    """Who is given accounts, by job title."""
    training: str = ""
    """What the training is, and how often."""
    sharing: str = ""
    """Which agencies are given data as a rule, and under what agreement."""
    retention: str = ""
    """Who decides if and when reads are destroyed; how long they are kept is `[retention]`."""
    council_approval: str = ""
    """Which body approved of the policy, and when."""
    effective_from: str = ""
    website: str = ""
    """Where it is published."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """`[check]`: how often the server looks through its whole database (`weekly_check`)."""

    every_days: int = 7


CALIFORNIA, CALIFORNIA_DAYS = "Cal. Gov. Code 34090.6", 365


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """`[retention]`: how long reads are kept until the first rule is approved (`retention_rules`). What a
    legal hold names stays whatever these say."""

    other_reads_days: int = 365
    """Reads that are no hits."""
    hits_days: int = 1825
    """Reads that met a hotlist entry, and those that they correct."""
    floor_days: int = CALIFORNIA_DAYS
    """Nothing may be destroyed sooner: one year by California Government Code 34090.6. Other states have a
    ceiling in its place, as 21 days (Maine): lower it there, and say by what law. Less than a day, as three
    minutes (New Hampshire), is for a rule."""
    floor_basis: str = CALIFORNIA


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """`[release]`: who may be given reads by another agency's request, and who decides here."""

    state: str = "CA"
    """The department's own, as two letters."""
    out_of_state: bool = False
    """Whether agencies of other states and of the federation may be given reads. California's Attorney
    General reads Civil Code 1798.90.55 so that they may not (2023)."""
    records_role: str = "supervisor"
    """Who keeps the register: enters, reviews, exports, and answers what goes to Records. So may "admin"."""
    approver_role: str = "admin"
    """Who approves and refuses. Never the person who entered the request."""


DECIDING_ROLES = ("admin", "supervisor")
"""An auditor must not decide what they audit; a technician sees no reads; an officer asks."""


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """`[pictures]`: where pictures go once they leave the database; an empty url keeps them in it."""

    url: str = ""
    """`file:///folder` or `s3://bucket/prefix`. The bucket must not keep versions of what is deleted."""
    endpoint: str = ""
    """Of an S3 service that is not Amazon's, as https://s3.example.org."""
    after_hours: int = 24
    """They move so long after the read."""


@dataclass(frozen=True, slots=True)
class MapSettings:
    """`[map]`: where the pages' maps begin, and the department's own streets below them."""

    streets: str = ""
    """Path of a GeoJSON file of lines and polygons; empty: maps have degrees and a scale alone."""
    source: str = ""
    """Written on the map: whose data the streets are, as "© OpenStreetMap contributors"."""
    centre: str = ""
    """Latitude and longitude, as "38.5816, -121.4944"; empty: the middle of California."""
    zoom: int = 5
    """1 shows the world, 5 a state, 11 a city, 19 a house."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of `server.toml`."""

    department: DepartmentSettings = field(default_factory=DepartmentSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    mqtt: BrokerSettings = field(default_factory=BrokerSettings)
    hotlist: HotlistSettings = field(default_factory=HotlistSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    release: ReleaseSettings = field(default_factory=ReleaseSettings)
    pictures: PictureSettings = field(default_factory=PictureSettings)
    check: CheckSettings = field(default_factory=CheckSettings)
    map: MapSettings = field(default_factory=MapSettings)
    feed: tuple[WatchedFeed, ...] = ()
    """Folders that are watched for lists."""


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
    def checkpoints(self) -> Path:
        """The append-only copy of the access log's signed heads, unless the settings say elsewhere."""
        return self.root / "audit-checkpoints.jsonl"

    @property
    def quarantine(self) -> Path:
        """Batches that did not open, sealed as they came."""
        return self.root / "quarantine"

    @property
    def letters(self) -> Path:
        """Letters with which reads were asked for, named by their digest."""
        return self.root / "letters"

    @property
    def packages(self) -> Path:
        """Evidence packages for other agencies, encrypted to them, named by their digest."""
        return self.root / "packages"


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
    sections = [f.name for f in fields(Settings)]
    if unknown := sorted(set(raw) - set(sections)):
        raise SettingsInvalidError(f"{path}: unknown section [{unknown[0]}]: remove it or correct its name")
    hotlist = _hotlist(path, raw)
    if hotlist.least_share_percent > 100:
        raise SettingsInvalidError(f"{path}: [hotlist] least_share_percent must be at most 100")
    return Settings(
        department=_section(path, raw, "department", DepartmentSettings),
        database=_section(path, raw, "database", DatabaseSettings),
        access=_access(path, raw),
        mqtt=_section(path, raw, "mqtt", BrokerSettings),
        hotlist=hotlist,
        retention=_retention(path, raw),
        audit=_audit(path, raw),
        policy=_section(path, raw, "policy", PolicySettings),
        release=_release(path, raw),
        pictures=_section(path, raw, "pictures", PictureSettings),
        check=_section(path, raw, "check", CheckSettings),
        map=_section(path, raw, "map", MapSettings),
        feed=watched_feeds(path, raw.get("feed", [])),
    )


def _hotlist(path: Path, raw: dict[str, Any]) -> HotlistSettings:
    given = raw.get("hotlist", {})
    plain = {k: v for k, v in given.items() if k != "hidden_from"} if isinstance(given, dict) else given
    chosen = _section(path, {"hotlist": plain}, "hotlist", HotlistSettings)
    hidden = given.get("hidden_from", {}) if isinstance(given, dict) else {}
    return replace(chosen, hidden_from=hidden_lists(path, hidden))


def _access(path: Path, raw: dict[str, Any]) -> AccessSettings:
    chosen = _section(path, raw, "access", AccessSettings)
    if chosen.second_factor not in SECOND_FACTOR:
        raise SettingsInvalidError(
            f"{path}: [access] second_factor must be one of {', '.join(SECOND_FACTOR)}"
        )
    return chosen


def _retention(path: Path, raw: dict[str, Any]) -> RetentionSettings:
    chosen = _section(path, raw, "retention", RetentionSettings)
    for key in ("other_reads_days", "hits_days"):
        if getattr(chosen, key) < chosen.floor_days:
            raise SettingsInvalidError(
                f"{path}: [retention] {key} is less than floor_days, {chosen.floor_days} by "
                f"{chosen.floor_basis}; where another law holds, set floor_days and floor_basis"
            )
    if chosen.floor_days < CALIFORNIA_DAYS and is_californian(chosen.floor_basis):
        raise SettingsInvalidError(
            f"{path}: [retention] floor_days is less than {CALIFORNIA} asks for: name the law in floor_basis"
        )
    return chosen


def _release(path: Path, raw: dict[str, Any]) -> ReleaseSettings:
    chosen = _section(path, raw, "release", ReleaseSettings)
    for key in ("records_role", "approver_role"):
        if getattr(chosen, key) not in DECIDING_ROLES:
            raise SettingsInvalidError(f"{path}: [release] {key} must be one of {', '.join(DECIDING_ROLES)}")
    if len(chosen.state) != 2 or not chosen.state.isalpha() or not chosen.state.isupper():
        raise SettingsInvalidError(f"{path}: [release] state must be two letters, as CA")
    return chosen


def _audit(path: Path, raw: dict[str, Any]) -> AuditSettings:
    chosen = _section(path, raw, "audit", AuditSettings)
    if max(chosen.night_from_hour, chosen.night_until_hour) > 23:
        raise SettingsInvalidError(f"{path}: [audit] night_from_hour and night_until_hour must be at most 23")
    try:
        ZoneInfo(chosen.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsInvalidError(f"{path}: [audit] timezone: write it as America/Los_Angeles") from None
    return chosen


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
