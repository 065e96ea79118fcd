"""What can go wrong with a list of wanted plates, named by what the catcher does."""


class HotlistError(Exception):
    """Base of this folder's errors."""


class SnapshotRejectedError(HotlistError):
    """A snapshot is unsigned, altered, expired, older or shrunken: keep the list in force, say so upward."""


class ImportRefusedError(HotlistError):
    """A source file cannot be taken as a whole list: the message names the line and the remedy."""


class LocalEntryRefusedError(HotlistError):
    """What an officer asked for cannot be kept: say why."""
