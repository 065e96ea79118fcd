"""What stops the daemon, with the exit status that tells systemd whether a restart can help."""


class EdgeError(Exception):
    """Base of this folder's errors. `exit_code` is what the process ends with (sysexits.h)."""

    exit_code = 1


class ConfigInvalidError(EdgeError):
    """The configuration has an unknown key, a wrong value or a missing file: print it, exit 78."""

    exit_code = 78


class VaultLockedError(EdgeError):
    """A key is missing or does not fit: print the remedy, exit 77."""

    exit_code = 77


class DaemonFailedError(EdgeError):
    """A thread died: the process ends, and systemd starts it anew."""

    exit_code = 70


class UsbRefusedError(EdgeError):
    """What lies on a stick cannot be taken up: say why."""


class WindowLostError(EdgeError):
    """The keys of the local window cannot be had or kept: begin it anew, in memory; no read is lost."""


class LogUnwritableError(EdgeError):
    """The access log takes no entry: show nothing, and tell the technician."""


class RosterRefusedError(EdgeError):
    """A roster is none, or older than the one held: keep the one held."""
