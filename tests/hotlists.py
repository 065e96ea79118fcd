"""Invented entries, reads and lists, and a disk whose power can be cut."""

import io
import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from camera.frame import Moment, TimeQuality
from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.header import read_header, sign_header
from hotlist_cache.match import Hotlist
from hotlist_cache.snapshot import EVERYTHING, Carried, Snapshot, encode_snapshot, open_snapshot
from recognizer.plate import Jurisdiction, Plate
from recognizer.read import Box, JurisdictionOpinion, PlateRead, Position

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
KEYS = (KEY.public_key(),)
STORAGE_KEY = bytes(range(64, 96))
ISSUED = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
NOW = ISSUED + timedelta(hours=2)
EXPIRES = ISSUED + timedelta(days=7)
CONFIG = HotlistConfig()

PLATES = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=10)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\x1f"), max_size=20)
SECONDS = st.integers(300_000_000, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
ANY_ENTRY = st.builds(
    Entry,
    entry_id=TEXTS.filter(bool),
    pattern=PLATES | st.text("AB01?*", min_size=1, max_size=16),
    jurisdiction=st.none() | st.sampled_from(["US-CA", "PL"]).map(Jurisdiction),
    list_name=TEXTS,
    reason=TEXTS,
    priority=st.sampled_from(Priority),
    vehicle=TEXTS,
    case_number=TEXTS,
    source=TEXTS,
    effective=st.none() | SECONDS,
    expires=st.none() | SECONDS,
)


def an_entry(
    pattern: str,
    entry_id: str = "",
    *,
    state: str | None = "US-CA",
    priority: Priority = Priority.HIGH,
    effective: datetime | None = None,
    expires: datetime | None = None,
) -> Entry:
    return Entry(
        entry_id=entry_id or f"id-{zlib.crc32(pattern.encode()):08x}",
        pattern=pattern,
        jurisdiction=None if state is None else Jurisdiction(state),
        list_name="Stolen vehicle",
        reason="Taken from a car park",
        priority=priority,
        vehicle="RED 2012 TOYOTA CAMRY",
        case_number="26-000123",
        source="made up",
        effective=effective,
        expires=expires,
    )


def a_list(
    entries: Iterable[Entry],
    sequence: int = 1,
    *,
    shrink_approved: bool = False,
    carried: Carried = EVERYTHING,
) -> bytes:
    """Return a signed list issued a minute later for each sequence."""
    return encode_snapshot(
        entries,
        sequence=sequence,
        issued_at=ISSUED + timedelta(minutes=sequence),
        expires_at=EXPIRES,
        key=KEY,
        shrink_approved=shrink_approved,
        carried=carried,
    )


def signed_anew(data: bytes, **changes: Any) -> bytes:
    """Return the list *data* with *changes* to its header, signed by the department as if they were true."""
    header = read_header(data)
    return sign_header(replace(header, **changes), KEY) + data[len(data) - header.body_bytes :]


def a_snapshot(*entries: Entry) -> Snapshot:
    return open_snapshot(a_list(entries), keys=KEYS)


def a_hotlist(*entries: Entry, config: HotlistConfig = CONFIG) -> Hotlist:
    count = iter(range(1_000_000))
    return Hotlist(a_snapshot(*entries), config, lambda: f"hit-{next(count)}")


def a_read(
    plate: str,
    *,
    at: Mapping[int, Sequence[tuple[str, float]]] | None = None,
    state: tuple[str, float] | None = ("US-CA", 0.95),
    confidence: float = 0.95,
    frames: int = 5,
    utc: datetime = NOW,
    prefix: str = "",
) -> PlateRead:
    """Return a read sure of every character but those *at* a position, for which the opinion is given."""
    positions: list[Position] = [((character, 0.995),) for character in plate]
    for position, opinion in (at or {}).items():
        positions[position] = tuple(opinion)
    moment = Moment(utc, 0, "boot", TimeQuality.SYNCHRONISED)
    return PlateRead(
        read_id="read-1",
        camera="front",
        plate=Plate(plate),
        positions=tuple(positions),
        confidence=confidence,
        jurisdiction=None if state is None else JurisdictionOpinion(Jurisdiction(state[0]), state[1]),
        first_seen=moment,
        settled=moment,
        box=Box(0, 0, 10, 5),
        frames=frames,
        evidence=b"",
        prefix=Plate(prefix),
        prefix_confidence=0.9 if prefix else 0.0,
    )


class PowerCut(BaseException):
    """The power is gone: nothing catches this, as nothing runs any more."""


class _File(io.BytesIO):
    durable: bytes = b""


class CutDisk:
    """A disk in memory that fills `hotlist_cache.disk.Disk`, and loses its power before call *cut_at*.

    What then is on it: each synced file whole, each other one torn anywhere with rubbish behind, and of the
    changes to names not yet synced any number of the first ones.
    """

    def __init__(self, folder: Path, cut_at: int, seed: int, *, obeys_sync: bool = True) -> None:
        self._folder = folder
        self._left = cut_at
        self._chance = random.Random(seed)
        self._obeys_sync = obeys_sync
        self._durable: dict[str, _File] = {}
        for path in folder.iterdir():
            self._durable[path.name] = file = _File(path.read_bytes())
            file.durable = path.read_bytes()
        self._now = dict(self._durable)
        self._changes: list[dict[str, _File]] = []
        """The names after each change since they were synced."""

    def create(self, path: Path) -> BinaryIO:
        self._step()
        disk = self

        class Written(_File):
            def write(self, data: object) -> int:
                disk._step()
                return super().write(data)  # type: ignore[arg-type]  # as BytesIO declares it privately

            def close(self) -> None:
                """Stays readable: it stands for what is on the disk."""

        self._now[path.name] = file = Written()
        self._changes.append(dict(self._now))
        return file

    def sync(self, file: BinaryIO) -> None:
        self._step()
        assert isinstance(file, _File)
        if self._obeys_sync:
            file.durable = file.getvalue()

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        self._now[new.name] = self._now.pop(old.name)
        self._changes.append(dict(self._now))

    def remove(self, path: Path) -> None:
        self._step()
        if self._now.pop(path.name, None) is not None:
            self._changes.append(dict(self._now))

    def sync_folder(self, folder: Path) -> None:
        self._step()
        self._durable = dict(self._now)
        self._changes = []

    def power_off(self) -> None:
        """Leave in the real folder what survives."""
        names = self._chance.choice([self._durable, *self._changes])
        for path in self._folder.iterdir():
            path.unlink()
        for name, file in names.items():
            written = file.getvalue()
            content = file.durable
            if content != written:
                kept = self._chance.randrange(len(written) + 1)
                content = written[:kept] + bytes(self._chance.choice((0, 5, len(written) - kept)))
            (self._folder / name).write_bytes(content)

    def _step(self) -> None:
        if self._left == 0:
            raise PowerCut
        self._left -= 1
