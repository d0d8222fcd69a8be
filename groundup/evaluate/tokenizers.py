"""Tokenizers of elsewhere as ours, with the same ids (opened by name, and checked against the library
that they are made for), and tokenizers side by side on the same texts.

    DIR, tokenizer.json          Hugging Face's form                 checked against `tokenizers`
    X.tiktoken, tiktoken:NAME    ranks (`tokenizer.tiktoken_ranks`)  checked against `tiktoken`
    X.gguf                       the vocabulary in a model's file
            checked against llama.cpp (extra `demo`)
    hf:OWNER/NAME                the tokenizer.json on the hub       checked against `tokenizers`
    a model's name or folder     as other verbs open it

Losses per token of two tokenizers can't be compared, bits per byte can.
"""

import importlib.util
import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import tokenizers

from groundup.data.batches.shards import batches
from groundup.data.documents import Document
from groundup.data.processing.languages import can_detect, language_of
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.errors import (
    ConfigError,
    DataError,
    FormatError,
    ModelError,
    did_you_mean,
    install_command,
)
from groundup.evaluate.llamacpp import llama_server
from groundup.evaluate.parity_checks import first_difference
from groundup.evaluate.parity_texts import HARD_STRINGS
from groundup.files import read_json
from groundup.model.config import ModelConfig
from groundup.model.presets import PRESETS, shape_of
from groundup.model.sizes import parameter_count
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, read_config
from groundup.tokenizer.rank_encoder import fits_tiktoken, rank_encoder
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
    """`pattern`: the split of a .tiktoken file; `eos`: the token that ends a text, where a
    tokenizer.json does not say.

    Raises ConfigError, FormatError, ModelError, NetworkError.
    """
    return _find(source, pattern, eos, progress or Silent()).tokenizer


def import_tokenizer(
    source: str, *, pattern: str = "", eos: str = "", progress: Progress | None = None
) -> ImportedTokenizer:
    """Its ids on SAMPLES are those of the original library, else FormatError is raised. Raises as
    `open_tokenizer` does.
    """
    found = _find(source, pattern, eos, progress or Silent())
    if importlib.util.find_spec(found.library) is None:
        (progress or Silent()).say(
            f"Its ids are not checked against llama.cpp: {install_command('demo')}"
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
    """`tokenizers` with the file's own entries for ids: those that `spec.py` has checked, and flags
    that it leaves out.
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
    """Return how many texts have the same ids. Raises FormatError at the first that has others."""
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
    """Each added token that text becomes, in the forms in which its flags matter."""
    added = [each.text for each in tokenizer.table.added.values() if not each.control][:200]
    return [form.format(text) for text in added for form in ("a {} b", "a{}b", "{}", " {} ")]


def write_vocabulary(metadata: Mapping[str, Any], file: Path) -> None:
    """Write a GGUF of one small random block with this vocabulary, for llama.cpp to encode with."""
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


SAMPLE_BYTES = 10_000_000
# Of the texts, what speed is measured on, in so many rounds; the best time counts.
TIMED_BYTES = 1_000_000
ROUNDS = 3
EXAMPLE_CHARACTERS = 280
_WIDTH_AND_DEPTH = re.compile(r"(\d{1,6})x(\d{1,4})")


@dataclass
class _Counts:
    documents: int = 0
    utf8_bytes: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def plain(self, names: Sequence[str]) -> dict[str, int | dict[str, float]]:
        rates = {
            name: round(self.utf8_bytes / self.tokens[name], 4)
            for name in names
            if self.tokens[name]
        }
        return {"documents": self.documents, "bytes": self.utf8_bytes, "bytes_per_token": rates}


class _TokenCounts:
    def __init__(self, tokenizers: Mapping[str, Tokenizer], detects: bool) -> None:
        self.tokenizers, self.detects = tokenizers, detects
        self.by_source: dict[str, _Counts] = defaultdict(_Counts)
        self.by_language: dict[str, _Counts] = defaultdict(_Counts)

    def add(self, source: str, texts: Sequence[str]) -> int:
        encoded = {
            name: list(map(len, each.encode_batch(texts))) for name, each in self.tokenizers.items()
        }
        added = 0
        for place, text in enumerate(texts):
            size = utf8_size(text)
            added += size
            groups = [self.by_source[source]]
            if self.detects:
                groups.append(self.by_language[language_of(text)])
            for group in groups:
                group.documents += 1
                group.utf8_bytes += size
                for name, counts in encoded.items():
                    group.tokens[name] += counts[place]
        return added


def utf8_size(text: str) -> int:
    """A lone surrogate counts as one byte."""
    return len(text.encode("utf-8", "replace"))


def shape_named(name: str) -> ModelConfig:
    """Return the model of a preset, or of WIDTHxLAYERS in our own family. Raises ConfigError.

    >>> shape_named("512x8").num_heads
    8
    """
    if name in PRESETS:
        return PRESETS[name]
    found = _WIDTH_AND_DEPTH.fullmatch(name)
    if not found or not int(found[1]) or not int(found[2]):
        fix = f"Write a shape as WIDTHxLAYERS: 768x12. {did_you_mean(name, PRESETS)}"
        raise ConfigError(f"{name[:80]!r} is neither a preset nor a shape.", fix=fix)
    return shape_of(int(found[2]), int(found[1]), 256)


def compare_tokenizers(
    tokenizers: Mapping[str, Tokenizer],
    sources: Sequence[Source],
    shape: ModelConfig,
    *,
    options: SourceOptions | None = None,
    sample_bytes: int = SAMPLE_BYTES,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Of each source the first `sample_bytes` of text are read. Languages are found where `fast-
    langdetect` is installed (extra `languages`). Raises what reading sources raises.
    """
    progress, names, options = progress or Silent(), list(tokenizers), options or SourceOptions()
    counted, timed, examples = _TokenCounts(tokenizers, can_detect()), list[str](), []
    if not counted.detects:
        progress.say(f"Languages are left out: {install_command('languages')}")
    for source in sources:
        shown = source.name or source.spec
        with progress.track(f"Encoding {shown}", sample_bytes / 1e6, "MB") as advance:
            for batch in batches(_first(source, options, sample_bytes, progress)):
                texts = [document.text for document in batch]
                if shown not in counted.by_source:
                    beginning = texts[0][:EXAMPLE_CHARACTERS]
                    pieces = {name: _pieces(each, beginning) for name, each in tokenizers.items()}
                    examples.append({"source": shown, "text": beginning, "pieces": pieces})
                advance(counted.add(shown, texts) / 1e6)
                timed = _with_some(timed, texts)
    groups = list(counted.by_source.values())
    if not any(group.utf8_bytes for group in groups):
        what = "There is no text to compare tokenizers on."
        raise DataError(what, fix="Name files with text as `text`.")
    by_size = sorted(counted.by_language.items(), key=lambda each: -each[1].utf8_bytes)
    return {
        "tokenizers": _rows(tokenizers, groups, shape, _speeds(tokenizers, timed, progress)),
        "model": {"width": shape.width, "layers": shape.num_layers, "tied_head": shape.tied_head},
        "sources": {name: group.plain(names) for name, group in counted.by_source.items()},
        "languages": {name: group.plain(names) for name, group in by_size},
        "examples": examples,
        "sample_bytes": sample_bytes,
    }


def _first(
    source: Source, options: SourceOptions, sample_bytes: int, progress: Progress
) -> Iterator[Document]:
    """The last document is cut."""
    left = sample_bytes
    for document in read_source(source, options, SourceReport(), progress=progress):
        size = utf8_size(document.text)
        if size > left:
            cut = document.text.encode("utf-8", "replace")[:left].decode("utf-8", "ignore")
            yield replace(document, text=cut)
            return
        left -= size
        yield document


def _with_some(timed: list[str], texts: Sequence[str]) -> list[str]:
    room = TIMED_BYTES - sum(map(len, timed))
    for text in texts:
        if room <= 0:
            break
        timed.append(text[:room])
        room -= len(timed[-1])
    return timed


def _rows(
    tokenizers: Mapping[str, Tokenizer],
    groups: Sequence[_Counts],
    shape: ModelConfig,
    speeds: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Return the figures of each tokenizer over all sources."""
    rows = []
    for name, tokenizer in tokenizers.items():
        num_bytes, tokens = sum(g.utf8_bytes for g in groups), sum(g.tokens[name] for g in groups)
        rate = None
        if tokens:
            rate = round(num_bytes / tokens, 4)
        counted = parameter_count(replace(shape, vocab_size=tokenizer.vocab_size))
        spent = counted.embedding + counted.head
        rows.append(
            {
                "name": name,
                "kind": tokenizer.kind,
                "vocab_size": tokenizer.vocab_size,
                "bytes": num_bytes,
                "tokens": tokens,
                "bytes_per_token": rate,
                "mb_per_s": round(speeds[name], 3),
                "parameters": counted.total,
                "embedding_parameters": spent,
                "embedding_share": round(spent / counted.total, 4),
                "fingerprint": tokenizer.fingerprint,
            }
        )
    return rows


def _speeds(
    tokenizers: Mapping[str, Tokenizer], texts: Sequence[str], progress: Progress
) -> dict[str, float]:
    """On one thread: the best of some rounds, in which the tokenizers take turns."""
    size, best = sum(map(utf8_size, texts)), dict[str, float]()
    encoders = {name: one_thread(tokenizer) for name, tokenizer in tokenizers.items()}
    with progress.track("Timing", ROUNDS * len(encoders), "rounds") as advance:
        for _ in range(ROUNDS):
            for name, encode in encoders.items():
                started = time.perf_counter()
                for text in texts:
                    encode(text)
                elapsed_s = time.perf_counter() - started
                best[name] = max(best.get(name, 0.0), size / 1e6 / max(elapsed_s, 1e-9))
                advance()
    return best


def one_thread(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    """By the faster library, where that has the same ids; well-formed texts only."""
    ranks = rank_encoder(tokenizer.table)
    if ranks is None:
        return tokenizer.encode

    def encode(text: str) -> list[int]:
        if fits_tiktoken(text):
            return ranks.encode_ordinary(text)
        return tokenizer.encode(text)

    return encode


def _pieces(tokenizer: Tokenizer, text: str) -> list[dict[str, int | str | list[int]]]:
    pieces = ((id, tokenizer.token_bytes(id)) for id in tokenizer.encode(text))
    return [
        {"id": id, "text": piece.decode("utf-8", "backslashreplace"), "bytes": list(piece)}
        for id, piece in pieces
    ]
