"""From where a deed on the lists was done, as far as its actor's name tells."""


def place_of(actor: str) -> str:
    """Return what stands as the source of *actor*'s deed in the access log.

    A page's deed stands behind an entry of the same person with the network address and the purpose.
    """
    return "console" if actor.startswith("console:") else "server" if actor == "server" else "pages"
