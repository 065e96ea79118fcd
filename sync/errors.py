"""What can go wrong between the unit and the department, named by what the catcher does."""


class SyncError(Exception):
    """Base of this folder's errors."""


class UnreachableError(SyncError):
    """The server cannot be reached or is busy: keep the batch, wait, send the same bytes again."""


class RefusedError(SyncError):
    """The server understood and said no (401 and 403 too): set the batch aside, tell a person."""


class ReceiptInvalidError(SyncError):
    """A receipt is not signed by the department or names other bytes: keep the batch, tell a person."""


class SealBrokenError(SyncError):
    """A sealed read or epoch key does not open: quarantine it, write an audit entry, give no receipt."""


class WireFormatError(SyncError):
    """Bytes are not a well-formed batch or receipt of a known version: refuse them as a whole."""


class OutboxCorruptError(SyncError):
    """The outbox database is damaged: set it aside beside, start a new one, tell the technician."""


class DiskFullError(SyncError):
    """No room is left to store a read: stop recording with an alarm, delete nothing untransferred."""
