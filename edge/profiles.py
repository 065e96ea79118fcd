"""The department's signed profiles on the unit: kept over restarts, put over the unit's own configuration.

What a profile may say is in `sync.profile`. Retention and networks hold at once; the rest, which is built
into the parts at the start, from the next start on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from edge.config import Config
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from sync import wire
from sync.errors import WireFormatError
from sync.profile import Profile, decode_profile, retention_of, together
from sync.trust_values import PROFILE_KIND, Target, Trusted

PROFILES_NAME = "profiles.sealed"
REFUSED = "The department's new settings cannot be used; the old ones hold. Tell the technician"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A profile as it came."""

    sequence: int
    sha256: str
    data: bytes = field(repr=False)


class Profiles:
    """One thread brings; others read `versions`, `fault` and `profile`, which are replaced whole."""

    def __init__(
        self,
        own: Config,
        storage_key: bytes,
        *,
        use: Callable[[Config], None] = lambda config: None,
        alarm: Callable[[str], None] = lambda text: None,
        disk: Disk | None = None,
    ) -> None:
        """*own* is the unit's own configuration; *use* is given the one that holds, whenever it changes;
        *alarm* tells the officer. A damaged file counts as none, and says so: the next publication brings it.
        """
        self.fault = ""
        """Why the department's newest profiles do not hold, for the technician; empty while they do."""
        self.profile = Profile()
        self.use, self.alarm = use, alarm
        self._own = own
        self._path = own.unit.state_dir / PROFILES_NAME
        self._key = storage_key
        self._disk: Disk = RealDisk() if disk is None else disk
        self._held: Mapping[str, Held] = {}
        self._refused: Mapping[str, str] = {}
        """Digests of what was refused last: it is not fetched again."""
        try:
            held = held_profiles(self._path, storage_key)
            self._take(held)
        except (SealedFileDamagedError, WireFormatError, ValueError, OSError) as error:
            self.fault = f"profiles: the unit's copy cannot be used ({error}); its own file holds"
            log.error("profiles.unread", why=str(error))

    @property
    def config(self) -> Config:
        """The configuration that holds: the unit's own, and over it what the profiles say."""
        return applied(self._own, self.profile)

    @property
    def versions(self) -> str:
        """As "retention.toml 3, agency.toml 1"; empty: no profile holds."""
        return versions_of(self._held)

    def bring(self, trusted: Trusted, fetched: Callable[[Target], bytes]) -> None:
        """Put in force what *trusted* has of profiles, all of it or nothing; *fetched* gives a target's
        bytes.

        Raises what *fetched* raises, and OSError if the disk fails; what held before holds on.
        """
        targets = {target.path: target for target in trusted.of_kind(PROFILE_KIND)}
        wanted = {path: target.sha256 for path, target in targets.items()}
        if wanted == {path: held.sha256 for path, held in self._held.items()}:
            self.fault, self._refused = "", {}
            return
        if wanted and wanted == self._refused:
            return
        brought = {
            path: held
            if (held := self._held.get(path)) is not None and held.sha256 == target.sha256
            else Held(target.label.sequence, target.sha256, fetched(target))
            for path, target in targets.items()
        }
        before = self._held, self.profile
        try:
            self._take(brought)
        except (WireFormatError, ValueError) as error:
            self._refused = wanted
            self.fault = f"the department's profiles were refused, what held before holds on: {error}"
            log.error("profiles.refused", why=str(error))
            self.alarm(REFUSED)
            return
        try:
            content = wire.dumps(
                {path: [each.sequence, each.sha256, each.data] for path, each in brought.items()}
            )
            write_sealed(self._disk, self._path, memoryview(content), self._key, PROFILES_NAME)
        except OSError:
            self._held, self.profile = before
            raise
        self.fault, self._refused = "", {}
        log.info("profiles.in_force", profiles=self.versions or "none")
        self.use(self.config)

    def _take(self, held: Mapping[str, Held]) -> None:
        """Make *held* what holds. Raises WireFormatError or ValueError; then nothing changed."""
        profile = together({path: decode_profile(each.data) for path, each in held.items()})
        applied(self._own, profile)
        self._held, self.profile = held, profile


def held_profiles(path: Path, storage_key: bytes) -> dict[str, Held]:
    """Return the profiles in the file *path*, by their targets' paths; none where there is no file.

    Raises SealedFileDamagedError, WireFormatError or OSError.
    """
    try:
        content: Any = wire.loads(bytes(read_sealed(path, storage_key, PROFILES_NAME)), "profiles")
    except FileNotFoundError:
        return {}
    try:
        return {
            str(name): Held(wire.whole(sequence), str(sha256), wire.octets(data))
            for name, (sequence, sha256, data) in content.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise WireFormatError(f"profiles have a field of a wrong type ({error})") from error


def versions_of(held: Mapping[str, Held]) -> str:
    """Return names and sequences in one line."""
    return ", ".join(f"{path.partition('/')[2]} {held[path].sequence}" for path in sorted(held))


def applied(own: Config, profile: Profile) -> Config:
    """Return *own* with what *profile* says over it. Raises ValueError if the two do not go together."""
    hotlist: dict[str, Any] = profile.section("hotlist")
    page: dict[str, Any] = profile.section("page")
    sync: dict[str, Any] = profile.section("sync")
    return replace(
        own,
        retention=retention_of(profile, own.retention),
        hotlist=replace(own.hotlist, **hotlist),
        page=replace(own.page, **page),
        sync=replace(own.sync, **sync),
    )
