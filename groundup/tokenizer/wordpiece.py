"""WordPiece: the style of BERT and of the sentence encoders made from it.

A text is normalised (control characters removed, in uncased vocabularies lowercased and without
accents), split at spaces and punctuation, and each word is written in the longest tokens that fit
from its start; a token inside a word begins with "##". A word that can't be written so is the
unknown token: of all styles, the only one in which text has no ids of its own, so decoding gives
back words, not the text. "[CLS]" is put before a text, and "[SEP]" after it.

From: Schuster and Nakajima 2012; Devlin et al. 2019 (BERT), tokenization.py. Left out: other marks
than "##", training.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundup.errors import FormatError
from groundup.tokenizer.bytelevel import JsonParts

MARK = "##"
SUPPORTED = f"BertNormalizer, BertPreTokenizer, {MARK!r} inside a word"


@dataclass(frozen=True)
class WordPiece:
    """The style of a WordPiece vocabulary."""

    lowercase: bool = True
    """Uncased vocabularies."""
    strip_accents: bool | None = None
    """None: where it is lowercased."""
    split_chinese: bool = True
    """Each Chinese character is a word."""
    longest_word: int = 100
    """In characters: a longer word is unknown."""
    unknown: str = "[UNK]"
    """The control token of a word that can't be written."""

    def json_parts(self) -> JsonParts:
        normalizer = {"clean_text": True, "handle_chinese_chars": self.split_chinese}
        cases = {"strip_accents": self.strip_accents, "lowercase": self.lowercase}
        return JsonParts(
            {"type": "BertNormalizer", **normalizer, **cases},
            {"type": "BertPreTokenizer"},
            {"type": "WordPiece", "prefix": MARK, "cleanup": True},
            {
                "unk_token": self.unknown,
                "continuing_subword_prefix": MARK,
                "max_input_chars_per_word": self.longest_word,
            },
        )

    def bytes_of(self, token: str, *, added: bool) -> bytes | None:
        """Return the bytes of a token: inside a word without the mark, else with a space before
        it.
        """
        text = token
        if token.startswith(MARK) and not added:
            text = token[len(MARK) :]
        elif not added:
            text = " " + token
        return text.encode("utf-8", "replace")

    def is_whole(self, token: str) -> bool:
        """Whether some text may become this token: it has no punctuation, at which every text is
        split, or is a single sign.
        """
        piece = token.removeprefix(MARK)
        return len(piece) == 1 or not any(map(_is_punctuation, piece))


def _is_punctuation(character: str) -> bool:
    """Whether BERT splits at a character: punctuation of Unicode, and every sign of ASCII."""
    sign = (
        character.isascii()
        and character.isprintable()
        and not character.isalnum()
        and character != " "
    )
    return sign or unicodedata.category(character).startswith("P")


def read_wordpiece(spec: Mapping[str, Any], source: object) -> WordPiece:
    """Return the style of a parsed tokenizer.json. Raises FormatError."""
    normalizer, model = spec.get("normalizer"), spec["model"]
    if not isinstance(normalizer, dict):
        raise FormatError(
            source, "normalizer", f"is missing; for WordPiece supported are {SUPPORTED}"
        )
    strip_accents = None
    if normalizer.get("strip_accents") is not None:
        strip_accents = _flag(normalizer, "strip_accents", True, source)
    style = WordPiece(
        _flag(normalizer, "lowercase", True, source),
        strip_accents,
        _flag(normalizer, "handle_chinese_chars", True, source),
        model.get("max_input_chars_per_word", 100),
        model.get("unk_token", "[UNK]"),
    )
    words, length = model.get("unk_token", ""), style.longest_word
    if (
        not isinstance(words, str)
        or not isinstance(length, int)
        or isinstance(length, bool)
        or not 0 < length <= 10_000
    ):
        raise FormatError(
            source, "model", "has no unk_token, or no max_input_chars_per_word from 1 to 10000"
        )
    for name in ("normalizer", "pre_tokenizer"):
        if spec.get(name) != getattr(style.json_parts(), name):
            raise FormatError(
                source, name, f"is not supported; for WordPiece supported are {SUPPORTED}"
            )
    if model.get("continuing_subword_prefix", MARK) != MARK:
        raise FormatError(source, "model.continuing_subword_prefix", f"is not {MARK!r}")
    return style


def _flag(values: Mapping[str, Any], key: str, default: bool, source: object) -> bool:
    value = values.get(key, default)
    if not isinstance(value, bool):
        raise FormatError(source, f"normalizer.{key}", "is neither true nor false")
    return value
