"""The two databases a department may have, each giving tests a new department or an empty database."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from server.bench_cluster import Cluster, cluster
from server.database import open_database
from server.department import Department, open_department
from tests.departments import a_department, a_stranger

_numbers = itertools.count(1)


class Database(Protocol):
    """Either of them."""

    @property
    def name(self) -> str:
        """Which of the two."""

    def department(self, root: Path) -> Department:
        """Return a new department in *root*, with one administrator, "chief"."""

    def engine(self, path: Path) -> Engine:
        """Return an engine on an empty database; *path* is where it lies, if it is a file."""


@dataclass(frozen=True, slots=True)
class Sqlite:
    """The embedded one."""

    name: str = "sqlite"

    def department(self, root: Path) -> Department:
        """See `Database`."""
        return a_department(root)

    def engine(self, path: Path) -> Engine:
        """See `Database`."""
        return open_database(path)


@dataclass(slots=True)
class Postgresql:
    """One that serves for the whole run; each test gets a database of its own in it."""

    running: Cluster
    mould: Path
    name: str = "postgresql"
    _founded: bool = field(default=False, repr=False)

    def department(self, root: Path) -> Department:
        """See `Database`."""
        if not self._founded:
            a_stranger(self.mould, self.running.make("mould")).engine.dispose()
            self._founded = True
        shutil.copytree(self.mould, root)
        own = self.running.make(f"t{next(_numbers)}", "mould")
        settings = root / "server.toml"
        settings.write_text(settings.read_text().replace(self.running.url("mould"), own))
        return open_department(root)

    def engine(self, path: Path) -> Engine:
        """See `Database`."""
        return open_database(path, self.running.make(f"t{next(_numbers)}"))


@contextmanager
def a_postgresql(folder: str) -> Iterator[Postgresql]:
    """Give a running PostgreSQL. Raises NoPostgresqlError where there is none.

    Without fsync: a process that is killed loses nothing by it, only a power cut would.
    """
    with cluster(fsync="off", max_connections="200") as running:
        yield Postgresql(running, Path(folder) / "department")
