"""Vocabularies of the `tiktoken` library -> tokenizers with the same ids.

A .tiktoken file has a token in base64 and its rank, which is its id, on each line. Its split is not
in the file: it is one of `PUBLISHED` by name, one of ours, or its regular expression, where that is
one of them.

tiktoken has no list of merges: of the adjacent pairs that form a token, the one with the lowest
rank is joined first, and a piece that is a token as a whole is not merged at all. As merges
(`merges_of_ranks`): when a token's bytes are joined below its own rank, two parts remain, and these
are the only ones that ever form it (the proof is at `rank_encoder.rank_encoder`). Of a token that
is not reached in this way (Llama 3 has some), every pair that forms it is a merge.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import tiktoken

from groundup.errors import ConfigError, FormatError, NetworkError, did_you_mean
from groundup.files import read_text
from groundup.progress import Progress, Silent
from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, SPLITS, ByteLevel
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.sentencepiece import Merge
from groundup.tokenizer.spec import (
    MAX_IDS,
    MAX_JSON_BYTES,
    MAX_TOKEN_CHARACTERS,
    AddedToken,
    TokenizerTable,
)
from groundup.tokenizer.special import (
    CHATML_TEMPLATE,
    CONTROL_TOKENS,
    END_OF_TEXT,
    our_special_tokens_config,
)

PREFIX = "tiktoken:"
SUFFIX = ".tiktoken"
Ranks = Mapping[bytes, int]


class Published(NamedTuple):
    """What tiktoken publishes of an encoding, beside its ranks."""

    split: str
    """Ours that gives the same pieces."""
    pattern: str
    ranks: int
    """Number of tokens that are not special."""
    special: Mapping[str, int]


_R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_FIM = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
# tiktoken_ext/openai_public.py of tiktoken 0.14.
PUBLISHED: Mapping[str, Published] = {
    "gpt2": Published("gpt-2", _R50K, 50_256, {END_OF_TEXT: 50_256}),
    "r50k_base": Published("gpt-2", _R50K, 50_256, {END_OF_TEXT: 50_256}),
    "p50k_base": Published("gpt-2", _R50K, 50_280, {END_OF_TEXT: 50_256}),
    "cl100k_base": Published(
        "cl100k",
        _CL100K,
        100_256,
        {
            END_OF_TEXT: 100_257,
            **{text: 100_258 + n for n, text in enumerate(_FIM)},
            "<|endofprompt|>": 100_276,
        },
    ),
    "o200k_base": Published(
        "o200k", SPLITS["o200k"][0], 199_998, {END_OF_TEXT: 199_999, "<|endofprompt|>": 200_018}
    ),
}
# A pattern -> the split of ours: their own expressions, and tiktoken's.
_SPLIT_OF = {
    expressions[0]: split for split, expressions in SPLITS.items() if len(expressions) == 1
} | {each.pattern: each.split for each in PUBLISHED.values()}


def tiktoken_encoding(source: str, pattern: str = "") -> tiktoken.Encoding:
    """Return the encoding of a .tiktoken file, or of tiktoken:NAME, which the library fetches.
    Raises ConfigError, FormatError, NetworkError.

    `pattern`: the split of the file, see above; by default that of the published encoding whose
    name the file has.
    """
    if source.startswith(PREFIX):
        return _fetch(source.removeprefix(PREFIX))
    file = Path(source)
    pattern = pattern or file.stem
    ranks = read_ranks(file)
    named = PUBLISHED.get(pattern)
    if named is None:
        expression = SPLITS.get(pattern, (pattern,))[0]
        if expression not in _SPLIT_OF:
            known = [*PUBLISHED, *(split for split, parts in SPLITS.items() if len(parts) == 1)]
            raise ConfigError(
                f"{file} has ranks only, and the split {pattern[:80]!r} "
                "is not one of those that can be represented.",
                fix=f"Give its `pattern`: {', '.join(known)}, or its regular expression.",
            )
        return tiktoken.Encoding(
            file.stem, pat_str=expression, mergeable_ranks=dict(ranks), special_tokens={}
        )
    special: dict[str, int] = {}
    if len(ranks) == named.ranks:
        special |= named.special
    return tiktoken.Encoding(
        file.stem, pat_str=named.pattern, mergeable_ranks=dict(ranks), special_tokens=special
    )


def _fetch(name: str) -> tiktoken.Encoding:
    """Return a published encoding, which the library keeps in its cache.

    Raises ConfigError for an unknown name, NetworkError.
    """
    known = tiktoken.list_encoding_names()
    if name not in known:
        raise ConfigError(f"tiktoken has no encoding {name!r}.", fix=did_you_mean(name, known))
    try:
        return tiktoken.get_encoding(name)
    except (OSError, ValueError) as error:  # those of the library's transport are OSErrors
        reason = " ".join(str(error).split())[:200]
        fix = "Check the network; or fetch its .tiktoken file elsewhere and give that."
        raise NetworkError(f"tiktoken could not fetch {name}: {reason}.", fix=fix) from error


def read_ranks(file: Path) -> dict[bytes, int]:
    """Return the tokens of a .tiktoken file with their ranks. Raises FormatError."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(read_text(file, max_bytes=MAX_JSON_BYTES).splitlines(), 1):
        if not line.strip():
            continue
        place = f"line {number}"
        encoded, _, rank = line.strip().partition(" ")
        try:
            token = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise FormatError(file, place, "is not a token in base64 and its rank") from error
        if not rank.isascii() or not rank.isdecimal() or len(rank) > 9 or int(rank) >= MAX_IDS:
            raise FormatError(
                file, place, f"is not a token in base64 and its rank, 0 to {MAX_IDS - 1}"
            )
        if not 0 < len(token) <= MAX_TOKEN_CHARACTERS or token in ranks:
            raise FormatError(
                file,
                place,
                f"the token is empty, repeated or over {MAX_TOKEN_CHARACTERS} bytes long",
            )
        ranks[token] = int(rank)
    if len(set(ranks.values())) != len(ranks):
        raise FormatError(
            file, "ranks", f"{len(ranks)} tokens share {len(set(ranks.values()))} ranks"
        )
    missing = next((byte for byte in range(256) if bytes([byte]) not in ranks), None)
    if missing is not None:
        raise FormatError(
            file, "ranks", f"the byte {missing} has no token, so this is not a whole vocabulary"
        )
    return ranks


def tokenizer_of_encoding(
    encoding: tiktoken.Encoding, *, source: object, progress: Progress | None = None
) -> Tokenizer:
    """Return the tokenizer with the ids of an encoding; one without special tokens gets ours at the
    next ids. Raises FormatError.
    """
    split = _SPLIT_OF.get(encoding._pat_str)
    if split is None:
        known = ", ".join(PUBLISHED)
        reason = (
            f"splits text in an unknown way; supported are those of {known} and of our own splits"
        )
        raise FormatError(source, "pattern", reason)
    ranks = encoding._mergeable_ranks
    texts = {
        "".join(map(BYTE_TO_CHARACTER.__getitem__, token)): rank for token, rank in ranks.items()
    }
    special = encoding._special_tokens or {
        text: max(ranks.values()) + 1 + place for place, text in enumerate(CONTROL_TOKENS)
    }
    both = special.keys() & texts.keys()
    if both:
        raise FormatError(
            source, "special tokens", f"{min(both)[:40]!r} is a special token and an ordinary one"
        )
    config = {**our_special_tokens_config(), "chat_template": CHATML_TEMPLATE}
    if encoding._special_tokens:
        config = {"eos_token": END_OF_TEXT, "bos_token": END_OF_TEXT, "add_bos_token": False}
    merges = list(merges_of_ranks(ranks, progress=progress))
    # ids may have gaps, so the control tokens are entries of the vocabulary
    added = {id: AddedToken(text, True) for text, id in special.items()}
    table = TokenizerTable(texts | special, merges, ByteLevel(split), added)
    return Tokenizer(table, config, source=source)


def merges_of_ranks(ranks: Ranks, *, progress: Progress | None = None) -> Iterator[Merge]:
    """Yield the merges that are equivalent to ranks, in the byte alphabet, in order.

    >>> list(merges_of_ranks({b"a": 0, b"b": 1, b"ab": 2, b"abab": 3}))
    [('a', 'b'), ('ab', 'ab')]
    """
    tokens = [token for token in sorted(ranks, key=lambda token: ranks[token]) if len(token) > 1]
    with (progress or Silent()).track("Merges", len(tokens), "tokens") as advance:
        for number, token in enumerate(tokens):
            if number % 1000 == 0:
                advance(min(1000, len(tokens) - number))
            parts = parts_below(token, ranks)
            pairs = _cuts(token, ranks)
            if len(parts) == 2:
                pairs = [(parts[0], parts[1])]
            for pair in pairs:
                left, right = ("".join(map(BYTE_TO_CHARACTER.__getitem__, part)) for part in pair)
                yield left, right


def parts_below(token: bytes, ranks: Ranks) -> list[bytes]:
    """Return the parts of a token when only tokens of a lower rank are formed from its bytes."""
    parts = [token[place : place + 1] for place in range(len(token))]
    limit = ranks[token]
    while len(parts) > 2:
        ranks_of_pairs = [
            ranks.get(parts[at] + parts[at + 1], limit) for at in range(len(parts) - 1)
        ]
        lowest = min(ranks_of_pairs)
        if lowest >= limit:
            break
        at = ranks_of_pairs.index(lowest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def _cuts(token: bytes, ranks: Ranks) -> list[tuple[bytes, bytes]]:
    halves = ((token[:place], token[place:]) for place in range(1, len(token)))
    return [(left, right) for left, right in halves if left in ranks and right in ranks]
