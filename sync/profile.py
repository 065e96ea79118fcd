"""What a department may set on its units by a signed profile: a closed list, and each value within bounds.

A profile is TOML, with the sections and keys of a unit's own `config.toml`. Neither keys nor servers nor
paths are among them: who takes over the department's publishing gets no reads sent elsewhere by it.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sync.config import FirstToGo, RetentionConfig
from sync.errors import WireFormatError
from sync.networks import Lists, NetworkRule, Reads

VERSION = 1
MAX_PROFILE_BYTES = 64 * 1024
MOST_WINDOW_H = 168.0
"""A week: a unit that keeps a month of what its department has is a second database, in a car."""

Value = float | bool | str | tuple[FirstToGo, ...] | tuple[NetworkRule, ...]

_NUMBERS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("retention", "local_window_h"): (0, MOST_WINDOW_H),
    ("retention", "non_hit_window_min"): (0, MOST_WINDOW_H * 60),
    ("hotlist", "cooldown_s"): (0, 3600),
    ("hotlist", "max_age_h"): (1, 168),
    ("hotlist", "hit_probability"): (0.05, 0.99),
    ("hotlist", "possible_probability"): (0.01, 0.99),
    # CJIS 5.5.5 (AC-11): at most 30 minutes. "Never" is for the unit's own file, by who answers for the car.
    ("page", "idle_lock_min"): (1, 30),
}
"""Least and most of each number, both allowed."""
_FLAGS = frozenset(
    {
        ("retention", "transfer_non_hits"),
        ("retention", "window_outlives_restart"),
        ("retention", "context_images"),
    }
)
_RULE_KEYS = frozenset({"name", "interfaces", "reads", "lists", "max_bytes_s"})


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings that a department has signed for its units."""

    values: Mapping[tuple[str, str], Value] = field(default_factory=dict)
    """By section and key, as in `config.toml`."""

    def section(self, name: str) -> dict[str, Value]:
        """Return the values of one section."""
        return {key: value for (section, key), value in self.values.items() if section == name}


def decode_profile(data: bytes) -> Profile:
    """Return the profile in *data*.

    Raises WireFormatError, naming the key, if it is none, sets what no profile may, or a value is out of its
    bounds. It is refused whole: half a profile is a policy that nobody signed.
    """
    if len(data) > MAX_PROFILE_BYTES:
        raise WireFormatError(f"profile is longer than {MAX_PROFILE_BYTES} bytes")
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireFormatError(f"profile is not TOML ({error})") from error
    version = document.pop("version", None)
    if type(version) is not int or version != VERSION:
        raise WireFormatError(f"profile: version must be {VERSION}; a newer one needs a newer program")
    values: dict[tuple[str, str], Value] = {}
    for section, content in document.items():
        if not isinstance(content, dict):
            raise WireFormatError(f"profile: {section} is no section that a profile may have")
        for key, value in content.items():
            try:
                values[section, key] = _value(section, key, value)
            except ValueError as error:
                raise WireFormatError(f"profile: {section}.{key}: {error}") from error
    profile = Profile(MappingProxyType(values))
    _require_whole(profile)
    return profile


def together(profiles: Mapping[str, Profile]) -> Profile:
    """Return what several profiles say together, by their names.

    Raises WireFormatError if two of them set the same key, or they do not fit together.
    """
    values: dict[tuple[str, str], Value] = {}
    said_by: dict[tuple[str, str], str] = {}
    for name in sorted(profiles):
        for at, value in profiles[name].values.items():
            if at in said_by:
                raise WireFormatError(
                    f"profiles: {'.'.join(at)} stands in {said_by[at]} and in {name}; let one say it"
                )
            said_by[at], values[at] = name, value
    whole = Profile(MappingProxyType(values))
    _require_whole(whole)
    return whole


def retention_of(profile: Profile, own: RetentionConfig) -> RetentionConfig:
    """Return how reads are kept on a unit whose own file says *own*. Raises ValueError if that cannot be."""
    values: dict[str, Any] = profile.section("retention")
    if "local_window_h" in values and "non_hit_window_min" not in values:
        # What the unit's own file says of other reads may be more than the department now allows of any.
        most = values["local_window_h"] * 60
        if own.non_hit_window_min is not None and own.non_hit_window_min > most:
            values["non_hit_window_min"] = most
    return dataclasses.replace(own, **values)


def _require_whole(profile: Profile) -> None:
    try:
        retention_of(profile, RetentionConfig())
    except ValueError as error:
        raise WireFormatError(f"profile: retention.{error}") from error
    hit = profile.values.get(("hotlist", "hit_probability"), 0.5)
    possible = profile.values.get(("hotlist", "possible_probability"), 0.05)
    assert isinstance(hit, float) and isinstance(possible, float)  # as `_value` makes them
    if possible > hit:
        raise WireFormatError("profile: hotlist.possible_probability must not be more than hit_probability")


def _value(section: str, key: str, value: Any) -> Value:
    at = (section, key)
    if at in _NUMBERS:
        least, most = _NUMBERS[at]
        if type(value) not in (int, float) or not least <= value <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return float(value)
    if at in _FLAGS:
        if type(value) is not bool:
            raise ValueError("must be true or false")
        return value
    if at == ("retention", "when_full"):
        if not isinstance(value, list) or not value:
            raise ValueError("must be a list of what goes first")
        return tuple(FirstToGo(each) for each in value)
    if at == ("sync", "networks"):
        if not isinstance(value, list) or not 0 < len(value) <= 20:
            raise ValueError("must be 1 to 20 tables, [[sync.networks]]")
        return _rules(value)
    raise ValueError("no profile may set this")


def _rules(tables: list[Any]) -> tuple[NetworkRule, ...]:
    rules = []
    for table in tables:
        if not isinstance(table, dict) or set(table) - _RULE_KEYS:
            raise ValueError(f"unknown key; known are {', '.join(sorted(_RULE_KEYS))}")
        interfaces = table.get("interfaces")
        if not isinstance(interfaces, list) or not all(isinstance(each, str) for each in interfaces):
            raise ValueError("interfaces: must be a list of patterns")
        name, most = table.get("name"), table.get("max_bytes_s", 0)
        if not isinstance(name, str) or type(most) is not int:
            raise ValueError("name must be text, max_bytes_s a whole number")
        reads, lists = Reads(table.get("reads", Reads.ALL)), Lists(table.get("lists", Lists.ALL))
        rules.append(NetworkRule(name, tuple(interfaces), reads, lists, most))
    if len({rule.name for rule in rules}) != len(rules):
        raise ValueError("two have the same name; give each its own")
    return tuple(rules)
