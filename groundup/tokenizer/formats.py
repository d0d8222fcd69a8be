"""Tokenizers in GGUF files: metadata -> Tokenizer, and back.

A GGUF file has a tokenizer as lists under `tokenizer.ggml.*`: the tokens, a type for each, and the
ids of the special tokens.

    "gpt2"    byte-level BPE: merges as "left right", and in `pre` the name of the split, for which
              llama.cpp has the expression compiled in. A wrong name gives other ids without a
              warning, so a tokenizer with an unnamed split can't be written.
    "llama"   SentencePiece BPE: a score per token instead of merges (`sentencepiece.py`), and
              whether a space is added at the start of a text.

Control tokens have type 3: llama.cpp recognises them in a prompt only when it parses special
tokens. Type 4 is always recognised, in user text too.

Source: the GGUF specification and src/llama-vocab.cpp. Left out: "bert" (WordPiece), "t5" (Unigram)
and other models.
"""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

from groundup.errors import FormatError, ModelError
from groundup.tokenizer.bytelevel import LLAMACPP_SPLITS, ByteLevel
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.sentencepiece import (
    BYTE_TOKENS,
    SPACE,
    Merge,
    SentencePiece,
    made_of_unknown,
    merges_of,
    scores_of,
    unsayable,
)
from groundup.tokenizer.spec import MAX_IDS, Added, AddedToken, Style, TokenizerTable
from groundup.tokenizer.special import GENERATION_ENDS, TURN_ENDS
from groundup.tokenizer.wordpiece import WordPiece

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

# llama.cpp's other names of our splits (src/llama-vocab.cpp).
PRE_ALIASES = {
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "gpt2": "gpt-2",
    "phi-2": "gpt-2",
    "deepseek-r1-qwen": "qwen2",
    "": "default",
}

# llama.cpp's default ids for SentencePiece.
USUAL_IDS = {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}
# llama.cpp recognises Phi-3 by the model's name: all its added tokens but these include the spaces
# after them.
PHI3_UNTOUCHED = ("<unk>", "<s>", "<|endoftext|>")

_PREFIX = "tokenizer.ggml."
_PARTS = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "pad_token": "padding_token_id",
    "unk_token": "unknown_token_id",
}


def tokenizer_from_gguf(
    metadata: Mapping[str, object], *, source: object = "GGUF metadata"
) -> Tokenizer:
    """Return the tokenizer of GGUF metadata (plain Python values), with the ids of llama.cpp.

    Raises FormatError with `source`.
    """
    fields = _GGUFFields(metadata, source)
    style = _style(fields)
    merges = _merges(fields) if isinstance(style, ByteLevel) else []
    tokens, added = _tokens(fields, {left + right for left, right in merges})
    config = _config(fields, tokens, added, style)
    # The vocabulary for merging: all tokens up to the last ordinary one, without the control tokens
    # at the end.
    ordinary = max((id for id in range(len(tokens)) if id not in added), default=-1)
    vocabulary = {token: id for id, token in enumerate(tokens[: ordinary + 1])}
    if not isinstance(style, ByteLevel):
        merges = _merges_by_score(fields, vocabulary, added)
    return Tokenizer(TokenizerTable(vocabulary, merges, style, added), config, source=source)


def _full_name(name: str) -> str:
    """Return a field's whole name; without a point it is one of the tokenizer's."""
    return name if "." in name else _PREFIX + name


class _GGUFFields:
    """The `tokenizer.ggml.*` fields, with type checks."""

    def __init__(self, metadata: Mapping[str, object], source: object) -> None:
        self.metadata = metadata
        self.source = source

    def error(self, name: str, reason: str) -> FormatError:
        return FormatError(self.source, _full_name(name), reason)

    def get(self, name: str, kind: type, default: Any = None) -> Any:
        """Return the field's value, `default` if missing.

        Raises FormatError on another type (a bool is not an int).
        """
        value = self.metadata.get(_full_name(name), default)
        is_bool = kind is int and isinstance(value, bool)
        if value is not default and (is_bool or not isinstance(value, kind)):
            raise self.error(name, f"is a {type(value).__name__}, expected a {kind.__name__}")
        return value

    def usual_id(self, name: str) -> int | None:
        """Return llama.cpp's default id, if the file has a token of that id."""
        tokens, id = self.metadata.get(f"{_PREFIX}tokens"), USUAL_IDS.get(name)
        if id is None or self.metadata.get(f"{_PREFIX}model") != "llama":
            return None
        if not isinstance(tokens, Sequence) or id >= len(tokens):
            return None
        return id

    def items(self, name: str, kind: type, at_most: int) -> list[Any]:
        """Return a list of `kind` of at most `at_most` entries. Raises FormatError."""
        values = self.metadata.get(_PREFIX + name)
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise self.error(name, "is missing or not a list")
        if len(values) > at_most:
            raise self.error(name, f"has {len(values)} entries, at most {at_most} are allowed")
        if not all(isinstance(value, kind) for value in values):
            raise self.error(name, f"has an entry that is not a {kind.__name__}")
        return list(values)


def _style(fields: _GGUFFields) -> Style:
    model = fields.get("model", str)
    if model is None:
        raise fields.error("model", "is missing")
    if model == "llama":
        return SentencePiece("always" if fields.get("add_space_prefix", bool, True) else "never")
    if model != "gpt2":
        supported = "'gpt2' (byte-level BPE) and 'llama' (SentencePiece BPE)"
        raise fields.error("model", f"is {model[:40]!r}; supported are {supported}")
    pre = fields.get("pre", str, "")
    split = PRE_ALIASES.get(pre, pre)
    if split not in LLAMACPP_SPLITS:
        raise fields.error("pre", f"is {pre[:40]!r}; supported are {', '.join(LLAMACPP_SPLITS)}")
    return ByteLevel(split, whole_pieces=split == "llama-bpe")


def _tokens(fields: _GGUFFields, merged: Container[str]) -> tuple[list[str], Added]:
    """Return all tokens and the added tokens by id. Unused ids at the end are left out. `merged`:
    the tokens that merges make of ordinary text.
    """
    tokens = fields.items("tokens", str, MAX_IDS)
    types = fields.items("token_type", int, MAX_IDS)
    if len(types) != len(tokens):
        raise fields.error("token_type", f"has {len(types)} entries for {len(tokens)} tokens")
    while types and types[-1] == UNUSED:
        types.pop()
        tokens.pop()
    if len(set(tokens)) != len(tokens):
        raise fields.error(
            "tokens", f"has {len(tokens)} entries, but only {len(set(tokens))} different ones"
        )
    eos = fields.get("eos_token_id", int, fields.usual_id("eos_token_id"))
    name = fields.get("general.name", str, "").lower()
    is_phi3 = "phi-3" in name or "phi3" in name
    added = {}
    for id, (token, type) in enumerate(zip(tokens, types, strict=True)):
        # As in llama.cpp, end-of-generation tokens are control tokens whatever their type; but
        # not Qwen's "</s>", which is a tag of HTML that merges make (llama.cpp stops there).
        ends = token in GENERATION_ENDS and not (type == NORMAL and token in merged)
        control = type in (CONTROL, UNKNOWN) or id == eos or ends
        if control or type == USER_DEFINED:
            added[id] = AddedToken(
                token, control, takes_spaces=is_phi3 and token not in PHI3_UNTOUCHED
            )
    return tokens, added


def _merges(fields: _GGUFFields) -> list[Merge]:
    """Return the merges "left right" as pairs; tokens have no spaces."""
    merges = []
    for number, entry in enumerate(fields.items("merges", str, MAX_IDS)):
        left, space, right = entry.partition(" ")
        if not space:
            raise fields.error(
                "merges", f"number {number}, {entry[:40]!r}, is not a pair of tokens"
            )
        merges.append((left, right))
    return merges


def _merges_by_score(
    fields: _GGUFFields, vocabulary: Mapping[str, int], added: Added
) -> list[Merge]:
    """Return the merges that are equivalent to the scores.

    Raises FormatError where there are none.
    """
    scores = fields.items("scores", float, MAX_IDS)
    if len(scores) < len(vocabulary):
        raise fields.error("scores", f"has {len(scores)} entries for {len(vocabulary)} tokens")
    if not all(map(math.isfinite, scores)):
        raise fields.error("scores", "has a non-finite entry")
    ordinary = {
        token: scores[id]
        for token, id in vocabulary.items()
        if id not in added and token not in BYTE_TOKENS
    }
    unknown = made_of_unknown(ordinary)
    if unknown is not None:
        raise fields.error("tokens", f"has {unknown[:40]!r}, with a character that is not a token")
    merges = merges_of(ordinary)
    made = {left + right for left, right in merges}
    if len({ordinary[token] for token in made}) != len(made):
        raise fields.error(
            "scores", "has the same score for several tokens, so the order of merges is undefined"
        )
    return merges


def _config(
    fields: _GGUFFields, tokens: list[str], added: Added, style: Style
) -> dict[str, str | bool | None]:
    """Return the equivalent tokenizer_config.json.

    A bos, pad or unk that is not a control token is ignored.
    """
    config: dict[str, str | bool | None] = {}
    for part, key in _PARTS.items():
        id = fields.get(key, int, fields.usual_id(key))
        if id is not None and not 0 <= id < len(tokens) and part != "pad_token":
            raise fields.error(key, f"is {id}, of {len(tokens)} tokens")
        config[part] = None
        if id in added and added[id].control:
            config[part] = added[id].text
    # By default llama.cpp adds a bos for SentencePiece and for Llama 3's split.
    usual = isinstance(style, SentencePiece) or (
        isinstance(style, ByteLevel) and style.split == "llama-bpe"
    )
    config["add_bos_token"] = (
        fields.get("add_bos_token", bool, usual) and config["bos_token"] is not None
    )
    config["chat_template"] = fields.get("tokenizer.chat_template", str)
    return config


def gguf_metadata(tokenizer: Tokenizer, *, vocab_size: int | None = None) -> dict[str, object]:
    """Return the `tokenizer.*` entries of a GGUF file: strings, booleans, ints and lists of them.

    `vocab_size`: rows of the model's embedding, if more than the tokenizer's ids; the rest are
    written as unused tokens. With a chat template the eos is the end-of-turn token: programs with a
    single stop token must stop there. Raises ModelError.
    """
    rows = tokenizer.vocab_size
    if vocab_size is not None:
        rows = vocab_size
    if rows < tokenizer.vocab_size:
        raise ModelError(
            f"The model has {rows} rows for a tokenizer of {tokenizer.vocab_size} ids.",
            fix="Use the tokenizer that belongs to the model.",
        )
    table = tokenizer.table
    if isinstance(table.style, WordPiece):
        raise ModelError(
            "A WordPiece tokenizer is not written as GGUF here.",
            fix="Use it in a Hugging Face folder.",
        )
    texts = table.texts
    if isinstance(table.style, ByteLevel):
        style = _byte_level_fields(table)
    else:
        style = _pieces_fields(table, texts, rows)
    metadata: dict[str, object] = {
        "pre": tokenizer.pre,
        "tokens": [texts.get(id, f"[PAD{id}]") for id in range(rows)],
        "token_type": [_type(id, texts, table) for id in range(rows)],
        "add_bos_token": tokenizer.special.adds_bos,
        **style,
        **_part_ids(tokenizer),
    }
    named = {_PREFIX + name: value for name, value in metadata.items()}
    if tokenizer.chat_template is not None:
        named["tokenizer.chat_template"] = tokenizer.chat_template
    return named


def _byte_level_fields(table: TokenizerTable) -> dict[str, object]:
    """Return the fields of byte-level BPE. Raises ModelError where llama.cpp has no equal."""
    assert isinstance(table.style, ByteLevel)
    reason, fix = "", "Use it in a Hugging Face folder"
    if table.style.split not in LLAMACPP_SPLITS:
        reason = f"llama.cpp has no split like its {table.style.split!r}, and would give other ids"
    elif not table.merges:  # "cannot find tokenizer merges in model file"
        reason = "it has no merges, and llama.cpp loads no byte-level tokenizer without"
        fix += "; a tokenizer of the kind character can be written"
    if reason:
        raise ModelError(f"This tokenizer can't be written as GGUF: {reason}.", fix=f"{fix}.")
    merges = [f"{left} {right}" for left, right in table.merges]
    return {"model": "gpt2", "merges": merges, "add_space_prefix": False}


def _pieces_fields(table: TokenizerTable, texts: Mapping[int, str], rows: int) -> dict[str, object]:
    """Return the fields of SentencePiece BPE. Raises ModelError where no scores are equivalent to
    the merges.
    """
    assert isinstance(table.style, SentencePiece)
    whole = {each.text for each in table.added.values()}
    ordinary = {
        token: id
        for token, id in table.vocabulary.items()
        if token not in whole and token not in BYTE_TOKENS
    }
    # llama.cpp splits a text at added tokens before it merges.
    merges = [(left, right) for left, right in table.merges if left + right not in whole]
    reason = unsayable(merges, ordinary)
    if reason is not None:
        raise ModelError(
            "This tokenizer's merges can't be written as scores, "
            f"which GGUF has for SentencePiece: {reason}.",
            fix="Use it in a Hugging Face folder; llama.cpp would give other ids.",
        )
    scores = scores_of(merges)
    tokens = {id: texts.get(id, f"[PAD{id}]") for id in range(rows)}
    # llama.cpp writes an added token that is not a control token with spaces instead of "▁".
    tokens |= {
        id: each.text.replace(SPACE, " ") for id, each in table.added.items() if not each.control
    }
    return {
        "model": "llama",
        "tokens": list(tokens.values()),
        "scores": [scores.get(texts.get(id, ""), 0.0) for id in range(rows)],
        "add_space_prefix": table.style.prefix != "never",
        "remove_extra_whitespaces": False,
    }


def _type(id: int, texts: Mapping[int, str], table: TokenizerTable) -> int:
    if id in table.added:
        return CONTROL if table.added[id].control else USER_DEFINED
    if isinstance(table.style, SentencePiece) and texts.get(id) in BYTE_TOKENS:
        return BYTE
    return NORMAL if id in texts else UNUSED


def _part_ids(tokenizer: Tokenizer) -> dict[str, int]:
    special = tokenizer.special
    turn_end = next((special.tokens[text] for text in TURN_ENDS if text in special.tokens), None)
    eos: int | None = special.eos_id
    if tokenizer.chat_template is not None and turn_end is not None:
        eos = turn_end
    ids = {
        "bos_token_id": special.bos_id,
        "eos_token_id": eos,
        "eot_token_id": turn_end,
        "padding_token_id": special.pad_id,
        "unknown_token_id": special.unk_id,
    }
    return {key: id for key, id in ids.items() if id is not None}
