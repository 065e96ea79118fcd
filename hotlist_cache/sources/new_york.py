"""New York: fixed columns without header and footer.

0-10 plate, 10-12 state, 12-15 plate type, 15 list code, 16-20 make, 20- colour
"""

from hotlist_cache.importing import ImportRules
from hotlist_cache.sources.source import Listed, Source, described, plain_rows

_LEAST_CHARACTERS = 16
_MOST_CHARACTERS = 40


def _parse(text: str, rules: ImportRules) -> Listed:
    text = text.rstrip()
    if not _LEAST_CHARACTERS <= len(text) <= _MOST_CHARACTERS:
        raise ValueError(f"it is not of {_LEAST_CHARACTERS} to {_MOST_CHARACTERS} characters")
    return Listed(text[:10], text[10:12], text[15], vehicle=described(text[20:], text[16:20]))


NEW_YORK = Source("New York", plain_rows, _parse)
