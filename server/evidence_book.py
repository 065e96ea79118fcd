"""The book of evidence packages: each one that was made, and each that was booked into evidence. For ever."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select

from server.actors import Actor, recorded
from server.database import reading
from server.release_errors import EvidenceRefusedError
from server.release_tables import evidence_bookings, evidence_packages
from server.texts import line_of

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PackageRow:
    """A package that was made."""

    package_id: int
    made_by: str
    made_at: datetime
    case_number: str
    purpose: str
    reads: int
    manifest_sha256: str
    sha256: str
    """Of the file as it left, encrypted or not."""
    bytes: int
    key: str
    """Fingerprint of the key that signed it."""
    recipient_id: int | None
    request_id: int | None
    unencrypted_reason: str | None
    """None: it is encrypted."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A package on portable media, in the property room."""

    booking_id: int
    package_id: int
    item_number: str
    place: str
    booked_by: str
    booked_at: datetime
    sha256: str


def store_package(connection: Connection, row: PackageRow) -> int:
    """Write *row*, whose id is not looked at, in the caller's transaction; return the package's number."""
    result = connection.execute(
        insert(evidence_packages).values(
            made_by=row.made_by,
            made_at=row.made_at,
            case_number=row.case_number,
            purpose=row.purpose,
            reads=row.reads,
            manifest_sha256=row.manifest_sha256,
            sha256=row.sha256,
            bytes=row.bytes,
            key=row.key,
            recipient_id=row.recipient_id,
            request_id=row.request_id,
            unencrypted_reason=row.unencrypted_reason,
        )
    )
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def packages_in(connection: Connection, request_id: int | None = None) -> list[PackageRow]:
    """Return every package, or those of one request, the newest first."""
    statement = select(evidence_packages).order_by(evidence_packages.c.package_id.desc())
    if request_id is not None:
        statement = statement.where(evidence_packages.c.request_id == request_id)
    return [PackageRow(**row._asdict()) for row in connection.execute(statement)]


def book(engine: Engine, file: Path, *, item_number: str, place: str, actor: Actor, now: datetime) -> Booking:
    """Record that the package in *file* lies in the property room, under *item_number*.

    Raises EvidenceRefusedError if no package that was made here has these bytes.
    """
    # Before the transaction: a stick is slow, and units hand in their batches meanwhile.
    digest = _digest(file)
    return book_digest(engine, digest, item_number=item_number, place=place, actor=actor, now=now)


def book_digest(
    engine: Engine, digest: str, *, item_number: str, place: str, actor: Actor, now: datetime
) -> Booking:
    """The same of a file whose SHA-256 was just taken, hexadecimal."""
    detail: dict[str, object] = {"sha256": digest}
    with recorded(engine, actor, "evidence.book", detail, now) as connection:
        item, where = line_of("item number", item_number, 64), line_of("place", place, 256)
        package_id = connection.execute(
            select(evidence_packages.c.package_id).where(evidence_packages.c.sha256 == digest)
        ).scalar()
        if package_id is None:
            raise EvidenceRefusedError(
                "this file is no package that was made here, or was changed: see `alpr-server evidence list`"
            )
        row = {
            "package_id": package_id,
            "item_number": item,
            "place": where,
            "booked_by": actor.name,
            "booked_at": now,
            "sha256": digest,
        }
        result = connection.execute(insert(evidence_bookings).values(row))
        assert result.inserted_primary_key is not None
        booking = Booking(
            int(result.inserted_primary_key[0]), package_id, item, where, actor.name, now, digest
        )
        detail |= {"package": package_id, "item": item, "place": where}
    return booking


def the_book(engine: Engine, actor: Actor, now: datetime) -> tuple[list[PackageRow], list[Booking]]:
    """Return all packages and bookings, the newest first; *actor* saw them, and the access log says so."""
    with reading(engine) as connection:
        packages = packages_in(connection)
        rows = connection.execute(select(evidence_bookings).order_by(evidence_bookings.c.booking_id.desc()))
        bookings = [Booking(**row._asdict()) for row in rows]
    detail = {"packages": len(packages), "bookings": len(bookings)}
    with recorded(engine, actor, "evidence.list", detail, now):
        pass
    return packages, bookings


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as data:
            while chunk := data.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise EvidenceRefusedError(f"the package cannot be read ({error.strerror})") from error
    return digest.hexdigest()
