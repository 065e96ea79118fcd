"""The `[page]` table: where the officers' page listens, and how long a login holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageConfig:
    """The officers' page of one unit."""

    enabled: bool = True
    host: str = "127.0.0.1"
    """The address to listen on: this machine alone, or the unit's address in the vehicle's network."""
    port: int = 8460
    hosts: tuple[str, ...] = ()
    """Further names and addresses by which browsers may call it; its certificate must hold them too."""
    idle_lock_min: float = 30.0
    """Without a page opened for so long, the password is asked for again. 0: never, where policy exempts
    equipment inside a vehicle (CJIS AC-11)."""
    session_hours: float = 14.0
    """A login ends after so long, whatever is done: longer than a shift, shorter than two."""
    lockout_failures: int = 5
    lockout_min: float = 15.0
    """After so many wrong passwords in a row a name is locked for so long."""
    look_up_most: int = 25
    """Reads that one look-up shows, each with its picture."""

    incident_hours: float = 4.0
    """For how long reads carry an incident's number, if the officer does not say otherwise."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError("port must be 0 (any free one) to 65535")
        if self.host in ("", "0.0.0.0", "::"):  # noqa: S104  # refused, not bound
            raise ValueError(
                "host must be one address of this machine: loopback, or the one in the vehicle's network; "
                "all of them would offer the page to every network the car passes through"
            )
        if self.idle_lock_min < 0 or not 0 < self.session_hours <= 24:
            raise ValueError("idle_lock_min must be 0 or more, session_hours above 0 and at most 24")
        if self.lockout_failures < 1 or self.lockout_min <= 0:
            raise ValueError("lockout_failures must be at least 1, lockout_min above 0")
        if not 1 <= self.look_up_most <= 200:
            raise ValueError("look_up_most must be 1 to 200")
        if not 0.25 <= self.incident_hours <= 12:
            raise ValueError("incident_hours must be 0.25 to 12")
