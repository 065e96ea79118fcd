"""Archives of model packs: what is no whole, plain, true pack is refused before anything of it is used."""

import hashlib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.errors import ModelInvalidError
from recognizer.pack import MANIFEST, Pack, SelfTest, decode_pack, encode_pack
from recognizer.published import MAX_FILES, check_published, unpack_published, write_published
from tests.painted import tiny_archive, tiny_pack


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tiny_archive(tmp_path / "tiny.pack")


def members(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def rewritten(archive: Path, change: Callable[[dict[str, bytes]], None], **how: int) -> Path:
    """Return an archive like *archive*, but for what *change* did to its members."""
    files = members(archive)
    change(files)
    out = archive.with_name("other.pack")
    with zipfile.ZipFile(out, "w", how.get("compression", zipfile.ZIP_STORED)) as zipped:
        for name, content in files.items():
            zipped.writestr(zipfile.ZipInfo(name), content, compress_type=how.get("compression"))
    return out


def manifest_changed(change: Callable[[Pack], Pack]) -> Callable[[dict[str, bytes]], None]:
    def apply(files: dict[str, bytes]) -> None:
        pack = decode_pack(files[MANIFEST].decode(), Path())
        files[MANIFEST] = encode_pack(change(pack)).encode()

    return apply


def write(path: Path, content: Iterable[bytes]) -> None:
    path.write_bytes(b"".join(content))


def test_archive_gives_back_the_pack_and_its_files(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    published = unpack_published(archive, tmp_path / "out", write)
    assert published.pack.self_tests[0].texts == ("TEST123",)
    manifest = (tmp_path / "out" / MANIFEST).read_bytes()
    assert published.manifest_sha256 == hashlib.sha256(manifest).hexdigest()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == members(archive)
    assert decode_pack(encode_pack(published.pack), published.pack.folder) == published.pack


def test_manifest_is_given_out_after_all_else(archive: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def note(path: Path, content: Iterable[bytes]) -> None:
        list(content)
        seen.append(path.name)

    unpack_published(archive, tmp_path, note)
    assert seen[-1] == MANIFEST
    assert len(seen) == 5


def test_same_pack_is_the_same_archive(archive: Path, tmp_path: Path) -> None:
    assert tiny_archive(tmp_path / "again.pack").read_bytes() == archive.read_bytes()


def test_files_of_folders_become_plain_names(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path / "pack" / "inner")
    inner = replace(
        pack,
        folder=tmp_path / "pack",
        detector=replace(pack.detector, weights=replace(pack.detector.weights, file="inner/detector.onnx")),
    )
    for name in ("reader.onnx", "reader.yaml"):
        (tmp_path / "pack" / "inner" / name).rename(tmp_path / "pack" / name)
    picture = tmp_path / "front.png"
    picture.write_bytes(b"any")
    write_published(inner, [(picture, ("TEST123",))], tmp_path / "out.pack")
    assert check_published(tmp_path / "out.pack").pack.detector.weights.file == "detector.onnx"


def test_pack_whose_own_file_was_altered_is_not_written(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path / "pack")
    (tmp_path / "pack" / "reader.onnx").write_bytes(bytes(pack.reader.weights.bytes))
    picture = tmp_path / "front.png"
    picture.write_bytes(b"any")
    with pytest.raises(ModelInvalidError, match=r"reader\.onnx has SHA-256"):
        write_published(pack, [(picture, ("TEST123",))], tmp_path / "out.pack")
    assert not (tmp_path / "out.pack").exists()


BAD_NAMES = ("../reader.onnx", "/etc/passwd", "a/b.onnx", ".hidden", "..", "a\\b", "C:x", "ü.onnx", "x" * 101)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_file_by_a_path_is_refused(archive: Path, name: str) -> None:
    with pytest.raises(ModelInvalidError, match="is a path, or not a plain one"):
        check_published(rewritten(archive, lambda files: files.update({name: b"x"})))


def test_manifest_cannot_reach_beyond_the_archive(archive: Path) -> None:
    def outside(files: dict[str, bytes]) -> None:
        files[MANIFEST] = files[MANIFEST].replace(b'"reader.onnx"', b'"../reader.onnx"')

    with pytest.raises(ModelInvalidError, match="outside the pack's folder"):
        check_published(rewritten(archive, outside))


def test_compressed_file_is_refused_before_it_is_opened(archive: Path) -> None:
    bomb = rewritten(
        archive, lambda files: files.update({"zeros": bytes(10_000_000)}), compression=zipfile.ZIP_DEFLATED
    )
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ModelInvalidError, match="compressed or encrypted"):
        check_published(bomb)


def test_files_lying_over_one_another_are_refused(archive: Path) -> None:
    """As in the bombs whose members share one long body."""
    big = rewritten(archive, lambda files: files.update({"a": bytes(50_000), "b": b"x"}))
    data = bytearray(big.read_bytes())
    with zipfile.ZipFile(big) as zipped:
        length, crc = zipped.getinfo("a").file_size, zipped.getinfo("a").CRC
        offset = zipped.getinfo("a").header_offset
    directory = data.rindex(b"PK\x01\x02")  # of "b", the last
    data[directory + 16 : directory + 28] = b"".join(v.to_bytes(4, "little") for v in (crc, length, length))
    data[directory + 42 : directory + 46] = offset.to_bytes(4, "little")
    big.write_bytes(data)
    with pytest.raises(ModelInvalidError, match="larger than the archive"):
        check_published(big)


def test_archive_of_very_many_files_is_refused_unopened(archive: Path) -> None:
    many = {f"file{number}": b"" for number in range(MAX_FILES + 1)}
    with pytest.raises(ModelInvalidError, match=f"more than {MAX_FILES} files"):
        check_published(rewritten(archive, lambda files: files.update(many)))


def test_archive_whose_true_directory_is_said_elsewhere_is_refused(archive: Path) -> None:
    """The form for large archives (ZIP64) has a second end, which counts instead of the first."""
    data = archive.read_bytes()
    archive.write_bytes(data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:])
    with pytest.raises(ModelInvalidError, match="of the form for larger ones"):
        check_published(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(archive: Path) -> None:
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.writestr("reader.onnx", b"another")
    with pytest.raises(ModelInvalidError, match="two files of one name"):
        check_published(archive)


def test_file_that_no_manifest_names_is_refused(archive: Path) -> None:
    with pytest.raises(ModelInvalidError, match=r"extra\.so stands in the manifest or in the archive alone"):
        check_published(rewritten(archive, lambda files: files.update({"extra.so": b"x"})))


def test_missing_file_is_refused(archive: Path) -> None:
    with pytest.raises(ModelInvalidError, match=r"reader\.yaml stands in the manifest"):
        check_published(rewritten(archive, lambda files: files.__delitem__("reader.yaml")))
    with pytest.raises(ModelInvalidError, match=r"no manifest\.toml"):
        check_published(rewritten(archive, lambda files: files.__delitem__(MANIFEST)))


def test_file_of_another_digest_or_size_is_refused(archive: Path) -> None:
    def altered(files: dict[str, bytes]) -> None:
        files["reader.onnx"] = bytes([files["reader.onnx"][0] ^ 1]) + files["reader.onnx"][1:]

    with pytest.raises(ModelInvalidError, match=r"reader\.onnx has SHA-256"):
        check_published(rewritten(archive, altered))
    with pytest.raises(ModelInvalidError, match=r"reader\.onnx has 1626 bytes"):
        check_published(
            rewritten(archive, lambda files: files.update({"reader.onnx": files["reader.onnx"] + b"x"}))
        )


def test_pack_that_cannot_be_tried_is_refused(archive: Path) -> None:
    def blind(pack: Pack) -> Pack:
        return replace(pack, self_tests=tuple(SelfTest(test.picture, ()) for test in pack.self_tests))

    with pytest.raises(ModelInvalidError, match="no self-test with a plate"):
        check_published(rewritten(archive, manifest_changed(blind)))


def test_self_test_names_plates_as_they_are_read(archive: Path) -> None:
    def lower(files: dict[str, bytes]) -> None:
        files[MANIFEST] = files[MANIFEST].replace(b'texts = ["TEST123"]', b'texts = ["test 123"]')

    with pytest.raises(ModelInvalidError, match="not sorted plates"):
        check_published(rewritten(archive, lower))


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(17), b"weights" * 1000])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pack").write_bytes(content)
    with pytest.raises(ModelInvalidError, match="no archive"):
        check_published(tmp_path / "x.pack")


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=4))
def test_altered_archive_is_refused_or_gives_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("altered")
    archive = tiny_archive(folder / "tiny.pack")
    whole = members(archive)
    data = bytearray(archive.read_bytes())
    for place, mask in changes:
        # The last bytes are the directory: there is more to get wrong.
        data[-1 - place % (len(data) if place % 2 else 700)] ^= mask
    archive.write_bytes(data)
    given_out: dict[str, bytes] = {}
    try:
        unpack_published(
            archive, folder, lambda path, content: given_out.update({path.name: b"".join(content)})
        )
    except (ModelInvalidError, OSError):
        return
    assert given_out == whole
