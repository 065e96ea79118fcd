"""From an account at the department to a verified hit on its record: real processes, a page over TLS."""

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
from sqlite_utils import Database

from tests.units import PATIENCE_S, ROOT, Station, station

PASSWORD = "an invented pass phrase"


def server(at: Station, *arguments: str) -> str:
    command = [sys.executable, "-m", "server", *arguments, "--department", str(at.department)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=PATIENCE_S, text=True)
    return done.stdout


def eventually(found: Callable[[], bool], what: str) -> None:
    for _ in range(int(PATIENCE_S * 5)):
        if found():
            return
        threading.Event().wait(0.2)
    raise AssertionError(f"never came: {what}")


class Laptop:
    """The officer's browser."""

    def __init__(self, at: Station, port: int) -> None:
        context = ssl.create_default_context(cafile=str(at.unit / "keys" / "ca.pem"))
        self.client = httpx.Client(base_url=f"https://localhost:{port}", verify=context, trust_env=False)

    def answers(self) -> bool:
        try:
            return self.client.get("/login").status_code == 200
        except httpx.ConnectError:
            return False

    def submit(self, page: str, to: str, **fields: str) -> httpx.Response:
        token = re.search(r'name="form_token" value="([^"]+)"', self.client.get(page).text)
        assert token is not None
        return self.client.post(to, data={"form_token": token[1], **fields})

    def log_in(self) -> bool:
        return self.submit("/login", "/login", name="reyes", password=PASSWORD).status_code == 303


def test_an_officer_logs_in_verifies_a_hit_and_the_department_has_it_on_record(tmp_path: Path) -> None:
    with station(tmp_path) as at:
        (tmp_path / "officer").write_text(PASSWORD, encoding="utf-8")
        more = ["--password-file", str(tmp_path / "officer"), "--training-expires", "2099-01-01"]
        server(at, "account", "add", "reyes", "--role", "officer", *more)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = at.run_unit("--set", f"page.port={port}")
        laptop = Laptop(at, port)
        try:
            eventually(laptop.answers, "the page")
            eventually(laptop.log_in, "the roster")
            eventually(lambda: "UNVERIFIED: CHECK CLETS" in laptop.client.get("/now").text, "a hit")
            path = re.search(r'action="(/hits/[0-9a-f]+)/answer"', laptop.client.get("/now").text)
            assert path is not None
            for seen, (rung, given) in enumerate([("plate", "same"), ("disposition", "not pursued")]):
                response = laptop.submit(
                    path[1], f"{path[1]}/answer", rung=rung, answer=given, seen=str(seen)
                )
                assert response.status_code == 303
            assert laptop.submit("/logout", "/logout").status_code == 200

            def on_record() -> list[tuple[str, str]]:
                database = Database(at.department / "department.sqlite")
                try:
                    rows = database.query(
                        "SELECT actor, action, hit_id FROM unit_log_entries ORDER BY sequence"
                    )
                    return [(str(row["actor"]), str(row["action"])) for row in rows]
                finally:
                    database.close()

            eventually(lambda: ("reyes", "logout") in on_record(), "the access log at the department")
            assert on_record().count(("reyes", "hit.verify")) == 2
        finally:
            laptop.client.close()
            process.terminate()
            process.wait(PATIENCE_S)
        told = server(at, "audit", "unit", "unit-01", "--newest", "50")
        assert "unbroken" in told and "answer: not pursued" in told
        log = (at.unit / "unit.log").read_text(encoding="utf-8")
        names = [json.loads(line).get("event") for line in log.splitlines() if line.startswith("{")]
        assert "page.listening" in names and "page.failed" not in names
        assert "reyes" not in log and PASSWORD not in log
