"""Several servers on one PostgreSQL, behind a balancer that knows nothing but connections."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from server.audit import verify
from server.database import reading
from server.department import Department
from server.tables import batches, reads
from sync.batch import SignedBatch, decode_receipt
from sync.config import SyncConfig
from sync.errors import SyncError
from sync.https import HttpsTransport
from sync.tls import TlsFiles
from tests.databases import Postgresql
from tests.departments import PASSWORD, Unit, a_unit, running
from tests.fakes import a_read

BATCHES, READS = 24, 5
PATIENCE = 200
"""Attempts for one batch; a refused connection costs a tenth of a second."""


class Balancer:
    """Hands each new connection to the next server that takes it."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports, self._turn = ports, count()
        self._socket = socket.create_server(("localhost", 0))
        self.port: int = self._socket.getsockname()[1]
        self._pairs: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._run, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Take no more connections, and wait for the end of those there are."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in (self._accepting, *self._pairs):
            thread.join(10)

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            if (server := self._server()) is None:
                client.close()
                continue
            pair = threading.Thread(target=_pair, args=(client, server), daemon=True)
            self._pairs.append(pair)
            pair.start()

    def _server(self) -> socket.socket | None:
        for _ in self._ports:
            with suppress(OSError):
                return socket.create_connection(
                    ("localhost", self._ports[next(self._turn) % len(self._ports)])
                )
        return None


def _pair(client: socket.socket, server: socket.socket) -> None:
    with client, server:
        back = threading.Thread(target=_carry, args=(server, client), daemon=True)
        back.start()
        _carry(client, server)
        back.join()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def balanced(*ports: int) -> Iterator[int]:
    with closing(Balancer(ports)) as balancer:
        yield balancer.port


@pytest.fixture
def department(postgresql: Postgresql, tmp_path: Path) -> Iterator[Department]:
    made = postgresql.department(tmp_path / "department")
    yield made
    made.engine.dispose()


def send(unit: Unit, port: int, signed: SignedBatch) -> bytes:
    """Send a batch as often as it takes, each time over a new connection."""
    config = SyncConfig(server_url=f"https://localhost:{port}")
    for _ in range(PATIENCE):
        with (
            suppress(SyncError),
            closing(HttpsTransport(config, TlsFiles.in_folder(unit.keys))) as transport,
        ):
            return transport.send(signed)
        threading.Event().wait(0.1)
    raise AssertionError("never answered")


def test_units_and_people_need_not_know_which_server_answers(department: Department, tmp_path: Path) -> None:
    units = [a_unit(department, tmp_path / f"unit-{n}", f"unit-{n}") for n in range(4)]
    work = [
        (unit, unit.batch([a_read() for _ in range(READS)])) for unit in units for _ in range(BATCHES // 4)
    ]
    with (
        running(department, tmp_path / "first.log") as first,
        running(department, tmp_path / "second.log") as second,
        balanced(first.units_port, second.units_port) as units_port,
    ):
        with ThreadPoolExecutor(4) as cars:
            receipts = list(cars.map(lambda each: send(each[0], units_port, each[1]), work[: BATCHES // 2]))
            rest = [cars.submit(send, unit, units_port, signed) for unit, signed in work[BATCHES // 2 :]]
            first.process.kill()
            receipts += [each.result() for each in rest]
        # Each once more: the same receipt, whichever server gave it.
        assert [send(unit, units_port, signed) for unit, signed in work] == receipts
        for (unit, signed), receipt in zip(work, receipts, strict=True):
            assert decode_receipt(receipt, unit.receipt_key, signed, unit.unit_id).reads == READS
        with (
            running(department, tmp_path / "third.log") as third,
            balanced(second.people_port, third.people_port) as people_port,
        ):
            _look_around(department, people_port)
    with reading(department.engine) as connection:
        assert connection.execute(select(func.count()).select_from(reads)).scalar() == BATCHES * READS
        assert connection.execute(select(func.count()).select_from(batches)).scalar() == BATCHES
        verify(connection)


def _look_around(department: Department, port: int) -> None:
    """Log in and look at pages, each over a connection of its own."""
    cookies = httpx.Cookies()
    url = f"https://localhost:{port}"
    tls = ssl.create_default_context(cafile=str(department.folder.keys / "ca.pem"))

    def ask(method: str, path: str, **fields: str) -> httpx.Response:
        with httpx.Client(verify=tls, cookies=cookies, trust_env=False) as browser:
            answer = browser.request(method, f"{url}{path}", data=fields or None)
            cookies.update(browser.cookies)
            return answer

    token = re.search(r'name="form_token" value="([^"]+)"', ask("GET", "/login").text)
    assert token is not None
    assert ask("POST", "/login", form_token=token[1], name="chief", password=PASSWORD).status_code == 303
    for _ in range(6):
        assert ask("GET", "/units").status_code == 200
