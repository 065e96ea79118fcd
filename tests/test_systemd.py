"""The unit files, judged by systemd's own tools, in a root folder of our own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[1] / "systemd"
SERVICES = sorted(path.name for path in SYSTEMD.glob("*.service"))

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed: apt-get install systemd",
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to other users: run as root")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root folder as the installation leaves it, with empty programs in place of ours."""
    places = {
        "service": "etc/systemd/system",
        "sysusers": "usr/lib/sysusers.d",
        "tmpfiles": "usr/lib/tmpfiles.d",
    }
    for folder in (*places.values(), "etc/alpr-edge/keys", "opt/alpr-edge/venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    for path in SYSTEMD.iterdir():
        name, *kind = path.name.split(".")
        target = path.name if kind == ["service"] else f"{name}.conf"
        shutil.copy(path, tmp_path / places[kind[0]] / target)
    for name in ("alpr-edge", "alpr-server"):
        program = tmp_path / "opt/alpr-edge/venv/bin" / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return tmp_path


def verify(root: Path, service: str) -> str:
    """All that systemd finds wrong with *service*; other units, which the root folder lacks, are left out."""
    done = run("systemd-analyze", "verify", f"--root={root}", "--recursive-errors=no", "--man=no", service)
    return done.stdout + done.stderr + (f"exit {done.returncode}" if done.returncode else "")


def settings(service: str) -> dict[str, list[str]]:
    """Each key of *service* with all its values, in order."""
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / service).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_both_services_are_there() -> None:
    assert SERVICES == ["alpr-edge.service", "alpr-server.service"]


@pytest.mark.parametrize("service", SERVICES)
def test_systemd_finds_nothing_wrong(installed: Path, service: str) -> None:
    assert verify(installed, service) == ""


@pytest.mark.parametrize("mistake", ["RestartSek=5", "ProtectHome=perhaps", "ExecStart=/no/such/program"])
def test_the_check_itself_sees_a_mistake(installed: Path, mistake: str) -> None:
    path = installed / "etc/systemd/system/alpr-edge.service"
    path.write_text(path.read_text().replace("[Install]", f"{mistake}\n[Install]"))
    assert verify(installed, "alpr-edge.service") != ""


@pytest.mark.parametrize("service", SERVICES)
def test_exposure_is_at_most_two(service: str) -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(SYSTEMD / service))
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_exposure_check_itself_sees_a_hole(tmp_path: Path, service: str) -> None:
    text = (SYSTEMD / service).read_text()
    open_wide = re.sub(r"^(Protect\w+|SystemCallFilter|NoNewPrivileges)=.*$", "", text, flags=re.MULTILINE)
    path = tmp_path / service
    path.write_text(open_wide)
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(path))
    assert done.returncode != 0


def test_the_daemon_may_use_cameras_buffers_and_loudspeaker() -> None:
    edge = settings("alpr-edge.service")
    for kind in ("video4linux", "media", "dma_heap", "alsa"):
        assert f"char-{kind} rw" in edge["DeviceAllow"]
    # Each of these would hide the cameras, or take away the groups that own them.
    assert "PrivateDevices" not in edge
    assert "PrivateUsers" not in edge
    assert "DynamicUser" not in edge
    assert "PrivateNetwork" not in edge


def test_the_daemon_may_ask_whether_its_clock_is_synchronised() -> None:
    edge = settings("alpr-edge.service")
    assert "ProtectClock" not in edge
    assert "clock_adjtime" in edge["SystemCallFilter"][-1].split()
    assert edge["CapabilityBoundingSet"] == [""]


@pytest.mark.parametrize(
    "call", ["memfd_create", "clock_adjtime", "mbind", "sched_setaffinity", "setpriority", "shmget", "vfork"]
)
def test_the_daemon_keeps_the_system_calls_it_needs(call: str) -> None:
    allowed: set[str] = set()
    for value in settings("alpr-edge.service")["SystemCallFilter"]:
        if value.startswith("~"):
            allowed -= system_calls(value.removeprefix("~"))
        else:
            allowed |= system_calls(value)
    assert call in allowed
    assert "mount" not in allowed
    assert "clock_settime" not in allowed


def system_calls(names: str) -> set[str]:
    """The system calls behind *names*, groups resolved by systemd itself."""
    found = set()
    for name in names.split():
        if not name.startswith("@"):
            found.add(name)
            continue
        listing = run("systemd-analyze", "syscall-filter", name).stdout.splitlines()[1:]
        words = [line.strip() for line in listing if not line.strip().startswith("#")]
        inner = [word for word in words if word.startswith("@")]
        plain = set(words) - set(inner)
        found |= plain | (system_calls(" ".join(inner)) if inner else set())
    return found


def test_a_restart_is_not_tried_where_it_cannot_help() -> None:
    from edge.errors import ConfigInvalidError, VaultLockedError

    for service in SERVICES:
        never = settings(service)["RestartPreventExitStatus"][0].split()
        assert {str(ConfigInvalidError.exit_code), str(VaultLockedError.exit_code)} <= set(never)
        assert settings(service)["Restart"] == ["on-failure"]


def test_the_keys_handed_over_keep_the_names_the_vault_looks_for() -> None:
    vault = (SYSTEMD.parent / "edge" / "vault.py").read_text()
    names = set(re.findall(r'"([a-z0-9.]+\.(?:pem|key|json))"', vault))
    assert len(names) >= 9
    handed = dict(value.split(":", 1) for value in settings("alpr-edge.service")["LoadCredential"])
    assert set(handed) == names
    assert all(path == f"/etc/alpr-edge/keys/{name}" for name, path in handed.items())


@pytest.mark.parametrize("service", SERVICES)
def test_no_plate_reaches_a_core_dump_or_the_swap(service: str) -> None:
    assert settings(service)["LimitCORE"] == ["0"]
    assert settings(service)["MemorySwapMax"] == ["0"]


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
@as_root
def test_users_folders_and_groups_are_made(installed: Path) -> None:
    done = run("systemd-sysusers", f"--root={installed}")
    assert done.returncode == 0
    assert "not valid" not in done.stderr
    users = (installed / "etc/passwd").read_text()
    assert re.search(r"^alpr-edge:.*:/usr/sbin/nologin$", users, re.MULTILINE)
    assert re.search(r"^alpr-server:.*:/usr/sbin/nologin$", users, re.MULTILINE)
    groups = (installed / "etc/group").read_text()
    for group in ("video", "audio", "render"):
        assert re.search(rf"^{group}:.*:alpr-edge$", groups, re.MULTILINE)

    keys = installed / "etc/alpr-edge/keys"
    (keys / "storage.key").write_bytes(bytes(32))
    (keys / "storage.key").chmod(0o644)
    done = run("systemd-tmpfiles", "--create", f"--root={installed}")
    assert done.returncode == 0, done.stderr
    assert (keys / "storage.key").stat().st_mode & 0o777 == 0o600
    assert keys.stat().st_mode & 0o777 == 0o700
