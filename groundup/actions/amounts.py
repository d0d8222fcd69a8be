"""Amounts of money in sentences, in one form: "£5,000" and "£12.50", never "£5000.00".

Thousands with commas; hundredths where there are any. Slots, columns of lookups and sentences with
a sign before a name ("at most £{most}") have it alike, however SQL or a pack's author writes it.
"""

import re

SIGNS = "£$€"
_AMOUNT = re.compile(rf"([{SIGNS}])(\d{{1,3}}(?:,\d{{3}})+|\d+)(\.\d{{1,2}})?(?![\d%]|[.,]\d)")
_NUMBER = re.compile(r"\d+(?:\.\d{1,2})?")


def amount(sign: str, value: float) -> str:
    """Return an amount as sentences have it.

    >>> amount("£", 5000), amount("£", 12.5)
    ('£5,000', '£12.50')
    """
    value = round(value, 2)
    return f"{sign}{value:,.0f}" if value == int(value) else f"{sign}{value:,.2f}"


def with_amounts(text: str) -> str:
    """Return a text with its amounts as sentences have them.

    >>> with_amounts("£5000.00 (the fee £35.00, the difference £7.5)")
    '£5,000 (the fee £35, the difference £7.50)'
    """
    return _AMOUNT.sub(
        lambda each: amount(each[1], float(each[2].replace(",", "") + (each[3] or ""))), text
    )


def behind_sign(before: str, value: str) -> str:
    """Return a value as it stands behind the text before it: a number behind a sign as an amount.

    >>> behind_sign("at most £", "5000"), behind_sign("for ", "5000")
    ('5,000', '5000')
    """
    is_amount = before[-1:] in tuple(SIGNS) and _NUMBER.fullmatch(value)
    return amount("", float(value)) if is_amount else value
