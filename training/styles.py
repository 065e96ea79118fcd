"""How the plates of each jurisdiction look: proportions, colours, bands, names and pictures.

Approximate on purpose: the reader must not depend on a picture, and designs change. Colours are RGB in this
file's tables and BGR in `Style`. `style_for` is the door: a jurisdiction has several looks at once (a black
retro plate beside the white one, a yellow rear plate beside a white front one), and some go with one serial
pattern alone.
"""

import re
from dataclasses import dataclass, replace

import numpy as np

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
    """What stands at `*`: `seals` (two round ones), `crest`, `dot`, `bar`, `picture` or the name of one
    picture."""
    stickers: bool = False
    """Month and year stickers in the corners."""
    title_ink: Colour | None = None
    """Of the title, BGR; None for the serial's ink."""
    top_bar: Colour | None = None
    """Coloured strip behind the title, BGR."""
    bottom_bar: Colour | None = None
    """Coloured strip behind the slogan, BGR."""
    scene: str = ""
    """Landscape printed behind everything; empty for none."""
    title_below: float = 0.15
    """Share of plates with the title at the bottom and the slogan at the top."""
    weight: float = 1.0
    """Share among the looks of its jurisdiction, before normalisation."""
    lines: str = ""
    """Regular expression of the drawn lines that have this look; empty for all."""


def _bgr(code: str) -> Colour:
    return int(code[4:6], 16), int(code[2:4], 16), int(code[0:2], 16)


def _looks(codes: str, style: Style) -> tuple[Style, ...]:
    """Parse `top>bottom/ink/title ink/top bar/bottom bar/title*weight` items into one look each.

    `top` alone is a plain ground; `-` or nothing leaves a part out.
    """
    looks: list[Style] = []
    for item in codes.split():
        code, _, weight = item.partition("*")
        ground, ink, *more = code.split("/")
        top, _, bottom = ground.partition(">")
        title_ink, top_bar, bottom_bar, title = [*more, "-", "-", "-", "-"][:4]
        looks.append(
            replace(
                style,
                grounds=((_bgr(top), _bgr(bottom or top)),),
                inks=(_bgr(ink),),
                title_ink=None if title_ink == "-" else _bgr(title_ink),
                top_bar=None if top_bar == "-" else _bgr(top_bar),
                bottom_bar=None if bottom_bar == "-" else _bgr(bottom_bar),
                titles=style.titles if title == "-" else (title,),
                weight=float(weight or 1) * style.weight,
            )
        )
    return tuple(looks)


def _american(row: str) -> tuple[str, tuple[Style, ...]]:
    """Return code and looks of a row `code|looks|titles|slogans|emblems|scene`."""
    code, codes, titles, slogans, emblems, scene = row.split("|")
    style = Style(
        aspect=(1.85, 2.1),
        grounds=(),
        inks=(),
        titles=tuple(titles.split(",")),
        slogans=tuple(s for s in slogans.split(",") if s),
        text_height=(0.36, 0.52),
        fixed_pitch=0.6,
        stickers=True,
        scene=scene,
        title_below=0.6 if code in {"CO", "NH", "AS", "MP"} else 0.15,
    )
    looks: list[Style] = []
    for emblem in emblems.split(","):
        looks += _looks(codes, replace(style, emblem=emblem))
    return code, tuple(looks)


_USA = """AL|d8e8f4>f4ecd8/203070/b02030 ffffff>e8f0ff/1c2c6c/b02030 d8e4c0>88b070/202020/203070|Alabama,\
Heart of Dixie|Sweet Home,God Bless America|heart|hills
AK|f0b828/1c2c68 a8d0e8>f4b860/101010/1c2c68|ALASKA|The Last Frontier|flag,bear|
AZ|d0e4ea>f4d0a0/0f4a3c/1c6a60*2 f4f4f4>f0c0a0/104840 8a1c28/f4f4f4*.2|ARIZONA|GRAND CANYON STATE|cactus|\
purple
AR|fcfcfc>d8d8dc/202020/b02838 f4f4f4/181818/b02838|Arkansas|The Natural State|diamond|
CA|fafafa/1c2a5e/c02838*3 fafafa/1c2a6e/1c2a6e*1 f4f0e4>f4e4c8/1c2a6e/c02838*.3 \
101010/f0b820/f0b820/-/-/CALIFORNIA*.9 1c3474/f0c030/f0c030/-/-/CALIFORNIA*.6|California,CALIFORNIA|\
dmv.ca.gov,SESQUICENTENNIAL|heart|
CO|f2f4f2/0f4a34/0f4a34*4 2c6a4c/f4f4f4/f4f4f4*.4 101010/f4f4f4*.5 203c88/f4f4f4*.3 a02030/f4f4f4*.3|\
COLORADO||mountain|snow
CT|a8cdee>fafcff/1c2f6a*3 1c3c98/f4f4f4*.4|Connecticut|Constitution State|outline|
DE|16305e/e8c468*4 101010/f4f4f4*.3 fafafa/16305e|DELAWARE,DEL.|THE FIRST STATE|dot|
FL|fafafa>eef4e8/1d6b48/1d6b48*4 f4f0e0>e0ecd8/206838/d07820*.5|MYFLORIDA.COM,FLORIDA|SUNSHINE STATE,IN GOD \
WE TRUST|orange|
GA|fafafa>f4eee6/202020*3 fafafa>f8e0cc/1c2440/b02838 d8e8f4>f4f0e0/202830|GEORGIA,Georgia|Peach State,IN \
GOD WE TRUST,FULTON,GWINNETT|peach|
HI|fafafa/181818/181818|HAWAII|ALOHA STATE|dot|rainbow
ID|fbf0f0>dde8f2/1a1a2c/f4f4f4/c03038/-*2 fbf4f4>d0e4d8/1a3a8a/c03038|IDAHO,Scenic IDAHO|FAMOUS POTATOES|\
tree|hills
IL|eef4fa>bcd4ea/b01c28/1c2c68*2 fafafa/a82028/1c3a8a f4f4f4>d0dcf0/1c1c2c/1c3a8a*.5|Illinois,ILLINOIS|LAND \
OF LINCOLN|face|skyline
IN|f4f4f0>d8e4ec/1c2a5e*2 fafafa/202060/c02838 203c80>8098c8/f4f4f4*.4|INDIANA|IN GOD WE TRUST,BICENTENNIAL \
1816-2016|torch|hills
IA|a8c8e8>fafafa/1c2448 d8ecf8>fafafa/202020/1c3a8a*2 101010/f4f4f4*.7|IOWA|POLK,LINN,SCOTT|dot|skyline
KS|d4e4f0>f4e8c8/1a2a60*2 b0cce4/1c2858 14244c/f0c040*.7|KANSAS|to the stars|wheat|
KY|d4e6f6>fafafa/182858/182858/-/203c98*2 b8d4ec>e8f0d8/182858|Kentucky|FAYETTE,MADISON,IN GOD WE TRUST,\
UNBRIDLED SPIRIT|horse|hills
LA|fafafa>f4e8d8/1c2f6e/b02838|Louisiana,LOUISIANA|Sportsman's Paradise|pelican|
ME|f4f4ee/202020/1c3a68 f4eedd/1c2c50 e8f0e0/203828|MAINE|Vacationland|tree,bird|
MD|fafafa/101010/101010*2 fafafa>f4ecd8/101010/c02030 d8e8f8>e0ecf0/1c2c6c*.6|MARYLAND,Maryland|\
www.maryland.gov|crest|flag
MA|fafafa/b81c2c/1f4aa0*4 fafafa/1c6a4a/1c6a4a*.3|Massachusetts|The Spirit of America|dot|
MI|fafafa/1f3f7f*3 fafafa/1f2f6f/f4f4f4/2a56a8/-*1.5 1f4aa8/f4f4f4*.3 14306a/f0c040*.5|Michigan,MICHIGAN,\
PURE MICHIGAN|michigan.gov,GREAT LAKES STATE,Water-Winter Wonderland|dot|
MN|c4e0f4>e4f0dc/1c3a78*4 b0d4ee>f4f8f4/182858 101010/f4f4f4*.8|Minnesota|10,000 lakes,EXPLORE|outline|lake
MS|f4f0e0>e8dcb8/1c2c50*2 dce8f4>f4ecd8/202848|MISSISSIPPI|HINDS,RANKIN,JACKSON|seal|
MO|fafafa>dcecf8/182850*2 d4ecdc>d8e8f8/182850|MISSOURI|Show-Me State,BICENTENNIAL|outline|
MT|2a4680/f4f4f4 fafafa>c8d8e8/1a2a5a f4ecd8>d8c8a0/181818 101010/f4f4f4*.5|MONTANA|TREASURE STATE,BIG SKY \
COUNTRY|outline,horse|snow
NE|eceff2/1c2b5a*2 f4f4f8>e8e0c8/202060 c8dcec>f4ecd0/202020|NEBRASKA|HOME OF ARBOR DAY|sower|
NV|c8d8ee>f4dcae/1f3468*3 dce4ee>b8c8dc/1c2c58 3c4c78/e8e8e8*.3|NEVADA|HOME MEANS NEVADA,THE SILVER STATE|\
mountain|snow
NH|dcf0e8>fafafa/1c6a54/1c6a54 fafafa>b8e0d0/205848|NEW HAMPSHIRE|LIVE FREE OR DIE|face|hills
NJ|f2d648>fcfcf8/181818*3 f2e29a>fcfcf0/181818|NEW JERSEY,New Jersey|Garden State|outline|
NM|f2c81e/b82a2c/b82a2c*2 35b0b4/f2c420/f2c420*2 2c2424/f0f0f0*.3|New Mexico USA,NEW MEXICO|Land of \
Enchantment|zia|
NY|e9a42a/1c2650*2 fafafa/1c2c60/1c2c60*2 fafafa/1f2c6a/f4f4f4/1f2c6a/1f2c6a|NEW YORK|EMPIRE STATE,\
EXCELSIOR|outline|
NC|fafafa/1f3f9a/b82838*3 fafafa>e0ecf8/b82838/b82838*.5 fafafa/1f3f9a/1f3f9a|First in Flight,FIRST IN \
FREEDOM,IN GOD WE TRUST|NORTH CAROLINA|plane|
ND|a8d0ee>f2d08a/101828/1c3a8a f0e0c0>d8a860/181818|NORTH DAKOTA|LEGENDARY,Peace Garden State,Discover the \
Spirit|buffalo|hills
OH|dceaf6>d8e8c0/1a2658*2 fafafa/1c2a5a/b02030*2|OHIO|BIRTHPLACE OF AVIATION|plane|farm
OK|c4dff0>f8f8f4/1c3060*2 f4f4f0/181818/b83028 fafafa>e8dcc8/1c3a28|OKLAHOMA|NATIVE AMERICA,Imagine That,\
EXPLORE OKLAHOMA|bird|hills
OR|c8d8ee>dce4e4/1c2850*4 1c3474/f0c030/f0c030*.3 f4f0e4>c8dcc8/202848|OREGON,Oregon|PACIFIC WONDERLAND,\
OREGON TRAIL|tree|purple
PA|fafafa/1c2f6e/f4f4f4/1f3f8f/f0c838*4 f4f0e8/1c2f6e/1c2f6e|PENNSYLVANIA|visitPA.com,LET FREEDOM RING|\
keystone|
RI|dcecf8>fafafa/1a2c60*2 fafafa>c8dcf0/182858|Rhode Island,RHODE ISLAND|Ocean State|wave|wave
SC|fafafa>d8e8f4/1c3058*2 f4f4ee>dce8dc/1c2c58|South Carolina|Smiling Faces,While I Breathe I Hope|palm|
SD|c0daf0>f4f0e4/1a2c5c/b02030*2 d8e8f4>f4f4e8/181818|South Dakota,SOUTH DAKOTA|GREAT FACES. GREAT PLACES.|\
face|snow
TN|f4f8f0>a8c8a0/1a3050 1f3460/f8f8f8*1.5 fafafa/1f3460/c02838|TENNESSEE,Tennessee|The Volunteer State|star|\
hills
TX|fafafa/141414/141414*4 fafafa>e8f0f8/1c2a58/b02838 101010/f4f4f4*.5|TEXAS|The Lone Star State|star,outline|
UT|f4e8dc>f0b888/1c2f60 b4d4ee>fafafa/1c2f60/b04a28 101010/f4f4f4/f4f4f4/-/-/UTAH*.7 fafafa/1c2f60/b02838|\
UTAH,Life Elevated|ARCHES,GREATEST SNOW ON EARTH,IN GOD WE TRUST|arch|snow
VT|1f6a4a/f4f4f4|Vermont|Green Mountain State|sun|
VA|fafafa/1c2f6e*4 fafafa>dce8f8/182860/b02838 101010/f0b830*.2|VIRGINIA|VIRGINIA IS FOR LOVERS,JAMESTOWN \
2007|dot|
WA|dfe8f4>fafafa/1f3f86/b02838*4 e0e8f8>fafafa/1c3478|WASHINGTON,Washington|EVERGREEN STATE|dot|snow
WV|fafafa/1c2c60/f4d858/1f3a86/f0c040*3 fafafa>f8e8a0/182858|West Virginia|Wild Wonderful|outline|
WI|fafafa/181818/b02838*4 f0cc28/181818*.4 101010/f4f4f4*.4|WISCONSIN|America's Dairyland|farm|farm
WY|a8cbe8>f4ecd8/181818 f4ecd8>d8a860/3a2418 fafafa>c8dcec/202840|WYOMING|FOREVER WEST|horse|snow
DC|fafafa/1f3a86/1f3a86*2 fafafa/1c3474/c02030|WASHINGTON DC,DISTRICT OF COLUMBIA|TAXATION WITHOUT \
REPRESENTATION,END TAXATION|dcflag|
PR|fafafa/181818*2 c8e0f0>f4ecd8/101010|PUERTO RICO|Isla del Encanto|tower|
GU|fafafa/1c2c60 d8ecf8>fafafa/181818 f4f0e0>e8f0f8/1c2c60|GUAM U.S.A.,GUAM|TANO Y CHAMORRO,HAFA ADAI|outline|
VI|48b4d8>e8f4f8/101010/c82838*3 fafafa/101828/c82838 fafafa/1c3a8a|U.S. Virgin Islands,U.S. VIRGIN ISLANDS|\
America's Caribbean,AMERICAN PARADISE|flower|wave
AS|fafafa/2c4a98*3 a0d4ec>e0f0e0/181818|AMERICAN SAMOA|MOTU O FIAFIAGA|palm|
MP|fafafa/1c2c60*3 d8ecf8>fafafa/1c2c60|C.N.M.I.-U.S.A.|HAFA ADAI|star|"""

_CANADA = """ON|f6f8fa/1f3f9a*4 fafafa/1c2c60|ONTARIO|YOURS TO DISCOVER,A PLACE TO GROW|crown|
QC|f6f8fa/1f3f8f*4 fafafa/181818|Québec|Je me souviens|lily|
BC|f6f8fa/1f3a8a*4 d8e8f4>f4f4f0/1c2c60|British Columbia,BRITISH COLUMBIA|Beautiful,The Best Place on Earth|\
flag|snow
AB|f8f6f4/c02030*4 fafafa/1c2c60|Alberta|Wild Rose Country|dot|
SK|fafafa/1c7a3c*3 f4f8f0>e0ecc8/1c6a3c|Saskatchewan|Land of Living Skies|wheat|
MB|f4f4f0>c8dce8/1c2c60 d8ecf4>f0f4e8/1c2c60/1c6a3c|Manitoba|Friendly|buffalo|lake
NS|fafafa/1f3f9a*3 dcecf8>f4f8fa/1f3f9a|NOVA SCOTIA|Canada's Ocean Playground|ship|
NB|fafafa/a81c28*2 fafafa/181818/b02838|New Brunswick,NEW Nouveau BRUNSWICK|Be in this place,CANADA|ship|
NL|fafafa/1c2c60/b02838*2 fafafa/b02838|Newfoundland and Labrador,NEWFOUNDLAND & LABRADOR|Canada's far east,\
A World of Difference|flower|
PE|fafafa>d0e4d0/1c3a8a fafafa>f0d8c8/181818/b02838|Prince Edward Island,PRINCE EDWARD ISLAND|Birthplace of \
Confederation,Canada's Green Province,The Gentle Island|wave|wave
YT|fafafa/181818 f4f0e4>dce4ec/181818/b02838|Yukon,YUKON|The Klondike,Larger than Life|sower|
NT|fafafa>b8d8f0/1c2c60 a8cdee/f8f8f8|NORTHWEST TERRITORIES|SPECTACULAR,EXPLORE CANADA'S ARCTIC|bear|
NU|f4f4f0>c8dcec/1c2c60 1c3468>4880a8/f4f4f4|NUNAVUT|OUR LAND OUR STRENGTH|bear|snow"""

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


_BRAZILIAN_CITIES = (
    ("SP", "SAO PAULO"),
    ("RJ", "RIO DE JANEIRO"),
    ("MG", "BELO HORIZONTE"),
    ("PR", "CURITIBA"),
    ("RS", "PORTO ALEGRE"),
    ("BA", "SALVADOR"),
    ("SP", "CAMPINAS"),
    ("PE", "RECIFE"),
    ("DF", "BRASILIA"),
    ("SC", "JOINVILLE"),
)


def _one(aspect: tuple[float, float], codes: str, **more: object) -> tuple[Style, ...]:
    return _looks(codes, replace(Style(aspect, (), ()), **more))  # type: ignore[arg-type]  # typed by Style


def _build() -> dict[str, tuple[Style, ...]]:
    looks: dict[str, tuple[Style, ...]] = {}
    for row in _USA.splitlines():
        code, of_state = _american(row)
        looks[f"US-{code}"] = of_state
    for row in _CANADA.splitlines():
        code, of_province = _american(row)
        looks[f"CA-{code}"] = tuple(replace(look, text_height=(0.38, 0.52)) for look in of_province)
    for country, codes in _BANDED.items():
        looks[country] = _one(
            (4.2, 5.1),
            codes,
            band=_BAND_LETTERS.get(country, country),
            right_band=country in {"FR", "IT"},
            fixed_pitch=0.1,
            emblem=_EMBLEMS.get(country, "dot"),
        )
    # White in front and yellow behind; black with silver letters only on cars older than the present series.
    looks["GB"] = _one(
        (4.0, 5.1), "f4f4f0/101010*2 f4c418/101010 f0b010/101010", band="GB", fixed_pitch=0.3
    ) + _one(
        (4.0, 5.1),
        "181818/d8d8d8*3",
        fixed_pitch=0.3,
        lines=r"[A-Z]{3} ?\d{1,4}[A-Z]?|\d{1,4} ?[A-Z]{1,3}|[A-Z]{1,2} ?\d{1,4}",
    )
    looks["CH"] = _one((4.0, 4.9), _WHITE, emblem="crest")
    looks["RU"] = _one((4.4, 4.8), _WHITE, emblem="bar")
    grey_br = {"text_height": (0.5, 0.64), "emblem": "dot", "lines": r"[A-Z]{3}[-. *]?\d{4}"}
    looks["BR"] = _one(
        (2.9, 3.3),
        "f4f4f2/101010*5 f4f4f2/b01820 f4f4f2/1c5a30*.3 f4f4f2/1c3a8a*.3",
        top_band="BRASIL",
        text_height=(0.52, 0.66),
        emblem="dot",
        lines=r"[A-Z]{3}[- ]?\d[A-Z]\d{2}",
    ) + _one(
        (2.9, 3.3),
        "b4b6b8/141414*4 a4a8ac/101010*2 c4c4c0/181818*2 b01820/f4f4f4*1.5 f0f0ee/b01820*.3",
        titles=tuple(f"{uf} - {city}" for uf, city in _BRAZILIAN_CITIES),
        **grey_br,
    )
    looks["AR"] = _one(
        (2.9, 3.2),
        "f4f4f0/101010",
        top_band="REPUBLICA ARGENTINA",
        text_height=(0.5, 0.62),
        lines=r"[A-Z]{2} ?\d{3} ?[A-Z]{2}",
    ) + _one(
        (2.9, 3.2),
        "101010/f0f0f0",
        titles=("ARGENTINA",),
        text_height=(0.5, 0.62),
        lines=r"[A-Z]{3} ?\d{3}",
    )
    looks["PK"] = _one(
        (1.9, 3.0),
        "f4f4f0/181830 f4f4f0/101010 f4c020/101010 101010/f4f4f4",
        text_height=(0.36, 0.56),
        titles=("ICT", "", "GOVT OF SINDH", "PUNJAB", ""),
        slogans=("ISLAMABAD", "SINDH", "ICT-ISLAMABAD"),
    )
    looks["IN"] = _one(
        (3.4, 4.6), f"{_WHITE} {_WHITE} f4c020/101010 181818/f4d030", band="IND", fixed_pitch=0.3
    )
    looks["AU"] = _one(
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
        looks[country] = _one(aspect, _WHITE, text_height=(0.5, 0.7), emblem=emblem)
    looks["CO"] = _one(
        (2.0, 2.3),
        "f4c818/101010",
        slogans=("BOGOTA D.C.", "MEDELLIN", "CALI"),
        text_height=(0.5, 0.62),
        emblem="dot",
    )
    looks["ID"] = _one(
        (2.9, 3.3),
        "141414/e8e8e8 141414/e8e8e8 f4f4f0/101010",
        slogans=("05.27", "11.29"),
        text_height=(0.48, 0.62),
    )
    looks["MY"] = _one((3.4, 4.6), "141414/f4f4f4", text_height=(0.5, 0.7))
    looks["SG"] = _one((3.4, 4.6), "141414/f4f4f4 f4f4f0/101010", text_height=(0.5, 0.7))
    looks["NZ"] = _one((2.7, 3.1), _WHITE, text_height=(0.6, 0.75))
    return looks


LOOKS = _build()
"""By jurisdiction, one entry for every issuer of `training.formats`."""


def _merged(looks: tuple[Style, ...]) -> Style:
    """All colours of *looks* in the proportions of their first one."""
    repeated = [look for look in looks for _ in range(max(1, round(look.weight * 3)))]
    return replace(
        looks[0],
        grounds=tuple(ground for look in repeated for ground in look.grounds),
        inks=tuple(ink for look in repeated for ink in look.inks),
        titles=tuple(dict.fromkeys(title for look in looks for title in look.titles)),
        title_ink=None,
        top_bar=None,
        bottom_bar=None,
        lines="",
    )


STYLES = {jurisdiction: _merged(looks) for jurisdiction, looks in LOOKS.items()}
"""By jurisdiction, all looks in one; `style_for` is the better choice where the line is known."""


def style_for(jurisdiction: str, line: str, rng: np.random.Generator) -> Style:
    """Return one look of *jurisdiction* that goes with the drawn *line*; it has one ground and one ink.

    Raises KeyError if the jurisdiction is unknown.
    """
    looks = LOOKS[jurisdiction]
    fitting = [look for look in looks if not look.lines or re.fullmatch(look.lines, line)]
    fitting = fitting or list(looks)
    weights = np.array([look.weight for look in fitting])
    return fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))]
