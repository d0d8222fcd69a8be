"""Bits per byte: the cross-entropy of a language model on held-out text, per UTF-8 byte.

Texts -> ids -> windows of at most the context; each window is scored given the last token of the
previous one (the first given the end-of-text token), so that every token counts exactly once. 8
bits per byte correspond to no compression.
"""

import bisect
import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from groundup.data.reading import layouts
from groundup.data.reading.options import options_of
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import describe_source, read_source, source_of
from groundup.device import Compute
from groundup.engine.score import score
from groundup.errors import DataError
from groundup.evaluate.metrics import bits_per_byte, ratio_interval
from groundup.evaluate.task import (
    EvaluationTask,
    HeldOut,
    PerItem,
    TaskKind,
    TaskResult,
    as_measure,
    language_model,
)
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.hf_families import ModelKind
from groundup.weights.model_io import OpenModel

Window = tuple[list[int], list[int]]

# Text of one measurement: 8 to 10 thousand tokens, seconds for a small model on a CPU.
MEASURED_CHARACTERS = 32_768
# The minimum of each document: a few windows, so that most tokens are predicted from a context.
MIN_DOCUMENT_CHARACTERS = 1_024
LONGEST_WORD = 64


@dataclass(frozen=True)
class BitsPerByte:
    """`sample_texts` selects the texts: the same for every model, whatever its tokenizer."""

    texts: Sequence[str]
    name: str = "text"
    window_tokens: int = 256

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """`n` counts windows. Chance: all ids equally likely. Raises DataError when there is no
        text.
        """
        model, tokenizer = language_model(opened)
        size = min(self.window_tokens, opened.config.context_tokens - 1)
        windows = list(text_windows(self.texts, tokenizer, size))
        if not windows:
            raise DataError(
                "There is no held-out text to measure on.", fix="Give a file that has text."
            )
        scored = score(model, windows, compute=compute)
        nats = [-each.logprob for each in scored]
        num_bytes = [float(sum(len(tokenizer.token_bytes(id)) for id in ids)) for _, ids in windows]
        bits = [each / math.log(2) for each in nats]
        found = ratio_interval(bits, num_bytes)
        num_tokens = sum(len(ids) for _, ids in windows)
        chance = bits_per_byte(num_tokens * math.log(opened.config.vocab_size), sum(num_bytes))
        measure = as_measure("bits_per_byte", found, len(windows), chance=chance, better="lower")
        details = {
            "tokens": num_tokens,
            "bytes": int(sum(num_bytes)),
            "nats_per_token": sum(nats) / num_tokens,
        }
        return TaskResult((measure,), details, PerItem(tuple(bits), tuple(num_bytes)))


def text_windows(texts: Iterable[str], tokenizer: Tokenizer, size: int) -> Iterator[Window]:
    """(context, continuation) pairs of at most `size` tokens, in order; documents are not mixed."""
    for text in texts:
        ids = [tokenizer.special.document_end_id, *tokenizer.encode(text)]
        for start in range(1, len(ids), size):
            yield ids[start - 1 : start], ids[start : start + size]


def sample_texts(
    texts: Iterable[str],
    *,
    seed: int,
    max_texts: int | None = None,
    max_characters: int = MEASURED_CHARACTERS,
) -> list[str]:
    """Passages of documents at random places, spread evenly over documents chosen by hash.

    Beginnings would flatter: licences, menus and templates stand there, in training texts word for
    word. Of many documents as many as give MIN_DOCUMENT_CHARACTERS each (shorter ones entirely);
    of few, all. The choice depends on texts and seed, not on their order. Memory is bounded by
    `max_characters`.
    """
    chosen: list[tuple[bytes, str]] = []
    characters = 0
    for text in filter(None, texts):
        key = hashlib.sha256(f"{seed}/".encode() + text.encode("utf-8", "surrogatepass")).digest()
        bisect.insort(chosen, (key, _passage(text, max_characters, key[:8])))
        characters += _least(text)
        while len(chosen) > 1 and (
            characters - _least(chosen[-1][1]) >= max_characters
            or len(chosen) > (max_texts or len(chosen))
        ):
            characters -= _least(chosen.pop()[1])
    lengths = _even_lengths([len(text) for _, text in chosen], max_characters)
    return [
        _passage(text, length, key[8:16])
        for (key, text), length in zip(chosen, lengths, strict=True)
    ]


def _least(text: str) -> int:
    """The minimum of characters that a document takes of the budget."""
    return min(len(text), MIN_DOCUMENT_CHARACTERS)


def _passage(text: str, length: int, random: bytes) -> str:
    """So many characters from a random place on, or from the word that begins next."""
    last = len(text) - length
    if last <= 0:
        return text
    start = int.from_bytes(random, "big") % (last + 1)
    end = min(last, start + LONGEST_WORD)  # some languages have no spaces
    while 0 < start < end and not text[start - 1].isspace():
        start += 1
    return text[start : start + length]


def _even_lengths(lengths: Sequence[int], total: int) -> list[int]:
    """Equal ones; what short texts leave goes to the longer ones."""
    even = [0] * len(lengths)
    for rank, index in enumerate(sorted(range(len(lengths)), key=lambda each: lengths[each])):
        even[index] = min(lengths[index], total // (len(lengths) - rank))
        total -= even[index]
    return even


def _tasks(data: HeldOut, kind: ModelKind, progress: Progress) -> list[EvaluationTask]:
    source, options = source_of(data.data), options_of(data.data)
    describe_source(source, options, progress=progress)
    report = SourceReport()
    documents = read_source(source, options, report, progress=progress)
    unseen = data.unseen(document.text for document in documents)
    texts = sample_texts(unseen, seed=data.seed, max_texts=data.items)
    for line in report.decoded_lines():
        progress.say(f"{source.spec}: {line}.")
    return [BitsPerByte(texts)]


TEXT = TaskKind("text", _tasks, layouts=layouts.TEXT)
