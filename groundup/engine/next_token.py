"""The next token: logits of one position -> one token id, as a `Sampling` says, by small pure
functions.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groundup.engine.sampling import Sampling
from groundup.errors import ModelError

NOT_FINITE = "The model's logits are not finite numbers."
NOT_FINITE_FIX = "Its weights are damaged, or its training had diverged."


def seeded_generator(seed: int | None) -> torch.Generator:
    """The same seed gives the same numbers, whatever else runs. Always on the CPU."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed % 2**63)
    return generator


def choose(
    logits: Float[Tensor, " V"],
    history: Sequence[int],
    sampling: Sampling,
    generator: torch.Generator,
    allowed: Bool[Tensor, " V"] | None = None,
) -> int:
    """`history`: prompt and answer so far; `allowed`: which ids may be chosen. Raises ModelError
    when the logits are non-finite, or nothing is allowed.
    """
    logits = logits.detach().float().cpu()
    best, best_logit = greedy(logits)
    if not math.isfinite(best_logit):
        raise ModelError(NOT_FINITE, fix=NOT_FINITE_FIX)
    if sampling.takes_best and allowed is None:
        return best
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -torch.inf)
        if not math.isfinite(greedy(logits)[1]):
            raise ModelError("No token is allowed here: the constraint on the answer can't be met.")
    if sampling.logit_bias:
        logits = add_bias(logits, sampling)
    if sampling.penalties:
        logits = penalise(logits, sampling.seen(history), sampling)
    if sampling.temperature == 0:
        return greedy(logits)[0]
    if not 0 < sampling.top_k < len(logits):
        return draw(next_scores(logits, sampling), generator)
    # the first filter; the others then have few to look at
    ids = logits.topk(sampling.top_k).indices.sort().values
    return draw(next_scores(logits[ids], sampling), generator, ids.numpy())


def greedy(logits: Float[Tensor, " V"]) -> tuple[int, float]:
    """The first of the most probable ids, and its logit: NaN where any is. In numpy, on one thread:
    torch's own would wait on the cores that the compiled step's threads need.
    """
    values = logits.numpy()
    best = int(values.argmax())
    return best, float(values[best])


def draw(
    scores: Float[Tensor, " N"], generator: torch.Generator, ids: np.ndarray | None = None
) -> int:
    """An id drawn from softmax(scores): the argmax of score + Gumbel noise (Gumbel 1954; Maddison
    et al. 2014, arXiv:1411.0030). `ids`: those that the scores are of. Each id has noise of its
    own, whichever others are kept: rounding in the scores changes the choice only where the two
    best sums are as near to one another. Any scores give an id: NaN counts as -inf; of several +inf
    one is drawn evenly, and where all are -inf one of all.
    """
    key = int(torch.randint(2**63 - 1, (1,), generator=generator))
    values = scores.numpy()
    kept = np.flatnonzero(values > -np.inf)  # NaN is not
    even = np.flatnonzero(values == np.inf) if len(kept) else np.arange(len(values))
    kept = even if len(even) else kept
    sums = gumbel_noise(key, kept if ids is None else ids[kept])
    if not len(even):
        sums += values[kept]
    best = kept[sums.argmax()]
    return int(best if ids is None else ids[best])


def gumbel_noise(key: int, ids: np.ndarray) -> np.ndarray:
    """Standard Gumbel noise for each id, in float64: the numbers at places `ids` of the stream that
    SplitMix64 (Steele et al. 2014, OOPSLA, fig. 17) makes of `key`: ids that were filtered away
    cost nothing.
    """
    z = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    # in place from here: on fresh arrays the same steps take several times as long
    z += np.uint64(key)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    z >>= np.uint64(12)
    noise = (z + 0.5) * 2.0**-52  # uniform in (0, 1): neither end is reached
    for _ in range(2):  # -log(-log(u))
        np.negative(np.log(noise, out=noise), out=noise)
    return noise


def next_scores(logits: Float[Tensor, " V"], sampling: Sampling) -> Float[Tensor, " V"]:
    """Log-probabilities, up to a constant: filters in order, then the temperature (above 0)."""
    for keep, value in sampling.filters:
        logits = keep(logits, value)
    # Shifted first, and in float64: a tiny temperature then drives all but the best to -inf instead
    # of overflowing to inf - inf.
    return (logits - logits.max()).double() / sampling.temperature


def add_bias(logits: Float[Tensor, " V"], sampling: Sampling) -> Float[Tensor, " V"]:
    """Raises ModelError for an id that the model does not have."""
    token_ids, values = zip(*sampling.logit_bias, strict=True)
    if max(token_ids) >= len(logits):
        raise ModelError(
            f"logit_bias: the model's token ids are 0 to {len(logits) - 1}, not {max(token_ids)}."
        )
    return logits.index_add(0, torch.tensor(token_ids), torch.tensor(values, dtype=logits.dtype))


def penalise(
    logits: Float[Tensor, " V"], seen: Sequence[int], sampling: Sampling
) -> Float[Tensor, " V"]:
    """The logits of `seen` ids, changed by each penalty in order: repetition, presence,
    frequency.
    """
    times = Counter(seen)
    ids = torch.tensor(list(times), dtype=torch.long)
    values, counts = logits[ids], torch.tensor(list(times.values()), dtype=logits.dtype)
    for penalty, value in sampling.penalties:
        values = penalty(values, counts, value)
    return logits.index_copy(0, ids, values)
