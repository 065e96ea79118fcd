"""A bad link between two network namespaces: 10 % of the packets are lost, and 1 Mbit/s goes through.

Made of `tc netem` where the kernel has it. Where it has not, of two TUN devices and a thread that passes
their packets on: it drops as many, at the same rate, and the kernel's own TCP has to cope all the same.
"""

import fcntl
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

NEAR, FAR = "10.217.94.1", "10.217.94.2"
"""The unit's address and the server's."""
MOST_WAITING = 60
"""Packets in the queue before the slow link, as a modem has it; what comes on top is lost too."""
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


class NotHereError(Exception):
    """This machine does not let such a link be made: say why, and count the fault as not run."""


@dataclass(slots=True)
class BadLink:
    """A link that is up."""

    namespace: str
    """The unit's; the server stays outside, at `FAR`."""
    how: str
    passed: int = 0
    dropped: int = 0
    loss: float = 0.1
    """Part of the packets that is lost; may be changed while it is up, but for netem's."""
    _ending: threading.Event = field(default_factory=threading.Event)


@contextmanager
def bad_link(loss: float = 0.1, mbit: float = 1.0) -> Iterator[BadLink]:
    """Give the link. Raises NotHereError if it cannot be made."""
    if os.geteuid() != 0:
        raise NotHereError("network namespaces need root")
    name, near, far = f"alpr{os.getpid()}", f"an{os.getpid()}"[:15], f"af{os.getpid()}"[:15]
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "-n", name, "link", "set", "lo", "up")
        if _netem(name, near, far, loss, mbit):
            yield BadLink(name, "tc netem", loss=loss)
            return
        with _tuns(name, near, far, loss, mbit) as link:
            yield link
    finally:
        for command in (["ip", "netns", "del", name], ["ip", "link", "del", far]):
            subprocess.run(command, capture_output=True, check=False)


def _netem(name: str, near: str, far: str, loss: float, mbit: float) -> bool:
    _run("ip", "link", "add", far, "type", "veth", "peer", "name", near, "netns", name)
    shaping = ["root", "netem", "loss", f"{loss:.0%}", "rate", f"{mbit}mbit"]
    for prefix, device in ((["ip", "netns", "exec", name], near), ([], far)):
        command = [*prefix, "tc", "qdisc", "add", "dev", device, *shaping]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            _run("ip", "link", "del", far)
            return False
    _addresses(name, near, far)
    return True


@contextmanager
def _tuns(name: str, near: str, far: str, loss: float, mbit: float) -> Iterator[BadLink]:
    try:
        ends = [_tun(near), _tun(far)]
    except OSError as error:
        raise NotHereError(f"neither sch_netem nor /dev/net/tun ({error.strerror})") from None
    try:
        _run("ip", "link", "set", near, "netns", name)
        _addresses(name, near, far)
        link = BadLink(name, "TUN devices and a lossy thread", loss=loss)
        passing = threading.Thread(target=_pass_on, args=(link, ends, mbit))
        passing.start()
        try:
            yield link
        finally:
            link._ending.set()
            passing.join()
    finally:
        for end in ends:
            os.close(end)


def _tun(device: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(end)
        raise
    return end


def _addresses(name: str, near: str, far: str) -> None:
    for prefix, device, address in ((["-n", name], near, NEAR), ([], far, FAR)):
        _run("ip", *prefix, "addr", "add", f"{address}/30", "dev", device)
        _run("ip", *prefix, "link", "set", device, "up")


def _pass_on(link: BadLink, ends: list[int], mbit: float) -> None:
    """Carry packets both ways: each way has its own queue and rate."""
    chance = random.Random(1)
    waiting: list[deque[bytes]] = [deque(), deque()]
    free_at = [0.0, 0.0]
    while not link._ending.is_set():
        now = time.monotonic()
        due = [max(0.0, free_at[way] - now) for way in (0, 1) if waiting[way]]
        ready, _, _ = select.select(ends, [], [], min([0.1, *due]))
        for end in ready:
            way = ends.index(end)
            with suppress(BlockingIOError, OSError):
                packet = os.read(end, 65536)
                if chance.random() < link.loss or len(waiting[way]) >= MOST_WAITING:
                    link.dropped += 1
                else:
                    waiting[way].append(packet)
        now = time.monotonic()
        for way in (0, 1):
            while waiting[way] and free_at[way] <= now:
                packet = waiting[way].popleft()
                free_at[way] = max(free_at[way], now - 0.01) + len(packet) * 8 / (mbit * 1e6)
                link.passed += 1
                with suppress(OSError):
                    os.write(ends[1 - way], packet)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotHereError(f"{command[0]} is not installed: apt-get install iproute2") from None
    if done.returncode:
        raise NotHereError(f"{' '.join(command[:4])}: {done.stderr.strip()[:120]}")
