"""Phone numbers in a text: a run of digits that is valid in a numbering plan (`phonenumbers`, extra `clean`) and looks like one or is named one.

    "+33 1 42 68 53 00"                   with a country's code: valid in that country's plan
    "(212) 555-0147", "07700 900461"      a form that is used for phone numbers only: valid in the plan of a country that writes them so
    "Tel. 22 85 50 50"                    any form, after a word such as "phone": valid in any of the plans

A date, a price, an ISBN, an order number is none: by its form, or by the word before it. The plans alone don't tell: most runs of eight to eleven
digits are valid somewhere.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from groundup.errors import require_extra

EXTRA, PACKAGE = "clean", "phonenumbers"

# Letters of scripts with spaces between words: a number may stand between Japanese characters.
_WORD = "A-Za-zÀ-ɏͰ-ϿЀ-ӿ0-9_"
# A run of digits with at most one space, hyphen, point or slash between two, and spaces beside it; brackets hold an area's number at its beginning.
# It begins with one character class and looks back from there, which is fast.
_FIRST = r"[+(\[\d]"
_BETWEEN = r"(?:[ \u00a0]?[.\-/–‑][ \u00a0]?|[ \u00a0])"
CANDIDATE = re.compile(
    rf"{_FIRST}(?<![{_WORD}.,$€£¥#@/\-+]{_FIRST})(?:(?<=\[)\+?\d{{1,3}}\] ?)?"
    rf"(?:(?:\d{{0,3}}[ .-]?\(|(?<=\())\d{{1,5}}\){_BETWEEN}?| ?)\d?(?:{_BETWEEN}?\d){{5,}}+(?![{_WORD}%€£¥°]|[.,:]\d|-\w)"
)
COUNTRY_CODE = re.compile(r"\+ ?|\[\+?(?=\d{1,3}\])|00 ?(?=[1-9])")
MIN_DIGITS, MAX_DIGITS = 8, 15  # E.164: at most 15

# Words before a number, in the languages of the examples: what it is, and with less between, what to do with it.
NAMED = re.compile(
    r"(?:(?:\b(?:(?:tele)?phone|tel\b(?! aviv)|telef|fax|mobiles?\b|mobil\b|cell\b|whatsapp|landline|contact|hotline|number is|handy|nummer ist|"
    r"t[ée]l\b|t[ée]l[ée]ph|portable|m[oó]vil|cell\.|fone|celular|mobiel|kom\b|tlf|тел|моб|τηλ|κιν)|電話|携帯|内線|电话|手机|연락처|전화|טלפון|נייד|फ़ोन|"
    r"संपर्क|هاتف|جوال)[^\d\n]{0,20}"
    r"|\b(?:call|ring|dial|text|reach|rufen|ruf|appele[rz]|joignable|ll[aá]m\w*|chiam\w*|ligue|bel|zadzwoń|volejte|звоните)\b[^\d\n.;=]{0,15})$",
    re.IGNORECASE,
)
OTHER = re.compile(
    r"(?:\b(?:isbn|issn|ean|doi|oclc|lccn|orders?|invoice|tracking|serial|patent|lot|batch|case|model|part|item|id|ids|ref|imei|ssn|room|bug|"
    r"issue|ticket|siret|siren|cnpj|cpf|nif|nip|regon|inn|инн|гост|abn|acct|account|konto|sort code|art|aktenzeichen|version|barcode|epoch|time|"
    r"pid|figs?|pp?|pages?|no|nr|num|n°|chr)|№|号)[.:#]?[^\w\n]{0,3}$",
    re.IGNORECASE,
)
# Dates, ranges of years, and the American ZIP+4.
_YEAR, _MONTH, _DAY, _PART = r"(?:19|20)\d\d", "(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])", "[-./ ]"
NO_PHONE = re.compile(
    rf".*(?:{_YEAR}{_PART}{_MONTH}{_PART}{_DAY}|{_DAY}{_PART}{_DAY}{_PART}{_YEAR}|{_YEAR} ?[-–/] ?{_YEAR}).*"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|\d{{5}}-\d{{4}}"
)
BEFORE_CHARACTERS = 40

# Forms that say phone number by themselves, and the countries that write them so.
FORMS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(form), tuple(regions.split()))
    for form, regions in (
        (r"(?:1[-. ])?(?:\([2-9]\d\d\) ?[2-9]\d\d[-. ]|[2-9]\d\d([-.])[2-9]\d\d\1)\d{4}", "US"),  # (212) 555-0147
        (r"0\d(?:([ .])\d\d)(?:\1\d\d){3}", "FR"),  # 01 99 00 12 34
        (r"\(?0\d{2,4}\)? \d{3,4} ?\d{3,4}", "GB IE"),  # 020 7946 0958, 07700 900461
        (r"0[12378]\d{9}", "GB"),  # 07700900461: eleven digits
        (r"\(0[2378]\) \d{4} \d{4}|04\d\d \d{3} \d{3}", "AU"),
        (r"0\d{1,3}-\d{3,4}-\d{4}", "JP KR"),
        (r"\(?0\d{2,4}\)?(?: ?[/-] ?| )(?:\d{5,8}|\d{3,5}(?:[ -]\d{2,4})+)", "DE AT CH NL SE"),
        (r"\(\d\d\) 9?\d{4}-\d{4}", "BR"),
        (r"8 ?\(\d{3}\) ?\d{3}-\d\d-\d\d", "RU"),
    )
)
# Plans in which a number that is named a phone number may be valid.
_REGIONS = "US GB DE FR ES IT NL BE AT CH PT BR PL CZ RU UA TR GR SE DK NO FI JP CN KR IN AU IE ZA MX AR IL NG SA"
REGIONS = tuple(_REGIONS.split())


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Yield the place (start, end) of each phone number. Raises MissingExtra where the package is not installed."""
    for match in CANDIDATE.finditer(text):
        before = text[max(0, match.start() - BEFORE_CHARACTERS) : match.start()]
        if _is_phone(match[0], before):
            yield match.span()


def _is_phone(number: str, before: str) -> bool:
    if not MIN_DIGITS <= sum(map(str.isdigit, number)) <= MAX_DIGITS + 1:
        return False
    named = NAMED.search(before)
    if with_country := COUNTRY_CODE.match(number):
        return _is_valid("+" + number[with_country.end() :], None, possible=bool(named))
    if NO_PHONE.fullmatch(number) or OTHER.search(before):
        return False
    if named:
        return any(_is_valid(number, region) for region in REGIONS)
    return any(
        form.fullmatch(number) and any(_is_valid(number, region) for region in regions) for form, regions in FORMS
    )


def _is_valid(number: str, region: str | None, *, possible: bool = False) -> bool:
    """Return whether this is a number of the region's plan; without a region, of the country whose code it begins with. `possible`: its length is."""
    library = _phonenumbers()
    try:
        parsed = library.parse(number, region)
        return bool(library.is_possible_number(parsed) if possible else library.is_valid_number(parsed))
    except library.NumberParseException:
        return False


@cache
def _phonenumbers() -> Any:
    require_extra(EXTRA, PACKAGE)
    import phonenumbers

    return phonenumbers
