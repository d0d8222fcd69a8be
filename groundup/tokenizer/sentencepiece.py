"""SentencePiece BPE: the style of Llama 1 and 2, TinyLlama, Mistral, Gemma and Phi-3.

A vocabulary is plain text with "▁" (U+2581) for a space; a text is merged as a whole, without a
pre-tokenizer. A character that is not a token is written in the byte tokens "<0x00>" to "<0xFF>",
so nothing is unknown. Most of these vocabularies add a space at the start of a text (the prefix),
so that a word has the same id there as inside a text; decoding removes it. A "▁" in a text is the
same as a space.

Programs differ in the prefix:

    "always"   llama.cpp, and tokenizer.json files of the older form: at the start and after every
               control token
    "first"    transformers' form since 2024: only at the start of the text
    "never"    Gemma
    `metaspace` with a prefix: none is added to a text that begins with a space (all that
        transformers 5 writes); decoding then loses that space

Each tokenizer follows its file. A GGUF file has only "always" (without metaspace) or "never".

From: Kudo and Richardson 2018, "SentencePiece"; src/llama-vocab.cpp; the tokenizer.json files of
these families. Left out: Unigram models, and normalisation (NFKC), which none of these families
uses.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from groundup.errors import FormatError
from groundup.tokenizer.bytelevel import JsonParts

SPACE = "▁"
Merge = tuple[str, str]
BYTE_TOKENS = {f"<0x{byte:02X}>": byte for byte in range(256)}

Prefix = Literal["never", "first", "always"]

_SPACES_TO_MARKS = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
_PREPEND = {"type": "Prepend", "prepend": SPACE}
_MARKS_TO_SPACES = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
_STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
# Gemma's file splits at spaces, which its normalizer has already replaced: it has no effect.
_NO_SPLIT = {
    "type": "Split",
    "pattern": {"String": " "},
    "behavior": "MergedWithPrevious",
    "invert": False,
}


@dataclass(frozen=True)
class SentencePiece:
    """The style of a SentencePiece vocabulary."""

    prefix: Prefix
    """Where a space is added; see above."""
    metaspace: bool = False
    """Whether a text that begins with a space gets no prefix."""

    def json_parts(self) -> JsonParts:
        decoders: list[object] = [_MARKS_TO_SPACES, {"type": "ByteFallback"}, {"type": "Fuse"}]
        normalizer: object = _SPACES_TO_MARKS
        if self.prefix != "never":
            decoders.append(_STRIP)
            normalizer = {"type": "Sequence", "normalizers": [_PREPEND, _SPACES_TO_MARKS]}
        pre_tokenizer = None
        if self.metaspace:
            normalizer, pre_tokenizer = None, metaspace(self.prefix)
        return JsonParts(
            normalizer,
            pre_tokenizer,
            {"type": "Sequence", "decoders": decoders},
            {"byte_fallback": True, "ignore_merges": False},
        )

    def bytes_of(self, token: str, *, added: bool) -> bytes | None:
        """Return the bytes of a token: one for a byte token, else its text with spaces."""
        if token in BYTE_TOKENS and not added:
            return bytes([BYTE_TOKENS[token]])
        return token.replace(SPACE, " ").encode("utf-8", "replace")

    def is_whole(self, token: str) -> bool:
        """Whether some text becomes this token without any merge: a character, or a byte."""
        return len(token) == 1 or token in BYTE_TOKENS


def metaspace(prefix: Prefix) -> dict[str, str | bool]:
    """Return the pre-tokenizer entry of transformers' newer form."""
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": prefix, "split": False}


_WITH_METASPACE = (SentencePiece(prefix, metaspace=True) for prefix in get_args(Prefix))
_KNOWN = (SentencePiece("always"), SentencePiece("never"), *_WITH_METASPACE)


def read_sentencepiece(spec: Mapping[str, Any], source: object) -> SentencePiece:
    """Return the style of a parsed tokenizer.json. Raises FormatError."""
    if spec["model"].get("ignore_merges"):
        raise FormatError(
            source, "model.ignore_merges", "is set, which SentencePiece BPE does not support"
        )
    pre_tokenizer = spec.get("pre_tokenizer")
    if pre_tokenizer == _NO_SPLIT:
        pre_tokenizer = None
    found = (spec.get("normalizer"), pre_tokenizer)
    for style in _KNOWN:
        if found == style.json_parts()[:2]:
            return style
    raise FormatError(
        source,
        "normalizer and pre_tokenizer",
        f"mark spaces in an unknown way; supported are a Replace of spaces by {SPACE!r} "
        "(with or without a Prepend) and a Metaspace that does not split",
    )


def missing_byte(vocabulary: Mapping[str, int]) -> int | None:
    """Return the first byte without a token: neither a byte token nor, in ASCII, a character of its
    own.
    """
    lacking = (byte for token, byte in BYTE_TOKENS.items() if token not in vocabulary)
    return next((byte for byte in lacking if byte >= 128 or chr(byte) not in vocabulary), None)


# Scores <-> merges. A GGUF file has a score per token and no merges: llama.cpp merges the adjacent
# pair whose token has the highest score, the leftmost of equals. The `tokenizers` library has an
# ordered list of merges. So the merges of a token are all its splits into two tokens, and the
# tokens are sorted by descending score: in -1, ing -5 gives i n, in g (and, were "ng" a token, i
# ng).
#
# Where adjacent a, b, c can form the same token on either side (ab = bc: runs such as "▁▁▁",
# "----"), llama.cpp takes the left pair and `tokenizers` the earlier merge. No text showed a
# difference: of 40,000 over random vocabularies of one and two letters, and of 20,000 of such runs
# over the vocabularies of Llama 2 and of Gemma each.


def join_by_score(text: str, scores: Mapping[str, float]) -> list[str]:
    """Return the tokens of `text` (spaces written "▁"), merged by scores: the readable version and
    the test of the fast one.

    >>> join_by_score("nning", {"in": -1.0, "nn": -2.0, "ing": -5.0})
    ['nn', 'ing']
    """
    pieces = list(text)
    while known := [at for at in range(len(pieces) - 1) if pieces[at] + pieces[at + 1] in scores]:
        at = max(known, key=lambda at: (scores[pieces[at] + pieces[at + 1]], -at))
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


def merges_of(scores: Mapping[str, float]) -> list[Merge]:
    """Return the merges that are equivalent to `scores`: every split of a token into two, by
    descending score of the token.
    """
    ranked = sorted(scores, key=lambda token: -scores[token])  # sorted keeps the order of equals
    return [cut for token in ranked for cut in cuts(token, scores)]


def cuts(token: str, tokens: Container[str]) -> Iterator[Merge]:
    """Yield the splits of `token` into two others, the longest first half first."""
    for place in range(len(token) - 1, 0, -1):
        if token[:place] in tokens and token[place:] in tokens:
            yield token[:place], token[place:]


def made_of_unknown(tokens: Mapping[str, object]) -> str | None:
    """Return a token that llama.cpp could merge from a character that is not a token; `tokenizers`
    writes such a character in bytes first.
    """
    unknown = {character for token in tokens for character in token} - tokens.keys()
    suspects = [token for token in tokens if not unknown.isdisjoint(token)] if unknown else []
    known = tokens.keys() | unknown
    return next((token for token in suspects for _ in cuts(token, known)), None)


def scores_of(merges: Sequence[Merge]) -> dict[str, float]:
    """Return scores that are equivalent to `merges`, for the tokens they make: 0, -1, -2, ... in
    their order.
    """
    made = dict.fromkeys(left + right for left, right in merges)
    return {token: -float(rank) for rank, token in enumerate(made)}


def unsayable(merges: Sequence[Merge], tokens: Mapping[str, object]) -> str | None:
    """Return why no scores are equivalent to `merges`, None where some are.

    `tokens`: the ordinary ones, which llama.cpp merges into.
    """
    made = [left + right for left, right in merges]
    begun = [token for at, token in enumerate(made) if at == 0 or made[at - 1] != token]
    if len(set(begun)) != len(begun):
        return (
            f"{len(begun) - len(set(begun))} tokens have merges that are not adjacent in the list"
        )
    known = set(merges)
    missing = [cut for token in tokens for cut in cuts(token, tokens) if cut not in known]
    if missing:
        left, right = missing[0]
        first = f"the first is {left!r} and {right!r}"
        return f"{len(missing)} pairs form a token without a merge, {first}"
    return None
