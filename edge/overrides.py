"""Settings given on the command line: `--set section.key=value`, with the value in TOML."""

import tomllib
from collections.abc import Iterable
from typing import Any

from edge.errors import ConfigInvalidError


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return *data* (a parsed TOML file) with each "section.key=value" put in; *data* is not written to.

    A value that is not TOML is taken as text, so that quotes need no quoting in a shell.

    Raises ConfigInvalidError for an override without "=" or without a section.
    """
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for override in overrides:
        path, equals, text = override.partition("=")
        section, dot, key = path.strip().partition(".")
        if not (equals and dot and section and key) or "." in key:
            raise ConfigInvalidError(f"--set {override}: write it as section.key=value")
        if not isinstance(result.setdefault(section, {}), dict):
            raise ConfigInvalidError(f"--set {override}: [[{section}]] is a list; edit the file instead")
        result[section][key] = _value(text.strip())
    return result


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
