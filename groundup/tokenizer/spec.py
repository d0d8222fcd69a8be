"""A `tokenizer.json` as a Python table: the byte alphabet, how such a table is built, and the checks before a foreign one is used.

The `tokenizers` library reads and writes this format; we build the table ourselves so that training, GGUF files and foreign folders
all go through the same checks and the same loader (`fast.Tokenizer`).

Byte-level BPE writes each byte as one visible character (GPT-2's table), so that a vocabulary is plain text: a space is "Ġ", a newline "Ċ".
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import read_json
from groundup.tokenizer.split import pre_tokenizer_spec

MAX_JSON_BYTES = 64 * 2**20  # the largest of our families, Qwen's, is 11 MB
MAX_IDS = 1_000_000  # four times the largest vocabulary in use (262,144)
MAX_TOKEN_CHARACTERS = 10_000
MAX_ADDED_TOKENS = 20_000

Merge = tuple[str, str]
Spec = dict[str, Any]


def _byte_alphabet() -> dict[int, str]:
    """Byte -> character: visible Latin-1 characters stand for themselves, the other 68 bytes for U+0100 and on, in order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + rank) for rank, byte in enumerate(hidden)}


BYTE_TO_CHARACTER = _byte_alphabet()
CHARACTER_TO_BYTE = {character: byte for byte, character in BYTE_TO_CHARACTER.items()}
# Bytes in the order of their characters: the ids 0 to 255 of GPT-2 and of ours.
BYTE_ORDER = sorted(range(256), key=lambda byte: BYTE_TO_CHARACTER[byte])


def visible_token(token: bytes) -> str:
    """A token's bytes as a vocabulary writes them. `b" a"` -> "Ġa"."""
    return "".join(BYTE_TO_CHARACTER[byte] for byte in token)


def token_from_visible(text: str, source: object) -> bytes:
    """The bytes behind a vocabulary entry. Raises FormatError where a character stands for no byte."""
    try:
        return bytes(CHARACTER_TO_BYTE[character] for character in text)
    except KeyError as error:
        raise FormatError(
            source, f"token {text[:40]!r}", "is not written in the byte alphabet; only byte-level BPE is supported"
        ) from error


def build_spec(
    vocabulary: Mapping[str, int],
    merges: Sequence[Merge],
    *,
    split: str,
    added: Mapping[int, tuple[str, bool]],
    bos: str | None = None,
) -> Spec:
    """A tokenizer.json table.

    `vocabulary`: visible token -> id, without gaps from 0. `added`: id -> (text, is it a control token?), in the vocabulary already or right behind
    it. `bos`: the control token that is to stand before every text, if any.
    """
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(id, *added[id]) for id in sorted(added)],
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer_spec(split),
        "post_processor": None
        if bos is None
        else _bos_first(bos, next(id for id, (text, _) in added.items() if text == bos)),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            # A piece that is a token as a whole is taken without merging: Llama 3's habit, and llama.cpp's for "llama-bpe".
            "ignore_merges": split == "llama-bpe",
            "vocab": dict(vocabulary),
            "merges": [list(merge) for merge in merges],
        },
    }


def _added_token(id: int, text: str, control: bool) -> dict[str, object]:
    return {
        "id": id,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": control,
    }


def _bos_first(text: str, id: int) -> dict[str, object]:
    bos, first, second = (
        {"SpecialToken": {"id": text, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 1}},
    )
    return {
        "type": "TemplateProcessing",
        "single": [bos, first],
        "pair": [bos, first, second],
        "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}},
    }


def read_spec(path: Path) -> Spec:
    """A foreign tokenizer.json, checked. Raises FormatError."""
    spec = read_json(path, max_bytes=MAX_JSON_BYTES)
    return check_spec(spec, path)


def check_spec(spec: object, source: object) -> Spec:
    """Refuse what we can't use or what the library would stumble over; switch off what would change ids behind our back.

    Returns the table that is given to the library: no truncation, no padding, offsets that keep their spaces. Raises FormatError.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise FormatError(source, "model", "is missing: this is no tokenizer.json")
    model = spec["model"]
    # Files written before 2021 have no type; they are recognised by their merges, as the library does.
    if model.get("type", "BPE") != "BPE" or not isinstance(model.get("merges"), list):
        raise FormatError(source, "model", f"is of type {model.get('type')!r}; only byte-level BPE is supported")
    if model.get("dropout"):
        raise FormatError(source, "model.dropout", "is set: the same text would give other ids each time")
    _check_ids(_vocabulary(model, source), _added_entries(spec, source), source)
    post = spec.get("post_processor")
    return {**spec, "truncation": None, "padding": None, "post_processor": _whole_offsets(post)}


def _vocabulary(model: Mapping[str, Any], source: object) -> dict[str, int]:
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not vocabulary or not all(_is_id(id) for id in vocabulary.values()):
        raise FormatError(source, "model.vocab", f"is not a table of tokens with ids from 0 to {MAX_IDS - 1}")
    if max(map(len, vocabulary)) > MAX_TOKEN_CHARACTERS:
        raise FormatError(source, "model.vocab", f"has a token of over {MAX_TOKEN_CHARACTERS} characters")
    return vocabulary


def _added_entries(spec: Mapping[str, Any], source: object) -> list[dict[str, Any]]:
    entries = spec.get("added_tokens", [])
    if not isinstance(entries, list) or len(entries) > MAX_ADDED_TOKENS:
        raise FormatError(source, "added_tokens", f"is not a list of at most {MAX_ADDED_TOKENS} tokens")
    for entry in entries:
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, str) or not 0 < len(content) <= MAX_TOKEN_CHARACTERS or not _is_id(entry.get("id")):
            raise FormatError(source, "added_tokens", f"an entry has no content or no id from 0 to {MAX_IDS - 1}")
    return entries


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_IDS


def _check_ids(vocabulary: Mapping[str, int], added: Sequence[Mapping[str, Any]], source: object) -> None:
    """Every id has one text, every added text one id."""
    texts = {id: text for text, id in vocabulary.items()}
    if len(texts) != len(vocabulary):
        raise FormatError(source, "model.vocab", f"{len(vocabulary)} tokens share {len(texts)} ids")
    for entry in added:
        text, id = entry["content"], entry["id"]
        if texts.setdefault(id, text) != text or vocabulary.get(text, id) != id:
            raise FormatError(
                source, "added_tokens", f"{text[:80]!r} and another token contradict each other about id {id}"
            )
    if len({entry["content"] for entry in added}) != len(added):
        raise FormatError(source, "added_tokens", "names a token twice")


def _whole_offsets(post_processor: Any) -> Any:
    """The same post-processor, but a token's offsets include its leading space: ids stay, loss masks become exact."""
    if isinstance(post_processor, dict):
        inner = (
            {key: _whole_offsets(value) for key, value in post_processor.items()}
            if post_processor.get("type") == "Sequence"
            else post_processor
        )
        return {**inner, "trim_offsets": False} if inner.get("type") == "ByteLevel" else inner
    if isinstance(post_processor, list):
        return [_whole_offsets(part) for part in post_processor]
    return post_processor


def token_table(spec: Spec, source: object) -> list[bytes]:
    """The bytes of every id, b"" for ids that no token has. Added tokens are their text."""
    added = {entry["id"]: entry["content"].encode("utf-8", "replace") for entry in spec.get("added_tokens", [])}
    tokens = {id: text for text, id in spec["model"]["vocab"].items() if id not in added}
    table = [b""] * (1 + max(*tokens, *added))
    for id, text in tokens.items():
        table[id] = token_from_visible(text, source)
    for id, content in added.items():
        table[id] = content
    return table


def merge_pairs(spec: Spec) -> list[Merge]:
    """The merges as pairs of visible tokens; files write them as "a b" or as ["a", "b"]."""
    pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in spec["model"]["merges"])
    return [(left, right) for left, right in pairs]


def canonical_text(spec: Spec) -> str:
    """What decides the ids, as one text: equal for a table and for the same table saved, loaded and saved by the library."""
    model = spec["model"]
    parts = {
        "vocab": model["vocab"],
        "merges": merge_pairs(spec),
        "ignore_merges": bool(model.get("ignore_merges")),
        "pre_tokenizer": spec.get("pre_tokenizer"),
        "normalizer": spec.get("normalizer"),
        "added": sorted(
            (entry["id"], entry["content"], bool(entry.get("special"))) for entry in spec.get("added_tokens", [])
        ),
    }
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))
