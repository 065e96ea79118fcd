import io
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.importing import Change, ImportRules, RefusedRow, import_changes, import_entries
from hotlist_cache.states import parse_jurisdiction
from tests.hotlists import a_list

RULES = ImportRules(list_name="Stolen vehicle")


def imported(data: bytes, rules: ImportRules = RULES) -> tuple[list[Entry], list[RefusedRow]]:
    refused: list[RefusedRow] = []
    return list(import_entries(io.BytesIO(data), rules, refused.append)), refused


def changed(data: bytes, columns: Mapping[str, str] | None = None) -> tuple[list[Change], list[RefusedRow]]:
    refused: list[RefusedRow] = []
    rules = ImportRules(list_name="Stolen vehicle", columns={"action": "action", **(columns or {})})
    return list(import_changes(io.BytesIO(data), rules, refused.append)), refused


def one(row: str, header: str = "plate", rules: ImportRules = RULES) -> Entry:
    (entry,), refused = imported(f"{header}\n{row}\n".encode(), rules)
    assert not refused
    return entry


def why(row: str, header: str = "plate", rules: ImportRules = RULES) -> str:
    # Beside a good row, since a file of refused rows alone is refused as a whole.
    good = "7ABC123" + "," * header.count(",")
    entries, (refused,) = imported(f"{header}\n{good}\n{row}\n".encode(), rules)
    assert len(entries) == 1 and refused.line == 3
    assert "ABC" not in refused.why
    return refused.why


def test_every_field_goes_where_it_belongs() -> None:
    header = "plate,state,list,reason,priority,make,model,colour,year,case,source,effective,expires,notes"
    row = "7abc-123,CA,Felony,Armed,high,TOYOTA,CAMRY,RED,2012,26-1,CLEW,2026-01-02,2026-02-03,two men"
    entry = one(row, header)
    assert (entry.pattern, entry.jurisdiction, entry.list_name) == ("7ABC123", "US-CA", "Felony")
    assert (entry.reason, entry.priority) == ("Armed; two men", Priority.HIGH)
    assert (entry.vehicle, entry.case_number, entry.source) == ("RED 2012 TOYOTA CAMRY", "26-1", "CLEW")
    assert entry.effective == datetime(2026, 1, 2, tzinfo=UTC)
    assert entry.expires == datetime(2026, 2, 4, tzinfo=UTC)


def test_columns_are_found_under_the_names_they_are_mapped_to() -> None:
    rules = ImportRules(columns={"plate": "LICENSE", "state": "St", "list": "type", "id": "record"})
    entry = one("x,7ABC123,NV,Stolen plate,99", "plate,license,ST,type,record", rules)
    assert (entry.pattern, entry.jurisdiction, entry.list_name, entry.entry_id) == (
        "7ABC123",
        "US-NV",
        "Stolen plate",
        "99",
    )


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("delimiter", [b",", b"\t", b";", b"|"])
def test_marks_line_ends_delimiters_and_quotes_are_understood(
    mark: bytes, end: bytes, delimiter: bytes
) -> None:
    lines = [b"plate,reason", b'7ABC123,"with, comma\tand ""quotes"""', b"", b"8ABC123,plain"]
    joined = end.join(lines).replace(b",", delimiter).replace(b"with" + delimiter, b"with,")
    entries, refused = imported(mark + joined)
    assert [entry.pattern for entry in entries] == ["7ABC123", "8ABC123"]
    assert entries[0].reason == 'with, comma and "quotes"'
    assert not refused


def test_line_of_a_refused_row_is_its_first_also_after_rows_of_several_lines() -> None:
    data = b'plate,reason\n7ABC123,"two\nlines"\n\n#,x\n"8ABC\n123",y\n9ABC123,z\n'
    entries, refused = imported(data)
    assert [entry.pattern for entry in entries] == ["7ABC123", "8ABC123", "9ABC123"]
    assert [row.line for row in refused] == [5]


@pytest.mark.parametrize(
    "plate",
    ["7ABC#123", "", "ABCDEFGHJKLMNPQRS", "7ÄBC123", "7\u0410\u0412\u0421123", "7ABC_12", "ß123", "-"],
)
def test_what_is_no_plate_is_refused(plate: str) -> None:
    assert "plate" in why(f"{plate},x", "plate,reason")


@pytest.mark.parametrize("plate", ["*", "A*", "A?B", "??????", "A?*B"])
def test_partial_plate_that_would_meet_too_many_is_refused(plate: str) -> None:
    assert "fewer than 3" in why(plate)


@pytest.mark.parametrize(("plate", "pattern"), [("7ab*", "7AB*"), ("7A?C**", "7A?C*"), ("*a b-c*", "*ABC*")])
def test_partial_plate_is_taken(plate: str, pattern: str) -> None:
    entry = one(plate)
    assert entry.pattern == pattern and entry.is_wildcard


@pytest.mark.parametrize(
    ("row", "header", "reason"),
    [
        ("8ABC123,XX", "plate,state", "state or country"),
        ("8ABC123,US-XX", "plate,state", "state of that country"),
        ("8ABC123,urgent", "plate,priority", "priority"),
        ("8ABC123,31.12.2026", "plate,expires", "expires is not a date"),
        ("8ABC123,2026-13-01", "plate,effective", "effective is not a date"),
        ("8ABC123,2026-02-02,2026-02-01", "plate,effective,expires", "expires before"),
        ("8ABC123", "plate,reason", "number of fields"),
        ("8ABC123,a,b", "plate,reason", "number of fields"),
        ("8ABC123," + "x" * 5000, "plate,reason", "longer than"),
    ],
)
def test_row_that_cannot_be_taken_is_refused_and_the_reason_said(row: str, header: str, reason: str) -> None:
    assert reason in why(row, header)


def test_row_without_a_list_is_refused_if_the_file_has_no_name_either() -> None:
    entries, refused = imported(b"plate,list\n7ABC123,\n8ABC123,Felony\n", ImportRules())
    assert [entry.list_name for entry in entries] == ["Felony"]
    assert "names no list" in refused[0].why


@pytest.mark.parametrize(
    ("text", "country", "code"),
    [
        ("CA", "US", "US-CA"),
        ("ca ", "US", "US-CA"),
        ("CA", "DE", "CA"),
        ("PL", "US", "PL"),
        ("DE", "US", "US-DE"),
        ("DE-B", "US", "DE-B"),
        ("US-NY", "PL", "US-NY"),
        ("ON", "CA", "CA-ON"),
        ("US", "US", "US"),
        ("", "US", None),
    ],
)
def test_state_is_read_as_of_the_lists_country_first(text: str, country: str, code: str | None) -> None:
    assert parse_jurisdiction(text, country) == code


@pytest.mark.parametrize("text", ["XX", "US-", "US-ZZ", "-CA", "U", "California", "DE-ABCD", "PL-Ä"])
def test_what_is_no_state_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="state"):
        parse_jurisdiction(text, "US")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-31", datetime(2026, 8, 1, 7, tzinfo=UTC)),
        ("7/31/2026", datetime(2026, 8, 1, 7, tzinfo=UTC)),
        ("20260731", datetime(2026, 8, 1, 7, tzinfo=UTC)),
        ("2026-07-31T18:00", datetime(2026, 8, 1, 1, tzinfo=UTC)),
        ("2026-07-31 18:00:00Z", datetime(2026, 7, 31, 18, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 2, 8, tzinfo=UTC)),  # the night the clocks go back
    ],
)
def test_expiry_is_read_in_the_departments_zone_and_a_date_lasts_its_whole_day(
    text: str, expected: datetime
) -> None:
    rules = ImportRules(list_name="Stolen", timezone=ZoneInfo("America/Los_Angeles"))
    assert one(f"7ABC123,{text}", "plate,expires", rules).expires == expected


@pytest.mark.parametrize(
    ("data", "rules", "reason"),
    [
        (b"", RULES, "no column 'plate'"),
        (b"7ABC123,CA\n8ABC123,NV\n", RULES, "no column 'plate'"),
        (
            b"plate,state\n7ABC123,CA\n",
            ImportRules(columns={"case": "FILE_NO"}),
            "no column 'FILE_NO' for case",
        ),
        (b"plate\n7ABC123\n", ImportRules(columns={"colur": "plate"}), "no such field"),
        (b"plate,plate\n7ABC123,8ABC123\n", RULES, "two columns"),
        (b"plate\n7ABC123\n\xff\n", RULES, "line 3 is not UTF-8"),
        ("plate\n7ABC123\n".encode("utf-16"), RULES, "not UTF-8"),
        (b'plate,reason\n7ABC123,"x\n8ABC123,y\n', RULES, "line 3 a quoted field is not closed"),
        (b'plate,reason\n7ABC123,"x"y\n', RULES, "line 2"),
        (b"plate\n#\n#\n", RULES, "all 2 rows were refused"),
        (b"plate\n7ABC123\n", ImportRules(country="California"), "country"),
    ],
)
def test_file_that_is_not_a_list_is_refused_as_a_whole(data: bytes, rules: ImportRules, reason: str) -> None:
    with pytest.raises(ImportRefusedError, match=reason) as refused:
        imported(data, rules)
    assert "ABC" not in str(refused.value)
    cause = refused.value.__cause__
    assert (cause is None and refused.value.__suppress_context__) or "ABC" not in repr(
        refused.value.__context__
    )


def test_header_alone_is_no_list() -> None:
    with pytest.raises(ImportRefusedError, match="its header alone"):
        imported(b"plate,state\n")
    assert changed(b"plate,action\n") == ([], [])


def test_row_of_an_incremental_file_adds_a_record_or_takes_it_back() -> None:
    data = (
        b"plate,state,record,action\n7ABC123,CA,a-1,ADD\n8ABC123,NV,a-2,u\n,,a-1,Delete\n9ABC123,CA,,remove\n"
    )
    changes, refused = changed(data, {"id": "record"})
    assert not refused
    assert [(change.line, change.entry_id, change.entry is not None) for change in changes[:3]] == [
        (2, "a-1", True),
        (3, "a-2", True),
        (4, "a-1", False),
    ]
    # Without an id, all that was told of the record when it was added names it.
    (added,), _ = imported(b"plate,state\n9ABC123,CA\n")
    assert (changes[3].entry_id, changes[3].entry) == (added.entry_id, None)


@pytest.mark.parametrize("action", ["", "c", "added", "0"])
def test_row_of_an_incremental_file_that_does_neither_is_refused(action: str) -> None:
    changes, (refused,) = changed(f"plate,action\n7ABC123,add\n8ABC123,{action}\n".encode())
    assert len(changes) == 1 and refused.line == 3 and "neither add nor delete" in refused.why


def test_column_named_action_is_not_read_unless_it_is_mapped() -> None:
    assert one("7ABC123,delete", "plate,action").pattern == "7ABC123"
    with pytest.raises(ImportRefusedError, match="no column 'do' for action"):
        changed(b"plate,action\n7ABC123,add\n", {"action": "do"})


def test_complete_and_incremental_file_are_not_taken_for_each_other() -> None:
    with pytest.raises(ValueError, match="incremental"):
        import_entries(io.BytesIO(), ImportRules(columns={"action": "action"}), lambda row: None)
    with pytest.raises(ValueError, match="complete"):
        import_changes(io.BytesIO(), ImportRules(), lambda row: None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"plate\n" + b"7ABC123 " * 10_000 + b"\n", "line 2 is longer than 65536 bytes"),
        (b'plate,reason\n7ABC123,"x\n' + b'y","z\n' * 90_000, "not closed"),
    ],
)
def test_what_would_not_end_is_not_gathered_in_memory(data: bytes, reason: str) -> None:
    with pytest.raises(ImportRefusedError, match=reason):
        imported(data)


def test_lone_carriage_returns_end_lines_too() -> None:
    entries, refused = imported(b"plate\r7ABC123\r\r#\r8ABC123")
    assert [entry.pattern for entry in entries] == ["7ABC123", "8ABC123"]
    assert [row.line for row in refused] == [4]


def test_same_row_has_the_same_id_each_time_and_another_row_another() -> None:
    first, _ = imported(b"plate,state\n7ABC123,CA\n8ABC123,CA\n")
    again, _ = imported(b"state,plate\nNV,9ABC123\nCA,8abc 123\nCA,7ABC123\n")
    ids = {entry.pattern: entry.entry_id for entry in again}
    assert [entry.entry_id for entry in first] == [ids["7ABC123"], ids["8ABC123"]]
    assert len(set(ids.values())) == 3


def test_file_is_read_as_entries_are_asked_for() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # any writable buffer there
            text = b"plate\n" if not self.tell_read else b"7ABC123\n"
            self.tell_read += 1
            into[: len(text)] = text
            return len(text)

        tell_read = 0

    rows = import_entries(io.BufferedReader(Endless()), RULES, lambda row: None)
    assert [next(rows).pattern for _ in range(3)] == ["7ABC123"] * 3


def test_file_stays_open_for_its_owner() -> None:
    file = io.BytesIO(b"plate\n7ABC123\n")
    assert len(list(import_entries(file, RULES, lambda row: None))) == 1
    assert not file.closed


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: ("plate,list\n" + text).encode("utf-8", "replace"))
)
def test_any_bytes_give_entries_that_can_be_published_or_a_refusal(data: bytes) -> None:
    try:
        entries, _ = imported(data)
    except ImportRefusedError:
        return
    a_list(entries)


def test_server_side_loads_no_numpy() -> None:
    code = (
        "import sys, hotlist_cache, hotlist_cache.importing, hotlist_cache.snapshot, hotlist_cache.policy, "
        "hotlist_cache.store; sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
