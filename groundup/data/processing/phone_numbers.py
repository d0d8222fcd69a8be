"""Phone numbers in a text: runs of digits that are written like phone numbers, or that a word
before them calls one.

    "+33 1 42 68 53 00"                   with a country's code
    "(212) 555-0147", "07700 900461"      a form that is used for phone numbers only
    "Tel. 22 85 50 50"                    any form, after a word such as "phone"

A date, a price, an ISBN, an order number is none: by its form, or by the word before it. The
numbering plans of the library `phonenumbers` were tried and left out: nearly every run of eight to
eleven digits is valid in some country's plan, so the plans change no answer on the 300 examples.
"""

import re
from collections.abc import Iterator

# Letters of scripts with spaces between words: a number may stand between Japanese characters.
_WORD = "A-Za-zÀ-ɏͰ-ϿЀ-ӿ0-9_"
# A run of digits with at most one space, hyphen, point or slash between two, and spaces beside it;
# brackets hold an area's number at its beginning. It begins with one character class and looks back
# from there, which is fast.
_FIRST = r"[+(\[\d]"
_BETWEEN = r"(?:[ \u00a0]?[.\-/–‑][ \u00a0]?|[ \u00a0])"
CANDIDATE = re.compile(
    rf"{_FIRST}(?<![{_WORD}.,$€£¥#@/\-+]{_FIRST})(?<!\d:{_FIRST})(?:(?<=\[)\+?\d{{1,3}}\] ?)?"
    rf"(?:(?:\d{{0,3}}[ .-]?\(|(?<=\())\d{{1,5}}\){_BETWEEN}?| ?)\d?(?:{_BETWEEN}?\d){{5,}}+(?![{_WORD}%€£¥°]|[.,:]\d|-\w)"
)
COUNTRY_CODE = re.compile(r"\+(?! )|\[\+?(?=\d{1,3}\])|00 ?(?=[1-9])")
# Of national numbers, and of those with a country's code (E.164 allows 15, no country has more than
# 13).
NATIONAL_DIGITS, INTERNATIONAL_DIGITS = range(8, 13), range(8, 14)

# Words before a number, in the languages of the examples: what it is, and with less between, what
# to do with it.
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
_YEAR, _MONTH, _DAY, _PART = (
    r"(?:19|20)\d\d",
    "(?:0?[1-9]|1[0-2])",
    r"(?:0?[1-9]|[12]\d|3[01])",
    "[-./ ]",
)
NO_PHONE = re.compile(
    rf".*(?:{_YEAR}{_PART}{_MONTH}{_PART}{_DAY}|{_DAY}{_PART}{_DAY}{_PART}{_YEAR}|{_YEAR} ?[-–/] ?{_YEAR}).*"
    rf"|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|\d{{5}}-\d{{4}}"
)
BEFORE_CHARACTERS = 40

# Forms that say phone number by themselves.
_FORMS = (
    r"(?:1[-. ])?(?:\([2-9]\d\d\) ?[2-9]\d\d[-. ]|[2-9]\d\d([-.])[2-9]\d\d\1)\d{4}",  # North America: (212) 555-0147
    r"0[1-9](?:([ .])\d\d)(?:\2\d\d){3}",  # France: 01 99 00 12 34
    r"\(?0[1-9]\d{1,3}\)? \d{3,4} ?\d{3,4}",  # Great Britain, Ireland: 020 7946 0958, 07700 900461
    r"0[12378]\d{9}",  # Great Britain: 07700900461
    r"\(0[2378]\) \d{4} \d{4}|04\d\d \d{3} \d{3}",  # Australia
    r"0[1-9]\d{0,2}-\d{3,4}-\d{4}",  # Japan, Korea
    r"\(?0[1-9]\d{1,3}\)?(?: ?[/-] ?| )(?:\d{5,8}|\d{3,5}(?:[ -]\d{2,4})+)",  # Germany, Austria, Switzerland, Netherlands, Sweden
    r"\(\d\d\) 9?\d{4}-\d{4}",  # Brazil
    r"8 ?\(\d{3}\) ?\d{3}-\d\d-\d\d",  # Russia
)
FORM = re.compile("|".join(f"(?:{form})" for form in _FORMS))


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Yield the place (start, end) of each phone number."""
    for match in CANDIDATE.finditer(text):
        before = text[max(0, match.start() - BEFORE_CHARACTERS) : match.start()]
        if _is_phone(match[0], before):
            yield match.span()


def _is_phone(number: str, before: str) -> bool:
    with_country = COUNTRY_CODE.match(number)
    if with_country:
        digits = "".join(filter(str.isdigit, number[with_country.end() :]))
        return len(digits) in INTERNATIONAL_DIGITS and digits[0] != "0"
    if sum(map(str.isdigit, number)) not in NATIONAL_DIGITS:
        return False
    if NO_PHONE.fullmatch(number) or OTHER.search(before):
        return False
    return FORM.fullmatch(number) is not None or NAMED.search(before) is not None
