"""Which token comes next: logits of one position -> one token id, by small pure functions.

The steps run in llama.cpp's order, so that an exported model behaves there as it does here: penalties, top-k,
top-p, min-p, and the temperature last. (Hugging Face's `generate` applies the temperature before the filters: with a
temperature other than 1, top-p and min-p then keep other tokens.) Temperature 0 is greedy, whatever the seed.

Sources: top-p is Holtzman et al. 2019 (arXiv:1904.09751), min-p Nguyen et al. 2024 (arXiv:2407.01082), the repetition
penalty Keskar et al. 2019 (CTRL, arXiv:1909.05858), presence and frequency penalty OpenAI's API. Left out: typical sampling, beam search.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groundup.errors import ModelError, require


@dataclass(frozen=True)
class Sampling:
    """How one answer is drawn, and where it ends. Checks itself; raises ConfigError."""

    temperature: float | int = 0.8
    """Divides the logits; 0 is greedy. Default: llama.cpp's."""
    top_k: int = 0
    """Keep the k most probable tokens; 0 keeps all."""
    top_p: float | int = 1.0
    """Keep the smallest set of most probable tokens that holds this much probability; 1 keeps all."""
    min_p: float | int = 0.0
    """Keep tokens at least this fraction as probable as the most probable one; 0 keeps all."""
    repetition_penalty: float | int = 1.0
    """Divides positive logits of tokens that were seen, multiplies negative ones; 1 does nothing."""
    max_tokens: int = 256
    """The longest answer, in tokens."""
    stop: tuple[str, ...] = ()
    """The answer ends before the earliest of these strings."""
    seed: int | None = None
    """The same seed gives the same text; None draws a new one."""
    presence_penalty: float | int = 0.0
    """Taken from the logit of every token that was seen; below 0 it draws them near."""
    frequency_penalty: float | int = 0.0
    """Taken once for each time that it was seen."""
    repeat_last_n: int = 64
    """How far back the three penalties look, in tokens, prompt included; 0: nowhere, -1: at everything. Default: llama.cpp's."""

    def __post_init__(self) -> None:
        require(0 <= self.temperature < math.inf, "temperature", self.temperature, "0 (greedy) or more")
        require(self.top_k >= 0, "top_k", self.top_k, "at least 1, or 0 for all")
        require(0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1")
        require(0 <= self.min_p <= 1, "min_p", self.min_p, "0 to 1")
        repetition = self.repetition_penalty
        require(0 < repetition < math.inf, "repetition_penalty", repetition, "above 0; 1 does nothing")
        for name in ("presence_penalty", "frequency_penalty"):
            require(math.isfinite(getattr(self, name)), name, getattr(self, name), "finite; 0 does nothing")
        require(self.repeat_last_n >= -1, "repeat_last_n", self.repeat_last_n, "at least 0, or -1 for everything")
        require(self.max_tokens >= 0, "max_tokens", self.max_tokens, "at least 0")
        require(all(self.stop), "stop", self.stop, "strings of at least one character")

    @property
    def penalises(self) -> bool:
        """Whether it matters which tokens came before."""
        none = self.repetition_penalty == 1 and self.presence_penalty == 0 and self.frequency_penalty == 0
        return not none and self.repeat_last_n != 0

    def seen(self, history: Sequence[int]) -> Sequence[int]:
        """The part of prompt and answer that the penalties look at."""
        return history if self.repeat_last_n == -1 else history[max(len(history) - self.repeat_last_n, 0) :]


NOT_FINITE = "The model's logits are not finite numbers."
NOT_FINITE_FIX = "Its weights are damaged, or its training had diverged."


def seeded_generator(seed: int | None) -> torch.Generator:
    """The random numbers of one request: the same seed, the same numbers, whatever else runs. On the CPU on every machine."""
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
    """The next token id. `history` is prompt and answer so far; `allowed`: which ids may be chosen (None: all).

    Raises ModelError when the logits are not numbers, or nothing is allowed.
    """
    logits = logits.detach().float().cpu()
    if not bool(logits.max().isfinite()):
        raise ModelError(NOT_FINITE, fix=NOT_FINITE_FIX)
    if allowed is not None:
        if not bool(allowed.any()):
            raise ModelError("No token is allowed here: the constraint on the answer can't be met.")
        logits = logits.masked_fill(~allowed, -torch.inf)
    if sampling.penalises:
        logits = penalise(logits, sampling.seen(history), sampling)
    if sampling.temperature == 0:
        return int(logits.argmax())
    return draw(next_scores(logits, sampling), generator)


def draw(scores: Float[Tensor, " V"], generator: torch.Generator) -> int:
    """An id, each as often as softmax(scores) says: argmax of score + Gumbel noise (Gumbel 1954; Maddison et al. 2014, arXiv:1411.0030).

    Each id has noise of its own, whichever others are kept: rounding in the scores changes the choice only where the two best sums
    are as near to one another as that rounding. (A place on the cumulative sum moves with the rounding of all ids before it.)
    """
    key = int(torch.randint(2**63 - 1, (1,), generator=generator))
    values = scores.numpy()
    kept = np.flatnonzero(values > -np.inf)
    sums = gumbel_noise(key, kept)
    sums += values[kept]
    return int(kept[sums.argmax()])


def gumbel_noise(key: int, ids: np.ndarray) -> np.ndarray:
    """Standard Gumbel noise of each id, in float64: the numbers at places `ids` of the stream that SplitMix64 makes of `key`.

    SplitMix64 (Steele et al. 2014, OOPSLA, fig. 17) gives any place of its stream by itself, so ids that were filtered away cost nothing.
    """
    z = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(key)  # in place from here: on fresh arrays the same steps take several times as long
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
    """Log-probabilities, but for a constant, of the distribution that is drawn from: filters in order, then the temperature (above 0)."""
    logits = keep_top_k(logits, sampling.top_k)
    logits = keep_top_p(logits, sampling.top_p)
    logits = keep_min_p(logits, sampling.min_p)
    # Shifted first, and in float64: a tiny temperature then drives all but the best to -inf instead of overflowing to inf - inf.
    return (logits - logits.max()).double() / sampling.temperature


def penalise(logits: Float[Tensor, " V"], seen: Sequence[int], sampling: Sampling) -> Float[Tensor, " V"]:
    """Logits with those of `seen` ids made smaller: first by the factor of the repetition penalty, then by what presence and frequency take."""
    times = Counter(seen)
    ids = torch.tensor(list(times), dtype=torch.long)
    values = logits[ids]
    factor = sampling.repetition_penalty
    values = torch.where(values > 0, values / factor, values * factor)
    counts = torch.tensor(list(times.values()), dtype=values.dtype)
    values = values - sampling.presence_penalty - sampling.frequency_penalty * counts
    return logits.index_copy(0, ids, values)


def keep_top_k(logits: Float[Tensor, " V"], k: int) -> Float[Tensor, " V"]:
    """All but the k largest become -inf; exactly k stay, ties included. 0 keeps all."""
    if k == 0 or k >= logits.numel():
        return logits
    kept = logits.topk(k)
    return torch.full_like(logits, -torch.inf).index_copy(0, kept.indices, kept.values)


def keep_top_p(logits: Float[Tensor, " V"], p: float | int) -> Float[Tensor, " V"]:
    """All but the smallest set of most probable tokens whose probability reaches p become -inf. The best always stays; 1 keeps all."""
    if p >= 1:
        return logits
    probabilities = torch.softmax(logits, dim=-1)
    # Tokens below (1 - p) / V hold less than 1 - p together and can't be needed; without them there is little to sort.
    likely = (probabilities >= (1 - p) / len(logits)).nonzero()[:, 0]
    ordered, order = probabilities[likely].sort(descending=True)
    before = ordered.cumsum(-1) - ordered  # probability of all better tokens
    kept = likely[order[before < p]]
    return torch.full_like(logits, -torch.inf).index_copy(0, kept, logits[kept])


def keep_min_p(logits: Float[Tensor, " V"], p: float | int) -> Float[Tensor, " V"]:
    """Tokens less probable than p times the best become -inf. 0 keeps all."""
    if p == 0:
        return logits
    # prob >= p * best  <=>  logit >= best logit + ln p
    return logits.masked_fill(logits < logits.max() + torch.log(torch.tensor(p)), -torch.inf)
