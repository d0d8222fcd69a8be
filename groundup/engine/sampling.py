"""How the next token is drawn: `Sampling`, whose fields are the rules of sampling, and the
functions of these rules, on numpy arrays. Nothing here imports torch, and numpy only where it
computes: the help of the command line reads it.

To add a rule: a function, and a field of `Sampling` annotated with a `SamplingRule`. Its check, its
option of `groundup generate` and `chat`, and its field in the APIs of `groundup serve` follow.

The rules run in llama.cpp's order: penalties, top-k, top-p, min-p, and the temperature last.
(Hugging Face's `generate` applies it before the filters: top-p and min-p then keep other tokens.)

Sources: top-p is Holtzman et al. 2019 (arXiv:1904.09751), min-p Nguyen et al. 2024
(arXiv:2407.01082), the repetition penalty Keskar et al. 2019 (CTRL, arXiv:1909.05858), presence and
frequency penalty OpenAI's API. Left out: typical sampling, beam search.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin, get_type_hints

from groundup.errors import require
from groundup.weights.card import read_sampling

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray
else:
    Array = Any
Number = float | int
# Bounds of a client's numbers. OpenAI allows penalties of -2 to 2, and biases as here; beyond these
# a logit leaves float32 instead of a choice.
MAX_TEMPERATURE = 100
MAX_PENALTY = 100
MIN_REPETITION, MAX_REPETITION = 0.01, 100
MAX_LOGIT_BIAS = 100
BIAS_EXPECTED = f"-{MAX_LOGIT_BIAS} to {MAX_LOGIT_BIAS}"


def keep_top_k(logits: Array, k: int) -> Array:  # [V]
    """All but the k largest at -inf; exactly k stay, ties included. 0 keeps all."""
    if k == 0 or k >= logits.size:
        return logits
    return _only(largest(logits, k), logits)


def keep_top_p(logits: Array, p: Number) -> Array:  # [V]
    """The smallest set of most probable tokens whose probability reaches p. 1 keeps all."""
    if p >= 1:
        return logits
    import numpy as np

    shares = np.exp(logits - logits.max())
    probabilities = shares / shares.sum()
    # Tokens below (1 - p) / V hold less than 1 - p together and can't be needed; without them there
    # is little to sort.
    likely = np.flatnonzero(probabilities >= (1 - p) / logits.size)
    order = np.argsort(-probabilities[likely], kind="stable")
    ordered = probabilities[likely[order]]
    before = np.cumsum(ordered, dtype=np.float64) - ordered  # probability of all better tokens
    return _only(likely[order[before < p]], logits)


def keep_min_p(logits: Array, p: Number) -> Array:  # [V]
    """Tokens less probable than p times the best at -inf. 0 keeps all."""
    if p == 0:
        return logits
    import numpy as np

    # prob >= p * best  <=>  logit >= best logit + ln p
    return np.where(logits < logits.max() + math.log(p), -np.inf, logits).astype(logits.dtype)


def largest(values: Array, count: int) -> Array:
    """The places of the `count` largest values, in no order."""
    import numpy as np

    if count == 0:
        return np.empty(0, np.int64)
    return np.argpartition(values, values.size - count)[values.size - count :]


def divide(logits: Array, factor: Number) -> Array:
    """Positive ones divided, negative ones multiplied."""
    import numpy as np

    return np.where(logits > 0, logits / factor, logits * factor)


def _only(places: Array, logits: Array) -> Array:
    """All others at -inf."""
    import numpy as np

    kept = np.full_like(logits, -np.inf)
    kept[places] = logits[places]
    return kept


@dataclass(frozen=True)
class SamplingRule:
    """The values that a rule takes, what it does to the logits, and how users set it. The default
    of its field does nothing.
    """

    is_valid: Callable[[Number], bool]
    expected: str
    keep: Callable[[Array, Any], Array] | None = None
    """Logits [V] and the value -> logits that are -inf for the tokens that can't be drawn; in the
    order of the rules.
    """
    penalise: Callable[[Array, Array, Any], Array] | None = None
    """Logits [N] of the tokens that were seen, how often each was [N], and the value -> new logits;
    before all filters.
    """
    end: Callable[[str, Any], int | None] | None = None
    """The text so far and the value -> where the answer ends, in characters. What was shown before
    stays.
    """
    help: str = ""
    """Of its option of `groundup generate` and `chat`; "": it has none."""
    chat: Number | None = None
    """The default in `groundup chat` and on the page of `groundup serve`."""


@dataclass(frozen=True)
class Sampling:
    """How one answer is drawn, and where it ends. Raises ConfigError."""

    temperature: Annotated[
        Number,
        SamplingRule(
            lambda value: 0 <= value <= MAX_TEMPERATURE,
            f"0 (greedy) to {MAX_TEMPERATURE}",
            help="0: always the most probable token.",
            chat=0.7,
        ),
    ] = 0.8
    """Divides the logits; 0 is greedy. Default: llama.cpp's."""
    top_k: Annotated[
        int,
        SamplingRule(
            lambda value: value >= 0,
            "at least 1, or 0 for all",
            keep_top_k,
            help="Draw from the k most probable tokens; 0: from all.",
            chat=40,
        ),
    ] = 0
    top_p: Annotated[
        Number,
        SamplingRule(
            lambda value: 0 < value <= 1,
            "above 0 and at most 1",
            keep_top_p,
            help="Draw from the most probable tokens that hold this much probability; 1: from all.",
            chat=0.9,
        ),
    ] = 1.0
    min_p: Annotated[
        Number,
        SamplingRule(
            lambda value: 0 <= value <= 1,
            "0 to 1",
            keep_min_p,
            help="Draw from tokens at least this fraction as probable as the best; 0: from all.",
            chat=0.05,
        ),
    ] = 0.0
    repetition_penalty: Annotated[
        Number,
        SamplingRule(
            lambda value: MIN_REPETITION <= value <= MAX_REPETITION,
            f"{MIN_REPETITION} to {MAX_REPETITION}; 1 does nothing",
            penalise=lambda logits, counts, factor: divide(logits, factor),
            help="Above 1: tokens of the last 64 become less probable.",
            chat=1.0,
        ),
    ] = 1.0
    """Divides positive logits of tokens that were seen, multiplies negative ones."""
    repeat_last_n: int = 64
    """How far back the penalties look, in tokens, prompt included; 0: nowhere, -1: at everything.
    Default: llama.cpp's.
    """
    presence_penalty: Annotated[
        Number,
        SamplingRule(
            lambda value: -MAX_PENALTY <= value <= MAX_PENALTY,
            f"-{MAX_PENALTY} to {MAX_PENALTY}; 0 does nothing",
            penalise=lambda logits, counts, penalty: logits - penalty,
        ),
    ] = 0.0
    """Subtracted from the logit of every token that was seen."""
    frequency_penalty: Annotated[
        Number,
        SamplingRule(
            lambda value: -MAX_PENALTY <= value <= MAX_PENALTY,
            f"-{MAX_PENALTY} to {MAX_PENALTY}; 0 does nothing",
            penalise=lambda logits, counts, penalty: logits - penalty * counts,
        ),
    ] = 0.0
    """Subtracted once for each time that a token was seen."""
    seed: int | None = None
    """The same seed gives the same text; None draws a new one."""
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    """The answer ends before the earliest of these strings."""
    logit_bias: tuple[tuple[int, Number], ...] = ()
    """Added to the logit of each id before anything else: -100 bans a token, 100 makes it the only
    one.
    """

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            require(rule.is_valid(getattr(self, name)), name, getattr(self, name), rule.expected)
        require(
            self.repeat_last_n >= -1,
            "repeat_last_n",
            self.repeat_last_n,
            "at least 0, or -1 for everything",
        )
        require(self.max_tokens >= 0, "max_tokens", self.max_tokens, "at least 0")
        require(all(self.stop), "stop", self.stop, "strings of at least one character")
        for token_id, bias in self.logit_bias:
            require(token_id >= 0, "logit_bias", token_id, "by token ids of at least 0")
            require(-MAX_LOGIT_BIAS <= bias <= MAX_LOGIT_BIAS, "logit_bias", bias, BIAS_EXPECTED)

    @cached_property
    def filters(self) -> list[tuple[Callable[[Array, Any], Array], Number]]:
        """Those that do something, in order, each with its value."""
        return [(rule.keep, value) for rule, value in self._active if rule.keep is not None]

    @cached_property
    def penalties(self) -> list[tuple[Callable[[Array, Array, Any], Array], Number]]:
        if self.repeat_last_n == 0:
            return []
        return [(rule.penalise, value) for rule, value in self._active if rule.penalise is not None]

    @cached_property
    def ends(self) -> list[tuple[Callable[[str, Any], int | None], Number]]:
        return [(rule.end, value) for rule, value in self._active if rule.end is not None]

    @property
    def takes_best(self) -> bool:
        return self.temperature == 0 and not self.penalties and not self.logit_bias

    @property
    def _active(self) -> list[tuple[SamplingRule, Number]]:
        values = {name: getattr(self, name) for name in RULES}
        return [
            (RULES[name], value)
            for name, value in values.items()
            if value != getattr(Sampling, name)
        ]

    def seen(self, history: Sequence[int]) -> Sequence[int]:
        """What the penalties look at."""
        if self.repeat_last_n == -1:
            return history
        return history[max(len(history) - self.repeat_last_n, 0) :]


_HINTS = get_type_hints(Sampling, include_extras=True)
RULES: dict[str, SamplingRule] = {
    name: hint.__metadata__[0] for name, hint in _HINTS.items() if get_origin(hint) is Annotated
}
CHAT_MAX_TOKENS = 512
# Where a person talks with a model, in `groundup chat` and on the page; the APIs have the defaults
# of their dialects instead. Small models need the narrow choice: drawing from all 49,152 tokens of
# SmolLM2 at temperature 0.8 soon takes one that no text would have.
CHAT_SAMPLING = {name: rule.chat for name, rule in RULES.items() if rule.chat is not None}


def chat_sampling(path: Path) -> dict[str, float]:
    """For the model at `path`: as its generation_config.json says, else CHAT_SAMPLING."""
    return {**CHAT_SAMPLING, **read_sampling(path)}
