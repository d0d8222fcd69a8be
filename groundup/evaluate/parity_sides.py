"""Shared by the checks of the parity gate: our model, the tolerances, and the result of a check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.gguf_architectures import as_llamacpp_runs

# The context of llama.cpp; prompts of the gate are not longer.
CONTEXT_TOKENS = 1024
# The share of tokens that may lie beyond `Tolerance.near`.
FAR_SHARE = 0.01


@dataclass(frozen=True)
class Tolerance:
    """Tolerances of llama.cpp against our float32 model, for files of one encoding, in logits or natural log-probabilities."""

    near: float
    """99 in 100 of llama.cpp's tokens are at most this far below our argmax at their position."""
    worst: float
    """All of them are at most this far below it."""
    median: float
    """Bound of the median difference of log-probabilities, over the 5 most probable tokens of every position."""
    largest: float | None
    """Bound of the largest such difference; None: unbounded, as quantised files have outliers."""


# Measured: SmolLM2-135M, 60 prompts, about 2,600 tokens a file, a real llama.cpp against our float32 model.
#
#          not our argmax largest gap                median   largest
#   f32    1              0.002                      0.001    0.05     (llama.cpp keeps keys and values in 16 bits)
#   f16    2              0.001                      0.002    0.05
#   bf16   10             0.09                       0.013    0.5
#   q8_0   91             0.63, the next 0.26        0.07     1.0
#   q4_0   587            7.1                        0.6      15
#
# So "always our argmax" would refuse correct files at positions where our two best tokens are 0.001 apart. The faults to detect (a wrong tokenizer,
# keys in the wrong order, a lost scale) are off by several logits, in the median too.
TOLERANCES: dict[str, Tolerance] = {
    "f32": Tolerance(near=0.05, worst=0.05, median=0.01, largest=0.1),
    "f16": Tolerance(near=0.05, worst=0.05, median=0.02, largest=0.1),
    "bf16": Tolerance(near=0.1, worst=0.3, median=0.05, largest=None),
    "q8_0": Tolerance(near=0.6, worst=2.0, median=0.15, largest=None),
    "q4_0": Tolerance(near=6.0, worst=15.0, median=1.2, largest=None),
}


@dataclass(frozen=True)
class Check:
    """The result of one comparison."""

    name: str
    passed: bool
    detail: str
    """One sentence: what is equal, or the first difference with string, position and both sides."""
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Sides:
    """Our model and tokenizer, and the tolerance of the other side."""

    model: LanguageModel
    tokenizer: Tokenizer
    tolerance: Tolerance

    def logits(self, ids: Sequence[int], last: int) -> Tensor:
        """Return our logits at the positions that predict the `last` last ids: float32 [last, V], by one forward pass."""
        device = self.model.transformer.embedding.weight.device
        with torch.inference_mode():
            hidden = self.model.hidden(torch.tensor([ids], device=device))
            return self.model.logits(hidden[0, len(ids) - last - 1 : len(ids) - 1]).float().cpu()

    def room(self, new_tokens: int) -> tuple[int, int]:
        """Return the maximum length of a prompt, and of the text after it, in a context that may be short."""
        context = min(CONTEXT_TOKENS, as_llamacpp_runs(self.model.config).context_tokens)
        max_new = min(new_tokens, context // 2)
        return context - max_new, max_new

    def difference(self, ours: Sequence[int], theirs: Sequence[int]) -> str:
        """Return where two lists of ids differ, as part of a sentence."""
        place = first_difference(ours, theirs)
        return f"differs from token {place} on: ours {self.show(ours[place:])}; llama.cpp {self.show(theirs[place:])}"

    def show(self, ids: Sequence[int]) -> str:
        """Return ids with their texts, as part of a sentence."""
        return ", ".join(f"{token} {self.tokenizer.decode([token])!r}" for token in ids[:4]) or "nothing"


def first_difference(ours: Sequence[object] | str, theirs: Sequence[object] | str) -> int:
    """Return the first position at which two sequences differ.

    >>> first_difference("abc", "abd")
    2
    """
    return next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))


def short(text: str) -> str:
    """Return a text in quotes, shortened if it is long."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}... ({len(text):,} characters)"
