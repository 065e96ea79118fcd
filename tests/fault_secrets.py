"""What a unit leaves on its disk, searched byte by byte for what nobody may find there.

Private keys lie by design in the keys folder alone (with systemd: credentials outside of the state
directory), and there in the files of `KEY_FILES`; what stands in any other file is a find.
"""

import base64
import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sync.purposes import PURPOSES
from tests.fault_outcome import Outcome, Watch
from tests.fault_unit import plate_of, stored_in
from tests.fault_world import world
from tests.units import DRIVE, passings, spellings, station

KEY_FILES = ("unit.ed25519.key.pem", "unit.tls.key.pem", "page.tls.key.pem", "storage.key")
"""What must hold a private key, each readable by its owner alone."""
LEAST_BYTES = 6
"""Shorter plates would be found by chance in so many encrypted bytes."""
PURPOSE = PURPOSES[0].code


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that must not be found, and what it is called in a report: never by its text."""

    name: str
    ways: tuple[bytes, ...] = field(repr=False)


def of_text(name: str, text: str) -> Secret:
    """Return *text* in every spelling: two cases, UTF-8 and UTF-16, hex, base64 at three offsets."""
    hexed = [each for raw in (text.encode(), text.lower().encode()) for each in _hex(raw)]
    return Secret(name, tuple(dict.fromkeys([text.encode(), *spellings(text), *hexed])))


def of_bytes(name: str, raw: bytes) -> Secret:
    """Return key material in every spelling: raw, hex, base64 at three offsets, and those in UTF-16."""
    texts = [*_hex(raw), *_base64(raw)]
    wide = [text.decode().encode("utf-16-le") for text in texts]
    return Secret(name, (raw, raw[::-1], *texts, *wide))


def keys_in(folder: Path) -> Iterator[Secret]:
    """Yield each private key in *folder*: its number, and the text of the file."""
    for name in KEY_FILES:
        path = folder / name
        content = path.read_bytes()
        if not name.endswith(".pem"):
            yield of_bytes(name, content)
            continue
        body = b"".join(line for line in content.splitlines() if not line.startswith(b"-"))
        key = load_pem_private_key(content, None)
        assert isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey)
        # The private number alone: what stands behind it in the file is the public key, which is no secret.
        if isinstance(key, Ed25519PrivateKey):
            raw, text = key.private_bytes_raw(), body[24:56]
        else:
            raw, text = key.private_numbers().private_value.to_bytes(32, "big"), body[66:88]
        yield of_bytes(name, raw)
        yield of_bytes(f"{name} (text)", text)


def search(folder: Path, wanted: Sequence[Secret], but: Sequence[str] = ()) -> tuple[int, list[str]]:
    """Return how many bytes below *folder* were searched, and "file: name" for each find, without the files
    named in *but*."""
    size, finds = 0, []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in but:
            content = path.read_bytes()
            size += len(content)
            named = str(path.relative_to(folder)).encode()
            finds += [
                f"{path.name}: {each.name}"
                for each in wanted
                if any(way in content or way in named for way in each.ways)
            ]
    return size, finds


def light_unit(reads: int = 60) -> Outcome:
    """Search what a unit without cameras left after storing, being killed and transferring."""
    watch = Watch()
    with world() as this:
        this.start_server()
        this.start_unit()
        while len(stored_in(this.unit_log)) < reads // 2:
            this.wait_for(this.said)
        assert this.car is not None
        this.car.kill()
        this.car.join(10)
        plates = [plate_of(each) for each in stored_in(this.unit_log)]
        wanted = [of_text(f"plate {n}", plate) for n, plate in enumerate(plates)]
        wanted += list(keys_in(this.unit.keys))
        (this.state / "unit.log").write_bytes(this.unit_log.read_bytes())
        before, found = search(this.state, wanted)
        drained = this.drain()
        after, more = search(this.state, wanted)
        found += more + search(this.unit.folder, wanted, KEY_FILES)[1]
        note = f"{len(wanted)} secrets in {(before + after) / 1e6:.1f} MB: before and after the transfer"
        finds = f"; found: {', '.join(sorted(set(found))[:3])}" if found else ""
        return Outcome(
            "secrets on the disk of a killed unit",
            len(wanted),
            silent=len(set(found)) + (not drained),
            note=note + finds,
            seconds=watch.seconds,
        )


def control() -> Outcome:
    """Plant secrets in each spelling in files: the search must find every one of them."""
    watch, wanted = Watch(), [of_text("plate", "7KQZ418"), of_bytes("key", secrets.token_bytes(32))]
    found = planted = 0
    with tempfile.TemporaryDirectory() as name:
        for each in wanted:
            for way in each.ways:
                path = Path(name) / "state" / "cache.bin"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(secrets.token_bytes(500) + way + secrets.token_bytes(500))
                planted += 1
                found += len(search(Path(name), [each])[1]) > 0
    note = f"{found} of {planted} planted spellings found"
    # A spelling that was missed makes this control fail, which shows as nothing found.
    return Outcome(
        "the same with secrets planted, to test the test",
        planted,
        silent=found if found == planted else 0,
        note=note,
        seconds=watch.seconds,
        control=True,
    )


def driven_unit() -> Outcome:
    """Search what a whole unit left: a drive with hits, a login and an entry at the page, the transfer."""
    from tests.cars import free_port
    from tests.test_officers_page_end_to_end import PASSWORD, Laptop, eventually, server

    watch, own = Watch(), "7QZK935"
    with tempfile.TemporaryDirectory() as name, station(Path(name)) as at:
        (Path(name) / "officer").write_text(PASSWORD, encoding="utf-8")
        more = ["--password-file", str(Path(name) / "officer"), "--training-expires", "2099-01-01"]
        server(at, "account", "add", "reyes", "--role", "officer", *more)
        port = free_port()
        process = at.run_unit("--set", f"page.port={port}", "--set", "retention.local_window_h=24")
        laptop = Laptop(at, port)
        try:
            eventually(laptop.answers, "the page")
            eventually(laptop.log_in, "the roster")
            eventually(lambda: "UNVERIFIED: CHECK CLETS" in laptop.client.get("/now").text, "a hit")
            fields = {"plate": own, "state": "US-CA", "code": PURPOSE, "case_number": "26-1771"}
            added = laptop.submit("/entries", "/entries/add", hours="8", priority="high", **fields)
            assert added.status_code == 303, added.status_code
            eventually(lambda: len(at.held()) > 5, "the transfer")
            plates = {str(each["plate"]) for each in passings()} | {plate for _, plate in at.held()} | {own}
            wanted = [
                of_text(f"plate {n}", each)
                for n, each in enumerate(sorted(plates))
                if len(each) >= LEAST_BYTES
            ]
            wanted += [of_text("the officer's password", PASSWORD), *keys_in(at.unit / "keys")]
            wanted += [of_text("a plate of the list", each) for each in _listed()]
            first, found = search(at.unit, wanted, KEY_FILES)
            laptop.submit("/logout", "/logout")
        finally:
            laptop.client.close()
            process.terminate()
            process.wait(60)
        threading.Event().wait(0.1)
        second, again = search(at.unit, wanted, KEY_FILES)
        found = sorted(set(found + again))
    note = f"{len(wanted)} secrets in {(first + second) / 1e6:.1f} MB, running and stopped"
    finds = f"; found: {', '.join(found[:3])}" if found else ""
    return Outcome(
        "secrets on the disk of a unit that drove",
        len(wanted),
        silent=len(found),
        note=note + finds,
        seconds=watch.seconds,
    )


def _listed() -> list[str]:
    lines = (DRIVE / "hotlist.csv").read_text(encoding="utf-8").splitlines()[1:]
    cells = [cell.strip() for line in lines for cell in line.split(",")[:3]]
    return [cell for cell in cells if LEAST_BYTES <= len(cell) <= 8 and cell.isalnum() and cell.isupper()]


def _hex(raw: bytes) -> list[bytes]:
    return [raw.hex().encode(), raw.hex().upper().encode()]


def _base64(raw: bytes) -> list[bytes]:
    ways = []
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            coded = encode(b"\0" * offset + raw)
            ways.append(coded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6])
    return list(dict.fromkeys(ways))
