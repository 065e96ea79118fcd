"""What the officer hears, checked as sentences."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera.frame import Moment, TimeQuality
from edge.phonetic import Alphabet, age_in_words, card, correction_card, spell, state_name
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.hit import (
    Alert,
    Correction,
    HotlistHit,
    ListAge,
    MatchForm,
    MatchKind,
    Outcome,
    StateMatch,
)
from recognizer.plate import Jurisdiction, Plate, normalise
from recognizer.read import Box, JurisdictionOpinion, PlateRead

NOW = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)


def make_alert(
    plate: str = "7ABX123",
    listed: str | None = None,
    *,
    kind: MatchKind = MatchKind.EXACT,
    state: StateMatch = StateMatch.SAME,
    differing: tuple[int, ...] = (),
    listed_state: str | None = "US-CA",
    read_state: str | None = "US-CA",
    priority: Priority = Priority.HIGH,
    vehicle: str = "Red 2014 Honda Civic",
    list_name: str = "Stolen vehicle",
    age: timedelta = timedelta(hours=3),
    advisory: bool = False,
    alert_id: str = "alert-1",
    prefix: str = "",
    form: MatchForm = MatchForm.PLATE,
    revises: str | None = None,
) -> Alert:
    moment = Moment(NOW, 1, "boot", TimeQuality.SYNCHRONISED)
    opinion = None if read_state is None else JurisdictionOpinion(Jurisdiction(read_state), 0.9)
    read = PlateRead(
        "read-1",
        "front",
        Plate(plate),
        tuple(((c, 0.9),) for c in plate),
        0.9,
        opinion,
        moment,
        moment,
        Box(0, 0, 9, 9),
        3,
        b"",
        prefix=Plate(prefix),
        prefix_confidence=0.9 if prefix else 0.0,
        revises=revises,
    )
    entry = Entry(
        "entry-1",
        listed if listed is not None else plate,
        None if listed_state is None else Jurisdiction(listed_state),
        list_name,
        "invented",
        priority,
        vehicle,
    )
    hit = HotlistHit("hit-1", read, entry, kind, state, differing, ListAge(4, NOW - age), form)
    return Alert(alert_id, hit, priority, NOW, advisory)


def test_the_whole_card_of_an_exact_hit_is_said_in_order() -> None:
    assert card(make_alert(), NOW) == (
        "High priority. Stolen vehicle. seven Adam Boy X-ray one two three. California. "
        "Listed as Red 2014 Honda Civic. list three hours old. Unverified, check C L E T S."
    )


def test_a_look_alike_says_which_character_differs_and_how() -> None:
    alert = make_alert("7ABX123", "7A8X123", kind=MatchKind.LOOK_ALIKE, differing=(2,))
    assert "Look alike, check plate. third character reads Boy, listed eight." in card(alert, NOW)


def test_a_possible_hit_is_said_to_be_one_and_its_plate_is_to_be_checked() -> None:
    alert = make_alert()
    possible = replace(alert, hit=replace(alert.hit, outcome=Outcome.POSSIBLE))
    spoken = card(possible, NOW)
    assert "High priority. Possible hit. Stolen vehicle." in spoken
    assert "one two three. Check plate. California." in spoken


@pytest.mark.parametrize(
    ("listed", "form", "kind", "said"),
    [
        ("XQ7ABX123", MatchForm.PREFIX_FIRST, MatchKind.EXACT, "three. prefix X-ray Queen. California"),
        ("7ABX123XQ", MatchForm.PREFIX_LAST, MatchKind.EXACT, "three. prefix X-ray Queen. California"),
        ("7ABX123", MatchForm.PLATE, MatchKind.EXACT, "prefix X-ray Queen, listed without. California"),
        ("7ABX*", MatchForm.PLATE, MatchKind.WILDCARD, "prefix X-ray Queen. Partial plate, check plate"),
    ],
)
def test_stacked_letters_are_said_after_the_plate(
    listed: str, form: MatchForm, kind: MatchKind, said: str
) -> None:
    assert said in card(make_alert(listed=listed, prefix="XQ", form=form, kind=kind), NOW)


@pytest.mark.parametrize("form", [MatchForm.PREFIX_FIRST, MatchForm.PREFIX_LAST])
def test_a_look_alike_beside_stacked_letters_names_the_plates_own_character(form: MatchForm) -> None:
    listed = "XQ7A8X123" if form is MatchForm.PREFIX_FIRST else "7A8X123XQ"
    alert = make_alert(listed=listed, prefix="XQ", form=form, kind=MatchKind.LOOK_ALIKE, differing=(2,))
    assert "third character reads Boy, listed eight." in card(alert, NOW)


def test_a_stacked_letter_listed_otherwise_is_said_with_the_listed_one() -> None:
    alert = make_alert(
        listed="0Q7ABX123", prefix="OQ", form=MatchForm.PREFIX_FIRST, kind=MatchKind.LOOK_ALIKE
    )
    spoken = card(alert, NOW)
    assert "prefix Ocean Queen, listed zero Queen." in spoken
    assert "Look alike, check plate. Listed is zero Queen seven Adam Boy X-ray one two three." in spoken


def test_the_alert_of_a_corrected_read_says_that_it_is_one() -> None:
    assert card(make_alert(revises="read-0"), NOW).startswith("Read corrected. High priority. ")


def test_a_hit_that_is_gone_is_taken_back_with_both_plates() -> None:
    alert = make_alert(list_name="Stolen [[vehicle")
    now_reads = make_alert("7A8X123", revises="read-1").hit.read
    assert correction_card(Correction(alert, now_reads, hit_gone=True)) == (
        "Read corrected. Stolen vehicle hit is gone. seven Adam Boy X-ray one two three "
        "now reads seven Adam eight X-ray one two three. Unverified."
    )


def test_a_look_alike_with_many_differences_says_the_whole_listed_plate() -> None:
    alert = make_alert("BOBSI", "80851", kind=MatchKind.LOOK_ALIKE, differing=(0, 1, 2, 3, 4))
    assert "Look alike, check plate. Listed is eight zero eight five one." in card(alert, NOW)


def test_a_look_alike_of_another_length_says_the_whole_listed_plate() -> None:
    alert = make_alert("7ABX12", "7ABX123", kind=MatchKind.LOOK_ALIKE, differing=(5,))
    assert "Listed is seven Adam Boy X-ray one two three." in card(alert, NOW)


def test_an_exact_hit_never_says_look_alike() -> None:
    assert "ook alike" not in card(make_alert(), NOW)


def test_a_partial_plate_is_said_to_be_partial() -> None:
    assert "Partial plate, check plate." in card(make_alert(listed="7AB*", kind=MatchKind.WILDCARD), NOW)


def test_an_unknown_state_is_said_to_be_checked() -> None:
    alert = make_alert(state=StateMatch.UNKNOWN, read_state=None)
    assert "listed California, check state." in card(alert, NOW)


def test_a_list_that_names_no_state_only_says_check_state() -> None:
    said = card(make_alert(state=StateMatch.UNKNOWN, listed_state=None), NOW)
    assert ". check state." in said
    assert "California" not in said


def test_a_different_state_is_said_as_listed_and_as_read() -> None:
    alert = make_alert(state=StateMatch.DIFFERENT, read_state="US-NV")
    assert "listed California, reads as Nevada, check state." in card(alert, NOW)


def test_a_stale_list_is_announced_before_everything_else() -> None:
    said = card(make_alert(advisory=True, age=timedelta(days=3)), NOW)
    assert said.startswith("Advisory only, list is stale. High priority.")
    assert "list three days old" in said


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize("kind", MatchKind)
@pytest.mark.parametrize("state", StateMatch)
def test_every_card_ends_with_unverified(priority: Priority, kind: MatchKind, state: StateMatch) -> None:
    alert = make_alert(kind=kind, state=state, priority=priority)
    assert card(alert, NOW).endswith("Unverified, check C L E T S.")


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=59), "list less than one minute old"),
        (timedelta(minutes=1), "list one minute old"),
        (timedelta(minutes=45), "list forty five minutes old"),
        (timedelta(hours=1, minutes=59), "list one hour old"),
        (timedelta(hours=47), "list forty seven hours old"),
        (timedelta(hours=48), "list two days old"),
        (timedelta(days=120), "list 120 days old"),
        (timedelta(seconds=-1), "list age unknown"),
    ],
)
def test_the_age_of_the_list_is_said_in_words(age: timedelta, said: str) -> None:
    assert age_in_words(age) == said


def test_the_icao_alphabet_is_another_set_of_words() -> None:
    assert spell("9AZ", Alphabet.ICAO) == "niner Alfa Zulu"
    assert spell("9AZ", Alphabet.APCO) == "nine Adam Zebra"


@pytest.mark.parametrize("alphabet", Alphabet)
def test_no_two_characters_are_said_alike(alphabet: Alphabet) -> None:
    characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789?*"
    assert len({spell(c, alphabet) for c in characters}) == len(characters)


def test_text_that_is_not_a_plate_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="normalise") as caught:
        spell("ab-99x")
    assert "ab-99x" not in str(caught.value)
    assert caught.value.__suppress_context__


@given(st.text())
def test_any_normalised_text_is_spelled_a_word_a_character(text: str) -> None:
    plate = normalise(text)
    assert len(spell(plate).split()) == len(plate)


@pytest.mark.parametrize(
    ("code", "name"),
    [("US-CA", "California"), ("CA-ON", "Ontario"), ("PL", "Poland"), ("US-DC", "District of Columbia")],
)
def test_a_state_is_said_by_its_name(code: str, name: str) -> None:
    assert state_name(Jurisdiction(code)) == name


def test_a_code_without_a_name_is_spelled_rather_than_left_out() -> None:
    assert state_name(Jurisdiction("ZZ-9")) == "Zebra Zebra nine"


def test_all_fifty_states_and_the_capital_have_a_name() -> None:
    codes = [
        *(
            "AL",
            "AK",
            "AZ",
            "AR",
            "CA",
            "CO",
            "CT",
            "DE",
            "DC",
            "FL",
            "GA",
            "HI",
            "ID",
            "IL",
            "IN",
            "IA",
            "KS",
        ),
        *(
            "KY",
            "LA",
            "ME",
            "MD",
            "MA",
            "MI",
            "MN",
            "MS",
            "MO",
            "MT",
            "NE",
            "NV",
            "NH",
            "NJ",
            "NM",
            "NY",
            "NC",
        ),
        *(
            "ND",
            "OH",
            "OK",
            "OR",
            "PA",
            "RI",
            "SC",
            "SD",
            "TN",
            "TX",
            "UT",
            "VT",
            "VA",
            "WA",
            "WV",
            "WI",
            "WY",
        ),
    ]
    assert len(codes) == 51
    names = {state_name(Jurisdiction(f"US-{code}")) for code in codes}
    assert len(names) == 51
    assert not any("Adam" in name or " X-ray" in name for name in names)


def test_free_text_of_a_list_cannot_steer_the_synthesiser() -> None:
    said = card(make_alert(vehicle="[[h@'loU]] <voice name='x'>\x07 blue"), NOW)
    assert not set("[]<>\x07") & set(said)


def test_a_long_vehicle_text_is_cut() -> None:
    said = card(make_alert(vehicle="very " * 200), NOW)
    assert len(said) < 300


def test_a_list_without_a_name_is_still_announced() -> None:
    assert "High priority. Listed plate. seven" in card(make_alert(list_name=""), NOW)
