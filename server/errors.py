"""What can go wrong on the department side, named by what the catcher does."""


class ServerError(Exception):
    """Base of this folder's errors. `exit_code` is what the process ends with (sysexits.h)."""

    exit_code = 1


class SettingsInvalidError(ServerError):
    """The server's folder is missing a file or holds a wrong value: print the remedy, exit 78."""

    exit_code = 78


class NotPermittedError(ServerError):
    """The certificate's unit, or the person, may not do this: answer 403, write an audit entry."""

    def __init__(self, message: str, *, action: str = "page.view") -> None:
        """*action* is what the entry of a page calls it."""
        super().__init__(message)
        self.action = action
        self.noted = False
        """Whether the entry is written already."""


class ForeignFormError(NotPermittedError):
    """A form does not carry the secret of the person's own session: answer 403, write an audit entry."""

    def __init__(self) -> None:
        super().__init__(
            "This form did not come from your own page. Go back and send it again.", action="form.refuse"
        )


class BatchConflictError(ServerError):
    """A batch or read id is known with other content: answer 409, write an audit entry, store nothing."""


class BookConflictError(ServerError):
    """A unit's book of local entries is not how the one held went on: answer 409, write an audit entry."""


class StoreUnavailableError(ServerError):
    """The disk is full or the database busy: answer 503, nothing was stored, the unit sends it again."""

    def __init__(self, message: str, retry_after_s: int = 30) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """How long the sender should wait: a busy database takes seconds, a full disk takes a person."""


class StoreDamagedError(StoreUnavailableError):
    """What was asked for is damaged in the database: show nothing of it, tell the administrator."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was damaged in the database: nothing of it is shown. Run `alpr-server check`, and "
            "restore the database from the backup",
            retry_after_s=300,
        )


class HotlistRefusedError(ServerError):
    """A feed or snapshot cannot become the list in force: the one before stays; tell the administrator."""


class LogConflictError(ServerError):
    """A unit's access log has a gap, a fork or a broken entry: refuse it, with an alarm; tell the auditor."""


class RetentionRefusedError(ServerError):
    """A hold or purge is not as the rules say: nothing was kept or destroyed; tell who asked."""


class AuditBrokenError(ServerError):
    """The access log was altered or cut: tell the auditor which entry; exit 1."""


class HitRefusedError(ServerError):
    """A disposition, judgement or correction is not as the rules say: nothing was written; tell who asked."""
