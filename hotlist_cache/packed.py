"""A plate of up to ten characters as one 64-bit number, so that five million fit in 40 MB and sort fast.

Each character takes six bits, the first the highest; "nothing" is 0, then 0-9 and A-Z follow in ASCII order,
so that numbers sort as their plates do. Six bits are what one base64 character carries: the conversion is
one translation and one base64 decoding, both in C, which matters for five million rows in Python.
"""

from binascii import a2b_base64, b2a_base64

from recognizer.plate import Plate

MAX_CHARACTERS = 10
KEY_BYTES = 8
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CODE = {character: code for code, character in enumerate(ALPHABET, start=1)}
SHIFTS = tuple(range(58, 3, -6))
"""How far the six bits of each position stand to the left; the lowest four bits are always 0."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PADDING = b"-"
_PADDED_CHARACTERS = 12  # three base64 quartets, nine bytes; the ninth is always 0
_EXACT = bytes.maketrans(_PADDING + ALPHABET.encode(), _BASE64[: len(ALPHABET) + 1])
_FOLDED = bytes.maketrans(
    _PADDING + ALPHABET.encode(),
    _BASE64[: len(ALPHABET) + 1].translate(
        bytes.maketrans(
            bytes((_BASE64[CODE["O"]], _BASE64[CODE["I"]])), bytes((_BASE64[CODE["0"]], _BASE64[CODE["1"]]))
        )
    ),
)
# Codes that no character has become a mark that no plate holds.
_CHARACTERS = bytes.maketrans(_BASE64, (_PADDING + ALPHABET.encode()).ljust(len(_BASE64), b"!"))


def pack(plate: str) -> bytes:
    """Return *plate*, 1 to 10 characters A-Z and 0-9, as 8 bytes, big-endian."""
    padded = plate.encode("ascii").ljust(_PADDED_CHARACTERS, _PADDING)
    return a2b_base64(padded.translate(_EXACT))[:KEY_BYTES]


def pack_folded(plate: str) -> bytes:
    """Return what `pack` gives for *plate* with O taken as 0 and I as 1."""
    padded = plate.encode("ascii").ljust(_PADDED_CHARACTERS, _PADDING)
    return a2b_base64(padded.translate(_FOLDED))[:KEY_BYTES]


def unpack(key: bytes) -> Plate:
    """Return the plate that `pack` made into the 8 bytes *key*.

    Raises ValueError if no plate packs to *key*.
    """
    padded = b2a_base64(key + b"\0", newline=False).translate(_CHARACTERS)
    plate = padded.rstrip(_PADDING)
    # isalnum is false for what is empty, has a gap, or a code that no character has.
    if not plate.isalnum() or len(plate) > MAX_CHARACTERS:
        raise ValueError("no plate packs to this key")
    return Plate(plate.decode("ascii"))
