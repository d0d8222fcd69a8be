"""Tokenizers in GGUF files: metadata -> Tokenizer, and back.

A GGUF file holds a byte-level BPE as lists under `tokenizer.ggml.*`: tokens in the byte alphabet, a type for each, merges as "left right", the
ids of the special tokens, and in `pre` the name of the split, for which llama.cpp has the expression compiled in. A wrong name gives other
ids without any warning, so a tokenizer whose split has no name can't be written.

Control tokens are type 3: llama.cpp finds them in a prompt only when it is asked to parse special tokens. Type 4 it finds always, in user text too.

Source: the GGUF specification and src/llama-vocab.cpp. Not here: SentencePiece ("llama") and WordPiece ("bert") models.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.errors import FormatError, ModelError
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.spec import MAX_IDS, Added, Merge, Table
from groundup.tokenizer.special import GENERATION_ENDS, TURN_ENDS
from groundup.tokenizer.split import SPLITS

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

# llama.cpp's other names for splits of ours (src/llama-vocab.cpp).
PRE_ALIASES = {
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "gpt2": "gpt-2",
    "phi-2": "gpt-2",
    "deepseek-r1-qwen": "qwen2",
    "": "default",
}

_PREFIX = "tokenizer.ggml."
_PARTS = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "pad_token": "padding_token_id",
    "unk_token": "unknown_token_id",
}


def tokenizer_from_gguf(metadata: Mapping[str, object], *, source: object = "GGUF metadata") -> Tokenizer:
    """The tokenizer that GGUF metadata (plain Python values) describe; ids as llama.cpp's. Raises FormatError naming `source`."""
    fields = _Fields(metadata, source)
    model = fields.text("model")
    if model != "gpt2":
        raise FormatError(source, f"{_PREFIX}model", f"is {model[:40]!r}; only byte-level BPE ('gpt2') is supported")
    pre = fields.text("pre", default="")
    split = PRE_ALIASES.get(pre, pre)
    if split not in SPLITS:
        raise FormatError(source, f"{_PREFIX}pre", f"is {pre[:40]!r}; known are {', '.join(SPLITS)}")
    tokens, added = _tokens(fields)
    config = _config(fields, tokens, added, split)
    table = Table(
        vocabulary=_vocabulary(tokens, added),
        merges=_merges(fields),
        split=split,
        added=added,
        bos=config["bos_token"] if config["add_bos_token"] else None,
        whole_pieces=split == "llama-bpe",
    )
    return Tokenizer(table, config, source=source)


class _Fields:
    """The `tokenizer.ggml.*` fields, each read with the type it must have."""

    def __init__(self, metadata: Mapping[str, object], source: object) -> None:
        self.metadata = metadata
        self.source = source

    def error(self, name: str, reason: str) -> FormatError:
        return FormatError(self.source, name if "." in name else _PREFIX + name, reason)

    def get(self, name: str, kind: type, default: Any = None) -> Any:
        """The field's value, `default` where it is missing. Raises FormatError on another type (a truth value is no int)."""
        value = self.metadata.get(name if "." in name else _PREFIX + name, default)
        if value is not default and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise self.error(name, f"is a {type(value).__name__}, a {kind.__name__} is expected")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        value = self.get(name, str, default)
        if value is None:
            raise self.error(name, "is missing")
        return value

    def items(self, name: str, kind: type, at_most: int) -> list[Any]:
        """A list of `kind`, its length checked. Raises FormatError."""
        values = self.metadata.get(_PREFIX + name)
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise self.error(name, "is missing or no list")
        if len(values) > at_most:
            raise self.error(name, f"has {len(values)} entries, at most {at_most} are read")
        if not all(isinstance(value, kind) for value in values):
            raise self.error(name, f"has an entry that is no {kind.__name__}")
        return list(values)


def _tokens(fields: _Fields) -> tuple[list[str], Added]:
    """All tokens, and those that are matched as a whole: id -> (text, is it a control token?). Unused ids at the end are left out."""
    tokens = fields.items("tokens", str, MAX_IDS)
    types = fields.items("token_type", int, MAX_IDS)
    if len(types) != len(tokens):
        raise fields.error("token_type", f"has {len(types)} entries for {len(tokens)} tokens")
    while types and types[-1] == UNUSED:
        types.pop()
        tokens.pop()
    if len(set(tokens)) != len(tokens):
        raise fields.error("tokens", f"has {len(tokens)} entries, but only {len(set(tokens))} different ones")
    eos = fields.get("eos_token_id", int)
    added = {}
    for id, (token, type) in enumerate(zip(tokens, types, strict=True)):
        # As in llama.cpp, what ends a generation is a control token whatever its type says.
        control = type in (CONTROL, UNKNOWN) or id == eos or token in GENERATION_ENDS
        if control or type == USER_DEFINED:
            added[id] = (token, control)
    return tokens, added


def _vocabulary(tokens: list[str], added: Added) -> dict[str, int]:
    """The table that merging works on: all tokens up to the last ordinary one, so that control tokens at the end stand outside of it."""
    ordinary = max((id for id in range(len(tokens)) if id not in added), default=-1)
    return {token: id for id, token in enumerate(tokens[: ordinary + 1])}


def _merges(fields: _Fields) -> list[Merge]:
    """The merges as pairs: "left right", where a space can stand only between them."""
    merges = []
    for number, entry in enumerate(fields.items("merges", str, MAX_IDS)):
        left, space, right = entry.partition(" ")
        if not space:
            raise fields.error("merges", f"number {number}, {entry[:40]!r}, is not a pair of tokens")
        merges.append((left, right))
    return merges


def _config(fields: _Fields, tokens: list[str], added: Added, split: str) -> dict[str, Any]:
    """The tokenizer_config.json that the metadata amount to. A bos, pad or unk that is no control token is passed over: it would be of no use."""
    config: dict[str, Any] = {}
    for part, key in _PARTS.items():
        id = fields.get(key, int)
        if id is not None and not 0 <= id < len(tokens) and part != "pad_token":
            raise fields.error(key, f"is {id}, of {len(tokens)} tokens")
        config[part] = added[id][0] if id in added and added[id][1] else None
    # llama.cpp adds a bos for Llama 3's split where nothing is said.
    config["add_bos_token"] = (
        fields.get("add_bos_token", bool, split == "llama-bpe") and config["bos_token"] is not None
    )
    config["chat_template"] = fields.get("tokenizer.chat_template", str)
    return config


def gguf_metadata(tokenizer: Tokenizer, *, vocab_size: int | None = None) -> dict[str, object]:
    """The `tokenizer.*` entries of a GGUF file: texts, truth values, ints and lists of them.

    `vocab_size`: rows of the model's embedding, where they are more than the tokenizer has ids; the rest are written as unused tokens. The
    eos is the end-of-turn token for a tokenizer that chats: programs that know only one stop must stop there. Raises ModelError.
    """
    rows = tokenizer.vocab_size if vocab_size is None else vocab_size
    if rows < tokenizer.vocab_size:
        raise ModelError(
            f"The model has {rows} rows for a tokenizer of {tokenizer.vocab_size} ids.",
            fix="Use the tokenizer that belongs to the model.",
        )
    texts, added = tokenizer.table.texts, tokenizer.table.added
    metadata: dict[str, object] = {
        "model": "gpt2",
        "pre": tokenizer.pre,
        "tokens": [texts.get(id, f"[PAD{id}]") for id in range(rows)],
        "token_type": [_type(id, texts, added) for id in range(rows)],
        "merges": [f"{left} {right}" for left, right in tokenizer.table.merges],
        "add_bos_token": tokenizer.special.adds_bos,
        "add_space_prefix": False,
        **_part_ids(tokenizer),
    }
    template = {} if tokenizer.chat_template is None else {"tokenizer.chat_template": tokenizer.chat_template}
    return {_PREFIX + name: value for name, value in metadata.items()} | template


def _type(id: int, texts: Mapping[int, str], added: Added) -> int:
    if id in added:
        return CONTROL if added[id][1] else USER_DEFINED
    return NORMAL if id in texts else UNUSED


def _part_ids(tokenizer: Tokenizer) -> dict[str, int]:
    special = tokenizer.special
    turn_end = next((special.tokens[text] for text in TURN_ENDS if text in special.tokens), None)
    chats = tokenizer.chat_template is not None and turn_end is not None
    ids = {
        "bos_token_id": special.bos_id,
        "eos_token_id": turn_end if chats else special.eos_id,
        "eot_token_id": turn_end,
        "padding_token_id": special.pad_id,
        "unknown_token_id": special.unk_id,
    }
    return {key: id for key, id in ids.items() if id is not None}
