"""A new record of accepted versions, when the old one is damaged or gone. A person asks for it.

It cannot be done by itself: without the record the unit does not know what is the least that it may accept,
and whoever can damage a disk would only have to do so.
"""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from hotlist_cache.disk import RealDisk
from sync.errors import UpdateRejectedError
from sync.outbox_file import quarantine
from sync.trust import DATABASE_NAME, METADATA_NAME
from sync.trust_check import NO_FLOORS, ROOT, TIMESTAMP, Chain
from sync.trust_files import MetadataFiles, climb
from sync.trust_record import TrustRecord


def repair(folder: Path, pinned: bytes, now: datetime) -> str:
    """Set the record in *folder* aside, begin a new one from the metadata beside it, and say what came of it.

    *pinned* is the root of the unit's enrolment, *now* aware UTC. No `TrustedUpdates` may be open.

    Raises UpdateRejectedError if *pinned* is no root, DiskFullError or OSError if the disk fails.
    """
    Chain(pinned, None)
    metadata, database = folder / METADATA_NAME, folder / DATABASE_NAME
    metadata.mkdir(mode=0o700, exist_ok=True)
    if database.exists():
        quarantine(database)
    files = MetadataFiles(metadata, RealDisk())
    record = TrustRecord(database)
    try:
        record.pin(hashlib.sha256(pinned).hexdigest())
        for version in sorted((v for role, v in files.versions() if role == TIMESTAMP), reverse=True):
            try:
                chain = _publication(files, pinned, version)
                trusted = chain.trusted(now)
            except UpdateRejectedError:
                continue
            # Not later than it can have been: what has run out must show as such.
            accepted_at = min(now, min(trusted.expires.values()) - timedelta(seconds=1)).replace(
                microsecond=0
            )
            record.accept(chain.accepted(), chain.trusted(accepted_at), set())
            return f"publication {version} was found whole: nothing older is taken from now on"
        chain = climb(files, pinned, None, NO_FLOORS)
        record.accept_root(chain.accepted()[ROOT])
    finally:
        record.close()
    return (
        f"no publication was found whole: from root {chain.root_version} on, any that has not run out is"
        " taken, even one older than before; compare its versions with the department's"
    )


def _publication(files: MetadataFiles, pinned: bytes, version: int) -> Chain:
    chain = climb(files, pinned, None, NO_FLOORS)
    chain.add_timestamp(files.read(TIMESTAMP, version) or b"")
    for wanted in chain.pending():
        chain.add(wanted, files.read(wanted.role, wanted.version) or b"")
    return chain
