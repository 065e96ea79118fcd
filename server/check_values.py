"""What a check of the database finds, and how it asks: damage is a finding, a busy database is none."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, StatementError

from server.database import reading, tells_of_damage
from server.errors import ServerError, StoreDamagedError, StoreUnavailableError

T = TypeVar("T")
_PASSING = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_NOMEM")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written."""

    what: str
    """Kind of thing, and what is wrong with it."""
    which: str = ""
    """Its id; never a plate."""

    def __str__(self) -> str:
        return f"{self.what}: {self.which}" if self.which else self.what


class UnreadableError(ServerError):
    """The database cannot give what it holds: it is damaged there."""


def asked(engine: Engine, question: Callable[[Connection], T]) -> T:
    """Return the answer to *question*, which is asked in one transaction.

    Raises UnreadableError if the database is damaged there, StoreUnavailableError if it cannot answer now.
    """
    try:
        with reading(engine) as connection:
            return question(connection)
    except StoreDamagedError as error:
        raise UnreadableError(type(error.__cause__).__name__) from error
    except StoreUnavailableError as error:
        if isinstance(error.__cause__, DBAPIError) and _damaged(error.__cause__):
            raise UnreadableError(type(error.__cause__.orig).__name__) from error
        raise
    except DBAPIError as error:
        if _damaged(error):
            raise UnreadableError(type(error.orig).__name__) from error
        raise
    except (StatementError, ValueError, TypeError, AttributeError, OverflowError, KeyError) as error:
        # A time that is none, text where bytes were; a key of another type that is asked for on.
        raise UnreadableError(type(error).__name__) from error


def _damaged(error: DBAPIError) -> bool:
    if tells_of_damage(error) or isinstance(error, DataError):
        return True
    if not isinstance(error.orig, sqlite3.Error):
        return False
    # What is asked is right: that there is no such table or index is damage too.
    return not getattr(error.orig, "sqlite_errorname", "").startswith(_PASSING)
