"""A unit's status over HTTPS to a real server in a process of its own."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import select

from server.database import reading
from server.department import Department
from server.tables import units
from sync.config import SyncConfig
from sync.errors import RefusedError
from sync.https import HttpsTransport
from sync.tls import TlsFiles
from sync.unit_status import MAX_STATUS_BYTES
from tests.departments import Unit, a_department, a_unit, running
from tests.statuses import a_word


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Department]:
    made = a_department(tmp_path_factory.mktemp("department") / "department")
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def unit(department: Department, tmp_path_factory: pytest.TempPathFactory) -> Unit:
    return a_unit(department, tmp_path_factory.mktemp("unit") / "unit")


@pytest.fixture(scope="module")
def transport(
    department: Department, unit: Unit, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HttpsTransport]:
    with (
        running(department, tmp_path_factory.mktemp("log") / "log") as server,
        closing(
            HttpsTransport(SyncConfig(server_url=server.units_url), TlsFiles.in_folder(unit.keys))
        ) as made,
    ):
        yield made


def held(department: Department) -> tuple[str | None, str | None]:
    with reading(department.engine) as connection:
        row = connection.execute(select(units.c.state, units.c.status)).one()
    return row.state, row.status


@pytest.mark.parametrize(
    ("payload", "status"),
    [(b"", 422), (b"{}", 422), (a_word()[:-1], 422), (b" " * (MAX_STATUS_BYTES + 1), 413)],
)
def test_what_is_no_status_is_refused_and_not_kept(
    transport: HttpsTransport, department: Department, payload: bytes, status: int
) -> None:
    before = held(department)
    with pytest.raises(RefusedError) as caught:
        transport.send_status(payload)
    assert caught.value.status == status
    assert held(department) == before


def test_a_status_by_https_is_kept_as_one_by_the_broker(
    transport: HttpsTransport, department: Department
) -> None:
    transport.send_status(a_word(queued=7))
    assert held(department) == ("online", a_word(queued=7).decode())
    transport.send_status(a_word(queued=8))
    assert held(department) == ("online", a_word(queued=8).decode())
