"""The verifier that travels with a package: what it lets pass, and what it finds."""

import ast
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from server import evidence_verify
from server.department import Department
from server.evidence_package import Statement, make_package
from server.evidence_verify import FOLDER, TAG, NoPackageError, ed25519_verify, main, verify_package
from tests.releases import NOW, a_peopled_department, read_ids

ORDER = 2**252 + 27742317777372353535851937790883648493
KEY = Ed25519PrivateKey.generate()
# RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc).
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
]


@pytest.mark.parametrize(("public_key", "message", "signature"), RFC_8032)
def test_the_vectors_of_the_standard_hold_and_no_changed_one_does(
    public_key: str, message: str, signature: str
) -> None:
    key, data, signed = bytes.fromhex(public_key), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519_verify(key, signed, data)
    assert not ed25519_verify(key, signed, data + b"\0")
    for at in (0, 31, 32, 63):
        changed = bytearray(signed)
        changed[at] ^= 1
        assert not ed25519_verify(key, bytes(changed), data)


def theirs(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@given(
    seed=st.binary(min_size=32, max_size=32),
    message=st.binary(max_size=200),
    where=st.sampled_from(["none", "key", "signature", "message"]),
    bit=st.integers(0, 511),
)
@settings(max_examples=60, deadline=None)
def test_it_says_of_any_signature_what_openssl_says(
    seed: bytes, message: bytes, where: str, bit: int
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    parts = {
        "key": bytearray(key.public_key().public_bytes_raw()),
        "signature": bytearray(key.sign(message)),
        "message": bytearray(message),
    }
    changed = parts.get(where)
    if changed:
        changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    public, signature, data = (bytes(part) for part in parts.values())
    assert ed25519_verify(public, signature, data) is theirs(public, signature, data)
    assert ed25519_verify(public, signature, data) is (not changed)


def test_a_signature_with_a_scalar_beyond_the_order_is_refused() -> None:
    message = b"a message"
    signature = KEY.sign(message)
    larger = int.from_bytes(signature[32:], "little") + ORDER
    twin = signature[:32] + larger.to_bytes(32, "little")
    public = KEY.public_key().public_bytes_raw()
    assert ed25519_verify(public, signature, message) and not ed25519_verify(public, twin, message)


@pytest.mark.parametrize("key", [b"", b"\xff" * 32, bytes(31), (2).to_bytes(32, "little")])
def test_what_is_no_key_signs_nothing(key: bytes) -> None:
    assert not ed25519_verify(key, KEY.sign(b""), b"")
    assert not ed25519_verify(KEY.public_key().public_bytes_raw(), b"short", b"")


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Department]:
    made = a_peopled_department(tmp_path_factory.mktemp("verify") / "department")
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def archive(department: Department) -> bytes:
    return a_package(department, KEY)


def a_package(department: Department, key: Ed25519PrivateKey, at: datetime = NOW) -> bytes:
    statement = Statement("Example Police", "brandt", at, "26-0042", "Burglary series")
    made = make_package(
        department.engine,
        read_ids(department),
        statement,
        key=key,
        receipt_key=bytes(32),
        fetch=department.pictures.fetch,
    )
    return made.archive


def files_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as held:
        return {name: held.read(name) for name in held.namelist()}


def zipped(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


def unpacked(files: dict[str, bytes], root: Path) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root / FOLDER


def fingerprint(key: Ed25519PrivateKey) -> str:
    return hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()


def test_a_package_as_it_was_made_is_whole_as_a_zip_file_and_as_a_folder(
    archive: bytes, tmp_path: Path
) -> None:
    packed = tmp_path / "package.zip"
    packed.write_bytes(archive)
    for path in (packed, unpacked(files_of(archive), tmp_path)):
        found = verify_package(path, fingerprint(KEY).upper())
        assert found.whole and "the key is the one that was expected" in found.holds
        assert "Case: 26-0042" in found.notes and "Reads: 3" in found.notes


Tampering = Callable[[dict[str, bytes]], None]


def _change(files: dict[str, bytes]) -> None:
    files[FOLDER + "reads/0001.jpg"] = files[FOLDER + "reads/0001.jpg"][:-1] + b"x"


def _lose(files: dict[str, bytes]) -> None:
    del files[FOLDER + "reads/0002.json"]


def _add(files: dict[str, bytes]) -> None:
    files[FOLDER + "reads/0009.json"] = b"{}"


def _exchange(files: dict[str, bytes]) -> None:
    """Change a file, and the manifest with it; the signature is left as it was."""
    name = FOLDER + "custody.json"
    files[name] += b"\n"
    manifest = json.loads(files[FOLDER + "manifest.json"])
    [line] = [each for each in manifest["files"] if each["path"] == "custody.json"]
    line |= {"bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
    files[FOLDER + "manifest.json"] = json.dumps(manifest).encode()


def _forge(files: dict[str, bytes]) -> None:
    """The same, signed with a key of the forger's, which the manifest does not name."""
    _exchange(files)
    signature = Ed25519PrivateKey.generate().sign(TAG + files[FOLDER + "manifest.json"])
    files[FOLDER + "manifest.sig"] = signature.hex().encode()


def _untag(files: dict[str, bytes]) -> None:
    """A signature by the right key, but over the manifest as some other thing."""
    files[FOLDER + "manifest.sig"] = KEY.sign(files[FOLDER + "manifest.json"]).hex().encode()


def _unsign(files: dict[str, bytes]) -> None:
    del files[FOLDER + "manifest.sig"]


def _behead(files: dict[str, bytes]) -> None:
    del files[FOLDER + "manifest.json"]


def _garble(files: dict[str, bytes]) -> None:
    files[FOLDER + "manifest.json"] = b"["


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_change, "reads/0001.jpg was changed"),
        (_lose, "reads/0002.json is missing"),
        (_add, "reads/0009.json was added"),
        (_exchange, "the signature does not fit"),
        (_forge, "the signature does not fit"),
        (_untag, "the signature does not fit"),
        (_unsign, "manifest.sig is missing"),
        (_behead, "manifest.json is missing"),
        (_garble, "must be JSON"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_what_was_changed_is_found_and_named(
    archive: bytes, tmp_path: Path, tamper: Tampering, said: str, packed: bool
) -> None:
    files = files_of(archive)
    tamper(files)
    found = verify_package(zipped(files, tmp_path / "p.zip") if packed else unpacked(files, tmp_path))
    assert not found.whole and any(said in line for line in found.broken)


def test_a_whole_package_of_another_key_is_told_only_by_its_fingerprint(
    department: Department, tmp_path: Path
) -> None:
    forger = Ed25519PrivateKey.generate()
    path = tmp_path / "package.zip"
    path.write_bytes(a_package(department, forger))
    unasked = verify_package(path)
    assert unasked.whole and any("Compare the key" in note for note in unasked.notes)
    assert any(fingerprint(forger) in line for line in unasked.holds)
    assert not verify_package(path, fingerprint(KEY)).whole


def test_a_file_beside_the_folder_and_one_that_stands_twice_are_found(archive: bytes, tmp_path: Path) -> None:
    path = zipped({**files_of(archive), "elsewhere.txt": b"", "/etc/cron.d/x": b""}, tmp_path / "p.zip")
    assert len(verify_package(path).broken) == 2
    path = zipped(files_of(archive), tmp_path / "twice.zip")
    with zipfile.ZipFile(path, "a") as out, pytest.warns(UserWarning, match="Duplicate name"):
        out.writestr(FOLDER + "statement.json", b"{}")
    assert any("stands twice" in line for line in verify_package(path).broken)


def local_entry(name: str, content: bytes) -> bytes:
    """Return a file as a ZIP file has it before its directory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as held:
        held.writestr(zipfile.ZipInfo(FOLDER + name), content)
    return out.getvalue()[: directory_of(out.getvalue())]


def directory_of(archive: bytes) -> int:
    """Return where its directory begins."""
    return int.from_bytes(archive[-6:-2], "little")


def with_directory_at(archive: bytes, at: int) -> bytes:
    """Return *archive*, which says that its directory begins at *at*."""
    return archive[:-6] + at.to_bytes(4, "little") + archive[-2:]


def _hide(archive: bytes) -> bytes:
    """A file before the directory, which does not name it."""
    at, hidden = directory_of(archive), local_entry("reads/0002.json", b"{}")
    return with_directory_at(archive[:at] + hidden + archive[at:], at + len(hidden))


def _precede(archive: bytes) -> bytes:
    return local_entry("reads/0001.json", b"{}") + archive


def _follow(archive: bytes) -> bytes:
    return archive + b"more"


def _remark(archive: bytes) -> bytes:
    return archive[:-2] + b"\4\0more"


def _rename(archive: bytes) -> bytes:
    """Another name before the first file than in the directory."""
    return archive.replace(b"README.txt", b"README.exe", 1)


def _compress(archive: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as held:
        for name, content in files_of(archive).items():
            held.writestr(name, content)
    return out.getvalue()


def _extend(archive: bytes) -> bytes:
    """An extra field on each file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as held:
        for name, content in files_of(archive).items():
            info = zipfile.ZipInfo(name)
            info.extra = b"\xca\xfe\4\0more"
            held.writestr(info, content)
    return out.getvalue()


def _comment(archive: bytes) -> bytes:
    """A comment on each file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as held:
        for name, content in files_of(archive).items():
            info = zipfile.ZipInfo(name)
            info.comment = b"more"
            held.writestr(info, content)
    return out.getvalue()


@pytest.mark.parametrize(
    "tamper",
    [_hide, _precede, _follow, _remark, _rename, _compress, _extend, _comment],
    ids=lambda f: f.__name__,
)
def test_a_zip_file_with_more_in_it_than_its_directory_names_is_not_whole(
    archive: bytes, tmp_path: Path, tamper: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(archive)
    assert verify_package(path, fingerprint(KEY)).whole
    path.write_bytes(tamper(archive))
    try:
        broken = verify_package(path, fingerprint(KEY)).broken
    except NoPackageError:
        return  # Python's own reader finds fault with it
    assert any("not as the department's program wrote it" in line for line in broken) and len(broken) <= 2


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_no_single_bit_of_a_zip_file_can_be_turned_but_of_what_programs_ignore(
    archive: bytes, at: int, bit: int
) -> None:
    turned = bytearray(archive)
    turned[at % len(archive)] ^= 1 << bit
    out, findings = io.BytesIO(turned), evidence_verify.Findings()
    try:
        with zipfile.ZipFile(out) as held:
            evidence_verify._verify(evidence_verify.ZipPackage(held, out), None, findings)
    except zipfile.BadZipFile:
        return
    # In the directory: who made it, and the rights that a file is unpacked with.
    start, places = directory_of(archive), set()
    while archive[start : start + 4] == b"PK\1\2":
        places |= {start + 4, start + 5, *range(start + 36, start + 42)}
        start += 46 + int.from_bytes(archive[start + 28 : start + 30], "little")
    assert at % len(archive) in places or not findings.whole


def test_an_empty_key_is_not_any_key(
    archive: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(archive)
    for empty in ("", " "):
        assert main(["--key", empty, str(path)]) == 2
        assert "--key is empty" in capsys.readouterr().err
        assert not verify_package(path, empty).whole
    assert main(["--key", fingerprint(KEY), str(path)]) == 0


def test_a_link_in_the_folder_is_no_file(archive: bytes, tmp_path: Path) -> None:
    root = unpacked(files_of(archive), tmp_path)
    (root / "reads/0001.jpg").rename(tmp_path / "elsewhere.jpg")
    (root / "reads/0001.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    assert any("is a link" in line for line in verify_package(root).broken)


def test_a_file_that_unpacks_to_more_than_it_should_is_not_read(
    archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def hashing(_: object, name: str) -> str:
        hashed.append(name)
        return ""

    monkeypatch.setattr(evidence_verify, "_sha256", hashing)
    files = files_of(archive)
    files[FOLDER + "reads/0001.jpg"] = bytes(50_000_000)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    assert path.stat().st_size < 200_000
    assert any("0001.jpg was changed" in line for line in verify_package(path).broken)
    assert "reads/0002.jpg" in hashed and "reads/0001.jpg" not in hashed


def test_a_name_cannot_write_over_the_screen(archive: bytes, tmp_path: Path) -> None:
    path = zipped({**files_of(archive), FOLDER + "\x1b[2Jwhole": b""}, tmp_path / "p.zip")
    assert all(line.isprintable() for line in verify_package(path).broken)


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_no_manifest_breaks_the_verifier(content: bytes) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as held:
        held.writestr(FOLDER + "manifest.json", content)
    findings = evidence_verify.Findings()
    with zipfile.ZipFile(out) as held:
        evidence_verify._verify(evidence_verify.ZipPackage(held, out), None, findings)
    assert not findings.whole


def test_what_is_no_package_is_told_apart_from_a_broken_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encrypted = tmp_path / "package.p7m"
    encrypted.write_bytes(b"\x30\x82")
    with pytest.raises(NoPackageError, match="still encrypted"):
        verify_package(encrypted)
    assert main([str(encrypted)]) == 2 and main(["--help"]) == 2
    assert main([str(tmp_path)]) == 1
    assert "NOT whole" in capsys.readouterr().out


def test_it_is_written_for_python_3_8_and_imports_nothing_else() -> None:
    source = Path(evidence_verify.__file__).read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= sys.stdlib_module_names and "from __future__ import annotations" in source


def test_it_runs_with_the_standard_library_alone(archive: bytes, tmp_path: Path) -> None:
    root = unpacked(files_of(archive), tmp_path)
    command = [sys.executable, "-I", "-S", str(root / "verify.py")]
    whole = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert whole.returncode == 0 and whole.stdout.endswith("The package is whole.\n") and not whole.stderr
    assert fingerprint(KEY) in whole.stdout
    wrong = subprocess.run([*command, "--key", "00" * 32], capture_output=True, text=True, cwd="/")
    assert wrong.returncode == 1
    (root / "reads/0001.jpg").write_bytes(b"another picture")
    broken = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert broken.returncode == 1 and "BROKEN   reads/0001.jpg was changed" in broken.stdout
