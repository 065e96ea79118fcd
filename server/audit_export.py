"""Write a stretch of the access log to a file that anybody can check offline: see `audit_offline`."""

import base64
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from server.audit import Deed, append
from server.audit_checkpoints import Checkpoints, stored_checkpoints
from server.audit_offline import FORM, WholeExport, end_message, fingerprint
from server.audit_report import Imprint
from server.audit_signing import Checkpoint, line_of
from server.database import reading, writing
from server.errors import SettingsInvalidError
from server.tables import audit


def write_export(
    engine: Engine, checkpoints: Checkpoints, imprint: Imprint, out: Path, *, deed: Deed, now: datetime
) -> WholeExport:
    """Write the entries of the imprint's period, with their checkpoints, to the new file *out*.

    The head is signed first, so that the newest entries are covered too. *deed* is recorded before
    anything is written. Raises SettingsInvalidError if there is no entry or *out* exists or cannot be
    written, and what `Checkpoints.step` raises.
    """
    checkpoints.step(now, at_once=True)
    with writing(engine) as connection:
        append(connection, deed, now)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SettingsInvalidError(
            f"{out}: cannot be made ({error.strerror}); nothing is overwritten"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file, reading(engine) as connection:
            digest, count, marks = hashlib.sha256(), 0, 0
            first, last = _bounds(connection, imprint)
            for line, is_entry in _lines(connection, checkpoints, imprint, first, last):
                file.write(line)
                digest.update(line)
                count += is_entry is True
                marks += is_entry is False
            sha256 = digest.hexdigest()
            signature = checkpoints.sign(end_message(sha256))
            end = {
                "kind": "end",
                "entries": count,
                "checkpoints": marks,
                "sha256": sha256,
                "signature": base64.b64encode(signature).decode("ascii"),
            }
            file.write(_line(end))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        out.unlink()  # half an export would only raise false alarm
        raise SettingsInvalidError(f"{out}: cannot be written ({error.strerror})") from error
    except SettingsInvalidError:
        out.unlink()
        raise
    key = fingerprint(checkpoints.public_key())
    made_at = imprint.made_at.isoformat(timespec="seconds")
    return WholeExport(
        imprint.department, count, first, last, marks, key, made_at, imprint.made_by, imprint.purpose
    )


def _bounds(connection: Connection, imprint: Imprint) -> tuple[int, int]:
    period = imprint.period
    # By number, not by time: a clock that was set back must leave no gap in the chain.
    first, last = connection.execute(
        select(func.min(audit.c.sequence), func.max(audit.c.sequence)).where(
            audit.c.at >= period.start, audit.c.at < period.end
        )
    ).one()
    if first is None:
        raise SettingsInvalidError(f"the access log has no entry from {period}")
    return first, last


def _lines(
    connection: Connection, checkpoints: Checkpoints, imprint: Imprint, first: int, last: int
) -> Iterator[tuple[bytes, bool | None]]:
    """Yield each line but the last; is it an entry (True), a checkpoint (False) or the beginning (None)?"""
    marks: dict[int, list[Checkpoint]] = defaultdict(list)
    for each in stored_checkpoints(connection, first - 1, last):
        marks[each.sequence].append(each)
    for place, row in enumerate(
        connection.execute(
            select(audit).where(audit.c.sequence.between(first, last)).order_by(audit.c.sequence)
        )
    ):
        if place == 0:
            yield _line(_beginning(checkpoints, imprint, first, last, row.previous.hex())), None
            for each in marks[first - 1]:
                yield line_of(each), False
        fields = row._asdict()
        fields |= {
            "at": row.at.isoformat(timespec="microseconds"),
            "previous": row.previous.hex(),
            "digest": row.digest.hex(),
        }
        yield _line({"kind": "entry", **fields}), True
        for each in marks[row.sequence]:
            yield line_of(each), False


def _beginning(
    checkpoints: Checkpoints, imprint: Imprint, first: int, last: int, previous: str
) -> dict[str, object]:
    return {
        "kind": "export",
        "form": FORM,
        "department": imprint.department,
        "period": str(imprint.period),
        "exported_at": imprint.made_at.isoformat(timespec="seconds"),
        "exported_by": imprint.made_by,
        "purpose": imprint.purpose,
        "case_number": imprint.case_number,
        "first": first,
        "last": last,
        "previous": previous,
        "public_key": checkpoints.public_key().hex(),
    }


def _line(record: dict[str, object]) -> bytes:
    return json.dumps(record).encode("ascii") + b"\n"
