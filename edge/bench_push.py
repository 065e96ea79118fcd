"""From the department's publication to the alert in two driving cars: real broker, server, daemons, cameras.

`python -m edge.bench_push [--entries N] [--mbit N]` prints what was seen, and ends with 1 if a step did not
come about. One car is on the department's network; the other one behind a slow link, as on a cellular modem.
Both drive the sample drive, over and over.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from rich.console import Console
from rich.table import Table

from edge.bench_link import free_port, slow_link
from edge.clock import system_utc

ROOT = Path(__file__).parent.parent
DRIVE = ROOT / "tests" / "data" / "drive" / "drive.mp4"
LOOP_S = 50.0
"""The sample drive."""
WANTED, OTHER, AMBER, LATE = "KVD7043", "8K0B417", "SRM4850", "XKD9382"
"""Plates of the sample drive."""
_STATE_OF = {WANTED: "US-NY", OTHER: "US-CA", AMBER: "US-IL", LATE: "US-MI"}
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_STATES = ("US-CA", "US-CA", "US-CA", "US-TX", "US-NV", "US-AZ", "US-OR", "US-WA", "US-NY", "US-FL")
_LISTS = ("stolen vehicle", "stolen plate", "felony vehicle", "of interest")
_ALERT = re.compile(r"^(\S+Z) .*, (?:low|medium|high), UNVERIFIED: .*?listed ([A-Z0-9]+)")


class NotSeenError(Exception):
    """What should have come about did not, in the time it was given."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    what: str
    network: str
    slow: str = ""


@dataclass(slots=True)
class Unit:
    """One car: a daemon with its camera on the sample drive."""

    name: str
    config: Path
    process: "subprocess.Popen[str]"
    output: Path
    run_dir: Path

    def told_at(self, plate: str) -> list[datetime]:
        """When it told of *plate*, aware UTC."""
        found = map(_ALERT.match, self.output.read_text(encoding="utf-8").splitlines())
        return [datetime.fromisoformat(alert[1]) for alert in found if alert and alert[2] == plate]

    def alerts(self, plate: str) -> int:
        """How often it told of *plate*."""
        return len(self.told_at(plate))

    def hotlist(self) -> dict[str, Any]:
        """How its list stands, empty before its first status."""
        try:
            status = json.loads((self.run_dir / "status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return dict(status["hotlist"])

    @property
    def rss_mb(self) -> float:
        """Its resident memory now."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1e3


@dataclass(slots=True)
class Scene:
    """The department, its broker and server, and the cars."""

    folder: Path
    department: Path
    rows: list[Row] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    carried: Callable[[], int] = lambda: 0
    """Bytes that went to the second car over the slow link."""

    def command(self, *arguments: str) -> float:
        """Run `alpr-server` and return how many seconds it took."""
        started = time.monotonic()
        done = subprocess.run(
            [_program("alpr-server"), *arguments],
            env={**os.environ, "ALPR_SERVER_DIR": str(self.department)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotSeenError(f"alpr-server {arguments[0]} {arguments[1:2]}: {done.stderr.strip()[-300:]}")
        return time.monotonic() - started

    def bring(self, feed: str, *plates: str, listed: str) -> float:
        """Let *feed* list *plates* alone; return how many seconds that took."""
        path = self.folder / f"{feed}.csv"
        lines = [f"{plate},{_STATE_OF[plate]},{listed},{listed},high" for plate in plates]
        path.write_text("\n".join(["plate,state,list,reason,priority", *lines, ""]), encoding="ascii")
        return self.command("hotlist", "import", str(path), "--feed", feed)

    def met(self, unit: Unit, plate: str) -> float:
        """Return after how many seconds *unit* told of *plate*."""
        return until(f"alert of {unit.name}", lambda: unit.alerts(plate), 2 * LOOP_S)

    def in_force(self, unit: Unit, sequence: int, limit_s: float = 60) -> float:
        """Return after how many seconds *unit* had list *sequence* in force."""
        what = f"list {sequence} in {unit.name}"
        return until(what, lambda: unit.hotlist().get("sequence", 0) >= sequence, limit_s)

    def tell(self, what: str, network: str, slow: str = "") -> None:
        """Note a line, and show that it goes on."""
        self.rows.append(Row(what, network, slow))
        print(f"{what}: {network}{' | ' if slow else ''}{slow}", file=sys.stderr)


def until(what: str, holds: Callable[[], object], limit_s: float) -> float:
    """Wait until *holds*; return how many seconds that took. Raises NotSeenError after *limit_s*."""
    started, pause = time.monotonic(), Event()
    while not holds():
        if time.monotonic() - started > limit_s:
            raise NotSeenError(f"{what}: not in {limit_s:.0f} s")
        pause.wait(0.05)
    return time.monotonic() - started


def drive(scene: Scene, entries: int) -> None:
    """Go through the whole story. Raises NotSeenError where it breaks off."""
    _list_and_withdraw(scene)
    _overtake(scene, entries)
    _change_one(scene, entries)
    scene.tell("resident memory, MB", *(f"{unit.rss_mb:.0f}" for unit in scene.units))


def _list_and_withdraw(scene: Scene) -> None:
    scene.bring("trial", WANTED, OTHER, listed="stolen vehicle")
    scene.command("hotlist", "publish")
    seen_s = [scene.met(unit, WANTED) for unit in scene.units]
    scene.tell(
        f"a plate is listed, its car met, s (a round takes {LOOP_S:.0f})",
        f"{seen_s[0]:.1f}",
        f"{sum(seen_s):.1f}",
    )
    scene.bring("trial", OTHER, listed="stolen vehicle")
    command_s = scene.command("hotlist", "publish")
    gone_s = [scene.in_force(unit, 2) for unit in scene.units]
    scene.tell(
        "withdrawn: publish + until in force, s",
        f"{command_s:.1f} + {gone_s[0]:.1f}",
        f"{command_s:.1f} + {sum(gone_s):.1f}",
    )
    Event().wait(3)  # what was read before it was withdrawn has been told
    before = [(unit.alerts(WANTED), unit.alerts(OTHER)) for unit in scene.units]
    Event().wait(1.2 * LOOP_S)
    after = [(unit.alerts(WANTED), unit.alerts(OTHER)) for unit in scene.units]
    told = [(now[0] - then[0], now[1] - then[1]) for now, then in zip(after, before, strict=True)]
    scene.tell("alerts of it in 65 s (of another plate)", *(f"{gone} ({still})" for gone, still in told))
    if any(gone or not still for gone, still in told):
        raise NotSeenError("a withdrawn plate was told of, or a listed one was not")


def _overtake(scene: Scene, entries: int) -> None:
    network, slow = scene.units
    path = scene.folder / "base.csv"
    _write_base(path, entries)
    scene.tell(
        f"import of {entries:,} entries, s",
        f"{scene.command('hotlist', 'import', str(path), '--feed', 'base'):.1f}",
    )
    path.unlink()
    scene.tell("publish them whole, s", f"{scene.command('hotlist', 'publish'):.1f}")
    scene.tell("in force after that, s", f"{scene.in_force(network, 3, 120):.1f}")
    begun_s = until("the long list under way", lambda: slow.hotlist()["received_bytes"], 60)
    size = slow.hotlist()["wanted_bytes"]
    scene.tell("bytes of the long list", f"{size:,}")
    command_s = scene.bring("urgent", AMBER, listed="amber alert")
    command_s += scene.command("hotlist", "publish", "--urgent")
    urgent_s = until("the urgent entry in the second car", lambda: slow.hotlist()["urgent_entries"], 30)
    if slow.hotlist()["sequence"] >= 3:
        raise NotSeenError(
            "the long list was there before the urgent entry, which overtook nothing: make it longer"
        )
    came = slow.hotlist()["received_bytes"] / size
    scene.tell(
        "Amber alert overtakes it: import and publish + until in force, s",
        "",
        f"{command_s:.1f} + {urgent_s:.1f}",
    )
    published_at = system_utc() - timedelta(seconds=urgent_s)
    rest_s = scene.in_force(slow, 3, 900)
    scene.tell(
        f"the long list ({came:.0%} of it had come) in force, s",
        "",
        f"{begun_s + command_s + urgent_s + rest_s:.1f}",
    )
    scene.met(slow, AMBER)
    told_s = (slow.told_at(AMBER)[0] - published_at) / timedelta(seconds=1)
    scene.tell("alert of the Amber entry after its publication, s", "", f"{told_s:.1f}")
    scene.tell("bytes over the slow link, all in all, of the list's", "", f"{scene.carried() / size:.2f}")


def _change_one(scene: Scene, entries: int) -> None:
    scene.bring("trial", OTHER, LATE, listed="stolen vehicle")
    command_s = scene.command("hotlist", "publish")
    changed_s = [scene.in_force(unit, 4) for unit in scene.units]
    scene.tell(
        f"one entry more on {entries:,}: publish + until in force, s",
        f"{command_s:.1f} + {changed_s[0]:.1f}",
        f"{command_s:.1f} + {sum(changed_s):.1f}",
    )
    late_s = [scene.met(unit, LATE) for unit in scene.units]
    scene.tell("its car met, s", f"{late_s[0]:.1f}", f"{sum(late_s):.1f}")


@contextmanager
def scene_in(folder: Path, mbit: float) -> Iterator[Scene]:
    """Give a department with its broker and server, and two cars that drive."""
    scene = Scene(folder, folder / "department")
    (folder / "password").write_text("only-for-this-trial-1\n", encoding="ascii")
    broker_port = free_port()
    scene.command("init", str(scene.department), "--password-file", str(folder / "password"))
    settings = scene.department / "server.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(
        text.replace('host = ""', 'host = "localhost"').replace("port = 8883", f"port = {broker_port}")
    )
    broker = folder / "broker"
    scene.command(
        "broker-config",
        "--host",
        "localhost",
        "--out",
        str(broker),
        "--port",
        str(broker_port),
        "--folder",
        str(broker),
    )
    conf = broker / "mosquitto.conf"
    text = re.sub(
        r"(?m)^persistence_location .*$", f"persistence_location {broker}/", conf.read_text(encoding="utf-8")
    )
    conf.write_text((f"user {'root' if os.getuid() == 0 else os.environ.get('USER', 'mosquitto')}\n") + text)
    with ExitStack() as running:
        with (folder / "broker.log").open("w") as log:
            _started(running, [_program("mosquitto"), "-c", str(conf)], stdout=log, stderr=log)
        with (folder / "server.log").open("w") as log:
            server = _started(
                running,
                [_program("alpr-server"), "run", str(scene.department), "--port", "0", "--admin-port", "0"],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert server.stdout is not None
        ready = dict(part.split("=") for part in server.stdout.readline().split()[1:])
        if "units" not in ready:
            raise NotSeenError((folder / "server.log").read_text(encoding="utf-8")[-300:])
        link = running.enter_context(slow_link(int(ready["units"]), mbit))
        scene.carried = link.carried
        for name, port in (("unit-01", int(ready["units"])), ("unit-02", link.port)):
            scene.units.append(_car(running, scene, name, port))
        yield scene


def _car(running: ExitStack, scene: Scene, name: str, port: int) -> Unit:
    folder = scene.folder / name
    scene.command("enroll", name, "--out", str(folder), "--server-url", f"https://localhost:{port}")
    config, output, run_dir = folder / "config.toml", folder / "alerts.txt", folder / "run"
    camera = f'\n[[cameras]]\nname = "front"\nsource = "{DRIVE}"\nloop = true\n'
    config.write_text(config.read_text(encoding="utf-8") + camera)
    settings = (
        "unit.state_dir=state",
        "unit.run_dir=run",
        "gps.gpsd=",
        "hotlist.cooldown_s=10",
        "recognizer.threads=1",
    )
    command = [_program("alpr-edge"), "run", "--config", str(config), "--view"]
    command += [part for setting in settings for part in ("--set", setting)]
    with output.open("w") as out, (folder / "log").open("w") as log:
        process = _started(running, command, stdout=out, stderr=log)
    return Unit(name, config, process, output, run_dir)


def _started(running: ExitStack, command: Sequence[str], **streams: Any) -> "subprocess.Popen[str]":
    process = subprocess.Popen(command, text=True, **streams)
    running.callback(_end, process)
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _program(name: str) -> str:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        raise NotSeenError(f"{name} is not installed: ./check installs it, or apt-get install {name}")
    return found


def _write_base(path: Path, entries: int) -> None:
    """Write a list of made-up plates, none of which the sample drive shows."""
    source = random.Random(1)
    with path.open("w", encoding="ascii") as file:
        file.write("plate,state,list,reason,priority\n")
        for _ in range(entries):
            letters = "".join(source.choices(_LETTERS, k=3))
            plate = f"{source.randrange(10)}{letters}{source.randrange(1000):03d}Z"
            listed = source.choice(_LISTS)
            file.write(f"{plate},{source.choice(_STATES)},{listed},{listed},medium\n")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=5_000_000)
    parser.add_argument("--mbit", type=float, default=2.0, help="of the second car's link")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    table = Table(
        "", "car on the network", f"car behind {arguments.mbit:g} Mbit/s", title="Publish, push, alert"
    )
    failure, rows, started = "", [], system_utc()
    with TemporaryDirectory(prefix="alpr-push-") as name:
        try:
            with scene_in(Path(name), arguments.mbit) as scene:
                rows = scene.rows
                drive(scene, arguments.entries)
        except NotSeenError as error:
            failure = str(error)
    for row in rows:
        table.add_row(row.what, row.network, row.slow)
    Console().print(table)
    if arguments.json is not None:
        told = {"at": started.isoformat(), "rows": [[row.what, row.network, row.slow] for row in rows]}
        arguments.json.write_text(json.dumps(told, indent=2), encoding="utf-8")
    if failure:
        print(f"did not come about: {failure}", file=sys.stderr)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
