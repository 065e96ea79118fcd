"""What the pipeline matches against: the department's lists and officers' entries, each as it changes."""

import threading
from collections.abc import Callable, Sequence

import structlog

from hotlist_cache.config import HotlistConfig
from hotlist_cache.errors import LocalEntryRefusedError
from hotlist_cache.evidence import Confusions
from hotlist_cache.local import LocalBook
from hotlist_cache.lookalike import DEFAULT_CONFUSIONS
from hotlist_cache.match import Hotlist, Prior
from hotlist_cache.snapshot import Snapshot
from hotlist_cache.together import ListsInForce

log = structlog.get_logger(__name__)


class Lists:
    """Brings both together anew whenever one of them changes. May be used by several threads."""

    def __init__(
        self,
        book: LocalBook,
        config: HotlistConfig,
        new_id: Callable[[], str],
        put_in_force: Callable[[ListsInForce], None],
        *,
        confusions: Confusions = DEFAULT_CONFUSIONS,
        listed_anew: Callable[[Sequence[str]], None] = lambda plates: None,
    ) -> None:
        """*put_in_force* hands what is to be matched to the pipeline; *confusions* are those of the reader in
        use; *listed_anew* is told the plates that an officer adds."""
        self.last_error = ""
        """Why the officers' entries could not be read; empty while they can."""
        self._confusions = confusions
        self._listed_anew = listed_anew
        self._book = book
        self._config = config
        self._new_id = new_id
        self._put_in_force = put_in_force
        self._used: tuple[Snapshot | None, Snapshot | None] = (None, None)
        self._hotlists: list[Hotlist] = []
        self._seen: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def use(self, snapshot: Snapshot | None, urgent: Snapshot | None) -> None:
        """Match against these from now on; None: the unit has no such list.

        Raises SnapshotRejectedError if one of them cannot be matched; what was in force then stays.
        """
        with self._lock:
            before = self._hotlists[0] if self._used[0] is not None else None
            # Five million plates take half a second to make ready: not for every urgent entry.
            long = before if snapshot is self._used[0] else self._ready(snapshot)
            short = self._ready(urgent, None if long is None else long.prior)
            self._hotlists = [each for each in (long, short) if each is not None]
            self._used = (snapshot, urgent)
            self._bring_together()

    def look(self) -> None:
        """Take up what an officer added or removed since the last look."""
        with self._lock:
            if (seen := self._state()) == self._seen:
                return
            self._seen = seen
            before = {each.entry.entry_id for each in self._book.entries}
            try:
                self._book.load()
                self.last_error = ""
            except (LocalEntryRefusedError, OSError) as error:
                self.last_error = str(error)
                log.error("local_entries.lost", why=str(error))
            log.info("local_entries.in_force", entries=len(self._book.entries))
            self._bring_together()
            added = [each.entry for each in self._book.entries if each.entry.entry_id not in before]
        self._listed_anew([entry.pattern for entry in added])

    def _bring_together(self) -> None:
        self._put_in_force(
            ListsInForce(self._hotlists, self._book, self._config, self._new_id, self._confusions)
        )

    def _ready(self, snapshot: Snapshot | None, prior: Prior | None = None) -> Hotlist | None:
        if snapshot is None:
            return None
        return Hotlist(snapshot, self._config, self._new_id, self._confusions, prior)

    def _state(self) -> tuple[int, int] | None:
        try:
            found = self._book.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns  # replaced whole: another file each time
