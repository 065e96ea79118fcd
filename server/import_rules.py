"""How one source's file is to be read, as a person writes it: by command, on a page, in `[[feed]]`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hotlist_cache.entry import Priority
from hotlist_cache.importing import ACTION, FIELDS, ImportRules
from hotlist_cache.sources.codes import DEFAULT_CODES, parse_codes
from hotlist_cache.sources.reading import MAPPED_CSV, SOURCES
from server.errors import SettingsInvalidError

FORMATS = (MAPPED_CSV, *SOURCES)
TITLES: Mapping[str, str] = {
    MAPPED_CSV: "CSV or TSV with a header",
    **{name: source.title for name, source in SOURCES.items()},
}
"""What a person calls each format."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is said of a file beside its bytes; all of it is text, and empty where nothing was said."""

    form: str = MAPPED_CSV
    """One of `FORMATS`."""
    codes: str = ""
    """List codes to take, as "A,F,V,P,W=low" or "all"."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Which column of a mapped CSV holds which field."""
    list_name: str = ""
    source: str = ""
    country: str = "US"
    timezone: str = "UTC"
    priority: str = "medium"

    def rules(self, file_name: str) -> ImportRules:
        """Return what the reader takes. Raises SettingsInvalidError naming what cannot be understood."""
        if self.form not in FORMATS:
            raise SettingsInvalidError(f"--format {self.form!r}: one of {', '.join(FORMATS)}")
        if self.columns and self.form != MAPPED_CSV:
            raise SettingsInvalidError(
                f"--map: the columns of {self.form} are known; only {MAPPED_CSV} is mapped"
            )
        return ImportRules(
            columns=self.columns,
            country=self.country,
            timezone=_zone(self.timezone),
            list_name=self.list_name,
            source=self.source,
            priority=_priority(self.priority),
            codes=_codes(self.codes),
            file_name=file_name,
        )

    def told(self) -> dict[str, str]:
        """Return it as it is shown and kept with an import's report."""
        return {
            "form": self.form,
            "codes": self.codes,
            "columns": ", ".join(f"{name}={column}" for name, column in self.columns.items()),
            "list_name": self.list_name,
            "source": self.source,
            "country": self.country,
            "timezone": self.timezone,
            "priority": self.priority,
        }


def column_map(pairs: list[str]) -> dict[str, str]:
    """Return the mapping that *pairs* as FIELD=COLUMN say. Raises SettingsInvalidError."""
    mapping = {}
    for pair in pairs:
        field_name, equals, column = pair.partition("=")
        if not equals:
            raise SettingsInvalidError(f"--map {pair!r}: write FIELD=COLUMN")
        mapping[field_name.strip()] = column.strip()
    return mapping


def require_fields(mapping: Mapping[str, str]) -> None:
    """Raises SettingsInvalidError if *mapping* names what no column can hold."""
    for name in mapping:
        if name not in (*FIELDS, ACTION):
            raise SettingsInvalidError(f"--map {name}: there is no such field; fields: {', '.join(FIELDS)}")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsInvalidError(f"--timezone {name!r}: write it as America/Los_Angeles") from error


def _codes(text: str) -> Mapping[str, Priority]:
    try:
        return parse_codes(text) if text else DEFAULT_CODES
    except ValueError as error:
        raise SettingsInvalidError(f"--codes {error}") from None


def _priority(name: str) -> Priority:
    try:
        return Priority[name.upper()]
    except KeyError:
        raise SettingsInvalidError(f"--priority {name!r}: low, medium or high") from None
