"""A byte-level BPE as a checked table, and its form as `tokenizer.json`.

Byte-level BPE writes each byte as one visible character (GPT-2's alphabet), so that a vocabulary is plain text: a space is "Ġ", a newline "Ċ".

A foreign tokenizer.json is never handed to the `tokenizers` library as it is: with odd entries the library stops with an error
that no `except` clause should catch, and an expression in it can take any time. We read the parts that we know, refuse what
we don't, and the library gets the file that `to_json` writes. Left out: normalisation but NFC, expressions that are not in `split.SPLITS`,
tokens put after a text, the flags of added tokens that swallow spaces around them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import read_json
from groundup.tokenizer.split import SPLITS, pre_tokenizer_spec, recognise_split, split_text

MAX_JSON_BYTES = 64 * 2**20  # the largest of our families, Qwen's, is 11 MB
MAX_IDS = 1_000_000  # four times the largest vocabulary in use (262,144)
MAX_TOKEN_CHARACTERS = 10_000
MAX_ADDED_TOKENS = 20_000

Merge = tuple[str, str]
# Tokens that are matched as a whole: id -> (text, is it a control token?).
Added = Mapping[int, tuple[str, bool]]


_SURROGATE = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """`text` with each lone surrogate, which no UTF-8 can carry, replaced by U+FFFD; its length stays."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _byte_alphabet() -> dict[int, str]:
    """Byte -> character: visible Latin-1 characters stand for themselves, the other 68 bytes for U+0100 and on, in order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + rank) for rank, byte in enumerate(hidden)}


BYTE_TO_CHARACTER = _byte_alphabet()
CHARACTER_TO_BYTE = {character: byte for byte, character in BYTE_TO_CHARACTER.items()}
# Bytes in the order of their characters: the ids 0 to 255 of GPT-2 and of ours.
BYTE_ORDER = sorted(range(256), key=lambda byte: BYTE_TO_CHARACTER[byte])


@dataclass(frozen=True)
class Table:
    """All that decides the ids of a text."""

    vocabulary: Mapping[str, int]
    """Token in the byte alphabet -> id; what merging works on."""
    merges: Sequence[Merge]
    """Pairs of tokens in the order in which they are joined."""
    split: str
    """Name of the split, one of `split.SPLITS`."""
    added: Added
    """Tokens matched as a whole: in the vocabulary already, or right behind it."""
    bos: str | None = None
    """The control token that other programs put before every text."""
    nfc: bool = False
    """Whether texts are brought into Unicode's composed form first (Qwen)."""
    whole_pieces: bool = True
    """Whether a piece that is a token as a whole is taken without merging (Llama 3, and llama.cpp for its split)."""

    @property
    def texts(self) -> dict[int, str]:
        """Every token as it is written: id -> text, in the byte alphabet but for added tokens."""
        return {id: text for text, id in self.vocabulary.items()} | {id: text for id, (text, _) in self.added.items()}

    @property
    def control(self) -> dict[str, int]:
        """The control tokens: text -> id."""
        return {text: id for id, (text, is_control) in self.added.items() if is_control}

    def to_json(self) -> dict[str, Any]:
        """The tokenizer.json of this table, as `tokenizers` and transformers read it."""
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_added_token(id, *self.added[id]) for id in sorted(self.added)],
            "normalizer": {"type": "NFC"} if self.nfc else None,
            "pre_tokenizer": pre_tokenizer_spec(self.split),
            "post_processor": None if self.bos is None else _bos_first(self.bos, self.control[self.bos]),
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": self.whole_pieces,
                "vocab": dict(self.vocabulary),
                "merges": [list(merge) for merge in self.merges],
            },
        }


def _added_token(id: int, text: str, control: bool) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": id, "content": text, **flags, "special": control}


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


def read_table(path: Path) -> Table:
    """The table of a tokenizer.json. Raises FormatError."""
    return table_from_json(read_json(path, max_bytes=MAX_JSON_BYTES), path)


def table_from_json(spec: object, source: object) -> Table:
    """The table that a parsed tokenizer.json holds, its shape checked. Raises FormatError naming `source`."""
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise FormatError(source, "model", "is missing: this is no tokenizer.json")
    model, normalizer = spec["model"], spec.get("normalizer")
    _require_plain_bpe(model, source)
    if normalizer not in (None, {"type": "NFC"}):
        raise FormatError(source, "normalizer", "is none that we know; only NFC is supported")
    split = recognise_split(spec.get("pre_tokenizer"))
    if split is None:
        raise FormatError(
            source, "pre_tokenizer", f"splits text in a way that is not known; known are {', '.join(SPLITS)}"
        )
    return Table(
        vocabulary=_vocabulary(model.get("vocab"), source),
        merges=_merges(model.get("merges"), source),
        split=split,
        added=_added(spec.get("added_tokens", []), source),
        bos=_bos(spec.get("post_processor"), source),
        nfc=normalizer is not None,
        whole_pieces=bool(model.get("ignore_merges")),
    )


def _require_plain_bpe(model: Mapping[str, Any], source: object) -> None:
    # Old files have no type.
    if model.get("type", "BPE") != "BPE" or model.get("byte_fallback"):
        raise FormatError(
            source, "model", f"is of type {str(model.get('type'))[:40]!r}; only byte-level BPE is supported"
        )
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(setting):
            raise FormatError(source, f"model.{setting}", "is set, which byte-level BPE has no use for")


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


def _added(entries: object, source: object) -> dict[int, tuple[str, bool]]:
    if not isinstance(entries, list) or len(entries) > MAX_ADDED_TOKENS:
        raise FormatError(source, "added_tokens", f"is not a list of at most {MAX_ADDED_TOKENS} tokens")
    added: dict[int, tuple[str, bool]] = {}
    for entry in entries:
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str) or not _is_id(entry.get("id")) or entry["id"] in added:
            raise FormatError(
                source, "added_tokens", f"an entry has no content, or no id of its own from 0 to {MAX_IDS - 1}"
            )
        added[entry["id"]] = (content, bool(entry.get("special")))
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


def check_table(table: Table, source: object) -> None:
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
    if not all(map(_is_well_formed, texts.values())) or not all(map(_is_well_formed, table.vocabulary)):
        raise FormatError(source, "tokens", "one has half a character (a lone surrogate)")
    if len(set(table.vocabulary.values())) != len(table.vocabulary):
        raise FormatError(
            source, "tokens", f"{len(table.vocabulary)} tokens share {len(set(table.vocabulary.values()))} ids"
        )
    _check_added(table, source)
    _check_control(table, source)
    _check_merges(table, source)


def _is_well_formed(text: str) -> bool:
    return well_formed(text) == text


def _check_added(table: Table, source: object) -> None:
    """Every added token has one id, and the one that its place gives it."""
    ids = {text: id for id, (text, _) in table.added.items()}
    behind = [id for id, (text, _) in sorted(table.added.items()) if text not in table.vocabulary]
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


def _check_control(table: Table, source: object) -> None:
    """No control token inside the vocabulary is what ordinary text becomes: a byte, or a piece that is taken as a whole."""
    for text in table.control.keys() & table.vocabulary.keys():
        # Control tokens are plain text, but the look-up is by the byte alphabet: a piece " a" is looked up as "Ġa".
        piece = bytes(CHARACTER_TO_BYTE.get(character, 0) for character in text).decode("utf-8", "replace")
        if len(text) == 1 or (table.whole_pieces and split_text(piece, table.split) == [piece]):
            raise FormatError(source, "added tokens", f"the control token {text[:40]!r} is what ordinary text becomes")


def _check_merges(table: Table, source: object) -> None:
    """Both sides of a merge, and what it makes, are ordinary tokens: text never merges into a control token."""
    ordinary = table.vocabulary.keys() - table.control.keys()
    for number, (left, right) in enumerate(table.merges):
        if not {left, right, left + right} <= ordinary:
            raise FormatError(
                source,
                "merges",
                f"number {number}, {left[:40]!r} and {right[:40]!r}, is not a pair of tokens that makes a token",
            )
    if len(set(table.merges)) != len(table.merges):
        raise FormatError(source, "merges", f"{len(table.merges) - len(set(table.merges))} are there twice")


def token_bytes(table: Table, source: object) -> list[bytes]:
    """The bytes of every id, b"" for ids that no token has; added tokens are their text. Raises FormatError."""
    texts = table.texts
    tokens = [b""] * (1 + max(texts))
    for id, text in texts.items():
        tokens[id] = text.encode("utf-8", "replace") if id in table.added else bytes_of_visible(text, source)
    return tokens


def visible_token(token: bytes) -> str:
    """A token's bytes as a vocabulary writes them. `b" a"` -> "Ġa"."""
    return "".join(BYTE_TO_CHARACTER[byte] for byte in token)


def bytes_of_visible(text: str, source: object) -> bytes:
    """The bytes behind a vocabulary entry. Raises FormatError where a character stands for no byte."""
    try:
        return bytes(CHARACTER_TO_BYTE[character] for character in text)
    except KeyError as error:
        raise FormatError(
            source, f"token {text[:40]!r}", "is not written in the byte alphabet; only byte-level BPE is supported"
        ) from error


def canonical_text(table: Table) -> str:
    """The table as one text, the same for equal tables."""
    return json.dumps(table.to_json(), sort_keys=True, separators=(",", ":"))
