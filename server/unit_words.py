"""What units say of themselves, kept: the last status of each, whether it is online, and where it last was.

A status comes over MQTT or HTTPS (`sync.unit_status`) and names no place. Where a unit last was is taken from
the newest read with a fix that it handed in, in the transaction that stores it: the fleet's map must not look
for it among millions of reads.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, or_, update

from recognizer.read import PlateRead
from server.database import writing
from server.tables import units
from sync.errors import WireFormatError
from sync.unit_status import UnitStatus, decode_status, state_of

_CLOCKS_APART = timedelta(hours=1)
"""A read from further ahead is of a wrong clock: taken, it would stand as the newest for ever."""


def keep_word(engine: Engine, unit_id: str, payload: bytes, now: datetime) -> None:
    """Note what *unit_id* says of itself. A unit that nobody knows is passed over.

    What a unit said before it went offline stays; so it does where it speaks another version.

    Raises WireFormatError if *payload* is no status, StoreUnavailableError; nothing is noted then.
    """
    status = decode_status(payload)
    values: dict[str, object] = {"state": state_of(payload), "state_at": now}
    if status is not None:
        values |= {"status": payload.decode("utf-8"), "status_at": now}
    with writing(engine) as connection:
        connection.execute(update(units).where(units.c.unit_id == unit_id).values(**values))


def said_status(text: str | None) -> UnitStatus | None:
    """Return the status that is kept as *text*; None if there is none, or one of before an upgrade: the unit
    tells a new one within minutes."""
    try:
        return None if text is None else decode_status(text.encode())
    except WireFormatError:
        return None


def note_place(connection: Connection, unit_id: str, reads: Iterable[PlateRead], now: datetime) -> None:
    """Note where the newest of *reads* with a fix was made, in the caller's transaction."""
    known = [
        (read.settled.utc, read.fix.latitude_deg, read.fix.longitude_deg)
        for read in reads
        if read.fix is not None and read.settled.utc <= now + _CLOCKS_APART
    ]
    if not known:
        return
    at, latitude, longitude = max(known)
    connection.execute(
        update(units)
        .where(units.c.unit_id == unit_id)
        .where(or_(units.c.place_at.is_(None), units.c.place_at <= at))
        .values(place_at=at, latitude_deg=latitude, longitude_deg=longitude)
    )
