"""Structured logs that hold no plate, no place and no key.

Three walls: values whose `repr` leaves the plate out; names that are withheld here whatever they hold; and
exceptions of foreign origin, whose message may quote what they choked on, shown as type and place in the code
alone. One JSON object a line goes to standard error, which under systemd is the journal; a person at a
terminal gets colours.
"""

import logging
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

WITHHELD = "[withheld]"

_FORBIDDEN = frozenset(
    {"plate", "plates", "pattern", "text", "candidate", "candidates", "card", "speech", "vehicle", "case"}
    | {"notes", "evidence", "jpeg", "pixels", "latitude", "longitude", "lat", "lon", "fix", "position"}
    | {"positions", "place", "location", "coordinates", "track", "course", "key", "keys", "secret", "secrets"}
    | {"password", "passphrase", "token", "cookie", "credential", "credentials", "authorization"}
)
"""A field is withheld if any word of its name is one of these: `listed_plate`, `tls_key`, `gps-fix`."""

_OUR_FOLDERS = ("camera", "recognizer", "hotlist_cache", "sync", "edge", "server")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def configure_logs(
    *,
    now: Callable[[], datetime] | None = None,
    level: str = "info",
    human: bool | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process, also those of libraries from "warning" up, to *stream* (standard error).

    *now* stamps each line with aware UTC; None leaves that to the journal. *human* None asks the stream
    whether it is a terminal. Raises ValueError for a *level* that is not debug, info, warning or error.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r}: give debug, info, warning or error")
    stream = sys.stderr if stream is None else stream
    human = stream.isatty() if human is None else human
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        withhold,
    ]
    if now is not None:
        shared.append(_stamp(now))
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=True)
        if human
        else structlog.processors.JSONRenderer(sort_keys=True, default=repr)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    # At the handler, not at the loggers: some libraries set their own logger to "info" when imported.
    handler.setLevel(max(number, logging.WARNING))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=renderer, foreign_pre_chain=shared, keep_exc_info=False, use_get_message=True
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def withhold(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Return *event* without what a log must not hold; a structlog processor."""
    exc_info = event.pop("exc_info", None)
    cleaned: EventDict = {
        str(name): WITHHELD if name != "event" and forbidden(str(name)) else _clean(value)
        for name, value in event.items()
    }
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        cleaned["exception"] = describe(error)
    return cleaned


def forbidden(name: str) -> bool:
    """Whether a field called *name* may not be shown: snake_case, kebab-case and camelCase are understood."""
    return any(word.lower() in _FORBIDDEN for word in _WORD.findall(name))


def describe(error: BaseException) -> str:
    """Return *error* and its causes as type, message and place in the code, one a line, the outermost first.

    The message is shown if the class is ours, which promises that it names no plate, place or key, and for
    an OSError what the system said. Any other message is withheld: a KeyError quotes its key, a parser its
    input.
    """
    lines = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        kind = type(cause)
        where = traceback.extract_tb(cause.__traceback__)
        frames = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(where))
        lines.append(
            f"{kind.__module__}.{kind.__qualname__}: {_message(cause)}" + (f" at {frames}" if frames else "")
        )
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(lines)


def _message(error: BaseException) -> str:
    if type(error).__module__.partition(".")[0] in _OUR_FOLDERS:
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}" + (f": {error.filename}" if error.filename is not None else "")
    return WITHHELD


def _clean(value: object) -> object:
    """*value* as plain data. An object is shown by its `repr`, which in our values leaves the plate out."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, BaseException):
        return describe(value)
    if isinstance(value, Mapping):
        return {str(k): WITHHELD if forbidden(str(k)) else _clean(v) for k, v in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [_clean(item) for item in value]
    return repr(value)


def _stamp(now: Callable[[], datetime]) -> Processor:
    def stamp(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["at"] = now().isoformat(timespec="milliseconds")
        return event

    return stamp
