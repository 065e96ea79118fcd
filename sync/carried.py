"""Batches and receipts on a stick, for units without a network: the same signed bytes, a file each.

    alpr-transfer/<unit>/<batch>.batch      what `encode_batch` gave, with its signature
    alpr-transfer/<unit>/<batch>.receipt    what the department answers, byte for byte as over the network
    alpr-transfer/<unit>/access-log/        <n>.piece: the log from entry n on; receipt: how far it is held

A batch is removed from the stick once the unit has its receipt. Whoever finds a stick learns how many reads a
unit made, and nothing of what is in them; what was altered on it is refused as it is from the network.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sync import wire
from sync.access_log import MAX_PIECE_BYTES
from sync.batch import MAX_BATCH_BYTES, SignedBatch
from sync.errors import DiskFullError, WireFormatError
from sync.receipts import MAX_RECEIPT_BYTES

FOLDER = "alpr-transfer"
BATCH, RECEIPT, PIECE = ".batch", ".receipt", ".piece"
_MAX_FILE_BYTES = MAX_BATCH_BYTES + 4096


class Stick:
    """One unit's folder on a stick, or on any other medium. Not for several threads."""

    def __init__(self, root: Path, unit_id: str) -> None:
        """*root* is where the stick is mounted. Nothing is made yet."""
        self.unit_id = unit_id
        self._folder = root / FOLDER / wire.identifier(unit_id)

    def put_batch(self, signed: SignedBatch) -> bool:
        """Write *signed* durably unless it is there already; return whether it was written.

        Raises DiskFullError if the stick has no room or fails: what was written before is good.
        """
        path = self._path(signed.batch_id, BATCH)
        data = wire.dumps([signed.batch_id, self.unit_id, signed.signature, signed.payload])
        if path.exists() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
        self._write(path, data)
        return True

    def put_receipt(self, batch_id: str, receipt: bytes) -> None:
        """Write *receipt* durably. Raises DiskFullError as `put_batch`."""
        self._write(self._path(batch_id, RECEIPT), receipt)

    def batches(self) -> Iterator[str]:
        """Yield the id of each batch on the stick, in no order."""
        for path in sorted(self._folder.glob(f"*{BATCH}")):
            if wire.is_identifier(path.stem):
                yield path.stem

    def strangers(self) -> Iterator[str]:
        """Yield the name of each file that is called like a batch and is none: a computer's own notes, which
        begin with a dot, are left out."""
        for path in sorted(self._folder.glob(f"*{BATCH}")):
            if not wire.is_identifier(path.stem) and not path.name.startswith("."):
                yield path.name

    def batch(self, batch_id: str) -> SignedBatch:
        """Return a batch as it was put there, whoever signed it.

        Raises WireFormatError if it is not one, or of another unit, OSError if it cannot be read.
        """
        data = _bounded(self._path(batch_id, BATCH), _MAX_FILE_BYTES)
        try:
            name, unit_id, signature, payload = wire.loads(data, "batch")
            signed = SignedBatch(wire.identifier(name), wire.octets(payload), wire.octets(signature))
            wire.must_be(data, wire.dumps([name, unit_id, signature, payload]), "batch")
        except (TypeError, ValueError) as error:
            raise WireFormatError(f"batch {batch_id}: the file is damaged; carry it again") from error
        if (signed.batch_id, unit_id) != (batch_id, self.unit_id):
            raise WireFormatError(f"batch {batch_id}: the file is of another batch or unit; carry it again")
        return signed

    def receipt(self, batch_id: str) -> bytes | None:
        """Return the receipt for a batch, unchecked; None if there is none. Raises OSError."""
        path = self._path(batch_id, RECEIPT)
        return _bounded(path, MAX_RECEIPT_BYTES) if path.is_file() else None

    def done(self, batch_id: str) -> None:
        """Remove a batch and its receipt. Raises DiskFullError if the stick fails."""
        with _translated(self._folder):
            for kind in (BATCH, RECEIPT):  # the batch first: a receipt alone does no harm
                self._path(batch_id, kind).unlink(missing_ok=True)

    def put_log(self, pieces: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Let *pieces* of the access log be those on the stick: first entry, payload, signature.

        Raises DiskFullError as `put_batch`.
        """
        with _translated(self._folder):
            for path in self._pieces():
                path.unlink(missing_ok=True)
        for first, payload, signature in pieces:
            self._write(self._log / f"{first:010d}{PIECE}", wire.dumps([signature, payload]))

    def log(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield payload and signature of each piece, whoever signed it, the oldest first.

        Raises WireFormatError if one is none, OSError if it cannot be read.
        """
        for path in self._pieces():
            try:
                signature, payload = wire.loads(_bounded(path, MAX_PIECE_BYTES + 4096), "piece")
                yield wire.octets(payload), wire.octets(signature)
            except (TypeError, ValueError) as error:
                raise WireFormatError(f"{path.name}: the file is damaged; carry it again") from error

    def put_log_receipt(self, receipt: bytes) -> None:
        """Write how far the department has the log. Raises DiskFullError as `put_batch`."""
        self._write(self._log / "receipt", receipt)

    def log_receipt(self) -> bytes | None:
        """Return the receipt for the log, unchecked; None if there is none. Raises OSError."""
        path = self._log / "receipt"
        return _bounded(path, MAX_RECEIPT_BYTES) if path.is_file() else None

    @property
    def _log(self) -> Path:
        return self._folder / "access-log"

    def _pieces(self) -> list[Path]:
        return sorted(self._log.glob(f"*{PIECE}"))

    def _path(self, batch_id: str, kind: str) -> Path:
        return self._folder / f"{wire.identifier(batch_id)}{kind}"

    def _write(self, path: Path, data: bytes) -> None:
        with _translated(self._folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            try:
                with draft.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)


def units_on(root: Path) -> list[str]:
    """Return the ids of the units whose batches or receipts are on the stick at *root*."""
    return sorted(path.name for path in (root / FOLDER).glob("*") if path.is_dir())


def _bounded(path: Path, most_bytes: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise WireFormatError(f"{path.name}: longer than {most_bytes} bytes; it is not ours")
    return data


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskFullError(f"{folder}: cannot be written ({error.strerror}); take another stick") from error
