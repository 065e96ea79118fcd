"""The rules by which a unit believes a publication: bytes go in, role after role, or an error comes out.

Signatures, thresholds, hashes, expiry and the order of versions within one publication are python-tuf's
(`TrustedMetadataSet`, which its own client is built on; TUF specification 1.0, section 5). Added here is what
it leaves to files that can be lost: nothing older than what was accepted before, by `Floors`. No file, no
network and no clock is touched: the caller fetches, and says what time it is.

A floor of a role ends when so few of the keys behind it still count that no old file could pass any more. So
a department recovers from a thief who used a key to publish under the largest number (fast-forward, section
5.3.11): it replaces the key, and counts from where it was.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from tuf.api.exceptions import (
    BadVersionNumberError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import DelegatedRole, MetaFile, Role, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet  # its client without its files
from tuf.ngclient.config import EnvelopeType

from sync.errors import UpdateExpiredError, UpdateRejectedError, UpdateRolledBackError
from sync.trust_values import Accepted, Floors, Sequence, Target, Trusted, is_number, parse_label

ROOT, TIMESTAMP, SNAPSHOT, TARGETS = Root.type, Timestamp.type, Snapshot.type, Targets.type

MAX_BYTES = {ROOT: 65_536, TIMESTAMP: 16_384, SNAPSHOT: 65_536, TARGETS: 4 * 1024 * 1024}
"""Largest file of each role; a delegated one may be as large as `targets`."""
MAX_TARGET_BYTES = 2 * 1024 * 1024 * 1024
MAX_DELEGATIONS = 8

NO_FLOORS = Floors({}, {})
_ALL_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The next file of a publication."""

    role: str
    version: int
    limit_bytes: int

    @property
    def file_name(self) -> str:
        """Its name among the metadata."""
        return f"{self.version}.{self.role}.json"


class Chain:
    """One publication, verified from the pinned root on. After an error it is of no more use."""

    def __init__(self, pinned: bytes, now: datetime | None, floors: Floors = NO_FLOORS) -> None:
        """*pinned* is the root that enrolment installed; *now* is aware UTC, None where dates do not matter.

        Raises UpdateRejectedError if *pinned* is no root that signs itself.
        """
        self._floors = floors
        self._now = _ALL_TIME if now is None else now
        self.files: dict[str, bytes] = {}
        """The verified bytes by role; of the root the newest."""
        with _rules("pinned root"):
            self._set = TrustedMetadataSet(pinned, EnvelopeType.METADATA)
            # It has read the system's clock, and nothing has been compared with it yet.
            self._set.reference_time = self._now
        self._require_number(ROOT)
        self.files[ROOT] = pinned

    @property
    def root_version(self) -> int:
        """Of the newest root."""
        return self._set.root.version

    def add_root(self, data: bytes) -> None:
        """Take *data* as the next root: signed by enough of the old and of its own keys."""
        with _rules(f"root {self.root_version + 1}"):
            self._set.update_root(data)
        self._require_number(ROOT)
        self.files[ROOT] = data

    def require_newest_root(self) -> None:
        """Raise UpdateRolledBackError if a newer root was accepted: to be asked once all roots are added."""
        accepted = self._floors.roles.get(ROOT)
        if accepted is not None and self.root_version < accepted.version:
            raise UpdateRolledBackError(
                f"root {accepted.version} was accepted before, and the source ends at {self.root_version}",
                alarm=f"ALARM: root {accepted.version} is held back; keys that it revoked may be in use. "
                "Nothing was taken. Ask the department, or use another source",
            )

    def add_timestamp(self, data: bytes) -> None:
        """Take *data* as the timestamp, after all roots."""
        with _rules(TIMESTAMP):
            self._set.update_timestamp(data)
        self._keep(TIMESTAMP, data)

    def pending(self) -> Iterator[Wanted]:
        """Give the further files in their order: add each before asking for the next."""
        yield self._wanted(SNAPSHOT, self._set.timestamp.snapshot_meta)
        yield self._listed(TARGETS)
        for role in self._delegated():
            yield self._listed(role.name)

    def fits(self, wanted: Wanted, data: bytes) -> bool:
        """Whether *data*, of unknown origin, is exactly the *wanted* file."""
        meta = self._meta(wanted.role)
        if meta is None or not meta.hashes:
            return False
        try:
            meta.verify_length_and_hashes(data)
        except LengthOrHashMismatchError:
            return False
        return True

    def add(self, wanted: Wanted, data: bytes) -> None:
        """Take *data* as the *wanted* file."""
        with _rules(f"{wanted.role} {wanted.version}"):
            if wanted.role == SNAPSHOT:
                self._set.update_snapshot(data)
            elif wanted.role == TARGETS:
                self._set.update_targets(data)
            else:
                self._set.update_delegated_targets(data, wanted.role, TARGETS)
        self._keep(wanted.role, data)

    def lapsed(self) -> set[str]:
        """Return the roles whose floor ended as their keys were replaced; their sequences end with it."""
        return {role for role in self._floors.roles if role != ROOT and self._standing(role) is None}

    def accepted(self) -> dict[str, Accepted]:
        """Return what later publications are to be measured against."""
        found = {}
        for role, data in self.files.items():
            current = self._role(role)
            assert current is not None  # or it could not have been added
            digest = hashlib.sha256(data).hexdigest()
            found[role] = Accepted(self._set[role].version, digest, frozenset(current.keyids))
        return found

    def trusted(self, accepted_at: datetime) -> Trusted:
        """Return the publication, once all of it was added.

        Raises UpdateRejectedError if a label is malformed, a role signed for a path that is not its own, or a
        sequence fell.
        """
        targets: dict[str, Target] = {}
        for role in (None, *self._delegated()):
            for path, file in self._signed_targets(role).items():
                target = self._target(role, path, file)
                if target is not None:
                    targets.setdefault(path, target)  # the first role to name a path speaks for it
        return Trusted(
            versions={role: self._set[role].version for role in self.files},
            expires={role: self._set[role].expires for role in self.files},
            targets=targets,
            accepted_at=accepted_at,
        )

    def _keep(self, role: str, data: bytes) -> None:
        self._require_number(role)
        self._require_not_older(role, data)
        self.files[role] = data

    def _require_number(self, role: str) -> None:
        if not is_number(self._set[role].version):
            raise _malformed(f"{role}: its version is not a whole number that can be")

    def _require_not_older(self, role: str, data: bytes) -> None:
        accepted = self._standing(role)
        if accepted is None:
            return
        version = self._set[role].version
        if version < accepted.version:
            raise UpdateRolledBackError(
                f"{role} {version} is older than {accepted.version}, accepted before; the newer stays",
                alarm=f"ALARM: an old {role} ({version}, not {accepted.version}) was played back to this "
                "unit. Nothing was taken. If the department restored a backup, it must publish under "
                "higher numbers; otherwise somebody is on the line",
            )
        if version == accepted.version and hashlib.sha256(data).hexdigest() != accepted.sha256:
            raise UpdateRejectedError(
                f"{role} {version} is not the file accepted under that number; the one before stays in force",
                alarm=f"ALARM: two different {role} files bear the number {version}. A key may be "
                "in other hands. Nothing was taken; tell the department",
            )

    def _standing(self, role: str) -> Accepted | None:
        """What was accepted of *role*, if files of that time could still pass."""
        accepted, current = self._floors.roles.get(role), self._role(role)
        if accepted is None or current is None:
            return None
        return accepted if len(accepted.keys & set(current.keyids)) >= current.threshold else None

    def _role(self, role: str) -> Role | None:
        """Whose signatures count for *role* now; None if it is no longer delegated."""
        if role in MAX_BYTES:
            return self._set.root.roles[role]
        return next((each for each in self._delegated() if each.name == role), None)

    def _meta(self, role: str) -> MetaFile | None:
        if role == SNAPSHOT:
            return self._set.timestamp.snapshot_meta
        return self._set.snapshot.meta.get(f"{role}.json")

    def _wanted(self, role: str, meta: MetaFile) -> Wanted:
        limit = MAX_BYTES.get(role, MAX_BYTES[TARGETS])
        if not is_number(meta.version):
            raise _malformed(f"{role}: its version is not a whole number that can be")
        if meta.length is not None and meta.length > limit:
            raise UpdateRejectedError(
                f"{role} {meta.version} is announced with {meta.length} bytes, {limit} may be",
                alarm=f"ALARM: {role} metadata are too large. Nothing was taken; tell the department",
            )
        return Wanted(role, meta.version, limit if meta.length is None else meta.length)

    def _listed(self, role: str) -> Wanted:
        meta = self._meta(role)
        if meta is None:
            raise _malformed(f"snapshot {self._set.snapshot.version} does not list {role}")
        return self._wanted(role, meta)

    def _delegated(self) -> list[DelegatedRole]:
        delegations = self._set.targets.delegations
        if delegations is None:
            return []
        roles = delegations.roles
        if roles is None or len(roles) > MAX_DELEGATIONS or not all(map(_ROLE.fullmatch, roles)):
            raise _malformed(f"targets {self._set.targets.version} delegate in a form that is not known here")
        return list(roles.values())

    def _signed_targets(self, delegated: DelegatedRole | None) -> dict[str, TargetFile]:
        signed = self._set.targets if delegated is None else self._set[delegated.name]
        assert isinstance(signed, Targets)
        return signed.targets

    def _target(self, delegated: DelegatedRole | None, path: str, file: TargetFile) -> Target | None:
        role = TARGETS if delegated is None else delegated.name
        if delegated is not None and not delegated.is_delegated_path(path):
            raise UpdateRejectedError(
                f"role {role} signed for a target outside its folder; the publication in force stays",
                alarm=f"ALARM: the key of {role} signed what it may not sign. It may be in other hands. "
                "Nothing was taken; tell the department to replace it",
            )
        try:
            label = parse_label(path, file.custom)
        except ValueError as error:
            raise _malformed(f"{role} {self._set[role].version}: a target cannot be used ({error})") from None
        if label is None:
            return None
        sha256 = file.hashes.get("sha256", "")
        if re.fullmatch(r"[0-9a-f]{64}", sha256) is None or not 0 < file.length <= MAX_TARGET_BYTES:
            raise _malformed(
                f"{role} {self._set[role].version}: {path} has no SHA-256, or a length that cannot be"
            )
        self._require_sequence(role, path, label.sequence, sha256)
        return Target(path, file.length, sha256, label, role)

    def _require_sequence(self, role: str, path: str, sequence: int, sha256: str) -> None:
        before: Sequence | None = self._floors.sequences.get(path)
        # What a role said is worth as much as its floor: with the keys replaced, neither counts.
        if before is None or self._standing(before.role) is None:
            return
        if sequence < before.sequence:
            raise UpdateRolledBackError(
                f"{path}: sequence {sequence} is older than {before.sequence}, accepted before",
                alarm=f"ALARM: {path} fell from sequence {before.sequence} to {sequence}, validly signed. "
                "Nothing was taken; ask the department whether it restored a backup",
            )
        if sequence == before.sequence and sha256 != before.sha256:
            raise UpdateRejectedError(
                f"{path}: sequence {sequence} was accepted with another content; that one stays",
                alarm=f"ALARM: two different files {path} bear the sequence {sequence}. Nothing was taken; "
                "tell the department",
            )


def _malformed(what: str) -> UpdateRejectedError:
    return UpdateRejectedError(
        f"{what}; the publication in force stays",
        alarm=f"ALARM: signed metadata cannot be used ({what}). Nothing was taken; tell the department",
    )


@contextmanager
def _rules(what: str) -> Iterator[None]:
    """Turn python-tuf's errors about *what* into ours."""
    try:
        yield
    except ExpiredMetadataError as error:
        raise UpdateExpiredError(
            f"{what} is past its date; what is in force stays, and is STALE: check clock and connection",
            alarm=f"STALE: {what} ran out. The department has not signed anew, somebody holds back newer, "
            "or this unit's clock is wrong",
        ) from error
    except UnsignedMetadataError as error:
        raise UpdateRejectedError(
            f"{what} is not signed by enough of the department's keys ({error}); what is in force stays",
            alarm=f"ALARM: {what} has too few valid signatures: it is forged, or signed with a revoked key. "
            "Nothing was taken; tell the department",
        ) from error
    except (BadVersionNumberError, LengthOrHashMismatchError) as error:
        raise UpdateRejectedError(
            f"{what} does not belong to the same publication ({error}); what is in force stays",
            alarm=f"ALARM: {what} was altered, cut short, or mixed from several publications. Nothing was "
            "taken; use another source, and tell the department if it happens again",
        ) from error
    except DeserializationError as error:
        raise UpdateRejectedError(
            f"{what} is not metadata, or cut short; what is in force stays",
            alarm=f"ALARM: {what} is unreadable: cut short, damaged or not the department's. Nothing was "
            "taken; use another source",
        ) from error
    except (RepositoryError, ValueError, TypeError, KeyError, RecursionError) as error:
        # The last four: shapes that python-tuf does not check for itself.
        raise UpdateRejectedError(
            f"{what} breaks the rules of metadata ({error}); what is in force stays",
            alarm=f"ALARM: {what} is not as metadata must be. Nothing was taken; tell the department",
        ) from error
