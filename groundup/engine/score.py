"""Scores of given continuations: (context ids, continuation ids) -> natural log-probabilities, as
of each pair alone. And the log-probabilities of a prompt's own tokens.

Rows are concatenated without padding, and a prefix that several share, as the question before four
choices, is computed once.

    (1 2 3 4 5)     in one batch         ids     9 9 1 2 3 4 5 6 7         positions   2 3 4 5 6
    (1 2 3 6 7)     (three shared        spans   (0, 2), (0, 5), (3, 2)                2 3 4 7 8
    (9 9)           tokens)                      (start, count)                        0 1

A page of the store (`model/cache.py`) is one token, and its number the token's position in the
batch: a row can read keys and values of its prefix anywhere in it. The head runs only at positions
that predict a continuation's token, a bounded number at a time.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from groundup.device import Compute
from groundup.engine.events import ChatEvent, TokenLogprob
from groundup.engine.generate import PREFILL_TOKENS
from groundup.engine.output_processor import rank_tokens
from groundup.engine.padded_batch import BATCH_TOKENS
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.errors import ModelError
from groundup.model.cache import KVCache, PagedStore, TokenSpan
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.tokenizer.fast import Tokenizer

Pair = tuple[Sequence[int], Sequence[int]]
Row = list[int]

# A shorter prefix is computed again: attention groups rows with equal start positions, and sharing
# changes the start.
MIN_SHARED_TOKENS = 16
# Logits in memory at once: 2**24 float32 are 64 MB.
MAX_LOGITS = 2**24


@dataclass(frozen=True)
class RaggedBatch:
    rows: list[int]
    """Indices."""
    positions: list[list[int]]
    """Of each row's tokens in `ids`."""
    ids: list[int]
    spans: list[TokenSpan]
    """What each row adds, in the order of `ids`; none for a row that others contain."""


@dataclass(frozen=True)
class ScoredContinuation:
    logprob: float
    """ln P(continuation | context)."""
    greedy_tokens: int
    """How many of its first tokens greedy decoding would generate."""
    token_logprobs: tuple[float, ...]
    """Given all before each."""

    @property
    def is_greedy(self) -> bool:
        """Whether greedy decoding would generate it."""
        return self.greedy_tokens == len(self.token_logprobs)


def score(
    model: LanguageModel,
    pairs: Sequence[Pair],
    *,
    compute: Compute,
    batch_tokens: int = BATCH_TOKENS,
    done: Callable[[int], None] = lambda pairs: None,
) -> list[ScoredContinuation]:
    """One result for each pair. A context that doesn't fit loses its oldest tokens; an empty
    continuation has probability 1. `done` gets the number of pairs of each batch. Raises ModelError
    for an empty context, or a continuation longer than the model's.
    """
    rows = [
        _row(context, continuation, model.config.context_tokens) for context, continuation in pairs
    ]
    results: list[ScoredContinuation] = [ScoredContinuation(0.0, 0, ())] * len(pairs)
    for batch in ragged_batches(rows, batch_tokens):
        scored = _score_batch(model, batch, [pairs[i][1] for i in batch.rows], compute)
        for index, result in zip(batch.rows, scored, strict=True):
            results[index] = result
        done(len(scored))
    return results


def _row(context: Sequence[int], continuation: Sequence[int], context_tokens: int) -> list[int]:
    """Without the last token (it predicts nothing), truncated on the left to fit."""
    if not context:
        raise ModelError(
            "A continuation can only be scored after at least one token.",
            fix="Put the tokenizer's bos or end-of-text token before it.",
        )
    if len(continuation) > context_tokens:
        raise ModelError(
            f"A continuation of {len(continuation):,} tokens can't be scored in a context of "
            f"{context_tokens:,}.",
            fix="Cut it into shorter pieces.",
        )
    row = [*context, *continuation[:-1]]
    return row[-context_tokens:]


@torch.inference_mode()
def _score_batch(
    model: LanguageModel,
    batch: RaggedBatch,
    continuations: Sequence[Sequence[int]],
    compute: Compute,
) -> list[ScoredContinuation]:
    ids = torch.tensor([batch.ids], device=compute.device)
    dtype = model.transformer.embedding.weight.dtype
    store = PagedStore(model.config, len(batch.ids), 1, compute.device, dtype, single_use=True)
    counts = [len(continuation) for continuation in continuations]
    # The last `count` tokens of a row each predict one token of its continuation.
    predicting = [
        place
        for row, count in zip(batch.positions, counts, strict=True)
        for place in row[len(row) - count :]
    ]
    targets = torch.tensor(
        [token for each in continuations for token in each], dtype=torch.long, device=compute.device
    )
    with fast_matmul(compute.device):
        hidden = model.hidden(ids, cache=store.rows(batch.spans))[0]  # [N, C]
        logprobs, greedy = token_logprobs(model, hidden[predicting], targets)
    pieces = zip(logprobs.cpu().split(counts), greedy.cpu().split(counts), strict=True)
    return [
        ScoredContinuation(float(each.sum()), int(best.cumprod(0).sum()), tuple(each.tolist()))
        for each, best in pieces
    ]


def token_logprobs(
    model: LanguageModel, hidden: Float[Tensor, "M C"], targets: Int[Tensor, " M"]
) -> tuple[Float[Tensor, " M"], Bool[Tensor, " M"]]:
    """ln P(target) at each position in float64, and whether the target is the argmax."""
    logprobs, greedy = [], []
    rows = max(1, MAX_LOGITS // model.config.vocab_size)
    for part, part_targets in zip(hidden.split(rows), targets.split(rows), strict=True):
        logits = model.logits(part).float()  # [M, V]
        chosen = logits.gather(1, part_targets[:, None])[:, 0]
        logprobs.append((chosen - logits.logsumexp(dim=1)).double())  # ln softmax(logits)[target]
        greedy.append(logits.argmax(dim=1) == part_targets)
    return torch.cat(logprobs), torch.cat(greedy)


def prompt_logprobs(
    model: LanguageModel, tokenizer: Tokenizer, ids: Sequence[int], count: int, *, compute: Compute
) -> Iterator[list[TokenLogprob]]:
    """Each token of a prompt after the first with its logprob and the `count` most probable ones,
    in pieces between which a server does other work. `ids` fit the context.
    """
    cache = KVCache(model.config, 1, len(ids), compute.device, compute.dtype)
    piece = max(1, min(PREFILL_TOKENS, MAX_LOGITS // model.config.vocab_size))
    for start in range(0, len(ids) - 1, piece):
        targets = ids[start + 1 : start + 1 + piece]
        inputs = torch.tensor([ids[start : start + len(targets)]], device=compute.device)
        with torch.inference_mode(), fast_matmul(compute.device):
            logits = model.logits(model.hidden(inputs, cache=cache)[0]).float().cpu()  # [T, V]
            ranked = [
                rank_tokens(row, target, count, tokenizer)
                for row, target in zip(logits, targets, strict=True)
            ]
        yield ranked


def ragged_batches(rows: Sequence[Row], max_tokens: int = BATCH_TOKENS) -> Iterator[RaggedBatch]:
    """Of at most `max_tokens` (a longer row is alone). The longest rows come first, with those that
    share their prefix, so that running out of memory happens at once.
    """
    members: list[tuple[int, int]] = []
    taken = 0
    for family in families(rows):
        for index, shared in family:
            if members and taken + len(rows[index]) - shared > max_tokens:
                yield _ragged_batch(rows, members)
                members, taken, shared = [], 0, 0
            members.append((index, shared))
            taken += len(rows[index]) - shared
    if members:
        yield _ragged_batch(rows, members)


def families(rows: Sequence[Row]) -> list[list[tuple[int, int]]]:
    """Rows with a common prefix: each row's index, and how many tokens it shares with the row before.

    >>> families([[7], [1] * 20 + [2], [7], [1] * 18])
    [[(3, 0), (1, 18)], [(0, 0), (2, 1)]]
    """
    found: list[list[tuple[int, int]]] = []
    previous: Row = []
    for index in sorted(range(len(rows)), key=rows.__getitem__):
        shared = shared_tokens(previous, rows[index])
        if not shared:
            found.append([])
        found[-1].append((index, shared))
        previous = rows[index]
    return sorted(found, key=lambda family: -max(len(rows[index]) for index, _ in family))


def shared_tokens(previous: Row, row: Row) -> int:
    """The common prefix; 0 where it is not the entire row and too short to share."""
    differing = (i for i, (a, b) in enumerate(zip(previous, row, strict=False)) if a != b)
    count = next(differing, min(len(previous), len(row)))
    if count < MIN_SHARED_TOKENS and count < len(row):
        return 0
    return count


def _ragged_batch(rows: Sequence[Row], members: Sequence[tuple[int, int]]) -> RaggedBatch:
    """Rows with equal start positions are adjacent, by length: attention handles them in one
    call.
    """
    counts = [len(rows[index]) - shared for index, shared in members]
    order = sorted(range(len(members)), key=lambda member: (members[member][1], counts[member]))
    ids: list[int] = []
    begins: dict[int, int] = {}
    for member in order:
        index, shared = members[member]
        begins[member] = len(ids)
        ids += rows[index][shared:]
    positions: list[list[int]] = []
    for member, (_, shared) in enumerate(members):
        previous = positions[-1][:shared] if shared else []
        positions.append([*previous, *range(begins[member], begins[member] + counts[member])])
    spans = [
        TokenSpan(positions[member], members[member][1], counts[member])
        for member in order
        if counts[member]
    ]
    return RaggedBatch([index for index, _ in members], positions, ids, spans)


class ForcedTokens:
    """The `Constraint` of an answer that is known: `score` beside the answers that a `BatchEngine`
    generates.
    """

    def __init__(self, ids: Sequence[int], vocab_size: int) -> None:
        self._ids, self._vocab_size = tuple(ids), vocab_size
        self._place = 0

    @property
    def finished(self) -> bool:
        return self._place == len(self._ids)

    def mask(self) -> Bool[Tensor, " V"]:
        mask = torch.zeros(self._vocab_size, dtype=torch.bool)
        mask[self._ids[self._place]] = True
        return mask

    def accept(self, token_id: int) -> None:
        assert token_id == self._ids[self._place]
        self._place += 1


def scoring_request(
    context: Sequence[int], continuation: Sequence[int], *, vocab_size: int, context_tokens: int
) -> Request:
    """Its events have the logprobs of a continuation; a context that is too long loses its oldest
    tokens. A step takes one token, as of any other answer, and prompts with a common prefix share
    it.
    """
    assert context and 0 < len(continuation) < context_tokens
    prompt = tuple(context)[-(context_tokens - len(continuation)) :]
    sampling = Sampling(temperature=0.0, max_tokens=len(continuation))
    constraint = ForcedTokens(continuation, vocab_size)
    return Request(uuid.uuid4().hex, prompt, sampling, logprobs=0, constraint=constraint)


def logprob_of(event: ChatEvent) -> float:
    return sum((each.token.logprob or 0.0 for each in event.logprobs), 0.0)
