"""The department's model packs on the unit: brought, unpacked, tried, and used from the next start on.

A pack that the department publishes takes the place of the configured one that has its name, which stays on
the disk and is used whenever nothing else can be. What lies in the folder is trusted by the record alone: a
sealed file that names the digest of each pack's manifest, which names those of its files. The record is
replaced last, once all that it speaks of is durable: a power cut at any moment leaves the pack of before, or
a whole new one. The steps themselves are in `edge.pack_record`.
"""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from edge.pack_record import (
    MOST_TRIES,
    Installed,
    PackLines,
    PackRecord,
    Refusal,
    decode_record,
    encode_record,
    fallen_back,
    pack_lines,
    started,
    with_refusal,
    withdrawn,
)
from edge.trial import TRIAL_LIMIT_S, Trial, trial_command
from hotlist_cache.disk import Disk, RealDisk
from hotlist_cache.sealed_file import SealedFileDamagedError, read_sealed, write_sealed
from recognizer.config import RecognizerConfig
from recognizer.errors import ModelInvalidError
from recognizer.manifest import load_pack
from recognizer.onnx import Recognizer
from recognizer.pack import MANIFEST
from recognizer.published import MAX_PACK_BYTES, unpack_published
from sync.trust_values import MODEL_KIND, Target, Trusted, pack_path

PACKS_FOLDER = "packs"
"""In the state directory. Not `models`, where a person installs packs as root."""
RECORD_NAME = "packs.sealed"
PROVING_FRAMES = 100
PROVING_S = 300.0
FELL_BACK = "The new model pack failed; the one before is used again. Tell the technician"

_INCOMING = ".incoming.pack"

log = structlog.get_logger(__name__)


class DepartmentPacks:
    """The starting thread calls `open`; then the updates thread `bring`, `work` and `stop`, and the main
    thread `seen` and `ended`. Any may ask `lines`."""

    def __init__(
        self,
        state_dir: Path,
        storage_key: bytes,
        *,
        reserve_bytes: int = 0,
        alarm: Callable[[str], None] = lambda text: None,
        disk: Disk | None = None,
        command: Callable[[Path], Sequence[str]] = trial_command,
        limit_s: float = TRIAL_LIMIT_S,
    ) -> None:
        """*reserve_bytes* stay free for reads; *alarm* tells the officer; *command* tries the pack in a
        folder, for *limit_s* at most."""
        self._folder, self._key = state_dir / PACKS_FOLDER, storage_key
        self._reserve_bytes = reserve_bytes
        self._alarm = alarm
        self._disk: Disk = RealDisk() if disk is None else disk
        self._command, self._limit_s = command, limit_s
        self._name = self._path = ""
        self._trial: tuple[Installed, Trial] | None = None
        self._held_back = self._fault = ""
        self._proving = False
        # The updates thread writes the record, and so does the main thread: once in the life of a pack.
        self._lock = threading.RLock()
        try:
            self._record = held_record(state_dir, storage_key)
        except (SealedFileDamagedError, ValueError, OSError) as error:
            self._record = PackRecord()
            self._fault = f"the record of the department's model packs cannot be used ({error})"
            log.error("packs.unread", why=str(error))

    # -- at the start --

    def open(
        self, config: RecognizerConfig, opened: Callable[[RecognizerConfig], Recognizer] = Recognizer.open
    ) -> Recognizer:
        """Return a recognizer of the pack that this start takes, by *opened*.

        Raises ModelInvalidError if the configured pack, the last to fall back on, cannot be used.
        """
        self._name = load_pack(config.model_pack).name
        with suppress(ValueError):  # a pack of such a name cannot be published
            self._path = pack_path(self._name)
        self._begin()
        while (running := self._record.running) is not None:
            try:
                folder = self._require_unaltered(running)
                recognizer = opened(replace(config, model_pack=str(folder)))
            except ModelInvalidError as error:
                self._fall_back(*fallen_back(self._record, str(error)))
            else:
                log.info("pack.running", pack=running.label, proven=self._record.proven)
                break
        else:
            recognizer = opened(config)
        self._proving = not self._record.proven
        self._tidy(keep_incoming=True)
        return recognizer

    def _begin(self) -> None:
        if (running := self._record.running or self._record.next) is not None and running.name != self._name:
            # The unit was given another pack by its own file: what replaced the former one is of no use.
            self._keep(PackRecord())
        self._fall_back(*started(self._record))

    def _fall_back(self, record: PackRecord, refusal: Refusal | None) -> None:
        if refusal is not None:
            log.error("pack.fell_back", pack=refusal.label, why=refusal.why)
            self._alarm(FELL_BACK)
        try:
            self._keep(record)
        except OSError as error:
            # A start that could not be counted must not run what may end it again and again.
            self._record = replace(record, running=None, proven=True)
            self._fault = f"the configured model pack is used: the disk fails ({error.strerror})"
            log.error("packs.unwritable", why=str(error))

    def _require_unaltered(self, pack: Installed) -> Path:
        folder = self._folder / pack.folder
        try:
            digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
        except OSError as error:
            raise ModelInvalidError(f"its manifest cannot be read ({error.strerror})") from error
        if digest != pack.manifest_sha256:
            raise ModelInvalidError("its manifest was altered or damaged on this unit")
        return folder

    # -- the updates thread --

    def bring(self, trusted: Trusted, fetch: Callable[[Target, Path], None], *, carried: bool) -> None:
        """Take up what *trusted* has for this unit; *fetch* brings a target into a file, and *carried* says
        whether the network may bring it.

        Raises what *fetch* raises, and OSError if the disk fails; what was in use stays in use.
        """
        self._held_back = ""
        target = trusted.targets.get(self._path)
        if target is None or target.label.kind != MODEL_KIND:
            if self._record != withdrawn(self._record):
                self._change(withdrawn)
                self._tidy()
                log.info("pack.withdrawn", used_until="the next start")
            return
        label, sequence = f"{self._name} {target.label.sequence}", target.label.sequence
        if self._record.withdrawn:
            self._change(lambda record: replace(record, withdrawn=False))
        if self._record.knows(sequence, target.sha256):
            return
        if target.length_bytes > MAX_PACK_BYTES:
            self._refuse(label, target, f"it is larger than {MAX_PACK_BYTES} bytes")
            return
        if not carried:
            self._held_back = f"model pack {label} waits for another network"
            return
        self._make_folder()
        if shutil.disk_usage(self._folder).free - 2 * target.length_bytes < self._reserve_bytes:
            self._held_back = f"model pack {label} waits for room on the disk"
            return
        fetch(target, self._folder / _INCOMING)
        try:
            installed = self._unpacked(target)
        except ModelInvalidError as error:
            self._refuse(label, target, str(error))
            return
        self._change(lambda record: replace(record, waiting=installed, tries=0))
        self._tidy()
        log.info("pack.unpacked", pack=label)

    def work(self) -> None:
        """Begin the trial of a pack that waits for it, or look how it stands; returns at once."""
        try:
            self._work()
        except OSError as error:
            self._fault = f"model packs cannot be tried: {error.strerror}"
            log.error("packs.not_tried", why=str(error))

    def _work(self) -> None:
        waiting = self._record.waiting
        if self._trial is not None and self._trial[0] != waiting:
            self._trial[1].stop()
            self._trial = None
        if waiting is None:
            return
        if self._trial is None:
            if self._record.tries >= MOST_TRIES:
                self._judge(waiting, f"{MOST_TRIES} trials of it did not come to their end")
                return
            # Durable before it begins: the trial may take the machine down.
            self._change(lambda record: replace(record, tries=record.tries + 1))
            try:
                trial = Trial(self._command(self._folder / waiting.folder), self._limit_s)
            except OSError:
                self._change(_one_try_less)
                raise
            self._trial = waiting, trial
            return
        why = self._trial[1].outcome()
        if why is None:
            return
        self._trial = None
        self._judge(waiting, why)

    def stop(self) -> None:
        """End a trial that runs; it begins anew after the start."""
        if self._trial is not None:
            self._trial[1].stop()
            self._trial = None
            self._change_if_possible(_one_try_less)

    def _judge(self, pack: Installed, why: str) -> None:
        def judged(record: PackRecord) -> PackRecord:
            done = replace(record, waiting=None, tries=0)
            if why:
                return with_refusal(done, pack.label, pack.sequence, pack.sha256, why)
            return replace(done, next=pack)

        self._change(judged)
        self._fault = ""
        self._tidy()
        if why:
            log.error("pack.refused", pack=pack.label, why=why)
        else:
            log.info("pack.passed", pack=pack.label, used_from="the next start")

    def _refuse(self, label: str, target: Target, why: str) -> None:
        log.error("pack.refused", pack=label, why=why)
        self._change(lambda record: with_refusal(record, label, target.label.sequence, target.sha256, why))
        self._tidy()

    def _unpacked(self, target: Target) -> Installed:
        """Return the pack of the archive that came, once it is durable under its name."""
        fresh = self._folder / ".unpacking"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        published = unpack_published(self._folder / _INCOMING, fresh, self._write)
        if published.pack.name != self._name:
            raise ModelInvalidError(f"its manifest calls it {published.pack.name}")
        installed = Installed(self._name, target.label.sequence, target.sha256, published.manifest_sha256)
        self._disk.sync_folder(fresh)
        final = self._folder / installed.folder
        if final.exists():
            shutil.rmtree(final)  # of a start that the record does not know of
        self._disk.rename(fresh, final)
        self._disk.sync_folder(self._folder)
        return installed

    def _write(self, path: Path, content: Iterable[bytes]) -> None:
        with self._disk.create(path) as file:
            for block in content:
                file.write(block)
            self._disk.sync(file)

    # -- the main thread --

    def seen(self, frames: int, uptime_s: float) -> None:
        """Take note of how far this start came: far enough, and the pack has proved itself."""
        if not self._proving or frames < PROVING_FRAMES or uptime_s < PROVING_S:
            return
        self._proving = False
        self._change_if_possible(lambda record: replace(record, proven=True, starts=0, before=None))

    def ended(self) -> None:
        """Take note that this start ended in order: it says nothing against the pack."""
        if self._proving:
            self._change_if_possible(lambda record: replace(record, starts=max(0, record.starts - 1)))

    @property
    def lines(self) -> PackLines:
        """How it stands."""
        return pack_lines(self._record, self._name, self._held_back, self._fault)

    def _change_if_possible(self, change: Callable[[PackRecord], PackRecord]) -> None:
        try:
            self._change(change)
        except OSError as error:
            log.error("packs.unwritable", why=str(error))

    def _change(self, change: Callable[[PackRecord], PackRecord]) -> None:
        with self._lock:
            self._keep(change(self._record))

    def _keep(self, record: PackRecord) -> None:
        with self._lock:
            if record == self._record:
                return
            self._make_folder()
            content = memoryview(encode_record(record))
            write_sealed(self._disk, self._folder / RECORD_NAME, content, self._key, RECORD_NAME)
            self._record = record

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700)
            self._disk.sync_folder(self._folder.parent)

    def _tidy(self, *, keep_incoming: bool = False) -> None:
        """Remove what no start can need; what cannot be removed is in nobody's way but the disk's. Not for
        the main thread: a pack may be on its way."""
        with self._lock:
            kept = {*self._record.folders, RECORD_NAME}
            for path in self._folder.iterdir() if self._folder.is_dir() else ():
                incoming = path.name.startswith((_INCOMING, f".{_INCOMING}"))
                if path.name in kept or (keep_incoming and incoming):
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _one_try_less(record: PackRecord) -> PackRecord:
    return replace(record, tries=max(0, record.tries - 1))


def held_record(state_dir: Path, storage_key: bytes) -> PackRecord:
    """Return what the unit of *state_dir* holds of the department's packs.

    Raises SealedFileDamagedError, ValueError or OSError if the record cannot be read.
    """
    try:
        data = read_sealed(state_dir / PACKS_FOLDER / RECORD_NAME, storage_key, RECORD_NAME)
    except FileNotFoundError:
        return PackRecord()
    return decode_record(bytes(data))
