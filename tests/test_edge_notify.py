"""sd_notify against a socket of our own."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(5)
        yield end


def heard(end: socket.socket) -> str:
    return end.recv(4096).decode()


def test_each_word_arrives_as_systemd_expects_it(systemd: socket.socket, tmp_path: Path) -> None:
    with Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}) as notifier:
        notifier.ready("2 cameras")
        assert heard(systemd) == "READY=1\nSTATUS=2 cameras"
        notifier.watchdog()
        assert heard(systemd) == "WATCHDOG=1"
        notifier.status("12 reads wait")
        assert heard(systemd) == "STATUS=12 reads wait"
        notifier.stopping()
        assert heard(systemd) == "STOPPING=1"
        assert notifier.failures == 0


def test_a_status_of_several_lines_cannot_smuggle_in_another_word(
    systemd: socket.socket, tmp_path: Path
) -> None:
    with Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}) as notifier:
        notifier.status("fine\nSTOPPING=1")
    assert heard(systemd) == "STATUS=fine STOPPING=1"


def test_an_abstract_socket_is_reached() -> None:
    name = f"alpr-edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name)
        end.settimeout(5)
        with Notifier({"NOTIFY_SOCKET": "@" + name}) as notifier:
            notifier.ready()
        assert heard(end) == "READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_socket_nothing_is_sent_and_nothing_fails(environment: dict[str, str]) -> None:
    with Notifier(environment) as notifier:
        notifier.ready()
        notifier.watchdog()
        assert notifier.failures == 0


def test_a_socket_that_is_gone_is_counted_not_raised(tmp_path: Path) -> None:
    with Notifier({"NOTIFY_SOCKET": str(tmp_path / "no-one")}) as notifier:
        notifier.watchdog()
        assert notifier.failures == 1


def test_a_listener_that_does_not_read_never_blocks_the_daemon(
    systemd: socket.socket, tmp_path: Path
) -> None:
    with Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}) as notifier:
        for _ in range(5000):
            notifier.status("x" * 200)
        assert notifier.failures > 0


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_limit(environment: dict[str, str], interval_s: float | None) -> None:
    with Notifier(environment) as notifier:
        assert notifier.watchdog_interval_s == interval_s
