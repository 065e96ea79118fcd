"""What leaves the department: for an approved request, or for its own property room. Each is on record.

A package is made without holding up units that hand in their batches: what was allowed before is asked again
when it goes into the book.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from sqlalchemy import Connection, select

from server.actors import Actor, recorded
from server.department import Department
from server.evidence_book import PackageRow, packages_in, store_package
from server.evidence_package import Package, Statement, make_package
from server.evidence_scope import Scope, checked, chosen_in
from server.evidence_seal import encrypted, evidence_key, name_of
from server.files import replacing
from server.purposes import label_of
from server.release_errors import EvidenceRefusedError, ReleaseRefusedError
from server.release_letters import Letters, kept_file
from server.release_recipients import AgencyKind, Recipient, keepers, require_role
from server.releases import Releases, Request, State, add_step, request_in
from server.tables import hits
from server.texts import line_of


@dataclass(frozen=True, slots=True)
class Export:
    """A package that left."""

    package_id: int
    content: bytes = field(repr=False)
    """CMS in DER, or a ZIP file where it is not encrypted."""
    sha256: str
    reads: int
    key: str
    """Fingerprint of the key that signed it: tell the recipient by another way."""


def releases_of(department: Department) -> Releases:
    """Return the register of *department*."""
    letters = Letters(department.folder.letters)
    return Releases(department.engine, department.settings.release, letters)


def fulfil(
    department: Department, request_id: int, chosen: Sequence[str] = (), *, actor: Actor, now: datetime
) -> Export:
    """Export what an approved request asks for, or those of its reads that were *chosen*, to its recipient.

    The package is kept, encrypted, to be fetched again. Raises ReleaseRefusedError, EvidenceRefusedError if
    something chosen is outside the scope, or NotPermittedError.
    """
    releases = releases_of(department)
    detail: dict[str, object] = {"request": request_id}
    with recorded(department.engine, actor, "release.prepare", detail, now) as connection:
        request, recipient, certificate = _approved(connection, releases, request_id, actor, now)
        read_ids = chosen_in(connection, request.asked.scope, chosen)
        detail["reads"] = len(read_ids)
    statement = Statement(
        department.settings.department.name,
        actor.name,
        now,
        request.asked.case_number,
        request.asked.purpose,
        recipient.name,
        request_id,
        request.asked.legal_basis,
    )
    package, key = _package(department, read_ids, statement, now)
    content = encrypted(package.archive, certificate)
    digest = hashlib.sha256(content).hexdigest()
    detail = {"request": request_id, "recipient": recipient.recipient_id, "shown": list(package.read_ids)}
    detail |= {"sha256": digest, "manifest": package.manifest_sha256, "asked": request.asked.scope.asked}
    with recorded(department.engine, actor, "release.export", detail, now) as connection:
        # Asked again: it may have been refused, or its recipient disabled, while the package was made.
        _approved(connection, releases, request_id, actor, now)
        with replacing(department.folder.packages / digest) as file:
            file.write(content)
        row = _row(package, content, statement, key=key, recipient_id=recipient.recipient_id)
        package_id = store_package(connection, row)
        add_step(connection, request_id, State.FULFILLED, actor, now, package_id=package_id)
        detail["package"] = package_id
    return Export(package_id, content, digest, len(package.read_ids), key)


def fetch(department: Department, request_id: int, *, actor: Actor, now: datetime) -> Export:
    """Return the package that a fulfilled request was answered with, encrypted as it is.

    Raises ReleaseRefusedError if there is none, NotPermittedError, SettingsInvalidError if it was changed.
    """
    detail: dict[str, object] = {"request": request_id}
    with recorded(department.engine, actor, "release.download_package", detail, now) as connection:
        require_role(actor, keepers(department.settings.release), "The package")
        found = packages_in(connection, request_id)
        if not found:
            raise ReleaseRefusedError(f"request {request_id} was not answered with a package")
        row = found[0]
        detail |= {"package": row.package_id, "sha256": row.sha256}
    content = kept_file(department.folder.packages / row.sha256, row.sha256)
    return Export(row.package_id, content, row.sha256, row.reads, row.key)


def package_for_booking(
    department: Department,
    scope: Scope,
    *,
    recipient_id: int | None = None,
    unencrypted_reason: str = "",
    actor: Actor,
    now: datetime,
) -> Export:
    """Package reads for the own property room: encrypted to *recipient_id*, or with a reason not.

    Raises EvidenceRefusedError without recipient and reason, or with both; ReleaseRefusedError if the
    recipient is another agency, which needs a release request; NotPermittedError.
    """
    releases = releases_of(department)
    detail: dict[str, object] = {"asked": scope.asked}
    with recorded(department.engine, actor, "evidence.prepare", detail, now) as connection:
        require_role(actor, keepers(department.settings.release), "Packaging evidence")
        recipient, certificate = _own(connection, releases, recipient_id, unencrypted_reason, now)
        reason = line_of("reason", unencrypted_reason, 512) if certificate is None else None
        read_ids = chosen_in(connection, checked(scope))
        detail["reads"] = len(read_ids)
        if certificate is None:
            _require_seen(connection, department, read_ids, actor)
    statement = Statement(
        department.settings.department.name,
        actor.name,
        now,
        actor.purpose.case_number,
        label_of(actor.purpose.code),
        "" if recipient is None else recipient.name,
    )
    package, key = _package(department, read_ids, statement, now)
    content = package.archive if certificate is None else encrypted(package.archive, certificate)
    digest = hashlib.sha256(content).hexdigest()
    detail |= {"shown": list(package.read_ids), "sha256": digest, "manifest": package.manifest_sha256}
    detail |= {"encrypted": certificate is not None, "recipient": recipient_id, "reason": reason or ""}
    with recorded(department.engine, actor, "evidence.build", detail, now) as connection:
        _own(connection, releases, recipient_id, unencrypted_reason, now)
        row = _row(package, content, statement, key=key, recipient_id=recipient_id, reason=reason)
        detail["package"] = package_id = store_package(connection, row)
    return Export(package_id, content, digest, len(package.read_ids), key)


def _require_seen(
    connection: Connection, department: Department, read_ids: Sequence[str], actor: Actor
) -> None:
    """Raises EvidenceRefusedError if a hit of the reads is of a list that *actor* may not see: whoever makes
    an unencrypted package can open it."""
    named = select(hits.c.list_name).where(hits.c.read_id.in_(read_ids)).distinct()
    role = "" if actor.role is None else actor.role.value
    if any(department.visibility.hides(name, role) for name in connection.execute(named).scalars()):
        raise EvidenceRefusedError(
            "a read in it met a list that your role may not see: encrypt the package to the property room, "
            "or let somebody make it who may see the list"
        )


def _approved(
    connection: Connection, releases: Releases, request_id: int, actor: Actor, now: datetime
) -> tuple[Request, Recipient, x509.Certificate]:
    require_role(actor, keepers(releases.rules), "Exporting")
    request = request_in(connection, request_id)
    if request.state is not State.APPROVED:
        raise ReleaseRefusedError(f"request {request_id} is {request.state}: nothing is exported for it")
    # Of the step that approved it, not of the request: the approval says who is given what.
    approved_for = request.steps[-1].recipient_id
    if approved_for is None:
        raise ReleaseRefusedError(f"request {request_id} was approved for nobody")
    recipient, certificate = releases.recipients.usable(connection, approved_for, now)
    return request, recipient, certificate


def _own(
    connection: Connection,
    releases: Releases,
    recipient_id: int | None,
    reason: str,
    now: datetime,
) -> tuple[Recipient | None, x509.Certificate | None]:
    if (recipient_id is None) == (not reason.strip()):
        raise EvidenceRefusedError(
            "a package is encrypted to a recipient; only what is booked into evidence may stay unencrypted, "
            "with a reason: give one of the two"
        )
    if recipient_id is None:
        return None, None
    recipient, certificate = releases.recipients.usable(connection, recipient_id, now)
    if recipient.kind is not AgencyKind.OWN:
        raise ReleaseRefusedError(
            f"recipient {recipient_id} is another agency: enter its request with `alpr-server release enter`"
        )
    return recipient, certificate


def _package(
    department: Department, read_ids: Sequence[str], statement: Statement, now: datetime
) -> tuple[Package, str]:
    key = evidence_key(department.engine, department.folder, now)
    receipt_key = department.keys.receipt.public_key().public_bytes_raw()
    package = make_package(
        department.engine,
        read_ids,
        statement,
        key=key,
        receipt_key=receipt_key,
        fetch=department.pictures.fetch,
    )
    return package, name_of(key)


def _row(
    package: Package,
    content: bytes,
    statement: Statement,
    *,
    key: str,
    recipient_id: int | None,
    reason: str | None = None,
) -> PackageRow:
    return PackageRow(
        package_id=0,
        made_by=statement.made_by,
        made_at=statement.made_at,
        case_number=statement.case_number,
        purpose=statement.purpose,
        reads=len(package.read_ids),
        manifest_sha256=package.manifest_sha256,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        key=key,
        recipient_id=recipient_id,
        request_id=statement.request,
        unencrypted_reason=reason,
    )
