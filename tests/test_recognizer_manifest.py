"""A manifest says what a pack is; anything it does not say, or says wrongly, is refused by name."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer import ModelInvalidError
from recognizer.manifest import load_pack, pack_folder
from recognizer.pack import MANIFEST, Measurement, Model, ModelFile, Pack, Tensor, decode_pack, encode_pack
from tests.painted import tiny_pack

FOLDER = Path("pack")

texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
files = st.builds(
    ModelFile,
    st.sampled_from(["reader.onnx", "builtin/plate-reader.onnx", "a b/Ö.onnx"]),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(0, 2**40),
)
tensors = st.builds(
    Tensor,
    st.sampled_from(["float32", "uint8"]),
    st.lists(st.integers(-1, 640), max_size=4).map(tuple),
    texts,
)
shares = st.floats(0.0, 1.0)
measurements = st.builds(
    Measurement, texts, texts, st.integers(0, 9999), st.dictionaries(texts, shares, max_size=3)
)
outputs = st.lists(tensors, max_size=2).map(tuple)
packs = st.builds(
    Pack,
    texts,
    st.just(FOLDER),
    st.builds(Model, files, texts, texts, tensors, outputs, st.none() | files, shares),
    st.builds(
        Model,
        files,
        texts,
        texts,
        tensors,
        outputs,
        files,
        st.none() | shares,
        st.none() | st.floats(0.05, 20.0),
    ),
    st.lists(measurements, max_size=3).map(tuple),
)


@given(packs)
def test_what_is_encoded_is_decoded_again(pack: Pack) -> None:
    assert decode_pack(encode_pack(pack), FOLDER) == pack


def test_a_pack_whose_files_are_what_it_says_is_loaded(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path)
    assert load_pack(str(tmp_path)) == pack


@pytest.mark.parametrize("name", ["detector.onnx", "reader.onnx", "reader.yaml"])
def test_one_altered_byte_is_refused_with_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    tiny_pack(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelInvalidError, match=rf"{name} has SHA-256 .* altered or damaged"):
        load_pack(str(tmp_path))


def test_a_cut_file_is_refused_with_both_sizes(tmp_path: Path) -> None:
    tiny_pack(tmp_path)
    path = tmp_path / "detector.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelInvalidError, match=r"detector\.onnx has \d+ bytes, its manifest says \d+"):
        load_pack(str(tmp_path))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    tiny_pack(tmp_path)
    (tmp_path / "reader.yaml").unlink()
    with pytest.raises(ModelInvalidError, match=r"reader\.yaml cannot be read: No such file"):
        load_pack(str(tmp_path))


def test_a_folder_without_a_manifest_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalidError, match=MANIFEST):
        load_pack(str(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format = 1", "format = 2", "another version"),
        ("format = 1\n", "", "format is missing"),
        ('pack = "tiny"', "pack = 7", "pack is not of type str"),
        ("threshold = 0.4\n", "", "detector.threshold is missing"),
        ("threshold = 0.4", "treshold = 0.4", "unknown key 'treshold'"),
        ("[reader]", "[raeder]", "reader is missing"),
        ("[reader]", "[reader]\ntemperature = 0", "temperature 0.0 is not between"),
        ("[reader]", "[reader]\nmisreads = { share = 1.0, taken_for = {} }", "share must lie in 0 to 1"),
        ("[reader]", '[reader]\nmisreads = { share = 0.1, taken_for = { "8" = { "BB" = 0.5 } } }', "single"),
        ("[reader]", '[reader]\nmisreads = { share = 0.1, taken_for = { "8" = { "B" = 2.0 } } }', "between"),
        ("[reader]", "[reader]\nregion_temperature = 99", "region_temperature 99.0 is not between"),
        ('file = "reader.onnx"', 'file = "../reader.onnx"', "outside the pack's folder"),
        ('file = "reader.onnx"', 'file = "/reader.onnx"', "outside the pack's folder"),
        ('sha256 = "', 'sha256 = "X', "not 64 lower-case hexadecimal digits"),
        ('dtype = "uint8"', 'dtype = "int8"', "dtype 'int8' is not one of"),
        ("shape = [1, 3, 128, 128]", 'shape = [1, 3, "128", 128]', "not a list of whole numbers"),
        ("[detector]", "[detector", "is not TOML"),
    ],
)
def test_a_wrong_entry_is_refused_by_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = encode_pack(tiny_pack(tmp_path))
    assert old in text
    (tmp_path / MANIFEST).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ModelInvalidError) as caught:
        load_pack(str(tmp_path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reader_without_a_plate_configuration_is_refused(tmp_path: Path) -> None:
    pack = tiny_pack(tmp_path)
    text = encode_pack(replace(pack, reader=replace(pack.reader, config=None)))
    with pytest.raises(ModelInvalidError, match=r"reader\.config is missing"):
        decode_pack(text, tmp_path)


def test_an_installed_pack_is_found_by_name_and_any_other_by_path(tmp_path: Path) -> None:
    tiny_pack(tmp_path / "packs" / "tiny")
    assert pack_folder("tiny", [tmp_path / "none", tmp_path / "packs"]) == tmp_path / "packs" / "tiny"
    assert pack_folder(str(tmp_path / "packs" / "tiny"), []) == tmp_path / "packs" / "tiny"


def test_a_pack_that_is_not_installed_names_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalidError, match="alpr-edge models install fast-alpr"):
        pack_folder("fast-alpr", [tmp_path])


def test_the_builtin_pack_is_what_its_manifest_says() -> None:
    pack = load_pack("builtin")
    assert pack.name == "builtin"
    assert pack.accuracy, "the manifest of the built-in pack carries what was measured"
