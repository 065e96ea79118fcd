"""The department's publications as this unit believes them: refreshed from any source, kept over restarts.

    source ── bytes ──▶ Chain (rules) ──▶ files on disk ──▶ record of accepted versions = in force

The rules are in `trust_check`; here is their order, and what is on the disk when. Whatever fails, what was in
force stays in force, and the error carries an alarm for the technician and the audit log.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hotlist_cache.disk import Disk, RealDisk
from sync.errors import NotPublishedError, UpdateExpiredError, UpdateRejectedError
from sync.trust_check import MAX_BYTES, ROOT, TIMESTAMP, Chain, Wanted
from sync.trust_fetch import Progress, fetch
from sync.trust_files import MetadataFiles, climb
from sync.trust_record import TrustRecord, lost
from sync.trust_source import TIMESTAMP_NAME, Limits, Meter, Source, read, too_long
from sync.trust_values import Target, Trusted

DATABASE_NAME = "updates.db"
METADATA_NAME = "metadata"


@dataclass(frozen=True, slots=True)
class TrustState:
    """How the publication in force stands, for the status page."""

    versions: Mapping[str, int]
    """Of each role; empty if there is none."""
    age_s: float | None
    """Since it was first accepted."""
    expires_at: datetime | None
    """When the first of its roles runs out, aware UTC."""
    stale: bool
    """It ran out, or there is none: what was installed from it stays in use, and must be shown as old."""
    line: str
    """The same in one line."""
    alarm: str
    """Of the last refusal; "" since a refresh went through."""


class TrustedUpdates:
    """The trust of one unit, in a folder of its own; one process and one thread at a time."""

    def __init__(
        self,
        folder: Path,
        pinned: bytes,
        *,
        limits: Limits | None = None,
        disk: Disk | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """*folder* exists; *pinned* is the root metadata that enrolment installed, always the same.

        Raises TrustLostError if the record is damaged, gone, or of another root: then nothing new can be
        believed until `trust_repair.repair`. Raises UpdateRejectedError if *pinned* is no root, DiskFullError
        or OSError if the disk fails.
        """
        self._limits = limits or Limits()
        self._disk: Disk = RealDisk() if disk is None else disk
        self._monotonic_ns = monotonic_ns
        self._pinned = pinned
        Chain(pinned, None)
        (folder / METADATA_NAME).mkdir(mode=0o700, exist_ok=True)
        self._files = MetadataFiles(folder / METADATA_NAME, self._disk)
        self._record = TrustRecord(folder / DATABASE_NAME)
        try:
            self._require_pin(hashlib.sha256(pinned).hexdigest())
            self._floors = self._record.floors()
        except BaseException:
            self._record.close()
            raise
        self.trusted: Trusted | None = None
        """The publication in force; None before `load` or `refresh`, or if there is none."""
        self.alarm = ""
        """Of the last refusal."""

    def close(self) -> None:
        """Let go of the database."""
        self._record.close()

    def load(self) -> Trusted | None:
        """Return the publication in force, verified again from the unit's own copy; None if there was none.

        For the start without a connection: its dates are not asked here, see `state`.

        Raises UpdateRejectedError if the copy is damaged: what was installed stays, and the next `refresh`
        brings the copy back; what was accepted before is still the least that is accepted.
        """
        with self._alarming():
            publication = self._record.publication()
            if publication is None:
                return None
            accepted_at, root = publication
            # At the time of acceptance nothing had run out, and then is when it was believed.
            chain = climb(self._files, self._pinned, accepted_at, self._floors, last_root=root)
            if chain.root_version != root:
                raise _copy_damaged(f"{chain.root_version + 1}.root.json")
            chain.add_timestamp(self._own(Wanted(TIMESTAMP, self._floors.roles[TIMESTAMP].version, 0)))
            for wanted in chain.pending():
                chain.add(wanted, self._own(wanted))
            self.trusted = chain.trusted(accepted_at)
            return self.trusted

    def refresh(self, source: Source, now: datetime) -> Trusted:
        """Return the newest publication of *source*, which is then in force and durable.

        *now* is aware UTC and never before the unit's time floor. A wrong one does no lasting harm: nothing
        of it is kept but the age of what it let in.

        Raises UpdateRejectedError (see its kinds) if what came may not be believed, NotPublishedError,
        UnreachableError or RefusedError from the source, DiskFullError or OSError from the disk.
        """
        _require_aware(now)
        with self._alarming():
            meter = Meter(self._limits.refresh_s, self._limits, self._monotonic_ns)
            chain = climb(self._files, self._pinned, now, self._floors)
            self._climb_on(chain, source, meter)
            chain.require_newest_root()
            chain.add_timestamp(read(source, TIMESTAMP_NAME, MAX_BYTES[TIMESTAMP], meter))
            for wanted in chain.pending():
                data = self._files.read(wanted.role, wanted.version)
                if data is None or not chain.fits(wanted, data):
                    data = read(source, f"metadata/{wanted.file_name}", wanted.limit_bytes, meter)
                chain.add(wanted, data)
            self._put_in_force(chain, now.replace(microsecond=0))
            assert self.trusted is not None
            return self.trusted

    def fetch_target(
        self, source: Source, target: Target, into: Path, now: datetime, progress: Progress | None = None
    ) -> None:
        """Bring *target* of the publication in force to the file *into*: verified, durable, or not at all.

        A file on its way lies beside *into*, in the clear and readable by its owner alone.

        Raises UpdateExpiredError if the publication ran out: refresh first. Raises UpdateRejectedError if the
        bytes are not the target's, ValueError if *target* is not of the publication in force, what the source
        raises, and OSError.
        """
        _require_aware(now)
        if self.trusted is None or self.trusted.targets.get(target.path) != target:
            raise ValueError(f"{target.path} is not of the publication in force")
        with self._alarming():
            expired = self.trusted.expired(now)
            if expired or self.trusted.versions[ROOT] < self._floors.roles[ROOT].version:
                what = f"{expired[0]} ran out" if expired else "its keys were replaced since"
                raise UpdateExpiredError(
                    f"{target.path}: the publication is not current ({what}); refresh, then fetch",
                    alarm=f"STALE: {target.path} was not fetched: the publication is not current ({what}). "
                    "Connect to the department",
                )
            if target.length_bytes > self._limits.target_bytes:
                raise too_long(target.path, self._limits.target_bytes)
            meter = Meter(self._limits.target_s, self._limits, self._monotonic_ns)
            fetch(source, target, into, meter, disk=self._disk, progress=progress)

    def state(self, now: datetime) -> TrustState:
        """Return how the publication in force stands at *now* (aware UTC)."""
        _require_aware(now)
        if self.trusted is None:
            line = "STALE: no verified publication; connect to the department"
            return TrustState({}, None, None, stale=True, line=line, alarm=self.alarm)
        age = max(now - self.trusted.accepted_at, timedelta(0))
        expired = self.trusted.expired(now)
        line = f"publication {self.trusted.versions[TIMESTAMP]}, accepted {_hours(age)} ago"
        return TrustState(
            self.trusted.versions,
            age.total_seconds(),
            min(self.trusted.expires.values()),
            stale=bool(expired),
            line=f"STALE: {line}; ran out: {', '.join(expired)}" if expired else line,
            alarm=self.alarm,
        )

    def _require_pin(self, digest: str) -> None:
        known = self._record.pinned()
        if known is None:
            if self._files.versions():
                raise lost("the record of accepted versions is gone", "repair it")
            self._record.pin(digest)
        elif known != digest:
            raise lost("the root differs from the one installed at enrolment", "enrol this unit again")

    def _climb_on(self, chain: Chain, source: Source, meter: Meter) -> None:
        """Take the roots that *source* has beyond the unit's own, and let no older one count from then on."""
        first = chain.root_version
        while True:
            name = Wanted(ROOT, chain.root_version + 1, MAX_BYTES[ROOT]).file_name
            try:
                data = read(source, f"metadata/{name}", MAX_BYTES[ROOT], meter)
            except NotPublishedError:
                break
            if chain.root_version - first == self._limits.root_rotations:
                raise UpdateRejectedError(
                    f"source has more than {self._limits.root_rotations} new roots; refresh again to go on",
                    alarm=f"ALARM: a source offered over {self._limits.root_rotations} new roots at once. "
                    "Those signed by the department were taken",
                )
            chain.add_root(data)
            self._files.write(ROOT, chain.root_version, data)
            # At once, and not with the rest: a key revoked by it must not pass once more if the rest fails.
            self._record.accept_root(chain.accepted()[ROOT])
            self._floors = self._record.floors()

    def _put_in_force(self, chain: Chain, now: datetime) -> None:
        accepted, before = chain.accepted(), self._floors.roles
        publication = self._record.publication()
        same = publication is not None and accepted[TIMESTAMP] == before.get(TIMESTAMP)
        # Played again, a publication does not get younger.
        trusted = chain.trusted(publication[0] if publication is not None and same else now)
        for role, data in chain.files.items():
            if role != ROOT and self._files.read(role, trusted.versions[role]) != data:
                self._files.write(role, trusted.versions[role], data)
        if not same or accepted != before or publication != (trusted.accepted_at, trusted.versions[ROOT]):
            self._record.accept(accepted, trusted, chain.lapsed())
            self._floors = self._record.floors()
        self.trusted = trusted
        self._files.tidy(trusted.versions)

    def _own(self, wanted: Wanted) -> bytes:
        data = self._files.read(wanted.role, wanted.version)
        accepted = self._floors.roles.get(wanted.role)
        if data is None or accepted is None or hashlib.sha256(data).hexdigest() != accepted.sha256:
            raise _copy_damaged(wanted.file_name)
        return data

    @contextmanager
    def _alarming(self) -> Iterator[None]:
        """Keep the alarm of a refusal for the status page; a call that goes through ends it."""
        try:
            yield
        except UpdateRejectedError as error:
            self.alarm = error.alarm
            raise
        self.alarm = ""


def _copy_damaged(name: str) -> UpdateRejectedError:
    return UpdateRejectedError(
        f"the unit's own copy of {name} is damaged or gone; what was installed stays, refresh to mend it",
        alarm=f"STALE: the unit's copy of signed metadata is damaged ({name}). Still nothing older is taken. "
        "Connect to the department; if it happens again, check the disk",
    )


def _require_aware(now: datetime) -> None:
    if now.utcoffset() is None:
        raise ValueError("now must be aware")


def _hours(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"
