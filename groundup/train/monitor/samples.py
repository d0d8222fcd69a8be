"""Samples of a model at each evaluation, always from the same prompts: given ones, or the first
words of sentences of held-out text. A line of samples.jsonl has prompt, text, and

    repetition      0 to 1: the share of its runs of four tokens that occurred in it before
    longest_copy    tokens in a row that also occur in the training text; copied_text: which ones.
                    searched_share, below 1: of how much of it

`longest_copy` is exact and needs no index. For each token id, a 64-bit word has a bit for each
position of the sample with that id:

    m_1[i] = places[text[i]]          m_k[i] = places[text[i]] & (m_{k-1}[i - 1] << 1)

Bit p of m_k[i] says: the k tokens of the text that end at i are those of the sample that end at p.
The largest k with any bit set is the longest copy. All i go at once in numpy, and only those whose
word is not zero go on to k + 1. The text is mapped and read in pieces.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from groundup.data.batches.shards import ShardSet
from groundup.data.split import TRAIN, VALIDATION
from groundup.device import Compute, seed_for
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError, DataError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

PROMPTS, PROMPT_TOKENS = 4, 8
# Prompts are looked for in this many tokens at each of four places of the validation text.
PROMPT_SEARCH_TOKENS = 4096
SAMPLE_TOKENS = 64
# The beginnings of this many documents of the validation text, beside its first words.
OPENINGS = 3
OPENING_SEARCH_TOKENS = 2**18
MAX_PROMPTS = 16
# A word has this many bits: longer samples are cut to it.
MAX_SAMPLE_TOKENS = 64
PIECE_TOKENS = 2**19
# A longer text is searched in as many evenly spread pieces: some 0.1 s a sample.
MAX_SEARCHED_TOKENS = 2**24
GRAM_TOKENS = 4


class Sampler:
    """Generates from fixed prompts. Raises DataError, ConfigError."""

    def __init__(
        self,
        shards: ShardSet,
        tokenizer: Tokenizer,
        context_tokens: int,
        *,
        prompts: Sequence[str] = (),
        seed: int,
        compute: Compute,
    ) -> None:
        self.tokenizer, self.seed, self.compute = tokenizer, seed, compute
        self.text = shards.tokens(TRAIN)
        self.searched_share = searched_share(len(self.text))
        given = [tokenizer.encode(prompt) for prompt in prompts]
        require_room_for(given, prompts, context_tokens)
        self.prompts = given or own_prompts(shards.tokens(VALIDATION), tokenizer, context_tokens)

    def write(self, model: LanguageModel, step: int) -> list[dict[str, str | float]]:
        """Each prompt of each step has random numbers of its own: with the same ones, models that
        have learned little write the same rare words at the same places of every sample.
        """
        return [
            self._record(model, prompt, seed_for(self.seed, f"sample {number} of step {step}"))
            for number, prompt in enumerate(self.prompts)
        ]

    def _record(self, model: LanguageModel, prompt: list[int], seed: int) -> dict[str, str | float]:
        sampling = Sampling(temperature=0.8, max_tokens=SAMPLE_TOKENS, seed=seed)
        ids = list(
            generate_ids(
                model, prompt, sampling, self.tokenizer.special.stop_ids, compute=self.compute
            )
        )
        copied = longest_copy(ids, self.text, model.config.vocab_size)

        def decode(ids: list[int]) -> str:
            return self.tokenizer.decode(ids, skip_control=True, starts=False)

        record: dict[str, str | float] = {
            "prompt": self.tokenizer.decode(prompt, skip_control=True),
            "text": decode(ids),
            "repetition": round(repetition(ids), 4),
            "longest_copy": copied.num_tokens,
            "copied_text": decode(ids[copied.start : copied.start + copied.num_tokens]),
        }
        if self.searched_share < 1:
            record["searched_share"] = round(self.searched_share, 4)
        return record


def require_room_for(
    prompts: Sequence[Sequence[int]], texts: Sequence[str], context_tokens: int
) -> None:
    """Refuse prompts that can't be continued. Raises ConfigError, DataError."""
    if len(prompts) > MAX_PROMPTS:
        raise ConfigError(
            f"There are {len(prompts)} prompts, at most {MAX_PROMPTS} are used at each evaluation."
        )
    for ids, text in zip(prompts, texts, strict=True):
        if not 0 < len(ids) < context_tokens:
            raise DataError(
                f"The prompt {text[:40]!r} has {len(ids)} tokens, the model's context {context_tokens}: no room to continue.",
                fix="Shorten it.",
            )


def own_prompts(tokens: np.ndarray, tokenizer: Tokenizer, context_tokens: int) -> list[list[int]]:
    """The first words of up to four sentences, evenly spread; of a text without sentences the
    beginnings of documents.
    """
    places = (len(tokens) * number // PROMPTS for number in range(PROMPTS))
    parts = [
        tokenizer.decode(
            [int(id) for id in tokens[at : at + PROMPT_SEARCH_TOKENS]], skip_control=True
        )
        for at in places
    ]
    found = (tokenizer.encode(prompt) for prompt in prompts_of(parts, PROMPTS))
    fitting = [ids for ids in found if len(ids) <= context_tokens // 2]
    length = min(PROMPT_TOKENS, context_tokens // 2)
    return fitting or openings(tokens, tokenizer.special.document_end_id, length)


def openings(tokens: np.ndarray, end_id: int, length: int) -> list[list[int]]:
    """The first `length` tokens, and those of the next documents after a quarter, half and three
    quarters.
    """
    starts = [0]
    for number in range(1, OPENINGS + 1):
        near = len(tokens) * number // (OPENINGS + 1)
        ends = np.flatnonzero(tokens[near : near + OPENING_SEARCH_TOKENS] == end_id)
        start = near + int(ends[0]) + 1 if len(ends) else len(tokens)
        if start not in starts and start + length <= len(tokens):
            starts.append(start)
    return [[int(id) for id in tokens[start : start + length]] for start in starts]


@dataclass(frozen=True)
class Copy:
    """The longest run of a sample's tokens that occurs in the text."""

    start: int
    num_tokens: int


def repetition(ids: Sequence[int]) -> float:
    """Return the share, 0 to 1, of runs of four tokens that occurred before in the same text; 0 for
    a text shorter than four.

    >>> round(repetition([1, 2, 3, 4, 1, 2, 3, 4]), 3)  # of five runs, the last is the first again
    0.2
    """
    runs = [tuple(ids[at : at + GRAM_TOKENS]) for at in range(len(ids) - GRAM_TOKENS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def searched_share(num_tokens: int) -> float:
    """Of a text of that length, what `longest_copy` reads."""
    return min(1.0, MAX_SEARCHED_TOKENS / max(1, num_tokens))


def longest_copy(ids: Sequence[int], text: np.ndarray, vocab_size: int) -> Copy:
    """The longest run of `ids` (its first 64) that occurs in `text` [num_tokens]; of equal ones the
    earliest.
    """
    ids = ids[:MAX_SAMPLE_TOKENS]
    places = np.zeros(vocab_size, np.uint64)
    for place, id in enumerate(ids):
        places[id] |= np.uint64(1 << place)
    best, ends = 0, 0
    for start in piece_starts(len(text)):
        length, found = _longest_in(places[text[start : start + PIECE_TOKENS + MAX_SAMPLE_TOKENS]])
        ends = found if length > best else ends | found if length == best else ends
        best = max(best, length)
    last = (ends & -ends).bit_length() - 1  # the lowest bit: where the earliest one ends
    return Copy(last - best + 1, best) if best else Copy(0, 0)


def piece_starts(num_tokens: int) -> range:
    """Where the searched pieces begin: adjacent, or spread evenly over a text that is too long."""
    pieces = max(1, -(-num_tokens // PIECE_TOKENS))
    wanted = min(pieces, MAX_SEARCHED_TOKENS // PIECE_TOKENS)
    return range(0, max(1, num_tokens), PIECE_TOKENS if wanted == pieces else num_tokens // wanted)


def _longest_in(first: np.ndarray) -> tuple[int, int]:
    """Of one piece, given as the words m_1: the largest k, and as bits the positions where such
    copies end.
    """
    length, ends = 0, 0
    at, words = np.flatnonzero(first), first[first != 0]
    while len(at):
        length, ends = length + 1, int(np.bitwise_or.reduce(words))
        following = at + 1
        inside = following < len(first)
        at, words = following[inside], (words[inside] << np.uint64(1)) & first[following[inside]]
        alive = words != 0
        at, words = at[alive], words[alive]
    return length, ends


PROMPT_WORDS, PROMPT_CHARACTERS = 4, 32
# Shorter sentences leave nothing to continue.
MIN_WORDS, MIN_CHARACTERS = 7, 30
SMALL_SHARE = 0.7
# A text without spaces (Chinese, Japanese, Thai) has sentences of one "word".
UNSPACED_CHARACTERS = 8
SEARCHED_CHARACTERS = 20_000
_SENTENCE = re.compile(
    r"(?:^|(?<=[.!?…][\s\"'”’)»])|(?<=\n)|(?<=[。！？]))\s*([^\s.!?…。！？][^.!?…。！？]*[.!?…。！？])"
)
_BLANK_LINE = re.compile(r"\n\s*\n")
_MARKUP = re.compile(r"[#|`<>{}\[\]*_=\\/@~^+]|https?:|^[-•\d]", re.MULTILINE)


def sentence_starts(text: str) -> Iterator[str]:
    """The first words of each sentence that fits, of the beginning of a text."""
    paragraphs = _BLANK_LINE.split(text[:SEARCHED_CHARACTERS])
    for match in (match for each in paragraphs for match in _SENTENCE.finditer(each)):
        words = match[1].split()
        if not _is_sentence(match[1], words):
            continue
        if len(words) < MIN_WORDS:
            yield match[1][:UNSPACED_CHARACTERS]
            continue
        count = PROMPT_WORDS
        while count > 1 and len(" ".join(words[:count])) > PROMPT_CHARACTERS:
            count -= 1
        yield " ".join(words[:count]).rstrip(",;:")


def _is_sentence(sentence: str, words: Sequence[str]) -> bool:
    first = sentence[0]
    spaced = len(words) >= MIN_WORDS and len(sentence) >= MIN_CHARACTERS
    unspaced = (
        len(sentence) >= 2 * UNSPACED_CHARACTERS and not sentence.isascii() and len(words) == 1
    )
    if (
        not (spaced or unspaced)
        or not first.isalpha()
        or first.islower()
        or _MARKUP.search(sentence)
    ):
        return False
    small = sum(not word[0].isupper() for word in words[1:])
    first_words = words[:PROMPT_WORDS]
    shouted = any(len(word) > 1 and word.isupper() for word in first_words)
    listed = any(mark in word for word in first_words for mark in ":;()'’\"“")
    return small >= SMALL_SHARE * (len(words) - 1) and not shouted and not listed


def prompts_of(texts: Sequence[str], count: int) -> list[str]:
    """At most `count` prompts, in turn from each text, from its middle on."""
    found: list[str] = []
    sources = [sentence_starts(text[len(text) // 2 :]) for text in texts]
    sources += [sentence_starts(text) for text in texts]
    while sources and len(found) < count:
        for source in list(sources):
            prompt = next(source, None)
            if prompt is None:
                sources.remove(source)
            elif prompt not in found and len(found) < count:
                found.append(prompt)
    return found
