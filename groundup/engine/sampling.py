"""Which token comes next: logits of one position -> one token id, by small pure functions.

The steps run in llama.cpp's order, so that an exported model behaves there as it does here: repetition penalty, top-k,
top-p, min-p, and the temperature last. (Hugging Face's `generate` applies the temperature before the filters: with a
temperature other than 1, top-p and min-p then keep other tokens.) Temperature 0 is greedy, whatever the seed.

Sources: top-p is Holtzman et al. 2019 (arXiv:1904.09751), min-p Nguyen et al. 2024 (arXiv:2407.01082), the repetition
penalty Keskar et al. 2019 (CTRL, arXiv:1909.05858). Left out: penalties by count, typical sampling, beam search.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.errors import ConfigError, ModelError

# The repetition penalty looks back this far, prompt included: llama.cpp's default `repeat_last_n`.
REPETITION_WINDOW_TOKENS = 64


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
    """Weakens tokens seen in the last 64; 1 does nothing."""
    max_tokens: int = 256
    """The longest answer, in tokens."""
    stop: tuple[str, ...] = ()
    """The answer ends before the earliest of these strings."""
    seed: int | None = None
    """The same seed gives the same text; None draws a new one."""

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
        _require(self.max_tokens >= 0, "max_tokens", self.max_tokens, "0 or more")
        _require(all(self.stop), "stop", "", "strings of at least one character")


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value!r}; expected {expected}.")


def seeded_generator(seed: int | None) -> torch.Generator:
    """The random numbers of one request: the same seed, the same numbers, whatever else runs. On the CPU on every machine."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed % 2**63)
    return generator


def choose(logits: Float[Tensor, " V"], history: Sequence[int], sampling: Sampling, generator: torch.Generator) -> int:
    """The next token id. `history` is prompt and answer so far. Raises ModelError when the logits are not numbers."""
    logits = logits.float().cpu()
    if not bool(logits.max().isfinite()):
        raise ModelError(
            "The model's logits are not finite numbers.", fix="Its weights are damaged, or its training had diverged."
        )
    logits = penalise_repetition(logits, history[-REPETITION_WINDOW_TOKENS:], sampling.repetition_penalty)
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


def penalise_repetition(logits: Float[Tensor, " V"], seen: Sequence[int], penalty: float | int) -> Float[Tensor, " V"]:
    """Logits of `seen` ids divided by `penalty` where positive, multiplied where negative: less probable either way."""
    if penalty == 1 or not seen:
        return logits
    ids = torch.tensor(sorted(set(seen)))
    values = logits[ids]
    return logits.index_copy(0, ids, torch.where(values > 0, values / penalty, values * penalty))


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
