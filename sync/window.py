"""The local window: what lets a unit open and find its own reads for a while, and no longer.

Time is cut into slots. A slot has a random secret; everything the unit could open or find of the reads
stored in it hangs on that secret: the epochs' keys, wrapped, and a blind index. Where the secret is
destroyed, all of it is noise, wherever a copy of it may still lie on the disk, and the department alone can
open the reads.

The index is keyed hashes: of a read's plate, of the place cell it was read in, and of "every read", each made
with the slot's own key, so that an hour's hashes say nothing about another's. Equal texts are counted (the
first, the second, ...), and the count is hashed with them: no two hashes are alike, and the index does not
even tell that one plate came twice or that the unit stood still. To find a text, ask for the first, the
second, and so on, until one is not there.
"""

import hmac
import math
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from camera.fix import Fix
from recognizer.plate import Plate, fold
from recognizer.read import PlateRead
from sync import wire
from sync.errors import SealBrokenError

LEAST_KEPT_S = 2 * 3600
"""Slots of a shorter window are kept in memory alone: they would have to be replaced on the disk, or in a TPM
that bears some 100,000 writings, every few seconds. Such a window does not outlive the daemon."""
CELL_M = 150.0
"""Length and width of a place cell."""

_NONCE_BYTES = 12
_TOKEN_BYTES = 16
_BLOCK_BYTES = 96
"""A card is filled up to a multiple of this: its length must not tell that of the plate."""
_METRES_PER_DEGREE = 111_195.0
_CELL_DEG = CELL_M / _METRES_PER_DEGREE


@dataclass(frozen=True, slots=True)
class Card:
    """What the index gives of a read without opening it."""

    read_id: str
    plate: Plate = field(repr=False)
    prefix: Plate = field(repr=False)
    camera: str
    utc: datetime
    """Aware UTC; when the read settled."""

    @property
    def texts(self) -> set[str]:
        """The folded texts under which its plate is found: alone, and with its prefix first or last."""
        whole = {self.plate, self.prefix + self.plate, self.plate + self.prefix}
        return {fold(Plate(text)) for text in whole}


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time whose reads leave the window together, and the secret they hang on."""

    number: int
    """Random, 62 bits: stands in the outbox and says nothing."""
    ends: int
    """Seconds since 1970; the secret is destroyed then."""
    secret: bytes = field(repr=False)
    """32 random bytes."""

    @property
    def wrapping_key(self) -> bytes:
        """What the epochs' keys are wrapped under, 32 bytes."""
        return hmac.digest(self.secret, b"alpr-edge window: epochs", sha256)

    def token(self, label: bytes, count: int) -> bytes:
        """Return the name under which the *count*th read (from 0) with *label* stands in the index."""
        key = hmac.digest(self.secret, b"alpr-edge window: index", sha256)
        # The count has a fixed length and comes first: no label can be mistaken for another with its count.
        return hmac.digest(key, count.to_bytes(8, "big") + label, sha256)[:_TOKEN_BYTES]

    def seal_card(self, token: bytes, card: Card) -> bytes:
        """Return *card* encrypted, bound to *token*."""
        data = wire.dumps([card.read_id, card.plate, card.prefix, card.camera, wire.microseconds(card.utc)])
        filled = len(data).to_bytes(2, "big") + data
        filled += bytes(-len(filled) % _BLOCK_BYTES)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cards().encrypt(nonce, filled, token)

    def open_card(self, token: bytes, sealed: bytes) -> Card:
        """Return the card in *sealed*. Raises SealBrokenError if it was altered or is not of this slot."""
        try:
            filled = self._cards().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], token)
        except (InvalidTag, ValueError) as error:
            raise SealBrokenError("a card of the window's index does not open") from error
        data = filled[2 : 2 + int.from_bytes(filled[:2], "big")]
        read_id, plate, prefix, camera, utc = wire.loads(data, "card")
        return Card(read_id, Plate(plate), Plate(prefix), camera, wire.from_microseconds(utc))

    def _cards(self) -> AESGCM:
        return AESGCM(hmac.digest(self.secret, b"alpr-edge window: cards", sha256))


def new_slot(ends: int) -> Slot:
    """Return a slot with a secret of its own."""
    return Slot(secrets.randbits(62), ends, secrets.token_bytes(32))


def slot_end(now_s: int, window_s: int) -> int:
    """Return when the slot ends into which a read stored at *now_s* falls; at most *window_s* later.

    A slot takes reads for an hour, of short windows for a quarter of them, of very long ones for a fortieth:
    a read can be opened for at most *window_s*, and for three quarters of it at the least.
    """
    step_s = max(1, int(min(window_s / 4, max(3600, window_s / 40))))
    return now_s // step_s * step_s + window_s


EVERY_READ = b"read"
"""The label that each read has."""


def plate_label(text: str) -> bytes:
    """Return the label of a folded plate text."""
    return b"plate:" + text.encode()


def revised_label(read_id: str) -> bytes:
    """Return the label of the correction of *read_id*."""
    return b"revises:" + read_id.encode()


def place_label(cell: tuple[int, int]) -> bytes:
    """Return the label of a place cell."""
    return b"place:%d:%d" % cell


def labels(read: PlateRead) -> Iterator[bytes]:
    """Yield every label under which *read* is found."""
    yield EVERY_READ
    yield from (plate_label(text) for text in sorted(card_of(read).texts))
    if read.fix is not None:
        yield place_label(place_cell(read.fix.latitude_deg, read.fix.longitude_deg))
    if read.revises is not None:
        yield revised_label(read.revises)


def card_of(read: PlateRead) -> Card:
    """Return the card of *read*."""
    return Card(read.read_id, read.plate, read.prefix, read.camera, read.settled.utc)


def index_rows(
    slot: Slot, read: PlateRead, next_count: Callable[[Slot, bytes], int]
) -> tuple[tuple[bytes, bytes], ...]:
    """Return token and sealed card of each row that *read* adds to the index.

    *next_count* tells how many reads of the slot have a label already, and counts this one.
    """
    card = card_of(read)
    tokens = [slot.token(label, next_count(slot, label)) for label in labels(read)]
    return tuple((token, slot.seal_card(token, card)) for token in tokens)


def place_cell(latitude_deg: float, longitude_deg: float) -> tuple[int, int]:
    """Return the cell of about `CELL_M` square in which a place (WGS 84) lies: row and column."""
    row = math.floor(latitude_deg / _CELL_DEG)
    return row, math.floor(longitude_deg / _column_deg(row))


def cells_near(latitude_deg: float, longitude_deg: float, radius_m: float) -> Iterator[tuple[int, int]]:
    """Yield every cell that a circle around a place (WGS 84) touches; cells beside it may come too."""
    reach_deg = radius_m / _METRES_PER_DEGREE
    first, last = (math.floor((latitude_deg + d) / _CELL_DEG) for d in (-reach_deg, reach_deg))
    for row in range(first, last + 1):
        column_deg = _column_deg(row)
        wide_deg = radius_m / CELL_M * column_deg
        west, east = (math.floor((longitude_deg + d) / column_deg) for d in (-wide_deg, wide_deg))
        # One more on each side: a row's columns are as wide as at its middle, not as at its rim.
        yield from ((row, column) for column in range(west - 1, east + 2))


def metres_between(one: Fix, latitude_deg: float, longitude_deg: float) -> float:
    """Return the distance of *one* from a place, for distances of a few kilometres."""
    north = (one.latitude_deg - latitude_deg) * _METRES_PER_DEGREE
    east = (one.longitude_deg - longitude_deg) * _METRES_PER_DEGREE * math.cos(math.radians(latitude_deg))
    return math.hypot(north, east)


def _column_deg(row: int) -> float:
    # Meridians run together towards the poles; all places of a row reckon with the row's middle.
    return _CELL_DEG / max(math.cos(math.radians((row + 0.5) * _CELL_DEG)), 0.01)
