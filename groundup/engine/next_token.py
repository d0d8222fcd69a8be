"""The next token: logits of one position -> one token id, as a `Sampling` says, by small pure
functions on numpy arrays. Tensors are taken, too; torch is not imported.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from groundup.engine.sampling import Array, Sampling, largest
from groundup.errors import ModelError

NOT_FINITE = "The model's logits are not finite numbers."
NOT_FINITE_FIX = "Its weights are damaged, or its training had diverged."


class SeededGenerator:
    """The numbers of torch's generator on the CPU, one key for each draw: a Mersenne twister
    (Matsumoto & Nishimura 1998) that begins with the lower 32 bits of its seed.
    """

    def __init__(self, seed: int | None) -> None:
        """None: begins anywhere."""
        self._random = random.Random()
        if seed is not None:
            state = [seed % 2**32]
            for place in range(1, 624):
                last = state[-1]
                state.append((1_812_433_253 * (last ^ last >> 30) + place) % 2**32)
            self._random.setstate((3, (*state, len(state)), None))

    def key(self) -> int:
        """As `torch.randint(2**63 - 1, (1,), generator=...)`."""
        high, low = self._random.getrandbits(32), self._random.getrandbits(32)
        return (high << 32 | low) % (2**63 - 1)


def as_array(logits: Any) -> Array:
    """float32 where they were of fewer bits; of a tensor its memory, on the CPU."""
    if isinstance(logits, np.ndarray):
        return logits
    found: Array = logits.detach().float().cpu().numpy()
    return found


@np.errstate(all="ignore")
def choose(
    logits: Any,
    history: Sequence[int],
    sampling: Sampling,
    generator: SeededGenerator,
    allowed: Any = None,
) -> int:
    """`logits` [V], an array or a tensor; `history`: prompt and answer so far; `allowed`: which ids
    may be chosen, bool [V]. Raises ModelError when the logits are non-finite, or nothing is
    allowed.
    """
    logits = as_array(logits)
    best, best_logit = greedy(logits)
    if not math.isfinite(best_logit):
        raise ModelError(NOT_FINITE, fix=NOT_FINITE_FIX)
    if sampling.takes_best and allowed is None:
        return best
    if allowed is not None:
        logits = np.where(np.asarray(allowed), logits, -np.inf).astype(logits.dtype)
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
    ids = np.sort(largest(logits, sampling.top_k))
    return draw(next_scores(logits[ids], sampling), generator, ids)


def greedy(logits: Array) -> tuple[int, float]:
    """The first of the most probable ids, and its logit: NaN where any is."""
    best = int(logits.argmax())
    return best, float(logits[best])


def draw(values: Array, generator: SeededGenerator, ids: Array | None = None) -> int:
    """An id drawn from softmax(values): the argmax of value + Gumbel noise (Gumbel 1954; Maddison
    et al. 2014, arXiv:1411.0030). `ids`: those that the values are of. Each id has noise of its
    own, whichever others are kept: rounding in the values changes the choice only where the two
    best sums are as near to one another. Any values give an id: NaN counts as -inf; of several +inf
    one is drawn evenly, and where all are -inf one of all.
    """
    key = generator.key()
    kept = np.flatnonzero(values > -np.inf)  # NaN is not
    even = np.flatnonzero(values == np.inf) if len(kept) else np.arange(len(values))
    kept = even if len(even) else kept
    sums = gumbel_noise(key, kept if ids is None else ids[kept])
    if not len(even):
        sums += values[kept]
    best = kept[sums.argmax()]
    return int(best if ids is None else ids[best])


def gumbel_noise(key: int, ids: Array) -> Array:
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


@np.errstate(all="ignore")
def next_scores(logits: Array, sampling: Sampling) -> Array:
    """Log-probabilities, up to a constant: filters in order, then the temperature (above 0)."""
    for keep, value in sampling.filters:
        logits = keep(logits, value)
    # Shifted first, and in float64: a tiny temperature then drives all but the best to -inf instead
    # of overflowing to inf - inf.
    return (logits - logits.max()).astype(np.float64) / sampling.temperature


def add_bias(logits: Array, sampling: Sampling) -> Array:
    """Raises ModelError for an id that the model does not have."""
    token_ids, values = zip(*sampling.logit_bias, strict=True)
    if max(token_ids) >= len(logits):
        raise ModelError(
            f"logit_bias: the model's token ids are 0 to {len(logits) - 1}, not {max(token_ids)}."
        )
    biased = logits.copy()
    np.add.at(biased, list(token_ids), np.array(values, logits.dtype))
    return biased


@np.errstate(all="ignore")
def penalise(logits: Array, seen: Sequence[int], sampling: Sampling) -> Array:
    """The logits of `seen` ids, changed by each penalty in order: repetition, presence,
    frequency.
    """
    times = Counter(seen)
    ids = np.fromiter(times, np.int64)
    values, counts = logits[ids], np.fromiter(times.values(), logits.dtype)
    for penalty, value in sampling.penalties:
        values = penalty(values, counts, value)
    changed = logits.copy()
    changed[ids] = values
    return changed
