"""What the officer is told while the unit runs: alerts, their corrections, past sightings, notices; in order.

Called by the main thread alone, but for `raise_alerts`, which the models' thread calls.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import structlog

from edge.alerts import Sounder, Sounding
from edge.clock import Clock
from edge.page_board import Board
from edge.pipeline import Step, marked
from hotlist_cache.entry import Priority
from hotlist_cache.hit import Alert, Correction, Sighting

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """An alert on its way to the officer, with when its frame was taken up (CLOCK_MONOTONIC)."""

    alert: Alert
    taken_up_ns: int


class Telling:
    """Sounds and shows what is to be told, and keeps count of it."""

    def __init__(
        self,
        sounder: Sounder,
        board: Board,
        clock: Clock,
        *,
        past: "SimpleQueue[Sighting]",
        alarms: "SimpleQueue[str]",
    ) -> None:
        """*past* gives reads of plates that were listed only afterwards, *alarms* lines of other threads."""
        self.alerts: deque[Alert] = deque(maxlen=200)
        """The newest alerts, newest first."""
        self.alert_count = self.corrected_count = 0
        self.latencies_ms: deque[float] = deque(maxlen=1000)
        """From taking up the frame that settled a read to the start of its alert's tone."""
        self._sounder = sounder
        self._board = board
        self._clock = clock
        self._past = past
        self._alarms = alarms
        self._waiting: SimpleQueue[_Told | Correction] = SimpleQueue()
        self._taken_up_ns: dict[str, int] = {}

    def raise_alerts(self, step: Step, taken_up_ns: int) -> None:
        """Let the officer be told of what *step* brought; returns at once."""
        # What holds no more comes first: the screen shows the new alert above the one it replaces.
        for correction in step.corrections:
            self._waiting.put(correction)
        for alert in step.alerts:
            self._waiting.put(_Told(alert, taken_up_ns))

    def tell(self, patience_s: float) -> None:
        """Tell what waits; wait *patience_s* at most for something to tell."""
        try:
            told = self._waiting.get(timeout=patience_s)
        except Empty:
            pass
        else:
            if isinstance(told, Correction):
                self._correct(told)
            else:
                self._alert(told)
        while not self._past.empty():
            sighting = self._past.get_nowait()
            self._sounder.past(sighting, self._clock.now().utc)
            log.info("sighting.told", read=sighting.read_id)
        while not self._alarms.empty():
            self.notice("unit", self._alarms.get_nowait(), Priority.HIGH)
        self._sounded(self._sounder.pump())

    def notice(self, name: str, text: str, priority: Priority) -> None:
        """Say *text*; another notice of the same *name* takes its place."""
        log.warning("unit.notice", said=text)
        self._sounder.notice(name, text, priority)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be told, and nothing sounds."""
        return self._sounder.idle and self._waiting.empty()

    def finish(self) -> None:
        """Tell what waits, without waiting for more, and let go of the sound."""
        while not self._waiting.empty():
            self.tell(0.0)
        self._sounded(self._sounder.pump())
        self._sounder.close()

    def _alert(self, told: _Told) -> None:
        self.alerts.appendleft(told.alert)
        self._board.put_alerts(self.alerts)
        self.alert_count += 1
        self._taken_up_ns[told.alert.alert_id] = told.taken_up_ns
        self._sounder.alert(told.alert, self._clock.now().utc)
        log.info("alert.raised", alert=told.alert.alert_id, priority=told.alert.priority.name)

    def _correct(self, correction: Correction) -> None:
        self.alerts = deque(marked(self.alerts, [correction]), self.alerts.maxlen)
        self._board.put_alerts(self.alerts)
        self.corrected_count += 1
        # Where the entry is met by the new plate, the alert of that says that the read was corrected.
        if correction.hit_gone:
            self._sounder.correct(correction)
        log.info("alert.corrected", alert=correction.alert.alert_id, gone=correction.hit_gone)

    def _sounded(self, soundings: Sequence[Sounding]) -> None:
        for sounding in soundings:
            taken_up_ns = self._taken_up_ns.pop(sounding.alert_id, None)
            if taken_up_ns is not None:
                self.latencies_ms.append((sounding.tone_started_ns - taken_up_ns) / 1e6)
            if sounding.wav is not None:
                log.info("alert.written", alert=sounding.alert_id, file=str(sounding.wav))
