"""How loud a hit is to the department: by its kind of list, as units have it where nobody set another.

Units do not send the priority of an alert. What was only possible counts one step less, what was not told
least of all.
"""

from hotlist_cache.entry import Priority
from hotlist_cache.hit import Outcome
from hotlist_cache.sources.codes import LIST_CODES

_OF_LIST = {code.list_name: code.priority for code in LIST_CODES.values()}


def priority_of(list_name: str, outcome: str) -> Priority:
    """Return the priority of a hit on *list_name*; a list that is not known is of the middle one."""
    if outcome == Outcome.NONE.value:
        return Priority.LOW
    usual = _OF_LIST.get(list_name, Priority.MEDIUM)
    return Priority(max(Priority.LOW, usual - (outcome != Outcome.HIT.value)))
