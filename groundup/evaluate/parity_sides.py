"""What every check of the parity gate needs: our side, how far the other may be from it, and how a result is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.exportable import as_llamacpp_runs

# What llama.cpp's context must hold: no prompt of the gate is longer.
CONTEXT_TOKENS = 1024
# The share of tokens that may lie beyond `Tolerance.near`.
FAR_SHARE = 0.01


@dataclass(frozen=True)
class Tolerance:
    """How far llama.cpp may be from our float32 model, for files of one encoding. All in logits or natural log-probabilities."""

    near: float
    """99 in 100 of llama.cpp's tokens are at most this far below our best token at their place."""
    worst: float
    """And every one at most this far."""
    median: float
    """Bound of the median difference of log-probabilities, over the 5 most probable tokens of every place."""
    largest: float | None
    """Bound of the largest such difference; None: unbounded, as single ones are far off in quantised files."""


# Measured: SmolLM2-135M, 60 prompts, about 2,600 tokens a file, a real llama.cpp against our float32 model.
#
#          not our best   furthest below it          median   largest
#   f32    1              0.002                      0.001    0.05     (llama.cpp keeps keys and values in 16 bits)
#   f16    2              0.001                      0.002    0.05
#   bf16   10             0.09                       0.013    0.5
#   q8_0   91             0.63, the next 0.26        0.07     1.0
#   q4_0   587            7.1                        0.6      15
#
# So "our best token, always" would refuse sound files at places where our two best are 0.001 apart. What the gate is there to find (a wrong
# tokenizer, keys in the wrong order, a lost scale) is off by whole logits, in the median too.
TOLERANCES: dict[str, Tolerance] = {
    "f32": Tolerance(near=0.05, worst=0.05, median=0.01, largest=0.1),
    "f16": Tolerance(near=0.05, worst=0.05, median=0.02, largest=0.1),
    "bf16": Tolerance(near=0.1, worst=0.3, median=0.05, largest=None),
    "q8_0": Tolerance(near=0.6, worst=2.0, median=0.15, largest=None),
    "q4_0": Tolerance(near=6.0, worst=15.0, median=1.2, largest=None),
}


@dataclass(frozen=True)
class Check:
    """One thing compared."""

    name: str
    passed: bool
    detail: str
    """One sentence: what was equal, or the first difference with string, position and both sides."""
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Sides:
    """Our side, and how far the other may be from it."""

    model: LanguageModel
    tokenizer: Tokenizer
    tolerance: Tolerance

    def logits(self, ids: Sequence[int], last: int) -> Tensor:
        """Our logits at the places that predict the `last` last ids: float32 [last, V], by one forward pass."""
        device = self.model.transformer.embedding.weight.device
        with torch.inference_mode():
            hidden = self.model.hidden(torch.tensor([ids], device=device))
            return self.model.logits(hidden[0, len(ids) - last - 1 : len(ids) - 1]).float().cpu()

    def room(self, new_tokens: int) -> tuple[int, int]:
        """How long a prompt may be, and how many tokens may follow it, in a context that may be tiny."""
        context = min(CONTEXT_TOKENS, as_llamacpp_runs(self.model.config).context_tokens)
        follow = min(new_tokens, context // 2)
        return context - follow, follow

    def difference(self, ours: Sequence[int], theirs: Sequence[int]) -> str:
        """Where two lists of ids part, for a sentence."""
        place = parting(ours, theirs)
        return f"differs from token {place} on: ours {self.show(ours[place:])}; llama.cpp {self.show(theirs[place:])}"

    def show(self, ids: Sequence[int]) -> str:
        """Ids with their texts, for a sentence about a difference."""
        return ", ".join(f"{token} {self.tokenizer.decode([token])!r}" for token in ids[:4]) or "nothing"


def parting(ours: Sequence[object] | str, theirs: Sequence[object] | str) -> int:
    """The first place at which two sequences differ.

    >>> parting("abc", "abd")
    2
    """
    return next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))


def short(text: str) -> str:
    """A text for a sentence, cut where it is long."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}... ({len(text):,} characters)"
