"""What can go wrong with the department's signed publications, named by what the catcher does."""

from server.errors import ServerError


class RepositoryRefusedError(ServerError):
    """A change or publication cannot be made: what is published stays; tell the administrator the remedy."""


class SigningFailedError(ServerError):
    """A key cannot be used (file, passphrase, HSM, KMS): nothing was signed; print the remedy, exit 78."""

    exit_code = 78
