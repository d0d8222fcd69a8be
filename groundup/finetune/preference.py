"""Preference tuning (DPO): of two answers to a prompt the chosen one becomes more probable than the
rejected one, measured from the base model.

    prompt, chosen, rejected -> two conversations -> render() -> ids and masks -> the base's
        log-probabilities, once -> fit() -> folder

Nothing but the answers counts, as in `instruct`. The reference is the model as it was opened: its
log-probabilities are computed before the first step, so that no second model is in memory (Rafailov
et al. 2023). The run itself is in `chat_training`.

A pair's margin is how much more its chosen answer gained than its rejected one, times beta: the
difference of DPO's rewards, which is 0 before the first step. `prefers` asks without a reference:
which answer has the higher log-probability per token?
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch

from groundup.data.documents import PreferenceExample
from groundup.device import Compute
from groundup.evaluate.metrics import wilson_interval
from groundup.evaluate.paired import ratio_difference, share_difference
from groundup.evaluate.task import as_measure, describe, language_model
from groundup.finetune.chat_results import ChatResults
from groundup.finetune.chat_training import train_chat
from groundup.finetune.config import PreferenceConfig
from groundup.finetune.preference_data import (
    Pair,
    PreferenceBatches,
    as_batch,
    prepare_pairs,
    with_reference,
)
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.steps.losses import answer_logprobs
from groundup.weights.model_io import ModelCard, OpenModel

EVALUATIONS = 4
Sums = Sequence[tuple[float, float]]
"""Of each pair the log-probabilities of its chosen and its rejected answer."""
# Of the pairs to be read, how many at each end: those that went wrong most, and those that gained
# most.
READ_AT_EACH_END = 6


def fit_preference(
    opened: OpenModel,
    examples: Sequence[PreferenceExample],
    run: RunFolder,
    config: PreferenceConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
) -> ChatResults:
    """Train on the pairs that are not held out, as `chat_training.train_chat` says. Raises
    DataError, ModelError, ConfigError, and what that raises.
    """
    progress = progress or Silent()
    method = PairTraining(opened, examples, config, compute, progress)
    return train_chat(method, opened, run, compute=compute, progress=progress, card=card)


class PairTraining:
    """Training on pairs of answers; a `ChatMethod`."""

    def __init__(
        self,
        opened: OpenModel,
        examples: Sequence[PreferenceExample],
        config: PreferenceConfig,
        compute: Compute,
        progress: Progress,
    ) -> None:
        """Raises DataError, ModelError."""
        self.model, tokenizer = language_model(opened)
        limit = config.limit(opened.config.context_tokens)
        self.config, self._compute, self._progress = config, compute, progress
        self.data = prepare_pairs(examples, tokenizer, max_tokens=limit, seed=config.seed)
        self.batches = self._in_batches(self.data.train)
        self._held_out: Sequence[Pair] = self.data.held_out

    def _in_batches(self, pairs: Sequence[Pair]) -> PreferenceBatches:
        config = self.config
        return PreferenceBatches(
            pairs, beta=config.beta, batch_size=config.batch_size, seed=config.seed
        )

    def _logprobs(self, pairs: Sequence[Pair], what: str) -> list[tuple[float, float]]:
        return logprobs(
            self.model,
            pairs,
            self.config.batch_size,
            compute=self._compute,
            progress=self._progress,
            what=what,
        )

    def begin(self, model: LanguageModel) -> None:
        """Compute the log-probabilities of all answers in the base model."""
        train, held_out = (
            with_reference(pairs, self._logprobs(pairs, "reference"))
            for pairs in (self.data.train, self.data.held_out)
        )
        self.batches, self._held_out = self._in_batches(train), held_out

    def evaluations(self, steps: int) -> int:
        """Return how often the held-out pairs are measured."""
        return EVALUATIONS

    def evaluate(self) -> dict[str, float]:
        """Return `held_out_figures`."""
        sums = self._logprobs(self._held_out, "held-out pairs")
        return held_out_figures(self._held_out, sums, self.config.beta)

    def complete(self, results: ChatResults, figures: dict[str, float]) -> ChatResults:
        """Return the results with accuracy, margins and preferences on the held-out pairs."""
        n, beta = len(self._held_out), self.config.beta
        interval = wilson_interval(round(figures["accuracy"] * n), n)
        accuracy = as_measure("accuracy", interval, n, chance=0.5)
        sums = self._logprobs(self._held_out, "held-out pairs")
        return dataclasses.replace(
            results,
            accuracy=accuracy.plain(),
            accuracy_line=describe(accuracy),
            margin=figures["margin"],
            beta=beta,
            **compare_pairs(self._held_out, self.data.aside, sums, beta),
        )

    def describe(self, results: ChatResults) -> str:
        """Return the accuracy in one line."""
        return f"held-out pairs whose chosen answer gained more: {results.accuracy_line}"

    def card_figures(self, results: ChatResults) -> dict[str, str]:
        """Return the figures for the model card."""
        name = f"chosen answers that gained more, of {len(self._held_out)} held-out pairs"
        return {name: str(results.accuracy_line)}


@torch.no_grad()
def logprobs(
    model: LanguageModel,
    pairs: Sequence[Pair],
    batch_size: int,
    *,
    compute: Compute,
    progress: Progress,
    what: str,
) -> list[tuple[float, float]]:
    """Return the log-probabilities of both answers of each pair."""
    found: list[tuple[float, float]] = [(0.0, 0.0)] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda place: pairs[place].num_tokens)
    with progress.track(what, len(pairs), "pairs") as advance:
        for start in range(0, len(pairs), batch_size):
            places = order[start : start + batch_size]
            batch = as_batch([pairs[place] for place in places], 0.0)
            ids, labels = (
                part.flatten(0, 1).to(compute.device) for part in (batch.ids, batch.labels)
            )
            sums = answer_logprobs(model, ids, labels).view(-1, 2).tolist()
            for place, (chosen, rejected) in zip(places, sums, strict=True):
                found[place] = chosen, rejected
            advance(len(places))
    return found


def margins(pairs: Sequence[Pair], sums: Sums, beta: float) -> list[float]:
    """Return the margin of each pair."""
    return [
        beta * ((chosen - pair.reference[0]) - (rejected - pair.reference[1]))
        for pair, (chosen, rejected) in zip(pairs, sums, strict=True)
    ]


def held_out_figures(pairs: Sequence[Pair], sums: Sums, beta: float) -> dict[str, float]:
    """Return loss, accuracy and mean margin of the rewards, and the share of pairs whose chosen
    answer is the more probable per token.
    """
    found = margins(pairs, sums, beta)
    # -log sigmoid(margin)
    losses = [max(-margin, 0.0) + math.log1p(math.exp(-abs(margin))) for margin in found]
    return {
        "held_out_loss": math.fsum(losses) / len(losses),
        "accuracy": sum(margin > 0 for margin in found) / len(found),
        "margin": math.fsum(found) / len(found),
        "prefers": sum(lead > 0 for lead in leads(pairs, sums)) / len(pairs),
    }


def leads(pairs: Sequence[Pair], sums: Sums) -> list[float]:
    """Return how much more probable the chosen answer of each pair is, in nats per token."""
    counts = [(sum(pair.chosen.mask[1:]), sum(pair.rejected.mask[1:])) for pair in pairs]
    return [a / n - b / m for (a, b), (n, m) in zip(sums, counts, strict=True)]


def compare_pairs(
    pairs: Sequence[Pair], examples: Sequence[PreferenceExample], sums: Sums, beta: float
) -> dict[str, Any]:
    """Return margin and preference before and after with their paired differences, and pairs to
    read.
    """
    found = margins(pairs, sums, beta)
    before, after = leads(pairs, [pair.reference for pair in pairs]), leads(pairs, sums)
    prefer_before, prefer_after = ([lead > 0 for lead in side] for side in (before, after))
    margin = ratio_difference([0.0] * len(found), found, [1.0] * len(found))
    return {
        "margins": {"before": 0.0, "after": margin.value, "difference": margin.plain()},
        "prefers": {
            "before": sum(prefer_before) / len(pairs),
            "after": sum(prefer_after) / len(pairs),
            "difference": share_difference(prefer_before, prefer_after).plain(),
        },
        "pairs": [
            {
                **_as_text(examples[place]),
                "margin": found[place],
                "before": before[place],
                "after": after[place],
            }
            for place in _to_read(found)
        ],
    }


def _to_read(found: Sequence[float]) -> list[int]:
    """Return the places of the pairs with the lowest margins, then of those with the highest."""
    order = sorted(range(len(found)), key=lambda place: found[place])
    return [*order[:READ_AT_EACH_END], *order[READ_AT_EACH_END:][-READ_AT_EACH_END:]]


def _as_text(example: PreferenceExample) -> dict[str, str]:
    prompt = "\n\n".join(f"{message.role}: {message.content}" for message in example.prompt[:-1])
    last = example.prompt[-1].content if example.prompt else ""
    return {
        "id": example.id,
        "prompt": f"{prompt}\n\n{last}".strip(),
        "chosen": example.chosen,
        "rejected": example.rejected,
    }
