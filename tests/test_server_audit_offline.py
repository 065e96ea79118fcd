"""An export of the access log, checked with nothing but the file."""

import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from server import evidence_verify
from server.audit import Deed
from server.audit_checkpoints import Checkpoints
from server.audit_export import write_export
from server.audit_offline import (
    ExportBrokenError,
    checkpoint_message,
    end_message,
    fingerprint,
    main,
    verify_export,
)
from server.audit_period import Period
from server.audit_report import Imprint
from server.audit_signing import is_signed, raw
from server.database import migrate, open_database
from server.errors import SettingsInvalidError
from server.evidence_verify import ed25519_verify
from server.settings import AuditSettings, Folder
from tests.auditors import MORNING, done, searched

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Checkpoints]]:
    folder = Folder(tmp_path_factory.mktemp("log"))
    folder.keys.mkdir()
    engine = open_database(folder.database)
    migrate(engine)
    checkpoints = Checkpoints(engine, folder, AuditSettings())
    for hour in range(4):
        for number in range(3):
            searched(engine, "reyes", f"TEST{number}", at=MORNING + hour * HOUR)
        done(engine, "okafor", "x", at=MORNING + hour * HOUR, detail={"asked": "Ł\x00\udc80 ', \"] --"})
        checkpoints.step(MORNING + hour * HOUR, at_once=True)
    yield engine, checkpoints
    engine.dispose()


def export(
    department: tuple[Engine, Checkpoints], out: Path, start: float = -1, end: float = 9
) -> list[bytes]:
    engine, checkpoints = department
    period = Period(MORNING + start * HOUR, MORNING + end * HOUR)
    imprint = Imprint("Example Police", period, "okafor", MORNING, "Audit or policy compliance")
    write_export(
        engine, checkpoints, imprint, out, deed=Deed("okafor", "audit.export"), now=MORNING + 5 * HOUR
    )
    return out.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def lines(department: tuple[Engine, Checkpoints], tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return export(department, tmp_path_factory.mktemp("out") / "export.jsonl")


def kinds(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["kind"] for line in lines]


def changed(line: bytes, **values: Any) -> bytes:
    return json.dumps({**json.loads(line), **values}).encode() + b"\n"


def signed_anew(lines: list[bytes], key: Ed25519PrivateKey) -> list[bytes]:
    """Write the whole export anew under another key, as a forger would who has this program."""
    public = raw(key.public_key())
    records = [json.loads(line) for line in lines[:-1]]
    records[0]["public_key"] = public.hex()
    previous, made = records[0]["previous"], []
    for record in records:
        if record["kind"] == "entry":
            names = [
                "sequence",
                "at",
                "actor",
                "action",
                "outcome",
                "purpose",
                "case_number",
                "source",
                "detail",
            ]
            content = json.dumps([record[name] for name in names]).encode()
            record["previous"] = previous
            tag = b"alpr-server audit v1\x00"
            previous = record["digest"] = hashlib.sha256(tag + bytes.fromhex(previous) + content).hexdigest()
        if record["kind"] == "checkpoint":
            record |= {"digest": previous, "key": fingerprint(public)}
            names = ["number", "sequence", "digest", "signed_at", "key"]
            message = checkpoint_message(*(record[name] for name in names))
            record["signature"] = base64.b64encode(key.sign(message)).decode()
        made.append(json.dumps(record).encode() + b"\n")
    end = json.loads(lines[-1])
    sha256 = hashlib.sha256(b"".join(made)).hexdigest()
    end["sha256"] = sha256
    end["signature"] = base64.b64encode(key.sign(end_message(sha256))).decode()
    return [*made, json.dumps(end).encode() + b"\n"]


def test_an_export_says_what_it_is_and_is_whole(lines: list[bytes]) -> None:
    found = verify_export(lines, is_signed)
    assert (found.department, found.purpose) == ("Example Police", "Audit or policy compliance")
    assert (found.entries, found.first, found.checkpoints) == (18, 1, 5)
    assert verify_export(lines, is_signed, found.key) == found


def test_an_empty_key_is_not_any_key(
    lines: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(evidence_verify.__file__).parent))
    path = tmp_path / "export.jsonl"
    path.write_bytes(b"".join(lines))
    for empty in ("", " "):
        assert main(["--key", empty, str(path)]) == 2
        assert "--key is empty" in capsys.readouterr().err
        with pytest.raises(ExportBrokenError, match="not with"):
            verify_export(lines, is_signed, empty)
    assert main([str(path)]) == 0


def test_a_part_of_the_log_is_whole_in_itself(department: tuple[Engine, Checkpoints], tmp_path: Path) -> None:
    part = export(department, tmp_path / "part.jsonl", start=1, end=2)
    found = verify_export(part, is_signed)
    assert kinds(part)[:2] == ["export", "checkpoint"], "the one that signs the entry before it comes along"
    assert found.entries == 4 and found.checkpoints == 2 and found.first > 1


def test_a_period_without_entries_gives_no_file(
    department: tuple[Engine, Checkpoints], tmp_path: Path
) -> None:
    with pytest.raises(SettingsInvalidError, match="no entry"):
        export(department, tmp_path / "none.jsonl", start=-9, end=-8)
    assert not (tmp_path / "none.jsonl").exists()


def test_an_export_overwrites_nothing(department: tuple[Engine, Checkpoints], tmp_path: Path) -> None:
    out = tmp_path / "there.jsonl"
    out.write_text("mine")
    with pytest.raises(SettingsInvalidError, match="nothing is overwritten"):
        export(department, out)
    assert out.read_text() == "mine"


def entry_at(lines: list[bytes], place: int) -> int:
    return [at for at, kind in enumerate(kinds(lines)) if kind == "entry"][place]


def without(lines: list[bytes]) -> list[bytes]:
    at = entry_at(lines, 3)
    return lines[:at] + lines[at + 1 :]


def with_one_more(lines: list[bytes]) -> list[bytes]:
    at = entry_at(lines, 3)
    return [*lines[:at], lines[at], *lines[at:]]


def with_a_changed_one(lines: list[bytes]) -> list[bytes]:
    at = entry_at(lines, 3)
    return [*lines[:at], changed(lines[at], actor="nobody"), *lines[at + 1 :]]


def with_a_tail_written_anew(lines: list[bytes]) -> list[bytes]:
    """The chain is closed again, but the signatures are the department's."""
    at = entry_at(lines, 3)
    forged = signed_anew([*lines[:at], changed(lines[at], actor="nobody"), *lines[at + 1 :]], FORGER)
    return [
        old if json.loads(old)["kind"] != "entry" else new for old, new in zip(lines, forged, strict=True)
    ]


FORGER = Ed25519PrivateKey.generate()


@pytest.mark.parametrize(
    ("forge", "match"),
    [
        (without, "entry 4 is missing"),
        (with_one_more, "entry 5 is missing; the next is 4"),
        (with_a_changed_one, "entry 4 was altered"),
        (with_a_tail_written_anew, "is not the one that checkpoint 1 signed"),
        (lambda lines: lines[:-1], "the end is missing"),
        (lambda lines: lines[:4], "the end is missing"),
        (lambda lines: [*lines[:-3], lines[-1]], "it should hold"),
        (lambda lines: [*lines, lines[-1]], "more after the end"),
        (lambda lines: [line for line in lines if b'"number": 2' not in line], "checkpoint 2 is missing"),
        (lambda lines: [*lines[:-1], lines[-1][:-9]], "cut off"),
        (lambda lines: [changed(lines[0], exported_by="me"), *lines[1:]], "signature over the whole export"),
        (lambda lines: lines[1:], "no export"),
        (lambda lines: [], "cut off or no JSON"),
    ],
)
def test_a_forged_export_is_refused(
    lines: list[bytes], forge: Callable[[list[bytes]], list[bytes]], match: str
) -> None:
    with pytest.raises(ExportBrokenError, match=match):
        verify_export(forge(lines), is_signed)


def test_an_export_signed_with_a_swapped_key_is_whole_but_not_under_the_key_that_was_noted(
    lines: list[bytes],
) -> None:
    known = verify_export(lines, is_signed).key
    forged = signed_anew(with_a_changed_one(lines), FORGER)
    assert verify_export(forged, is_signed).key != known
    with pytest.raises(ExportBrokenError, match="it was signed with the key"):
        verify_export(forged, is_signed, known)


def test_a_checkpoint_of_another_key_within_an_export_is_refused(lines: list[bytes]) -> None:
    forged = [
        new if b'"checkpoint"' in old else old
        for old, new in zip(lines, signed_anew(lines, FORGER), strict=True)
    ]
    with pytest.raises(ExportBrokenError, match="signed with another key"):
        verify_export(forged, is_signed)


@given(seed=st.integers(0, 2**32), how=st.sampled_from(["drop", "twice", "swap", "byte", "cut"]))
def test_no_single_change_of_an_export_goes_unseen(lines: list[bytes], seed: int, how: str) -> None:
    chance, forged = random.Random(seed), list(lines)
    at = chance.randrange(len(forged))
    if how == "drop":
        del forged[at]
    elif how == "twice":
        forged.insert(at, forged[at])
    elif how == "swap":
        other = chance.randrange(len(forged))
        forged[at], forged[other] = forged[other], forged[at]
    elif how == "byte":
        line = bytearray(forged[at])
        line[chance.randrange(len(line) - 1)] ^= 1 << chance.randrange(7)
        forged[at] = bytes(line)
    else:
        forged = [*forged[:at], forged[at][: chance.randrange(len(forged[at]))]]
    if b"".join(forged) == b"".join(lines):
        return
    content = b"".join(forged).splitlines(keepends=True)
    with pytest.raises(ExportBrokenError):
        # The last line's own spelling (spaces, the order of names) is no content: that alone may change.
        verify_export(content, is_signed)
        if content[:-1] == lines[:-1] and json.loads(content[-1]) == json.loads(lines[-1]):
            raise ExportBrokenError("the same content")


def test_the_verifier_in_plain_python_says_the_same(lines: list[bytes]) -> None:
    assert verify_export(lines, ed25519_verify) == verify_export(lines, is_signed)
    forged = [changed(each, signature="A" * 86 + "==") if b'"number": 2' in each else each for each in lines]
    for check in (ed25519_verify, is_signed):
        with pytest.raises(ExportBrokenError, match="signature of checkpoint 2"):
            verify_export(forged, check)


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_are_refused_as_an_export(lines: list[bytes]) -> None:
    with pytest.raises(ExportBrokenError):
        verify_export([line + b"\n" for line in lines], is_signed)


@pytest.mark.parametrize("name", ["sequence", "previous", "digest", "at", "detail"])
@pytest.mark.parametrize("value", [None, [], "x", 1e400, True])
def test_a_field_of_the_wrong_kind_is_refused(lines: list[bytes], name: str, value: Any) -> None:
    at = entry_at(lines, 3)
    with pytest.raises(ExportBrokenError):
        verify_export([*lines[:at], changed(lines[at], **{name: value}), *lines[at + 1 :]], is_signed)
