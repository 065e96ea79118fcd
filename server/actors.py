"""Who does something, in which role and why; and a transaction that stands in the access log either way."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from server.access import Purpose, Role
from server.audit import Deed, append, same_person
from server.database import writing
from server.errors import HitRefusedError, NotPermittedError, RetentionRefusedError
from server.release_errors import EvidenceRefusedError, ReleaseRefusedError


@dataclass(frozen=True, slots=True)
class Actor:
    """One person at work."""

    name: str
    """As the access log has it: an account, or "console:" with an operating-system account."""
    role: Role | None = None
    """None at the console: who may use the department's folder there is for the operating system to say."""
    source: str = "console"
    purpose: Purpose = field(default_factory=lambda: Purpose("", ""))

    def deed(self, action: str, detail: dict[str, Any], outcome: str = "success") -> Deed:
        """Return what they did, as the access log takes it."""
        return Deed(
            self.name,
            action,
            outcome,
            purpose=self.purpose.code,
            case_number=self.purpose.case_number,
            source=self.source,
            detail=detail,
        )

    def is_person(self, name: str) -> bool:
        """Whether *name* is of the same person, at the console or on the pages."""
        return same_person(self.name, name)


@contextmanager
def recorded(
    engine: Engine, actor: Actor, action: str, detail: dict[str, Any], now: datetime
) -> Iterator[Connection]:
    """Give one transaction that ends with its entry of the access log, with what *detail* holds by then.

    A refusal raised in it undoes the rest, and is an entry of its own, with its reason.
    """
    try:
        with writing(engine) as connection:
            yield connection
            append(connection, actor.deed(action, detail), now)
    except (
        EvidenceRefusedError,
        HitRefusedError,
        ReleaseRefusedError,
        RetentionRefusedError,
        NotPermittedError,
    ) as error:
        with writing(engine) as connection:
            append(connection, actor.deed(action, {**detail, "why": str(error)}, "refused"), now)
        if isinstance(error, NotPermittedError):
            error.noted = True
        raise


def console_person() -> str:
    """Return who gives the command, as an actor of the access log.

    By the process's account, and behind sudo by the account that called it: environment variables that name
    a user are anybody's to set, and two of them would make two persons of one.
    """
    account = os.getuid()
    caller = os.environ.get("SUDO_UID", "")
    if account == 0 and caller.isdecimal():
        account = int(caller)
    try:
        return f"console:{pwd.getpwuid(account).pw_name}"
    except (KeyError, OverflowError):
        return f"console:uid {account}"
