"""What a language model repeats of its training text word for word, personal data first.

A passage is repeated when greedy decoding, given its first half as the prompt, writes the second
half token by token ("extractable", Carlini et al. 2022, arXiv:2202.07646). No text is generated for
that: one pass over the passage tells whether each token of its second half is the most probable one
after those before it. Held-out passages, measured likewise, are the control: what the model gets
right of them is predictable language. Personal data (`data.processing.personal_data`) is asked for
with the text before its first place.

Sampling, other prompts or fine-tuning may bring out more: none repeated is no proof.
"""

import bisect
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from groundup.data.preparation.trained_on import data_folder
from groundup.data.processing.personal_data import KINDS, find
from groundup.data.split import TRAIN, VALIDATION, DocumentFile, split_file
from groundup.device import Compute, select_compute
from groundup.engine.score import ScoredContinuation, score
from groundup.errors import DataError
from groundup.evaluate.config import ITEMS
from groundup.evaluate.item_overlap import MAX_BYTES
from groundup.evaluate.metrics import wilson_bounds
from groundup.evaluate.task import language_model
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel

PASSAGES = "passages"
# Prompt and continuation of a passage, in tokens each; half of the context where that is shorter.
HALF_TOKENS = 50
# A shorter second half is soon right by chance.
MIN_TOKENS = 10
# One passage begins in each stretch of this many characters; as many characters are read for it.
STRIDE_CHARACTERS, PASSAGE_CHARACTERS = 1_000, 800
# Passages scored between two steps of the progress bar; tokens of a prompt that are shown.
SCORED, SHOWN_TOKENS = 32, 12


@dataclass(frozen=True)
class RepeatedShare:
    kind: str
    """"passages", or a kind of personal data: email, iban, card, ip, phone."""
    split: str
    """"train", or "validation" as the control."""
    repeated: int
    tried: int
    low: float
    """Lower bound of the 95 % interval (Wilson's) of the share repeated."""
    high: float
    longest: int
    """Tokens: the longest beginning that is repeated of any."""


@dataclass(frozen=True)
class RepeatedText:
    """A continuation in the training text that greedy decoding writes."""

    kind: str
    document: str
    prompt: str
    """Its end."""
    text: str
    tokens: int


@dataclass(frozen=True)
class MemorisationResults:
    rows: tuple[RepeatedShare, ...]
    """Personal data first."""
    repeated: tuple[RepeatedText, ...]
    """Personal data first, then the longest first."""

    def to_plain(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class _TriedPassage:
    kind: str
    document: str
    text: str
    start: int
    """Of the continuation, in characters; 0: after half of the tokens."""

    @property
    def key(self) -> str:
        return self.text[self.start :]


@dataclass(frozen=True)
class _ScoredPassage:
    passage: _TriedPassage
    prompt: list[int]
    continuation: list[int]
    result: ScoredContinuation


def find_memorised(
    opened: OpenModel,
    data: Path | None = None,
    *,
    items: int,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> MemorisationResults:
    """Measure how many passages and pieces of personal data of a data folder's training text the
    model repeats; at most `items` of each kind, chosen by hash, and as many of its validation
    text. `data` None: the folder that the model was trained on. Raises DataError without one,
    FormatError, ModelError for another kind of model.
    """
    folder = data or data_folder(opened.path)
    if folder is None:
        what = f"What {opened.path} repeats can't be measured: its training text is not there."
        raise DataError(what, fix="Give a pretraining run that still has its data folder.")
    language_model(opened)
    train = _sample(split_file(folder, TRAIN), items, seed, progress)
    in_training = {each.key for each in train if each.kind != PASSAGES}
    held_out = [
        each
        for each in _sample(split_file(folder, VALIDATION), items, seed, progress)
        if each.key not in in_training
    ]
    asked = {
        TRAIN: _ask(train, opened, compute, progress),
        VALIDATION: _ask(held_out, opened, compute, progress),
    }
    rows = [
        _share(kind, split, results)
        for kind in (*KINDS, PASSAGES)
        for split, each in asked.items()
        if (results := [one.result for one in each if one.passage.kind == kind])
    ]
    tokenizer = opened.require_tokenizer()
    repeated = [_repeated(one, tokenizer) for one in asked[TRAIN] if one.result.is_greedy]
    repeated.sort(key=lambda text: (text.kind == PASSAGES, -text.tokens))
    return MemorisationResults(tuple(rows), tuple(repeated))


def memorised_of(opened: OpenModel, progress: Progress) -> MemorisationResults | None:
    """Return None for a model that is no pretraining run with its training text."""
    if opened.kind != "language" or data_folder(opened.path) is None:
        return None
    compute = select_compute("cpu")
    return find_memorised(opened, items=ITEMS, seed=0, compute=compute, progress=progress)


def _ask(
    passages: Sequence[_TriedPassage], opened: OpenModel, compute: Compute, progress: Progress
) -> list[_ScoredPassage]:
    model, tokenizer = language_model(opened)
    half = min(HALF_TOKENS, opened.config.context_tokens // 2)
    halves = [(each, _halves(each, tokenizer, half)) for each in passages]
    pairs = [(each, *pair) for each, pair in halves if pair is not None]
    results: list[ScoredContinuation] = []
    with progress.track("passages that the model repeats", len(pairs), "passages") as advance:
        for start in range(0, len(pairs), SCORED):
            part = [(prompt, rest) for _, prompt, rest in pairs[start : start + SCORED]]
            results += score(model, part, compute=compute, done=advance)
    return [_ScoredPassage(*pair, result) for pair, result in zip(pairs, results, strict=True)]


def _share(kind: str, split: str, results: Sequence[ScoredContinuation]) -> RepeatedShare:
    repeated, tried = sum(result.is_greedy for result in results), len(results)
    longest = max(result.greedy_tokens for result in results)
    return RepeatedShare(kind, split, repeated, tried, *wilson_bounds(repeated, tried), longest)


def _repeated(asked: _ScoredPassage, tokenizer: Tokenizer) -> RepeatedText:
    return RepeatedText(
        asked.passage.kind,
        asked.passage.document,
        tokenizer.decode(asked.prompt[-SHOWN_TOKENS:]),
        tokenizer.decode(asked.continuation),
        len(asked.continuation),
    )


def _sample(file: Path, count: int, seed: int, progress: Progress) -> list[_TriedPassage]:
    """At most `count` of each kind, those of the lowest hashes; each piece of personal data once.
    Of a longer file the documents of the first MAX_BYTES are searched.

    Raises FormatError.
    """
    chosen: dict[str, list[tuple[bytes, _TriedPassage]]] = {kind: [] for kind in (*KINDS, PASSAGES)}
    read = 0
    with DocumentFile(file) as documents:
        for batch in documents.batches("looking for personal data and passages", progress):
            for document in batch:
                for each in _passages(document.name, document.text):
                    asked = f"{seed}/{each.key}".encode("utf-8", "surrogatepass")
                    _keep(chosen[each.kind], hashlib.sha256(asked).digest(), each, count)
            read += sum(len(document.text.encode()) for document in batch)
            if read > MAX_BYTES:
                progress.say(f"Only the first {read / 1e6:,.0f} MB of {file.name} are searched.")
                break
    return [passage for kind in chosen.values() for _, passage in kind]


def _keep(
    chosen: list[tuple[bytes, _TriedPassage]], key: bytes, passage: _TriedPassage, count: int
) -> None:
    place = bisect.bisect_left(chosen, key, key=lambda each: each[0])
    if place < count and (place == len(chosen) or chosen[place][0] != key):
        chosen.insert(place, (key, passage))
        del chosen[count:]


def _passages(name: str, text: str) -> Iterator[_TriedPassage]:
    for match in find(text):
        start = max(0, match.start - PASSAGE_CHARACTERS)
        if text[start : match.start].strip():
            yield _TriedPassage(match.kind, name, text[start : match.end], match.start - start)
    for stretch in range(0, len(text), STRIDE_CHARACTERS):
        start = stretch
        if stretch:
            start = text.find(" ", stretch) + 1
        if start or not stretch:
            yield _TriedPassage(PASSAGES, name, text[start : start + PASSAGE_CHARACTERS], 0)


def _halves(
    passage: _TriedPassage, tokenizer: Tokenizer, half: int
) -> tuple[list[int], list[int]] | None:
    """Prompt and continuation, at most `half` tokens each; None where the continuation is longer,
    or of a passage too short to tell anything.
    """
    ids = tokenizer.encode(passage.text)
    if passage.kind == PASSAGES:
        ids = ids[: 2 * half]
        middle = len(ids) // 2
        if middle < MIN_TOKENS:
            return None
        return ids[:middle], ids[middle:]
    before, num_bytes = len(passage.text[: passage.start].encode()), 0
    for place, token in enumerate(ids):
        num_bytes += len(tokenizer.token_bytes(token))
        if num_bytes > before:
            prompt, continuation = ids[max(0, place - half) : place], ids[place:]
            if prompt and len(continuation) <= half:
                return prompt, continuation
            break
    return None
