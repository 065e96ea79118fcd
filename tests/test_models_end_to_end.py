"""A model pack from the department's command line to a unit that reads with it, as real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main
from recognizer.config import RecognizerConfig
from recognizer.onnx import Recognizer
from tests.units import DRIVE, PATIENCE_S, ROOT, Station, station


def test_published_pack_is_tried_used_from_the_next_start_on_and_withdrawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, plates = a_picture(tmp_path)
    pack = tmp_path / "builtin.pack"
    assert main(["models", "export", "builtin", str(pack), "--picture", f"{picture}=XXX0000"]) == 65
    assert not pack.exists()
    assert main(["models", "export", "builtin", str(pack), "--picture", f"{picture}={plates}"]) == 0
    with station(tmp_path) as made:
        server(made, "updates", "add-pack", str(pack))
        publish(made, tmp_path / "first.json")
        until(made, "pack.passed")
        assert listed(made, capsys) == [
            "in use: builtin, as configured",
            "next: builtin 2, from the next start",
        ]
        assert checked(made, capsys) == "in use: builtin, as configured; next: builtin 2, from the next start"
        until(made, "unit.started")
        running = [event for event in made.events() if event["event"] == "pack.running"]
        assert [event["pack"] for event in running] == ["builtin 2"]
        in_use, folder = listed(made, capsys)
        assert in_use == "in use: builtin 2, of the department, not yet proven"
        assert Path(folder.strip(), "manifest.toml").is_file()
        server(made, "updates", "remove-target", "models/builtin.pack")
        publish(made, tmp_path / "second.json")
        until(made, "pack.withdrawn")
        assert "withdrew" in listed(made, capsys)[-1]
        until(made, "unit.started")
        assert listed(made, capsys) == ["in use: builtin, as configured"]


def a_picture(folder: Path) -> tuple[Path, str]:
    """The first frame of the sample drive in which something is read, and what."""
    recognizer = Recognizer.open(RecognizerConfig())
    drive = cv2.VideoCapture(str(DRIVE / "drive.mp4"))
    path = folder / "frame.png"
    while True:
        there, frame = drive.read()
        assert there
        texts = [c.text for c in recognizer.candidates_in(np.asarray(frame, np.uint8)) if c.text]
        if texts:
            cv2.imwrite(str(path), frame)
            return path, ",".join(texts)


def server(made: Station, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"ALPR_SERVER_DIR": str(made.department)},
        timeout=PATIENCE_S,
    )


def publish(made: Station, draft: Path) -> None:
    server(made, "updates", "export-draft", "targets", str(draft))
    for person in ("person-1", "person-2"):
        server(made, "updates", "sign", person, str(draft))
    server(made, "updates", "import-signed", "targets", str(draft))
    server(made, "updates", "publish")


def until(made: Station, event: str) -> None:
    """Run the unit until it logs *event* once more, then end it in order."""

    def seen() -> int:
        return sum(each.get("event") == event for each in made.events())

    log = made.unit / "unit.log"
    log.touch()
    before = seen()
    process = made.run_unit()
    try:
        wait(lambda: seen() > before)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        process.kill()
    assert process.returncode == 0


def wait(done: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not done():
        assert time.monotonic() < deadline
        pause.wait(0.1)


def listed(made: Station, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What `alpr-edge models list` says of the unit, below its table."""
    config = made.unit / "own.toml"
    text = made.config.read_text(encoding="utf-8")
    lines = [
        f'state_dir = "{made.state}"' if line.startswith("state_dir") else line for line in text.split("\n")
    ]
    config.write_text("\n".join(lines), encoding="utf-8")
    capsys.readouterr()
    assert main(["models", "list", "--config", str(config)]) == 0
    out = capsys.readouterr().out.splitlines()
    return out[next(i for i, line in enumerate(out) if line.startswith("in use")) :]


def checked(made: Station, capsys: pytest.CaptureFixture[str]) -> str:
    """What `alpr-edge check` says of the models beside their digests."""
    capsys.readouterr()
    main(["check", "--config", str(made.unit / "own.toml")])
    lines = [line for line in capsys.readouterr().out.splitlines() if " models: " in line]
    return lines[-1].partition(" models: ")[2]
