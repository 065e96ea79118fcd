"""Signed heads of the access log: what an owner of the machine cannot change without its being seen."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from server.audit import AuditHead
from server.audit_checkpoints import KEY_FILE, Checkpoints
from server.audit_signing import line_of, parse_lines
from server.database import migrate, open_database, reading, writing
from server.errors import AuditBrokenError, SettingsInvalidError, StoreUnavailableError
from server.keys import private_pem
from server.settings import AuditSettings, Folder
from tests.auditors import MORNING, done, searched, tamper

HOUR = timedelta(hours=1)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "keys").mkdir()
    return Folder(tmp_path)


@pytest.fixture
def log(folder: Folder) -> Iterator[Engine]:
    engine = open_database(folder.database)
    migrate(engine)
    write(engine, 5)
    yield engine
    engine.dispose()


@pytest.fixture
def checkpoints(log: Engine, folder: Folder) -> Checkpoints:
    return Checkpoints(log, folder, AuditSettings(checkpoint_entries=10))


def write(log: Engine, count: int) -> None:
    for number in range(count):
        searched(log, "reyes", f"TEST{number}")


def rewrite(log: Engine, *statements: str) -> None:
    """Change entries, and write the chain anew from the first one on, as a forger with the program would."""
    with reading(log) as connection:
        rows = [row._asdict() for row in connection.execute(text("SELECT * FROM audit ORDER BY sequence"))]
    tamper(log, *statements)
    with reading(log) as connection:
        kept = connection.execute(text("SELECT actor, detail FROM audit ORDER BY sequence")).all()
    assert len(rows) >= len(kept)
    tamper(log, "DELETE FROM audit")
    for row in kept:
        done(log, row.actor, "reads.search", detail={"forged": row.detail})


def test_the_head_is_signed_at_once_then_after_so_many_entries_and_so_long(
    checkpoints: Checkpoints, log: Engine
) -> None:
    first = checkpoints.step(MORNING)
    assert first is not None and first.sequence == 6  # the key's own entry is signed too
    write(log, 9)
    assert checkpoints.step(MORNING + HOUR) is None
    write(log, 1)
    second = checkpoints.step(MORNING + HOUR)
    assert second is not None and (second.number, second.sequence) == (2, 16)
    assert checkpoints.step(MORNING + 24 * HOUR) is None
    daily = checkpoints.step(MORNING + 25 * HOUR)
    assert daily is not None and (daily.number, daily.sequence) == (3, 16)
    assert checkpoints.check().checkpoints == 3


def test_an_empty_log_is_not_signed_and_makes_no_key(folder: Folder) -> None:
    engine = open_database(folder.database)
    migrate(engine)
    assert Checkpoints(engine, folder, AuditSettings()).step(MORNING) is None
    assert not (folder.keys / KEY_FILE).exists()
    engine.dispose()


def test_an_untouched_log_agrees_with_every_checkpoint(checkpoints: Checkpoints, log: Engine) -> None:
    for hour in range(3):
        checkpoints.step(MORNING + hour * HOUR, at_once=True)
        write(log, 2)
    checked = checkpoints.check([checkpoints.file])
    assert (checked.head.sequence, checked.checkpoints, checked.in_file) == (12, 3, 3)
    assert (checked.damaged_lines, checked.newest_copied) == (0, 3)


def test_the_file_holds_the_same_lines_and_nobody_else_reads_it(checkpoints: Checkpoints) -> None:
    made = [checkpoints.step(MORNING + hour * HOUR, at_once=True) for hour in range(3)]
    assert checkpoints.file.read_bytes() == b"".join(line_of(each) for each in made if each is not None)
    assert checkpoints.file.stat().st_mode & 0o777 == 0o600


def test_a_rewritten_tail_is_found(checkpoints: Checkpoints, log: Engine) -> None:
    checkpoints.step(MORNING)
    rewrite(log, "UPDATE audit SET actor = 'nobody' WHERE sequence = 4")
    with pytest.raises(AuditBrokenError, match="entry 6 is not the one that checkpoint 1 signed"):
        checkpoints.check()


@pytest.mark.parametrize("sequence", [1, 3, 6])
def test_a_removed_entry_is_found_though_the_chain_was_closed_again(
    checkpoints: Checkpoints, log: Engine, sequence: int
) -> None:
    checkpoints.step(MORNING)
    write(log, 1)
    rewrite(log, f"DELETE FROM audit WHERE sequence = {sequence}")
    with pytest.raises(AuditBrokenError, match="written anew"):
        checkpoints.check()


def test_an_inserted_entry_is_found_though_the_chain_was_closed_again(
    checkpoints: Checkpoints, log: Engine
) -> None:
    checkpoints.step(MORNING)
    with reading(log) as connection:
        before = connection.execute(text("SELECT * FROM audit ORDER BY sequence")).all()
    tamper(log, "DELETE FROM audit")
    for row in [before[0], before[0], *before[1:]]:
        done(log, row.actor, row.action)
    with pytest.raises(AuditBrokenError, match="written anew"):
        checkpoints.check()


def test_a_truncated_log_is_found(checkpoints: Checkpoints, log: Engine) -> None:
    checkpoints.step(MORNING)
    tamper(log, "DELETE FROM audit WHERE sequence > 4")
    with pytest.raises(
        AuditBrokenError, match="ends at entry 4, but checkpoint 1 signed entry 6: it was cut"
    ):
        checkpoints.check()


def test_a_log_cut_together_with_its_checkpoints_is_found_by_the_file(
    checkpoints: Checkpoints, log: Engine
) -> None:
    checkpoints.step(MORNING)
    write(log, 4)
    checkpoints.step(MORNING + HOUR, at_once=True)
    tamper(log, "DELETE FROM audit WHERE sequence > 6", "DELETE FROM audit_checkpoints WHERE number > 1")
    with pytest.raises(AuditBrokenError, match=r"checkpoint 2 .* is not in the table"):
        checkpoints.check()


def test_a_log_cut_with_table_and_file_is_found_by_a_copy(
    checkpoints: Checkpoints, log: Engine, tmp_path: Path
) -> None:
    checkpoints.step(MORNING)
    before = checkpoints.file.read_bytes()
    write(log, 4)
    checkpoints.step(MORNING + HOUR, at_once=True)
    copy = tmp_path / "copied.jsonl"
    copy.write_bytes(checkpoints.file.read_bytes())
    tamper(log, "DELETE FROM audit WHERE sequence > 6", "DELETE FROM audit_checkpoints WHERE number > 1")
    checkpoints.file.write_bytes(before)
    assert checkpoints.check().checkpoints == 1, "who holds nothing elsewhere cannot see it"
    with pytest.raises(AuditBrokenError, match="cut or set back"):
        checkpoints.check([copy])


def test_a_log_written_anew_and_signed_anew_is_found_by_a_copy(
    checkpoints: Checkpoints, log: Engine, tmp_path: Path
) -> None:
    checkpoints.step(MORNING)
    copy = checkpoints.file.rename(tmp_path / "copied.jsonl")
    rewrite(log, "UPDATE audit SET actor = 'nobody' WHERE sequence = 4", "DELETE FROM audit_checkpoints")
    checkpoints.step(MORNING)
    assert checkpoints.check().checkpoints == 1, "the forger had the key"
    with pytest.raises(AuditBrokenError, match=r"checkpoint 1 .* is another than in the table"):
        checkpoints.check([copy])


def test_a_swapped_key_is_found(checkpoints: Checkpoints, folder: Folder) -> None:
    checkpoints.step(MORNING)
    known = checkpoints.check().key
    (folder.keys / KEY_FILE).write_bytes(private_pem(Ed25519PrivateKey.generate()))
    with pytest.raises(AuditBrokenError, match="signed with another key"):
        checkpoints.check()
    with pytest.raises(AuditBrokenError, match="it was exchanged"):
        checkpoints.check(key=known)
    with pytest.raises(AuditBrokenError, match="it was exchanged"):
        checkpoints.step(MORNING, at_once=True)


def test_a_swapped_key_with_everything_signed_anew_is_found_by_who_noted_the_fingerprint(
    checkpoints: Checkpoints, folder: Folder, log: Engine
) -> None:
    checkpoints.step(MORNING)
    noted = checkpoints.check().key
    assert checkpoints.check(key=noted).key == noted
    with pytest.raises(AuditBrokenError, match="not empty"):
        checkpoints.check(key="")  # a shell variable that nobody set
    tamper(log, "DELETE FROM audit_checkpoints")
    checkpoints.file.unlink()
    (folder.keys / KEY_FILE).unlink()
    checkpoints.step(MORNING)
    assert checkpoints.check().key != noted
    with pytest.raises(AuditBrokenError, match="it was exchanged"):
        checkpoints.check(key=noted)


@pytest.mark.parametrize(
    "change",
    [
        "sequence = 5",
        "digest = zeroblob(32)",
        "signed_at = '2020-01-01 00:00:00.000000'",
        "signature = zeroblob(64)",
        "signature = x''",
        "key = 'x'",
    ],
)
def test_a_change_of_any_field_of_a_checkpoint_shows(
    checkpoints: Checkpoints, log: Engine, change: str
) -> None:
    checkpoints.step(MORNING)
    tamper(log, f"UPDATE audit_checkpoints SET {change}")
    checkpoints.file.unlink()
    with pytest.raises(AuditBrokenError, match="checkpoint 1"):
        checkpoints.check()


def test_a_checkpoint_missing_in_the_midst_shows(checkpoints: Checkpoints, log: Engine) -> None:
    for hour in range(3):
        checkpoints.step(MORNING + hour * HOUR, at_once=True)
    lines = checkpoints.file.read_bytes().splitlines(keepends=True)
    checkpoints.file.write_bytes(lines[0] + lines[2])
    with pytest.raises(AuditBrokenError, match="checkpoint 2 is missing in"):
        checkpoints.check()
    tamper(log, "DELETE FROM audit_checkpoints WHERE number = 2")
    with pytest.raises(AuditBrokenError, match="checkpoint 2 is missing: the next one is 3"):
        checkpoints.check()


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_checkpoints SET key = ''", "DELETE FROM audit_checkpoints"]
)
def test_the_database_itself_refuses_a_change_of_a_checkpoint(
    checkpoints: Checkpoints, log: Engine, statement: str
) -> None:
    checkpoints.step(MORNING)
    with pytest.raises(IntegrityError, match="append-only"), writing(log) as connection:
        connection.execute(text(statement))


def test_nothing_is_signed_over_a_break(checkpoints: Checkpoints, log: Engine) -> None:
    checkpoints.step(MORNING)
    write(log, 3)
    tamper(log, "UPDATE audit SET actor = 'nobody' WHERE sequence = 8")
    with pytest.raises(AuditBrokenError, match="entry 8 was altered"):
        checkpoints.step(MORNING, at_once=True)
    with reading(log) as connection:
        assert connection.execute(text("SELECT count(*) FROM audit_checkpoints")).scalar() == 1


def test_nothing_is_signed_over_a_cut(checkpoints: Checkpoints, log: Engine) -> None:
    checkpoints.step(MORNING)
    tamper(log, "DELETE FROM audit WHERE sequence > 4")
    with pytest.raises(AuditBrokenError, match="it was cut"):
        checkpoints.step(MORNING, at_once=True)


def test_a_lost_key_is_not_replaced_in_silence(checkpoints: Checkpoints, folder: Folder) -> None:
    checkpoints.step(MORNING)
    (folder.keys / KEY_FILE).unlink()
    with pytest.raises(SettingsInvalidError, match="restore it from the backup"):
        checkpoints.step(MORNING, at_once=True)
    assert not (folder.keys / KEY_FILE).exists()


def test_a_file_that_could_not_be_written_is_made_up_for(checkpoints: Checkpoints, log: Engine) -> None:
    checkpoints.step(MORNING)
    checkpoints.file.unlink()
    checkpoints.file.mkdir()
    with pytest.raises(StoreUnavailableError, match="no checkpoint can be written"):
        checkpoints.step(MORNING, at_once=True)
    checkpoints.file.rmdir()
    checkpoints.step(MORNING, at_once=True)
    assert checkpoints.check().in_file == 3


@pytest.mark.parametrize("torn", [b'{"kind": "checkpoint", "num', b"\x00" * 100, b"[" * 100_000])
def test_a_line_that_a_power_cut_left_is_stepped_over_and_counted(
    checkpoints: Checkpoints, torn: bytes
) -> None:
    checkpoints.step(MORNING)
    with checkpoints.file.open("ab") as file:
        file.write(torn)
    checkpoints.step(MORNING + HOUR, at_once=True)
    checked = checkpoints.check()
    assert (checked.in_file, checked.damaged_lines) == (2, 1)


def test_a_head_noted_on_paper_counts_beside_the_checkpoints(checkpoints: Checkpoints, log: Engine) -> None:
    head = checkpoints.check().head
    assert checkpoints.check(noted=head).head == head
    with pytest.raises(AuditBrokenError, match="noted earlier"):
        checkpoints.check(noted=AuditHead(head.sequence, bytes(32)))


def test_a_copy_that_is_not_there_is_named(checkpoints: Checkpoints, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalidError, match=r"gone\.jsonl"):
        checkpoints.check([tmp_path / "gone.jsonl"])


def test_the_key_is_named_in_the_log_that_it_signs(checkpoints: Checkpoints, log: Engine) -> None:
    checkpoints.step(MORNING)
    with reading(log) as connection:
        detail = connection.execute(text("SELECT detail FROM audit WHERE action = 'audit.key'")).scalar()
    assert checkpoints.check().key in str(detail)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_lines_or_counted_as_damaged(content: bytes) -> None:
    found, damaged = parse_lines(content)
    assert found == [] and damaged <= len(content.splitlines())
