"""A mosquitto that lets each unit say how it is and give its hits, and nothing else, ready to be copied to
its machine.

Written against mosquitto 2.0: its manual page mosquitto.conf(5).
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from server.broker import UPDATES_TOPIC
from server.errors import SettingsInvalidError
from server.keys import (
    BROKER_CLIENT,
    DepartmentKeys,
    certificate_pem,
    issue_server,
    private_pem,
    write_private,
)
from sync.hit_message import MAX_HIT_MESSAGE_BYTES

_CONF = """\
# mosquitto for {name}. Copy this folder to the broker's machine, then:
# mosquitto -c {folder}/mosquitto.conf

listener {port}{bind}
cafile {folder}/ca.pem
certfile {folder}/broker.tls.cert.pem
keyfile {folder}/broker.tls.key.pem
tls_version tlsv1.2
# Units that were revoked. `alpr-server broker-crl` writes it anew; mosquitto reads it when it starts.
crlfile {folder}/crl.pem

# Who connects is who the department's certificate says, also as client id: without the third line another
# unit's certificate could take over a unit's session.
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/acl

# The newest publication must survive a restart, for units that come back later.
persistence true
persistence_location {data}/
autosave_interval 60

# A status and a signed timestamp are small, hits longer; what is longer still is not the fleet's.
max_packet_size {max_packet}
max_queued_messages 100
max_keepalive 300
"""
_ACL = """\
# "pattern" lines are for every certificate, %u its name. Lines before any "user" would reach nobody here.
pattern write alpr/%u/status
pattern write alpr/%u/hits
pattern read alpr/%u/receipts
pattern read {updates}

user {department}
topic read alpr/+/status
topic read alpr/+/hits
topic write alpr/+/receipts
topic write {updates}
"""
_OVERHEAD_BYTES = 8192
"""Topic, properties, and a timestamp signed by several keys."""


def write_broker_config(
    keys: DepartmentKeys,
    out: Path,
    hosts: Sequence[str],
    *,
    revoked: bytes,
    name: str,
    port: int,
    now: datetime,
    folder: str = "/etc/mosquitto/alpr",
    data: str = "/var/lib/mosquitto",
    bind: str = "",
) -> None:
    """Write configuration, access list, and the broker's own key and certificate to the new folder *out*.

    *hosts* are the names under which units reach it; *revoked* is the list of revoked certificates, in PEM
    (`revocation.revocation_list`); *folder* and *data* are where it will lie on its
    machine; *bind* is the address it listens on, empty for all.

    Raises SettingsInvalidError if *out* exists, or a host is neither a DNS name nor an address.
    """
    if not hosts:
        raise SettingsInvalidError("broker: give the name under which units reach it")
    issued = issue_server(keys, hosts, now)
    try:
        out.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise SettingsInvalidError(f"{out} exists: nothing is overwritten; choose another folder") from None
    files = {
        "mosquitto.conf": _CONF.format(
            name=" ".join(name.split()),
            folder=folder,
            data=data,
            port=port,
            bind=f" {bind}" if bind else "",
            max_packet=MAX_HIT_MESSAGE_BYTES + _OVERHEAD_BYTES,
        ).encode(),
        "acl": _ACL.format(updates=UPDATES_TOPIC, department=BROKER_CLIENT).encode(),
        "ca.pem": certificate_pem(keys.ca_certificate),
        "crl.pem": revoked,
        "broker.tls.cert.pem": certificate_pem(issued.certificate),
        "broker.tls.key.pem": private_pem(issued.key),
    }
    for file, content in files.items():
        write_private(out / file, content)
