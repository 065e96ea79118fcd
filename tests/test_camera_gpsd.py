import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera import Fix
from camera.config import GpsConfig
from camera.gpsd import GpsdParser, GpsdSocket

S = 1_000_000_000
TPV = {
    "class": "TPV",
    "device": "/dev/pts/1",
    "mode": 3,
    "time": "2026-06-01T12:00:00.000Z",
    "lat": 0.5,
    "lon": -0.25,
    "speed": 13.5,
    "track": 359.5,
    "eph": 4.2,
}


def report(**changes: Any) -> bytes:
    """One line of gpsd; a change to None leaves the key out."""
    changed = {key: value for key, value in {**TPV, **changes}.items() if value is not None}
    return json.dumps(changed).encode() + b"\r\n"


def test_position_report_becomes_a_fix() -> None:
    (fix,) = GpsdParser().feed(report())
    assert fix == Fix(datetime(2026, 6, 1, 12, tzinfo=UTC), 0.5, -0.25, 13.5, 359.5, 4.2)


@pytest.mark.parametrize("changes", [{"mode": 1}, {"mode": 0}, {"mode": None}, {"lat": None}, {"time": None}])
def test_report_without_a_position_is_no_fix_and_no_fault(changes: dict[str, Any]) -> None:
    parser = GpsdParser()
    assert parser.feed(report(**changes)) == []
    assert parser.malformed == 0


def test_other_classes_are_passed_over() -> None:
    parser = GpsdParser()
    assert parser.feed(b'{"class":"VERSION","release":"3.22"}\n{"class":"SKY","satellites":[]}\n\n') == []
    assert parser.malformed == 0


def test_speed_course_and_accuracy_are_unknown_where_gpsd_does_not_say() -> None:
    (fix,) = GpsdParser().feed(report(speed=None, track=None, eph=None))
    assert (fix.speed_mps, fix.course_deg, fix.accuracy_m) == (None, None, None)


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[1, 2]\n",
        b"42\n",
        b"\xff\xfe\n",
        b"[" * 60_000 + b"\n",
        b'{"class":"TPV","mode":"three"}\n',
        report(lat=90.5),
        report(lon=float("nan")),
        report(lat="north"),
        report(lat=[0.5]),
        report(time="yesterday"),
        report(time=1),
        report(time="2026-06-01T12:00:00"),
        report(speed="fast"),
    ],
)
def test_malformed_line_is_counted_and_the_next_one_read(line: bytes) -> None:
    parser = GpsdParser()
    assert len(parser.feed(line + report())) == 1
    assert parser.malformed == 1


def test_line_without_an_end_does_not_fill_the_memory() -> None:
    parser = GpsdParser()
    for _ in range(100):
        assert parser.feed(b"x" * 10_000) == []
    assert parser.malformed == 1
    assert len(parser._rest) <= 75_536
    assert len(parser.feed(b"xx\n" + report())) == 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 40)))
def test_where_the_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    stream = b'{"class":"VERSION"}\r\n' + report() + b"garbage\n" + report(lat=0.75)
    parser = GpsdParser()
    fixes = []
    for cut in cuts:
        fixes += parser.feed(stream[:cut])
        stream = stream[cut:]
    fixes += parser.feed(stream)
    assert [fix.latitude_deg for fix in fixes] == [0.5, 0.75]
    assert parser.malformed == 1


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_stop_the_parser(noise: bytes) -> None:
    assert len(GpsdParser().feed(noise + b"\n" + report())) == 1


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        yield listening


def reader_of(server: socket.socket) -> GpsdSocket:
    return GpsdSocket(GpsConfig(f"127.0.0.1:{server.getsockname()[1]}"))


def polled(reader: GpsdSocket, now_ns: int, until: float = 5.0) -> list[Fix]:
    """Poll at the one moment *now_ns* until something came or the connection broke."""
    end = time.monotonic() + until
    while time.monotonic() < end:
        fixes = reader.poll(now_ns)
        if fixes or reader.last_error:
            return fixes
        time.sleep(0.01)
    raise AssertionError("nothing came")


def test_reader_asks_gpsd_to_watch_and_gives_its_fixes(server: socket.socket) -> None:
    reader = reader_of(server)
    reader.poll(0)
    gpsd, _ = server.accept()
    with gpsd:
        reader.poll(0)
        assert gpsd.recv(1000).startswith(b"?WATCH=")
        gpsd.sendall(report())
        assert len(polled(reader, 0)) == 1
    reader.close()


def test_reader_comes_back_after_gpsd_was_restarted(server: socket.socket) -> None:
    reader = reader_of(server)
    reader.poll(0)
    server.accept()[0].close()
    assert polled(reader, 0) == []
    assert reader.last_error == "gpsd closed the connection"
    assert reader.fileno() is None
    reader.poll(1 * S)
    assert reader.fileno() is None, "it tries again only after five seconds"
    reader.poll(5 * S)
    gpsd, _ = server.accept()
    with gpsd:
        reader.poll(5 * S)
        gpsd.sendall(report())
        reader.last_error = None
        assert len(polled(reader, 5 * S)) == 1
    reader.close()


def test_gpsd_that_is_not_there_is_told_of_and_asked_again(server: socket.socket) -> None:
    reader = reader_of(server)
    server.close()
    reader.poll(0)
    assert polled(reader, 0) == []
    assert reader.last_error is not None and "is the service gpsd running?" in reader.last_error


def test_silent_gpsd_is_left_after_half_a_minute(server: socket.socket) -> None:
    reader = reader_of(server)
    reader.poll(0)
    reader.poll(29 * S)
    assert reader.fileno() is not None
    reader.poll(31 * S)
    assert reader.fileno() is None
    assert reader.last_error is not None and "silent" in reader.last_error


def nmea(body: str) -> str:
    check = 0
    for character in body:
        check ^= ord(character)
    return f"${body}*{check:02X}\r\n"


def track(seconds: int) -> str:
    """An invented drive on the Gulf of Guinea, where no street is."""
    start = datetime(2026, 6, 1, 12, tzinfo=UTC)
    lines = []
    for second in range(seconds):
        at = start + timedelta(seconds=second)
        north = f"{0.5 + second / 100:07.4f}"
        lines.append(nmea(f"GPGGA,{at:%H%M%S}.00,00{north},N,00001.0000,E,1,08,1.0,5.0,M,0.0,M,,"))
        lines.append(nmea(f"GPRMC,{at:%H%M%S}.00,A,00{north},N,00001.0000,E,010.0,000.0,{at:%d%m%y},,,A"))
    return "".join(lines)


@pytest.mark.skipif(not shutil.which("gpsfake"), reason="gpsfake is not installed (package gpsd-clients)")
@pytest.mark.skipif(not shutil.which("gpsd"), reason="gpsd is not installed (package gpsd)")
def test_real_gpsd_fed_with_a_track_gives_its_places_and_times(tmp_path: Path) -> None:
    log = tmp_path / "drive.nmea"
    log.write_text(track(60))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["gpsfake", "-q", "-n", "-c", "0.02", "-P", str(port), str(log)]
    gpsfake = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    reader = GpsdSocket(GpsConfig(f"127.0.0.1:{port}"))
    fixes: list[Fix] = []
    try:
        end = time.monotonic() + 60
        while len(fixes) < 5 and time.monotonic() < end and gpsfake.poll() is None:
            reader._retry_at_ns = 0
            fixes += reader.poll(time.monotonic_ns())
            time.sleep(0.05)
    finally:
        reader.close()
        gpsfake.terminate()
        said, _ = gpsfake.communicate(timeout=60)
    assert len(fixes) >= 5, said.decode()
    for fix in fixes:
        assert fix.at.tzinfo is UTC and fix.at.date() == datetime(2026, 6, 1, tzinfo=UTC).date()
        second = (fix.at - datetime(2026, 6, 1, 12, tzinfo=UTC)).total_seconds()
        assert fix.latitude_deg == pytest.approx((0.5 + second / 100) / 60, abs=1e-6)
        assert fix.longitude_deg == pytest.approx(1 / 60, abs=1e-6)
        assert fix.speed_mps == pytest.approx(10 * 1852 / 3600, abs=0.01)
