"""Parsing of what comes from outside: one strict reading of CBOR, small checked fields.

Everything signed has exactly one form (RFC 8949 §4.2, deterministic encoding) and every other is refused: two
programs can then never read two meanings into the same signed bytes.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2

from sync.errors import WireFormatError

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FREE_ITEMS = 16_384
"""So many items a message may have however short they are."""
BYTES_AN_ITEM = 6
"""A long book of what officers put on a unit has the most items: the shortest take eight bytes each."""
_BYTES, _TEXT, _TAG = 2, 3, 6
"""Major types of CBOR (RFC 8949 §3.1)."""
_LATEST_S = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second a datetime holds."""


def identifier(value: object) -> str:
    """Return *value* if it is an id: 1 to 64 of A-Z a-z 0-9 . _ - and not led by a mark.

    Ids become file names, MQTT topic levels and HTTP headers; this alphabet is harmless in each of them.
    Raises TypeError or ValueError otherwise, without repeating the value.
    """
    if not isinstance(value, str):
        raise TypeError("an id is text")
    if _IDENTIFIER.fullmatch(value) is None:
        raise ValueError("an id is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit")
    return value


def text(value: object) -> str:
    """Return *value* if it is text; raises TypeError otherwise."""
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def octets(value: object) -> bytes:
    """Return *value* if it is bytes; raises TypeError otherwise."""
    if not isinstance(value, bytes):
        raise TypeError("bytes expected")
    return value


def whole(value: object) -> int:
    """Return *value* if it is an integer (True is none); raises TypeError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("an integer expected")
    return value


def real(value: object) -> float:
    """Return *value* if it is a finite number; raises TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number expected")
    if not -1e300 < value < 1e300:  # also refuses NaN
        raise ValueError("a finite number expected")
    return float(value)


def is_identifier(text: str) -> bool:
    """Whether *text* is an id, see `identifier`."""
    return _IDENTIFIER.fullmatch(text) is not None


def seconds(moment: datetime) -> int:
    """Return *moment* (aware) as whole seconds since 1970, rounded down."""
    return (moment - _EPOCH) // timedelta(seconds=1)


def from_seconds(value: object) -> datetime:
    """Return the aware UTC time of *value*, whole seconds since 1970; raises TypeError or ValueError."""
    count = whole(value)
    if not 0 <= count <= _LATEST_S:
        raise ValueError("a time is between 1970 and 9999")
    return _EPOCH + timedelta(seconds=count)


def microseconds(moment: datetime) -> int:
    """Return *moment* (aware) as whole microseconds since 1970; nothing a datetime holds is lost."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(value: object) -> datetime:
    """Return the aware UTC time of *value*, whole microseconds since 1970; raises TypeError or ValueError."""
    count = whole(value)
    if not 0 <= count <= _LATEST_S * 1_000_000:
        raise ValueError("a time is between 1970 and 9999")
    return _EPOCH + timedelta(microseconds=count)


def dumps(value: object) -> bytes:
    """Return *value* in its one deterministic form."""
    return cbor2.dumps(value, canonical=True)


def loads(data: bytes, what: str, *, bytes_an_item: int = BYTES_AN_ITEM) -> Any:
    """Return the CBOR value in *data*; *what* names it in the error.

    Of long *data* at least *bytes_an_item* bytes come to each item, beside `FREE_ITEMS`: a byte of an empty
    table would else take seventy in memory.

    Raises WireFormatError if *data* is not CBOR, has more items, or nests deeper than any message of ours.
    Whether it is in its one form is told by encoding the checked value again: see `must_be`.
    """
    if len(data) > FREE_ITEMS:  # an item has a byte at least
        _require_few_items(data, FREE_ITEMS + len(data) // bytes_an_item, what)
    try:
        return cbor2.loads(
            data, max_depth=8, allow_indefinite=False, allow_duplicate_keys=False, strict_hashable_types=True
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        # The cause is named by type alone: its text may quote what stands in the bytes.
        raise WireFormatError(f"{what} is not well-formed CBOR ({type(error).__name__})") from None


def _require_few_items(data: bytes, most: int, what: str) -> None:
    """Raise WireFormatError if *data* has more than *most* items, or a tag, which no message of ours has.

    Item after item, whatever holds which: nothing is built. Where *data* is not well-formed the count ends,
    as its reading will.
    """
    at, end, items = 0, len(data), 0
    while at < end:
        kind, value = data[at] >> 5, data[at] & 31
        at += 1
        items += 1
        if items > most or kind == _TAG:
            raise WireFormatError(f"{what} has more items than any message of ours, or a tag; refuse it")
        if value > 23:
            if value > 27:
                return
            width = 1 << (value - 24)
            value = int.from_bytes(data[at : at + width], "big")
            at += width
        if kind in (_BYTES, _TEXT):
            at += value


def must_be(data: bytes, expected: bytes, what: str) -> None:
    """Raise WireFormatError unless *data* is *expected*, the one form of the value read from it."""
    if data != expected:
        raise WireFormatError(f"{what} is not in its one deterministic form; refuse it")


def versioned(fields: object, what: str, version: int) -> dict[str, Any]:
    """Return *fields* if they are a table of that *version*.

    Raises WireFormatError if not: one side is older than the other.
    """
    if not isinstance(fields, dict) or fields.get("v") != version:
        raise WireFormatError(f"{what} is not of version {version}: update the older side")
    return fields
