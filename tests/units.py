"""A department's server and an enrolled unit as real processes on loopback, on the sample drive."""

import base64
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

ROOT = Path(__file__).resolve().parents[1]
DRIVE = ROOT / "tests" / "data" / "drive"
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Station:
    """A running department with one enrolled unit."""

    department: Path
    unit: Path

    @property
    def config(self) -> Path:
        return self.unit / "config.toml"

    @property
    def state(self) -> Path:
        return self.unit / "state"

    def held(self) -> list[tuple[str, str]]:
        """Read id and plate of every read that the department holds."""
        database = Database(self.department / "department.sqlite")
        try:
            return [(str(row["read_id"]), str(row["plate"])) for row in database["reads"].rows]
        finally:
            database.close()

    def hits_told(self) -> tuple[set[str], set[str]]:
        """Ids of the reads with hits that were told as such, and of all with any."""
        database = Database(self.department / "department.sqlite")
        try:
            rows = [(str(row["read_id"]), row["outcome"] != "none") for row in database["hits"].rows]
        finally:
            database.close()
        return {read_id for read_id, told in rows if told}, {read_id for read_id, _ in rows}

    def scenes(self) -> dict[str, bytes]:
        """The scenes that the department holds, by read."""
        database = Database(self.department / "department.sqlite")
        try:
            return {str(row["read_id"]): bytes(row["jpeg"]) for row in database["contexts"].rows}
        finally:
            database.close()

    def run_unit(self, *arguments: str, source: Path = DRIVE / "drive.mp4") -> subprocess.Popen[bytes]:
        """Start the unit on *source*; its log is added to `unit.log` beside its configuration."""
        with (self.unit / "unit.log").open("ab") as log:
            command = [
                sys.executable,
                "-m",
                "edge",
                "run",
                "--config",
                str(self.config),
                "--source",
                str(source),
            ]
            for setting in (
                f"unit.state_dir={self.state}",
                f"unit.run_dir={self.unit / 'run'}",
                "retention.local_window_h=0",
                "sync.interval_s=1",
                "alerts.speech=false",
                "alerts.sound_device=",
            ):
                command += ["--set", setting]
            return subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log)

    def events(self) -> list[dict[str, object]]:
        """The unit's log so far; a line cut short by a kill is left out."""
        events = []
        for line in (self.unit / "unit.log").read_text(encoding="utf-8").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return events

    def stored(self) -> list[str]:
        """Ids of the reads that the unit said are on its disk."""
        return [str(i) for e in self.events() if e.get("event") == "reads.stored" for i in list(e["reads"])]  # type: ignore[call-overload]


@contextmanager
def station(folder: Path, hotlist: Path = DRIVE / "hotlist.csv") -> Iterator[Station]:
    """Give a department with the sample hotlist published, its server running, and one enrolled unit."""
    department, unit = folder / "department", folder / "unit"
    (folder / "password").write_text("an invented pass phrase", encoding="utf-8")
    environment = os.environ | {"ALPR_SERVER_DIR": str(department)}

    def server(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env=environment,
            timeout=PATIENCE_S,
        )

    server("init", str(department), "--password-file", str(folder / "password"))
    server("hotlist", "import", str(hotlist))
    server("hotlist", "publish")
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "run", str(department), "--port", "0", "--admin-port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env=environment,
        )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], PATIENCE_S)[0], "the server did not start"
        ready = process.stdout.readline().decode()
        port = re.search(r"units=(\d+)", ready)
        assert port is not None, ready
        server("enroll", "unit-01", "--out", str(unit), "--server-url", f"https://localhost:{port[1]}")
        yield Station(department, unit)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()


def passings() -> list[dict[str, object]]:
    """What is to be read in the sample drive, a dict a vehicle."""
    lines = (DRIVE / "drive.truth.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def spellings(text: str) -> list[bytes]:
    """Return the ways in which *text* could stand readable in a file."""
    ways = []
    for case in {text.upper(), text.lower()}:
        for raw in (case.encode(), case.encode("utf-16-le"), case.encode("utf-16-be")):
            ways.append(raw)
            # In base64 a text looks different at each offset of three; the first and last sign depend on
            # the neighbours and are left out.
            for offset in range(3):
                coded = base64.b64encode(b"\0" * offset + raw)
                first = -(-offset * 8 // 6)
                ways.append(coded[first : (offset + len(raw)) * 8 // 6])
    return ways


def readable_in(folder: Path, texts: list[str]) -> list[str]:
    """Return which of *texts* can be read in any file below *folder*, as "file: number of the text"."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            found += [
                f"{path.name}: text {number}"
                for number, text in enumerate(texts)
                if any(way in content for way in spellings(text))
            ]
    return found
