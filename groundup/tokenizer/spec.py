"""A tokenizer as a checked table, and its form as `tokenizer.json`.

Merging works the same in all our families: a vocabulary of texts and a list of merges. How a vocabulary writes spaces and bytes is its
style: `bytelevel.py` or `pieces.py` (SentencePiece).

A foreign tokenizer.json is never handed to the `tokenizers` library as it is: with odd entries the library stops with an error
that no `except` clause should catch, and an expression in it can take any time. We read the parts that we know, refuse what
we don't, and the library gets the file that `to_json` writes. Left out: tokens put after a text, the flag of added tokens that
swallows spaces before them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from groundup.errors import FormatError
from groundup.files import read_json
from groundup.tokenizer.bytelevel import ByteLevel, read_byte_level
from groundup.tokenizer.pieces import BYTE_TOKENS, Pieces, missing_byte, read_pieces

MAX_JSON_BYTES = 64 * 2**20  # the largest of our families, Gemma 3's, is 33 MB
MAX_IDS = 1_000_000  # four times the largest vocabulary in use (262,144)
MAX_TOKEN_CHARACTERS = 10_000
MAX_ADDED_TOKENS = 20_000

Merge = tuple[str, str]
Style = ByteLevel | Pieces


class AddedToken(NamedTuple):
    """A token that is matched as a whole, before any merging."""

    text: str
    control: bool
    """Whether it stands for structure, so that text never becomes it."""
    takes_spaces: bool = False
    """Whether the spaces after it belong to it (Phi-3)."""


Added = Mapping[int, AddedToken]


_SURROGATE = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """`text` with each lone surrogate, which no UTF-8 can carry, replaced by U+FFFD; its length stays."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


@dataclass(frozen=True)
class TokenizerTable:
    """All that decides the ids of a text."""

    vocabulary: Mapping[str, int]
    """Token as its style writes it -> id; what merging works on."""
    merges: Sequence[Merge]
    """Pairs of tokens in the order in which they are joined."""
    style: Style
    """How the vocabulary writes text."""
    added: Added
    """Tokens matched as a whole, by id: in the vocabulary already, or right behind it."""
    bos: str | None = None
    """The control token that other programs put before every text."""

    @property
    def texts(self) -> dict[int, str]:
        """Every token as it is written: id -> text, in its style but for added tokens."""
        return {id: text for text, id in self.vocabulary.items()} | {id: each.text for id, each in self.added.items()}

    @property
    def control(self) -> dict[str, int]:
        """The control tokens: text -> id."""
        return {each.text: id for id, each in self.added.items() if each.control}

    def to_json(self) -> dict[str, Any]:
        """The tokenizer.json of this table, as `tokenizers` and transformers read it."""
        parts = self.style.json_parts()
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_added_token(id, self.added[id]) for id in sorted(self.added)],
            "normalizer": parts["normalizer"],
            "pre_tokenizer": parts["pre_tokenizer"],
            "post_processor": None if self.bos is None else _bos_first(self.bos, self.control[self.bos]),
            "decoder": parts["decoder"],
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                **parts["model"],
                "vocab": dict(self.vocabulary),
                "merges": [list(merge) for merge in self.merges],
            },
        }


def _added_token(id: int, token: AddedToken) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": token.takes_spaces, "normalized": False}
    return {"id": id, "content": token.text, **flags, "special": token.control}


def _bos_first(text: str, id: int) -> dict[str, object]:
    bos = {"SpecialToken": {"id": text, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))
    tokens = {text: {"id": text, "ids": [id], "tokens": [text]}}
    return {
        "type": "TemplateProcessing",
        "single": [bos, first],
        "pair": [bos, first, second],
        "special_tokens": tokens,
    }


def read_table(path: Path) -> TokenizerTable:
    """The table of a tokenizer.json. Raises FormatError."""
    return table_from_json(read_json(path, max_bytes=MAX_JSON_BYTES), path)


def table_from_json(spec: object, source: object) -> TokenizerTable:
    """The table that a parsed tokenizer.json holds, its shape checked. Raises FormatError naming `source`."""
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise FormatError(source, "model", "is missing: this is no tokenizer.json")
    model = spec["model"]
    _require_plain_bpe(model, source)
    style = read_pieces(spec, source) if model.get("byte_fallback") else read_byte_level(spec, source)
    added = _added(spec.get("added_tokens", []), source)
    merges = _merges(model.get("merges"), source)
    return TokenizerTable(
        vocabulary=_vocabulary(model.get("vocab"), source),
        merges=merges if isinstance(style, ByteLevel) else _without_structure(merges, added),
        style=style,
        added=added,
        bos=_bos(spec.get("post_processor"), source),
    )


def _require_plain_bpe(model: Mapping[str, Any], source: object) -> None:
    # Old files have no type.
    if model.get("type", "BPE") != "BPE":
        kind = str(model.get("type"))[:40]
        raise FormatError(source, "model", f"is of type {kind!r}; known is BPE, byte-level or SentencePiece's")
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(setting):
            raise FormatError(source, f"model.{setting}", "is set, which none of our families has a use for")


def _vocabulary(vocabulary: object, source: object) -> dict[str, int]:
    if not isinstance(vocabulary, dict) or not all(_is_id(id) for id in vocabulary.values()):
        raise FormatError(source, "model.vocab", f"is not a table of tokens with ids from 0 to {MAX_IDS - 1}")
    return vocabulary


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_IDS


def _merges(merges: object, source: object) -> list[Merge]:
    """The merges as pairs; files write them as "a b" or as ["a", "b"]."""
    if not isinstance(merges, list) or len(merges) > MAX_IDS:
        raise FormatError(source, "model.merges", f"is not a list of at most {MAX_IDS} pairs")
    pairs = []
    for number, merge in enumerate(merges):
        sides = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(sides, list) or len(sides) != 2 or not all(isinstance(side, str) for side in sides):
            raise FormatError(source, "model.merges", f"number {number} is not a pair of tokens")
        pairs.append((sides[0], sides[1]))
    return pairs


def _without_structure(merges: Sequence[Merge], added: Added) -> list[Merge]:
    """The merges without those that spell a control or a byte token, which converters write for every text that can be parted."""
    structure = {each.text for each in added.values() if each.control} | set(BYTE_TOKENS)
    return [merge for merge in merges if structure.isdisjoint((*merge, "".join(merge)))]


def _added(entries: object, source: object) -> dict[int, AddedToken]:
    if not isinstance(entries, list) or len(entries) > MAX_ADDED_TOKENS:
        raise FormatError(source, "added_tokens", f"is not a list of at most {MAX_ADDED_TOKENS} tokens")
    added: dict[int, AddedToken] = {}
    for entry in entries:
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str) or not _is_id(entry.get("id")) or entry["id"] in added:
            raise FormatError(
                source, "added_tokens", f"an entry has no content, or no id of its own from 0 to {MAX_IDS - 1}"
            )
        added[entry["id"]] = AddedToken(content, bool(entry.get("special")), bool(entry.get("rstrip")))
    return added


def _bos(post_processor: object, source: object) -> str | None:
    """The control token that a `post_processor` puts before a text; anything more is refused."""
    match post_processor:
        case None | {"type": "ByteLevel"} | {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]}:
            return None
        case {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": str(text)}}, {"Sequence": {"id": "A"}}]}:
            return text
        case {"type": "Sequence", "processors": [*steps]} if not any(
            isinstance(step, dict) and step.get("type") == "Sequence" for step in steps
        ):
            return next((bos for step in steps if (bos := _bos(step, source)) is not None), None)
    raise FormatError(source, "post_processor", "does more than to put one token before a text")


def check_table(table: TokenizerTable, source: object) -> None:
    """Refuse a table that contradicts itself. Raises FormatError naming `source`."""
    texts = table.texts
    if (
        not table.vocabulary
        or len(texts) > MAX_IDS
        or not all(0 < len(text) <= MAX_TOKEN_CHARACTERS for text in texts.values())
    ):
        raise FormatError(
            source,
            "tokens",
            f"there are none, over {MAX_IDS}, or one is empty or over {MAX_TOKEN_CHARACTERS} characters long",
        )
    if _SURROGATE.search(" ".join([*texts.values(), *table.vocabulary])):
        raise FormatError(source, "tokens", "one has half a character (a lone surrogate)")
    if len(set(table.vocabulary.values())) != len(table.vocabulary):
        raise FormatError(
            source, "tokens", f"{len(table.vocabulary)} tokens share {len(set(table.vocabulary.values()))} ids"
        )
    _check_added(table, source)
    _check_control(table, source)
    _check_merges(table, source)


def _check_added(table: TokenizerTable, source: object) -> None:
    """Every added token has one id, and the one that its place gives it."""
    ids = {each.text: id for id, each in table.added.items()}
    behind = [id for id, each in sorted(table.added.items()) if each.text not in table.vocabulary]
    contradicting = [text for text, id in ids.items() if table.vocabulary.get(text, id) != id]
    if (
        len(ids) != len(table.added)
        or contradicting
        or behind != list(range(len(table.vocabulary), len(table.vocabulary) + len(behind)))
    ):
        reason = f"{len(table.added)} tokens do not stand in, or right behind, a vocabulary of {len(table.vocabulary)}, each under one id"
        raise FormatError(source, "added tokens", reason)
    if table.bos is not None and table.bos not in table.control:
        raise FormatError(source, "post_processor", f"puts {table.bos[:40]!r} before a text, which is no control token")


def _check_control(table: TokenizerTable, source: object) -> None:
    """No control token inside the vocabulary is what ordinary text becomes without a merge, and no text is without a token."""
    whole = next(filter(table.style.is_whole, table.control.keys() & table.vocabulary.keys()), None)
    if whole is not None:
        raise FormatError(source, "added tokens", f"the control token {whole[:40]!r} is what ordinary text becomes")
    byte = None if isinstance(table.style, ByteLevel) else missing_byte(table.vocabulary)
    if byte is not None:
        raise FormatError(source, "tokens", f"none stands for the byte {byte}, '<0x{byte:02X}>'")


def _check_merges(table: TokenizerTable, source: object) -> None:
    """Both sides of a merge, and what it makes, are ordinary tokens: text never merges into a control token."""
    ordinary = table.vocabulary.keys() - table.control.keys()
    for number, (left, right) in enumerate(table.merges):
        if left not in ordinary or right not in ordinary or left + right not in ordinary:
            raise FormatError(
                source,
                "merges",
                f"number {number}, {left[:40]!r} and {right[:40]!r}, is not a pair of tokens that makes a token",
            )
    if len(set(table.merges)) != len(table.merges):
        raise FormatError(source, "merges", f"{len(table.merges) - len(set(table.merges))} are there twice")


def token_bytes(table: TokenizerTable, source: object) -> list[bytes]:
    """The bytes of every id, b"" for ids that no token has; added tokens are their text. Raises FormatError."""
    texts = table.texts
    tokens = [b""] * (1 + max(texts))
    for id, text in texts.items():
        added = table.added.get(id)
        is_control = added is not None and added.control
        data = text.encode("utf-8", "replace") if is_control else table.style.bytes_of(text, added=added is not None)
        if data is None:
            reason = "is not written in the byte alphabet, as those of byte-level BPE are"
            raise FormatError(source, f"token {text[:40]!r}", reason)
        tokens[id] = data
    return tokens


def canonical_text(table: TokenizerTable) -> str:
    """The table as one text, the same for equal tables."""
    return json.dumps(table.to_json(), sort_keys=True, separators=(",", ":"))
