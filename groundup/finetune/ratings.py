"""Tuning on rated answers (KTO, Ethayarajh et al. 2024, arXiv:2402.01306): answers that readers
liked become more probable, those that they disliked less, both measured from the base model and
from how far it has drifted: how much more probable the same answers have become after prompts that
they do not belong to.

    feedback.jsonl -> RatedExample -> (prompt, answer) and (prompt, another's answer) -> KTO

Good and bad answers weigh the same in sum, however many there are of each. Of an answer, the gain
is beta times how much more probable it has become than the drift; 0 before the first step.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.data.documents import (
    ChatExample,
    ConversationExample,
    PreferenceExample,
    RatedExample,
)
from groundup.data.reading.example_splits import hold_out, user_turns
from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.task import language_model
from groundup.evaluate.tasks.answers import evenly
from groundup.files import sha256_text
from groundup.finetune.chat_training import ChatJob, ChatResults, train_chat
from groundup.finetune.config import PreferenceConfig
from groundup.finetune.instruction_data import ChatData
from groundup.finetune.order import EpochBatches, Lengths
from groundup.finetune.preference import (
    EVALUATIONS,
    Pair,
    Sums,
    as_batch,
    logprobs,
    render_answer,
    with_accuracy,
    with_reference,
)
from groundup.finetune.time_limit import TimeLimit
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Message
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import ModelCard, OpenModel

KTO = "kto"
# Lower than where answers are learned, too: only which is better is.
LEARNING_RATES = {"lora": 5e-5, "all": 1e-6}
# Kind of an answer -> the figure with its mean gain.
GAINS = {"good": "gain_good", "bad": "gain_bad"}


@dataclass(frozen=True)
class Rated:
    """A rated answer, rendered and cut."""

    texts: Pair
    """The prompt with its answer, and with the answer to another prompt."""
    is_good: bool
    weight: float

    @property
    def sign(self) -> float:
        return 1.0 if self.is_good else -1.0


@dataclass(frozen=True)
class RatingBatch:
    ids: Tensor  # [B, 2, T]
    labels: Tensor  # [B, 2, T]
    reference: Tensor  # [B, 2]
    good: Tensor  # [B], 1 or -1
    weights: Tensor  # [B]
    beta: float


class RatingBatches(EpochBatches):
    def __init__(self, rated: Sequence[Rated], *, beta: float, batch_size: int, seed: int) -> None:
        lengths = [each.texts.num_tokens for each in rated]
        super().__init__(lengths, batch_size=batch_size, seed=seed)
        self._rated, self._beta = rated, beta
        ids = [
            (each.texts.chosen.ids, each.texts.chosen.mask, each.texts.rejected.ids, each.is_good)
            for each in rated
        ]
        self.fingerprint = sha256_text(f"{ids} {beta} {batch_size} {seed}")

    def batch(self, position: int) -> RatingBatch:
        rows = [self._rated[i] for i in self.indices(position)]
        texts = as_batch([each.texts for each in rows], self._beta)
        good, weights = (
            torch.tensor(values)
            for values in ([each.sign for each in rows], [each.weight for each in rows])
        )
        return RatingBatch(texts.ids, texts.labels, texts.reference, good, weights, self._beta)


@dataclass(frozen=True)
class RatingData(ChatData):
    aside: tuple[RatedExample, ...]
    """The examples of the held-out answers."""

    def report(self, progress: Progress, what: str = "rated answers") -> None:
        super().report(progress, what)
        good = sum(each.is_good for each in self.train)
        progress.say(f"{good:,} of them are rated up, {len(self.train) - good:,} down.")


def rated_of_pairs(examples: Sequence[PreferenceExample]) -> list[RatedExample]:
    """Return the chosen answers as good ones, the rejected as bad ones."""
    return [
        RatedExample(each.prompt, answer, is_good, f"{each.id}/{side}")
        for each in examples
        for side, answer, is_good in (("+", each.chosen, True), ("-", each.rejected, False))
    ]


def prepare_ratings(
    examples: Sequence[RatedExample], tokenizer: Tokenizer, *, max_tokens: int, seed: int
) -> RatingData:
    """Make distinct, separate the held-out answers, render, truncate. Raises DataError where the
    training answers or the held-out ones are not of both kinds.
    """
    sides = hold_out(examples, seed)
    whole = [render_answer(each.prompt, each.answer, tokenizer) for each in sides.train]
    lengths = Lengths.of_answers(whole, max_tokens)
    lengths.require_whole_answer()
    train, learned = _rated(sides.train, tokenizer, max_tokens)
    _require_both(train, max_tokens)
    held_out, aside = _rated(sides.held_out, tokenizer, max_tokens)
    if not held_out:
        raise DataError(
            f"No held-out answer begins within {max_tokens:,} tokens: there is nothing to measure on.",
            fix="Give shorter answers, or raise max_tokens.",
        )
    left_out = len(sides.train) - len(train)
    return RatingData(train, held_out, learned, sides.repeats, left_out, lengths, aside)


def _rated(
    examples: Sequence[RatedExample], tokenizer: Tokenizer, max_tokens: int
) -> tuple[tuple[Rated, ...], tuple[RatedExample, ...]]:
    found: list[tuple[RatedExample, Pair]] = []
    for place, example in enumerate(examples):
        other = _of_another_prompt(examples, place)
        own, another = (
            render_answer(example.prompt, answer, tokenizer).cut(max_tokens)
            for answer in (example.answer, other)
        )
        texts = Pair(own, another)
        if any(texts.chosen.mask[1:]) and any(texts.rejected.mask[1:]):
            found.append((example, texts))
    good = sum(example.is_good for example, _ in found)
    counts = {True: good, False: len(found) - good}
    return (
        tuple(
            Rated(texts, example.is_good, len(found) / (2 * counts[example.is_good]))
            for example, texts in found
        ),
        tuple(example for example, _ in found),
    )


def _require_both(rated: Sequence[Rated], max_tokens: int) -> None:
    """Raise DataError unless there are good and bad answers."""
    good = sum(each.is_good for each in rated)
    if not 0 < good < len(rated):
        raise DataError(
            f"Of {len(rated):,} distinct answers to train on within {max_tokens:,} tokens {good:,} "
            "are rated up: both kinds are needed.",
            fix="Give more rated answers: a tenth is held out, and of equal answers to a question "
            "that were rated up and down both are left out.",
        )


def _of_another_prompt(examples: Sequence[RatedExample], place: int) -> str:
    """Return the next answer to another prompt, the own one where there is none."""
    asked = user_turns(examples[place])
    count = len(examples)
    rest = (examples[(place + step) % count] for step in range(1, count))
    others = (each.answer for each in rest if user_turns(each) != asked)
    return next(others, examples[place].answer)


def fit_ratings(
    opened: OpenModel,
    examples: Sequence[RatedExample],
    run: RunFolder,
    config: PreferenceConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
    limit: TimeLimit | None = None,
) -> ChatResults:
    """Train on the answers that are not held out. Raises DataError, ModelError, ConfigError, and
    what `train_chat` raises.
    """
    if config.loss not in (None, KTO):
        raise ConfigError(
            f"loss {config.loss!r} compares two answers, and the data has single ones with ratings.",
            fix=f"Leave it out: the loss of rated answers is {KTO!r}.",
        )
    rate = config.learning_rate or LEARNING_RATES[config.train]
    config = dataclasses.replace(config, loss=KTO, learning_rate=rate)
    progress = progress or Silent()

    def make(rows: Sequence[RatedExample], config: PreferenceConfig) -> RatingTraining:
        return RatingTraining(opened, rows, config, compute, progress)

    job = ChatJob(opened, examples, config, make)
    return train_chat(job, run, compute=compute, progress=progress, card=card, limit=limit)


class RatingTraining:
    """Training on rated answers; a `ChatMethod`."""

    def __init__(
        self,
        opened: OpenModel,
        examples: Sequence[RatedExample],
        config: PreferenceConfig,
        compute: Compute,
        progress: Progress,
    ) -> None:
        """Raises DataError, ModelError."""
        self.model, tokenizer = language_model(opened)
        limit = config.limit(opened.config.context_tokens)
        self.config, self._compute, self._progress = config, compute, progress
        self.data = prepare_ratings(examples, tokenizer, max_tokens=limit, seed=config.seed)
        self.batches = self._in_batches(self.data.train)
        self._held_out: Sequence[Rated] = self.data.held_out

    def _in_batches(self, rated: Sequence[Rated]) -> RatingBatches:
        given = self.config
        return RatingBatches(rated, beta=given.beta, batch_size=given.batch_size, seed=given.seed)

    def _logprobs(self, rated: Sequence[Rated], what: str) -> list[tuple[float, float]]:
        return logprobs(
            self.model,
            [each.texts for each in rated],
            self.config,
            compute=self._compute,
            progress=self._progress,
            what=what,
        )

    def begin(self, model: LanguageModel) -> None:
        train, held_out = (
            _referred(rated, self._logprobs(rated, "reference"))
            for rated in (self.data.train, self.data.held_out)
        )
        self.batches, self._held_out = self._in_batches(train), held_out

    def to_read(self, count: int) -> Sequence[ChatExample]:
        """Return the prompts of disliked answers, with those."""
        asked = [
            ConversationExample((*each.prompt, Message("assistant", each.answer)), each.id)
            for each in self.data.aside
            if not each.is_good
        ]
        return evenly(asked, count)

    def evaluations(self, steps: int) -> int:
        return EVALUATIONS

    def evaluate(self) -> dict[str, float]:
        sums = self._logprobs(self._held_out, "held-out answers")
        return rating_figures(self._held_out, sums, self.config.beta)

    def complete(self, results: ChatResults, figures: dict[str, float]) -> ChatResults:
        return dataclasses.replace(
            with_accuracy(results, figures["accuracy"], len(self._held_out)),
            beta=self.config.beta,
            gains={kind: figures[name] for kind, name in GAINS.items() if name in figures},
        )

    def describe(self, results: ChatResults) -> str:
        return f"held-out answers that moved to the right side: {results.accuracy_line}"

    def card_figures(self, results: ChatResults) -> dict[str, str]:
        name = f"of {len(self._held_out)} held-out answers, liked ones that gained and others that lost"
        return {name: str(results.accuracy_line)}


def _referred(rated: Sequence[Rated], sums: Sums) -> list[Rated]:
    texts = with_reference([each.texts for each in rated], sums)
    return [dataclasses.replace(each, texts=pair) for each, pair in zip(rated, texts, strict=True)]


def rating_figures(rated: Sequence[Rated], sums: Sums, beta: float) -> dict[str, float]:
    """Loss; the share of answers that gained where they are good and lost where they are bad; mean
    gain of each kind that there is.
    """
    moved = [
        (own - each.texts.reference[0], other - each.texts.reference[1])
        for each, (own, other) in zip(rated, sums, strict=True)
    ]
    drift = max(0.0, math.fsum(other for _, other in moved) / len(moved))
    gains = [beta * (own - drift) for own, _ in moved]
    rights = [each.sign * gain for each, gain in zip(rated, gains, strict=True)]
    losses = [
        each.weight / (1 + math.exp(right)) for each, right in zip(rated, rights, strict=True)
    ]
    by_kind = {
        kind: [
            gain
            for each, gain in zip(rated, gains, strict=True)
            if each.is_good is (kind == "good")
        ]
        for kind in GAINS
    }
    return {
        "held_out_loss": math.fsum(losses) / len(losses),
        "accuracy": sum(right > 0 for right in rights) / len(rights),
        **{GAINS[kind]: math.fsum(found) / len(found) for kind, found in by_kind.items() if found},
    }
