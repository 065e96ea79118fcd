"""From what is in force and the drafts to the next publication: chosen, signed, checked, put in force."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tuf.api.metadata import (
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)

from server.repository_errors import RepositoryRefusedError
from server.repository_folder import DELEGATED, RepositoryFolder
from server.repository_keys import KeyRing, Secrets
from server.repository_signing import AnyMetadata, add_signature
from sync.errors import UpdateRejectedError
from sync.trust_check import Chain
from sync.trust_values import Accepted, Floors, Sequence, Trusted, parse_label


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long each role's metadata count once signed; the online ones are signed anew from half of it on."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=180)
    hotlist: timedelta = timedelta(days=7)
    rosters: timedelta = timedelta(days=7)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(days=1)

    def end(self, role: str, now: datetime) -> datetime:
        """Return when *role*'s metadata run out that are signed at *now* (aware UTC)."""
        return (now + self._of(role)).astimezone(UTC).replace(microsecond=0)

    def half_gone(self, signed: Signed, role: str, now: datetime) -> bool:
        """Whether more than half of the time of *signed* has passed."""
        return now > signed.expires - self._of(role) / 2

    def _of(self, role: str) -> timedelta:
        lifetime: timedelta = getattr(self, role)
        return lifetime


LIFETIMES = Lifetimes()


@dataclass(frozen=True, slots=True)
class SignedFile:
    """Metadata with the exact bytes that others name by their digest."""

    metadata: AnyMetadata
    data: bytes

    @property
    def version(self) -> int:
        version: int = self.metadata.signed.version
        return version

    @property
    def meta(self) -> MetaFile:
        """How the file is named by the role above it."""
        digest = hashlib.sha256(self.data).hexdigest()
        return MetaFile(self.version, len(self.data), {"sha256": digest})


@dataclass(frozen=True, slots=True)
class InForce:
    """What units get at present; empty before the first publication."""

    roots: tuple[bytes, ...]
    files: dict[str, SignedFile]
    """By role, the root among them."""

    def signed(self, role: str) -> Signed | None:
        """Return what *role* signed."""
        return self.files[role].metadata.signed if role in self.files else None

    def version(self, role: str) -> int:
        """Return the version of *role*; 0 if there is none."""
        return self.files[role].version if role in self.files else 0


@dataclass(frozen=True, slots=True)
class Publication:
    """What was put in force."""

    trusted: Trusted
    """As a unit sees it."""
    waiting: tuple[str, ...]
    """Roles whose drafts are not in it, because signatures are missing."""


def in_force(folder: RepositoryFolder) -> InForce:
    """Return what is in force. Raises RepositoryRefusedError if a part of it is gone."""
    roots = tuple(folder.roots())
    if not roots:
        return InForce((), {})
    files = {"root": _parsed(roots[-1])}
    timestamp = folder.timestamp()
    if timestamp is not None:
        files["timestamp"] = _parsed(folder.read("timestamp.json"))
        files["snapshot"] = _parsed(folder.read(f"{timestamp.signed.snapshot_meta.version}.snapshot.json"))
        snapshot = files["snapshot"].metadata.signed
        assert isinstance(snapshot, Snapshot)
        for name, meta in snapshot.meta.items():
            files[name.removesuffix(".json")] = _parsed(folder.read(f"{meta.version}.{name}"))
    return InForce(roots, files)


def is_complete(draft: AnyMetadata, before: InForce, root: Root | None = None) -> bool:
    """Whether the draft of root or targets has enough signatures; *root* is that over the targets."""
    signed = draft.signed
    if isinstance(signed, Root):
        former = before.signed("root")
        assert former is None or isinstance(former, Root)
        return bool(signed.get_root_verification_result(former, draft.signed_bytes, draft.signatures))
    above = root if root is not None else before.signed("root")
    assert above is None or isinstance(above, Root)
    return above is not None and bool(
        above.get_verification_result("targets", draft.signed_bytes, draft.signatures)
    )


class Publisher:
    """One publication in the making."""

    def __init__(self, folder: RepositoryFolder, ring: KeyRing, lifetimes: Lifetimes, now: datetime) -> None:
        self._folder = folder
        self._ring = ring
        self._lifetimes = lifetimes
        self._now = now
        self._before = in_force(folder)

    def publish(self, secrets: Secrets, skip: int) -> Publication:
        """Put the next publication in force and return it; its online roles leave *skip* numbers out."""
        root, targets = self._offline()
        files = {"root": root, "targets": targets}
        delegated = self._delegated(targets.metadata.signed)
        for role, keys in delegated.items():
            files[role] = self._delegated_targets(targets.metadata.signed, role, keys, secrets, skip=skip)
        files["snapshot"] = self._snapshot(files, secrets, skip)
        files["timestamp"] = self._timestamp(files, secrets, skip)
        trusted = self._checked(files)
        for role in ("targets", *delegated, "snapshot", "root"):
            if self._before.files.get(role) != files[role]:
                self._folder.write(f"{files[role].version}.{role}.json", files[role].data)
        self._folder.write("timestamp.json", files["timestamp"].data)
        waiting = []
        for role in ("root", "targets", *delegated):
            draft = self._folder.draft(role)
            if draft is None:
                continue
            if role not in delegated and draft.signed.version > files[role].version:
                waiting.append(role)
            else:
                self._folder.draft_path(role).unlink()
        return Publication(trusted, tuple(waiting))

    def _offline(self) -> tuple[SignedFile, SignedFile]:
        """Return the newest root and targets that have enough signatures and fit each other."""
        drafts = {role: self._newer_draft(role) for role in ("root", "targets")}
        roots = [self._before.files.get("root")]
        if (draft := drafts["root"]) is not None and is_complete(draft.metadata, self._before):
            roots.insert(0, draft)
        for root in roots:
            for targets in (drafts["targets"], self._before.files.get("targets")):
                if root is None or targets is None:
                    continue
                signed = root.metadata.signed
                assert isinstance(signed, Root)
                if is_complete(targets.metadata, self._before, signed):
                    return root, targets
        raise RepositoryRefusedError(
            "there is no root with targets that both bear enough signatures: have the drafts signed first"
        )

    def _newer_draft(self, role: str) -> SignedFile | None:
        draft = self._folder.draft(role)
        if draft is None or draft.signed.version <= self._before.version(role):
            return None  # a publication was cut off after it
        return SignedFile(draft, draft.to_bytes())

    def _delegated(self, targets: Signed) -> dict[str, Role]:
        """Return the roles of a folder each that *targets* delegates, in a fixed order."""
        assert isinstance(targets, Targets) and targets.delegations is not None
        assert targets.delegations.roles is not None
        return {role: found for role in DELEGATED if (found := targets.delegations.roles.get(role))}

    def _delegated_targets(
        self, targets: Signed, role: str, keys: Role, secrets: Secrets, *, skip: int
    ) -> SignedFile:
        assert isinstance(targets, Targets)
        former, draft = self._before.files.get(role), self._folder.draft(role)
        if draft is None and former is not None and not skip:
            old = former.metadata
            stands = targets.get_verification_result(role, old.signed_bytes, old.signatures)
            if stands and not self._lifetimes.half_gone(old.signed, role, self._now):
                return former
        listed = former.metadata.signed if draft is None and former is not None else None
        if draft is not None:
            listed = draft.signed
        content = Targets() if listed is None else Targets.from_dict(listed.to_dict())
        return self._sign(role, content, keys, secrets, skip)

    def _snapshot(self, files: dict[str, SignedFile], secrets: Secrets, skip: int) -> SignedFile:
        root, former = files["root"].metadata.signed, self._before.files.get("snapshot")
        assert isinstance(root, Root)
        meta = {f"{role}.json": files[role].meta for role in ("targets", *DELEGATED) if role in files}
        if former is not None and not skip:
            old = former.metadata.signed
            assert isinstance(old, Snapshot)
            stands = root.get_verification_result(
                "snapshot", former.metadata.signed_bytes, former.metadata.signatures
            )
            if stands and old.meta == meta and not self._lifetimes.half_gone(old, "snapshot", self._now):
                return former
        return self._sign("snapshot", Snapshot(meta=meta), root.roles["snapshot"], secrets, skip)

    def _timestamp(self, files: dict[str, SignedFile], secrets: Secrets, skip: int) -> SignedFile:
        root = files["root"].metadata.signed
        assert isinstance(root, Root)
        content = Timestamp(snapshot_meta=files["snapshot"].meta)
        return self._sign("timestamp", content, root.roles["timestamp"], secrets, skip)

    def _sign(self, role: str, content: Signed, keys: Role, secrets: Secrets, skip: int) -> SignedFile:
        content.version = self._before.version(role) + 1 + skip
        content.expires = self._lifetimes.end(role, self._now)
        metadata = AnyMetadata(content)
        for keyid in keys.keyids[: keys.threshold]:
            add_signature(metadata, self._ring.of_id(keyid), secrets)
        return SignedFile(metadata, metadata.to_bytes())

    def _checked(self, files: dict[str, SignedFile]) -> Trusted:
        """Return the publication as a unit sees it that has the one before. Raises RepositoryRefusedError."""
        roots = list(self._before.roots)
        if files["root"].version > len(roots):
            roots.append(files["root"].data)
        try:
            chain = Chain(roots[0], self._now, self._floors())
            for root in roots[1:]:
                chain.add_root(root)
            chain.add_timestamp(files["timestamp"].data)
            for wanted in chain.pending():
                chain.add(wanted, files[wanted.role].data)
            return chain.trusted(self._now)
        except UpdateRejectedError as error:
            raise RepositoryRefusedError(f"nothing was published, units would refuse it: {error}") from error

    def _floors(self) -> Floors:
        root, targets = self._before.signed("root"), self._before.signed("targets")
        if not isinstance(root, Root) or not isinstance(targets, Targets) or targets.delegations is None:
            return Floors({}, {})
        keys: dict[str, Role] = {**root.roles, **(targets.delegations.roles or {})}
        accepted, sequences = {}, {}
        for role, file in self._before.files.items():
            digest = hashlib.sha256(file.data).hexdigest()
            accepted[role] = Accepted(file.version, digest, frozenset(keys[role].keyids))
            signed = file.metadata.signed
            for path, target in (signed.targets if isinstance(signed, Targets) else {}).items():
                if (label := parse_label(path, target.custom)) is not None:
                    sequences[path] = Sequence(label.sequence, target.hashes["sha256"], role)
        return Floors(accepted, sequences)


def _parsed(data: bytes) -> SignedFile:
    return SignedFile(AnyMetadata.from_bytes(data), data)
