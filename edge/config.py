"""One TOML file, read once into frozen values; each folder receives only its own part."""

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from camera.config import CameraConfig, GpsConfig
from edge.alerts import AlertConfig
from edge.errors import ConfigInvalidError
from edge.overrides import apply_overrides
from edge.page_config import PageConfig
from hotlist_cache.config import HotlistConfig
from recognizer.config import RecognizerConfig
from sync.config import MqttConfig, RetentionConfig, SyncConfig

T = TypeVar("T")

HOTLIST_FOLDER, URGENT_FOLDER, UPDATES_FOLDER = "hotlist", "urgent", "updates"
"""In the state directory: the lists, the urgent one inside of that, and what publications are believed by."""


@dataclass(frozen=True, slots=True)
class UnitConfig:
    """Which unit this is and where it keeps its things."""

    id: str
    """As enrolled; the name on its certificate."""
    state_dir: Path
    """Sealed reads, the sealed hotlist, the time floor. Survives a restart."""
    keys_dir: Path
    """As `alpr-server enroll` wrote it; under the service, systemd's credentials folder takes its place."""
    run_dir: Path | None = None
    """Status and alert sounds, gone at power-off. None: systemd's folder, else the user's own."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    unit: UnitConfig
    cameras: tuple[CameraConfig, ...] = ()
    gps: GpsConfig = field(default_factory=GpsConfig)
    recognizer: RecognizerConfig = field(default_factory=RecognizerConfig)
    hotlist: HotlistConfig = field(default_factory=HotlistConfig)
    alerts: AlertConfig = field(default_factory=AlertConfig)
    sync: SyncConfig = field(default_factory=SyncConfig)
    mqtt: MqttConfig = field(default_factory=MqttConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    page: PageConfig = field(default_factory=PageConfig)


def load_config(path: Path, overrides: Iterable[str] = ()) -> Config:
    """Return the configuration in the file *path*; relative folders in it are relative to the file.

    *overrides* are "section.key=value", as given with `--set`.

    Raises ConfigInvalidError naming the key and the remedy: an unknown key is an error, since a misspelt
    setting that is silently ignored is worse than a daemon that does not start.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalidError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalidError(f"{path}: is not TOML ({error})") from error
    config = parse_config(apply_overrides(data, overrides), str(path))
    config = dataclasses.replace(config, unit=_anchored(config.unit, path.resolve().parent))
    if config.alerts.wav_dir and Path(config.alerts.wav_dir).resolve().is_relative_to(config.unit.state_dir):
        raise ConfigInvalidError(
            f"{path}: alerts.wav_dir: such files say plates aloud; give a folder outside unit.state_dir"
        )
    return config


def parse_config(data: dict[str, Any], where: str) -> Config:
    """Return *data* as a configuration; *where* names its origin in errors.

    Raises ConfigInvalidError for an unknown key, a missing one or a value of the wrong type or range.
    """
    _refuse_unknown(Config, data, where, "")
    try:
        config = TypeAdapter(Config).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigInvalidError(f"{where}: {key}: {first['msg']}") from None
    names = [camera.name for camera in config.cameras]
    if len(names) != len(set(names)):
        raise ConfigInvalidError(f"{where}: cameras: two have the same name; give each its own")
    return config


def trial_config(model_pack: str) -> Config:
    """Return a unit's defaults with this model pack, for commands that read footage without a unit."""
    return Config(
        unit=UnitConfig(id="trial", state_dir=Path(), keys_dir=Path()),
        recognizer=RecognizerConfig(model_pack=model_pack),
    )


def _refuse_unknown(cls: type, data: object, where: str, prefix: str) -> None:
    if not isinstance(data, dict):
        return  # of the wrong type: the validator says so
    hints = typing.get_type_hints(cls)
    for key, value in data.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            advice = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(sorted(hints))}"
            raise ConfigInvalidError(f"{where}: {prefix}{key}: unknown key; {advice}")
        inner = _dataclass_in(hints[key])
        if inner is None:
            continue
        parts = value if isinstance(value, list) else [value]
        for index, part in enumerate(parts):
            at = f"{prefix}{key}.{index}." if isinstance(value, list) else f"{prefix}{key}."
            _refuse_unknown(inner, part, where, at)


def _dataclass_in(hint: Any) -> type | None:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint
    if typing.get_origin(hint) in (tuple, typing.Union, types.UnionType):
        for argument in typing.get_args(hint):
            if (found := _dataclass_in(argument)) is not None:
                return found
    return None


def _anchored(unit: UnitConfig, folder: Path) -> UnitConfig:
    return dataclasses.replace(
        unit,
        state_dir=folder / unit.state_dir,
        keys_dir=folder / unit.keys_dir,
        run_dir=None if unit.run_dir is None else folder / unit.run_dir,
    )
