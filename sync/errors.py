"""What can go wrong between the unit and the department, named by what the catcher does."""


class SyncError(Exception):
    """Base of this folder's errors."""


class UnreachableError(SyncError):
    """The server cannot be reached or is busy: keep the batch, wait, send the same bytes again."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """*retry_after_s* is how long the server asked to be left alone, where it said so."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotTrustedError(UnreachableError):
    """One side does not accept the other's certificate: as above, and tell a person.

    Nothing was sent, or nothing was read: whoever answers may be an impostor, or a certificate has run out.
    The batch is as good as before, so it is not set aside.
    """


class TooSlowError(UnreachableError):
    """The batch did not arrive in the time that the server gives it: so many bytes fare no better again over
    this network. Cut it smaller."""


class RefusedError(SyncError):
    """The server understood and said no (401 and 403 too): set the batch aside, tell a person."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        """*status* is the HTTP status, where one came."""
        super().__init__(message)
        self.status = status


class ReceiptInvalidError(SyncError):
    """A receipt is not signed by the department or names other bytes: keep the batch, tell a person."""


class SealBrokenError(SyncError):
    """A sealed read or epoch key does not open: quarantine it, write an audit entry, give no receipt."""


class WireFormatError(SyncError):
    """Bytes are not a well-formed batch or receipt of a known version: refuse them as a whole."""


class OutboxCorruptError(SyncError):
    """The outbox database is damaged: set it aside beside, start a new one, tell the technician."""


class OutboxVersionError(SyncError):
    """A newer program wrote the outbox: stop and install that one; the file is sound, leave it."""


class DiskFullError(SyncError):
    """The disk takes no more reads (full, read-only or failing): stop recording with an alarm.

    Nothing untransferred is deleted to make room.
    """


class NotPublishedError(SyncError):
    """A source of updates holds no file of that name: there is no newer one, or the copy is incomplete."""


class UpdateRejectedError(SyncError):
    """What passes for the department's publication cannot be used: keep what is in force, tell a person."""

    def __init__(self, message: str, *, alarm: str) -> None:
        """*alarm* is one line for the technician and the audit log: what it may mean, and what to do."""
        super().__init__(message)
        self.alarm = alarm


class UpdateExpiredError(UpdateRejectedError):
    """A publication is past its date: keep what is in force, show it as STALE, ask again."""


class UpdateRolledBackError(UpdateRejectedError):
    """A publication is older than one accepted before: keep the newer, tell a person."""


class UpdateSlowError(UpdateRejectedError):
    """A source sends too slowly or too long: it was cut off; ask again, or another source."""


class TrustLostError(UpdateRejectedError):
    """The unit's own record of what it accepted is damaged or gone: take nothing new until it is repaired."""
