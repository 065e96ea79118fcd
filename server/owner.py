"""What a command run by root makes in the department's folder belongs to the folder's owner in the end.

The service runs as that owner: one file of root's, and it would not start again.
"""

import atexit
import os
from contextlib import suppress
from pathlib import Path

_LEFT_OUT = "pictures"
"""Nothing but the service writes there, and it may have millions of files."""


def given_back(folder: Path) -> None:
    """Give root's files in *folder* to its owner when this program ends, where root runs it."""
    if os.geteuid() == 0 and folder.stat().st_uid != 0:
        atexit.register(give_back, folder)


def give_back(folder: Path) -> None:
    """Do so now. A file that goes meanwhile is left alone."""
    owner = folder.stat()
    for parent, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if each != _LEFT_OUT]
        for name in (*folders, *files):
            path = Path(parent) / name
            with suppress(FileNotFoundError):
                if path.lstat().st_uid == 0:
                    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
