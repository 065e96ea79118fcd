"""Agencies with certificates, a department with people and reads, and requests on their way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from recognizer.read import PlateRead
from server.access import Purpose, Role, add_account
from server.actors import Actor
from server.database import reading
from server.department import Department
from server.evidence_scope import Scope
from server.intake import Intake
from server.release_export import releases_of
from server.release_recipients import AgencyKind
from server.releases import Asked
from tests.databases import Database
from tests.departments import PASSWORD, a_department, a_unit
from tests.fakes import a_hit, a_read

NOW = datetime.now(UTC)
PDF = b"%PDF-1.7 an invented letter"
PEOPLE = {
    "reyes": Role.OFFICER,
    "brandt": Role.SUPERVISOR,
    "tanaka": Role.SUPERVISOR,
    "chief": Role.ADMIN,
    "deputy": Role.ADMIN,
    "okafor": Role.AUDITOR,
    "lindgren": Role.TECHNICIAN,
}
PLATES = ("8ABC012", "8ABC999", "XYZ777")


@dataclass(frozen=True)
class Holder:
    """An agency's own key, and the certificate that it gave the department."""

    key: bytes
    certificate: bytes

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write key and certificate for openssl; return their paths."""
        folder.mkdir(exist_ok=True)
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        key.write_bytes(self.key)
        certificate.write_bytes(self.certificate)
        return key, certificate


def a_certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=365),
    encipherment: bool | None = None,
) -> bytes:
    """Return a certificate that its own key signed, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An invented agency")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    if encipherment is not None:
        usage = x509.KeyUsage(True, False, encipherment, False, False, False, False, False, False)
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key; the same one for the whole test run, as making one takes its time."""
    return rsa.generate_private_key(65537, bits)


@cache
def a_holder() -> Holder:
    """Return an agency."""
    key = rsa_key()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Holder(pem, a_certificate(key))


def who(name: str) -> Actor:
    """Return one of `PEOPLE` on the pages; "console:" and a name at the console."""
    role = None if name.startswith("console:") else PEOPLE[name]
    return Actor(name, role, "192.0.2.9", Purpose("investigation", "26-0042"))


def a_peopled_department(root: Path, database: Database | None = None) -> Department:
    """Return a department with `PEOPLE`, and one unit that handed in a read of each of `PLATES`."""
    department = a_department(root) if database is None else database.department(root)
    for name, role in PEOPLE.items():
        if name != "chief":
            until = date(2099, 1, 1)
            add_account(department.engine, name, role, PASSWORD, until, actor="console:test", now=NOW)
    hand_in(department, [a_read(plate=plate) for plate in PLATES], hits=True)
    return department


def hand_in(department: Department, items: Sequence[PlateRead], *, hits: bool = False) -> None:
    """Let the department's unit hand in *items*."""
    out = department.folder.root.with_name("unit-files")
    number = len(list(out.parent.glob("unit-files*")))
    unit = a_unit(department, out.with_name(f"unit-files-{number}"))
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    intake.take(unit.peer, unit.batch(items, [a_hit(read) for read in items] if hits else ()), NOW)


def read_ids(department: Department) -> list[str]:
    """Return the ids of all reads, in the order of `PLATES`."""
    with reading(department.engine) as connection:
        rows = connection.execute(text("SELECT read_id FROM reads ORDER BY settled_at, read_id"))
        return list(rows.scalars())


def a_recipient(
    department: Department,
    *,
    kind: AgencyKind = AgencyKind.LAW_ENFORCEMENT,
    state: str = "CA",
    approved: bool = True,
    certificate: bytes = b"",
) -> int:
    """Return the number of an agency that is on the allow-list."""
    recipients = releases_of(department).recipients
    number = recipients.add(
        name="Example Sheriff",
        kind=kind,
        state=state,
        contact="Records desk, 555-0100",
        pem=certificate or a_holder().certificate,
        actor=who("brandt"),
        now=NOW,
    )
    if approved:
        recipients.approve(number, actor=who("chief"), now=NOW)
    return number


def asked(
    recipient_id: int | None,
    scope: Scope,
    *,
    kind: AgencyKind = AgencyKind.LAW_ENFORCEMENT,
    agency: str = "Example Sheriff",
) -> Asked:
    """Return a request as somebody enters it."""
    return Asked(
        agency, kind, recipient_id, "Sgt. Invented", "Burglary series", "Pen. Code 459", "26-0042", scope
    )


def an_approved_request(department: Department, scope: Scope) -> int:
    """Return the number of a request of an agency on the list, for *scope*, that was approved."""
    register = releases_of(department)
    number = register.enter(asked(a_recipient(department), scope), PDF, actor=who("brandt"), now=NOW)
    register.review(number, note="in order", actor=who("brandt"), now=NOW)
    register.approve(number, note="", actor=who("chief"), now=NOW)
    return number


def newest_entries(department: Department, most: int = 50) -> list[tuple[str, str, str, str]]:
    """Return actor, action, outcome and detail of the newest entries of the access log, newest first."""
    statement = text("SELECT actor, action, outcome, detail FROM audit ORDER BY sequence DESC LIMIT :most")
    with reading(department.engine) as connection:
        rows = connection.execute(statement, {"most": most})
        return [(row.actor, row.action, row.outcome, row.detail) for row in rows]
