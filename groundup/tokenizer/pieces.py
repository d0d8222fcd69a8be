"""SentencePiece BPE: how Llama 1 and 2, TinyLlama, Mistral, Gemma and Phi-3 write text.

A vocabulary is plain text with "▁" (U+2581) for each space; a text of these characters is merged as a whole, words are not parted
first. A character that is no token is spelled in the byte tokens "<0x00>" to "<0xFF>", so nothing is unknown. Where a
text begins, most of these vocabularies read a space that is not there (the prefix), so that a word has the same id there as
inside a text; decoding takes it off again. A "▁" in a text can't be told from a space.

The prefix is where the programs part:

    "always"   llama.cpp, and tokenizer.json files of the older form: at the start and after every control token
    "first"    transformers' form since 2024: only at the start of the text
    "never"    Gemma
    `metaspace` with a prefix: a text that begins with a space gets no other one (all that transformers 5 writes); decoding then loses that space

Each tokenizer does what its file says. A GGUF file can say "always" (without metaspace) or "never" and nothing else.

From: Kudo and Richardson 2018, "SentencePiece"; src/llama-vocab.cpp; the tokenizer.json files of these families. Left out:
Unigram models, and normalisation (NFKC) before the merging, which none of these families uses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from groundup.errors import FormatError

SPACE = "▁"
BYTE_TOKENS = {f"<0x{byte:02X}>": byte for byte in range(256)}

Prefix = Literal["never", "first", "always"]

_SPACES_TO_MARKS = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
_PREPEND = {"type": "Prepend", "prepend": SPACE}
_MARKS_TO_SPACES = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
_STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
# Gemma's file splits at spaces that its normalizer has taken out before: it does nothing.
_NO_SPLIT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}


@dataclass(frozen=True)
class Pieces:
    """The style of a SentencePiece vocabulary."""

    prefix: Prefix
    """Where a space is read that is not there; see above."""
    metaspace: bool = False
    """Whether a text that begins with a space gets no prefix."""

    def json_parts(self) -> dict[str, Any]:
        """What a tokenizer.json says around the vocabulary and the merges."""
        strip = [] if self.prefix == "never" else [_STRIP]
        return {
            "normalizer": None if self.metaspace else self._normalizer(),
            "pre_tokenizer": metaspace(self.prefix) if self.metaspace else None,
            "decoder": {
                "type": "Sequence",
                "decoders": [_MARKS_TO_SPACES, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip],
            },
            "model": {"byte_fallback": True, "ignore_merges": False},
        }

    def _normalizer(self) -> dict[str, Any]:
        if self.prefix == "never":
            return _SPACES_TO_MARKS
        return {"type": "Sequence", "normalizers": [_PREPEND, _SPACES_TO_MARKS]}

    def bytes_of(self, token: str, *, added: bool) -> bytes | None:
        """The bytes that a token stands for: one for a byte token, else its text with spaces."""
        if token in BYTE_TOKENS and not added:
            return bytes([BYTE_TOKENS[token]])
        return token.replace(SPACE, " ").encode("utf-8", "replace")

    def is_whole(self, token: str) -> bool:
        """Whether some text becomes this token without any merge: one character, or one byte."""
        return len(token) == 1 or token in BYTE_TOKENS


def metaspace(prefix: Prefix) -> dict[str, Any]:
    """The pre-tokenizer of transformers' newer form."""
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": prefix, "split": False}


_KNOWN = (
    Pieces("always"),
    Pieces("never"),
    Pieces("first", metaspace=True),
    Pieces("always", metaspace=True),
    Pieces("never", metaspace=True),
)


def read_pieces(spec: Mapping[str, Any], source: object) -> Pieces:
    """The style of a parsed tokenizer.json. Raises FormatError."""
    if spec["model"].get("ignore_merges"):
        raise FormatError(source, "model.ignore_merges", "is set, which SentencePiece BPE has no use for")
    pre_tokenizer = spec.get("pre_tokenizer")
    found = (spec.get("normalizer"), None if pre_tokenizer == _NO_SPLIT else pre_tokenizer)
    for style in _KNOWN:
        parts = style.json_parts()
        if found == (parts["normalizer"], parts["pre_tokenizer"]):
            return style
    raise FormatError(
        source,
        "normalizer and pre_tokenizer",
        f"mark spaces in a way that is not known; known are a Replace of spaces by {SPACE!r} (with a Prepend or without) "
        "and a Metaspace that does not split",
    )


def missing_byte(vocabulary: Mapping[str, int]) -> int | None:
    """The first byte that text may need and the vocabulary lacks: neither a byte token nor, in ASCII, a character of its own."""
    lacking = (byte for token, byte in BYTE_TOKENS.items() if token not in vocabulary)
    return next((byte for byte in lacking if byte >= 128 or chr(byte) not in vocabulary), None)
