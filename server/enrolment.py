"""Take a unit into the department: its certificate and keys, the files it needs, its row in the database."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection, Engine, insert, select, update

from server.audit import Deed, append
from server.database import writing
from server.errors import SettingsInvalidError
from server.keys import (
    BROKER_CLIENT,
    DepartmentKeys,
    IssuedCertificate,
    certificate_pem,
    issue_client,
    issue_server,
    private_pem,
    public_pem,
    write_private,
)
from server.tables import units

# A DNS label, because the id is also a DNS name in the certificate and one level of an MQTT topic.
_UNIT_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_CONFIG = """\
# Configuration of this unit. Unknown keys are errors; `alpr-edge check` tells what is wrong.

[unit]
id = "{unit_id}"
state_dir = "/var/lib/alpr-edge"
keys_dir = "keys"

# One section for each camera. Take away the leading "#" and name the source.
#[[cameras]]
#name = "front-left"
#source = "v4l2:/dev/video0"
#width_px = 1280
#height_px = 720
#frames_per_s = 15

[sync]
server_url = "{server_url}"

[mqtt]
host = "{mqtt_host}"
port = {mqtt_port}

# The officers' page. For a laptop on the vehicle's network set host to the unit's address there.
[page]
host = "127.0.0.1"
hosts = {page_hosts}

# On a Raspberry Pi or another small computer take away both "#".
#[recognizer]
#model_pack = "pi5"
"""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class UnitAddresses:
    """Where a unit finds its department; an empty broker host means that there is none."""

    server_url: str
    mqtt_host: str
    mqtt_port: int


def enroll(
    engine: Engine,
    keys: DepartmentKeys,
    unit_id: str,
    out: Path,
    addresses: UnitAddresses,
    *,
    updates_root: bytes,
    actor: str,
    now: datetime,
    page_hosts: Sequence[str] = (),
) -> None:
    """Write to *out* all that the unit needs, and register it. *updates_root* is what the unit believes
    publications by; by *page_hosts* and its own id a laptop may call its page. A certificate it had before
    no longer counts.

    The unit is registered last: files that could not all be written belong to nobody.

    Raises SettingsInvalidError if the id cannot be one, or *out* holds a unit's files already.
    """
    if not _UNIT_ID.fullmatch(unit_id) or unit_id == BROKER_CLIENT:
        raise SettingsInvalidError(
            f"unit id {unit_id!r}: use 1 to 63 of a-z, 0-9 and inner hyphens, and not {BROKER_CLIENT!r}"
        )
    if not re.fullmatch(r"https://[A-Za-z0-9.:\[\]_-]+/?", addresses.server_url):
        raise SettingsInvalidError(f"server URL {addresses.server_url!r}: write https://HOST:PORT")
    page = _page_certificate(keys, unit_id, page_hosts, addresses, now)
    certificate = issue_client(keys, unit_id, now)
    signing = Ed25519PrivateKey.generate()
    _write_files(
        out,
        keys,
        certificate,
        page=page,
        page_hosts=page_hosts,
        signing=signing,
        unit_id=unit_id,
        addresses=addresses,
        updates_root=updates_root,
    )
    row = {
        "public_key": signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        "certificate_serial": certificate.serial,
        "certificate_expires_at": certificate.certificate.not_valid_after_utc,
        "enrolled_at": now,
        "revoked_at": None,
    }
    with writing(engine) as connection:
        again = _known(connection, unit_id)
        if again:
            connection.execute(update(units).where(units.c.unit_id == unit_id).values(row))
        else:
            connection.execute(insert(units).values(unit_id=unit_id, **row))
        detail = {"unit": unit_id, "serial": certificate.serial, "again": again}
        append(connection, Deed(actor, "unit.enroll", detail=detail), now)


def renew_page(
    engine: Engine,
    keys: DepartmentKeys,
    unit_id: str,
    out: Path,
    addresses: UnitAddresses,
    *,
    actor: str,
    now: datetime,
    page_hosts: Sequence[str] = (),
) -> None:
    """Write a new certificate and key for the page of *unit_id* to the new folder *out*.

    For a unit that was enrolled before there was a page, or is called by other names now. Raises
    SettingsInvalidError if there is no such unit, or *out* is there.
    """
    page = _page_certificate(keys, unit_id, page_hosts, addresses, now)
    with writing(engine) as connection:
        if not _known(connection, unit_id):
            raise SettingsInvalidError(f"unit {unit_id!r} was never enrolled: see the units page for its id")
        try:
            out.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            raise SettingsInvalidError(
                f"{out} exists: nothing is overwritten; choose another folder"
            ) from None
        for name, content in _page_files(page).items():
            write_private(out / name, content)
        detail = {"unit": unit_id, "serial": page.serial, "hosts": list(page_hosts)}
        append(connection, Deed(actor, "unit.page_certificate", detail=detail), now)


def revoke(engine: Engine, unit_id: str, *, actor: str, now: datetime) -> None:
    """Refuse the unit from now on; what it sent stays.

    Raises SettingsInvalidError if there is no such unit.
    """
    with writing(engine) as connection:
        if not _known(connection, unit_id):
            raise SettingsInvalidError(f"unit {unit_id!r} was never enrolled: see the units page for its id")
        connection.execute(update(units).where(units.c.unit_id == unit_id).values(revoked_at=now))
        append(connection, Deed(actor, "unit.revoke", detail={"unit": unit_id}), now)


def _known(connection: Connection, unit_id: str) -> bool:
    return connection.execute(select(units.c.unit_id).where(units.c.unit_id == unit_id)).first() is not None


def _page_certificate(
    keys: DepartmentKeys,
    unit_id: str,
    page_hosts: Sequence[str],
    addresses: UnitAddresses,
    now: datetime,
) -> IssuedCertificate:
    """Return what the laptop's browser sees of the unit."""
    department = {urlsplit(addresses.server_url).hostname or "", addresses.mqtt_host.lower()} - {""}
    # A stolen unit must not be able to pose as the department.
    if taken := {host.lower() for host in page_hosts} & department - set(_LOOPBACK):
        raise SettingsInvalidError(f"page host {min(taken)!r} is the department's own; give the unit's")
    return issue_server(keys, [unit_id, *_LOOPBACK, *page_hosts], now)


def _page_files(page: IssuedCertificate) -> dict[str, bytes]:
    return {
        "page.tls.cert.pem": certificate_pem(page.certificate),
        "page.tls.key.pem": private_pem(page.key),
    }


def _write_files(
    out: Path,
    keys: DepartmentKeys,
    certificate: IssuedCertificate,
    *,
    page: IssuedCertificate,
    page_hosts: Sequence[str],
    signing: Ed25519PrivateKey,
    unit_id: str,
    addresses: UnitAddresses,
    updates_root: bytes,
) -> None:
    folder = out / "keys"
    config = out / "config.toml"
    if folder.exists() or config.exists():
        raise SettingsInvalidError(
            f"{out} holds a unit's files: nothing is overwritten; choose another --out"
        )
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    files = {
        "department.x25519.pub.pem": public_pem(keys.unseal),
        "receipt.ed25519.pub.pem": public_pem(keys.receipt),
        "hotlist.ed25519.pub.pem": public_pem(keys.hotlist),
        "unit.ed25519.key.pem": private_pem(signing),
        "unit.tls.cert.pem": certificate_pem(certificate.certificate),
        "unit.tls.key.pem": private_pem(certificate.key),
        "ca.pem": certificate_pem(keys.ca_certificate),
        "storage.key": secrets.token_bytes(32),
        "updates.root.json": updates_root,
        **_page_files(page),
    }
    for name, content in files.items():
        write_private(folder / name, content)
    text = _CONFIG.format(
        unit_id=unit_id,
        server_url=addresses.server_url,
        mqtt_host=addresses.mqtt_host,
        mqtt_port=addresses.mqtt_port,
        # JSON's array of strings is TOML's too; what stands in it was checked as a DNS name or address.
        page_hosts=json.dumps(list(page_hosts)),
    )
    write_private(config, text.encode())
