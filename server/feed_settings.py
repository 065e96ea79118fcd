"""`[[feed]]` and `[hotlist] hidden_from`: which folders are watched for lists, and who may see which list."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.errors import SettingsInvalidError
from server.import_rules import ImportOptions, require_fields
from sync.roster import Role

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_TEXTS = ("codes", "list", "source", "country", "timezone", "priority")
_KEYS = ("name", "folder", "format", "map", "every_min", "publish", *_TEXTS)
_OWN = ("local", "urgent-local")


@dataclass(frozen=True, slots=True)
class WatchedFeed:
    """`[[feed]]`: a folder into which a source's files are put, as by SFTP or a scheduled download."""

    name: str
    folder: Path
    how: ImportOptions = field(default_factory=ImportOptions)
    every_min: int = 15
    """The folder is looked into so often."""
    publish: bool = False
    """Whether the list is published after an import; otherwise a person does."""


def watched_feeds(path: Path, raw: object) -> tuple[WatchedFeed, ...]:
    """Return the feeds that *raw*, `feed` of the TOML file at *path*, declares.

    Raises SettingsInvalidError naming the key.
    """
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        raise SettingsInvalidError(f"{path}: feed must be a list of sections: write [[feed]]")
    feeds = tuple(_watched(path, each) for each in raw)
    for what, values in (
        ("name", [each.name for each in feeds]),
        ("folder", [each.folder for each in feeds]),
    ):
        if len({*values}) != len(values):
            raise SettingsInvalidError(f"{path}: [[feed]] two feeds have the same {what}")
    return feeds


def hidden_lists(path: Path, raw: object) -> dict[str, tuple[str, ...]]:
    """Return from which roles which lists are hidden. Raises SettingsInvalidError."""
    where = f"{path}: [hotlist] hidden_from"
    if not isinstance(raw, dict):
        raise SettingsInvalidError(f'{where} must be as {{ "Sex offender" = ["officer"] }}')
    known = [role.value for role in Role]
    for name, roles in raw.items():
        if not isinstance(roles, list) or not roles or not all(role in known for role in roles):
            raise SettingsInvalidError(f"{where}: of list {name!r} name some of {', '.join(known)}")
        if Role.ADMIN.value in roles and Role.SUPERVISOR.value in roles:
            raise SettingsInvalidError(
                f"{where}: list {name!r} must stay open to admin or supervisor: somebody answers for it"
            )
    return {name: tuple(roles) for name, roles in raw.items()}


def _watched(path: Path, raw: Mapping[str, Any]) -> WatchedFeed:
    where = f"{path}: [[feed]]"
    if unknown := sorted(set(raw) - set(_KEYS)):
        raise SettingsInvalidError(f"{where} has no key {unknown[0]!r}: remove it or correct its name")
    name, folder = raw.get("name"), raw.get("folder")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _OWN:
        raise SettingsInvalidError(f"{where} name: 1 to 64 of a-z, 0-9 and hyphens, and none of {_OWN}")
    where = f"{where} {name}:"
    if not isinstance(folder, str) or not Path(folder).is_absolute():
        raise SettingsInvalidError(f"{where} folder must be a whole path, as /srv/lists/{name}")
    columns, every_min, publish = raw.get("map", {}), raw.get("every_min", 15), raw.get("publish", False)
    if not isinstance(columns, dict) or not all(isinstance(each, str) for each in columns.values()):
        raise SettingsInvalidError(f'{where} map must be as {{ plate = "LIC", state = "ST" }}')
    if type(every_min) is not int or not 1 <= every_min <= 10_080:
        raise SettingsInvalidError(f"{where} every_min must be 1 to 10080, a week")
    if type(publish) is not bool:
        raise SettingsInvalidError(f"{where} publish must be true or false")
    texts = {key: raw[key] for key in ("format", *_TEXTS) if key in raw}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise SettingsInvalidError(f"{where} {key} must be text")
    names = {"format": "form", "list": "list_name"}
    how = ImportOptions(columns=columns, **{names.get(key, key): value for key, value in texts.items()})
    try:
        require_fields(how.columns)
        how.rules("")
    except SettingsInvalidError as error:
        raise SettingsInvalidError(f"{where} {str(error).removeprefix('--')}") from None
    return WatchedFeed(name, Path(folder), how, every_min, publish)
