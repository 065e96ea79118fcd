"""What a model pack must be, and the text that says so.

A pack is a folder with a `manifest.toml` that names one detector and one reader, each with the digest and
size of its file, its licence, what goes in and comes out, the run that trained it, and what was measured. One
that is published (`recognizer.published`) also holds pictures, with what its models must read in them.
"""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recognizer.errors import ModelInvalidError

MANIFEST = "manifest.toml"

_FORMAT = 1
_DTYPES = ("float32", "uint8")
_TEXT = re.compile(r"[A-Z0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a pack, as it must be."""

    file: str
    """Path inside the pack's folder."""
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a model."""

    dtype: str
    """"float32" or "uint8"."""
    shape: tuple[int, ...]
    """-1 where any size will do."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Misreads:
    """How a reader errs where its own probabilities do not say so, on crops it was not trained on."""

    share: float
    """Of the characters that it is sure of, in [0, 1), those that are wrong."""
    taken_for: dict[str, dict[str, float]]
    """For a character read, those that it really was, with their shares of its misreads; O as 0, I as 1."""


@dataclass(frozen=True, slots=True)
class Model:
    """A detector or a reader."""

    weights: ModelFile
    licence: str
    """SPDX identifier."""
    source: str
    """The training run of our own, or where the model was published."""
    input: Tensor
    outputs: tuple[Tensor, ...]
    config: ModelFile | None = None
    """The reader's plate configuration."""
    threshold: float | None = None
    """The detector's confidence below which its boxes are dropped."""
    temperature: float | None = None
    """Makes the reader's probabilities true shares: each is raised to 1 / temperature. Below 1 sharpens, as a
    reader trained on softened targets needs. None is 1."""
    region_temperature: float | None = None
    """The same for its opinion on the issuer."""
    misreads: Misreads | None = None
    """Of a reader; None where nobody measured them."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A picture by which a machine finds out whether the pack's models read as they should on it."""

    picture: ModelFile
    texts: tuple[str, ...] = field(repr=False)
    """Of all plates in it, sorted; empty: there is none to be read."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured of a pack on one set of real pictures; written by `python -m training.evaluate`."""

    stage: str
    """"end to end", "detector" or "reader"."""
    set: str
    samples: int
    figures: dict[str, float]
    """Shares in [0, 1], and counts."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A model pack; `recognizer.manifest.load_pack` gives only such whose every file is what is said here."""

    name: str
    folder: Path
    detector: Model
    reader: Model
    accuracy: tuple[Measurement, ...] = field(default=(), repr=False)
    self_tests: tuple[SelfTest, ...] = ()

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """All that it is made of, but its manifest."""
        named = [file for model in (self.detector, self.reader) for file in (model.weights, model.config)]
        return *(file for file in named if file is not None), *(test.picture for test in self.self_tests)

    def path(self, file: ModelFile) -> Path:
        """Where *file* lies."""
        return self.folder / file.file


def decode_pack(text: str, folder: Path) -> Pack:
    """Return the pack that manifest *text* describes; its files in *folder* are not looked at.

    Raises ModelInvalidError naming the entry that is missing, unknown or wrong.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelInvalidError(f"{folder / MANIFEST} is not TOML: {error}") from error
    try:
        root = _Table(table, "")
        root.expect("format", _FORMAT)
        pack = Pack(
            name=root.text("pack"),
            folder=folder,
            detector=_model(root.table("detector")),
            reader=_model(root.table("reader")),
            accuracy=tuple(_measurement(row) for row in root.rows("accuracy")),
            self_tests=tuple(_self_test(row) for row in root.rows("self_test")),
        )
        root.done()
    except (KeyError, TypeError, ValueError) as error:
        raise ModelInvalidError(f"{folder / MANIFEST}: {error.args[0]}") from error
    if pack.detector.threshold is None:
        raise ModelInvalidError(f"{folder / MANIFEST}: detector.threshold is missing")
    if pack.reader.config is None:
        raise ModelInvalidError(f"{folder / MANIFEST}: reader.config is missing")
    return pack


def encode_pack(pack: Pack) -> str:
    """Return the manifest of *pack*, such that `decode_pack` gives it back."""
    lines = ["# Written by a command, never by hand: the figures belong to exactly these files.", ""]
    lines += [f"format = {_FORMAT}", f"pack = {_quoted(pack.name)}"]
    for title, model in (("detector", pack.detector), ("reader", pack.reader)):
        lines += ["", f"[{title}]", *_file_lines(model.weights)]
        lines += [f"licence = {_quoted(model.licence)}", f"source = {_quoted(model.source)}"]
        if model.threshold is not None:
            lines.append(f"threshold = {model.threshold!r}")
        for key, value in _temperatures(model).items():
            if value is not None:
                lines.append(f"{key} = {value!r}")
        if model.misreads is not None:
            lines.append(f"misreads = {_misreads_line(model.misreads)}")
        if model.config is not None:
            lines.append("config = { " + ", ".join(_file_lines(model.config)) + " }")
        lines.append("input = " + _tensor_line(model.input))
        lines.append("outputs = [" + ", ".join(_tensor_line(output) for output in model.outputs) + "]")
    for test in pack.self_tests:
        texts = ", ".join(map(_quoted, test.texts))
        lines += ["", "[[self_test]]", *_file_lines(test.picture), f"texts = [{texts}]"]
    for row in pack.accuracy:
        figures = ", ".join(f"{_quoted(name)} = {float(value)!r}" for name, value in row.figures.items())
        lines += ["", "[[accuracy]]", f"stage = {_quoted(row.stage)}", f"set = {_quoted(row.set)}"]
        lines += [f"samples = {row.samples}", f"figures = {{ {figures} }}"]
    return "\n".join(lines) + "\n"


class _Table:
    """A TOML table whose every key must be asked for: what is left over is a spelling mistake."""

    def __init__(self, entries: Any, name: str) -> None:
        if not isinstance(entries, dict):
            raise TypeError(f"{name} is not a table")
        self._entries, self._name = dict(entries), name

    def left(self) -> list[str]:
        """Return what has not been asked for yet."""
        return list(self._entries)

    def _take(self, key: str, kind: type) -> Any:
        where = f"{self._name}.{key}" if self._name else key
        if key not in self._entries:
            raise KeyError(f"{where} is missing")
        value = self._entries.pop(key)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{where} is not of type {kind.__name__}")
        return value

    def text(self, key: str) -> str:
        return str(self._take(key, str))

    def whole(self, key: str) -> int:
        return int(self._take(key, int))

    def expect(self, key: str, value: int) -> None:
        if self.whole(key) != value:
            raise ValueError(f"{key} is not {value}: the pack is for another version of alpr-edge")

    def number(self, key: str) -> float | None:
        return float(self._take(key, float)) if key in self._entries else None

    def table(self, key: str) -> "_Table":
        return _Table(self._take(key, dict), f"{self._name}.{key}" if self._name else key)

    def optional(self, key: str) -> "_Table | None":
        return self.table(key) if key in self._entries else None

    def rows(self, key: str) -> list["_Table"]:
        rows = self._take(key, list) if key in self._entries else []
        return [_Table(row, f"{self._name}.{key}[{index}]".lstrip(".")) for index, row in enumerate(rows)]

    def whole_numbers(self, key: str) -> tuple[int, ...]:
        values = self._take(key, list)
        if not all(type(value) is int for value in values):
            raise TypeError(f"{self._name}.{key} is not a list of whole numbers")
        return tuple(values)

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._take(key, list)
        if not all(type(value) is str for value in values):
            raise TypeError(f"{self._name}.{key} is not a list of texts")
        return tuple(values)

    def rest(self) -> dict[str, float]:
        names = list(self._entries)
        return {name: float(self._take(name, float)) for name in names}

    def done(self) -> None:
        if self._entries:
            raise ValueError(f"{self._name or 'manifest'}: unknown key {next(iter(self._entries))!r}")


def _file(table: _Table) -> ModelFile:
    file = ModelFile(table.text("file"), table.text("sha256"), table.whole("bytes"))
    # A manifest is only text: it must not be able to name a file outside its own pack.
    if Path(file.file).is_absolute() or ".." in Path(file.file).parts:
        raise ValueError(f"file {file.file!r} lies outside the pack's folder")
    if len(file.sha256) != 64 or set(file.sha256) - set("0123456789abcdef"):
        raise ValueError(f"sha256 of {file.file!r} is not 64 lower-case hexadecimal digits")
    return file


def _tensor(table: _Table) -> Tensor:
    tensor = Tensor(table.text("dtype"), table.whole_numbers("shape"), table.text("meaning"))
    if tensor.dtype not in _DTYPES:
        raise ValueError(f"dtype {tensor.dtype!r} is not one of {', '.join(_DTYPES)}")
    table.done()
    return tensor


def _model(table: _Table) -> Model:
    weights, config_table = _file(table), table.optional("config")
    config = None
    if config_table is not None:
        config = _file(config_table)
        config_table.done()
    model = Model(
        weights=weights,
        licence=table.text("licence"),
        source=table.text("source"),
        input=_tensor(table.table("input")),
        outputs=tuple(_tensor(row) for row in table.rows("outputs")),
        config=config,
        threshold=table.number("threshold"),
        temperature=table.number("temperature"),
        region_temperature=table.number("region_temperature"),
        misreads=_misreads(table.optional("misreads")),
    )
    table.done()
    for key, value in _temperatures(model).items():
        if value is not None and not 0.05 <= value <= 20.0:
            raise ValueError(f"{key} {value} is not between 0.05 and 20")
    return model


def _misreads(table: _Table | None) -> Misreads | None:
    if table is None:
        return None
    share, of = table.number("share"), table.table("taken_for")
    table.done()
    taken_for = {character: of.table(character).rest() for character in of.left()}
    characters = set(taken_for) | {other for others in taken_for.values() for other in others}
    if share is None or not 0 <= share < 1 or any(len(c) != 1 for c in characters):
        raise ValueError("misreads: share must lie in 0 to 1, and taken_for name single characters")
    if any(not 0 <= part <= 1 for others in taken_for.values() for part in others.values()):
        raise ValueError("misreads: a share is not between 0 and 1")
    return Misreads(share, taken_for)


def _misreads_line(misreads: Misreads) -> str:
    rows = []
    for character, others in misreads.taken_for.items():
        parts = ", ".join(f"{_quoted(other)} = {float(part)!r}" for other, part in others.items())
        rows.append(f"{_quoted(character)} = {{ {parts} }}")
    return f"{{ share = {float(misreads.share)!r}, taken_for = {{ {', '.join(rows)} }} }}"


def _temperatures(model: Model) -> dict[str, float | None]:
    return {"temperature": model.temperature, "region_temperature": model.region_temperature}


def _self_test(table: _Table) -> SelfTest:
    picture, texts = _file(table), table.texts("texts")
    table.done()
    if list(texts) != sorted(texts) or not all(_TEXT.fullmatch(text) for text in texts):
        raise ValueError(f"texts of {picture.file!r} are not sorted plates of A-Z and 0-9")
    return SelfTest(picture, texts)


def _measurement(table: _Table) -> Measurement:
    stage, name, samples = table.text("stage"), table.text("set"), table.whole("samples")
    figures = table.table("figures").rest()
    table.done()
    return Measurement(stage, name, samples, figures)


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _file_lines(file: ModelFile) -> list[str]:
    return [f"file = {_quoted(file.file)}", f"sha256 = {_quoted(file.sha256)}", f"bytes = {file.bytes}"]


def _tensor_line(tensor: Tensor) -> str:
    shape = ", ".join(str(size) for size in tensor.shape)
    return f"{{ dtype = {_quoted(tensor.dtype)}, shape = [{shape}], meaning = {_quoted(tensor.meaning)} }}"
