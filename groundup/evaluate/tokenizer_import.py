"""Tokenizers of elsewhere as ours, with the same ids: opened by name, and checked against the
library that they are made for.

    DIR, tokenizer.json          Hugging Face's form                 checked against `tokenizers`
    X.tiktoken, tiktoken:NAME    ranks (`tokenizer.tiktoken_ranks`)  checked against `tiktoken`
    X.gguf                       the vocabulary in a model's file
            checked against llama.cpp (extra `demo`)
    hf:OWNER/NAME                the tokenizer.json on the hub       checked against `tokenizers`
    a model's name or folder     as other verbs open it

open_tokenizer("runs/mine")                         the tokenizer, as it is used
import_tokenizer("cl100k_base.tiktoken")            the same, checked on SAMPLES; what differs or
                                                    can't be represented is refused
"""

import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import tokenizers

from groundup.errors import FormatError, ModelError
from groundup.evaluate.llamacpp import llama_server
from groundup.evaluate.parity_checks import first_difference
from groundup.evaluate.parity_texts import HARD_STRINGS
from groundup.files import read_json
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, read_config
from groundup.tokenizer.spec import MAX_JSON_BYTES, table_from_json
from groundup.tokenizer.tiktoken_ranks import (
    PREFIX,
    SUFFIX,
    tiktoken_encoding,
    tokenizer_of_encoding,
)
from groundup.weights.formats import reader_of
from groundup.weights.gguf_config import add_metadata
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.model_format import require_tokenizer
from groundup.weights.model_hub import pull_tokenizer
from groundup.weights.model_io import find_model

HUB = "hf:"
SAMPLES = tuple(text for group in HARD_STRINGS.values() for text in group)
# The model around a vocabulary for llama.cpp: one block of this width.
WIDTH = 32

Encode = Callable[[str], list[int]]


class _Found(NamedTuple):
    """A tokenizer, and the library that it was made for."""

    tokenizer: Tokenizer
    library: str
    original: Callable[[], AbstractContextManager[Encode]]


@dataclass(frozen=True)
class ImportedTokenizer:
    """A tokenizer of elsewhere, checked."""

    tokenizer: Tokenizer
    source: str
    checked_with: str
    """The library whose ids are the same: "tiktoken 0.14.0"; "" where it is not installed."""
    checked_texts: int


def open_tokenizer(
    source: str, *, pattern: str = "", eos: str = "", progress: Progress | None = None
) -> Tokenizer:
    """Return the tokenizer that a name, a path or an address means, see above. Raises ConfigError,
    FormatError, ModelError, NetworkError.

    `pattern`: the split of a .tiktoken file; `eos`: the token that ends a text, where a
    tokenizer.json does not say.
    """
    return _find(source, pattern, eos, progress or Silent()).tokenizer


def import_tokenizer(
    source: str, *, pattern: str = "", eos: str = "", progress: Progress | None = None
) -> ImportedTokenizer:
    """Return the tokenizer of `source`, whose ids on SAMPLES are those of the original library.
    Raises as `open_tokenizer` does.

    A tokenizer whose ids differ is refused with FormatError.
    """
    found = _find(source, pattern, eos, progress or Silent())
    if importlib.util.find_spec(found.library) is None:
        (progress or Silent()).say(
            "Its ids are not checked against llama.cpp: pip install 'groundup[demo]'"
        )
        return ImportedTokenizer(found.tokenizer, source, "", 0)
    with found.original() as original:
        checked = _check(found, source, original)
    return ImportedTokenizer(
        found.tokenizer, source, f"{found.library} {version(found.library)}", checked
    )


def _find(source: str, pattern: str, eos: str, progress: Progress) -> _Found:
    if source.startswith(PREFIX) or source.endswith(SUFFIX):
        encoding = tiktoken_encoding(source, pattern)
        tokenizer = tokenizer_of_encoding(encoding, source=source, progress=progress)
        return _Found(tokenizer, "tiktoken", lambda: nullcontext(encoding.encode_ordinary))
    if source.startswith(HUB):
        with tempfile.TemporaryDirectory() as folder:
            return _in_json(_fetch(source.removeprefix(HUB), Path(folder), progress), eos)
    path = Path(source)
    if path.suffix == ".json" and path.is_file():
        return _in_json(path, eos)
    if not (path / TOKENIZER_FILE).is_file():
        path = find_model(source, progress=progress)
    if (path / TOKENIZER_FILE).is_file():
        return _in_json(path / TOKENIZER_FILE, eos)
    tokenizer = require_tokenizer(reader_of(path).tokenizer(path), path)
    return _Found(tokenizer, "xllamacpp", partial(_llamacpp, path))


def _fetch(repository: str, folder: Path, progress: Progress) -> Path:
    pull_tokenizer(repository, folder, progress)
    if not (folder / TOKENIZER_FILE).exists():
        what = f"{repository} has no {TOKENIZER_FILE} on the hub."
        raise ModelError(what, fix="Name another repository.")
    return folder / TOKENIZER_FILE


def _in_json(file: Path, eos: str) -> _Found:
    spec, config = read_json(file, max_bytes=MAX_JSON_BYTES), read_config(file.parent)
    if eos:
        config = config | {"eos_token": eos}
    tokenizer = Tokenizer(table_from_json(spec, file), config, source=file)
    return _Found(tokenizer, "tokenizers", lambda: nullcontext(_library(spec, file)))


def _library(spec: Mapping[str, Any], source: Path) -> Encode:
    """Return `tokenizers` with the file's own entries for ids: those that `spec.py` has checked,
    and flags that it leaves out.
    """
    foreign = {**spec, "truncation": None, "padding": None, "post_processor": None, "decoder": None}
    try:
        library = tokenizers.Tokenizer.from_str(json.dumps(foreign))
    except Exception as error:  # the library raises nothing more precise
        raise FormatError(
            source, "entries", f"are refused by the tokenizers library: {str(error)[:200]}"
        ) from error
    library.encode_special_tokens = True
    return lambda text: list(library.encode(text, add_special_tokens=False).ids)


@contextmanager
def _llamacpp(file: Path) -> Iterator[Encode]:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "vocabulary.gguf"
        write_vocabulary(read_gguf_header(file).metadata, made)
        with llama_server(made, context_tokens=128) as server:
            yield server.encode


def _check(found: _Found, source: str, original: Encode) -> int:
    """Return the number of texts that have the same ids.

    Raises FormatError at the first that has others.
    """
    texts = [*SAMPLES, *around(found.tokenizer)]
    for text in texts:
        ours, theirs = found.tokenizer.encode(text), original(text)
        if ours != theirs:
            at = first_difference(ours, theirs)
            reason = (
                f"of {text[:60]!r} are {theirs[at : at + 5]} in {found.library}, from number {at} "
                f"on, and {ours[at : at + 5]} here"
            )
            fix = "This tokenizer can't be represented; use its own library."
            raise FormatError(source, "ids", reason, fix=fix)
    return len(texts)


def around(tokenizer: Tokenizer) -> Sequence[str]:
    """Return texts with each added token that text becomes, in the forms in which its flags
    matter.
    """
    added = [each.text for each in tokenizer.table.added.values() if not each.control][:200]
    return [form.format(text) for text in added for form in ("a {} b", "a{}b", "{}", " {} ")]


def write_vocabulary(metadata: Mapping[str, Any], file: Path) -> None:
    """Write a GGUF of a model of one small random block with the vocabulary of `metadata`, for
    llama.cpp to encode with.
    """
    kept = {
        key: value
        for key, value in metadata.items()
        if key.startswith("tokenizer.ggml.") and value != []
    }
    sizes = {"context_length": 128, "embedding_length": WIDTH, "block_count": 1}
    sizes |= {"feed_forward_length": 2 * WIDTH, "attention.head_count": 2}
    sizes["rope.dimension_count"] = WIDTH // 2
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_name(str(metadata.get("general.name", "vocabulary")))
    add_metadata(writer, {f"llama.{name}": size for name, size in sizes.items()})
    add_metadata(writer, {"llama.attention.layer_norm_rms_epsilon": 1e-5, **kept})
    for name, shape in _shapes(len(metadata["tokenizer.ggml.tokens"])).items():
        writer.add_tensor(name, np.full(shape, 0.01, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _shapes(rows: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors of that block."""
    square = {f"blk.0.attn_{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
    up = {f"blk.0.ffn_{name}.weight": (2 * WIDTH, WIDTH) for name in ("gate", "up")}
    norms = dict.fromkeys(
        ("output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"), (WIDTH,)
    )
    down = {"blk.0.ffn_down.weight": (WIDTH, 2 * WIDTH)}
    return {"token_embd.weight": (rows, WIDTH), **square, **up, **down, **norms}
