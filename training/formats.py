"""What stands on a plate: the serial patterns of each jurisdiction, and random serials that follow them.

A pattern is a drawn line. `A` is a letter of the issuer's alphabet, `9` a digit, `1` a digit other than
zero, `?` either; a lower-case letter stands for itself. ` ` is a gap, `-` `:` `.` are drawn marks, `*` is
the place of a crest, seal or picture, `/` starts a second line. The marks never belong to the plate text.
The patterns were written down from published descriptions of the number series; rare and diplomatic series
are left out.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MARKS = " -:.*/"
"""Characters of a drawn line that are not part of the plate text."""

MAX_CHARACTERS = 10
"""Slots of the reader; no pattern is longer."""

_VANITY_WORDS_TEXT = """
    BIG BLUE RED FAST GO MY ILUV LUV THE MR MRS DR HOT COOL LITTLE ROAD RUN SEA SUN MOON STAR SKY FOX
    BEAR WOLF CAT DOG HORSE KING QUEEN JAZZ ROCK BASS SURF SKI GOLF FISH HUNT FLY JET CAR VAN TRUCK BEE
    HAPPY SWEET HOME MOM DAD GRAN POP BABY GIRL BOY TEAM WIN WOW YES NO OK ZOOM BOOM PEACE LOVE HOPE
    FAITH FREE WILD GOLD SILVER ROSE LILY APPLE COOKIE COFFEE TEA WINE BEER MAGIC DREAM LUCKY HAWK EAGLE
    TIGER LION GATOR PANDA TURTLE BUNNY DUCK CODE DATA MATH NURSE COACH TEACH CHEF ARTIST DANCE MUSIC
    GUITAR PIANO DRUM SMILE LAUGH RETIRED GRANDMA BEACH OCEAN RIVER LAKE HILL
"""
VANITY_WORDS = tuple(_VANITY_WORDS_TEXT.split())


@dataclass(frozen=True, slots=True)
class Issuer:
    """A jurisdiction that issues plates, and the lines it presses."""

    jurisdiction: str
    """`US-XX` for a state of the USA, `CA-XX` for a Canadian province, else the ISO 3166 country code."""
    patterns: tuple[str, ...]
    weight: float
    """Share of the rendered plates, before normalisation."""
    letters: str = string.ascii_uppercase
    vanity: float = 0.0
    """Share of plates whose text the owner chose."""


HARD_LETTERS = "CGGMHVYQDITOIBSZGDQVYKXNWUFEPRL"
"""Letters that readers take for another, or for a digit; they are drawn more often than chance would."""
HARD_DIGITS = "0185267031"
"""The same for digits: O/0, I/1, B/8, S/5, Z/2, G/6, 2/7."""
_HARD_PLATES = 0.25
"""Share of plates on which most free places take hard characters, so that each look-alike comes to stand in
every place that a format allows."""

_NO_IOQ = "ABCDEFGHJKLMNPRSTUVWXYZ"
_CONSONANTS = "BCDFGHJKLMNPRSTVWXYZ"
_NL = "BDFGHJKLNPRSTVXZ"


def _usa() -> list[Issuer]:
    table = """AL 99AA999 9A99999 99A99A9;AK AAA*999 AAA_999;AZ AAA9999 A9A*9AA AAA-9999;AR 999*AAA AAA_99A
    CA 9AAA999 9AAA999 9A99999 99999A9;CO AAA*999 999*AAA AAA-A99;CT AA*99999 9AA*AA9 999-AAA
    DE 999999 99999 pc_999999;FL AAA*A99 AA9*9AA 999*9AA A99*9AA;GA AAA*9999 AAA9999 AAA_9999
    HI AAA*999 AAA_999;ID 9A*99999 A*999999 9A_9999A;IL AA*99999 A99*9999 AA_99999 999_9999
    IN 999AAA 999A 99A-999;IA AAA*999 AAA_999;KS 999*AAA 999_AAA 9999_AAA;KY 999*AAA A9A*999 999_AAA
    LA 999*AAA AAA_999;ME 9999*AA 999*AAA 9999_AA;MD 9AA9999 9AA*9999 9A99999
    MA 9AAA*99 9AA*999 999*AA9 999_AAA 99AA_99;MI AAA*9999 AAA_9999 9AAA99;MN AAA*999 999-AAA AAA-999
    MS AAA*999 AAA_9999 AAA_999;MO AA9*A9A AA9_A9A 9AA_A99;MT 9*99999A 999999A 9-9999A
    NE AAA*999 9-A9999 99-A999;NV 999*A99 99A*999 999-AAA;NH 999*9999 999_9999 AAA_99
    NJ A99*AAA AAA*99A A99-AAA;NM AAA*999 999-AAA 999*AAA;NY AAA*9999 AAA-9999 AAA_9999;NC AAA-9999 AAA*9999
    ND 999*AAA 999_AAA;OH AAA*9999 AAA_9999;OK AAA*999 999*AAA;OR 999*AAA AAA*999 999_AAA
    PA AAA*9999 AAA-9999 AAA_9999;RI 999*999 AA-999 9AA*999;SC AAA*999 9999*AA AAA_999
    SD 9A9*999 9AA*999 99A_999;TN 9A9*9A9 AA9*99A 999-AAA;TX AAA*9999 AA9*A999 AAA-9999 99A_AA9
    UT A99*9AA 9A9*9AA A999*AA;VT AAA*999 AAA_999;VA AAA-9999 AAA*9999 AA-9999;WA AAA9999 AAA9999 999*AAA
    WV 9AA*999 99A_999 AAA_999;WI AAA-9999 999-AAA AAA*9999;WY 9*99999 99*9999 9-99999;DC AA*9999 AA_9999
    PR AAA*999 AAA-999;GU AA*9999 AA_9999;VI AAA*999 AAA_999;AS 9999 99999 A9999;MP AAA*999 AAA_999"""
    common = {
        "CA": 4.0,
        "TX": 2.5,
        "NY": 2.0,
        "FL": 2.0,
        "VA": 2.0,
        "PA": 1.5,
        "IL": 1.5,
        "NC": 1.5,
        "OH": 1.3,
        "MI": 1.3,
        "PR": 0.5,
        "GU": 0.3,
        "VI": 0.3,
        "AS": 0.3,
        "MP": 0.3,
    }
    issuers = []
    for entry in table.replace("\n", ";").split(";"):
        state, *parts = entry.split()
        patterns = tuple(
            part.replace("_", " ") for part in parts
        )  # `_` is a gap, written so that the table can be split
        issuers.append(Issuer(f"US-{state}", patterns, 50.0 / 68.0 * common.get(state, 1.0), vanity=0.25))
    return issuers


ISSUERS: tuple[Issuer, ...] = (
    *_usa(),
    Issuer(
        "PL",
        (
            "AA 99999",
            "AA 99999",
            "AA 9999A",
            "AA 999AA",
            "AA 9A999",
            "AA 99A99",
            "AA 1AA99",
            "AAA A999",
            "AAA 99AA",
            "AAA 9A99",
            "AAA 99A9",
            "AAA 9AA9",
            "AAA 99999",
            "AAA 9999A",
            "AAA 999AA",
            "AAA 99AA",
            "A9 AAA99",
        ),
        8.0,
        _NO_IOQ,
        0.02,
    ),
    Issuer(
        "NL",
        (
            "AA-99-AA",
            "99-AA-AA",
            "99-AAA-9",
            "9-AAA-99",
            "AA-999-A",
            "A-999-AA",
            "AA-AA-99",
            "99-AA-99",
            "AAA-99-A",
        ),
        6.0,
        _NL,
    ),
    Issuer(
        "AT",
        (
            "A*99999A",
            "AA*999AA",
            "AA*99AAA",
            "AA*999A",
            "AA 999AA",
            "A 9999AA",
            "A*AAA9",
            "AA*AAAA1",
            "A*9999AA",
            "AA*9AAA",
            "AA*99AA",
        ),
        4.0,
        vanity=0.03,
    ),
    Issuer(
        "DE",
        (
            "A*AA 9999",
            "AA*AA 999",
            "AAA*AA 99",
            "A*A 9999",
            "AA*A 9999",
            "A*AA 999",
            "AAA*A 999",
            "AA*AA 99",
            "AAA*AA 999",
            "A-AA 9999",
            "AA-AA 999",
            "AAA*AA1",
        ),
        5.0,
    ),
    Issuer("CZ", ("9A9*9999", "9AA*9999", "9A9 9999", "9AA 9999", "AAA*99-99"), 2.5, _NO_IOQ),
    Issuer("SK", ("AA*999AA", "AA 999AA", "AA-999AA"), 1.0, _NO_IOQ),
    Issuer(
        "GB",
        (
            "AA99 AAA",
            "AA99 AAA",
            "AA99 AAA",
            "A999 AAA",
            "AAA 999A",
            "A99 AAA",
            "AAA 99",
            "9 AAA",
            "999 AAA",
            "A1 AAA",
            "AAA 9999",
            "AA 9999",
            "AAA 1",
            "AA99 AAA",
            "A1 AA",
        ),
        4.0,
        vanity=0.03,
    ),
    Issuer("FR", ("AA-999-AA", "AA-999-AA", "AA 999 AA", "999 AAA 99", "9999 AA 99"), 2.5, _NO_IOQ),
    Issuer(
        "ES", ("9999 AAA", "9999 AAA", "9999-AAA", "A 9999 AA", "AA 9999 A", "A-9999-AA"), 2.5, _CONSONANTS
    ),
    Issuer("IT", ("AA 999AA", "AA 999AA", "AA 999 AA", "AA*999AA"), 2.5, _NO_IOQ),
    Issuer("RO", ("AA 99 AAA", "AA 99 AAA", "b 999 AAA", "b 99 AAA", "AA-99-AAA"), 2.5),
    Issuer("BE", ("9-AAA-999", "1-AAA-999", "AAA-999", "999-AAA"), 0.8),
    Issuer("PT", ("99-AA-99", "AA-99-AA", "99-99-AA", "AA-99-99", "AA 99 AA"), 0.8),
    Issuer("HU", ("AAA-999", "AA AA-999", "AAA 999"), 0.8),
    Issuer("SE", ("AAA 999", "AAA 99A"), 0.7, _NO_IOQ, 0.05),
    Issuer("NO", ("AA 99999", "AA 9999"), 0.6, _NO_IOQ),
    Issuer("DK", ("AA 99 999", "AA 99999"), 0.6),
    Issuer("FI", ("AAA-999", "AAA-99"), 0.4),
    Issuer("LV", ("AA-9999", "AA-999", "AA-99"), 0.4),
    Issuer("LT", ("AAA:999", "AAA*999", "AAA 999"), 0.4),
    Issuer("EE", ("999 AAA",), 0.3),
    Issuer("HR", ("AA*999-AA", "AA*9999-A", "AA*9999-AA"), 0.6),
    Issuer("SI", ("AA*AA-999", "AA*99-AAA"), 0.4),
    Issuer("RS", ("AA*999-AA", "AA*9999-AA"), 0.4),
    Issuer("BG", ("A 9999 AA", "AA 9999 AA"), 0.6, "ABCEHKMOPTXY"),
    Issuer("GR", ("AAA-9999", "AAA 9999"), 0.5, "ABEZHIKMNOPTYX"),
    Issuer("CH", ("AA*999999", "AA*99999", "AA 999999", "AA*9999"), 0.7),
    Issuer("IE", ("99-A-99999", "999-A-9999", "999-AA-999", "99-AA-9999"), 0.6),
    Issuer("LU", ("AA 9999", "99999"), 0.2),
    Issuer("CY", ("AAA 999", "AAA:999", "AAA*999"), 0.2),
    Issuer("UA", ("AA 9999 AA", "AA9999AA"), 0.6, "ABCEHIKMOPTX"),
    Issuer("RU", ("A999AA*99", "A999AA 99", "A999AA 999"), 0.5, "ABCEHKMOPTXY"),
    Issuer("TR", ("99 AAA 99", "99 AA 999", "99 A 9999", "99 AAA 999"), 0.4),
    Issuer("IL", ("99-999-99", "999-99-999", "99:999:99"), 0.5),
    Issuer("BR", ("AAA-9999", "AAA-9999", "AAA9A99", "AAA9A99", "AAA 9999", "AAA*9999"), 4.0),
    Issuer("AR", ("AA 999 AA", "AA 999 AA", "AAA 999"), 1.5),
    Issuer(
        "PK",
        (
            "AAA-999",
            "AA-999",
            "AAA 9999",
            "AAA-9999",
            "AAA/9999",
            "AAA.999",
            "AAA 99 999",
            "AA.999",
            "A-9999",
            "AAA/999",
        ),
        2.5,
    ),
    Issuer(
        "IN",
        ("AA 99 AA 9999", "AA99AA9999", "AA 99 A 9999", "AA 9 AA 9999", "AA99/AA9999", "AA-99-AA-9999"),
        1.8,
    ),
    Issuer(
        "AU",
        ("AAA 999", "AAA*999", "999*AAA", "AA 99 AA", "A999*AAA", "AAA 99A", "9AA 9AA", "999-999"),
        1.0,
        vanity=0.1,
    ),
    Issuer("AE", ("A 99999", "A 9999", "99 99999", "A 999"), 0.4),
    Issuer("CA-ON", ("AAAA*999", "AAA*999", "AAAA 999"), 0.8, vanity=0.1),
    Issuer("CA-QC", ("A99*AAA", "999*AAA", "A99 AAA"), 0.4),
    Issuer("CA-BC", ("AA9*99A", "999*AAA", "AAA*99A"), 0.4),
    Issuer("CA-AB", ("AAA-9999", "AAA 999"), 0.3),
    Issuer("CA-SK", ("999*AAA", "999 AAA"), 0.2),
    Issuer("CA-MB", ("AAA*999", "AAA 999"), 0.2),
    Issuer("CA-NS", ("AAA 999", "AAA*999"), 0.2),
    Issuer("CA-NB", ("AAA 999", "AAA*999"), 0.2),
    Issuer("CA-NL", ("AAA 999", "AAA*999"), 0.15),
    Issuer("CA-PE", ("99*99AA", "999*99", "99 AAA"), 0.1),
    Issuer("CA-YT", ("AAA 99", "AAA*99"), 0.1),
    Issuer("CA-NT", ("999999",), 0.1),
    Issuer("CA-NU", ("999 999", "999*999"), 0.1),
    Issuer("UZ", ("99*A 999 AA", "99*A999AA", "99 A 999 AA", "99*999 AAA"), 0.8),
    Issuer("ID", ("A 9999 AAA", "A 9999 AA", "AA 9999 AA", "A 999 AAA"), 0.8),
    Issuer("CO", ("AAA 999", "AAA*999", "AAA-999"), 0.5),
    Issuer("MX", ("AAA-999-A", "AAA-99-99", "A99-AAA", "AA-99-999", "AAA-99-99"), 0.7),
    Issuer("MY", ("AAA 9999", "A 9999 A", "AA 9999"), 0.4),
    Issuer("SG", ("AAA 9999 A", "AAA999A"), 0.3),
    Issuer("NZ", ("AAA999", "AA9999"), 0.3),
    Issuer("QA", ("999999", "99999"), 0.2),
    Issuer("ZA", ("AA 99 AA AA", "AAA 999 AA", "AA 99 AA.AA"), 0.3),
    Issuer("VN", ("99A-999.99", "99A 99999", "99A-9999"), 0.5),
)

JURISDICTIONS: tuple[str, ...] = (*sorted(issuer.jurisdiction for issuer in ISSUERS), "Unknown")
"""Order of the reader's region output."""

_BY_CODE = {issuer.jurisdiction: issuer for issuer in ISSUERS}


def issuer_of(jurisdiction: str) -> Issuer:
    """Return the issuer with that code. Raises ValueError naming the code if there is none."""
    if jurisdiction not in _BY_CODE:
        raise ValueError(
            f"no plate patterns for jurisdiction {jurisdiction!r}: use one of training.formats.JURISDICTIONS"
        )
    return _BY_CODE[jurisdiction]


def random_issuer(rng: np.random.Generator) -> Issuer:
    """Return an issuer, drawn by its weight."""
    weights = np.array([issuer.weight for issuer in ISSUERS])
    return ISSUERS[int(rng.choice(len(ISSUERS), p=weights / weights.sum()))]


def plate_text(line: str) -> str:
    """Return the plate text of a drawn line: its letters and digits."""
    return "".join(c for c in line if c not in MARKS)


def random_line(rng: np.random.Generator, issuer: Issuer) -> str:
    """Return a random drawn line of *issuer*, at most MAX_CHARACTERS letters and digits."""
    if rng.random() < issuer.vanity:
        return _vanity(rng)
    pattern = issuer.patterns[int(rng.integers(len(issuer.patterns)))]
    line = [_fill(rng, c, issuer.letters) for c in pattern]
    hard = [c for c in HARD_LETTERS if c in issuer.letters]
    if rng.random() < _HARD_PLATES:
        for i, c in enumerate(pattern):
            if c == "A" and rng.random() < 0.7:
                line[i] = str(rng.choice(hard))
            elif c == "9" and rng.random() < 0.7:
                line[i] = str(rng.choice(list(HARD_DIGITS)))
    return "".join(line)


def line_for(text: str, issuer: Issuer) -> str:
    """Return *text* laid out by the issuer's first pattern that it fits, else *text* itself without marks.

    Raises ValueError unless *text* is 1 to MAX_CHARACTERS of A-Z and 0-9.
    """
    if not 1 <= len(text) <= MAX_CHARACTERS or not all(
        c in string.ascii_uppercase + string.digits for c in text
    ):
        raise ValueError(f"plate text must be 1 to {MAX_CHARACTERS} of A-Z and 0-9")
    for pattern in issuer.patterns:
        if _fits(text, [c for c in pattern if c not in MARKS]):
            characters = iter(text)
            return "".join(c if c in MARKS else next(characters) for c in pattern)
    return text


def _fits(text: str, classes: Sequence[str]) -> bool:
    if len(text) != len(classes):
        return False
    return all(
        k == "?" or (k == "A" and c.isalpha()) or (k in "91" and c.isdigit()) or k.upper() == c
        for c, k in zip(text, classes, strict=True)
    )


def _fill(rng: np.random.Generator, c: str, letters: str) -> str:
    if c == "A":
        return letters[int(rng.integers(len(letters)))]
    if c == "9":
        return str(rng.integers(10))
    if c == "1":
        return str(rng.integers(1, 10))
    if c == "?":
        return (string.ascii_uppercase + string.digits)[int(rng.integers(36))]
    return c.upper()


def _vanity(rng: np.random.Generator) -> str:
    kind = rng.random()
    word = VANITY_WORDS[int(rng.integers(len(VANITY_WORDS)))]
    if kind < 0.45:
        gap = " " if rng.random() < 0.3 else ""
        line = word + gap + VANITY_WORDS[int(rng.integers(len(VANITY_WORDS)))]
    elif kind < 0.65:
        line = word + ("" if rng.random() < 0.5 else " ") + str(rng.integers(1, 1000))
    elif kind < 0.75:
        line = str(rng.integers(1, 100)) + word
    else:
        line = "".join(
            _fill(rng, "A" if rng.random() < 0.8 else "9", string.ascii_uppercase)
            for _ in range(rng.integers(3, 9))
        )
    if rng.random() < 0.15:
        position = int(rng.integers(len(line)))
        line = line[:position] + line[position] + line[position:]
    limit = 8 if rng.random() < 0.9 else MAX_CHARACTERS
    while len(plate_text(line)) > limit:
        line = line[:-1]
    return line.strip()
