"""Property tests judge what holds, not how fast: a busy machine must not fail them. And both databases."""

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

from server.bench_cluster import NoPostgresqlError
from tests.databases import Database, Postgresql, Sqlite, a_postgresql

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A PostgreSQL for the whole run; what needs it is skipped where there is none."""
    with TemporaryDirectory() as folder:
        try:
            with a_postgresql(folder) as running:
                yield running
        except NoPostgresqlError as error:
            pytest.skip(str(error))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Either database: a test that asks for it runs on both."""
    if request.param == "sqlite":
        return Sqlite()
    given: Postgresql = request.getfixturevalue("postgresql")
    return given
