"""What the department's server puts before its units: its lists, and hourly proof that nothing is held back.

    updates/public/       what units fetch: metadata and targets (TUF)
    updates/persons/      the three keys of root and targets as they are made; each belongs to another person
                          and off this machine, see docs/commands.md
    keys/updates-*.pem    the keys with which the server signs by itself

Units go from one list to the next by its change alone (`hotlist/delta-N`), and take a whole list
(`hotlist/list`) where a change is missing. `hotlist/urgent` is short, always whole, and fetched first.
"""

import re
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tuf.api.metadata import Targets

from hotlist_cache.delta import encode_delta
from hotlist_cache.entry import Entry
from hotlist_cache.header import verify_header
from hotlist_cache.publishing import Carried, encode_snapshot
from server.errors import HotlistRefusedError, StoreUnavailableError
from server.hotlists import Hotlists
from server.keys import DepartmentKeys
from server.repository import Repository
from server.repository_keys import make_key_file, pem_uri
from server.repository_publication import Lifetimes, in_force
from server.repository_signing import sign_file
from sync.trust_values import Label, parse_label

LIST_PATH, URGENT_PATH, DELTA_PREFIX = "hotlist/list", "hotlist/urgent", "hotlist/delta-"
DELTAS_KEPT = 400
"""A unit that was off for longer than so many changes takes the whole list."""
PERSONS = ("person-1", "person-2", "person-3")
ONLINE = ("hotlist", "snapshot", "timestamp")
_PUBLIC = re.compile(r"(metadata|targets)(/[A-Za-z0-9][A-Za-z0-9._-]{0,200}){1,4}")


class Publications:
    """The repository as the server uses it. Several processes may."""

    def __init__(self, root: Path) -> None:
        """*root* is the repository's folder. Raises RepositoryRefusedError if its keys cannot be read."""
        self.repository = Repository(root)
        self._root = root

    def found(self, keys: Path, now: datetime) -> None:
        """Make keys and the first publication, which holds nothing yet."""
        persons = self._root / "persons"
        persons.mkdir(mode=0o700, parents=True)
        ring = self.repository.ring
        for name in PERSONS:
            path = persons / f"{name}.pem"
            ring.add(name, make_key_file(path, None), pem_uri(path))
        for role in ONLINE:
            path = keys / f"updates-{role}.pem"
            ring.add(role, make_key_file(path, None), pem_uri(path))
        holders = {"root": PERSONS, "targets": PERSONS, **{role: (role,) for role in ONLINE}}
        self.repository.found(holders, now)
        for role in ("root", "targets"):
            for name in PERSONS[:2]:
                self._sign(role, name)
        self.repository.publish(now, _no_secrets)
        for path in (self._root, *self._root.rglob("*")):
            if path.is_dir():
                path.chmod(0o700)

    @property
    def first_root(self) -> bytes:
        """What each unit is given at its enrolment, and never replaces."""
        return self.repository.folder.read("1.root.json")

    def roles(self) -> list[tuple[str, int, datetime]]:
        """Return each role in force with its version and when it runs out, aware UTC."""
        files = in_force(self.repository.folder).files
        return [(role, file.version, file.metadata.signed.expires) for role, file in sorted(files.items())]

    def timestamp(self) -> bytes | None:
        """Return the newest signed timestamp; None before the first publication."""
        path = self.repository.folder.metadata / "timestamp.json"
        return path.read_bytes() if path.exists() else None

    def path_of(self, name: str) -> Path | None:
        """Return the file of the publication that units call *name*, or None."""
        if not _PUBLIC.fullmatch(name):
            return None
        path = self._root / "public" / name
        return path if path.is_file() else None

    def bring_list(self, hotlists: Hotlists, keys: DepartmentKeys, now: datetime) -> bool:
        """Publish the newest list, and the change that leads to it from the one before; return whether there
        was anything to publish.

        Raises RepositoryRefusedError or SigningFailedError, and publishes nothing.
        """
        newest, label = hotlists.newest(), self._labels().get(LIST_PATH)
        if newest is None or (label is not None and label.sequence >= newest.sequence):
            return False
        path = hotlists.path_of(newest.sequence)
        if path is None:
            raise HotlistRefusedError(f"list {newest.sequence} is gone from the disk: publish again")
        self.repository.put_target(LIST_PATH, path, Label("hotlist", newest.sequence), now)
        before = None if label is None else hotlists.path_of(label.sequence)
        if before is not None and label is not None:
            delta = encode_delta(before.read_bytes(), path.read_bytes(), key=keys.hotlist)
            change = Label("hotlist-delta", newest.sequence, base=label.sequence)
            self._put(f"{DELTA_PREFIX}{newest.sequence}", delta, change, now)
        deltas = sorted(each.sequence for each in self._labels().values() if each.kind == "hotlist-delta")
        for sequence in deltas[:-DELTAS_KEPT]:
            self.repository.remove_target(f"{DELTA_PREFIX}{sequence}", now)
        self.repository.publish(now, _no_secrets)
        return True

    def publish_urgent(
        self,
        entries: Iterable[Entry],
        keys: DepartmentKeys,
        *,
        carried: Carried,
        expires_at: datetime,
        now: datetime,
    ) -> int:
        """Publish *entries* as the whole urgent list and return how many it holds.

        Raises RepositoryRefusedError or SigningFailedError, and publishes nothing.
        """
        before = self._labels().get(URGENT_PATH)
        sequence = 1 if before is None else before.sequence + 1
        data = encode_snapshot(
            entries,
            sequence=sequence,
            issued_at=now,
            expires_at=expires_at,
            key=keys.hotlist,
            shrink_approved=True,  # it is short, and often empty: nobody takes it for truncated
            carried=carried,
        )
        self._put(URGENT_PATH, data, Label("hotlist", sequence, urgent=True), now)
        self.repository.publish(now, _no_secrets)
        return verify_header(data, [keys.hotlist.public_key()])[0].count

    def export(self, out: Path) -> int:
        """Copy to the new folder *out* what a unit without a network needs; return how many bytes.

        Raises FileExistsError if *out* is there, RepositoryRefusedError if a part of it is gone.
        """
        folder = self.repository.folder
        names = [path.name for path in folder.metadata.glob("*.root.json")]
        names += [f"{file.version}.{role}.json" for role, file in in_force(folder).files.items()]
        out.mkdir(parents=True)
        files = [folder.metadata / name for name in {*names, "timestamp.json"}]
        for target in self._targets().values():
            path = self.path_of(target)
            if path is not None:
                files.append(path)
        size = 0
        for path in files:
            if path.is_file():
                place = out / path.relative_to(self._root / "public")
                place.parent.mkdir(parents=True, exist_ok=True)
                size += shutil.copyfile(path, place).stat().st_size
        return size

    def keep_fresh(self, now: datetime) -> bool:
        """Sign anew what would else run out; return whether that was due.

        Raises StoreUnavailableError if the disk fails, RepositoryRefusedError, SigningFailedError.
        """
        folder = self.repository.folder
        try:
            timestamp = folder.timestamp()
            if timestamp is None or not Lifetimes().half_gone(timestamp.signed, "timestamp", now):
                return False
            self.repository.publish(now, _no_secrets)
            self.repository.prune(now)
        except OSError as error:
            raise StoreUnavailableError(f"publication not signed anew ({error.strerror})") from error
        return True

    def _put(self, path: str, data: bytes, label: Label, now: datetime) -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "target"
            file.write_bytes(data)
            self.repository.put_target(path, file, label, now)

    def _targets(self) -> dict[str, str]:
        """Return where units fetch each target in force, by its path."""
        found = {}
        for role in ("targets", "hotlist"):
            signed = in_force(self.repository.folder).signed(role)
            for path, file in (signed.targets if isinstance(signed, Targets) else {}).items():
                folder, _, name = path.rpartition("/")
                found[path] = f"targets/{folder}/{file.hashes['sha256']}.{name}"
        return found

    def _labels(self) -> dict[str, Label]:
        """Return the labels of the lists and changes in force, by path."""
        signed = in_force(self.repository.folder).signed("hotlist")
        files = signed.targets if isinstance(signed, Targets) else {}
        labels = {path: parse_label(path, file.custom) for path, file in files.items()}
        return {path: label for path, label in labels.items() if label is not None}

    def _sign(self, role: str, name: str) -> None:
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "draft.json"
            shutil.copyfile(self.repository.folder.draft_path(role), copy)
            sign_file(copy, self.repository.ring.named(name), _no_secrets)
            self.repository.take_signed(role, copy)


def _no_secrets(what: str) -> str:
    raise StoreUnavailableError(f"{what} is wanted, and the server has nobody to ask: use a key without one")
