"""A tokenizer as a checked table, and its form as `tokenizer.json`.

All supported families have a vocabulary, and all but WordPiece a list of merges. How a vocabulary
writes spaces and bytes is its style:
`bytelevel.py`, `sentencepiece.py` or `wordpiece.py`.

A foreign tokenizer.json is never passed to the `tokenizers` library directly: odd entries make the
library panic, and a regular expression in it can take any time. The supported parts are read,
others refused, and the library gets the file that `to_json` writes. Left out: tokens after a text
other than WordPiece's, the `lstrip` flag of added tokens, and what a file says of truncation and
padding, which is the model's matter.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from groundup.errors import FormatError
from groundup.tokenizer.bytelevel import ByteLevel, read_byte_level
from groundup.tokenizer.sentencepiece import (
    BYTE_TOKENS,
    Merge,
    SentencePiece,
    missing_byte,
    read_sentencepiece,
)
from groundup.tokenizer.wordpiece import WordPiece, read_wordpiece

MAX_JSON_BYTES = 64 * 2**20  # the largest of our families, Gemma 3's, is 33 MB
MAX_IDS = 1_000_000  # four times the largest vocabulary in use (262,144)
MAX_TOKEN_CHARACTERS = 10_000
MAX_ADDED_TOKENS = 20_000

Style = ByteLevel | SentencePiece | WordPiece


class AddedToken(NamedTuple):
    """A token that is matched as a whole, before any merging."""

    text: str
    control: bool
    """Whether it is a control token, which text never becomes."""
    takes_spaces: bool = False
    """Whether it includes the spaces after it (`rstrip`; Phi-3)."""


Added = Mapping[int, AddedToken]


_SURROGATE = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """Return `text` with each lone surrogate, which UTF-8 cannot represent, replaced by U+FFFD; the
    length is unchanged.
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


@dataclass(frozen=True)
class TokenizerTable:
    """Everything that determines the ids of a text."""

    vocabulary: Mapping[str, int]
    """Token in its style -> id; for merging."""
    merges: Sequence[Merge]
    """Pairs of tokens in order of priority."""
    style: Style
    """How the vocabulary writes spaces and bytes."""
    added: Added
    """Tokens matched as a whole, by id: in the vocabulary, or right after it."""
    bos: str | None = None
    """The control token that other programs put before every text."""
    eos: str | None = None
    """The control token that they put after it (WordPiece only)."""

    @property
    def texts(self) -> dict[int, str]:
        """All tokens: id -> text, in the style of the vocabulary except for added tokens."""
        return {id: text for text, id in self.vocabulary.items()} | {
            id: each.text for id, each in self.added.items()
        }

    @property
    def control(self) -> dict[str, int]:
        """The control tokens: text -> id."""
        return {each.text: id for id, each in self.added.items() if each.control}

    def to_json(self) -> dict[str, Any]:
        """Return the tokenizer.json of this table, for `tokenizers` and transformers."""
        parts, vocabulary = self.style.json_parts(), dict(self.vocabulary)
        model: dict[str, object] = {"type": "WordPiece", **parts.model, "vocab": vocabulary}
        if not isinstance(self.style, WordPiece):
            unused = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
            model = {"type": "BPE", **dict.fromkeys(unused), "fuse_unk": False, **parts.model}
            model |= {"vocab": vocabulary, "merges": list(map(list, self.merges))}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_added_token(id, self.added[id]) for id in sorted(self.added)],
            "normalizer": parts.normalizer,
            "pre_tokenizer": parts.pre_tokenizer,
            "post_processor": _template(self.bos, self.eos, self.control),
            "decoder": parts.decoder,
            "model": model,
        }


def _added_token(id: int, token: AddedToken) -> dict[str, object]:
    flags = {
        "single_word": False,
        "lstrip": False,
        "rstrip": token.takes_spaces,
        "normalized": False,
    }
    return {"id": id, "content": token.text, **flags, "special": token.control}


def _template(
    bos: str | None, eos: str | None, control: Mapping[str, int]
) -> dict[str, object] | None:
    """Return the `post_processor` that puts `bos` before a text and `eos` after it; None without
    either.
    """
    if bos is None:
        return None
    first, second = (
        {"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB")
    )
    single: list[object] = [{"SpecialToken": {"id": bos, "type_id": 0}}, first]
    texts, pair_end = [bos], []
    if eos is not None:
        texts.append(eos)
        single.append({"SpecialToken": {"id": eos, "type_id": 0}})
        pair_end.append({"SpecialToken": {"id": eos, "type_id": 1}})
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, second, *pair_end],
        "special_tokens": {
            text: {"id": text, "ids": [control[text]], "tokens": [text]} for text in texts
        },
    }


def table_from_json(spec: object, source: object) -> TokenizerTable:
    """Return the table of a parsed tokenizer.json. Raises FormatError with `source`."""
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise FormatError(source, "model", "is missing: this is not a tokenizer.json")
    model = spec["model"]
    if model.get("type") == "WordPiece":
        return _wordpiece_table(spec, source)
    _require_plain_bpe(model, source)
    read_style = read_sentencepiece if model.get("byte_fallback") else read_byte_level
    style: Style = read_style(spec, source)
    added = _read_added(spec.get("added_tokens", []), source)
    merges = _merges(model.get("merges"), source)
    if isinstance(style, SentencePiece):
        merges = _without_structure(merges, added)
    vocabulary = _vocabulary(model.get("vocab"), source)
    bos = _bos(spec.get("post_processor"), source)
    return TokenizerTable(vocabulary, merges, style, added, bos)


def _wordpiece_table(spec: Mapping[str, Any], source: object) -> TokenizerTable:
    style, added = read_wordpiece(spec, source), _read_added(spec.get("added_tokens", []), source)
    match spec.get("post_processor"):
        case {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": str(bos)}},
                {"Sequence": {"id": "A"}},
                {"SpecialToken": {"id": str(eos)}},
            ],
        }:
            pass
        case {
            "type": "BertProcessing" | "RobertaProcessing",
            "cls": [str(bos), _],
            "sep": [str(eos), _],
        }:
            pass
        case _:
            raise FormatError(
                source, "post_processor", "does not put one token before and one after a text"
            )
    return TokenizerTable(
        _vocabulary(spec["model"].get("vocab"), source), [], style, added, bos, eos
    )


def _require_plain_bpe(model: Mapping[str, Any], source: object) -> None:
    # Old files have no type.
    if model.get("type", "BPE") != "BPE":
        kind = str(model.get("type"))[:40]
        raise FormatError(
            source,
            "model",
            f"is of type {kind!r}; supported are BPE (byte-level or SentencePiece) and WordPiece",
        )
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(setting):
            raise FormatError(source, f"model.{setting}", "is set, which no supported family does")


def _vocabulary(vocabulary: object, source: object) -> dict[str, int]:
    if isinstance(vocabulary, dict):
        ids = vocabulary.values()
        if (
            set(map(type, ids)) <= {int}
            and 0 <= min(ids, default=0) <= max(ids, default=0) < MAX_IDS
        ):
            return vocabulary
    raise FormatError(
        source, "model.vocab", f"is not an object of tokens with ids from 0 to {MAX_IDS - 1}"
    )


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_IDS


def _merges(merges: object, source: object) -> list[Merge]:
    """Return the merges as pairs; files have them as "a b" or ["a", "b"]."""
    if not isinstance(merges, list) or len(merges) > MAX_IDS:
        raise FormatError(source, "model.merges", f"is not a list of at most {MAX_IDS} pairs")
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    if (
        set(map(type, pairs)) <= {list}
        and set(map(len, pairs)) <= {2}
        and set(map(type, chain.from_iterable(pairs))) <= {str}
    ):
        return [(left, right) for left, right in pairs]
    number = next(number for number, pair in enumerate(pairs) if not _is_pair(pair))
    raise FormatError(source, "model.merges", f"number {number} is not a pair of tokens")


def _is_pair(sides: object) -> bool:
    return (
        isinstance(sides, list) and len(sides) == 2 and all(isinstance(side, str) for side in sides)
    )


def _without_structure(merges: Sequence[Merge], added: Added) -> list[Merge]:
    """Return the merges without those of a control or byte token, which converters write for every
    splittable text.
    """
    structure = {each.text for each in added.values() if each.control} | set(BYTE_TOKENS)
    return [merge for merge in merges if structure.isdisjoint((*merge, "".join(merge)))]


def _read_added(entries: object, source: object) -> dict[int, AddedToken]:
    if not isinstance(entries, list) or len(entries) > MAX_ADDED_TOKENS:
        raise FormatError(
            source, "added_tokens", f"is not a list of at most {MAX_ADDED_TOKENS} tokens"
        )
    added: dict[int, AddedToken] = {}
    for entry in entries:
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str) or not _is_id(entry.get("id")) or entry["id"] in added:
            reason = f"an entry has no content, or no unique id from 0 to {MAX_IDS - 1}"
            raise FormatError(source, "added_tokens", reason)
        added[entry["id"]] = AddedToken(
            content, bool(entry.get("special")), bool(entry.get("rstrip"))
        )
    return added


def _bos(post_processor: object, source: object) -> str | None:
    """Return the control token that a `post_processor` puts before a text; anything else is
    refused.
    """
    match post_processor:
        case (
            None
            | {"type": "ByteLevel"}
            | {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]}
        ):
            return None
        case {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": str(text)}}, {"Sequence": {"id": "A"}}],
        }:
            return text
        case {"type": "Sequence", "processors": [*steps]} if not any(
            isinstance(step, dict) and step.get("type") == "Sequence" for step in steps
        ):
            found = [_bos(step, source) for step in steps]
            return next((bos for bos in found if bos is not None), None)
    raise FormatError(source, "post_processor", "does more than put one token before a text")


def check_table(table: TokenizerTable, source: object) -> None:
    """Check that a table is consistent. Raises FormatError with `source`."""
    texts, ids = table.texts, set(table.vocabulary.values())
    lengths = set(map(len, texts.values()))
    if (
        not table.vocabulary
        or len(texts) > MAX_IDS
        or min(lengths) == 0
        or max(lengths) > MAX_TOKEN_CHARACTERS
    ):
        reason = (
            f"there are none, over {MAX_IDS}, "
            f"or one is empty or over {MAX_TOKEN_CHARACTERS} characters long"
        )
        raise FormatError(source, "tokens", reason)
    try:
        "".join(chain(table.vocabulary, (each.text for each in table.added.values()))).encode()
    except UnicodeEncodeError:
        raise FormatError(source, "tokens", "one has a lone surrogate") from None
    if len(ids) != len(table.vocabulary):
        raise FormatError(source, "tokens", f"{len(table.vocabulary)} tokens share {len(ids)} ids")
    _check_added(table, source)
    _check_control(table, source)
    _check_merges(table, source)


def _check_added(table: TokenizerTable, source: object) -> None:
    """Every added token has a unique id, in the vocabulary or right after it."""
    ids, size = {each.text: id for id, each in table.added.items()}, len(table.vocabulary)
    after = [id for id, each in sorted(table.added.items()) if each.text not in table.vocabulary]
    contradicting = any(table.vocabulary.get(text, id) != id for text, id in ids.items())
    if (
        len(ids) != len(table.added)
        or contradicting
        or after != list(range(size, size + len(after)))
    ):
        reason = (
            f"{len(table.added)} tokens are not in, or right after, "
            f"a vocabulary of {size}, each with a unique id"
        )
        raise FormatError(source, "added tokens", reason)
    for text, place in ((table.bos, "before"), (table.eos, "after")):
        if text is not None and text not in table.control:
            raise FormatError(
                source,
                "post_processor",
                f"puts {text[:40]!r} {place} a text, which is not a control token",
            )


def _check_control(table: TokenizerTable, source: object) -> None:
    """No control token of the vocabulary is the encoding of ordinary text without a merge, and
    every byte (every unknown word) has a token.
    """
    whole = next(filter(table.style.is_whole, table.control.keys() & table.vocabulary.keys()), None)
    if whole is not None:
        raise FormatError(
            source, "added tokens", f"ordinary text can become the control token {whole[:40]!r}"
        )
    if (
        isinstance(table.style, WordPiece)
        and table.style.unknown not in table.control.keys() & table.vocabulary.keys()
    ):
        raise FormatError(
            source,
            "model.unk_token",
            f"is {table.style.unknown[:40]!r}, which is not a control token",
        )
    byte = missing_byte(table.vocabulary) if isinstance(table.style, SentencePiece) else None
    if byte is not None:
        raise FormatError(source, "tokens", f"the byte {byte}, '<0x{byte:02X}>', has no token")


def _check_merges(table: TokenizerTable, source: object) -> None:
    """Both sides of a merge, and the result, are ordinary tokens: text never merges into a control
    token.
    """
    ordinary = table.vocabulary.keys() - table.control.keys()
    made = [left + right for left, right in table.merges]
    if not ordinary.issuperset(chain(made, chain.from_iterable(table.merges))):
        parts = enumerate(zip(table.merges, made, strict=True))
        number, (left, right) = next(
            (n, pair) for n, (pair, whole) in parts if not ordinary.issuperset((*pair, whole))
        )
        reason = (
            f"number {number}, {left[:40]!r} and {right[:40]!r}, "
            "is not a pair of tokens that makes a token"
        )
        raise FormatError(source, "merges", reason)
    if len(set(table.merges)) != len(table.merges):
        raise FormatError(
            source, "merges", f"{len(table.merges) - len(set(table.merges))} are duplicates"
        )


def token_bytes(table: TokenizerTable, source: object) -> list[bytes]:
    """Return the bytes of every id, b"" for ids without a token; added tokens are their text.

    Raises FormatError.
    """
    texts = table.texts
    tokens = [b""] * (1 + max(texts))
    left: Iterable[int] = texts
    if isinstance(table.style, ByteLevel):
        ordinary = [id for id in texts if id not in table.added]
        all_bytes = table.style.bytes_of_all([texts[id] for id in ordinary])
        if all_bytes is not None:
            left = table.added
            for id, data in zip(ordinary, all_bytes, strict=True):
                tokens[id] = data
    for id in left:
        text, added = texts[id], table.added.get(id)
        if added is not None and added.control:
            found: bytes | None = text.encode("utf-8", "replace")
        else:
            found = table.style.bytes_of(text, added=added is not None)
        if found is None:
            raise FormatError(
                source,
                f"token {text[:40]!r}",
                "is not written in the byte alphabet of byte-level BPE",
            )
        tokens[id] = found
    return tokens
