"""What can go wrong with release requests and evidence packages, named by what the catcher does."""

from server.errors import ServerError


class EvidenceRefusedError(ServerError):
    """A package cannot be made or booked like this: nothing left the department; tell who asked."""


class ReleaseRefusedError(ServerError):
    """A request or recipient is not as the rules say: nothing was changed; tell who asked."""
