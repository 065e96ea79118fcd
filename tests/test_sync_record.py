"""A record holds everything of a read, and nothing else is taken for one."""

import dataclasses
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera.fix import Fix
from camera.frame import Moment, TimeQuality
from hotlist_cache.hit import MatchForm
from recognizer.plate import Jurisdiction, Plate
from recognizer.read import Box, JurisdictionOpinion, PlateRead
from sync.errors import WireFormatError
from sync.record import Record, decode_record, encode_record, recorded
from tests.fakes import UNIT, a_hit, a_read

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

shares = st.integers(0, 10_000).map(lambda n: n / 10_000)
numbers = st.floats(-1e6, 1e6)
times = st.integers(0, 250_000_000_000_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))
moments = st.builds(Moment, times, st.integers(0, 2**62), st.text(max_size=40), st.sampled_from(TimeQuality))
fixes = st.builds(
    Fix, times, st.floats(-90, 90), st.floats(-180, 180), st.none() | numbers, st.none() | numbers, st.none()
)
plates = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", max_size=10).map(Plate)
characters = st.sampled_from(["", *"ABC012"])
reads = st.builds(
    PlateRead,
    read_id=st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True),
    camera=st.text(max_size=20),
    plate=plates,
    positions=st.lists(st.lists(st.tuples(characters, shares), max_size=3).map(tuple), max_size=8).map(tuple),
    confidence=shares,
    jurisdiction=st.none() | st.builds(JurisdictionOpinion, st.just(Jurisdiction("US-CA")), shares),
    first_seen=moments,
    settled=moments,
    box=st.builds(Box, *[st.integers(-10, 5000)] * 4),
    frames=st.integers(0, 1000),
    evidence=st.binary(max_size=300),
    fix=st.none() | fixes,
    prefix=st.text("XQ7", min_size=1, max_size=3).map(Plate),
    prefix_confidence=shares,
    revises=st.none() | st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True),
)


@given(reads)
def test_any_read_comes_back_as_it_went(read: PlateRead) -> None:
    assert decode_record(encode_record(UNIT, read, [])) == Record(UNIT, read, ())


def test_a_scene_comes_back_and_is_left_out_where_there_is_none() -> None:
    read = a_read()
    scene = b"\xff\xd8 a scene"
    assert decode_record(encode_record(UNIT, read, [a_hit(read)], context=scene)).context == scene
    assert "context" not in cbor2.loads(encode_record(UNIT, read, [a_hit(read)]))


def test_an_incident_comes_back_and_is_left_out_where_there_is_none() -> None:
    read = a_read()
    assert decode_record(encode_record(UNIT, read, [], incident="26-0042 A")).incident == "26-0042 A"
    assert "incident" not in cbor2.loads(encode_record(UNIT, read, []))


@pytest.mark.parametrize("number", ["", "x", " 26-0042", "26-0042 ", "26\n0042", "A" * 65, 26, None])
def test_an_incident_that_is_no_incident_number_is_refused(number: object) -> None:
    with pytest.raises(WireFormatError):
        decode_record(cbor2.dumps({**fields(), "incident": number}, canonical=True))


def test_hits_come_back_with_their_list_and_its_age() -> None:
    read = a_read()
    hit = a_hit(read)
    assert decode_record(encode_record(UNIT, read, [hit])).hits == (recorded(hit),)


def test_a_hit_comes_back_with_the_form_that_was_met() -> None:
    read = dataclasses.replace(a_read(), prefix=Plate("XQ"), prefix_confidence=0.9)
    hits = [a_hit(read), dataclasses.replace(a_hit(read), form=MatchForm.PREFIX_FIRST)]
    back = decode_record(encode_record(UNIT, read, hits)).hits
    assert [hit.form for hit in back] == ["plate", "prefix first"]


def test_a_record_of_before_there_were_prefixes_is_understood() -> None:
    back = decode_record(cbor2.dumps(fields()))
    assert not {"prefix", "revises", "forms"} & fields().keys(), "what says nothing takes no room"
    assert (back.read.prefix, back.read.prefix_confidence, back.read.revises) == ("", 0.0, None)
    assert back.hits[0].form == "plate"


def test_a_read_without_its_picture_is_a_whole_record() -> None:
    read = dataclasses.replace(a_read(), evidence=b"")
    assert decode_record(encode_record(UNIT, read, [])).read == read


def fields() -> dict[str, object]:
    read = a_read()
    whole = cbor2.loads(encode_record(UNIT, read, [a_hit(read)]))
    assert isinstance(whole, dict)
    return whole


def test_a_record_without_one_of_its_fields_is_refused() -> None:
    for name in set(fields()) - {"chances"}:
        lacking = fields()
        del lacking[name]
        with pytest.raises(WireFormatError):
            decode_record(cbor2.dumps(lacking))


def test_a_hit_of_a_unit_that_did_not_say_how_likely_it_is_reads_as_a_hit() -> None:
    lacking = fields()
    del lacking["chances"]
    hit, *_ = decode_record(cbor2.dumps(lacking)).hits
    assert (hit.outcome, hit.text_probability, hit.state_probability) == ("hit", None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chances", [["perhaps", 0.5, 0.5]]),
        ("chances", [["hit", 1.5, 0.5]]),
        ("chances", []),
        ("v", 2),
        ("unit", ""),
        ("plate", "test123"),
        ("plate", "TEST 123"),
        ("confidence", 1.01),
        ("confidence", float("nan")),
        ("evidence", 10**9),
        ("evidence", "text"),
        ("box", [1, 2, 3]),
        ("frames", True),
        ("settled", [0, 0, "boot", "no such quality"]),
        ("settled", [-1, 0, "boot", "gps"]),
        ("fix", [0, 91.0, 0.0, None, None, None]),
        ("fix", [0, 0.0, 0.0]),
        ("hits", [["only", "four", "of", "nine"]]),
        ("hits", 5),
        ("positions", [[["A", "likely"]]]),
        ("prefix", ["xq", 0.9]),
        ("prefix", ["XQ", 1.5]),
        ("prefix", "XQ"),
        ("prefix", None),
        ("revises", ""),
        ("revises", None),
        ("forms", []),
        ("forms", ["plate", "plate"]),
        ("forms", ["sideways"]),
        ("forms", None),
    ],
)
def test_a_record_with_a_wrong_field_is_refused(name: str, value: object) -> None:
    with pytest.raises(WireFormatError):
        decode_record(cbor2.dumps(fields() | {name: value}))


@given(st.binary(max_size=100))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    with pytest.raises(WireFormatError):
        decode_record(noise)


@pytest.mark.parametrize("value", ["xyz 987", {"xyz987": 1}, ["xyz987"], float("nan")])
def test_a_refused_record_shows_nothing_of_what_stood_in_it(value: object) -> None:
    for name in fields().keys() - {"camera"} | {"prefix", "revises", "forms"}:
        with pytest.raises(WireFormatError) as refusal:
            decode_record(cbor2.dumps(fields() | {name: value}))
        assert "987" not in str(refusal.value)
        assert refusal.value.__cause__ is None
