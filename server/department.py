"""A department on disk: founded once, opened by each command. Joins folder, settings, keys and database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import Engine

from hotlist_cache.publishing import Carried
from server.access import Role, add_account
from server.actors import console_person
from server.audit import Deed, append
from server.audit_checkpoints import Checkpoints
from server.database import migrate, open_database, require_current, require_empty, writing
from server.errors import ServerError, SettingsInvalidError
from server.hotlist_deeds import place_of
from server.hotlists import Hotlists
from server.keys import DepartmentKeys, load_keys, make_keys, write_private
from server.list_visibility import ListVisibility
from server.owner import given_back
from server.passwords import require_password
from server.pictures import Pictures, open_pictures
from server.publications import Publications
from server.second_factor import factor_key
from server.settings import AuditSettings, Folder, Settings, read_settings

_SETTINGS = """\
# Settings of the department's server. Unknown keys are errors. Restart the server after a change.

[department]
name = {name}
server_url = {server_url}  # how units reach this server; written into each new unit's configuration

[database]
# Empty: SQLite in this folder. For a fleet: postgresql+psycopg://user@host/database
url = {database_url}

[access]
idle_timeout_min = 30
session_hours = 12
lockout_failures = 5
lockout_min = 15
idle_account_days = 90
purpose_min = 60
# "required": who has no second factor is led to it at the login. "optional": who has one is asked for it.
second_factor = {second_factor}

[mqtt]
host = ""  # of the broker that tells units of new hotlists; empty: none
port = 8883

[hotlist]
# What units are given of an entry beside plate, state, list, reason, priority and source.
vehicles = true
case_numbers = true
times = true
record_ids = false
# A feed or list that would keep less of its entries waits for a second person's approval; 1 to 100.
least_share_percent = 50
# Which roles may not see what a list says of a plate, by the list's name, "*" for any run of characters:
# {{ "Sex offender" = ["officer"] }}. Units are then told no more of its entries than that they are wanted.
hidden_from = {{}}

# A folder into which a source's files are put, several times if need be. They are imported as they come.
# [[feed]]
# name = "svs"
# folder = "/srv/lists/svs"
# format = "clew"
# every_min = 15
# publish = false  # whether the list is published after an import; otherwise a person does it

[retention]
# Days that reads are kept at least, hits longer, until two persons put other rules in force (on the page, or
# `alpr-server retention propose`). What a legal hold names stays. By these nothing goes by itself.
other_reads_days = 365
hits_days = 1825
floor_days = 365
floor_basis = "Cal. Gov. Code 34090.6"

[pictures]
# Where pictures go from the database: "file:///folder" or "s3://bucket/prefix", encrypted. Empty: they stay.
url = ""
endpoint = ""  # of an S3 service that is not Amazon's
after_hours = 24

[check]
every_days = 7  # so often all of the database is looked through for damage, a little at a time

[map]
streets = ""  # GeoJSON of your streets, as an extract of OpenStreetMap; empty: degrees and a scale alone
source = ""  # whose data they are, written on the map: "© OpenStreetMap contributors"
centre = ""  # where maps begin: "38.5816, -121.4944"
zoom = 5  # 1 the world, 5 a state, 11 a city, 19 a house

[release]
state = "CA"
out_of_state = false  # whether agencies of other states and of the federation may be given reads
records_role = "supervisor"
approver_role = "admin"

[audit]
# The access log's head is signed after so many entries and so many hours, and written to a file as well:
# copy that to another machine. Empty: audit-checkpoints.jsonl in this folder.
checkpoint_entries = 1000
checkpoint_hours = 24
checkpoint_file = ""
timezone = "UTC"  # e.g. America/Los_Angeles: by it nights are told apart
night_from_hour = 22
night_until_hour = 6

[policy]
# What the published policy must say and no configuration can know. Empty: the policy says that it is missing.
custodian_title = ""
custodian_contact = ""
job_titles = ""
training = ""
sharing = ""
retention = ""
council_approval = ""
effective_from = ""
website = ""
"""


@dataclass(frozen=True, slots=True)
class Administrator:
    """The first account."""

    name: str
    password: str
    training_expires: date


@dataclass(frozen=True, slots=True)
class Department:
    """An opened department."""

    folder: Folder
    settings: Settings
    keys: DepartmentKeys
    engine: Engine

    @property
    def publications(self) -> Publications:
        """What is published to its units."""
        return Publications(self.folder.updates)

    @property
    def hotlists(self) -> Hotlists:
        """Its feeds and snapshots."""
        least_share = self.settings.hotlist.least_share_percent / 100
        return Hotlists(self.engine, self.folder.hotlists, least_share, carried=self.carried)

    @property
    def pictures(self) -> Pictures:
        """Its pictures outside the database. Raises SettingsInvalidError, PictureStoreError."""
        return open_pictures(self.engine, self.settings.pictures, self.folder.keys)

    @property
    def visibility(self) -> ListVisibility:
        """Which role may see what which list says."""
        return ListVisibility(self.settings.hotlist.hidden_from)

    @property
    def carried(self) -> Carried:
        """What units are given of an entry."""
        chosen = self.settings.hotlist
        return Carried(
            record_ids=chosen.record_ids,
            vehicles=chosen.vehicles,
            case_numbers=chosen.case_numbers,
            times=chosen.times,
            withheld=self.visibility.withheld,
        )


def found(
    root: Path,
    first: Administrator,
    *,
    name: str,
    hosts: Sequence[str],
    server_url: str,
    now: datetime,
    database_url: str = "",
    second_factor: str = "required",
) -> None:
    """Make a new department in *root*, which must not exist or be empty.

    Raises SettingsInvalidError if there is anything in *root* or in the database at *database_url*, or a
    name, host or password cannot be one; StoreUnavailableError if that database is not there.
    """
    folder = Folder(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise SettingsInvalidError(
            f"{root} is not an empty folder: nothing is overwritten; choose another one"
        )
    if not name.strip() or not name.isprintable():
        raise SettingsInvalidError("the department's name must be printable text")
    require_password(first.password, first.name, name)
    engine = open_database(folder.database, database_url)
    if database_url:
        try:
            require_empty(engine)
        except ServerError:
            engine.dispose()
            raise
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o700)
    make_keys(folder.keys, name, hosts, now)
    Publications(folder.updates).found(folder.keys, now)
    settings = _SETTINGS.format(
        name=_toml_text(name),
        server_url=_toml_text(server_url),
        database_url=_toml_text(database_url),
        second_factor=_toml_text(second_factor),
    )
    write_private(folder.settings, settings.encode())
    if not database_url:
        # Made before SQLite does, which would make it readable for others.
        write_private(folder.database, b"")
    migrate(engine)
    with writing(engine) as connection:
        append(connection, Deed(console_person(), "department.init", detail={"name": name}), now)
    add_account(
        engine,
        first.name,
        Role.ADMIN,
        first.password,
        first.training_expires,
        actor=console_person(),
        now=now,
    )
    # Made now, so that both keys are in the first backup of them.
    factor_key(folder.keys, in_use=False)
    Checkpoints(engine, folder, AuditSettings()).step(now, at_once=True)
    engine.dispose()


def open_department(root: Path, *, upgrading: bool = False) -> Department:
    """Return the department in *root*; with *upgrading* an older database is brought to this program's form.

    Raises SettingsInvalidError naming what is missing or does not fit.
    """
    folder = Folder(root)
    settings = read_settings(folder.settings)
    keys = load_keys(folder.keys)
    given_back(root)
    url = settings.database.url
    if not url and not folder.database.is_file():
        raise SettingsInvalidError(f"{folder.database} is missing: restore it from the backup")
    engine = open_database(folder.database, url)
    try:
        if upgrading:
            migrate(engine)
        require_current(engine)
    except ServerError:
        engine.dispose()
        raise
    return Department(folder, settings, keys, engine)


def publish_urgent(department: Department, actor: str, expires_at: datetime, now: datetime) -> int:
    """Publish what the urgent feeds list, on the list that units fetch first; return how many entries.

    Raises HotlistRefusedError, RepositoryRefusedError or SigningFailedError, and publishes nothing.
    """
    count = department.publications.publish_urgent(
        department.hotlists.urgent_entries(),
        department.keys,
        carried=department.carried,
        expires_at=expires_at,
        now=now,
    )
    with writing(department.engine) as connection:
        append(
            connection,
            Deed(actor, "hotlist.publish_urgent", source=place_of(actor), detail={"entries": count}),
            now,
        )
    return count


def _toml_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
