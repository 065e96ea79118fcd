"""Threads, queues, watchdog, shutdown. Every thread of the unit is made here.

    cameras (a process each) -> models thread -> main thread: tone and speech
                                      |
                                      +-> keeper thread (the store's one writer) <-> upload thread -> server
                                      |                                          <-> hits' thread  -> the same
                                      |                                              broker thread -> MQTT
                                      +-> the board <- page thread: the laptop's browser

Threads share queues of values, and health values that one thread replaces and others read. An alert goes into
its queue before the read goes into the keeper's: it sounds before anything is sealed, stored or sent.
"""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from queue import Queue

import structlog

from camera.errors import RecordingUnreadableError
from edge.errors import DaemonFailedError
from edge.keeper import Flush, Stop
from edge.parts import Parts
from edge.pipeline import ReadWithHits, Step
from edge.reckoning import Driven, transfer_health, whole_status
from edge.status import Status, write_status
from edge.telling import Telling
from edge.updating import bring_updates
from edge.worker import Worker
from hotlist_cache.entry import Priority
from hotlist_cache.hit import Alert, Outcome
from sync.errors import NotTrustedError, RefusedError, UnreachableError
from sync.transfer_clock import TransferLevel, transfer_clock

FRAME_PATIENCE_S = 0.5
PUMP_EVERY_S = 0.05
STATUS_EVERY_S = 1.0
UPLOAD_LOOK_S = 5.0
"""The upload thread looks up at least so often, for the shutdown and for a hurry."""
BROKER_LOOK_S = 1.0
DRAIN_LIMIT_S = 120.0
"""At the end of a recording: how long uploads and sounds may take before the unit ends without them."""
SHUTDOWN_LIMIT_S = 10.0

log = structlog.get_logger(__name__)


class Daemon:
    """Runs a unit until `stop`, or until its recordings end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = threading.Event()
        self._upload_stopping = threading.Event()
        self._wake_upload = threading.Event()
        self._telling = Telling(parts.sounder, parts.board, parts.clock, past=parts.past, alarms=parts.alarms)
        self._driven = Driven()
        self._drive_over = threading.Event()
        self._faults = {} if parts.clock.floor_error is None else {"clock": parts.clock.floor_error}
        self._level = TransferLevel.OK
        self._models = Worker("models", self._run_models, 20.0)
        self._keeper = Worker("keeper", self._run_keeper, 60.0)
        # A dripping server is given up after minutes; that must not look like a stuck unit.
        self._upload = Worker("upload", self._run_upload, 900.0)
        self._hits = Worker("hits", self._run_hits, 900.0)
        self._updates = Worker("updates", self._run_updates, 900.0)
        # A name that no server answers for, then several addresses that nobody is at: more than a minute.
        self._broker = Worker("broker", self._run_broker, 180.0)
        self._workers = [self._models, self._keeper]
        if parts.courier is not None:
            self._workers += [self._upload, self._hits]
        self._workers.append(self._updates)
        if parts.link is not None:
            self._workers.append(self._broker)
        # A look-up goes through a day of reads, on a slow card; the page's other answers wait for it.
        self._page = Worker("page", self._run_page, 120.0)
        if parts.page is not None:
            self._workers.append(self._page)
        self._started_ns = parts.clock.now().monotonic_ns

    @property
    def alerts(self) -> Sequence[Alert]:
        """The newest alerts, newest first."""
        return tuple(self._telling.alerts)

    @property
    def latencies_ms(self) -> Sequence[float]:
        """From taking up the frame that settled a read to the start of its alert's tone."""
        return tuple(self._telling.latencies_ms)

    def stop(self) -> None:
        """Ask the daemon to end; returns at once, so that a signal handler may call it."""
        self._stopping.set()

    def run(self, *, until_end: bool, on_status: Callable[[Status, Sequence[Alert]], None]) -> Status:
        """Run, and return how the unit stood at the end.

        *until_end*: end once every recording is read and what it gave is transferred and sounded.
        *on_status* is called in the calling thread, about every second.

        Raises DaemonFailedError if a thread died: systemd then starts the unit anew.
        """
        parts = self._parts
        for worker in self._workers:
            worker.beat_ns = parts.clock.now().monotonic_ns
            worker.start()
        parts.notifier.ready()
        log.info("unit.started", unit=parts.unit_id, threads=[worker.name for worker in self._workers])
        status_due_ns = 0
        try:
            while not self._stopping.is_set():
                self._telling.tell(PUMP_EVERY_S)
                if parts.clock.now().monotonic_ns >= status_due_ns:
                    status_due_ns = parts.clock.now().monotonic_ns + int(STATUS_EVERY_S * 1e9)
                    on_status(self._tell_status(), self.alerts)
                    self._check_workers()
                if until_end and self._drive_over.is_set():
                    self._drain(on_status)
                    break
        finally:
            self._shut_down()
        self._check_workers()
        parts.packs.ended()
        return self._tell_status()

    # -- the main thread --

    def _tell_status(self) -> Status:
        parts = self._parts
        parts.lists.look()
        parts.incidents.look()
        self._look_at_network()
        now = parts.clock.now()
        transfer = transfer_health(parts.courier, parts.keeper, now.utc, parts.hit_courier, parts.roads)
        self._warn_of_transfer(transfer_clock(parts.keeper.counts.oldest, now.utc).level)
        status = whole_status(
            unit_id=parts.unit_id,
            now=now,
            started_ns=self._started_ns,
            driven=self._driven,
            hotlist=parts.desk.health(now.utc),
            transfer=transfer,
            store=parts.keeper.health,
            sound=parts.sounder.status(),
            wav_dir=parts.run_dir,
            alerts=self._telling.alert_count,
            corrected=self._telling.corrected_count,
            latencies_ms=self.latencies_ms,
            faults=(*self._faults.values(), *self._other_faults()),
            profile=parts.profiles.versions,
            packs=parts.packs.lines,
            incident=parts.incidents.current,
        )
        parts.packs.seen(status.frames, status.uptime_s)
        write_status(parts.run_dir, status)
        parts.presence.see(status, now)
        parts.board.put_status(status)
        if all(self._lively(worker) for worker in self._workers):
            parts.notifier.watchdog()
        parts.notifier.status(f"{status.reads} reads, {status.hits} hits, {transfer.queued} to transfer")
        return status

    def _other_faults(self) -> tuple[str, ...]:
        # An unreachable broker is a garage without Wi-Fi; one that says no is for the technician.
        error = None if self._parts.link is None else self._parts.link.last_error
        broker = f"broker: {error}" if isinstance(error, NotTrustedError | RefusedError) else ""
        courier = self._parts.courier
        sent = () if courier is None else (courier.book_fault, courier.log_fault)
        page = "" if self._parts.page is None else self._parts.page.fault
        profiles, packs = self._parts.profiles.fault, self._parts.packs.lines.fault
        faults = (broker, self._parts.lists.last_error, *sent, profiles, packs, page)
        faults += self._parts.page_faults
        return tuple(fault for fault in faults if fault)

    def _look_at_network(self) -> None:
        if self._parts.roads.look():
            # What waited for this network goes now; what failed over the last one is worth another try.
            for connection in (self._parts.transport, self._parts.hit_transport, self._parts.publisher):
                if connection is not None:
                    connection.renew()
            self._wake_upload.set()
            self._parts.hit_stored.set()
            self._parts.desk.look_soon()

    def _warn_of_transfer(self, level: TransferLevel) -> None:
        if level > self._level:
            overdue = level is TransferLevel.OVERDUE
            text = (
                "Transfer overdue. Connect this unit to the department now"
                if overdue
                else f"{30 - level} days left to transfer reads to the department"
            )
            self._telling.notice("transfer", text, Priority.HIGH if overdue else Priority.LOW)
        self._level = level

    def _lively(self, worker: Worker) -> bool:
        if worker is self._models and self._drive_over.is_set():
            return True
        return worker.alive and self._parts.clock.now().monotonic_ns - worker.beat_ns < worker.limit_s * 1e9

    def _check_workers(self) -> None:
        for worker in self._workers:
            if worker.failure:
                raise DaemonFailedError(
                    f"{worker.name} thread: {worker.failure}; the log has the whole story"
                )

    def _drain(self, on_status: Callable[[Status, Sequence[Alert]], None]) -> None:
        """After a recording: let uploads and sounds come to their end, for a while."""
        self._hurry()
        deadline_ns = self._parts.clock.now().monotonic_ns + int(DRAIN_LIMIT_S * 1e9)
        told_ns = 0
        while self._parts.clock.now().monotonic_ns < deadline_ns and not self._stopping.is_set():
            self._telling.tell(PUMP_EVERY_S)
            self._check_workers()
            if self._parts.clock.now().monotonic_ns - told_ns >= STATUS_EVERY_S * 1e9:
                told_ns = self._parts.clock.now().monotonic_ns
                on_status(self._tell_status(), self.alerts)
            counts = self._parts.keeper.counts
            # What this network does not carry is not waited for.
            waiting = counts.queued if self._parts.roads.carries_all_reads else counts.hits
            if (self._parts.courier is None or not waiting) and self._telling.idle:
                return
        log.warning("drain.unfinished", queued=self._parts.keeper.counts.queued)

    def _hurry(self) -> None:
        done: Queue[None] = Queue()
        self._parts.keeper.queue.put(Flush(done))
        done.get(timeout=SHUTDOWN_LIMIT_S)
        self._wake_upload.set()
        self._parts.hit_stored.set()

    def _shut_down(self) -> None:
        """End the threads in the order of the reads' way, so that nothing read is left behind."""
        parts = self._parts
        parts.notifier.stopping()
        self._stopping.set()
        ended = self._models.join(SHUTDOWN_LIMIT_S)
        self._upload_stopping.set()
        self._wake_upload.set()
        parts.hit_stored.set()
        parts.pacing.stop()
        parts.desk.wake()
        for worker in self._workers:
            if worker is not self._keeper:
                ended = worker.join(SHUTDOWN_LIMIT_S) and ended
        parts.keeper.queue.put(Stop())
        if self._keeper.join(SHUTDOWN_LIMIT_S):
            parts.window.close()
            parts.keeper.close()
        else:
            ended = False  # the file is closed by the end of the process, as after a power cut
        self._telling.finish()
        if parts.access_log is not None and not self._page.alive:
            parts.access_log.close()
        for connection in (parts.transport, parts.hit_transport, parts.publisher):
            if connection is not None:
                connection.close()
        self._keep_floor()
        parts.notifier.close()
        log.info("unit.stopped", clean=ended)

    # -- the models thread --

    def _run_models(self, worker: Worker) -> None:
        parts = self._parts
        last = parts.clock.now()
        try:
            while not self._stopping.is_set():
                worker.beat_ns = parts.clock.now().monotonic_ns
                try:
                    frame = parts.bank.next_frame(FRAME_PATIENCE_S)
                except RecordingUnreadableError as error:
                    self._faults["recording"] = str(error)
                    log.error("recording.unreadable", why=str(error))
                    continue
                self._driven = self._driven.seen(parts.bank.status(), parts.bank.gps_error, frame)
                if frame is not None:
                    last = frame.moment
                    taken_up_ns = parts.clock.now().monotonic_ns
                    step = parts.pipeline.step(frame)
                    if parts.contexts is not None:
                        parts.contexts.see(frame, step.candidates)
                    self._carry(step, taken_up_ns)
                elif parts.bank.finished:
                    break
        finally:
            # Also when a model fails: what the living tracks have seen so far is worth keeping.
            self._carry(parts.pipeline.finish(last.utc), parts.clock.now().monotonic_ns)
            parts.bank.close()
        if not self._stopping.is_set():
            self._drive_over.set()

    def _carry(self, step: Step, taken_up_ns: int) -> None:
        self._telling.raise_alerts(step, taken_up_ns)
        for item in step.reads:
            self._parts.sightings.remember(item.read)
            marked_item = dataclasses.replace(self._with_scene(item), incident=self._parts.incidents.mark())
            self._parts.keeper.queue.put(marked_item)
        now_ns = self._parts.clock.now().monotonic_ns
        self._driven = self._driven.stepped(step, taken_up_ns, now_ns)

    def _with_scene(self, item: ReadWithHits) -> ReadWithHits:
        contexts = self._parts.contexts
        if contexts is None or not any(hit.outcome is not Outcome.NONE for hit in item.hits):
            return item
        return dataclasses.replace(item, context=contexts.of(item.read))

    # -- the keeper, upload and broker threads --

    def _run_keeper(self, worker: Worker) -> None:
        def beat() -> None:
            worker.beat_ns = self._parts.clock.now().monotonic_ns
            self._keep_floor()

        self._parts.keeper.run(beat)

    def _keep_floor(self) -> None:
        try:
            self._parts.clock.keep_floor()
            self._faults.pop("floor", None)
        except OSError as error:
            # A full disk must not end the store's thread, which holds what it cannot write yet.
            if "floor" not in self._faults:
                log.error("clock.floor_not_kept", why=str(error))
            self._faults["floor"] = f"clock: its floor cannot be written ({error.strerror}); free the disk"

    def _run_upload(self, worker: Worker) -> None:
        courier = self._parts.courier
        assert courier is not None  # the thread is only started with one

        def beat() -> None:
            worker.beat_ns = self._parts.clock.now().monotonic_ns

        self._parts.pacing.alive = beat
        while not self._upload_stopping.is_set():
            beat()
            wait_s = min(courier.work(), UPLOAD_LOOK_S)
            link = self._parts.link
            self._parts.presence.bring(told=link is not None and link.connected)
            if self._wake_upload.wait(wait_s):
                self._wake_upload.clear()
                courier.hurry()

    def _run_hits(self, worker: Worker) -> None:
        parts = self._parts
        courier = parts.hit_courier
        assert courier is not None  # the thread is only started with one
        while not self._upload_stopping.is_set():
            worker.beat_ns = parts.clock.now().monotonic_ns
            if parts.hit_stored.wait(min(courier.work(), UPLOAD_LOOK_S)):
                parts.hit_stored.clear()
                courier.look_again()

    def _run_updates(self, worker: Worker) -> None:
        parts = self._parts

        def alive() -> None:
            worker.beat_ns = parts.clock.now().monotonic_ns
            if self._upload_stopping.is_set():
                raise UnreachableError("the unit is stopping; the transfer goes on after the start")

        while not self._upload_stopping.is_set():
            worker.beat_ns = parts.clock.now().monotonic_ns
            bring_updates(
                parts.desk,
                parts.publisher,
                parts.run_dir,
                packs=parts.packs,
                alive=alive,
                longest_wait_s=UPLOAD_LOOK_S,
            )
        parts.packs.stop()

    def _run_broker(self, worker: Worker) -> None:
        link = self._parts.link
        assert link is not None  # the thread is only started with one
        while not self._upload_stopping.is_set():
            worker.beat_ns = self._parts.clock.now().monotonic_ns
            if document := self._parts.presence.document:
                link.publish_status(document)
            link.step(BROKER_LOOK_S)
            if not link.connected:
                self._upload_stopping.wait(BROKER_LOOK_S)
        link.close()

    def _run_page(self, worker: Worker) -> None:
        page = self._parts.page
        assert page is not None  # the thread is only started with one

        def beat() -> None:
            worker.beat_ns = self._parts.clock.now().monotonic_ns

        page.run(beat, self._upload_stopping.is_set)
