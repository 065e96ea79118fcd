"""What the department's server puts before its units: its lists, and proof that nothing is held back from
them, which is signed anew every half day.

    updates/public/       what units fetch: metadata and targets (TUF)
    updates/persons/      the three keys of root and targets as they are made; each belongs to another person
                          and off this machine, see docs/commands.md
    keys/updates-*.pem    the keys with which the server signs by itself

Units go from one list to the next by its change alone (`hotlist/delta-N`), and take a whole list
(`hotlist/list`), the newest there is, where a change is missing. `hotlist/urgent` is short, always whole, and
fetched first.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from tuf.api.metadata import Targets

from hotlist_cache.entry import Entry
from hotlist_cache.header import SnapshotHeader, verify_header
from hotlist_cache.publishing import Carried, encode_snapshot
from server.errors import StoreUnavailableError
from server.hotlists import Hotlists
from server.keys import DepartmentKeys
from server.list_files import drop_files, way_to
from server.repository import Repository
from server.repository_errors import RepositoryRefusedError
from server.repository_folder import DELEGATED
from server.repository_keys import Secrets, make_key_file, pem_uri
from server.repository_publication import Publication, in_force
from server.repository_signing import sign_file
from sync.trust_values import (
    DELTA_KIND,
    DELTA_PREFIX,
    LIST_KIND,
    LIST_PATH,
    ROSTER_KIND,
    ROSTER_PATH,
    URGENT_PATH,
    Label,
    parse_label,
)

DELTAS_KEPT = 400
"""A unit that was off for longer than so many changes takes the whole list."""
FILES_KEPT = timedelta(days=30)
"""Of lists that were replaced, for whoever asks what was in force: units need them no more."""
PERSONS = ("person-1", "person-2", "person-3")
ONLINE = ("hotlist", "rosters", "snapshot", "timestamp")
_PUBLIC = re.compile(r"(metadata|targets)(/[A-Za-z0-9][A-Za-z0-9._-]{0,200}){1,4}")


class Publications:
    """The repository as the server uses it. Threads and processes may share it: one publishes at a time."""

    def __init__(self, root: Path) -> None:
        """*root* is the repository's folder, in the department's."""
        self.repository = Repository(root, within=root.parent)
        self._root = root
        self._timestamp: tuple[tuple[int, int, int], bytes] | None = None
        """The timestamp last read, and by what its file is known again."""

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
        """Return the newest signed timestamp; None before the first publication. Cheap: it is read only when
        its file is another one."""
        path = self.repository.folder.metadata / "timestamp.json"
        try:
            file = path.stat()
            seen = (file.st_ino, file.st_mtime_ns, file.st_size)
            known = self._timestamp
            if known is None or known[0] != seen:
                # If it is replaced in between, it is read once more the next time.
                self._timestamp = known = (seen, path.read_bytes())
        except FileNotFoundError:
            return None
        return known[1]

    def path_of(self, name: str) -> Path | None:
        """Return the file of the publication that units call *name*, or None."""
        if not _PUBLIC.fullmatch(name):
            return None
        path = self._root / "public" / name
        return path if path.is_file() else None

    def bring_list(self, hotlists: Hotlists, keys: DepartmentKeys, now: datetime) -> bool:
        """Publish the newest list, and the changes that lead to it from the one published before; return
        whether there was anything to publish.

        Raises HotlistRefusedError if its files are gone, StoreUnavailableError if the disk fails,
        RepositoryRefusedError or SigningFailedError; and publishes nothing.
        """
        with self._publishing():
            newest, labels = hotlists.newest(), self._labels()
            lists = {path: label for path, label in labels.items() if path != URGENT_PATH}
            published = max((label.sequence for label in lists.values()), default=0)
            if newest is None or newest.sequence <= published:
                return False
            way = way_to(hotlists, newest.sequence, published, [keys.hotlist.public_key()])
            whole = lists[LIST_PATH].sequence if LIST_PATH in lists else 0
            if way.whole is not None:
                whole = way.whole.sequence
                self.repository.put_target(
                    LIST_PATH, way.whole.path, Label(LIST_KIND, whole), now, shared=True
                )
            for change in way.changes:
                label = Label(DELTA_KIND, change.sequence, base=change.base)
                path = f"{DELTA_PREFIX}{change.sequence}"
                self.repository.put_target(path, change.path, label, now, shared=True)
            deltas = sorted(label.sequence for label in lists.values() if label.kind == DELTA_KIND)
            deltas += [change.sequence for change in way.changes]
            for sequence in deltas[:-DELTAS_KEPT]:
                if sequence <= whole:  # without the others nobody would come from the whole list to this one
                    self.repository.remove_target(f"{DELTA_PREFIX}{sequence}", now)
            self.repository.publish(now, _no_secrets)
            bases = [change.base for change in way.changes if change.sequence == newest.sequence]
            drop_files(way.folder, {newest.sequence, whole, *bases}, now - FILES_KEPT)
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

        Raises StoreUnavailableError if the disk fails, RepositoryRefusedError or SigningFailedError; and
        publishes nothing.
        """
        with self._publishing(), TemporaryDirectory() as folder:
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
            file = Path(folder) / "urgent"
            file.write_bytes(data)
            self.repository.put_target(URGENT_PATH, file, Label(LIST_KIND, sequence, urgent=True), now)
            self.repository.publish(now, _no_secrets)
            return verify_header(data, [keys.hotlist.public_key()])[0].count

    def urgent(self, keys: DepartmentKeys) -> SnapshotHeader | None:
        """Return the header of the urgent list in force; None if there is none, or its file is gone."""
        place = self._targets().get(URGENT_PATH)
        path = None if place is None else self.path_of(place)
        return None if path is None else verify_header(path.read_bytes(), [keys.hotlist.public_key()])[0]

    def roster(self) -> tuple[int, bytes] | None:
        """Return number and bytes of the roster in force, or None.

        Raises RepositoryRefusedError if its file is gone.
        """
        label = self._labels("rosters").get(ROSTER_PATH)
        path = None if label is None else self.path_of(self._targets()[ROSTER_PATH])
        if label is None:
            return None
        if path is None:
            raise RepositoryRefusedError("the published roster is gone; restore it from the backup")
        return label.sequence, path.read_bytes()

    def publish_roster(self, make: Callable[[int], bytes | None], now: datetime) -> int:
        """Publish what *make* gives for the number that it is told; return that number, 0 if it gives None.

        Raises StoreUnavailableError if the disk fails, RepositoryRefusedError (also where nobody may sign for
        rosters yet) or SigningFailedError; and publishes nothing.
        """
        with self._publishing(), TemporaryDirectory() as folder:
            if not self.repository.delegates("rosters"):
                raise RepositoryRefusedError(
                    "nobody may sign for rosters yet: `alpr-server roster delegate`, and two persons sign it"
                )
            before = self._labels("rosters").get(ROSTER_PATH)
            number = 1 if before is None else before.sequence + 1
            if (data := make(number)) is None:
                return 0
            file = Path(folder) / "roster"
            file.write_bytes(data)
            self.repository.put_target(ROSTER_PATH, file, Label(ROSTER_KIND, number), now)
            self.repository.publish(now, _no_secrets)
            return number

    def delegate_rosters(self, keys: Path, now: datetime) -> None:
        """Make the key that signs rosters, and draft that it may: for a department of before there were any.

        Two persons sign the draft, see docs/commands.md. Raises RepositoryRefusedError if it may already.
        """
        path, ring = keys / "updates-rosters.pem", self.repository.ring
        if not path.exists():
            ring.add("rosters", make_key_file(path, None), pem_uri(path))
        self.repository.delegate("rosters", "rosters", now)

    def publish(self, now: datetime, secrets: Secrets) -> Publication:
        """Put all that persons have signed in force. For the rest see `Repository.publish`."""
        with self._publishing():
            return self.repository.publish(now, secrets)

    def keep_fresh(self, now: datetime) -> bool:
        """Sign anew what would else run out; return whether that was due.

        Raises StoreUnavailableError if the disk fails, RepositoryRefusedError, SigningFailedError.
        """
        with self._publishing():
            if not self.repository.fades(now):
                return False
            self.repository.publish(now, _no_secrets)
            self.repository.prune(now)
            return True

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

    @contextmanager
    def _publishing(self) -> Iterator[None]:
        """Keep others from publishing meanwhile: the command line and the running server both do.

        What is in force is to be read in here, for it may be what another has just published.
        """
        try:
            with self.repository.folder.locked("publishing.lock"):
                # Left by one that was cut off. Whatever it holds and still counts is drafted again.
                for role in DELEGATED:
                    self.repository.folder.draft_path(role).unlink(missing_ok=True)
                yield
        except OSError as error:
            raise StoreUnavailableError(f"nothing was published ({error.strerror})") from error

    def _targets(self) -> dict[str, str]:
        """Return where units fetch each target in force, by its path."""
        found = {}
        for role in ("targets", *DELEGATED):
            signed = in_force(self.repository.folder).signed(role)
            for path, file in (signed.targets if isinstance(signed, Targets) else {}).items():
                folder, _, name = path.rpartition("/")
                found[path] = f"targets/{folder}/{file.hashes['sha256']}.{name}"
        return found

    def _labels(self, role: str = "hotlist") -> dict[str, Label]:
        """Return the labels of what *role* has in force, lists and changes if not said otherwise, by path."""
        signed = in_force(self.repository.folder).signed(role)
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
