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
# Its first group is a number in digits before a scale: "2 million".
WRITTEN = re.compile(
    rf"\b(?:an?\s+(?={'|'.join(_SCALES)}))?(\d+(?:\.\d+)?\s+(?=hundred|thousand|grand|million))?"
    rf"(?:{_NUMBER_WORD})(?:(?:[\s-]+|\s+and\s+)(?:{_NUMBER_WORD}))*(?:th|s)?\b",
    re.IGNORECASE,
)
_NO_NUMBERS = ("one", "ones", "grand", "hundreds", "thousands", "millions")


def with_digits(text: str) -> str:
    """Return a text with its number words as digits; "one" alone stays, which is a pronoun, too.

    >>> with_digits("twenty-eight thousand pounds, a hundred and five people, this one")
    '28000 pounds, 105 people, this one'
    """
    return WRITTEN.sub(_digits, text)


def _digits(match: re.Match[str]) -> str:
    said = match[0].lower()
    if said in _NO_NUMBERS or said.endswith("th"):
        return match[0]
    return f"{number_of(match):.12g}"


def number_of(match: re.Match[str]) -> float:
    """Return the number of a match of WRITTEN.

    >>> number_of(WRITTEN.search("a hundred and five people"))
    105.0
    """
    total, current = 0.0, float(match[1] or 0)
    for word in re.findall(r"[a-z]+", match[0].lower()):
        if word not in _VALUES and word not in _SCALES:
            word = word.removesuffix("s")
        if word in _VALUES:
            current += _VALUES[word]
        elif word == "hundred" or word == "dozen":
            current = max(1.0, current) * _SCALES[word]
        elif word in _SCALES:
            total, current = total + max(1.0, current) * _SCALES[word], 0.0
    return total + current
