"""The files by which a folder is one of sentence-transformers: how an encoder pools its tokens'
states into a vector, and what it puts before texts.

    modules.json                         Transformer, Pooling, Normalize
    1_Pooling/config.json                the pooling: mean of the tokens, or the first one ([CLS])
    sentence_bert_config.json            the most tokens of a text
    config_sentence_transformers.json    prompts: what stands before a question and before a text

A folder without modules.json pools by the mean and has no prompts, as sentence-transformers reads
it. Another pooling, or further layers, are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import inside, make_folder, read_json, safe_name, write_json
from groundup.model.config import Pooling

MODULES_FILE, PROMPTS_FILE = "modules.json", "config_sentence_transformers.json"
TOKENS_FILE, POOLING_FOLDER, POOLING_FILE = "sentence_bert_config.json", "1_Pooling", "config.json"
MODULES = ("Transformer", "Pooling", "Normalize")
POOLINGS: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
OTHER_POOLINGS = (
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)
# Names of prompts in sentence-transformers.
QUERY, TEXTS = "query", ("document", "passage", "corpus")
MAX_BYTES, MAX_PROMPT_CHARACTERS = 2**20, 1000


@dataclass(frozen=True)
class Prompts:
    """What an encoder was trained to find before a text."""

    query: str = ""
    """Before what is searched for: "query: "."""
    text: str = ""
    """Before what is found: "passage: "."""


def read_pooling(folder: Path) -> Pooling:
    """Return how an encoder's folder pools. Raises FormatError for what is not computed here."""
    file = folder / MODULES_FILE
    if not file.is_file():
        return "mean"
    modules = read_json(file, max_bytes=MAX_BYTES)
    if not isinstance(modules, list) or not all(isinstance(each, dict) for each in modules):
        raise FormatError(file, "modules", "is no list of tables")
    found: Pooling = "mean"
    for each in modules:
        kind = str(each.get("type")).rpartition(".")[2]
        if kind not in MODULES:
            reason = f"has {kind[:40]!r}; read are {', '.join(MODULES)}"
            raise FormatError(file, "modules", reason)
        if kind == "Pooling":
            found = _pooling(inside(folder, safe_name(str(each.get("path")))) / POOLING_FILE)
    return found


def _pooling(file: Path) -> Pooling:
    values = _table(file)
    modes = {key for key, value in values.items() if key.startswith("pooling_mode_") and value}
    for key, name in POOLINGS.items():
        if values.get("pooling_mode") == name or modes == {key}:
            return name
    said = values.get("pooling_mode") or ", ".join(sorted(modes)) or "none"
    known = "the mean of all tokens (mean) and the first token (cls) are read"
    raise FormatError(file, "pooling_mode", f"is {str(said)[:60]}; {known}")


def read_prompts(folder: Path) -> Prompts:
    """Return what stands before texts; a folder that names none has none. Raises FormatError."""
    file = folder / PROMPTS_FILE
    if not file.is_file():
        return Prompts()
    named = _table(file).get("prompts") or {}
    if not isinstance(named, dict):
        raise FormatError(file, "prompts", "is not a table")
    named = {name: named[name] for name in (QUERY, *TEXTS) if named.get(name)}
    for name, text in named.items():
        if not isinstance(text, str) or len(text) > MAX_PROMPT_CHARACTERS:
            raise FormatError(file, f"prompts.{name}", "is not a short text")
    return Prompts(named.get(QUERY, ""), next((named[each] for each in TEXTS if each in named), ""))


def _table(file: Path) -> Mapping[str, Any]:
    values = read_json(file, max_bytes=MAX_BYTES)
    if not isinstance(values, dict):
        raise FormatError(file, "top level", "is not a table")
    return values


def write_sentence_folder(
    folder: Path, *, width: int, context_tokens: int, pooling: Pooling, prompts: Prompts
) -> None:
    """Write the files beside an encoder's weights; `width`: of its vectors. Raises DiskError."""
    make_folder(folder / POOLING_FOLDER)
    modes = {key: name == pooling for key, name in POOLINGS.items()} | dict.fromkeys(
        OTHER_POOLINGS, False
    )
    pools = {"word_embedding_dimension": width, **modes, "include_prompt": True}
    write_json(folder / POOLING_FOLDER / POOLING_FILE, pools)
    tokens = {"max_seq_length": context_tokens, "do_lower_case": False}
    write_json(folder / TOKENS_FILE, tokens)
    said = {QUERY: prompts.query, TEXTS[0]: prompts.text}
    facts = {"prompts": said, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    write_json(folder / PROMPTS_FILE, facts)
    paths = ("", POOLING_FOLDER, "2_Normalize")
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, (kind, path) in enumerate(zip(MODULES, paths, strict=True))
    ]
    write_json(folder / MODULES_FILE, modules)
