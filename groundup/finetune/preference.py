"""Preference tuning (DPO, Rafailov et al. 2023): of two answers to a prompt the chosen one becomes
more probable than the rejected one, measured from the base model, whose log-probabilities are
computed before the first step, so that no second model is in memory. The chosen answers are also
learned as in instruction tuning (Pang et al. 2024, arXiv:2404.19733), which holds them up: DPO
alone is content where they lose less than the rejected ones.

A pair's margin is how much more its chosen answer gained than its rejected one, times beta: the
difference of DPO's rewards, which is 0 before the first step. `prefers` asks without a reference:
which answer has the higher log-probability per token?
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.data.documents import ChatExample, ConversationExample, PreferenceExample
from groundup.data.reading.example_splits import hold_out
from groundup.device import Compute
from groundup.errors import DataError
from groundup.evaluate.metrics import wilson_interval
from groundup.evaluate.paired import ratio_difference, share_difference
from groundup.evaluate.task import as_measure, describe, language_model
from groundup.evaluate.tasks.answers import evenly
from groundup.files import sha256_text
from groundup.finetune.chat_training import ChatJob, ChatResults, JsonObject, train_chat
from groundup.finetune.config import PreferenceConfig
from groundup.finetune.instruction_data import ChatData, padded, render_to_learn
from groundup.finetune.order import EpochBatches, Lengths
from groundup.finetune.time_limit import TimeLimit
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Conversation, Message, Rendered
from groundup.tokenizer.fast import Tokenizer
from groundup.train.steps.losses import answer_logprobs
from groundup.train.steps.precision import open_kinds
from groundup.train.steps.step import autocast
from groundup.weights.model_io import ModelCard, OpenModel


@dataclass(frozen=True)
class PreferenceBatch:
    ids: Tensor  # [B, 2, T]
    labels: Tensor  # [B, 2, T]
    reference: Tensor  # [B, 2]
    """The log-probabilities of the answers in the base model."""
    beta: float
    sft_weight: float


@dataclass(frozen=True)
class Pair:
    """A pair, rendered and cut."""

    chosen: Rendered
    rejected: Rendered
    reference: tuple[float, float] = (0.0, 0.0)
    """The log-probabilities of both in the base model."""

    @property
    def num_tokens(self) -> int:
        return len(self.chosen.ids) + len(self.rejected.ids)


class PreferenceBatches(EpochBatches):
    def __init__(self, pairs: Sequence[Pair], config: PreferenceConfig) -> None:
        lengths = [pair.num_tokens for pair in pairs]
        super().__init__(lengths, batch_size=config.batch_size, seed=config.seed)
        self._pairs, self._config = pairs, config
        ids = [
            (pair.chosen.ids, pair.chosen.mask, pair.rejected.ids, pair.rejected.mask)
            for pair in pairs
        ]
        self.fingerprint = sha256_text(f"{ids} {config.beta} {config.batch_size} {config.seed}")

    def batch(self, position: int) -> PreferenceBatch:
        pairs = [self._pairs[i] for i in self.indices(position)]
        return as_batch(pairs, self._config.beta, self._config.sft_weight)


def as_batch(pairs: Sequence[Pair], beta: float, sft_weight: float = 0.0) -> PreferenceBatch:
    ids, labels = padded([text for pair in pairs for text in (pair.chosen, pair.rejected)])
    reference = torch.tensor([pair.reference for pair in pairs], dtype=torch.float32)
    ids, labels = ids.unflatten(0, (-1, 2)), labels.unflatten(0, (-1, 2))
    return PreferenceBatch(ids, labels, reference, beta, sft_weight)


@dataclass(frozen=True)
class PreferenceData(ChatData):
    """Pairs to train on, and held-out ones."""

    aside: tuple[PreferenceExample, ...]
    """The examples of the held-out pairs."""

    def report(self, progress: Progress, what: str = "pairs") -> None:
        """Say also how many pairs were left out."""
        super().report(progress, what)
        if self.left_out:
            progress.say(f"{self.left_out:,} pairs left out that are the same within the limit.")


def prepare_pairs(
    examples: Sequence[PreferenceExample], tokenizer: Tokenizer, *, max_tokens: int, seed: int
) -> PreferenceData:
    """Make distinct, separate the held-out pairs, render, truncate.

    Raises DataError for equal answers, and where nothing is left.
    """
    for example in examples:
        if example.chosen.strip() == example.rejected.strip():
            raise DataError(
                f"The pair {example.id!r} has the same answer as chosen and as rejected: nothing "
                "can be learned from it.",
                fix="Remove it, or give two answers.",
            )
    sides = hold_out(examples, seed)
    whole = {
        id(example): _rendered(example, tokenizer) for example in (*sides.train, *sides.held_out)
    }
    texts = [text for example in sides.train for text in whole[id(example)]]
    lengths = Lengths.of_answers(texts, max_tokens)
    lengths.require_whole_answer()
    train, held_out = (
        [(example, pair) for example in side if (pair := _cut(whole[id(example)], max_tokens))]
        for side in (sides.train, sides.held_out)
    )
    if not train or not held_out:
        raise DataError(
            f"No pair of answers differs within {max_tokens} tokens: nothing is left to learn, or "
            "to measure on.",
            fix="Give shorter prompts, or raise max_tokens.",
        )
    learned, pairs = zip(*train, strict=True)
    aside, others = zip(*held_out, strict=True)
    left_out = len(whole) - len(train) - len(held_out)
    return PreferenceData(pairs, others, learned, sides.repeats, left_out, lengths, aside)


def _rendered(example: PreferenceExample, tokenizer: Tokenizer) -> tuple[Rendered, Rendered]:
    return (
        render_answer(example.prompt, example.chosen, tokenizer),
        render_answer(example.prompt, example.rejected, tokenizer),
    )


def render_answer(prompt: Sequence[Message], answer: str, tokenizer: Tokenizer) -> Rendered:
    """The loss counts in the last answer alone."""
    talk = Conversation((*prompt, Message("assistant", answer)))
    rendered = render_to_learn(talk, tokenizer)
    start = rendered.turns[-1].start if rendered.turns else len(rendered.ids)
    return dataclasses.replace(
        rendered, mask=[counts and place >= start for place, counts in enumerate(rendered.mask)]
    )


def _cut(texts: tuple[Rendered, Rendered], max_tokens: int) -> Pair | None:
    """None: the answers are the same within the limit, or one has nothing to learn."""
    chosen, rejected = (text.cut(max_tokens) for text in texts)
    differs = chosen.ids != rejected.ids and any(chosen.mask[1:]) and any(rejected.mask[1:])
    return Pair(chosen, rejected) if differs else None


def with_reference(pairs: Sequence[Pair], sums: Sequence[tuple[float, float]]) -> list[Pair]:
    """Return the pairs with the base model's log-probabilities."""
    return [
        dataclasses.replace(pair, reference=each) for pair, each in zip(pairs, sums, strict=True)
    ]


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
    limit: TimeLimit | None = None,
) -> ChatResults:
    """Train on the pairs that are not held out. Raises DataError, ModelError, ConfigError, and what
    `train_chat` raises.
    """
    progress = progress or Silent()

    def make(rows: Sequence[PreferenceExample], config: PreferenceConfig) -> PairTraining:
        return PairTraining(opened, rows, config, compute, progress)

    job = ChatJob(opened, examples, config, make)
    return train_chat(job, run, compute=compute, progress=progress, card=card, limit=limit)


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
        return PreferenceBatches(pairs, self.config)

    def _logprobs(self, pairs: Sequence[Pair], what: str) -> list[tuple[float, float]]:
        return logprobs(
            self.model,
            pairs,
            self.config,
            compute=self._compute,
            progress=self._progress,
            what=what,
        )

    def begin(self, model: LanguageModel) -> None:
        train, held_out = (
            with_reference(pairs, self._logprobs(pairs, "reference"))
            for pairs in (self.data.train, self.data.held_out)
        )
        self.batches, self._held_out = self._in_batches(train), held_out

    def to_read(self, count: int) -> Sequence[ChatExample]:
        asked = [
            ConversationExample((*each.prompt, Message("assistant", each.chosen)), each.id)
            for each in self.data.aside
        ]
        return evenly(asked, count)

    def evaluations(self, steps: int) -> int:
        return EVALUATIONS

    def evaluate(self) -> dict[str, float]:
        sums = self._logprobs(self._held_out, "held-out pairs")
        return held_out_figures(self._held_out, sums, self.config)

    def complete(self, results: ChatResults, figures: dict[str, float]) -> ChatResults:
        beta = self.config.beta
        references = [pair.reference for pair in self._held_out]
        sums = self._logprobs(self._held_out, "held-out pairs")
        compared, prefers, shown = compare_pairs(self._held_out, self.data.aside, sums, beta)
        return dataclasses.replace(
            with_accuracy(results, figures["accuracy"], len(self._held_out)),
            margin=figures["margin"],
            moved_nats={side: figures[f"{side}_nats"] for side in ("chosen", "rejected")},
            chosen_loss={
                "before": chosen_loss(self._held_out, references),
                "after": figures["chosen_loss"],
            },
            beta=beta,
            margins=compared,
            prefers=prefers,
            pairs=shown,
        )

    def describe(self, results: ChatResults) -> str:
        return f"held-out pairs whose chosen answer gained more: {results.accuracy_line}"

    def card_figures(self, results: ChatResults) -> dict[str, str]:
        name = f"chosen answers that gained more, of {len(self._held_out)} held-out pairs"
        return {name: str(results.accuracy_line)}


def with_accuracy(results: ChatResults, share: float, n: int) -> ChatResults:
    """Return the results with the share of `n` held-out answers on the right side; chance is half."""
    accuracy = as_measure("accuracy", wilson_interval(round(share * n), n), n, chance=0.5)
    return dataclasses.replace(results, accuracy=accuracy.plain(), accuracy_line=describe(accuracy))


@torch.no_grad()
def logprobs(
    model: LanguageModel,
    pairs: Sequence[Pair],
    config: PreferenceConfig,
    *,
    compute: Compute,
    progress: Progress,
    what: str,
) -> list[tuple[float, float]]:
    """In bf16 where steps of this config may be: half the time, and a margin of two answers is off by
    some 0.3 nats, which times beta is a hundredth of what one gains (docs/log.md, 2026-12-02).
    """
    bf16 = open_kinds(config.precision, model.config.width, compute=compute)[-1]
    found: list[tuple[float, float]] = [(0.0, 0.0)] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda place: pairs[place].num_tokens)
    with progress.track(what, len(pairs), "pairs") as advance:
        for start in range(0, len(pairs), config.batch_size):
            places = order[start : start + config.batch_size]
            batch = as_batch([pairs[place] for place in places], 0.0)
            ids, labels = (
                part.flatten(0, 1).to(compute.device) for part in (batch.ids, batch.labels)
            )
            with autocast(compute.device, bf16):
                sums = answer_logprobs(model, ids, labels).view(-1, 2).tolist()
            for place, (chosen, rejected) in zip(places, sums, strict=True):
                found[place] = chosen, rejected
            advance(len(places))
    return found


def margins(pairs: Sequence[Pair], sums: Sums, beta: float) -> list[float]:
    return [
        beta * ((chosen - pair.reference[0]) - (rejected - pair.reference[1]))
        for pair, (chosen, rejected) in zip(pairs, sums, strict=True)
    ]


def held_out_figures(
    pairs: Sequence[Pair], sums: Sums, config: PreferenceConfig
) -> dict[str, float]:
    """Loss, accuracy and mean margin of the rewards; the chosen answers' nats per token; the share
    whose chosen answer is the more probable per token; the mean change of both answers'
    log-probabilities, in nats.
    """
    found = margins(pairs, sums, config.beta)
    # -log sigmoid(margin)
    losses = [max(-margin, 0.0) + math.log1p(math.exp(-abs(margin))) for margin in found]
    sft = chosen_loss(pairs, sums)
    moved = {
        side: [now[place] - pair.reference[place] for pair, now in zip(pairs, sums, strict=True)]
        for place, side in enumerate(("chosen", "rejected"))
    }
    return {
        "held_out_loss": math.fsum(losses) / len(losses) + config.sft_weight * sft,
        "chosen_loss": sft,
        "accuracy": sum(margin > 0 for margin in found) / len(found),
        "margin": math.fsum(found) / len(found),
        "prefers": sum(lead > 0 for lead in leads(pairs, sums)) / len(pairs),
        **{f"{side}_nats": math.fsum(changes) / len(pairs) for side, changes in moved.items()},
    }


def chosen_loss(pairs: Sequence[Pair], sums: Sums) -> float:
    """Nats a token of the chosen answers, in the mean over answers."""
    losses = [
        -chosen / sum(pair.chosen.mask[1:]) for pair, (chosen, _) in zip(pairs, sums, strict=True)
    ]
    return math.fsum(losses) / len(losses)


def leads(pairs: Sequence[Pair], sums: Sums) -> list[float]:
    """How much more probable the chosen answer is, in nats per token."""
    counts = [(sum(pair.chosen.mask[1:]), sum(pair.rejected.mask[1:])) for pair in pairs]
    return [a / n - b / m for (a, b), (n, m) in zip(sums, counts, strict=True)]


def compare_pairs(
    pairs: Sequence[Pair], examples: Sequence[PreferenceExample], sums: Sums, beta: float
) -> tuple[JsonObject, JsonObject, list[JsonObject]]:
    """Return the margins, how many prefer the chosen answer, and some pairs to be read."""
    found = margins(pairs, sums, beta)
    before, after = leads(pairs, [pair.reference for pair in pairs]), leads(pairs, sums)
    prefer_before, prefer_after = ([lead > 0 for lead in side] for side in (before, after))
    margin = ratio_difference([0.0] * len(found), found, [1.0] * len(found))
    prefers = {
        "before": sum(prefer_before) / len(pairs),
        "after": sum(prefer_after) / len(pairs),
        "difference": share_difference(prefer_before, prefer_after).plain(),
    }
    shown: list[JsonObject] = [
        {
            **_as_text(examples[place]),
            "margin": found[place],
            "before": before[place],
            "after": after[place],
        }
        for place in _to_read(found)
    ]
    return {"before": 0.0, "after": margin.value, "difference": margin.plain()}, prefers, shown


def _to_read(found: Sequence[float]) -> list[int]:
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
