"""Certificates of units that no longer count, as a list that a broker can read (X.509 CRL, RFC 5280).

The server itself asks its database at each connection. A broker knows certificates alone.
"""

import json
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, select

from server.keys import DepartmentKeys
from server.tables import audit, units

# A broker turns everybody away once the list has run out, so it does not within the life of a certificate.
_VALID = timedelta(days=3650)
_BACKDATED = timedelta(days=1)


def revocation_list(connection: Connection, keys: DepartmentKeys, now: datetime) -> bytes:
    """Return the list at *now*, in PEM, signed by the department's CA.

    On it stand the certificates of revoked units, and those that a later enrolment of a unit replaced.
    """
    in_force = {
        row.certificate_serial
        for row in connection.execute(select(units.c.certificate_serial).where(units.c.revoked_at.is_(None)))
    }
    issued = connection.execute(
        select(audit.c.at, audit.c.detail)
        .where(audit.c.action == "unit.enroll", audit.c.outcome == "success")
        .order_by(audit.c.sequence)
    )
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(keys.ca_certificate.subject)
        .last_update(now - _BACKDATED)
        .next_update(now + _VALID)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(keys.ca_key.public_key()), critical=False
        )
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
    )
    for at, detail in issued:
        serial = str(json.loads(detail)["serial"])
        if serial not in in_force:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(serial, 16))
                .revocation_date(min(at, now))
                .build()
            )
    return builder.sign(keys.ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)
