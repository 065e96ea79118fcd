"""The words an officer hears: plates in the phonetic alphabet, states by name, the age of the list."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from hotlist_cache.entry import Priority
from hotlist_cache.hit import (
    Alert,
    Correction,
    HotlistHit,
    MatchForm,
    MatchKind,
    Outcome,
    Sighting,
    StateMatch,
)
from recognizer.plate import Jurisdiction


class Alphabet(StrEnum):
    """Which words stand for letters and digits on this department's radio."""

    APCO = "apco"
    """APCO Project 14, what United States police radio uses: Adam, Boy, Charles."""
    ICAO = "icao"
    """ICAO Annex 10 and NATO: Alfa, Bravo, Charlie; nine is "niner"."""


_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_APCO = (  # each word begins with its own letter
    "Adam Boy Charles David Edward Frank George Henry Ida John King Lincoln Mary "
    "Nora Ocean Paul Queen Robert Sam Tom Union Victor William X-ray Young Zebra"
)
_ICAO = (
    "Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike "
    "November Oscar Papa Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu"
)


def _words(letters: str, nine: str) -> Mapping[str, str]:
    digits = (*_DIGITS[:9], nine)
    return MappingProxyType(
        {str(n): word for n, word in enumerate(digits)} | {word[0]: word for word in letters.split()}
    )


_WORDS = {Alphabet.APCO: _words(_APCO, "nine"), Alphabet.ICAO: _words(_ICAO, "niner")}

# ISO 3166-2:US and :CA, then the ISO 3166-1 countries whose plates drive where these cars do.
_NAMES = """
US-AL Alabama|US-AK Alaska|US-AZ Arizona|US-AR Arkansas|US-CA California|US-CO Colorado|US-CT Connecticut
US-DE Delaware|US-DC District of Columbia|US-FL Florida|US-GA Georgia|US-HI Hawaii|US-ID Idaho
US-IL Illinois|US-IN Indiana|US-IA Iowa|US-KS Kansas|US-KY Kentucky|US-LA Louisiana|US-ME Maine
US-MD Maryland|US-MA Massachusetts|US-MI Michigan|US-MN Minnesota|US-MS Mississippi|US-MO Missouri
US-MT Montana|US-NE Nebraska|US-NV Nevada|US-NH New Hampshire|US-NJ New Jersey|US-NM New Mexico
US-NY New York|US-NC North Carolina|US-ND North Dakota|US-OH Ohio|US-OK Oklahoma|US-OR Oregon
US-PA Pennsylvania|US-RI Rhode Island|US-SC South Carolina|US-SD South Dakota|US-TN Tennessee|US-TX Texas
US-UT Utah|US-VT Vermont|US-VA Virginia|US-WA Washington State|US-WV West Virginia|US-WI Wisconsin
US-WY Wyoming
US-AS American Samoa|US-GU Guam|US-MP Northern Mariana Islands|US-PR Puerto Rico|US-VI U S Virgin Islands
CA-AB Alberta|CA-BC British Columbia|CA-MB Manitoba|CA-NB New Brunswick|CA-NL Newfoundland and Labrador
CA-NS Nova Scotia|CA-NT Northwest Territories|CA-NU Nunavut|CA-ON Ontario|CA-PE Prince Edward Island
CA-QC Quebec|CA-SK Saskatchewan|CA-YT Yukon
US United States|CA Canada|MX Mexico|GB United Kingdom|IE Ireland|FR France|DE Germany|NL Netherlands
BE Belgium|LU Luxembourg|CH Switzerland|AT Austria|IT Italy|ES Spain|PT Portugal|PL Poland|CZ Czechia
SK Slovakia|HU Hungary|SI Slovenia|HR Croatia|RS Serbia|BA Bosnia and Herzegovina|ME Montenegro
MK North Macedonia|AL Albania|GR Greece|BG Bulgaria|RO Romania|MD Moldova|UA Ukraine|BY Belarus
LT Lithuania|LV Latvia|EE Estonia|FI Finland|SE Sweden|NO Norway|DK Denmark|IS Iceland|TR Turkey
AU Australia|NZ New Zealand|BR Brazil|AR Argentina|CL Chile|IL Israel
"""
_STATES: Mapping[str, str] = MappingProxyType(
    {code: name for code, _, name in (i.partition(" ") for i in _NAMES.strip().replace("\n", "|").split("|"))}
)

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_PRIORITIES = {
    Priority.LOW: "Low priority",
    Priority.MEDIUM: "Medium priority",
    Priority.HIGH: "High priority",
}
_TEENS = (
    *_DIGITS,
    *(
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ),
)
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SPOKEN_CHARACTERS = 80
"""Free text of a list is cut here: a card that talks on hides the next one."""


def spell(text: str, alphabet: Alphabet = Alphabet.APCO) -> str:
    """Return a plate, or a pattern of an entry, as words: "seven Adam Boy".

    The signs of a pattern are said as "any" ("?") and "anything" ("*").
    Raises ValueError if *text* holds anything else than A-Z, 0-9 and these.
    """
    words = {**_WORDS[alphabet], "?": "any", "*": "anything"}
    try:
        return " ".join(words[character] for character in text)
    except KeyError:
        # "from None", and no text in the message: the cause would show the plate.
        raise ValueError("only A-Z, 0-9, ? and * can be spelled: normalise the plate first") from None


def state_name(code: Jurisdiction, alphabet: Alphabet = Alphabet.APCO) -> str:
    """Return who issued a plate as it is said: "California"; a code without a name is spelled."""
    known = _STATES.get(code)
    if known is not None:
        return known
    return spell("".join(c for c in code.upper() if c.isascii() and c.isalnum()), alphabet)


def age_in_words(age: timedelta) -> str:
    """Return the age of a list as it is said: "list three hours old". Part units are dropped.

    An age below zero means that one of two clocks is wrong: "list age unknown".
    """
    if age < timedelta(0):
        return "list age unknown"
    minutes = int(age.total_seconds()) // 60
    if minutes < 1:
        return "list less than one minute old"
    if minutes < 60:
        return f"list {_count(minutes, 'minute')} old"
    if minutes < 48 * 60:
        return f"list {_count(minutes // 60, 'hour')} old"
    return f"list {_count(minutes // (24 * 60), 'day')} old"


def card(alert: Alert, now: datetime, alphabet: Alphabet = Alphabet.APCO) -> str:
    """Return what is spoken of *alert* at *now* (aware UTC), one sentence a fact, most urgent first.

    The last sentence is always that nothing has been verified: a hit is a lead (Palo Alto PD 462.4,
    Downey PD 7.14.03 F). The text holds the plate: it may be spoken, never logged or stored.
    """
    hit, entry = alert.hit, alert.hit.entry
    vehicle = _speakable(entry.vehicle)
    sentences = [
        "Advisory only, list is stale" if alert.advisory_only else "",
        "Read corrected" if hit.read.revises is not None else "",
        _PRIORITIES[alert.priority],
        "Possible hit" if hit.outcome is Outcome.POSSIBLE else "",
        _speakable(entry.list_name) or "Listed plate",
        spell(hit.read.plate, alphabet),
        _prefix(hit, alphabet),
        _plate_doubt(hit, alphabet),
        _state(hit, alphabet),
        f"Listed as {vehicle}" if vehicle else "",
        _age(hit, now),
        "Unverified, check C L E T S",
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def correction_card(correction: Correction, alphabet: Alphabet = Alphabet.APCO) -> str:
    """Return what is spoken when the hit of an alert is gone, because the vehicle reads otherwise after all.

    As `card`, it holds plates: it may be spoken, never logged or stored.
    """
    told = correction.alert.hit
    sentences = [
        "Read corrected",
        f"{_speakable(told.entry.list_name) or 'Listed plate'} hit is gone",
        f"{spell(told.read.plate, alphabet)} now reads {spell(correction.read.plate, alphabet)}",
        "Unverified",
    ]
    return " ".join(f"{sentence}." for sentence in sentences)


def _age(hit: HotlistHit, now: datetime) -> str:
    said = age_in_words(hit.list_age.age(now))
    # An officer's own entry is of no list.
    return said if hit.list_age.snapshot_sequence else said.replace("list", "entry", 1)


def past_card(sighting: Sighting, now: datetime, alphabet: Alphabet = Alphabet.APCO) -> str:
    """Return what is spoken of a plate that was listed after it was read; it holds the plate."""
    ago = age_in_words(now - sighting.at).removeprefix("list ").replace(" old", " ago")
    camera = _speakable(sighting.camera)
    sentences = (
        "Newly listed",
        spell(sighting.plate, alphabet),
        f"was read {ago}, camera {camera}",
        "Unverified, check C L E T S",
    )
    return " ".join(f"{sentence}." for sentence in sentences)


def _prefix(hit: HotlistHit, alphabet: Alphabet) -> str:
    if not hit.read.prefix:
        return ""
    said = f"prefix {spell(hit.read.prefix, alphabet)}"
    if hit.kind is MatchKind.WILDCARD:
        return said
    if hit.form is MatchForm.PLATE:
        return f"{said}, listed without"
    listed, _ = hit.listed
    return said if listed == hit.read.prefix else f"{said}, listed {spell(listed, alphabet)}"


def _plate_doubt(hit: HotlistHit, alphabet: Alphabet) -> str:
    if hit.kind is MatchKind.WILDCARD:
        return "Partial plate, check plate"
    if hit.kind is MatchKind.EXACT and not hit.differing:
        return "Check plate" if hit.outcome is Outcome.POSSIBLE else ""
    read, (_, listed) = hit.read.plate, hit.listed
    comparable = len(read) == len(listed) and all(0 <= i < min(len(read), 10) for i in hit.differing)
    if not comparable or not 1 <= len(hit.differing) <= 2:
        return f"Look alike, check plate. Listed is {spell(hit.entry.pattern, alphabet)}"
    places = (
        f"{_ORDINALS[i]} character reads {spell(read[i], alphabet)}, listed {spell(listed[i], alphabet)}"
        for i in hit.differing
    )
    return "Look alike, check plate. " + ". ".join(places)


def _state(hit: HotlistHit, alphabet: Alphabet) -> str:
    listed = hit.entry.jurisdiction
    seen = hit.read.jurisdiction
    if hit.state is StateMatch.SAME and listed is not None:
        return state_name(listed, alphabet)
    said = f"listed {state_name(listed, alphabet)}, " if listed is not None else ""
    # What the reader makes of a state that did not settle the match is worth hearing only beside the list's.
    if hit.state is StateMatch.DIFFERENT and seen is not None:
        said += f"reads as {state_name(seen.code, alphabet)}, "
    return said + "check state"


def _count(number: int, unit: str) -> str:
    return f"{_number(number)} {unit}" + ("" if number == 1 else "s")


def _number(number: int) -> str:
    if number < 20:
        return _TEENS[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f" {_DIGITS[ones]}" if ones else "")
    return str(number)  # a list older than 99 days: the synthesiser reads the figure


def _speakable(text: str) -> str:
    """Free text of a list, made safe to hand to a speech synthesiser.

    espeak-ng takes "[[" as phonemes and "<" as markup: what is not a letter, digit or plain punctuation
    becomes a space.
    """
    kept = "".join(c if c.isalnum() or c in " ,'-/" else " " for c in text)
    return " ".join(kept.split())[:_SPOKEN_CHARACTERS].strip()
