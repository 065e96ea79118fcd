"""Two listeners in one process: units over mutual TLS, people's browsers over TLS. Runs until SIGTERM."""

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from server.errors import SettingsInvalidError
from server.peer import PeerCertificateProtocol

_log = structlog.get_logger(__name__)

CONNECTIONS_PER_PORT = 256
GRACE_S = 10
"""How long running requests may take to end after SIGTERM."""


class _Listener(uvicorn.Server):
    """uvicorn's server, which says when it listens and leaves the signals to us: there are two of it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell that connections are taken from now on."""
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal handler."""
        yield


async def serve(
    units: tuple[FastAPI, socket.socket],
    people: tuple[FastAPI, socket.socket],
    keys: Path,
    ready: Callable[[], None],
    beside: Callable[[], Coroutine[None, None, None]],
) -> None:
    """Serve both applications on their bound sockets until SIGTERM or SIGINT.

    *ready* is called when both listen; *beside* runs while they do, and is cancelled when they stop.
    """
    loop = asyncio.get_running_loop()
    unit_tls, people_tls = tls_context(keys, client_certificates=True), tls_context(keys)
    pairs = [
        (_Listener(_config(units[0], unit_tls)), units[1]),
        (_Listener(_config(people[0], people_tls)), people[1]),
    ]

    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        notify("STOPPING=1")
        for listener, _ in pairs:
            listener.should_exit = True

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop)
    try:
        async with asyncio.TaskGroup() as tasks:
            for listener, bound in pairs:
                tasks.create_task(listener.serve(sockets=[bound]))
            for listener, _ in pairs:
                await listener.listening.wait()
            ready()
            companion = tasks.create_task(beside())
            await _feed_watchdog(stopping)
            await stopping.wait()
            companion.cancel()
    finally:
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signal_number)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port*; port 0 takes a free one.

    Raises SettingsInvalidError if the address is taken or not ours.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsInvalidError(
            f"{host} port {port}: cannot listen ({error.strerror}): choose another port or address"
        ) from error


def tls_context(keys: Path, *, client_certificates: bool = False) -> ssl.SSLContext:
    """Return the server side of TLS 1.2 or later; with *client_certificates* nobody connects without one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(keys / "server.tls.cert.pem", keys / "server.tls.key.pem")
    if client_certificates:
        # This CA alone: a certificate of a public authority opens nothing here.
        context.load_verify_locations(keys / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def notify(state: str) -> None:
    """Tell systemd *state* (sd_notify(3)); nothing happens where systemd did not start us."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notice:
        try:
            notice.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            _log.warning("systemd not told", state=state, why=error.strerror)


async def _feed_watchdog(stopping: asyncio.Event) -> None:
    period_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    while period_us and not stopping.is_set():
        # From the loop itself: a loop that hangs feeds nothing, and systemd starts us anew.
        notify("WATCHDOG=1")
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), period_us / 2_000_000)


def _config(app: FastAPI, tls: ssl.SSLContext) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PeerCertificateProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        ssl_context_factory=lambda _config, _default: tls,
        # Its access log would write addresses with what stands in them; the access log of this product is
        # in the database.
        access_log=False,
        log_config=None,
        server_header=False,
        # What a proxy claims about the sender would go into the access log unproved.
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_PER_PORT,
        timeout_graceful_shutdown=GRACE_S,
    )
