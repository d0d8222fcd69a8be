"""Personal data in a text: mail addresses, account (IBAN) and card numbers, IP addresses, phone
numbers. Found, and replaced by typed marks.

    find(text) -> [Found("phone", 11, 25), ...]
    replace(text).text: "Call us at <phone>."    replace(text).counts: {"phone": 1}

A candidate comes from a cheap search for what it cannot be without ("@", ":", a run of digits);
then it has to prove itself: by check digits (IBAN: mod 97, ISO 13616; cards: Luhn, ISO/IEC 7812),
by its form, or by the word before it:

    "+33 1 42 68 53 00"                   with a country's code
    "(212) 555-0147", "07700 900461"      a form that is used for phone numbers only
    "Tel. 22 85 50 50"                    any form, after a word such as "phone"

Precision and recall on 300 written examples are in docs/processing.md. The numbering plans of the
library `phonenumbers` were tried and left out: nearly every run of eight to eleven digits is valid
in some country's plan, so the plans change no answer on the examples.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from groundup.errors import ConfigError, did_you_mean

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
EMAIL, IBAN, CARD, IP, PHONE = "email", "iban", "card", "ip", "phone"
# In the order in which they are looked for: what one finds, the later ones don't see.
KINDS = (EMAIL, IBAN, CARD, IP, PHONE)
REASON = "personal data"
# Latin, Greek and Cyrillic: an address may stand between Chinese characters without spaces.
_LETTER = "A-Za-zÀ-ɏͰ-ϿЀ-ӿ"
LOCAL_CHARACTERS, DOMAIN_CHARACTERS = 64, 255  # RFC 5321
LOCAL_PART = re.compile(rf"[{_LETTER}0-9_](?:[{_LETTER}0-9_.+%&'-]*[{_LETTER}0-9_+-])?\Z")
_LABEL = rf"[{_LETTER}0-9](?:[{_LETTER}0-9-]{{0,61}}[{_LETTER}0-9])?"
DOMAIN = re.compile(rf"(?:{_LABEL}\.)+([{_LETTER}]{{2,24}})(?![{_LETTER}0-9@])")
_ENDINGS = "png jpg jpeg gif svg webp bmp ico pdf js css json html xml py java cpp txt csv zip gz"
FILE_ENDINGS = frozenset(_ENDINGS.split())
# Characters of an IBAN by country (ISO 13616 registry).
_IBAN_COUNTRIES = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST",
    26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA",
    30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
IBAN_LENGTHS = {
    country: length
    for length, countries in _IBAN_COUNTRIES.items()
    for country in countries.split()
}
# The searches begin with a digit and look back from there: digits are rare, and a search for one
# character class is fast.
IBAN_START = re.compile(r"\d(?<=(?<![A-Za-z0-9])[A-Za-z]{2}\d)\d(?=[ -]?[A-Za-z0-9])")
# Prefixes and lengths of payment cards. 5018 to 6763: Maestro.
CARDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}|62\d{14,17}"
    r"|(?:5018|5020|5038|6304|6759|676[1-3])\d{8,15}"
)
CARD_CANDIDATE = re.compile(r"\d(?<![\w.,-]\d)(?:[ -]?\d){12,18}+(?![\w]|[.,-]\d)")
CARD_GROUPS = frozenset({
    (4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 6, 5), (4, 6, 4),
    (4, 4, 4, 1), (6, 13), (4, 4, 4, 2),
})  # fmt: skip
IPV4 = re.compile(r"\d(?<![\w.-]\d)(?<![A-Za-z]/\d)\d{0,2}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
# What stands before a number in four parts that is no address.
VERSION_WORD = re.compile(
    r"(?:versions?|release|firmware|build|section|chapter|kapitel|oid|update|driver|§|[=<>~]=|\bv\.?)\W{0,3}$",
    re.IGNORECASE,
)
# Where the first number or all are as small as in "1.9.99.15", it is an address only after a word
# like these on its line.
SMALL_FIRST, SMALL_PARTS, CONTEXT_CHARACTERS = 20, 100, 40
ADDRESS_WORD = re.compile(
    r"\bip\b|addr|adress|host|server|client|log(?:ged)? ?in|\bping|ssh|dns|user|connect|banned|://$",
    re.IGNORECASE,
)
IPV6_MARK = re.compile(r":[0-9A-Fa-f]{0,4}:")
IPV6_CHARACTERS = 39
# The addresses in public use; a slice ("[1::2]") or a name ("c10::") has fewer groups.
IPV6_PUBLIC, IPV6_GROUPS = IPv6Network("2000::/3"), 3
_HEX = frozenset("0123456789abcdefABCDEF:")


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


@dataclass(frozen=True, slots=True)
class PersonalDataMatch:
    """Personal data in a text, from character `start` to before `end`."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Replaced:
    """A text with marks in place of the personal data."""

    text: str
    counts: Counter[str] = field(default_factory=Counter)
    """kind -> number."""


def replace(text: str, kinds: Collection[str] = KINDS) -> Replaced:
    """Return the text with each piece of personal data replaced by "<email>", "<iban>", "<card>",
    "<ip>" or "<phone>".

    >>> replace("Write to jane@example.org.").text
    'Write to <email>.'
    """
    found = find(text, kinds)
    parts, end = [], 0
    for each in found:
        parts += [text[end : each.start], f"<{each.kind}>"]
        end = each.end
    return Replaced("".join([*parts, text[end:]]), Counter(each.kind for each in found))


def reason_to_drop(text: str, kinds: Collection[str] = KINDS) -> str | None:
    """Return "personal data: email, phone" with the kinds found in the text, or None."""
    found = {each.kind for each in find(text, kinds)}
    if not found:
        return None
    return f"{REASON}: {', '.join(kind for kind in KINDS if kind in found)}"


def find(text: str, kinds: Collection[str] = KINDS) -> list[PersonalDataMatch]:
    """Return the personal data of these kinds in the order of the text; none overlap."""
    found: list[tuple[int, int, str]] = []  # in the order of the text, none overlapping
    # all kinds: a card number is no phone number, also where cards are not asked for
    for kind in KINDS:
        places = _FINDERS[kind](text)
        new = [(start, end, kind) for start, end in places if _is_free(start, end, found)]
        found = sorted([*found, *new])
    return [PersonalDataMatch(kind, start, end) for start, end, kind in found if kind in kinds]


def _is_free(start: int, end: int, found: list[tuple[int, int, str]]) -> bool:
    place = bisect_left(found, (end,))
    return place == 0 or found[place - 1][1] <= start


def check_kinds(kinds: Iterable[str]) -> None:
    """Raise ConfigError at a kind that is not known."""
    for kind in kinds:
        if kind not in KINDS:
            fix = f"{did_you_mean(kind, KINDS)} The kinds are {', '.join(KINDS)}."
            raise ConfigError(f"Personal data has no kind {kind!r}.", fix=fix)


def _emails(text: str) -> Iterator[tuple[int, int]]:
    at = text.find("@")
    while at >= 0:
        found = _email_at(text, at)
        if found:
            yield found
        at = text.find("@", at + 1)


def _email_at(text: str, at: int) -> tuple[int, int] | None:
    """Return start and end of the mail address around an "@"."""
    local = LOCAL_PART.search(text[max(0, at - LOCAL_CHARACTERS) : at])
    if not local:
        return None
    domain = DOMAIN.match(text, at + 1, at + 1 + DOMAIN_CHARACTERS)
    if not domain or domain[1].lower() in FILE_ENDINGS:
        return None
    if _is_git(local[0], text[domain.end() :][:2]):
        return None
    return at - len(local[0]), domain.end()


def _is_git(local: str, after: str) -> bool:
    """Return whether this is the beginning of "git@github.com:owner/name"."""
    return local == "git" and after[:1] == ":" and not after[1:].isspace()


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in IBAN_START.finditer(text):
        start = match.start() - 2
        length = IBAN_LENGTHS.get(text[start : start + 2].upper())
        if length is None:
            continue
        end = _end_of(text, start, length)
        if end and _mod_97(text[start:end]) == 1:
            yield start, end


def _end_of(text: str, start: int, length: int) -> int | None:
    """Return where `length` ASCII letters and digits end, with at most one space or hyphen between
    two; None if it is something else.
    """
    place, left = start, length
    while left and place < len(text):
        if text[place].isascii() and text[place].isalnum():
            left -= 1
        elif text[place] not in " \u00a0-" or text[place - 1] in " \u00a0-":
            return None
        place += 1
    if left or text[place : place + 1].isalnum():
        return None
    return place


def _mod_97(iban: str) -> int:
    plain = "".join(filter(str.isalnum, iban)).upper()
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in CARD_CANDIDATE.finditer(text):
        groups = re.split("[ -]", match[0])
        digits = "".join(groups)
        printed = len(groups) == 1 or tuple(map(len, groups)) in CARD_GROUPS
        if printed and CARDS.fullmatch(digits) and _luhn(digits):
            yield match.span()


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(each // 10 + each % 10 for each in doubled) % 10 == 0


def _ips(text: str) -> Iterator[tuple[int, int]]:
    for match in IPV4.finditer(text):
        before = text[max(0, match.start() - CONTEXT_CHARACTERS) : match.start()]
        if _is_public_4(match[0]) and not _is_version(match[0], before):
            yield match.span()
    last = 0
    for match in IPV6_MARK.finditer(text):
        if match.start() < last:
            continue
        start, end = match.span()
        while start > max(last, match.start() - IPV6_CHARACTERS) and text[start - 1] in _HEX:
            start -= 1
        while end < min(len(text), start + IPV6_CHARACTERS) and text[end] in _HEX:
            end += 1
        last = end
        alone = not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())
        written = text[start:end].rstrip(":")
        if alone and _is_public_6(written):
            yield start, start + len(written)


def _is_public_4(address: str) -> bool:
    try:
        found = IPv4Address(address)
    except AddressValueError:
        return False
    return found.is_global and not found.is_multicast


def _is_public_6(address: str) -> bool:
    if len(list(filter(None, address.split(":")))) < IPV6_GROUPS:
        return False
    try:
        found = IPv6Address(address)
    except AddressValueError:
        return False
    return found.is_global and found in IPV6_PUBLIC


def _is_version(number: str, before: str) -> bool:
    parts = [int(part) for part in number.split(".")]
    if VERSION_WORD.search(before) or parts[1:] == [0, 0, 0]:
        return True
    small = parts[0] < SMALL_FIRST or max(parts) < SMALL_PARTS
    return small and not ADDRESS_WORD.search(before.rpartition("\n")[2])


_FINDERS = {EMAIL: _emails, IBAN: _ibans, CARD: _cards, IP: _ips, PHONE: find_phones}
