"""Puts the unit's status together from what its parts say of themselves."""

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from camera.frame import Frame, Moment, TimeQuality
from edge.alerts import SoundStatus
from edge.cameras import CameraState, CameraStatus
from edge.courier import Courier
from edge.incident import Incident
from edge.keeper import Keeper
from edge.pack_record import PackLines
from edge.pipeline import Step
from edge.roads import Roads
from edge.status import CameraHealth, HotlistHealth, Status, StoreHealth, TransferHealth
from sync.transfer_clock import TransferLevel, transfer_clock

RATE_OVER_S = 5.0


@dataclass(frozen=True, slots=True)
class Driven:
    """What the models thread has done so far; it replaces the value, others read it."""

    frames: int = 0
    reads: int = 0
    hits: int = 0
    cameras: tuple[CameraHealth, ...] = ()
    gps_error: str | None = None
    time_quality: TimeQuality = TimeQuality.UNSYNCHRONISED
    has_fix: bool = False
    first_ns: int = 0
    last_ns: int = 0
    marks: tuple[tuple[int, int], ...] = ()
    """(CLOCK_MONOTONIC, frames) about every second of the last `RATE_OVER_S`."""

    def seen(self, cameras: Sequence[CameraStatus], gps_error: str | None, frame: Frame | None) -> "Driven":
        """Return this with how the cameras stand, and *frame* if there was one."""
        health = tuple(
            CameraHealth(c.name, c.state.value, c.frames, c.dropped, c.reopened, c.last_error or "")
            for c in cameras
        )
        if frame is None:
            return dataclasses.replace(self, cameras=health, gps_error=gps_error)
        return dataclasses.replace(
            self,
            frames=self.frames + 1,
            cameras=health,
            gps_error=gps_error,
            time_quality=frame.moment.quality,
            has_fix=frame.fix is not None,
        )

    def stepped(self, step: Step, taken_up_ns: int, done_ns: int) -> "Driven":
        """Return this with one more *step*, begun and done at these times (CLOCK_MONOTONIC)."""
        marks = self.marks
        if not marks or done_ns - marks[-1][0] >= 1e9:
            marks = (*(m for m in marks if done_ns - m[0] <= RATE_OVER_S * 1e9), (done_ns, self.frames))
        return dataclasses.replace(
            self,
            # One a passing: what revises a read is no further vehicle.
            reads=self.reads + sum(item.read.revises is None for item in step.reads),
            hits=self.hits + sum(len(item.hits) for item in step.reads),
            first_ns=self.first_ns or taken_up_ns,
            last_ns=done_ns,
            marks=marks,
        )

    def frames_per_s(self, now_ns: int, *, over: bool) -> float:
        """Of the last seconds, or of the whole drive once it is *over*."""
        if over:
            return self.frames / max((self.last_ns - self.first_ns) / 1e9, 1e-9) if self.frames else 0.0
        if not self.marks:
            return 0.0
        since_ns, frames = self.marks[0]
        elapsed_s = (now_ns - since_ns) / 1e9
        return (self.frames - frames) / elapsed_s if elapsed_s > 0.5 else 0.0


def transfer_health(
    courier: Courier | None,
    keeper: Keeper,
    now: datetime,
    hits: Courier | None = None,
    roads: Roads | None = None,
) -> TransferHealth:
    """Return how the transfer stands at *now* (aware UTC); *hits* is the courier of hits."""
    counts = keeper.counts
    clock = transfer_clock(counts.oldest, now)
    base = TransferHealth(last_error="no server is configured") if courier is None else courier.health
    if hits is not None:
        # Where only hits go now, what was once reached over another network says nothing any more.
        if roads is not None and not roads.carries_all_reads and hits.health.last_error:
            base = dataclasses.replace(base, connected=False, last_error="")
        base = dataclasses.replace(
            base,
            uploaded=base.uploaded + hits.health.uploaded,
            connected=base.connected or hits.health.connected,
            last_error=base.last_error or hits.health.last_error,
        )
    if courier is not None and roads is not None:
        base = dataclasses.replace(base, network=roads.network, waits_for=roads.waits_for)
    return dataclasses.replace(
        base,
        queued=counts.queued,
        acknowledged=counts.acknowledged,
        refused=counts.refused,
        purged=keeper.purged,
        days_left=clock.days_left,
        level=_level_name(clock.level),
    )


def whole_status(
    *,
    unit_id: str,
    now: Moment,
    started_ns: int,
    driven: Driven,
    hotlist: HotlistHealth,
    transfer: TransferHealth,
    store: StoreHealth,
    sound: SoundStatus,
    wav_dir: Path,
    alerts: int,
    corrected: int,
    latencies_ms: Sequence[float],
    faults: Sequence[str],
    profile: str = "",
    packs: PackLines | None = None,
    incident: Incident | None = None,
) -> Status:
    """Return the unit's status at *now*."""
    over = bool(driven.cameras) and all(c.state == CameraState.FINISHED for c in driven.cameras)
    return Status(
        unit=unit_id,
        pid=os.getpid(),
        monotonic_ns=now.monotonic_ns,
        boot_id=now.boot_id,
        uptime_s=(now.monotonic_ns - started_ns) / 1e9,
        frames_per_s=driven.frames_per_s(now.monotonic_ns, over=over),
        frames=driven.frames,
        reads=driven.reads,
        hits=driven.hits,
        alerts=alerts,
        corrected=corrected,
        settle_to_alert_p95_ms=percentile(latencies_ms, 95),
        cameras=driven.cameras,
        time_quality=driven.time_quality.value,
        has_fix=driven.has_fix,
        hotlist=hotlist,
        transfer=transfer,
        store=store,
        sound="sound device" if sound.output == "device" else f"WAV files in {wav_dir}",
        incident="" if incident is None else incident.number,
        incident_left_min=0.0 if incident is None else incident.left_min(now.monotonic_ns),
        faults=(*faults, *_faults(driven, hotlist, transfer, store, sound)),
        profile=profile,
        pack="" if packs is None else packs.running,
        next_pack="" if packs is None else packs.next,
    )


def percentile(values: Sequence[float], q: float) -> float:
    """Return the *q*th percentile (0 to 100) of *values* by nearest rank; 0.0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * q / 100) - 1)]


def _faults(
    driven: Driven,
    hotlist: HotlistHealth,
    transfer: TransferHealth,
    store: StoreHealth,
    sound: SoundStatus,
) -> list[str]:
    found = [
        f"camera {c.name}: {c.last_error}"
        for c in driven.cameras
        if c.state == CameraState.LOST and c.last_error
    ]
    if not hotlist.sequence or hotlist.last_error:
        found.append(f"hotlist: {hotlist.last_error}")
    elif hotlist.stale:
        found.append(f"hotlist: {hotlist.age_h:.0f} h old, alerts are advisory only")
    if hotlist.alarm:
        found.append(hotlist.alarm)
    if transfer.level != "ok":
        found.append(f"transfer: {transfer.days_left:.1f} days left; connect this unit to the department")
    if transfer.refused:
        found.append(
            f"transfer: the server refused {transfer.refused} reads, which stay here: {transfer.last_error}"
        )
    if store.damaged:
        found.append(
            f"store: {store.damaged} reads went bad on the disk and cannot be opened; replace the disk"
        )
    if not store.recording:
        found.append(f"NOT RECORDING: {store.last_error}")
    if sound.last_error:
        found.append(f"sound: {sound.last_error}")
    if driven.gps_error:
        found.append(f"gps: {driven.gps_error}")
    return found


def _level_name(level: TransferLevel) -> str:
    if level is TransferLevel.OVERDUE:
        return "overdue"
    return "ok" if level is TransferLevel.OK else "warn"
