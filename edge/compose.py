"""The composition root: opens cameras, models, databases and sockets, and hands them down."""

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from random import SystemRandom
from threading import Event

import structlog

from camera.config import CameraConfig, GpsConfig, SourceKind
from edge.access_log import AccessLog
from edge.alerts import Sounder, wav_folder
from edge.book_courier import BookCourier
from edge.cameras import CameraBank
from edge.clock import SystemClock
from edge.config import HOTLIST_FOLDER, UPDATES_FOLDER, URGENT_FOLDER, Config
from edge.connections import connections_of, follow
from edge.contexts import Contexts
from edge.courier import Courier, KeeperStore
from edge.department_packs import DepartmentPacks
from edge.errors import ConfigInvalidError, LogUnwritableError
from edge.hit_courier import hit_courier_of
from edge.hotlists import HotlistDesk, LostTrust, Publishes
from edge.incident import Incidents
from edge.keeper import Keeper
from edge.lists import Lists
from edge.local_entries import book_in
from edge.log_courier import LogCourier
from edge.notify import Notifier
from edge.page import PageServer
from edge.page_accounts import Accounts
from edge.page_board import Board
from edge.page_desk import Desk
from edge.page_lockouts import Lockouts
from edge.parts import Parts
from edge.pipeline import Pipeline
from edge.presence import Presence, equipment
from edge.profiles import Profiles
from edge.roads import Roads
from edge.roster import RosterStore
from edge.sightings import Sightings
from edge.status import run_dir
from edge.stores import OUTBOX_FILE, keeper_of, read_store, state_folder, window_slots
from edge.vault import Keys, unlock
from edge.window import Window
from hotlist_cache.evidence import Confusions
from hotlist_cache.hit import HotlistHit, Sighting
from hotlist_cache.local import LocalBook
from hotlist_cache.lookalike import DEFAULT_CONFUSIONS, measured
from hotlist_cache.match import Hotlist
from hotlist_cache.policy import AlertPolicy
from hotlist_cache.store import HotlistStore
from recognizer.onnx import Recognizer
from recognizer.track import Tracker
from sync.config import RetentionConfig
from sync.errors import DiskFullError, OutboxCorruptError, TrustLostError
from sync.https import HttpsTransport
from sync.mqtt import MqttLink
from sync.session import Session
from sync.tls import TlsFiles
from sync.trust import TrustedUpdates
from sync.upload import Upload

log = structlog.get_logger(__name__)


def with_source(config: Config, source: str) -> Config:
    """Return *config* with *source* as its only camera; a recording is read as fast as it can be."""
    camera = CameraConfig(name="source", source=source)
    if camera.kind is SourceKind.RECORDING:
        # Its place is what the file beside it says; where this machine stands now is none of its business.
        return replace(config, cameras=(replace(camera, pace="fast"),), gps=GpsConfig(gpsd=""))
    return replace(config, cameras=(camera,))


def new_id() -> str:
    """Return a random name, unique for ever, that says nothing of what it names."""
    return secrets.token_hex(16)


def new_pipeline(
    config: Config,
    recognizer: Recognizer,
    hotlist: Hotlist | None,
    suppresses: Callable[[HotlistHit, datetime], bool] = lambda hit, now: False,
) -> Pipeline:
    """Return a pipeline with trackers and an alert policy of its own."""
    return Pipeline(
        recognizer,
        lambda camera: Tracker(config.recognizer, new_id),
        hotlist,
        AlertPolicy(config.hotlist, new_id, suppresses),
    )


def confusions_of(recognizer: Recognizer) -> Confusions:
    """Return how the reader in use errs where it does not say so; of one nobody measured, what is usual."""
    known = recognizer.pack.reader.misreads
    return DEFAULT_CONFUSIONS if known is None else measured(known.share, known.taken_for)


def compose(config: Config, keys: Keys | None = None) -> Parts:
    """Return everything the daemon runs, opened; *keys* None takes those in the unit's keys folder.

    Raises what stops a unit from starting: ConfigInvalidError, VaultLockedError, ModelInvalidError,
    RecordingUnreadableError, DiskFullError. What can wait (server, broker, gpsd, a live camera) does not.
    """
    if not config.cameras:
        raise ConfigInvalidError("cameras: none is configured; add a [[cameras]] section, or give --source")
    keys = unlock(config.unit.keys_dir) if keys is None else keys
    state_dir, folder = state_folder(config), run_dir(config.unit)
    clock = SystemClock(state_dir)
    alarms: SimpleQueue[str] = SimpleQueue()
    profiles = Profiles(config, keys.storage, alarm=alarms.put)
    config = profiles.config
    hit_stored = Event()
    with ExitStack() as opened:
        packs, recognizer = _models(config, keys, alarms, opened)
        # Live cameras' processes start with the first frame asked for; only recordings are opened here.
        bank = CameraBank(config.cameras, config.gps, clock)
        opened.callback(bank.close)
        book = LocalBook(state_dir / HOTLIST_FOLDER, storage_key=keys.storage, new_id=new_id)
        pipeline = new_pipeline(config, recognizer, None, book.suppresses)
        outbox, store_fault = read_store(state_dir / OUTBOX_FILE, alarms)
        opened.callback(outbox.close)
        slots = window_slots(config, keys, clock)
        window = Window(slots, state_dir / OUTBOX_FILE)
        opened.callback(window.close)
        sightings = Sightings(window, config.retention)
        past: SimpleQueue[Sighting] = SimpleQueue()
        started = False

        def listed_anew(plates: Sequence[str]) -> None:
            if not started:
                return  # the officers' entries as they were before the restart
            try:
                found = sightings.of(plates, clock.now().utc)
            except (DiskFullError, OutboxCorruptError) as error:
                # From now on the plates are met all the same: that must not end for what passed before.
                log.error("sightings.not_searched", why=str(error))
                return
            for sighting in found:
                past.put(sighting)

        lists = Lists(
            book,
            config.hotlist,
            new_id,
            partial(setattr, pipeline, "hotlist"),
            confusions=confusions_of(recognizer),
            listed_anew=listed_anew,
        )
        lists.look()
        started = True
        access_log, log_fault = _access_log(config, keys, clock)
        if access_log is not None:
            opened.callback(access_log.close)
        keeper = keeper_of(
            config,
            keys.department,
            outbox,
            store_fault=store_fault,
            slots=slots,
            clock=clock,
            alarms=alarms,
            hit_stored=hit_stored.set,
        )
        files = TlsFiles(keys.tls_authority, keys.tls_certificate, keys.tls_key)
        connections = connections_of(config, files, keeper, clock)
        profiles.use = partial(follow, keeper.queue, sightings, connections.roads)
        rosters = RosterStore(state_dir, keys.storage)
        desk = _desk(
            config,
            keys,
            clock,
            folder,
            lists,
            rosters=rosters,
            listed_anew=listed_anew,
            roads=connections.roads,
            profiles=profiles,
            packs=packs,
        )
        desk.load()
        link = _link(config, files, desk) if config.mqtt.host else None
        board = Board()
        incidents = Incidents(access_log, clock)
        page, page_fault = _page(
            config,
            keys,
            clock,
            rosters=rosters,
            access_log=access_log,
            board=board,
            window=window,
            incidents=incidents,
            retention=lambda: profiles.config.retention,
        )
        opened.pop_all()
    transport, hit_transport = connections.transport, connections.hit_transport
    return Parts(
        unit_id=config.unit.id,
        run_dir=folder,
        clock=clock,
        bank=bank,
        pipeline=pipeline,
        contexts=Contexts() if config.retention.context_images else None,
        incidents=incidents,
        keeper=keeper,
        alarms=alarms,
        transport=transport,
        courier=None
        if transport is None
        else _courier(config, keys, keeper, transport, clock, access_log=access_log, roads=connections.roads),
        hit_courier=None
        if hit_transport is None
        else hit_courier_of(config, keys, keeper.queue, https=hit_transport, link=link, clock=clock),
        hit_transport=hit_transport,
        hit_stored=hit_stored,
        roads=connections.roads,
        pacing=connections.pacing,
        profiles=profiles,
        packs=packs,
        publisher=connections.publisher,
        lists=lists,
        sightings=sightings,
        window=window,
        past=past,
        desk=desk,
        link=link,
        presence=Presence(
            equipment(recognizer.pack), clock, None if transport is None else transport.send_status
        ),
        sounder=Sounder(config.alerts, wav_folder(config.alerts, folder)),
        notifier=Notifier(os.environ),
        board=board,
        access_log=access_log,
        page=page,
        page_faults=tuple(fault for fault in (log_fault, page_fault) if fault),
    )


def _models(
    config: Config, keys: Keys, alarms: "SimpleQueue[str]", opened: ExitStack
) -> tuple[DepartmentPacks, Recognizer]:
    reserve_bytes = config.retention.image_reserve_bytes
    packs = DepartmentPacks(
        config.unit.state_dir, keys.storage, reserve_bytes=reserve_bytes, alarm=alarms.put
    )
    recognizer = packs.open(config.recognizer)
    # A disk that is full, or a recording that is none, ends the start and says nothing against the models.
    opened.callback(packs.ended)
    return packs, recognizer


def _access_log(config: Config, keys: Keys, clock: SystemClock) -> tuple[AccessLog | None, str]:
    """Return the access log, or why there is none: the page is then off, and alerts sound all the same."""
    try:
        log_file = AccessLog(
            config.unit.state_dir,
            unit_id=config.unit.id,
            storage_key=keys.storage,
            signing=keys.signing,
            department=keys.department,
            clock=clock,
        )
    except LogUnwritableError as error:
        log.error("access_log.unwritable", why=str(error))
        return None, str(error)
    return log_file, log_file.fault


def _page(
    config: Config,
    keys: Keys,
    clock: SystemClock,
    *,
    rosters: RosterStore,
    access_log: AccessLog | None,
    board: Board,
    window: Window,
    incidents: Incidents,
    retention: Callable[[], RetentionConfig],
) -> tuple[PageServer | None, str]:
    """Return the officers' page, or why there is none; both empty where the configuration wants none."""
    if not config.page.enabled or access_log is None:
        return None, ""
    if keys.page_certificate is None or keys.page_key is None:
        return (
            None,
            "page: this unit was enrolled without a certificate for it; see `alpr-server page-certificate`",
        )
    folder = config.unit.state_dir / HOTLIST_FOLDER
    lockouts = Lockouts(config.unit.state_dir, keys.storage, config.page)
    desk = Desk(
        unit_id=config.unit.id,
        config=config.page,
        accounts=Accounts(rosters, lockouts, access_log, config.page, clock, ended=incidents.end_of_shift),
        log=access_log,
        board=board,
        window=window,
        book=lambda: book_in(folder, keys.storage),
        clock=clock,
        incidents=incidents,
        retention=retention,
    )
    return PageServer(desk, keys.page_certificate, keys.page_key), ""


def _courier(
    config: Config,
    keys: Keys,
    keeper: Keeper,
    transport: HttpsTransport,
    clock: SystemClock,
    *,
    access_log: AccessLog | None,
    roads: Roads,
) -> Courier:
    session = Session(config.sync, SystemRandom().random)
    upload = Upload(
        session,
        KeeperStore(keeper.queue, hits=False, limit_bytes=lambda: roads.batch_bytes),
        transport,
        unit_id=config.unit.id,
        unit_key=keys.signing,
        department=keys.receipts,
        clock=lambda: clock.now().utc,
    )
    book = BookCourier(
        LocalBook(config.unit.state_dir / HOTLIST_FOLDER, storage_key=keys.storage, new_id=new_id),
        Session(config.sync, SystemRandom().random),
        transport,
        unit_id=config.unit.id,
        unit_key=keys.signing,
        department=keys.receipts,
        storage_key=keys.storage,
        clock=lambda: clock.now().utc,
    )
    if access_log is None:
        return Courier(upload, session, clock, book, may_send=lambda: roads.carries_all_reads)
    log_courier = LogCourier(
        access_log,
        config.unit.state_dir,
        Session(config.sync, SystemRandom().random),
        transport,
        unit_id=config.unit.id,
        unit_key=keys.signing,
        department=keys.receipts,
        storage_key=keys.storage,
        clock=lambda: clock.now().utc,
    )
    return Courier(upload, session, clock, book, log_courier, may_send=lambda: roads.carries_all_reads)


def _desk(
    config: Config,
    keys: Keys,
    clock: SystemClock,
    scratch: Path,
    lists: Lists,
    *,
    rosters: RosterStore,
    listed_anew: Callable[[Sequence[str]], None],
    roads: Roads,
    profiles: Profiles,
    packs: DepartmentPacks,
) -> HotlistDesk:
    folder = config.unit.state_dir / HOTLIST_FOLDER
    updates = config.unit.state_dir / UPDATES_FOLDER
    for each in (folder / URGENT_FOLDER, updates):
        each.mkdir(mode=0o700, exist_ok=True)
    store, urgent = (
        HotlistStore(each, storage_key=keys.storage, keys=(keys.hotlists,), config=config.hotlist)
        for each in (folder, folder / URGENT_FOLDER)
    )
    return HotlistDesk(
        _trust(updates, keys.updates_root),
        store,
        urgent,
        config.hotlist,
        clock,
        scratch=scratch,
        put_in_force=lists.use,
        listed_anew=listed_anew,
        rosters=rosters,
        carried=lambda: roads.lists,
        profiles=profiles,
        packs=packs,
    )


def _trust(folder: Path, root: bytes) -> Publishes:
    if not root:
        what = (
            "this unit was enrolled without a root of trust; nothing new is taken until it is enrolled again"
        )
        return LostTrust(TrustLostError(what, alarm=f"ALARM: {what}"))
    try:
        return TrustedUpdates(folder, root)
    except TrustLostError as error:
        log.error("updates.trust_lost", why=str(error), alarm=error.alarm)
        return LostTrust(error)
    except DiskFullError as error:
        # The lists in force are read, not written: alerts go on with them.
        log.error("updates.not_kept", why=str(error))
        return LostTrust(TrustLostError(str(error), alarm=f"no new hotlists are taken: {error}"))


def _link(config: Config, files: TlsFiles, desk: HotlistDesk) -> MqttLink:
    return MqttLink(config.mqtt, config.unit.id, files, desk.told, SystemRandom().random)
