"""Phone numbers in a text: a run of digits that is valid in a numbering plan (`phonenumbers`, extra `clean`) and looks like or is named a phone number.

    "+33 1 42 68 53 00"                   with a country's code: valid in that country's plan
    "(212) 555-0147", "07700 900461"      a form that is used for phone numbers only: valid in the plan of a country that writes them so
    "Tel. 22 85 50 50"                    any form, after a word such as "phone": valid in any of the plans

A date, a price, an ISBN, an order number is none: by its form, or by the word before it. The plans alone don't tell: one random number of ten digits in
three is valid somewhere.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from groundup.errors import require_extra

EXTRA, PACKAGE = "clean", "phonenumbers"

# A run of digits with at most one space, hyphen, point, slash or bracket between two, and a space beside a bracket or slash.
_BETWEEN = r"(?:[ \u00a0]?[().\-/–‑][ \u00a0(]?|[ \u00a0])"
CANDIDATE = re.compile(rf"(?<![\w.,$€£¥#@/\-])(?:\+[ ]?)?\(?\d(?:{_BETWEEN}?\d){{6,}}+(?![\w%€£¥°]|[.,:]\d|-\w)")
MIN_DIGITS, MAX_DIGITS = 7, 15  # E.164: at most 15

# Words before a number, in the languages of the examples; each is the beginning of words.
NAMED = re.compile(
    r"(?:\b(?:tel|phone|fax|mobile|mobil|cell|call|ring|dial|text|whatsapp|landline|contact|hotline|reach|nummer ist|number is|handy|rufen|ruf|"
    r"t[ée]l|portable|appel|joignable|ll[aá]m|m[oó]vil|tel[eé]f|chiam|ligue|fone|celular|bel\b|bel op|mobiel|zadzwo|kom\b|tlf|volejte|"
    r"тел|моб|звон|τηλ|κιν)|電話|携帯|内線|电话|電話|手机|연락처|전화|טלפון|נייד|फ़ोन|संपर्क|هاتف|جوال)[^\d\n]{0,25}$",
    re.IGNORECASE,
)
OTHER = re.compile(
    r"(?:\b(?:isbn|issn|ean|doi|oclc|lccn|orders?|invoice|tracking|serial|patent|lot|batch|case|model|part|item|id|ids|ref|imei|ssn|room|"
    r"siret|siren|cnpj|cpf|nif|nip|regon|inn|инн|гост|abn|acct|account|konto|sort code|art|aktenzeichen|version|barcode|epoch|time|pid|"
    r"figs?|pp?|pages?|no|nr|num|n°|chr)|№|号)[.:#]?[^\w\n]{0,3}$",
    re.IGNORECASE,
)
DATE = re.compile(
    r"(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])|(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:19|20)\d\d"
    r"|(?:19|20)\d\d ?[-–/] ?(?:19|20)\d\d"
)
BEFORE_CHARACTERS = 40

# Forms that say phone number by themselves, and the countries that write them so.
FORMS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(form), tuple(regions.split()))
    for form, regions in (
        (r"(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d([-.]))[2-9]\d\d(?:\1|[-. ])\d{4}", "US"),  # (212) 555-0147
        (r"0\d(?:([ .])\d\d)(?:\1\d\d){3}", "FR"),  # 01 99 00 12 34
        (r"\(?0\d{2,4}\)? \d{3,4} ?\d{3,4}", "GB IE"),  # 020 7946 0958, 07700 900461
        (r"\(0[2378]\) \d{4} \d{4}|04\d\d \d{3} \d{3}", "AU"),
        (r"0\d{1,3}-\d{3,4}-\d{4}", "JP KR"),
        (r"\(?0\d{2,4}\)?(?: ?[/-] ?| )\d{3,8}(?:[ -]\d{2,4})*", "DE AT CH NL SE"),
        (r"\(\d\d\) 9?\d{4}-\d{4}", "BR"),
        (r"8 ?\(\d{3}\) ?\d{3}-\d\d-\d\d", "RU"),
    )
)
# Plans in which a number that is named a phone number may be valid.
REGIONS = tuple(
    [
        "US",
        "GB",
        "DE",
        "FR",
        "ES",
        "IT",
        "NL",
        "BE",
        "AT",
        "CH",
        "PT",
        "BR",
        "PL",
        "CZ",
        "RU",
        "UA",
        "TR",
        "GR",
        "SE",
        "DK",
        "NO",
        "FI",
        "JP",
        "CN",
        "KR",
        "IN",
        "AU",
        "IE",
        "ZA",
        "MX",
        "AR",
        "IL",
        "NG",
        "SA",
    ]
)


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Yield the place (start, end) of each phone number. Raises MissingExtra where the package is not installed."""
    for match in CANDIDATE.finditer(text):
        before = text[max(0, match.start() - BEFORE_CHARACTERS) : match.start()]
        if _is_phone(match[0], before):
            yield match.span()


def _is_phone(number: str, before: str) -> bool:
    if not MIN_DIGITS <= sum(map(str.isdigit, number)) <= MAX_DIGITS + 1:
        return False
    if number.startswith(("+", "00")) and _is_valid("+" + number.lstrip("+0 "), None):
        return True
    if DATE.search(number) or OTHER.search(before):
        return False
    if NAMED.search(before):
        return any(_is_valid(number, region) for region in REGIONS)
    return any(
        form.fullmatch(number) and any(_is_valid(number, region) for region in regions) for form, regions in FORMS
    )


def _is_valid(number: str, region: str | None) -> bool:
    """Return whether this is a number of the region's plan; without a region, of the country whose code it begins with."""
    library = _phonenumbers()
    try:
        return bool(library.is_valid_number(library.parse(number, region)))
    except library.NumberParseException:
        return False


@cache
def _phonenumbers() -> Any:
    require_extra(EXTRA, PACKAGE)
    import phonenumbers

    return phonenumbers
