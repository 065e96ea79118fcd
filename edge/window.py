"""Look-up of the unit's own reads inside its local window.

It reads the outbox over a connection of its own that cannot write. The keeper is not asked: a hit must be on
the disk at once, and would wait behind a look-up that goes through a day of reads.
"""

import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog

from camera.fix import Fix
from edge.window_slots import Slots
from recognizer.plate import Jurisdiction, Plate, fold
from sync.errors import SealBrokenError, WireFormatError
from sync.outbox_window import WindowTables
from sync.record import RecordedHit, decode_record
from sync.seal import WindowOpener
from sync.window import (
    EVERY_READ,
    Card,
    Slot,
    cells_near,
    metres_between,
    place_label,
    plate_label,
    revised_label,
)

MOST_READS = 200
"""Most reads that one look-up opens and gives."""
FARTHEST_M = 2000.0
"""Largest circle that is looked in: some 800 place cells in each slot."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Near:
    """A circle on the ground, WGS 84."""

    latitude_deg: float = field(repr=False)
    longitude_deg: float = field(repr=False)
    radius_m: float = 150.0


@dataclass(frozen=True, slots=True)
class WindowRead:
    """A read of the local window, opened on the unit."""

    read_id: str
    plate: Plate = field(repr=False)
    prefix: Plate = field(repr=False)
    jurisdiction: Jurisdiction | None
    """None where the reader was not sure of one."""
    camera: str
    utc: datetime
    """Aware UTC; when it settled."""
    place: Fix | None = field(repr=False)
    jpeg: bytes = field(repr=False)
    """The evidence; empty where the disk had no room for it."""
    hits: tuple[RecordedHit, ...]


class Window:
    """May be used by several threads."""

    def __init__(self, slots: Slots, outbox: Path) -> None:
        """*outbox* is the file that the keeper has open. Raises DiskFullError or OutboxCorruptError."""
        self._slots = slots
        self._tables = WindowTables(outbox)
        # Held for one question at a time: an alert's look-up does not wait for a page's long one.
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._tables.close()

    def search(
        self,
        text: str,
        *,
        since: datetime,
        until: datetime,
        near: Near | None = None,
        limit: int = 50,
    ) -> list[WindowRead]:
        """Return the reads of a plate, the newest first: at most *limit*, and never more than `MOST_READS`.

        *text* is a plate, with or without its stacked letters, or a part of one with "?" for one character
        and "*" for any number of them; O counts as 0 and I as 1. Empty means any plate, and needs *near*.
        A read is meant that settled from *since* to *until* (aware UTC), was not corrected by a later one,
        and lies in *near*, if given; one without a place then does not.

        A plate is looked up by its hash. A partial one is compared with the index's card of every read in the
        window, some 24,000 on a busy day; pictures are opened of the reads given alone.

        Raises ValueError for a text with other characters, an empty one without *near*, a circle that is too
        large, and DiskFullError or OutboxCorruptError if the file cannot be read.
        """
        wanted = _wanted(text, near)
        cards: dict[str, Card] = {}
        for slot in self._slots.alive:
            for label in _labels(text, near):
                cards.update((card.read_id, card) for card in self._cards(slot, label))
        chosen = [
            card
            for card in cards.values()
            if since <= card.utc <= until and any(wanted.fullmatch(each) for each in card.texts)
        ]
        found: list[WindowRead] = []
        for card in sorted(chosen, key=lambda card: card.utc, reverse=True):
            if len(found) >= min(limit, MOST_READS):
                break
            read = None if self._corrected(card) else self._open(card)
            if read is not None and _lies_in(near, read.place):
                found.append(read)
        return found

    def newest(self, plates: Iterable[str]) -> Iterator[tuple[str, Card]]:
        """Yield each of *plates* that was read in the window, with the card of its newest read.

        A partial plate has none: a hash knows no parts. Errors as `search`.
        """
        slots = self._slots.alive
        for plate in plates:
            label = plate_label(fold(Plate(plate)))
            cards = [card for slot in slots for card in self._cards(slot, label)]
            if cards:
                yield plate, max(cards, key=lambda card: card.utc)

    def _cards(self, slot: Slot, label: bytes) -> Iterator[Card]:
        count = 0
        while True:
            token = slot.token(label, count)
            with self._lock:
                sealed = self._tables.card(slot.number, token)
            if sealed is None:
                return
            count += 1
            try:
                yield slot.open_card(token, sealed)
            except SealBrokenError as error:
                log.error("window.broken", why=str(error))

    def _corrected(self, card: Card) -> bool:
        label = revised_label(card.read_id)
        return any(True for slot in self._slots.alive for _ in self._cards(slot, label))

    def _open(self, card: Card) -> WindowRead | None:
        with self._lock:
            held = self._tables.read(card.read_id)
        slot = None if held is None else {s.number: s for s in self._slots.alive}.get(held.slot)
        if held is None or slot is None:
            return None  # its window has ended since, or it left early because room was short
        try:
            opener = WindowOpener(held.epoch, held.wrapped, slot.wrapping_key)
            record = decode_record(opener.open(held.read))
        except (SealBrokenError, WireFormatError) as error:
            log.error("window.broken", read=card.read_id, why=str(error))
            return None
        read, opinion = record.read, record.read.jurisdiction
        return WindowRead(
            read_id=read.read_id,
            plate=read.plate,
            prefix=read.prefix,
            jurisdiction=opinion.code if opinion is not None and opinion.likely else None,
            camera=read.camera,
            utc=read.settled.utc,
            place=read.fix,
            jpeg=read.evidence,
            hits=record.hits,
        )


def _wanted(text: str, near: Near | None) -> "re.Pattern[str]":
    """Return what the folded plate texts of a read must be; raises ValueError as `Window.search`."""
    if re.fullmatch(r"[A-Z0-9?*]*", text.upper()) is None:
        raise ValueError("a plate is letters and digits, a partial one also ? and *")
    if not text and near is None:
        raise ValueError("give a plate, a part of one, or a place")
    if near is not None and not 0 < near.radius_m <= FARTHEST_M:
        raise ValueError(f"the circle's radius must lie between 0 and {FARTHEST_M:.0f} m")
    signs = {"?": ".", "*": ".*"}
    return re.compile("".join(signs.get(sign, sign) for sign in fold(Plate(text.upper()))) or ".*")


def _labels(text: str, near: Near | None) -> Iterator[bytes]:
    """Yield the labels that every read meant has one of; the plate's alone wherever it is whole."""
    if text and not set(text) & set("?*"):
        yield plate_label(fold(Plate(text.upper())))
    elif near is not None:
        cells = cells_near(near.latitude_deg, near.longitude_deg, near.radius_m)
        yield from (place_label(cell) for cell in cells)
    else:
        yield EVERY_READ


def _lies_in(near: Near | None, place: Fix | None) -> bool:
    if near is None:
        return True
    return place is not None and metres_between(place, near.latitude_deg, near.longitude_deg) <= near.radius_m
