"""Who issues plates: the codes a list may name, and how a list's own shorthand becomes one.

Countries are those of ISO 3166-1, states of the United States and provinces of Canada those of ISO 3166-2.
"""

from recognizer.plate import Jurisdiction

_COUNTRIES = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
_UNITED_STATES = """
    AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY
    NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC AS GU MP PR UM VI
"""
_CANADA = "AB BC MB NB NL NS NT NU ON PE QC SK YT"

_KNOWN_COUNTRIES = frozenset(_COUNTRIES.split())
_SUBDIVISIONS = {"US": frozenset(_UNITED_STATES.split()), "CA": frozenset(_CANADA.split())}
_MAX_SUBDIVISION_CHARACTERS = 3

# The codes of the NCIC for who issued a plate, as in the FBI's part of the National Information Exchange
# Model (LISCodeSimpleType), as far as they are not the postal ones. NCIC writes Nebraska NB, so New Brunswick
# is NK; GU is Guanajuato and Guam GM. MX is the State of Mexico there, but is written for the country, too.
_NCIC = {
    **{code: f"US-{code}" for code in _UNITED_STATES.split() if code not in ("GU", "MP", "AS", "UM")},
    **{"NB": "US-NE", "GM": "US-GU", "MK": "US-MP", "AM": "US-AS", "US": "US"},
    **{code: f"CA-{code}" for code in ("AB", "BC", "MB", "NS", "NT", "ON", "PE", "QC", "YT")},
    **{"NK": "CA-NB", "NF": "CA-NL", "PQ": "CA-QC", "SN": "CA-SK", "CD": "CA"},
    **{"AG": "MX-AGU", "BA": "MX-BCN", "BJ": "MX-BCS", "CE": "MX-CAM", "CI": "MX-CHP", "CH": "MX-CHH"},
    **{"CU": "MX-COA", "CL": "MX-COL", "DF": "MX-CMX", "DO": "MX-DUR", "GU": "MX-GUA", "GR": "MX-GRO"},
    **{"HL": "MX-HID", "JL": "MX-JAL", "MC": "MX-MIC", "MR": "MX-MOR", "NA": "MX-NAY", "NL": "MX-NLE"},
    **{"OA": "MX-OAX", "PB": "MX-PUE", "QU": "MX-QUE", "QR": "MX-ROO", "SL": "MX-SLP", "SI": "MX-SIN"},
    **{"SO": "MX-SON", "TB": "MX-TAB", "TA": "MX-TAM", "TL": "MX-TLA", "VC": "MX-VER", "YU": "MX-YUC"},
    **{"ZA": "MX-ZAC", "MX": "MX", "MM": "MX"},
}
_NCIC_UNKNOWN = ("", "XX", "YY")


def parse_jurisdiction(text: str, country: str) -> Jurisdiction | None:
    """Return the jurisdiction a list means by *text*; None if *text* is empty.

    *text* is a full code ("US-CA", "PL") or two letters. Two letters are first taken as a state of *country*,
    then as a country: "CA" is California where *country* is "US", and Canada where it is "DE".

    Raises ValueError if *text* is none of these.
    """
    code = text.strip().upper()
    if not code:
        return None
    if code in _SUBDIVISIONS.get(country, ()):
        return Jurisdiction(f"{country}-{code}")
    head, dash, tail = code.partition("-")
    if head not in _KNOWN_COUNTRIES or bool(dash) != bool(tail):
        raise ValueError("not a state or country code")
    known = _SUBDIVISIONS.get(head)
    if tail and (tail not in known if known else not _is_subdivision(tail)):
        raise ValueError("not a state of that country")
    return Jurisdiction(code)


def parse_ncic_state(text: str) -> Jurisdiction | None:
    """Return the jurisdiction that an NCIC code means; None if it says that none is known.

    Raises ValueError if *text* is not the code of a state, territory or province, of Canada or of Mexico.
    """
    code = text.strip().upper()
    if code in _NCIC_UNKNOWN:
        return None
    if (found := _NCIC.get(code)) is None:
        raise ValueError("not a state code of the United States, Canada or Mexico")
    return Jurisdiction(found)


def is_country(code: str) -> bool:
    """Whether *code* is a country's two letters."""
    return code in _KNOWN_COUNTRIES


def _is_subdivision(tail: str) -> bool:
    return len(tail) <= _MAX_SUBDIVISION_CHARACTERS and tail.isascii() and tail.isalnum()
