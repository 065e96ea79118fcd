"""Why a person looks at reads, as the server's sessions hold it; the pick list is `sync.purposes`."""

from server.access import Purpose
from sync.purposes import PURPOSES, PurposeKind, checked_case, label_of

__all__ = ["PURPOSES", "PurposeKind", "label_of", "stated_purpose"]


def stated_purpose(code: str, case_number: str) -> Purpose:
    """Return the purpose that a person picked.

    Raises ValueError, with what to tell the person, if it is not in the list or lacks its case number.
    """
    return Purpose(code, checked_case(code, case_number))
