"""Turns what a reader calls the issuer of a plate into a jurisdiction code."""

from recognizer.plate import Jurisdiction

# ISO 3166-1 alpha-2 of the country names that fast-plate-ocr's global models put out.
_COUNTRIES = {
    "Albania": "AL", "Andorra": "AD", "Argentina": "AR", "Armenia": "AM", "Australia": "AU",
    "Austria": "AT", "Azerbaijan": "AZ", "Bahrain": "BH", "Belarus": "BY", "Belgium": "BE",
    "Bosnia and Herzegovina": "BA", "Brazil": "BR", "Bulgaria": "BG", "Cambodia": "KH", "Canada": "CA",
    "Croatia": "HR", "Cyprus": "CY", "Czech Republic": "CZ", "Denmark": "DK", "Estonia": "EE",
    "Finland": "FI", "France": "FR", "Georgia": "GE", "Germany": "DE", "Gibraltar": "GI", "Greece": "GR",
    "Guernsey": "GG", "Hungary": "HU", "Iceland": "IS", "Indonesia": "ID", "Ireland": "IE", "Israel": "IL",
    "Italy": "IT", "Latvia": "LV", "Liechtenstein": "LI", "Lithuania": "LT", "Luxembourg": "LU",
    "Malaysia": "MY", "Malta": "MT", "Mexico": "MX", "Moldova": "MD", "Monaco": "MC", "Montenegro": "ME",
    "Netherlands": "NL", "New Zealand": "NZ", "North Macedonia": "MK", "Norway": "NO", "Poland": "PL",
    "Portugal": "PT", "Qatar": "QA", "Romania": "RO", "San Marino": "SM", "Serbia": "RS", "Singapore": "SG",
    "Slovakia": "SK", "Slovenia": "SI", "Spain": "ES", "Sweden": "SE", "Switzerland": "CH",
    "Thailand": "TH", "Turkey": "TR", "United States": "US", "Ukraine": "UA", "United Kingdom": "GB",
    "Vietnam": "VN",
}  # fmt: skip


def jurisdiction(label: str) -> Jurisdiction | None:
    """Return the ISO 3166 code that a reader's region *label* means; None for "Unknown" and for names not
    known.

    Labels that are codes already ("PL", "US-CA") are taken as they are.
    """
    if label in _COUNTRIES:
        return Jurisdiction(_COUNTRIES[label])
    country, dash, part = label.partition("-")
    if len(country) == 2 and _upper(country) and bool(dash) == (1 <= len(part) <= 3 and _upper(part)):
        return Jurisdiction(label)
    return None


def _upper(text: str) -> bool:
    return text.isascii() and text.isalnum() and text == text.upper()
