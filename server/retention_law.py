"""Which law sets how long reads are kept, however a person writes it."""

import re
import unicodedata

_SECTION = "34090"
_OTHER_SECTION = "2413"
"""Of California's Vehicle Code: its Highway Patrol keeps what is no hit for 60 days at most."""
_NAMES = frozenset({"california", "californian", "calif", "cal", "ca"})


def is_californian(law: str) -> bool:
    """Whether *law* is the one that sets a floor of a year: its section is named, or California is and no
    other section that is known to set another time."""
    plain = unicodedata.normalize("NFKC", law).casefold()
    run_together = re.sub(r"[\W_]", "", plain)
    if _SECTION in run_together:
        return True
    return bool(_NAMES & set(re.findall(r"[^\W\d_]+", plain))) and _OTHER_SECTION not in run_together
