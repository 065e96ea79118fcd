"""How the plates of each jurisdiction look: proportions, colours, bands, names and pictures.

Approximate on purpose: the reader must not depend on a picture, and designs change. Colours are RGB in this
file's tables and BGR in `Style`.
"""

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Style:
    """A plate design; every list is one to draw from."""

    aspect: tuple[float, float]
    """Width over height, smallest and largest."""
    grounds: tuple[tuple[Colour, Colour], ...]
    """Ground colour at the top and at the bottom, BGR."""
    inks: tuple[Colour, ...]
    """Ink of the serial; the one at the same place as the ground, BGR."""
    band: str = ""
    """Country letters of the blue band on the left; empty for none."""
    right_band: bool = False
    top_band: str = ""
    """Name in a blue band along the top edge (Mercosur)."""
    titles: tuple[str, ...] = ()
    """Names along the top (or bottom); empty for plates without one."""
    slogans: tuple[str, ...] = ()
    text_height: tuple[float, float] = (0.62, 0.78)
    """Character height over plate height."""
    fixed_pitch: float = 0.2
    """Share of plates on which every character has a cell of the same width."""
    emblem: str = "picture"
    """What stands at `*`: `seals` (two round ones), `crest`, `dot` or `picture`."""
    stickers: bool = False
    """Month and year stickers in the corners."""


def _bgr(code: str) -> Colour:
    return int(code[4:6], 16), int(code[2:4], 16), int(code[0:2], 16)


def _pairs(codes: str) -> tuple[tuple[tuple[Colour, Colour], ...], tuple[Colour, ...]]:
    """Parse `top>bottom/ink` items; `top/ink` is a plain ground."""
    grounds, inks = [], []
    for item in codes.split():
        ground, ink = item.split("/")
        top, _, bottom = ground.partition(">")
        grounds.append((_bgr(top), _bgr(bottom or top)))
        inks.append(_bgr(ink))
    return tuple(grounds), tuple(inks)


_USA = """AL|ffffff>ffffff/203070 e8f0ff>fff0d0/1c2c6c|Alabama,Heart of Dixie|Sweet Home,God Bless America
AK|f0c030/203080 ffffff>f0d890/303030|ALASKA|The Last Frontier
AZ|ffffff>d8b8d8/205048 e8f0f8>f0c890/104840|ARIZONA|GRAND CANYON STATE
AR|ffffff>d0e0f0/202020|Arkansas|The Natural State
CA|ffffff/1c2a6e ffffff/1c2a6e 101010/f0b020 102a70/f0c030|California,CALIFORNIA|dmv.ca.gov,SESQUICENTENNIAL
CO|e8f0e8>2f6b4a/ffffff f5f5f5>3a7a58/1f5a3c|COLORADO|
CT|b0d0f0>ffffff/18306a 88b0e8>ffffff/102050|Connecticut|Constitution State
DE|12346a/e8c050|DELAWARE,DEL|THE FIRST STATE
FL|ffffff>e8f0e0/1f6a3a ffffff/206838|MYFLORIDA.COM,FLORIDA|SUNSHINE STATE,IN GOD WE TRUST
GA|ffffff>f8e8d8/202830 ffffff/1c2440|GEORGIA,Georgia|Peach State,IN GOD WE TRUST
HI|ffffff/202020 ffffff>f8f0f0/181818|HAWAII|ALOHA STATE
ID|f8d8d0>d8e8d0/1c2c5c ffffff>a8c8b0/202040|IDAHO|SCENIC,FAMOUS POTATOES
IL|f0f8ff>a8c8e8/b01c28 ffffff>c8d8f0/a82028|Illinois|LAND OF LINCOLN
IN|e8f0ff>ffffff/182868 ffffff/202060|INDIANA|IN GOD WE TRUST
IA|a8c8e8>ffffff/1c2448 ffffff/202020|IOWA|
KS|d0e0f0>f0e8d0/1a2a60 ffffff/202858 6a2028/ffffff|KANSAS|
KY|d0e0f8>ffffff/182858 ffffff/1c2c5c|Kentucky|UNBRIDLED SPIRIT,IN GOD WE TRUST
LA|ffffff>f0e0e8/182040|Louisiana|Sportsman's Paradise
ME|f0f0e0>e0e8d8/203828 ffffff/202020|MAINE|Vacationland
MD|ffffff>f0d8a0/101010 ffffff/181818|MARYLAND|
MA|ffffff/c01828 ffffff/b81c2c|Massachusetts|The Spirit of America
MI|ffffff/1a2a6a b0d0f0>ffffff/182860|Michigan,MICHIGAN|PURE MICHIGAN,Great Lakes State
MN|b8d8f0>e0f0e0/1c3060 ffffff>90c0e8/182858|Minnesota|10,000 lakes,EXPLORE
MS|f0f0e0>d8e0c8/202848 ffffff/1c2c50|MISSISSIPPI|
MO|ffffff>d8e8f8/182850|MISSOURI|Show-Me State,BICENTENNIAL
MT|304878/ffffff ffffff>c8d8e8/1a2a5a|MONTANA|TREASURE STATE,BIG SKY COUNTRY
NE|f0f0f8>e8e0c8/202860 ffffff/202020|NEBRASKA|
NV|d0d8f0>f0d8b0/203060 c0d0e8>f0e8d8/182850|NEVADA|HOME MEANS NEVADA
NH|d8f0e0>ffffff/1f5040 ffffff>b8e0d0/205848|NEW HAMPSHIRE|LIVE FREE OR DIE
NJ|f0d060>ffffff/202020 f0e090>fff8d0/181818|NEW JERSEY|Garden State
NM|f0d020/b02028 40b8b8/f0d020|New Mexico USA|Land of Enchantment
NY|e8a020/1c2448 ffffff/1a2a60 f0b030/182050|NEW YORK|EMPIRE STATE,EXCELSIOR
NC|ffffff/1c3a9a ffffff>e8f0ff/2040a0|First in Flight|NORTH CAROLINA
ND|a8c8e8>f0d8a0/1c2c5c ffffff/182848|NORTH DAKOTA|LEGENDARY,Peace Garden State
OH|ffffff>c8d8f0/1a2658 ffffff>d0e8f8/182050|OHIO|BIRTHPLACE OF AVIATION
OK|c8e0f0>ffffff/1c3060 ffffff/182848|OKLAHOMA|NATIVE AMERICA,Imagine That
OR|b8d0e8>e8d8e8/1c2850 c8d8f0>d8e8d8/202848|OREGON|
PA|2848a0>f0d040/1a2a6a 3858a8>f0e080/182860|PENNSYLVANIA|visitPA.com
RI|d8e8f8>ffffff/1a2c60 ffffff/182858|Rhode Island|Ocean State
SC|ffffff>d8e8f0/1c3058|South Carolina|Smiling Faces,While I Breathe I Hope
SD|b0d0f0>f0f0f0/1a2c5c ffffff/202848|South Dakota|GREAT FACES. GREAT PLACES.
TN|f0f8e8>a8c8a0/1a3850 203868/ffffff|Tennessee|The Volunteer State
TX|ffffff/101010 ffffff>e8f0f8/181828 ffffff/182850|TEXAS|The Lone Star State
UT|f0f8ff>f0c890/1c3468 ffffff/202020|UTAH,Life Elevated|ARCHES,GREATEST SNOW ON EARTH
VT|1f6040/ffffff|Vermont|Green Mountain State
VA|ffffff/1c2c6c ffffff>f8f8ff/182860|VIRGINIA|VIRGINIA IS FOR LOVERS
WA|d0e0f8>ffffff/203c88 e0e8f8>ffffff/1c3478|WASHINGTON|EVERGREEN STATE
WV|1c3c80>f0d060/1a2c60 ffffff>f8e8a0/182858|West Virginia|Wild, Wonderful
WI|ffffff>f8f0e0/181818 e8f0f8>f0e8d0/202020|WISCONSIN|America's Dairyland
WY|a8c8e8>ffffff/1c2c50 d0e0f0>f0e8d8/202840|WYOMING|
DC|ffffff/c02030 ffffff/1c3474|WASHINGTON DC|TAXATION WITHOUT REPRESENTATION,END TAXATION"""

_WHITE = "f4f4f0/101010"
_BANDED = {
    "PL": _WHITE,
    "NL": "f0b814/101010 f4c020/101010 e8a818/141414 f0b814/101010 2060c0/f8f8f8",
    "AT": _WHITE,
    "DE": _WHITE,
    "CZ": _WHITE,
    "SK": _WHITE,
    "FR": f"{_WHITE} {_WHITE} f4c820/101010",
    "ES": _WHITE,
    "IT": _WHITE,
    "RO": _WHITE,
    "BE": "f4f4f0/a01828",
    "PT": _WHITE,
    "HU": _WHITE,
    "SE": _WHITE,
    "FI": _WHITE,
    "LV": _WHITE,
    "LT": _WHITE,
    "EE": _WHITE,
    "HR": "f4f4f0/141414 f4f4f0/a01818",
    "SI": _WHITE,
    "BG": _WHITE,
    "GR": _WHITE,
    "IE": _WHITE,
    "LU": "f4c820/101010",
    "CY": _WHITE,
    "RS": _WHITE,
    "TR": _WHITE,
    "NO": _WHITE,
    "UA": _WHITE,
    "DK": _WHITE,
    "IL": "f4c020/101010",
}
_BAND_LETTERS = {
    "DE": "D",
    "AT": "A",
    "FR": "F",
    "ES": "E",
    "IT": "I",
    "BE": "B",
    "PT": "P",
    "HU": "H",
    "SE": "S",
    "FI": "FIN",
    "EE": "EST",
    "SI": "SLO",
    "LU": "L",
    "RS": "SRB",
    "NO": "N",
    "IE": "IRL",
    "RO": "RO",
}
_EMBLEMS = {
    "DE": "seals",
    "AT": "crest",
    "CZ": "seals",
    "SK": "crest",
    "HR": "crest",
    "SI": "crest",
    "RS": "crest",
    "LT": "seals",
    "CY": "seals",
    "CH": "crest",
    "RU": "bar",
    "UZ": "bar",
    "IT": "seals",
}


def _style(aspect: tuple[float, float], codes: str, **more: object) -> Style:
    grounds, inks = _pairs(codes)
    return Style(aspect, grounds, inks, **more)  # type: ignore[arg-type]  # typed by Style


def _build() -> dict[str, Style]:
    styles: dict[str, Style] = {}
    for row in _USA.splitlines():
        state, codes, titles, slogans = row.split("|")
        styles[f"US-{state}"] = _style(
            (1.85, 2.1),
            codes,
            titles=tuple(titles.split(",")),
            slogans=tuple(s for s in slogans.split(",") if s),
            text_height=(0.36, 0.52),
            fixed_pitch=0.6,
            stickers=True,
        )
    for country, codes in _BANDED.items():
        styles[country] = _style(
            (4.2, 5.1),
            codes,
            band=_BAND_LETTERS.get(country, country),
            right_band=country in {"FR", "IT"},
            fixed_pitch=0.1,
            emblem=_EMBLEMS.get(country, "dot"),
        )
    styles["GB"] = _style(
        (4.0, 5.1),
        "f4f4f0/101010 f4f4f0/101010 f4c418/101010 f0b010/101010 181818/e8e8e8",
        band="GB",
        fixed_pitch=0.3,
    )
    styles["CH"] = _style((4.0, 4.9), _WHITE, emblem="crest")
    styles["RU"] = _style((4.4, 4.8), _WHITE, emblem="bar")
    styles["BR"] = _style(
        (2.9, 3.3),
        "b8b8b8/101010 a8acb0/101010 f4f4f0/101010 b01820/f4f4f4",
        titles=("SP - SAO PAULO", "RJ - RIO DE JANEIRO", "MG - BELO HORIZONTE", "BRASIL"),
        text_height=(0.5, 0.64),
        emblem="dot",
    )
    styles["AR"] = _style(
        (2.9, 3.2), "f4f4f0/101010 101010/f4f4f4", titles=("ARGENTINA",), text_height=(0.5, 0.62)
    )
    styles["PK"] = _style(
        (1.9, 3.0),
        "f4f4f0/181830 f4f4f0/101010 f4c020/101010 101010/f4f4f4",
        text_height=(0.36, 0.56),
        titles=("ICT", "", "GOVT OF SINDH", "PUNJAB", ""),
        slogans=("ISLAMABAD", "SINDH", "ICT-ISLAMABAD"),
    )
    styles["IN"] = _style(
        (3.4, 4.6), f"{_WHITE} {_WHITE} f4c020/101010 181818/f4d030", band="IND", fixed_pitch=0.3
    )
    styles["AU"] = _style(
        (2.7, 3.3),
        "f4f4f0/101010 f4d020/101010 181818/f4f4f4 f4f4f0/183880 181818/f4c030 f4f4f0/802030",
        titles=("", "NSW", "VICTORIA", "QUEENSLAND"),
        text_height=(0.5, 0.7),
        slogans=("STAY ALERT STAY ALIVE", "SUNSHINE STATE", "THE PLACE TO BE"),
    )
    for country, aspect in {
        "AE": (2.0, 4.6),
        "UZ": (4.2, 4.8),
        "MX": (1.9, 2.1),
        "QA": (2.2, 4.6),
        "ZA": (4.0, 4.6),
        "VN": (3.5, 4.6),
    }.items():
        emblem = _EMBLEMS.get(country, "dot")
        styles[country] = _style(aspect, _WHITE, text_height=(0.5, 0.7), emblem=emblem)
    styles["CO"] = _style(
        (2.0, 2.3),
        "f4c818/101010",
        slogans=("BOGOTA D.C.", "MEDELLIN", "CALI"),
        text_height=(0.5, 0.62),
        emblem="dot",
    )
    styles["ID"] = _style(
        (2.9, 3.3),
        "141414/e8e8e8 141414/e8e8e8 f4f4f0/101010",
        slogans=("05.27", "11.29"),
        text_height=(0.48, 0.62),
    )
    styles["MY"] = _style((3.4, 4.6), "141414/f4f4f4", text_height=(0.5, 0.7))
    styles["SG"] = _style((3.4, 4.6), "141414/f4f4f4 f4f4f0/101010", text_height=(0.5, 0.7))
    styles["NZ"] = _style((2.7, 3.1), _WHITE, text_height=(0.6, 0.75))
    canadian = {
        "ON": ("ONTARIO", "YOURS TO DISCOVER", "f4f8ff/2040a0"),
        "QC": ("Québec", "Je me souviens", "f4f8ff/2848a8"),
        "BC": ("British Columbia", "Beautiful", "f4f8ff/2038a0"),
        "AB": ("Alberta", "Wild Rose Country", "f8f4f0/c02838"),
    }
    for province, (title, slogan, codes) in canadian.items():
        styles[f"CA-{province}"] = _style(
            (1.9, 2.1),
            codes,
            titles=(title,),
            slogans=(slogan,),
            text_height=(0.38, 0.52),
            fixed_pitch=0.6,
            stickers=True,
        )
    return styles


STYLES = _build()
"""By jurisdiction, one for every issuer of `training.formats`."""
