"""The page as the laptop reaches it: over TLS, from the daemon, with a hit that was really read."""

import dataclasses
import re
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from edge.compose import compose
from edge.config import Config
from edge.daemon import Daemon
from edge.page_config import PageConfig
from edge.parts import Parts
from edge.roster import RosterStore
from edge.vault import unlock
from server.enrolment import UnitAddresses, enroll, renew_page
from server.errors import SettingsInvalidError
from sync.roster import Roster, encode_roster
from tests.departments import ADDRESSES, a_department, a_unit
from tests.pages import PASSWORD, a_roster
from tests.test_edge_daemon import PLATE, unit
from tests.test_edge_pipeline import Listed

NOW = datetime.now(UTC)


def with_page(folder: Path, **page: object) -> Config:
    """A unit of the daemon's tests whose page has a certificate of a real department."""
    config = dataclasses.replace(unit(folder), page=PageConfig(port=0, **page))  # type: ignore[arg-type]
    enrolled = a_unit(a_department(folder / "department"), folder / "enrolled")
    for name in ("page.tls.cert.pem", "page.tls.key.pem", "ca.pem"):
        shutil.copy(enrolled.keys / name, config.unit.keys_dir / name)
    config.unit.state_dir.mkdir(mode=0o700)
    roster = Roster(1, NOW - timedelta(days=1), NOW + timedelta(days=35), a_roster().users)
    roster = dataclasses.replace(
        roster,
        issued_at=roster.issued_at.replace(microsecond=0),
        expires_at=roster.expires_at.replace(microsecond=0),
    )
    storage = unlock(config.unit.keys_dir).storage
    RosterStore(config.unit.state_dir, storage).install(encode_roster(roster))
    return config


@contextmanager
def driving(parts: Parts) -> Iterator[Daemon]:
    daemon = Daemon(parts)
    thread = threading.Thread(target=daemon.run, kwargs={"until_end": False, "on_status": lambda *_: None})
    thread.start()
    try:
        yield daemon
    finally:
        daemon.stop()
        thread.join(60)
        assert not thread.is_alive()


def listening(parts: Parts) -> int:
    assert parts.page is not None, parts.page_faults
    for _ in range(200):
        if parts.page.port:
            return parts.page.port
        threading.Event().wait(0.05)
    raise AssertionError(parts.page.fault or "the page does not listen")


def client_of(config: Config, port: int) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(config.unit.keys_dir / "ca.pem"))
    return httpx.Client(base_url=f"https://localhost:{port}", verify=context, trust_env=False)


def log_in(client: httpx.Client) -> httpx.Response:
    token = re.search(r'name="form_token" value="([^"]+)"', client.get("/login").text)
    assert token is not None
    fields = {"name": "reyes", "password": PASSWORD, "form_token": token[1]}
    return client.post("/login", data=fields)


def test_a_hit_that_was_read_stands_on_the_page_of_the_laptop(tmp_path: Path) -> None:
    config = with_page(tmp_path)
    parts = compose(config)
    parts.pipeline.hotlist = Listed(PLATE)
    with driving(parts), client_of(config, listening(parts)) as client:
        assert log_in(client).headers["location"] == "/"
        for _ in range(200):
            text = client.get("/now").text
            if PLATE in text:
                break
            threading.Event().wait(0.1)
        assert PLATE in text and "UNVERIFIED: CHECK CLETS" in text and "data:image/jpeg" in text
        assert "sealed to" not in text
        assert "front" in client.get("/status").text
        assert client.get("/version").json()["version"] == 1
    # The log is closed and whole.
    again = compose(config)
    assert again.access_log is not None and again.access_log.fault == ""
    assert again.access_log.head.sequence >= 3
    again.access_log.close()
    again.window.close()
    again.keeper.close()


def test_an_address_that_is_taken_is_told_and_tried_again_while_the_unit_drives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.page.RETRY_S", 1.0)
    config = with_page(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        page = dataclasses.replace(config.page, port=taken.getsockname()[1])
        parts = compose(dataclasses.replace(config, page=page))
        seen: list[str] = []
        daemon = Daemon(parts)
        done = threading.Event()

        def on_status(status: object, _: object) -> None:
            seen.extend(status.faults)  # type: ignore[attr-defined]
            if parts.page is not None and parts.page.port:
                daemon.stop()
            elif any("cannot listen" in fault for fault in seen) and not done.is_set():
                done.set()
                taken.close()

        daemon.run(until_end=False, on_status=on_status)
    assert any(re.fullmatch(r"page: 127\.0\.0\.1 port \d+: cannot listen \(.*\)", fault) for fault in seen)


def test_a_unit_enrolled_before_there_was_a_page_runs_without_and_says_so(tmp_path: Path) -> None:
    parts = compose(unit(tmp_path))
    assert parts.page is None
    status = Daemon(parts).run(until_end=True, on_status=lambda *_: None)
    assert status.reads == 1
    assert any("page-certificate" in fault for fault in status.faults)


def test_a_page_that_is_turned_off_is_no_fault(tmp_path: Path) -> None:
    config = dataclasses.replace(with_page(tmp_path), page=PageConfig(enabled=False))
    parts = compose(config)
    assert parts.page is None
    status = Daemon(parts).run(until_end=True, on_status=lambda *_: None)
    assert not [fault for fault in status.faults if "page" in fault]


def test_a_laptop_without_the_departments_authority_does_not_trust_the_page(tmp_path: Path) -> None:
    config = with_page(tmp_path)
    parts = compose(config)
    with driving(parts):
        port = listening(parts)
        with (
            httpx.Client(base_url=f"https://localhost:{port}", trust_env=False) as client,
            pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.get("/login")


def test_the_page_certificate_names_the_unit_and_what_it_was_asked_for(tmp_path: Path) -> None:
    from cryptography import x509

    department = a_department(tmp_path / "department")
    enroll(
        department.engine,
        department.keys,
        "unit-07",
        tmp_path / "unit",
        ADDRESSES,
        updates_root=b"",
        actor="console:test",
        now=NOW,
        page_hosts=["192.168.8.1", "unit-07.car"],
    )
    pem = (tmp_path / "unit" / "keys" / "page.tls.cert.pem").read_bytes()
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert {str(name.value) for name in names.value} == {
        *("unit-07", "localhost", "127.0.0.1", "::1", "192.168.8.1", "unit-07.car")
    }
    assert 'hosts = ["192.168.8.1", "unit-07.car"]' in (tmp_path / "unit" / "config.toml").read_text()
    renew_page(
        department.engine,
        department.keys,
        "unit-07",
        tmp_path / "renewed",
        ADDRESSES,
        actor="console:test",
        now=NOW,
    )
    assert {path.name for path in (tmp_path / "renewed").iterdir()} == {
        *("page.tls.cert.pem", "page.tls.key.pem")
    }
    department.engine.dispose()


def test_no_unit_gets_a_certificate_with_the_departments_name(tmp_path: Path) -> None:
    department = a_department(tmp_path / "department")
    addresses = UnitAddresses("https://alpr.example.gov:8443", "broker.example.gov", 8883)
    for taken in ("alpr.example.gov", "Broker.example.gov"):
        with pytest.raises(SettingsInvalidError, match="the department's own"):
            enroll(
                department.engine,
                department.keys,
                "unit-07",
                tmp_path / "unit",
                addresses,
                updates_root=b"",
                actor="console:test",
                now=NOW,
                page_hosts=[taken],
            )
    assert not (tmp_path / "unit").exists()
    department.engine.dispose()
