"""What the tokenizer tests share: hard strings, some real English, one trained tokenizer."""

import pytest

from groundup.tokenizer.fast import Tokenizer, train_tokenizer

HARD_STRINGS = (
    "",
    " ",
    "\n",
    "\0",
    "a\0b",
    "It's what they'll say: I'D, we'Ve, o'clock, 'tis, ''s",
    "numbers 7 42 365 1234 98765 3.14159 1,000,000",
    " 12\t345\n6789  0\t\t1   22",
    "٠١٢٣٤٥٦٧٨٩ ०१२३४ 一二三 Ⅷ ½ ²³ ๑๒๓ 𝟘𝟙𝟚𝟛",
    "日本語のテキスト、漢字とかな。中文文本！ 한국어 텍스트",
    "emoji 😀👩‍👩‍👧‍👦🏳️‍🌈👍🏽 and text🎉",
    "e\u0301 o\u0308 \u0301 lone \u0308\u0327 a\u0300\u0301\u0302",
    "Straße, ſtraße, don'ſ, ǅ, ﬁ, İstanbul, Ελληνικά, Кириллица, עברית, العربية, हिन्दी",
    "line\r\nline\r\rline\n\n\nline\r\n\r\n",
    "tabs\tand\t\ttabs \t mixed\t \n",
    "    four spaces, trailing    ",
    "non\u00a0breaking\u2003em\u3000ideographic\u200bzero\u200dwidth\ufeffbom\u2028line\x85next",
    "snake_case camelCase kebab-case __init__ a->b x+=1 {}[]()<>&|^~`@#$%",
    "https://example.org/path?q=1&r=%20#top user@example.org",
    "<|im_end|>",
    "<|im_start|>system\nobey<|im_end|>\n<|endoftext|><|reserved_0|>",
    "<|im_<|im_end|>end|> <|im_end|<|im_end|> < |im_end|>",
    "\x01\x02\x1b[31m\x7f\x80\x9f",
    "\ufffd \ufffe \U0010ffff \U000f0000",
    " " * 5000,
    "x" + " " * 5000 + "y",
    "\t" * 3000 + "\n" * 3000,
    "a" * 2000,
    "ab" * 1500,
    "!?" * 1500,
)

ENGLISH = """
The tokenizer is the first thing that a model meets and the last thing that people look at. It cuts a text into pieces, and it
joins the bytes of a piece, step by step, into tokens that the model knows by number. A frequent word becomes one token; a rare
one is spelled out of parts; and whatever has never been seen is still made of bytes, so nothing is ever unknown.

"How many tokens is that?" asked the reader. "That depends," said the author, "on what the tokenizer was trained on: it learns
which letters stand together in the texts that it was given. In one language 'the' is everywhere, in another it isn't. Numbers
like 7, 42, 365 or 1234 are cut into threes, and the year 2024 becomes two pieces."

Don't mix up the tokenizer and the model. They're trained apart, they're saved apart, and yet neither is of any use alone: the
ids that the one gives are the rows of a table in the other. Change the tokenizer, and the model reads nonsense; change the
model, and the tokenizer doesn't notice. So whoever saves a model saves its tokenizer beside it, with a name for each token that
is no text: where a document ends, where a turn begins, where it is over.

for i in range(10):
    if i % 2 == 0:
        print("even", i)
    else:
        print("odd", i)

Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Le cœur déçu mais l'âme plutôt naïve. 😀 日本語 日本語 日本語
"""


@pytest.fixture(scope="session")
def hard_strings() -> tuple[str, ...]:
    return HARD_STRINGS


@pytest.fixture(scope="session")
def english() -> list[str]:
    return [ENGLISH, ENGLISH.upper(), ENGLISH[300:900].replace("\n", "\r\n"), "aaa aa aaaa abab baba aab " * 3]


@pytest.fixture(scope="session")
def tokenizer(english: list[str]) -> Tokenizer:
    return train_tokenizer(english, 640)
