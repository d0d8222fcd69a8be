"""What the tokenizer tests share: hard strings, some real English, one trained tokenizer, one of SentencePiece's kind."""

import json
from typing import Any

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.tokenizer.formats import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    tokenizer_from_gguf,
)
from groundup.tokenizer.sentencepiece import BYTE_TOKENS

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

# What is hard for SentencePiece: spaces where they count, and texts that look like tokens. None begins with "<s>": llama.cpp adds it again.
PIECE_STRINGS = (
    " a",
    "  a  b   c    d ",
    "\n a\n  b",
    "the  the   the",
    "<0x0A>",
    "a<0x41>b",
    "a</s>b <s> c<unk>",
    " <|user|>\n  hello <|end|>  ",
    "<|user|><|end|>",
    "----- ------------ ========",
    "\u00a0 \u2003x",
)
# Phi-3's form, in our own words: every role is a control token of its own.
ROLE_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")

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
    return [
        ENGLISH,
        ENGLISH.upper(),
        ENGLISH[300:900].replace("\n", "\r\n"),
        "aaa aa aaaa abab baba aab " * 3,
    ]


@pytest.fixture(scope="session")
def tokenizer(english: list[str]) -> Tokenizer:
    return train_tokenizer(english, 640)


@pytest.fixture(scope="session")
def piece_strings(hard_strings: tuple[str, ...]) -> tuple[str, ...]:
    return hard_strings + PIECE_STRINGS


def learned_pieces(texts: list[str], size: int) -> tuple[list[str], list[str]]:
    """What SentencePiece would learn: merged pieces in the order of learning, and the common characters."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    library.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, min_frequency=2, show_progress=False)
    )
    model = json.loads(library.to_str())["model"]
    characters = [token for token in model["vocab"] if len(token) == 1 and token < "\u3000"]
    merged = ["".join(merge) for merge in model["merges"]]
    return [token for token in merged if set(token) <= set(characters)], characters


@pytest.fixture(scope="session")
def pieces_metadata(english: list[str]) -> dict[str, Any]:
    """A SentencePiece vocabulary as a GGUF file holds it: scores, byte tokens, space prefix."""
    learned, characters = learned_pieces(english, 500)
    runs = ["\u2581" * 2, "\u2581" * 4, "\u2581" * 3, "--", "----", "---"]
    ordinary = [
        *learned[:20],
        *runs,
        *learned[20:],
        *(each for each in [*characters, "-"] if each not in learned),
    ]
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *BYTE_TOKENS,
        *dict.fromkeys(ordinary),
        "<think>",
        *ROLE_TOKENS,
    ]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256]
    types += (
        [NORMAL] * (len(tokens) - len(types) - 1 - len(ROLE_TOKENS))
        + [USER_DEFINED]
        + [CONTROL] * len(ROLE_TOKENS)
    )
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [-float(max(0, id - 259)) for id in range(len(tokens))],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_space_prefix": True,
        "tokenizer.chat_template": ROLE_TEMPLATE,
    }


@pytest.fixture(scope="session")
def pieces(pieces_metadata: dict[str, Any]) -> Tokenizer:
    return tokenizer_from_gguf(pieces_metadata)
