"""Which model pack of the department's a unit runs, which one is next, and which it refused: pure steps.

    waiting ──trial──▶ next ──start──▶ running ──enough frames and minutes──▶ proven
       └────────────────┴────────────────┴──▶ refused: the one before runs again, at last the configured one

A pack is known by its number and digest, so one that was refused can be published anew under a higher number.
"""

from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

MOST_STARTS = 2
"""So often a new pack may end the daemon, or the machine, before it has proved itself."""
MOST_TRIES = 5
"""So often a trial may be begun and not be ended, as when it takes the machine down. More than starts: cars
are turned off just when they have come to the garage's network."""
_REFUSALS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Installed:
    """A pack of the department's that lies unpacked on this unit."""

    name: str
    sequence: int
    """Of its target."""
    sha256: str
    """Of its archive."""
    manifest_sha256: str
    """By which the files unpacked are known again."""

    @property
    def folder(self) -> str:
        """The name of its folder: never that of another content."""
        return f"{self.name}-{self.sequence}-{self.sha256[:8]}"

    @property
    def label(self) -> str:
        """As "builtin 3"."""
        return f"{self.name} {self.sequence}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pack that this unit does not use."""

    label: str
    sequence: int
    sha256: str
    why: str


@dataclass(frozen=True, slots=True)
class PackRecord:
    """All that outlasts a restart. None stands for the configured pack, which is always there."""

    running: Installed | None = None
    """What the last start took."""
    proven: bool = True
    """Whether `running` came through its first frames and minutes; so the configured pack always did."""
    starts: int = 0
    """Of `running`, while it is not proven, that did not end in order."""
    before: Installed | None = None
    """The last proven one before `running`."""
    next: Installed | None = None
    """Passed its trial: the next start takes it."""
    waiting: Installed | None = None
    """To be tried."""
    tries: int = 0
    """Trials of `waiting` that were begun and not ended."""
    withdrawn: bool = False
    """The department publishes none any more: the next start takes the configured one."""
    refused: tuple[Refusal, ...] = ()
    """The newest last."""

    def knows(self, sequence: int, sha256: str) -> bool:
        """Whether there is nothing left to bring of this pack."""
        held = [(pack.sequence, pack.sha256) for pack in (self.running, self.next, self.waiting) if pack]
        return (sequence, sha256) in held or self.refuses(sequence, sha256)

    def refuses(self, sequence: int, sha256: str) -> bool:
        """Whether this pack was refused."""
        return (sequence, sha256) in [(each.sequence, each.sha256) for each in self.refused]

    @property
    def folders(self) -> frozenset[str]:
        """Of all packs that may still be used."""
        held = (self.running, self.before, self.next, self.waiting)
        return frozenset(pack.folder for pack in held if pack is not None)

    @property
    def fault(self) -> str:
        """The newest refusal, while nothing newer took its place; empty: there is none."""
        if not self.refused:
            return ""
        newest = max((pack.sequence for pack in (self.running, self.next) if pack is not None), default=0)
        last = self.refused[-1]
        return f"model pack {last.label} is not used: {last.why}" if last.sequence > newest else ""


@dataclass(frozen=True, slots=True)
class PackLines:
    """What the unit runs and will run, in words."""

    running: str
    """As "builtin 3, of the department"."""
    next: str
    """What the next start takes, or what is still in the way; empty: nothing changes."""
    fault: str
    """For the technician; empty: there is none."""


def started(record: PackRecord) -> tuple[PackRecord, Refusal | None]:
    """Return *record* as a start takes it up, to be durable before a model is loaded; and the pack that it
    gave up, if it did."""
    if record.withdrawn:
        return PackRecord(), None
    if record.next is not None:
        before = record.running if record.proven else record.before
        record = replace(record, running=record.next, proven=False, starts=0, before=before, next=None)
    if record.running is None or record.proven:
        return record, None
    if record.starts >= MOST_STARTS:
        why = f"{MOST_STARTS} starts with it ended before its first frames and minutes"
        return fallen_back(record, why)
    return replace(record, starts=record.starts + 1), None


def fallen_back(record: PackRecord, why: str) -> tuple[PackRecord, Refusal | None]:
    """Return *record* with the pack before in the place of the running one, which is refused."""
    if record.running is None:
        return record, None
    refused = with_refusal(record, record.running.label, record.running.sequence, record.running.sha256, why)
    fallen = replace(refused, running=record.before, proven=True, starts=0, before=None)
    return fallen, fallen.refused[-1]


def with_refusal(record: PackRecord, label: str, sequence: int, sha256: str, why: str) -> PackRecord:
    """Return *record* with this pack refused."""
    refused = (*record.refused, Refusal(label, sequence, sha256, why))[-_REFUSALS_KEPT:]
    return replace(record, refused=refused)


def withdrawn(record: PackRecord) -> PackRecord:
    """Return *record* once the department publishes no pack for this unit."""
    return PackRecord(
        running=record.running,
        proven=record.proven,
        starts=record.starts,
        before=record.before,
        withdrawn=record.running is not None,
    )


def pack_lines(record: PackRecord, configured: str, held_back: str = "", fault: str = "") -> PackLines:
    """Return *record* in words; *configured* is the name of the configured pack."""
    running, coming = record.running, record.next
    if running is None:
        now = f"{configured}, as configured"
    else:
        now = f"{running.label}, of the department" + ("" if record.proven else ", not yet proven")
    if record.withdrawn:
        then = f"{configured}, as configured, from the next start: the department withdrew its own"
    elif coming is not None:
        then = f"{coming.label}, from the next start"
    elif record.waiting is not None:
        then = f"{record.waiting.label} is being tried"
    else:
        then = held_back
    return PackLines(now, then, fault or record.fault)


def encode_record(record: PackRecord) -> bytes:
    """Return *record* such that `decode_record` gives it back."""
    return bytes(_RECORD.dump_json(record))


def decode_record(data: bytes) -> PackRecord:
    """Return the record in *data*. Raises ValueError if it is none."""
    try:
        return _RECORD.validate_json(data, strict=True)
    except ValidationError as error:
        raise ValueError(f"record of model packs: {error.errors()[0]['msg']}") from None


_RECORD: TypeAdapter[PackRecord] = TypeAdapter(PackRecord)
