"""The loss by the number of context tokens, and of each sentence with and without those before it,
in nats per token: -ln P(token | context).

A model that uses its context predicts the hundredth token better than the tenth: Olsson et al. 2022
(arXiv:2209.11895) call that in-context learning
"""

import math
import re
from collections.abc import Sequence
from itertools import chain

import torch

from groundup.device import Compute
from groundup.engine.score import score
from groundup.errors import ConfigError, DataError
from groundup.lab.attention import DECIMALS
from groundup.lab.stream import first_ids, require_language_model, require_tokenizer
from groundup.lab.values import ContextLosses, ContextPoint, SentenceLoss, SentenceLosses
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

WINDOW_TOKENS = 256
MAX_WINDOWS = 64
MIN_COUNT = 3
# After a mark that ends a sentence, or an empty line; the space belongs to the next sentence, as
# tokens begin with their space.
SENTENCE_ENDS = re.compile(r"(?<=[.!?])(?=\s)|(?<=[.!?][\"'”’)])(?=\s)|(?=\n\s*\n)")


def loss_by_context(
    model: Model, tokenizer: Tokenizer | None, text: str, *, window_tokens: int = WINDOW_TOKENS
) -> ContextLosses:
    """The mean loss by the number of context tokens, over consecutive windows of the text (64 at
    most).

    Numbers of tokens are grouped by powers of two; `error` is the standard error over windows, None
    for one window. Windows are shorter where the text or the model's context is. Raises ModelError
    (no tokenizer, a classifier), DataError (fewer than three tokens), ConfigError (a window of
    fewer than two).
    """
    model = require_language_model(model)
    if window_tokens < 2:
        raise ConfigError(f"window_tokens must be at least 2 (got {window_tokens}).")
    ids, first = require_tokenizer(tokenizer).encode(text), first_ids(tokenizer)
    if len(ids) < MIN_COUNT:
        raise DataError(
            f"This needs a text of at least {MIN_COUNT} tokens, got {len(ids)}.",
            fix="Give a longer text.",
        )
    size = min(window_tokens, model.config.context_tokens - len(first), len(ids))
    starts = range(0, len(ids) - size + 1, size)
    windows = [ids[start : start + size] for start in starts[:MAX_WINDOWS]]
    pairs = [([*first, *window[:1]], window[1:]) for window in windows]
    losses = [[-logprob for logprob in row] for row in _logprobs(model, pairs)]
    powers_of_two = [1 << power for power in range((size - 1).bit_length())]
    caption = (
        f"Loss of the next token, -ln P, over {len(windows)} windows of {size} tokens of one "
        "text, by the number of tokens of the window before it, grouped by powers of two. "
        "Band: one standard error over windows."
    )
    return {
        "points": [_point(losses, low, min(2 * low, size) - 1) for low in powers_of_two],
        "windows": len(windows),
        "window_tokens": size,
        "mean": round(sum(map(sum, losses)) / (len(windows) * (size - 1)), DECIMALS),
        "caption": caption,
    }


def sentence_losses(model: Model, tokenizer: Tokenizer | None, text: str) -> SentenceLosses:
    """The loss of each sentence from the second on, alone and after all sentences before it that
    fit into the context.

    Both are over the same tokens: those of the sentence except its first, which has no context when
    alone. `gain` is the mean difference per token, `error` its standard error over sentences (None
    for one). Raises ModelError (no tokenizer, a classifier), DataError (one sentence only, a
    sentence beyond the context).
    """
    model = require_language_model(model)
    if not text.strip():
        raise DataError("This needs a text, got none.", fix="Give one of at least two sentences.")
    tokenizer = require_tokenizer(tokenizer)
    sentences = split_ids(tokenizer, text)
    later = [number for number, ids in enumerate(sentences) if number and len(ids) > 1]
    if not later:
        raise DataError(
            "This needs a text of at least two sentences, got one.", fix="Give a longer text."
        )
    longest = max(map(len, sentences))
    if longest > model.config.context_tokens:
        raise DataError(
            f"A sentence of {longest:,} tokens is longer than the model's context of "
            f"{model.config.context_tokens:,}.",
            fix="Shorten it, or split it into two sentences.",
        )
    first = first_ids(tokenizer)
    alone = _logprobs(model, [([*first, *sentences[n][:1]], sentences[n][1:]) for n in later])
    # `score` truncates the beginning of what comes before to the context
    before = [[*first, *chain(*sentences[:n]), *sentences[n][:1]] for n in later]
    after = _logprobs(model, [(b, sentences[n][1:]) for b, n in zip(before, later, strict=True)])
    rows: list[SentenceLoss] = [
        {
            "text": tokenizer.decode(sentences[n]).strip(),
            "tokens": len(a),
            "alone": _mean(a),
            "after": _mean(b),
        }
        for n, a, b in zip(later, alone, after, strict=True)
    ]
    caption = (
        "Loss of the tokens of each sentence except its first, -ln P: with the sentence alone, "
        "and after all the sentences before it that fit into the model's context of "
        f"{model.config.context_tokens:,} tokens."
    )
    return _sum_up(rows, caption)


def split_ids(tokenizer: Tokenizer, text: str) -> list[list[int]]:
    """Split the ids of a text at the ends of sentences; together they are the ids of the whole.

    A token belongs to the sentence in which it begins.
    """
    ids, offsets = tokenizer.encode_offsets(text)
    ends = [match.start() for match in SENTENCE_ENDS.finditer(text)]
    sentences: list[list[int]] = [[] for _ in range(len(ends) + 1)]
    for id, (start, _) in zip(ids, offsets, strict=True):
        sentences[sum(start >= end for end in ends)].append(id)
    return [sentence for sentence in sentences if tokenizer.decode(sentence).strip()]


def _logprobs(
    model: LanguageModel, pairs: list[tuple[list[int], list[int]]]
) -> list[tuple[float, ...]]:
    compute = Compute(model.transformer.embedding.weight.device)
    return [result.token_logprobs for result in score(model, pairs, compute=compute)]


def _point(losses: Sequence[Sequence[float]], low: int, high: int) -> ContextPoint:
    """The mean over the context lengths `low` to `high`; `losses[n][i]` is of window n with i +
    1 context tokens.
    """
    lengths = high - low + 1
    means = torch.tensor(
        [sum(row[low - 1 : high]) / lengths for row in losses], dtype=torch.float64
    )
    error = None
    if len(means) > 1:
        error = round(float(means.std()) / math.sqrt(len(means)), DECIMALS)
    return {
        "from": low,
        "to": high,
        "loss": round(float(means.mean()), DECIMALS),
        "error": error,
        "predictions": len(means) * lengths,
    }


def _sum_up(rows: list[SentenceLoss], caption: str) -> SentenceLosses:
    """Means per token over all sentences, and the standard error of the gain: a sentence is one
    observation, weighted by its tokens.
    """
    tokens = torch.tensor([row["tokens"] for row in rows], dtype=torch.float64)
    alone = torch.tensor([row["alone"] for row in rows], dtype=torch.float64)
    after = torch.tensor([row["after"] for row in rows], dtype=torch.float64)
    share = tokens / tokens.sum()
    gain = float((share * (alone - after)).sum())
    error = None
    if len(rows) > 1:
        spread = float((share * (alone - after - gain)).square().sum().sqrt())
        error = round(spread * math.sqrt(len(rows) / (len(rows) - 1)), DECIMALS)
    return {
        "alone": round(float((share * alone).sum()), DECIMALS),
        "after": round(float((share * after).sum()), DECIMALS),
        "gain": round(gain, DECIMALS),
        "error": error,
        "sentences": rows,
        "caption": caption,
    }


def _mean(logprobs: Sequence[float]) -> float:
    return round(-sum(logprobs) / len(logprobs), DECIMALS)
