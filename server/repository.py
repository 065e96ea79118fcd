"""What the department publishes to its units, signed: hotlists, models, agency profiles (TUF; decision 0007).

    root       2 of 3 persons     whose keys count
    targets    2 of 3 persons     models/*, profiles/*, and who signs hotlist/* and rosters/*
    hotlist    online             hotlist/*: changes hourly
    rosters    online             rosters/*: who may log in on the units
    snapshot   online             which versions belong together
    timestamp  online             which snapshot is the newest

A change becomes a draft. Persons sign the drafts of root and targets where they are; `publish` signs the
online roles, takes what is complete, checks the whole as a unit would, and puts it in force.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Role, Root, Signed, TargetFile, Targets

from recognizer.errors import ModelInvalidError
from recognizer.published import check_published
from server.repository_errors import RepositoryRefusedError
from server.repository_folder import DELEGATED, RepositoryFolder
from server.repository_keys import KeyRing, NamedKey, Secrets
from server.repository_publication import (
    LIFETIMES,
    InForce,
    Lifetimes,
    Publication,
    Publisher,
    in_force,
    is_complete,
)
from server.repository_signing import AnyMetadata, describe, read_metadata
from sync.errors import WireFormatError
from sync.profile import decode_profile
from sync.trust_values import MODEL_KIND, PACK_SUFFIX, PROFILE_KIND, Label, pack_path, parse_label

OFFLINE = ("root", "targets")
"""Roles that persons sign."""
ONLINE = ("hotlist", "snapshot", "timestamp")
"""Roles that the server signs by itself."""


class Repository:
    """The department's repository on disk. Several processes may use it: each change takes the lock."""

    def __init__(self, root: Path, lifetimes: Lifetimes = LIFETIMES, *, within: Path | None = None) -> None:
        """*root* is the repository's folder, *within* the one that is moved as a whole, with its keys."""
        self.folder = RepositoryFolder(root)
        self._lifetimes = lifetimes
        self._within = within

    @property
    def ring(self) -> KeyRing:
        """The keys that it knows. Raises RepositoryRefusedError if they cannot be read."""
        # Read each time: the command line adds keys while the server runs.
        return KeyRing(self.folder.keys, self._within)

    def found(self, holders: Mapping[str, Sequence[str]], now: datetime, *, threshold: int = 2) -> None:
        """Draft the first root and targets; once they are signed, `publish` makes the repository.

        *holders* names the keys of each role, online ones too; one that delegates no rosters needs none for
        them. *threshold* is that of root and targets.

        Raises RepositoryRefusedError if there is a repository, or a role has too few keys.
        """
        with self.folder.locked():
            if self.folder.roots() or self.folder.draft("root") is not None:
                raise RepositoryRefusedError(f"{self.folder.root} holds a repository: nothing is overwritten")
            for role in (*OFFLINE, *ONLINE):
                least = threshold if role in OFFLINE else 1
                if len(set(holders.get(role, ()))) < least:
                    raise RepositoryRefusedError(f"{role} needs {least} keys at least")
            root = Root(expires=self._lifetimes.end("root", now), consistent_snapshot=True)
            for role in ("root", "targets", "snapshot", "timestamp"):
                for name in holders[role]:
                    root.add_key(self.ring.named(name).public, role)
                root.roles[role].threshold = threshold if role in OFFLINE else 1
            delegated = {role: _delegated_role(role) for role in DELEGATED if holders.get(role)}
            targets = Targets(
                expires=self._lifetimes.end("targets", now),
                delegations=Delegations(keys={}, roles=delegated),
            )
            for role in delegated:
                for name in holders[role]:
                    targets.add_key(self.ring.named(name).public, role)
            self.folder.write_draft("root", AnyMetadata(root))
            self.folder.write_draft("targets", AnyMetadata(targets))

    def put_target(self, path: str, file: Path, label: Label, now: datetime, *, shared: bool = False) -> None:
        """Draft that the target *path* is *file* from now on. Units see it after the next `publish`.

        *shared*: the file may be published itself, not a copy, for nobody ever writes to it again.

        Raises RepositoryRefusedError if path or label cannot be, the file is empty or one that units would
        refuse, or its sequence does not rise.
        """
        try:
            if parse_label(path, label.custom()) is None:
                raise RepositoryRefusedError(f"{path}: kind {label.kind} is not known")
        except ValueError as error:
            raise RepositoryRefusedError(f"{path}: {error}") from error
        if label.kind == PROFILE_KIND:
            try:
                decode_profile(file.read_bytes())
            except WireFormatError as error:
                # Units would refuse it too, but only after two persons signed it.
                raise RepositoryRefusedError(f"{path}: units would refuse it: {error}") from error
        if label.kind == MODEL_KIND and path.endswith(PACK_SUFFIX):
            _require_pack(path, file)
        with self.folder.locked(), file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            length = content.tell()
            if length == 0:
                raise RepositoryRefusedError(f"{path}: {file} is empty")
            before = in_force(self.folder)
            metadata, targets = self._targets_draft(path, before, now)
            published = before.signed(_role_of(path))
            former = published.targets.get(path) if isinstance(published, Targets) else None
            if former is not None and former.custom["sequence"] >= label.sequence:
                raise RepositoryRefusedError(
                    f"{path}: sequence {label.sequence} does not follow {former.custom['sequence']}"
                )
            self.folder.keep_target(path, digest, file, shared=shared)
            targets.targets[path] = TargetFile(length, {"sha256": digest}, path, {"custom": label.custom()})
            self.folder.write_draft(_role_of(path), metadata)

    def next_sequence(self, path: str, now: datetime) -> int:
        """Return a sequence for the next file of the target *path*.

        It is the version of its role's draft at least, which also rises over a target that was withdrawn:
        units remember its last sequence.
        """
        with self.folder.locked():
            before = in_force(self.folder)
            metadata, _ = self._targets_draft(path, before, now)
            published = before.signed(_role_of(path))
            former = published.targets.get(path) if isinstance(published, Targets) else None
            last = 0 if former is None else int(former.custom["sequence"])
            return max(int(metadata.signed.version), last + 1)

    def delegates(self, role: str) -> bool:
        """Whether *role* is delegated in what is in force."""
        return role in _delegations(in_force(self.folder).signed("targets"))

    def delegate(self, role: str, name: str, now: datetime) -> None:
        """Draft that the key *name* signs for the folder of *role*, for a repository that has no such role.

        Raises RepositoryRefusedError if it has, or the key was used before.
        """
        with self.folder.locked():
            before = in_force(self.folder)
            draft = self._draft("targets", before, now)
            key = self.ring.named(name).public
            assert isinstance(draft.signed, Targets) and draft.signed.delegations is not None
            if role in _delegations(draft.signed):
                raise RepositoryRefusedError(f"{role} is delegated already, or waits for signatures")
            if key.keyid in _ever_named(before) | set(draft.signed.delegations.keys):
                raise RepositoryRefusedError(f"key {name} was used before: make a new one")
            assert draft.signed.delegations.roles is not None
            draft.signed.delegations.roles[role] = _delegated_role(role)
            draft.signed.add_key(key, role)
            self.folder.write_draft("targets", draft)

    def remove_target(self, path: str, now: datetime) -> None:
        """Draft that the target *path* is published no more. Raises RepositoryRefusedError if it is not."""
        with self.folder.locked():
            metadata, targets = self._targets_draft(path, in_force(self.folder), now)
            if targets.targets.pop(path, None) is None:
                raise RepositoryRefusedError(f"{path} is not published")
            self.folder.write_draft(_role_of(path), metadata)

    def renew(self, role: str, now: datetime, *, skip: int = 0) -> None:
        """Draft *role* (root or targets) unchanged, with a new date. *skip* numbers are left out.

        After a restored backup, units know higher numbers than it holds; a root cannot leave any out.

        Raises RepositoryRefusedError before the first publication, or for *skip* with a root.
        """
        if role == "root" and skip:
            raise RepositoryRefusedError("roots are counted without a gap: restore all of them")
        with self.folder.locked():
            metadata = self._draft(role, in_force(self.folder), now)
            metadata.signed.version += skip
            self.folder.write_draft(role, metadata)

    def replace_key(
        self, name: str, successor: str, now: datetime, *, roles: Sequence[str] = ()
    ) -> list[str]:
        """Draft that the key *successor* takes the place of *name*, and return whose drafts are to be signed.

        In every role that has the key, or in *roles* alone. A key that was named before does not come back:
        old files signed with it would count again.

        Raises RepositoryRefusedError if no role has the key, or the successor was used before.
        """
        with self.folder.locked():
            before = in_force(self.folder)
            old, new = self.ring.named(name).public, self.ring.named(successor).public
            root_draft = self._draft("root", before, now)
            targets_draft = self._draft("targets", before, now)
            root, targets = root_draft.signed, targets_draft.signed
            assert isinstance(root, Root) and isinstance(targets, Targets) and targets.delegations is not None
            if new.keyid in _ever_named(before):
                raise RepositoryRefusedError(f"key {successor} was used before: make a new one")
            touched: set[str] = set()
            held: dict[str, Role] = {**root.roles, **(targets.delegations.roles or {})}
            for role, keys in held.items():
                if old.keyid not in keys.keyids or (roles and role not in roles):
                    continue
                above: Root | Targets = root if role in root.roles else targets
                above.revoke_key(old.keyid, role)
                above.add_key(new, role)
                touched |= {above.type, "targets"} if role == "targets" else {above.type}
            if not touched:
                raise RepositoryRefusedError(f"key {name} stands for none of these roles")
            for role, draft in (("root", root_draft), ("targets", targets_draft)):
                if role in touched:
                    self.folder.write_draft(role, draft)
            return sorted(touched)

    def describe_draft(self, role: str) -> list[str]:
        """Return what the draft of *role* says and changes. Raises RepositoryRefusedError without one."""
        return describe(self._require_draft(role).signed, in_force(self.folder).signed(role))

    def take_signed(self, role: str, path: Path) -> list[str]:
        """Add the signatures that the file *path* bears to the draft of *role*; return who has signed by now.

        Raises RepositoryRefusedError if it is not that draft, or brings no signature that counts.
        """
        with self.folder.locked():
            draft, returned = self._require_draft(role), read_metadata(path)
            if returned.signed_bytes != draft.signed_bytes:
                raise RepositoryRefusedError(f"{path} is not the draft of {role} as it stands: sign it anew")
            brought = False
            for key in self._signers(role, draft):
                if (signature := returned.signatures.get(key.public.keyid)) is None:
                    continue
                try:
                    key.public.verify_signature(signature, draft.signed_bytes)
                except UnverifiedSignatureError:
                    continue
                draft.signatures[key.public.keyid] = signature
                brought = True
            if not brought:
                raise RepositoryRefusedError(f"{path} brings no valid signature of a key of {role}")
            self.folder.write_draft(role, draft)
            return [key.name for key in self._signers(role, draft) if key.public.keyid in draft.signatures]

    def is_complete(self, role: str) -> bool:
        """Whether the draft of *role* has enough signatures. Raises RepositoryRefusedError without one."""
        draft, pending = self._require_draft(role), self.folder.draft("root")
        above = pending.signed if pending is not None and role == "targets" else None
        assert above is None or isinstance(above, Root)
        return is_complete(draft, in_force(self.folder), above)

    def publish(self, now: datetime, secrets: Secrets, *, skip: int = 0) -> Publication:
        """Put all that is complete in force, with snapshot and timestamp signed anew; return it.

        Also to be called when nothing changed, once `fades`: units then know that nothing is held back from
        them. *skip*: see `renew`; for the online roles.

        Raises RepositoryRefusedError, and publishes nothing, if nothing is complete or units would refuse it;
        SigningFailedError if an online key cannot be used.
        """
        with self.folder.locked():
            return Publisher(self.folder, self.ring, self._lifetimes, now).publish(secrets, skip)

    def fades(self, now: datetime) -> bool:
        """Whether the timestamp has less than half of its time left; False before the first publication."""
        timestamp = self.folder.timestamp()
        return timestamp is not None and self._lifetimes.half_gone(timestamp.signed, "timestamp", now)

    def due(self, now: datetime, within: timedelta) -> dict[str, datetime]:
        """Return the roles in force that run out *within* this time, with the moment: persons must meet."""
        files = in_force(self.folder).files
        return {
            role: file.metadata.signed.expires
            for role, file in files.items()
            if file.metadata.signed.expires <= now + within
        }

    def prune(self, now: datetime, grace: timedelta = timedelta(days=14)) -> int:
        """Remove files older than *grace* that nothing in force or drafted names; return how many.

        A unit that began with the publication before must find its files for a while yet.
        """
        with self.folder.locked():
            before = in_force(self.folder)
            keep = {self.folder.metadata / "timestamp.json"}
            keep |= {self.folder.metadata / f"{i + 1}.root.json" for i in range(len(before.roots))}
            keep |= {
                self.folder.metadata / f"{file.version}.{role}.json" for role, file in before.files.items()
            }
            signed = [file.metadata.signed for file in before.files.values()]
            signed += [draft.signed for role in ("targets", *DELEGATED) if (draft := self.folder.draft(role))]
            for content in signed:
                for path, file in (content.targets if isinstance(content, Targets) else {}).items():
                    folder, _, name = path.rpartition("/")
                    keep.add(self.folder.targets / folder / f"{file.hashes['sha256']}.{name}")
            return self.folder.prune(keep, now - grace)

    def _targets_draft(self, path: str, before: InForce, now: datetime) -> tuple[AnyMetadata, Targets]:
        metadata = self._draft(_role_of(path), before, now)
        assert isinstance(metadata.signed, Targets)
        return metadata, metadata.signed

    def _draft(self, role: str, before: InForce, now: datetime) -> AnyMetadata:
        """Return the draft of *role* for a change, without signatures; not yet written."""
        metadata = self.folder.draft(role)
        if metadata is None or metadata.signed.version <= before.version(role):
            signed = before.signed(role)
            if signed is None:
                if role not in DELEGATED:
                    raise RepositoryRefusedError(f"there is no {role} yet: found the repository first")
                signed = Targets()
            else:
                signed = type(signed).from_dict(signed.to_dict())
                signed.version += 1
            metadata = AnyMetadata(signed)
        metadata.signed.expires = self._lifetimes.end(role, now)
        metadata.signatures.clear()
        return metadata

    def _require_draft(self, role: str) -> AnyMetadata:
        if (draft := self.folder.draft(role)) is None:
            raise RepositoryRefusedError(f"there is no draft of {role}: nothing waits for signatures")
        return draft

    def _signers(self, role: str, draft: AnyMetadata) -> list[NamedKey]:
        """Return the keys whose signature on the draft of root or targets counts."""
        before = in_force(self.folder).signed("root")
        pending = draft.signed if role == "root" else getattr(self.folder.draft("root"), "signed", None)
        keyids: list[str] = []
        for root in (before, pending):
            if isinstance(root, Root):
                keyids += [keyid for keyid in root.roles[role].keyids if keyid not in keyids]
        return [self.ring.of_id(keyid) for keyid in keyids]


def _require_pack(path: str, file: Path) -> None:
    try:
        name = check_published(file).pack.name
        expected = pack_path(name)
    except (ModelInvalidError, ValueError) as error:
        raise RepositoryRefusedError(f"{path}: units would refuse it: {error}") from error
    if path != expected:
        raise RepositoryRefusedError(
            f"{path}: units would refuse it: its manifest calls it {name}, so its path is {expected}"
        )


def _role_of(path: str) -> str:
    folder = path.partition("/")[0]
    return folder if folder in DELEGATED else "targets"


def _delegated_role(role: str) -> DelegatedRole:
    return DelegatedRole(role, [], 1, terminating=True, paths=[DELEGATED[role]])


def _delegations(signed: Signed | None) -> Mapping[str, DelegatedRole]:
    if not isinstance(signed, Targets) or signed.delegations is None:
        return {}
    return signed.delegations.roles or {}


def _ever_named(before: InForce) -> set[str]:
    found: set[str] = set()
    for data in before.roots:
        root = Metadata[Root].from_bytes(data).signed
        found |= root.keys.keys()
    return found
