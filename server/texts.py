"""Text that a person typed, made fit for one line of a register."""

from server.errors import RetentionRefusedError
from server.release_errors import ReleaseRefusedError


def line_of(name: str, text: str, most: int) -> str:
    """Return *text* with each run of white space as one space.

    Raises ReleaseRefusedError, without the text in it, if it is empty, longer than *most* characters or holds
    what cannot be printed.
    """
    line = " ".join(text.split())
    if not line:
        raise ReleaseRefusedError(f"{name} is missing")
    if len(line) > most or not line.isprintable():
        raise ReleaseRefusedError(f"{name} must be printable text of at most {most} characters")
    return line


def retention_line(name: str, text: str, most: int = 256) -> str:
    """The same for what is said of retention: raises RetentionRefusedError."""
    try:
        return line_of(name, text, most)
    except ReleaseRefusedError as error:
        raise RetentionRefusedError(str(error)) from None
