"""Numbers in words: "twenty-eight thousand", "a hundred and five", "2 million"."""

import re

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
ONE_TO_NINETEEN = {word: number for number, word in enumerate(_ONES.split())}
TWENTY_TO_NINETY = {word: 10 * number for number, word in enumerate(_TENS.split(), start=2)}
_VALUES = ONE_TO_NINETEEN | TWENTY_TO_NINETY
_SCALES = {"hundred": 100, "thousand": 1000, "grand": 1000, "million": 1_000_000, "dozen": 12}
_NUMBER_WORD = "|".join(sorted([*_VALUES, *_SCALES], key=len, reverse=True))
# As a pattern without groups: "twenty-eight", "a hundred and five", "2 million".
IN_WORDS = (
    rf"\b(?:an?\s+(?={'|'.join(_SCALES)}))?"
    r"(?:\d+(?:\.\d+)?\s+(?=hundred|thousand|grand|million))?"
    rf"(?:{_NUMBER_WORD})(?:(?:[\s-]+|\s+and\s+)(?:{_NUMBER_WORD}))*(?:th|s)?\b"
)
_WRITTEN = re.compile(IN_WORDS, re.IGNORECASE)
_FIGURES = re.compile(r"\d+(?:\.\d+)?")
_NO_NUMBERS = ("ones", "grand", "hundreds", "thousands", "millions")


def with_digits(text: str) -> str:
    """Return a text with its number words as digits; "one" alone stays, which is a pronoun, too.

    >>> with_digits("twenty-eight thousand pounds, a hundred and five people, this one")
    '28000 pounds, 105 people, this one'
    """
    return _WRITTEN.sub(_digits, text)


def _digits(match: re.Match[str]) -> str:
    if match[0].lower() == "one":
        return match[0]
    number = read_number(match[0])
    return match[0] if number is None else f"{number:.12g}"


def read_number(said: str) -> float | None:
    """Return the number of "1,200", "twenty-five" or "2 million"; None: it is none, as "fifth".

    >>> read_number("a hundred and five"), read_number("grand")
    (105.0, None)
    """
    said = said.lower().replace(",", "")
    if _FIGURES.fullmatch(said):
        return float(said)
    if said in _NO_NUMBERS or said.endswith("th") or not _WRITTEN.fullmatch(said):
        return None
    figures = _FIGURES.match(said)
    total, current = 0.0, float(figures[0]) if figures else 0.0
    for word in re.findall(r"[a-z]+", said):
        if word not in _VALUES and word not in _SCALES:
            word = word.removesuffix("s")
        if word in _VALUES:
            current += _VALUES[word]
        elif word == "hundred" or word == "dozen":
            current = max(1.0, current) * _SCALES[word]
        elif word in _SCALES:
            total, current = total + max(1.0, current) * _SCALES[word], 0.0
    return total + current
