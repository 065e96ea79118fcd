"""What accounts are for."""

from enum import StrEnum


class Role(StrEnum):
    """What an account is for."""

    ADMIN = "admin"
    OFFICER = "officer"
    SUPERVISOR = "supervisor"
    TECHNICIAN = "technician"
    AUDITOR = "auditor"

    @property
    def sees_reads(self) -> bool:
        """Whether reads and hits are shown: a technician looks after equipment."""
        return self is not Role.TECHNICIAN

    @property
    def sees_audit(self) -> bool:
        """Whether the access log is shown."""
        return self in (Role.ADMIN, Role.AUDITOR)
