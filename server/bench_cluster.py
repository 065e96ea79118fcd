"""A PostgreSQL of its own in a temporary folder, reached by a socket there alone: for benchmark and tests."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from threading import Event
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from server.database import DRIVER

_DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root; this is the account that Debian's package makes."""
_STARTS_IN_S = 60


class NoPostgresqlError(Exception):
    """PostgreSQL is not installed here, or does not start: say so, and go on without it."""


def programs() -> Path | None:
    """Return the folder of initdb and postgres, of the newest version installed, or None."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    beside = shutil.which("initdb")
    return None if beside is None else Path(beside).resolve().parent


@dataclass(slots=True)
class Cluster:
    """A running PostgreSQL."""

    folder: Path
    binaries: Path
    settings: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        """Where its files lie."""
        return self.folder / "data"

    def url(self, name: str) -> str:
        """Return where database *name* is."""
        return f"{DRIVER}://{_ACCOUNT}@/{name}?host={self.folder}"

    def start(self) -> None:
        """Start it, and return when it answers. Raises NoPostgresqlError if it does not."""
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-k", self.folder, *options],
                stdout=log,
                stderr=log,
                **_account(),
            )
        started, pause = time.monotonic(), Event()
        while time.monotonic() - started < _STARTS_IN_S and self.process.poll() is None:
            try:
                self.run("SELECT 1", "postgres")
            except OperationalError:
                pause.wait(0.05)
            else:
                return
        raise NoPostgresqlError(f"PostgreSQL did not start: see {self.folder / 'log'}")

    @property
    def processor_s(self) -> float:
        """Processor time of all its processes so far, those that ended included."""
        assert self.process is not None
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue  # ended a moment ago, and is counted with its parent
            if int(stat.parent.name) == self.process.pid:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == self.process.pid:
                ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, *, at_once: bool = False) -> None:
        """End it; *at_once*, as a crash would: what was not committed is gone, what was is recovered."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self.process.wait(60)

    def run(self, statement: str, name: str) -> None:
        """Run one statement, outside of any transaction, in database *name*."""
        engine = create_engine(self.url(name), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def make(self, name: str, template: str = "template1") -> str:
        """Make database *name* as a copy of *template*, and return its URL."""
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"', "postgres")
        return self.url(name)


@contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """Give a new, empty PostgreSQL in a temporary folder, gone when the block ends.

    *settings* are of postgresql.conf. Raises NoPostgresqlError if it is not installed or does not start.
    """
    binaries = programs()
    if binaries is None:
        raise NoPostgresqlError("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(mkdtemp(prefix="alpr-postgresql-"))
    try:
        account = _account()
        if account:
            shutil.chown(folder, account["user"], account["group"])
        command = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", _ACCOUNT, "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(command, capture_output=True, text=True, check=False, **account)
        if made.returncode:
            raise NoPostgresqlError(f"PostgreSQL cannot be set up: {made.stderr.strip()[-300:]}")
        # Trust is safe here: the socket lies in a folder that is this account's alone, and there is no port.
        running = Cluster(folder, binaries, {"listen_addresses": "", **settings})
        try:
            running.start()
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> "dict[str, Any]":
    if os.geteuid() != 0:
        return {}
    try:
        pwd.getpwnam(_ACCOUNT)
    except KeyError:
        raise NoPostgresqlError(f"there is no account {_ACCOUNT!r} to run PostgreSQL as") from None
    return {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}
