"""The letters with which reads were asked for: kept as they came, under their digest, and never opened here.

What a letter is, its first bytes say. Its own name is not even kept: it may name a plate or a person, or a
path.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from server.errors import SettingsInvalidError
from server.files import replacing
from server.release_errors import ReleaseRefusedError

MAX_LETTER_BYTES = 10 * 1024 * 1024
_KINDS = {
    "pdf": (b"%PDF-", "application/pdf"),
    "jpg": (b"\xff\xd8\xff", "image/jpeg"),
    "png": (b"\x89PNG\r\n\x1a\n", "image/png"),
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that was kept."""

    sha256: str
    kind: str
    """"pdf", "jpg" or "png": also the ending under which it is given out."""
    bytes: int

    @property
    def media_type(self) -> str:
        """As HTTP names it."""
        return _KINDS[self.kind][1]


@dataclass(frozen=True, slots=True)
class Letters:
    """The folder of letters."""

    folder: Path = field(repr=False)

    def keep(self, content: bytes) -> Letter:
        """Return the letter once it is on disk.

        Raises ReleaseRefusedError if it is too large, or neither PDF, JPEG nor PNG.
        """
        if len(content) > MAX_LETTER_BYTES:
            raise ReleaseRefusedError(
                f"the letter is larger than {MAX_LETTER_BYTES // 2**20} MB: scan it smaller"
            )
        kind = next((name for name, (magic, _) in _KINDS.items() if content.startswith(magic)), None)
        if kind is None:
            raise ReleaseRefusedError("the letter must be a PDF, JPEG or PNG file")
        letter = Letter(hashlib.sha256(content).hexdigest(), kind, len(content))
        path = self.folder / letter.sha256
        # Written anew over a damaged one: who brings a letter again mends it.
        if not path.exists() or path.read_bytes() != content:
            with replacing(path) as file:
                file.write(content)
        return letter

    def open(self, letter: Letter) -> bytes:
        """Return a letter as it came.

        Raises SettingsInvalidError if it is gone or was changed.
        """
        return kept_file(self.folder / letter.sha256, letter.sha256)


def kept_file(path: Path, sha256: str) -> bytes:
    """Return the file at *path*, if it is the one of that digest. Raises SettingsInvalidError if not."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsInvalidError(
            f"{path}: cannot be read ({error.strerror}); restore it from the backup"
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise SettingsInvalidError(f"{path}: is not the file that was kept; restore it from the backup")
    return content
