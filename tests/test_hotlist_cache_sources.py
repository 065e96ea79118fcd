"""Each source's file, whole and with every fault we can think of. All plates are invented."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache.entry import Entry, Priority
from hotlist_cache.errors import ImportRefusedError
from hotlist_cache.importing import ImportRules, RefusedRow
from hotlist_cache.sources.codes import DEFAULT_CODES, LIST_CODES, parse_codes
from hotlist_cache.sources.lines import MAX_LINE_BYTES
from hotlist_cache.sources.reading import SOURCES, read_source
from hotlist_cache.states import parse_jurisdiction, parse_ncic_state
from tests.hotlists import a_list


@dataclass(frozen=True)
class Format:
    """One source's file, made here."""

    source: str
    record: Callable[..., str]
    """Of a plate and a state."""
    header: str = ""
    counted: bool = False
    rules: ImportRules = ImportRules()  # noqa: RUF009  # frozen

    def file(self, records: Iterable[str], end: str = "\n", count: int | None = None) -> bytes:
        lines = list(records)
        if self.counted:
            total = len(lines) if count is None else count
            lines.append(f"TOTAL RECORD {total:07}")
        if self.header:
            lines.insert(0, self.header)
        return "".join(line + end for line in lines).encode()


def clew(plate: str, state: str = "CA", date: str = "20190515") -> str:
    return f"{plate:8}{state:2}12{date}"


def ncic(plate: str, state: str = "CA", code: str = "V", number: int = 7, date: str = "20190515") -> str:
    return f"{code}{number:09}CA0190000{date}{plate:10}{state:2}2026PC2012TOYTCAM4DRED"


def texas(plate: str, state: str = "TX") -> str:
    return f"TX-{plate},S-1,05/15/2019,{plate},{state},2026,2012,TOYT,CAM,4D,RED"


def florida(plate: str, state: str = "FL") -> str:
    return ";".join(["1"] * 10 + [plate, "x", state, "more"])


def washington(plate: str, state: str = "WA", kind: str = "V") -> str:
    return (
        f'{kind},WA0170000,{plate},{state},2026,PC,1X23456789,2012,TOYT,CAM,4D,RED,20190515,26-1,"SMITH, J"'
    )


def new_york(plate: str, state: str = "NY", code: str = "V") -> str:
    return f"{plate:10}{state:2}PAS{code}TOYTRED"


NAMED = ImportRules(list_name="Stolen vehicle", priority=Priority.HIGH)
FORMATS = (
    Format("clew", clew, "DATE07/02/2018 09:00", True, ImportRules(file_name="svs.tbl")),
    Format("ncic", ncic, "NCIC LPR EXTRACT 20260302"),
    Format("texas", texas, rules=NAMED),
    Format("florida", florida, rules=NAMED),
    Format("washington", washington),
    Format("new-york", new_york),
)
CLEW, NCIC, TEXAS, FLORIDA, WASHINGTON, NEW_YORK = FORMATS
every_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.source)
PLATES = ("7TST001", "7TST002", "7TST003")


def read(form: Format, data: bytes, rules: ImportRules | None = None) -> tuple[list[Entry], list[RefusedRow]]:
    refused: list[RefusedRow] = []
    return list(read_source(form.source, io.BytesIO(data), rules or form.rules, refused.append)), refused


def refusal(form: Format, data: bytes, rules: ImportRules | None = None) -> str:
    with pytest.raises(ImportRefusedError) as error:
        read(form, data, rules)
    assert "TST" not in str(error.value)
    assert error.value.__cause__ is None
    return str(error.value)


def why(form: Format, record: str, rules: ImportRules | None = None) -> str:
    """Why a record is refused that stands between two good ones."""
    data = form.file([form.record("7TST001"), record, form.record("7TST003")])
    entries, (refused,) = read(form, data, rules)
    assert [entry.pattern for entry in entries] == ["7TST001", "7TST003"]
    assert refused.line == (3 if form.header else 2) and "TST" not in refused.why
    return refused.why


@every_format
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_record_of_a_whole_file_is_taken(form: Format, end: str, mark: bytes) -> None:
    entries, refused = read(form, mark + form.file(map(form.record, PLATES), end))
    assert not refused
    assert [entry.pattern for entry in entries] == list(PLATES)
    home = {"clew": "CA", "ncic": "CA", "texas": "TX", "florida": "FL", "washington": "WA", "new-york": "NY"}
    assert {entry.jurisdiction for entry in entries} == {f"US-{home[form.source]}"}
    assert {(entry.list_name, entry.priority) for entry in entries} == {("Stolen vehicle", Priority.HIGH)}
    assert {entry.source.partition(",")[0] for entry in entries} == {SOURCES[form.source].title}


def test_every_field_goes_where_it_belongs() -> None:
    def only(form: Format) -> Entry:
        (entry,), refused = read(form, form.file([form.record("7TST001")]))
        assert not refused
        return entry

    assert only(CLEW).source == "CLEW, county 12"
    assert (only(NCIC).entry_id, only(NCIC).source) == ("V000000007", "NCIC, ORI CA0190000")
    assert only(NCIC).vehicle == "RED 2012 TOYT CAM 4D"
    assert (only(TEXAS).entry_id, only(TEXAS).case_number) == ("TX-7TST001", "S-1")
    assert only(TEXAS).vehicle == "RED 2012 TOYT CAM 4D"
    assert (only(WASHINGTON).case_number, only(WASHINGTON).source) == ("26-1", "Washington, ORI WA0170000")
    assert only(NEW_YORK).vehicle == "RED TOYT"


@every_format
def test_no_name_and_no_vehicle_number_is_taken_over(form: Format) -> None:
    entries, _ = read(form, form.file(map(form.record, PLATES)))
    for entry in entries:
        texts = (entry.reason, entry.vehicle, entry.case_number, entry.source, entry.entry_id)
        assert not any("SMITH" in text or "1X23456789" in text or "2019" in text for text in texts)


@every_format
def test_file_without_a_record_is_refused(form: Format) -> None:
    assert "no record" in refusal(form, form.file([]))


@every_format
@pytest.mark.parametrize("data", [b"", b"\n", b"\x00" * 50, b"\xff\xfe7\x00T\x00"])
def test_what_is_no_file_of_the_source_is_refused(form: Format, data: bytes) -> None:
    assert refusal(form, data).startswith("import: ")


@every_format
def test_file_cut_within_its_last_line_is_refused(form: Format) -> None:
    whole = form.file(map(form.record, PLATES))
    for cut in range(2, 15):
        assert "cut short" in refusal(form, whole[:-cut]) or form is CLEW


@every_format
def test_bytes_that_are_not_utf8_are_refused_with_their_line(form: Format) -> None:
    data = form.file(map(form.record, PLATES)).replace(b"7TST002", b"7TST\xff02")
    assert f"line {3 if form.header else 2} is not UTF-8" in refusal(form, data)


@every_format
def test_letter_that_is_not_ascii_refuses_its_row_alone(form: Format) -> None:
    assert "not ASCII" in why(form, form.record("7TSTÄ02"))
    assert "not ASCII" in why(form, form.record("7TST\u0410\u04122"))


@every_format
def test_line_that_does_not_end_is_not_gathered_in_memory(form: Format) -> None:
    class Endless(io.RawIOBase):
        given = len(first := form.file(map(form.record, PLATES)).partition(b"TOTAL")[0])
        rest = first

        def readable(self) -> bool:
            return True

        def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # any writable buffer there
            text, self.rest = (self.rest or b"7")[: len(into)], b""
            self.given += len(text)
            assert self.given < 4 * MAX_LINE_BYTES
            into[: len(text)] = text
            return len(text)

    with pytest.raises(ImportRefusedError, match="longer than 65536 bytes"):
        list(read_source(form.source, io.BufferedReader(Endless()), form.rules, lambda row: None))


@every_format
def test_line_too_long_for_a_record_is_refused_alone(form: Format) -> None:
    if form in (FLORIDA, WASHINGTON):
        return  # their last fields are of any length, and not read
    assert why(form, form.record("7TST002") + "X" * 2000)


@every_format
@pytest.mark.parametrize("plate", ["", "7TST#02", "7TST?02", "7TS*"])
def test_row_without_a_whole_plate_is_refused(form: Format, plate: str) -> None:
    assert "plate" in why(form, form.record(plate))


@every_format
@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("NV", "US-NV"),
        ("NB", "US-NE"),  # the NCIC writes Nebraska so
        ("NK", "CA-NB"),
        ("ON", "CA-ON"),
        ("PQ", "CA-QC"),
        ("BC", "CA-BC"),
        ("SO", "MX-SON"),
        ("BA", "MX-BCN"),
        ("GU", "MX-GUA"),
        ("GM", "US-GU"),
        ("MM", "MX"),
        ("  ", None),
        ("XX", None),
    ],
)
def test_states_are_those_of_the_ncic(form: Format, state: str, code: str | None) -> None:
    (entry,), _ = read(form, form.file([form.record("7TST001", state)]))
    assert entry.jurisdiction == code


@every_format
@pytest.mark.parametrize("state", ["ZZ", "Q1", "1A"])
def test_row_of_no_known_state_is_refused(form: Format, state: str) -> None:
    assert "not a state code" in why(form, form.record("7TST002", state))


def test_every_ncic_state_is_a_jurisdiction_that_a_list_may_name() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    known = 0
    for text in (a + b for a in letters for b in letters):
        try:
            code = parse_ncic_state(text)
        except ValueError:
            continue
        known += 1
        assert code is None or parse_jurisdiction(code, "PL") == code
    assert known > 100


@every_format
def test_same_record_has_the_same_id_and_another_another(form: Format) -> None:
    if form is NCIC:
        return  # numbered by the source
    first, _ = read(form, form.file(map(form.record, PLATES)))
    again, _ = read(form, form.file(map(form.record, reversed(PLATES))))
    assert [entry.entry_id for entry in first] == [entry.entry_id for entry in reversed(again)]
    assert len({entry.entry_id for entry in first}) == 3


@every_format
def test_file_whose_every_row_is_refused_is_refused(form: Format) -> None:
    assert "all 2 rows were refused" in refusal(form, form.file([form.record("#"), form.record("?")]))


@every_format
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_give_entries_that_can_be_published_or_a_refusal(form: Format, data: st.DataObject) -> None:
    whole = form.file(map(form.record, PLATES))
    kind = data.draw(st.integers(0, 2))
    if kind == 0:
        given_bytes = data.draw(st.binary(max_size=200))
    else:
        at = data.draw(st.integers(0, len(whole)))
        cut = data.draw(st.integers(0, 20))
        given_bytes = whole[:at] + data.draw(st.binary(max_size=20)) + whole[at + cut :]
    try:
        entries, refused = read(form, given_bytes)
    except ImportRefusedError:
        return
    assert all(row.line > 0 and row.why for row in refused)
    a_list(entries)


# CLEW: header, footer and count.


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"DATE07/02/2018 09:00\n", "TOTAL RECORD is missing"),
        (CLEW.file(map(clew, PLATES)).partition(b"TOTAL")[0], "TOTAL RECORD is missing after line 4"),
        (CLEW.file(map(clew, PLATES), count=4), "states 4, but the file holds 3"),
        (CLEW.file(map(clew, PLATES), count=2), "states 2, but the file holds 3"),
        (CLEW.file(map(clew, PLATES)).replace(b"0000003", b"all"), "states no number"),
        (CLEW.file(map(clew, PLATES)) + b"7TST004 CA1220190515\n", "line 6 stands after TOTAL RECORD"),
        (CLEW.file(map(clew, PLATES)) + b"\n\n\x1a\n", "line 8 stands after TOTAL RECORD"),
        (CLEW.file(map(clew, PLATES)) * 2, "line 6 stands after TOTAL RECORD"),
        (CLEW.file(map(clew, PLATES)).partition(b"\n")[2], "first line"),
        (CLEW.file(map(clew, PLATES)).replace(b"DATE07", b"DATE13"), "first line"),
    ],
)
def test_clew_file_out_of_its_frame_is_refused(data: bytes, reason: str) -> None:
    assert reason in refusal(CLEW, data)


def test_clew_row_that_is_refused_still_counts() -> None:
    entries, refused = read(CLEW, CLEW.file([clew("7TST001"), clew("#"), clew("7TST003")]))
    assert (len(entries), len(refused)) == (2, 1)


@pytest.mark.parametrize(
    ("name", "list_name", "priority"),
    [
        ("svs.tbl", "Stolen vehicle", Priority.HIGH),
        ("SFR_0302.TBL", "Felony", Priority.HIGH),
        ("slr.tbl", "Stolen plate", Priority.MEDIUM),
    ],
)
def test_clew_list_is_the_files_name(name: str, list_name: str, priority: Priority) -> None:
    entries, _ = read(CLEW, CLEW.file(map(clew, PLATES)), ImportRules(file_name=name))
    assert {(entry.list_name, entry.priority) for entry in entries} == {(list_name, priority)}


def test_clew_file_of_another_name_is_refused() -> None:
    assert "svs" in refusal(CLEW, CLEW.file(map(clew, PLATES)), ImportRules(file_name="plates.tbl"))


@pytest.mark.parametrize(("form", "record"), [(CLEW, clew), (NCIC, ncic)])
def test_date_that_is_none_shows_that_columns_moved(form: Format, record: Callable[..., str]) -> None:
    assert "YYYYMMDD" in why(form, record("7TST002", date="20191315"))
    assert "YYYYMMDD" in why(form, record("7TST002", date="A2019051"))
    for blank in (" " * 8, "0" * 8):
        entries, refused = read(form, form.file([record("7TST002", date=blank)]))
        assert len(entries) == 1 and not refused


# NCIC and the other sources of several lists: codes.


def test_ncic_file_without_its_header_is_refused() -> None:
    assert "header is gone" in refusal(NCIC, NCIC.file(map(ncic, PLATES)).partition(b"\n")[2])


@pytest.mark.parametrize(
    "record",
    [
        ncic("7TST002")[1:],
        ncic("7TST002")[:30],
        "V0000000O7" + ncic("7TST002")[10:],
        ncic("7TST002").replace("CA0190000", "CA01-0000"),
    ],
)
def test_ncic_row_whose_columns_moved_is_refused(record: str) -> None:
    assert why(NCIC, record)


def coded(code: str, plate: str = "7TST001") -> Iterator[tuple[Format, str]]:
    yield NCIC, ncic(plate, code=code)
    yield WASHINGTON, washington(plate, kind=code)
    yield NEW_YORK, new_york(plate, code=code)


@pytest.mark.parametrize("code", sorted(LIST_CODES))
def test_each_code_has_its_list_reason_and_priority_and_can_be_switched(code: str) -> None:
    expected = LIST_CODES[code]
    for form, record in coded(code):
        data = form.file([record])
        (entry,), refused = read(form, data, ImportRules(codes=parse_codes("all")))
        assert not refused
        assert (entry.list_name, entry.reason) == (expected.list_name, expected.reason)
        assert entry.priority is expected.priority and entry.reason
        (louder,), _ = read(form, data, ImportRules(codes=parse_codes(f"{code}=low")))
        assert louder.priority is Priority.LOW and louder.entry_id == entry.entry_id
        others = {letter: each for letter, each in parse_codes("all").items() if letter != code}
        entries, (off,) = read(form, data, ImportRules(codes=others))
        assert entries == [] and off.switched_off == code
        by_default, _ = read(form, data)
        assert bool(by_default) == (code in DEFAULT_CODES)


def test_codes_that_give_no_ground_for_a_stop_are_off_unless_the_agency_says_so() -> None:
    assert set(LIST_CODES) - set(DEFAULT_CODES) == {"H", "C", "X", "N"}
    urgent = {code for code, priority in DEFAULT_CODES.items() if priority is Priority.HIGH}
    assert urgent == {"A", "F", "L", "V", "R"}


@pytest.mark.parametrize("code", ["Z", "1", " "])
def test_unknown_code_is_refused_not_switched_off(code: str) -> None:
    for form, record in coded(code, "7TST002"):
        assert why(form, record) in (
            "its list code is unknown",
            "the NIC number is not a letter and nine digits",
        )


def test_washington_may_write_the_list_out() -> None:
    (entry,), _ = read(WASHINGTON, WASHINGTON.file([washington("7TST001", kind="stolen plate")]))
    assert entry.list_name == "Stolen plate"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("V", {"V": Priority.HIGH}),
        ("v, P=high,W=LOW", {"V": Priority.HIGH, "P": Priority.HIGH, "W": Priority.LOW}),
        ("all,A=low", {code.code: code.priority for code in LIST_CODES.values()} | {"A": Priority.LOW}),
    ],
)
def test_codes_are_switched_on_by_their_letters(text: str, codes: dict[str, Priority]) -> None:
    assert parse_codes(text) == codes


@pytest.mark.parametrize("text", ["", "Z", "V,,P", "V=loud", "V=", "VP", "-V"])
def test_what_is_no_code_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="name letters of"):
        parse_codes(text)


# Where the file does not say what its plates are wanted for, a person must; where it does, nobody may.


@every_format
def test_list_is_named_by_the_file_or_by_a_person(form: Format) -> None:
    data = form.file(map(form.record, PLATES))
    if SOURCES[form.source].says_list:
        assert "give no list name" in refusal(form, data, replace(form.rules, list_name="Felony"))
    else:
        assert "give a list name" in refusal(form, data, ImportRules())


@pytest.mark.parametrize("form", [TEXAS, FLORIDA, WASHINGTON], ids=lambda form: form.source)
def test_first_line_may_name_the_columns(form: Format) -> None:
    names = form.record("plate", "state")
    header = "".join("n" if character.isdigit() else character for character in names)
    assert len(read(form, form.file([header, *map(form.record, PLATES)]))[0]) == 3
    assert "no record" in refusal(form, form.file([header]))


def test_new_york_names_no_columns_so_a_first_plate_of_letters_is_a_record() -> None:
    entries, _ = read(NEW_YORK, NEW_YORK.file([new_york("TSTCAR")]))
    assert [entry.pattern for entry in entries] == ["TSTCAR"]


@pytest.mark.parametrize(
    ("form", "record"),
    [
        (TEXAS, texas("7TST002") + ",more"),
        (TEXAS, texas("7TST002").rpartition(",")[0]),
        (TEXAS, texas("7TST002").replace("TX-7TST002", " ")),
        (TEXAS, texas("7TST002").replace("RED", '"RED')),
        (FLORIDA, ";".join(["1"] * 12)),
        (WASHINGTON, washington("7TST002").rsplit(",", 3)[0]),
        (NEW_YORK, new_york("7TST002")[:15]),
    ],
)
def test_row_with_another_number_of_fields_is_refused(form: Format, record: str) -> None:
    assert why(form, record)


def test_mapped_csv_is_read_through_the_same_door() -> None:
    refused: list[RefusedRow] = []
    rows = read_source("csv", io.BytesIO(b"plate\n7TST001\n"), NAMED, refused.append)
    assert [entry.pattern for entry in rows] == ["7TST001"] and not refused
    with pytest.raises(ValueError, match="no source 'ohio'"):
        read_source("ohio", io.BytesIO(), NAMED, refused.append)
