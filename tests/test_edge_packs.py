"""The published pack is installed whole and verified, or not at all."""

import hashlib
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # as fast-plate-ocr reads it

from edge import packs
from edge.packs import PUBLISHED, PackUnavailableError, Published, install_pack
from recognizer import Box, ModelInvalidError
from recognizer.config import RecognizerConfig
from recognizer.manifest import load_pack
from recognizer.onnx import Recognizer
from recognizer.pack import MANIFEST
from recognizer.regions import jurisdiction
from tests.painted import MODELS, frame, model_file, paint, street, tiny_pack

SHARED = Path(os.environ.get("ALPR_SHARED", Path(__file__).resolve().parents[2] / "shared"))
NAMES = ("detector.onnx", "reader.onnx", "reader.yaml")


@dataclass
class Release:
    """A release host on loopback: it redirects every asset, as the real one does."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def release() -> Iterator[Release]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[1]
            if self.path.startswith("/releases/"):
                found.asked.append(name)
                self.send_response(302)
                self.send_header("Location", f"/assets/{name}")
                self.end_headers()
            elif name in found.files:
                self.send_response(200)
                self.send_header("Content-Length", str(len(found.files[name])))
                self.end_headers()
                self.wfile.write(found.files[name])
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: pytest's output is for failures."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Release(f"http://127.0.0.1:{server.server_address[1]}")
    found.files = {name: (MODELS / name).read_bytes() for name in NAMES}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def published(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """The pack "fast-alpr", standing for the tiny models of the release host."""
    tiny = tiny_pack(tmp_path / "original")
    addresses = {name: f"{release.address}/releases/{name}" for name in NAMES}
    pack = Published(tiny.detector, tiny.reader, addresses)
    monkeypatch.setitem(packs.PUBLISHED, "fast-alpr", pack)
    return pack


def left_behind(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_fetched_pack_loads_and_reads(published: Published, release: Release, tmp_path: Path) -> None:
    folder = install_pack("fast-alpr", tmp_path / "packs")
    assert left_behind(folder) == sorted([*NAMES, MANIFEST])
    assert sorted(release.asked) == sorted(NAMES)
    pack = load_pack("fast-alpr", [tmp_path / "packs"])
    recognizer = Recognizer(pack, RecognizerConfig(threads=1))
    [candidate] = recognizer.candidates(frame(paint(street(), Box(6, 30, 62, 54), "7ABC123")))
    assert candidate.text == "7ABC123"


@pytest.mark.parametrize("name", NAMES)
def test_an_altered_file_is_refused_and_nothing_is_installed(
    published: Published, release: Release, tmp_path: Path, name: str
) -> None:
    content = bytearray(release.files[name])
    content[0] ^= 1
    release.files[name] = bytes(content)
    with pytest.raises(ModelInvalidError, match=rf"{name} is not the {name} that is pinned .*SHA-256"):
        install_pack("fast-alpr", tmp_path / "packs")
    assert left_behind(tmp_path / "packs") == []


def test_an_altered_file_leaves_the_installed_pack_as_it_was(
    published: Published, release: Release, tmp_path: Path
) -> None:
    install_pack("fast-alpr", tmp_path / "packs")
    release.files["reader.onnx"] = b"x" * len(release.files["reader.onnx"])
    with pytest.raises(ModelInvalidError):
        install_pack("fast-alpr", tmp_path / "packs")
    assert load_pack("fast-alpr", [tmp_path / "packs"]).detector == published.detector
    assert left_behind(tmp_path / "packs" / "fast-alpr") == sorted([*NAMES, MANIFEST])


def test_a_host_that_sends_without_end_is_cut_off(
    published: Published, release: Release, tmp_path: Path
) -> None:
    release.files["detector.onnx"] += bytes(5_000_000)
    with pytest.raises(ModelInvalidError, match="larger than"):
        install_pack("fast-alpr", tmp_path / "packs")


def test_a_cut_download_is_refused_with_both_sizes(
    published: Published, release: Release, tmp_path: Path
) -> None:
    release.files["detector.onnx"] = release.files["detector.onnx"][:100]
    with pytest.raises(ModelInvalidError, match=r"100 of \d+ bytes"):
        install_pack("fast-alpr", tmp_path / "packs")


def test_a_file_the_host_does_not_have_is_named(
    published: Published, release: Release, tmp_path: Path
) -> None:
    del release.files["reader.yaml"]
    with pytest.raises(PackUnavailableError, match=r"reader\.yaml answered 404"):
        install_pack("fast-alpr", tmp_path / "packs")
    assert left_behind(tmp_path / "packs") == []


def test_without_a_network_the_remedy_is_named(
    published: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nowhere = {name: f"http://127.0.0.1:1/{name}" for name in NAMES}
    monkeypatch.setitem(packs.PUBLISHED, "fast-alpr", replace(published, addresses=nowhere))
    with pytest.raises(PackUnavailableError, match="--from FOLDER"):
        install_pack("fast-alpr", tmp_path / "packs")


def test_a_pack_is_installed_from_a_folder_without_a_network(
    published: Published, release: Release, tmp_path: Path
) -> None:
    install_pack("fast-alpr", tmp_path / "packs", source=MODELS)
    assert release.asked == []
    assert load_pack("fast-alpr", [tmp_path / "packs"]).reader == published.reader


def test_a_folder_without_the_files_is_told_where_they_are(published: Published, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackUnavailableError, match=r"has no detector\.onnx: download it from http"):
        install_pack("fast-alpr", tmp_path / "packs", source=tmp_path / "empty")


def test_a_place_that_cannot_be_written_is_named(published: Published, tmp_path: Path) -> None:
    (tmp_path / "packs").write_text("a file, not a folder")
    with pytest.raises(PackUnavailableError, match="packs"):
        install_pack("fast-alpr", tmp_path / "packs")


def test_an_unknown_pack_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="known are fast-alpr"):
        install_pack("fast-alrp", tmp_path)


def test_every_published_file_is_fetched_encrypted_and_pinned() -> None:
    for pack in PUBLISHED.values():
        files = [pack.detector.weights, pack.reader.weights, pack.reader.config]
        assert {file.file for file in files if file} == set(pack.addresses)
        assert all(address.startswith("https://") for address in pack.addresses.values())
        assert all(file and len(bytes.fromhex(file.sha256)) == 32 for file in files)


@pytest.mark.skipif(
    not (SHARED / "models" / "cct_xs_v2_global.onnx").is_file(),
    reason="the official reader is not beside this repository",
)
def test_the_official_reader_runs_through_our_code_and_names_the_issuer(tmp_path: Path) -> None:
    tiny = tiny_pack(tmp_path)
    official = PUBLISHED["fast-alpr"].reader
    shutil.copyfile(SHARED / "models" / "cct_xs_v2_global.onnx", tmp_path / official.weights.file)
    assert official.config is not None
    config = tmp_path / official.config.file
    shutil.copyfile(SHARED / "models" / "cct_v2_global_plate_config.yaml", config)
    assert model_file(tmp_path / official.weights.file, tmp_path) == official.weights
    assert hashlib.sha256(config.read_bytes()).hexdigest() == official.config.sha256
    recognizer = Recognizer(replace(tiny, reader=official), RecognizerConfig(threads=1))
    [candidate] = recognizer.candidates(frame(paint(street(), Box(6, 30, 62, 54), "7ABC123")))
    assert len(candidate.positions) == len(candidate.text)
    labels = yaml.safe_load(config.read_text(encoding="utf-8"))["plate_regions"]
    unknown = [label for label in labels if jurisdiction(label) is None]
    assert (len(labels), unknown) == (66, ["Unknown"])
