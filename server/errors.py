"""What can go wrong on the department side, named by what the catcher does."""


class ServerError(Exception):
    """Base of this folder's errors. `exit_code` is what the process ends with (sysexits.h)."""

    exit_code = 1


class SettingsInvalidError(ServerError):
    """The server's folder is missing a file or holds a wrong value: print the remedy, exit 78."""

    exit_code = 78
