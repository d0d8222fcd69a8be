"""The tokens of a text, and the merges and longest tokens of a tokenizer"""

from collections.abc import Iterable, Sequence

from groundup.lab.values import TokenizerReport, TokenPicture, TokenPiece
from groundup.tokenizer.fast import Tokenizer

LISTED = 40
# Held-out text for a figure of three digits.
MEASURED_CHARACTERS = 500_000


def token_text(tokenizer: Tokenizer, id: int) -> str:
    """Return one token as text; bytes that are a part of a character are written as \\xNN."""
    return tokenizer.token_bytes(id).decode("utf-8", "backslashreplace")


def token_picture(tokenizer: Tokenizer, text: str) -> TokenPicture:
    """A text and its tokens in order, each with its id."""
    return {"text": text, "pieces": pieces_of(tokenizer, tokenizer.encode(text))}


def beginning(tokenizer: Tokenizer, text: str, tokens: int) -> str:
    """The text up to the end of its token number `tokens`, never inside a character."""
    ids, offsets = tokenizer.encode_offsets(text)
    if len(ids) <= tokens:
        return text
    return text[: offsets[tokens - 1][1]]


def pieces_of(tokenizer: Tokenizer, ids: Iterable[int]) -> list[TokenPiece]:
    return [{"id": id, "text": token_text(tokenizer, id)} for id in ids]


def tokenizer_report(
    tokenizer: Tokenizer, examples: Sequence[str], held_out: Iterable[str]
) -> TokenizerReport:
    """What a page shows of a tokenizer: examples as tokens, first merges, longest tokens,
    characters per token on held-out text.
    """
    rate = characters_per_token(tokenizer, held_out)
    if rate is not None:
        rate = round(rate, 3)
    return {
        "vocab_size": tokenizer.vocab_size,
        "characters_per_token": rate,
        "examples": [token_picture(tokenizer, text) for text in examples],
        "merges_first": first_merges(tokenizer),
        "longest": longest_tokens(tokenizer),
    }


def characters_per_token(tokenizer: Tokenizer, texts: Iterable[str]) -> float | None:
    """Characters per token over the beginning of `texts` (half a million characters at most);
    None where there are none.
    """
    characters = tokens = 0
    for text in texts:
        part = text[: MEASURED_CHARACTERS - characters]
        characters += len(part)
        tokens += sum(map(len, tokenizer.encode_batch([part])))
        if characters >= MEASURED_CHARACTERS:
            break
    if not tokens:
        return None
    return characters / tokens


def first_merges(tokenizer: Tokenizer) -> list[str]:
    """The results of the first merges, the most common pairs of the training text."""
    return [_visible(tokenizer, left + right) for left, right in tokenizer.table.merges[:LISTED]]


def longest_tokens(tokenizer: Tokenizer) -> list[str]:
    """The longest tokens of the vocabulary, without control tokens."""
    learned = [
        text for text, id in tokenizer.table.vocabulary.items() if id not in tokenizer.table.added
    ]
    return [
        _visible(tokenizer, text)
        for text in sorted(learned, key=lambda text: (-len(text), text))[:LISTED]
    ]


def _visible(tokenizer: Tokenizer, entry: str) -> str:
    return token_text(tokenizer, tokenizer.table.vocabulary[entry])
