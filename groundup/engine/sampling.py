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

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groundup.errors import ConfigError, ModelError


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
        _require(0 <= self.temperature < float("inf"), "temperature", self.temperature, "0 (greedy) or more")
        _require(self.top_k >= 0, "top_k", self.top_k, "0 (off) or more")
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1 (off)")
        _require(0 <= self.min_p <= 1, "min_p", self.min_p, "between 0 (off) and 1")
        _require(
            0 < self.repetition_penalty < float("inf"),
            "repetition_penalty",
            self.repetition_penalty,
            "above 0 (1 is off)",
        )
        _require(math.isfinite(self.presence_penalty), "presence_penalty", self.presence_penalty, "a number (0 is off)")
        _require(
            math.isfinite(self.frequency_penalty), "frequency_penalty", self.frequency_penalty, "a number (0 is off)"
        )
        _require(self.repeat_last_n >= -1, "repeat_last_n", self.repeat_last_n, "-1 (everything), 0 (off) or more")
        _require(self.max_tokens >= 0, "max_tokens", self.max_tokens, "0 or more")
        _require(all(self.stop), "stop", "", "strings of at least one character")

    @property
    def penalises(self) -> bool:
        """Whether it matters which tokens came before."""
        none = self.repetition_penalty == 1 and self.presence_penalty == 0 and self.frequency_penalty == 0
        return not none and self.repeat_last_n != 0

    def seen(self, history: Sequence[int]) -> Sequence[int]:
        """The part of prompt and answer that the penalties look at."""
        return history if self.repeat_last_n == -1 else history[max(len(history) - self.repeat_last_n, 0) :]


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value!r}; expected {expected}.")


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
    logits = logits.float().cpu()
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
    return draw(next_probabilities(logits, sampling), generator)


def draw(probabilities: Float[Tensor, " V"], generator: torch.Generator) -> int:
    """An index, each as often as its probability says: by one random number, where torch.multinomial needs one for each of V."""
    reached = probabilities.double().cumsum(0)
    place = torch.rand(1, generator=generator, dtype=torch.float64) * reached[-1]
    # right=True: the first index that goes beyond the place, so that one of probability 0 is never taken
    return min(int(torch.searchsorted(reached, place, right=True)), len(reached) - 1)


def next_probabilities(logits: Float[Tensor, " V"], sampling: Sampling) -> Float[Tensor, " V"]:
    """The distribution that is drawn from: filters in order, then the temperature (above 0)."""
    logits = keep_top_k(logits, sampling.top_k)
    logits = keep_top_p(logits, sampling.top_p)
    logits = keep_min_p(logits, sampling.min_p)
    # Shifted first: a tiny temperature then drives all but the best to -inf instead of overflowing to inf - inf.
    return torch.softmax((logits - logits.max()) / sampling.temperature, dim=-1)


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
