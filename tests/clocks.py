"""A clock and a machine that tests set by hand."""

from datetime import UTC, datetime, timedelta

from camera.fix import Fix
from camera.frame import Moment, TimeQuality

START = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
BOOT_ID = "00000000-0000-4000-8000-000000000001"


class FakeClock:
    """Fills `edge.clock.Clock`. Stands still until `advance`d; its monotonic zero is `START`."""

    def __init__(self, start: datetime = START, quality: TimeQuality = TimeQuality.GPS) -> None:
        self.start = start
        self.quality = quality
        self.monotonic_ns = 0
        self.anchors: list[tuple[Fix, int]] = []

    def advance(self, seconds: float) -> None:
        self.monotonic_ns += round(seconds * 1e9)

    def now(self) -> Moment:
        return self.moment_of(self.monotonic_ns)

    def moment_of(self, monotonic_ns: int) -> Moment:
        utc = self.start + timedelta(microseconds=monotonic_ns // 1000)
        return Moment(utc, monotonic_ns, BOOT_ID, self.quality)

    def anchor(self, fix: Fix, received_at_ns: int) -> None:
        self.anchors.append((fix, received_at_ns))


class FakeKernel:
    """Fills `edge.clock.Kernel`: a machine whose clocks are attributes."""

    def __init__(self, wall: datetime = START, monotonic_ns: int = 5_000_000_000) -> None:
        self.monotonic = monotonic_ns
        self.set_wall(wall)
        self.is_synchronised = False
        self.boot = BOOT_ID

    def set_wall(self, wall: datetime) -> None:
        """Step the wall clock, as NTP or a person would; the monotonic one does not move."""
        self._wall_offset_ns = round(wall.timestamp() * 1_000_000) * 1000 - self.monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.monotonic += round(seconds * 1e9)

    def wall_ns(self) -> int:
        return self.monotonic + self._wall_offset_ns

    def monotonic_ns(self) -> int:
        return self.monotonic

    def synchronised(self) -> bool:
        return self.is_synchronised

    def boot_id(self) -> str:
        return self.boot
