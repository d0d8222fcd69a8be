"""Tuning of a sentence encoder on one's own pairs of texts, or on documents.

    examples (`encoder_examples.py`) -> `EncoderBatches` -> fit() on LoRA adapters (or all weights)
        -> merged -> a whole folder that sentence-transformers opens, too

Before and after, each held-out question looks for its texts among all texts (of many, some are
drawn): recall@1 and the mean reciprocal rank. The step with the best reciprocal rank of the
validating questions is kept; the weights of the start, where no step is better or the held-out
questions find their texts clearly worse.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch

from groundup.config import build_config
from groundup.device import Compute, generator
from groundup.engine.engine import Engine
from groundup.engine.padded_batch import embed
from groundup.errors import ModelError
from groundup.evaluate.paired import difference_line, ratio_difference, share_difference
from groundup.finetune.config import EncoderConfig, training_fields
from groundup.finetune.encoder_examples import (
    MAX_CANDIDATES,
    EncoderExamples,
    PairedQuestion,
)
from groundup.finetune.encoder_tuning import (
    AskedText,
    EncoderBatches,
    TextsOfKind,
    contrastive_loss,
)
from groundup.finetune.order import Lengths
from groundup.finetune.time_limit import TimeLimit, TimePlan, Workload
from groundup.model.heads import Encoder
from groundup.model.lora import add_lora, merge_lora
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.time_budget import StepControl
from groundup.train.optimizers.adamw import AdamW
from groundup.train.run_lifecycle import begin_or_finished, load_best, with_figures, write_finished
from groundup.train.steps.config import FitConfig
from groundup.train.steps.precision import MEASURED_S, StepClock, measure_steps, open_kinds
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_io import ModelCard, OpenModel, save_model
from groundup.weights.sentence_folder import Prompts

JsonObject = dict[str, Any]
# The figure of which the lowest is the best: 1 - the mean reciprocal rank of validation.
MISSED = "validation_missed"
EVALUATIONS = 4
# Without so many steps there is no run.
FEWEST_STEPS = 4


@dataclass(frozen=True)
class EncoderResults:
    """What came of it."""

    recall: JsonObject
    """before, after: the share of held-out questions whose nearest text fits; the paired
    difference.
    """
    reciprocal_rank: JsonObject
    """before, after, difference: the mean of 1 / rank of the first text that fits."""
    questions: dict[str, int]
    """train, validation, held_out."""
    texts: int
    """Among which the held-out questions look."""
    lengths: JsonObject
    """Of the texts in tokens while training (`finetune.order`)."""
    prefixes: JsonObject
    """query, text: what stands before each."""
    pooling: str
    epochs: float
    steps: int
    best_step: int
    """0: the weights of the start are kept."""
    train: str
    precision: str
    elapsed_s: float

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "EncoderResults":
        """Raises ConfigError."""
        return build_config(cls, values)

    def plain(self) -> JsonObject:
        return dict(vars(self))

    @property
    def kept(self) -> bool:
        """Whether the weights are others than those of the start."""
        return self.best_step > 0

    @property
    def lines(self) -> list[str]:
        """The results as sentences."""
        n, found, rank = self.questions["held_out"], self.recall, self.reciprocal_rank
        change = rank["difference"]
        interval = ""
        if change["low"] is not None:
            interval = f" (95 % interval {change['low']:+.3f} to {change['high']:+.3f})"
        return [
            f"{self.questions['train']:,} pairs, {self.epochs:.3g} epochs, {self.steps:,} steps "
            f"({self.precision}), {self.elapsed_s:.0f} s",
            f"Of {n:,} held-out ones, each among {self.texts:,} texts:",
            f"  nearest text fits: {found['before']:.1%} before, {found['after']:.1%} after, "
            f"{difference_line(found['difference'])}",
            f"  mean reciprocal rank: {rank['before']:.3f} before, {rank['after']:.3f} after, "
            f"{change['value']:+.3f}{interval}",
            *self._kept_lines(),
        ]

    def _kept_lines(self) -> list[str]:
        if self.kept:
            return [f"The weights after step {self.best_step:,} of {self.steps:,} are kept."]
        return [
            "No step is better on the validating pairs, or the held-out ones became clearly worse: "
            "the encoder is kept as it was. More pairs, or a lower learning rate, may help."
        ]


@dataclass(frozen=True)
class RankedTexts:
    """Questions as ids, and the texts among which theirs are looked for."""

    questions: Sequence[list[int]]
    texts: Sequence[list[int]]
    is_answer: torch.Tensor  # [Q, N]

    @torch.inference_mode()
    def ranks(self, encoder: Encoder, compute: Compute) -> list[int]:
        """Of each question the place of the first text that fits, from 1; texts as near as it come
        before it.
        """
        training = encoder.training
        encoder.eval()
        asked = embed(encoder, self.questions, compute=compute)
        scores = asked @ embed(encoder, self.texts, compute=compute).T
        encoder.train(training)
        best = scores.masked_fill(~self.is_answer, -2.0).amax(1, keepdim=True)
        before = ((scores >= best) & ~self.is_answer).sum(1)
        return [1 + count for count in before.tolist()]


class EncoderTuning:
    """The examples as ids of a model."""

    def __init__(
        self,
        opened: OpenModel,
        examples: EncoderExamples,
        config: EncoderConfig,
        compute: Compute,
    ) -> None:
        self.opened, self.config, self.compute = opened, config, compute
        self.encoder = require_encoder(opened)
        if config.pooling:
            self.encoder.pooling = config.pooling
        self.prompts = prompts_of(opened, config)
        self._examples, self._sides = examples, examples.sides(config.seed)
        self._engine = Engine(opened, compute)
        self.limit = min(config.max_tokens, opened.config.context_tokens)
        self._texts = [
            [self._engine.embedding_ids(self.prompts.text + text) for text in kind.texts]
            for kind in examples.kinds
        ]
        self.batches = self._batches()

    def _ids(self, question: PairedQuestion) -> list[int]:
        return self._engine.embedding_ids(self.prompts.query + question.text)

    def _batches(self) -> EncoderBatches:
        """Of pairs without those texts that only questions ask for that are not trained on."""
        train, kinds = self._sides["train"], self._examples.kinds
        asked_for = [
            {i for each in self._examples.questions for i in each.answers[kind]}
            for kind in range(len(kinds))
        ]
        places: list[dict[int, int]] = []
        texts = []
        for number, kind in enumerate(kinds):
            own = {i for each in train for i in each.answers[number]}
            read = [
                i
                for i in range(len(kind.texts))
                if len(kinds) > 1 or i in own or i not in asked_for[number]
            ]
            places.append({i: place for place, i in enumerate(read)})
            rows = [self._engine.cut(self._texts[number][i], self.limit) for i in read]
            texts.append(TextsOfKind(rows, [kind.beside[i] for i in read], self.config.drawn))
        asked = [
            AskedText(
                self._engine.cut(self._ids(each), self.limit),
                0,
                tuple(
                    frozenset(places[kind][i] for i in found)
                    for kind, found in enumerate(each.answers)
                ),
            )
            for each in train
        ]
        return EncoderBatches(
            asked, [texts], batch_size=self.config.batch_size, seed=self.config.seed
        )

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(side) for name, side in self._sides.items()}

    @cached_property
    def lengths(self) -> Lengths:
        """Of all texts and the questions that train."""
        rows = [
            *(row for kind in self._texts for row in kind),
            *map(self._ids, self._sides["train"]),
        ]
        return Lengths.of_texts([len(row) for row in rows], self.limit)

    def measured(self, side: str) -> RankedTexts:
        """The questions of a side among the texts of the first kind, of MAX_CANDIDATES and more
        those that fit one and some that are drawn.
        """
        asked, texts = self._sides[side], self._texts[0]
        wanted = sorted({i for each in asked for i in each.answers[0]})
        others = sorted({*range(len(texts))} - {*wanted})
        room = max(0, MAX_CANDIDATES - len(wanted))
        drawn = random.Random(self.config.seed).sample(others, min(room, len(others)))
        chosen = [*wanted, *sorted(drawn)]
        context = self.opened.config.context_tokens
        return RankedTexts(
            [self._engine.cut(self._ids(each), context) for each in asked],
            [self._engine.cut(texts[i], context) for i in chosen],
            torch.tensor([[i in each.answers[0] for i in chosen] for each in asked]),
        )


def require_encoder(opened: OpenModel) -> Encoder:
    """Raises ModelError for another kind of model."""
    if not isinstance(opened.model, Encoder):
        what = f"{opened.path} is {KIND_NAMES[opened.kind]}; an encoder of sentences is tuned here."
        raise ModelError(what, fix="Use all-minilm-l6-v2, or the folder of an encoder.")
    return opened.model


def prompts_of(opened: OpenModel, config: EncoderConfig) -> Prompts:
    """What stands before texts: as the config says, else as the model's folder does."""
    found = opened.prompts
    if config.query_prefix is not None:
        found = replace(found, query=config.query_prefix)
    if config.text_prefix is not None:
        found = replace(found, text=config.text_prefix)
    return found


def fit_encoder(
    opened: OpenModel,
    examples: EncoderExamples,
    run: RunFolder,
    config: EncoderConfig,
    *,
    compute: Compute,
    progress: Progress,
    card: ModelCard | None = None,
    limit: TimeLimit | None = None,
) -> EncoderResults:
    """Tune, in the time that is left of `limit`, measure, save the whole encoder; returns the
    contents of results.json.

    A stopped run is resumed, a finished one only read. `opened` is changed: open the run folder for
    the result. Raises what `fit` raises, DataError for too few pairs, ModelError for another kind
    of model, ConfigError where there is no time for anything.
    """
    limit = limit or TimeLimit.of(config.budget)
    tuning = EncoderTuning(opened, examples, config, compute)
    encoder, batches = tuning.encoder, tuning.batches
    inputs = {
        "base": frozen_fingerprint(encoder.requires_grad_(False)),
        "examples": batches.fingerprint,
        "held_out": examples.fingerprint,
    }
    finished = begin_or_finished(run, "encoder", training_fields(config), inputs)
    if finished is not None:
        return EncoderResults.read(finished)
    counts, lengths = tuning.counts, tuning.lengths
    progress.say(
        f"{counts['train']:,} pairs train, {counts['validation']:,} validate, "
        f"{counts['held_out']:,} are held out."
    )
    progress.say(lengths.line())
    if limit is None:
        progress.say(batches.line(config.epochs, None))
    validation, held_out = tuning.measured("validation"), tuning.measured("held_out")
    start = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with limit.repeated() if limit else nullcontext():
        before = held_out.ranks(encoder, compute)
    fitted = _fit(tuning, validation, run, limit, progress)
    merge_lora(encoder)
    after, best = held_out.ranks(encoder, compute), fitted.state.best_step or 0
    if _rank_change(before, after)["verdict"] == "worse":
        best = 0
    if best == 0:
        encoder.load_state_dict(start)
        after = before
    results = _results(tuning, fitted, (before, after), best, len(held_out.texts))
    card = with_figures(card, _figures(results))
    save_model(encoder, run.path, opened.require_tokenizer(), card=card, prompts=tuning.prompts)
    write_finished(run, results.plain())
    return results


def _results(
    tuning: EncoderTuning,
    fitted: FitResult,
    ranks: tuple[Sequence[int], Sequence[int]],
    best: int,
    texts: int,
) -> EncoderResults:
    """`ranks`: of the held-out questions before and after; `best`: the step that is kept."""
    before, after = ranks
    config, batches = tuning.config, tuning.batches
    return EncoderResults(
        recall=_compared([rank == 1 for rank in before], [rank == 1 for rank in after]),
        reciprocal_rank={
            "before": _mean_reciprocal(before),
            "after": _mean_reciprocal(after),
            "difference": _rank_change(before, after),
        },
        questions=tuning.counts,
        texts=texts,
        lengths=asdict(tuning.lengths),
        prefixes=asdict(tuning.prompts),
        pooling=tuning.encoder.pooling,
        epochs=round(fitted.steps / batches.batches_per_epoch, 3),
        steps=fitted.steps,
        best_step=best,
        train=config.train,
        precision=fitted.precision,
        elapsed_s=round(fitted.state.elapsed_s, 1),
    )


def _fit(
    tuning: EncoderTuning,
    validation: RankedTexts,
    run: RunFolder,
    limit: TimeLimit | None,
    progress: Progress,
) -> FitResult:
    """Train, and load the best step's weights. Raises ConfigError, and what `fit` raises."""
    config, encoder, compute = tuning.config, tuning.encoder, tuning.compute
    encoder.requires_grad_(config.train == "all")
    if config.train == "lora":
        lora = generator(config.seed, "lora")
        add_lora(encoder, rank=config.rank, alpha=config.alpha, generator=lora)
    most = tuning.batches.steps(config.epochs, None)
    fit_config = FitConfig(
        most,
        batch_size=config.batch_size,
        precision=config.precision,
        compile="off",  # batches of many shapes
        evaluate_every=-(-most // EVALUATIONS),
        seed=config.seed,
        optimizer=AdamW(learning_rate=config.highest_rate, weight_decay=0.0),
    )

    def evaluate() -> dict[str, float]:
        ranks = validation.ranks(encoder, compute)
        nearest = sum(rank == 1 for rank in ranks) / len(ranks)
        return {MISSED: 1 - _mean_reciprocal(ranks), "validation_recall_at_1": nearest}

    control = StepControl()
    if limit is not None:
        plan = _plan(tuning, fit_config, evaluate, run, limit, progress)
        steps = tuning.batches.steps(plan.all_epochs, None)
        fit_config = replace(fit_config, steps=steps, evaluate_every=-(-steps // plan.evaluations))
        control = limit.control(most)
    encoder.train()
    fitted = fit(
        encoder,
        tuning.batches,
        contrastive_loss,
        fit_config,
        run,
        compute=compute,
        hooks=Hooks(evaluate, best_by=MISSED, progress=progress, control=control),
    )
    load_best(encoder, fitted, run, progress, "1 - the reciprocal rank of validation")
    encoder.eval()
    return fitted


def _plan(
    tuning: EncoderTuning,
    fit_config: FitConfig,
    evaluate: Callable[[], object],
    run: RunFolder,
    limit: TimeLimit,
    progress: Progress,
) -> TimePlan:
    """How many of the pairs there is time for. Raises ConfigError."""
    config, encoder, pairs = tuning.config, tuning.encoder, tuning.counts["train"]

    def example_s() -> float:
        batch = [tuning.batches.batch(0)]
        clock = StepClock(encoder, batch, contrastive_loss, fit_config, compute=tuning.compute)
        kinds = open_kinds(config.precision, encoder.config.width, compute=tuning.compute)
        step_s = min(measure_steps(clock, kinds, seconds=MEASURED_S, progress=progress).values())
        return step_s * tuning.batches.batches_per_epoch / pairs

    work = Workload(
        "pairs",
        pairs,
        config.epochs,
        fewest=FEWEST_STEPS * config.batch_size,
        evaluations=EVALUATIONS,
        evaluate=evaluate,
    )
    return limit.plan(run, work, example_s, progress)


def _mean_reciprocal(ranks: Sequence[int]) -> float:
    return sum(1 / rank for rank in ranks) / len(ranks)


def _rank_change(before: Sequence[int], after: Sequence[int]) -> JsonObject:
    first, second = ([1 / rank for rank in ranks] for ranks in (before, after))
    return ratio_difference(first, second, [1.0] * len(first)).plain()


def _compared(before: Sequence[bool], after: Sequence[bool]) -> JsonObject:
    return {
        "before": sum(before) / len(before),
        "after": sum(after) / len(after),
        "difference": share_difference(before, after).plain(),
    }


def _figures(results: EncoderResults) -> dict[str, str]:
    what = f"on {results.questions['held_out']:,} held-out pairs among {results.texts:,} texts"
    found, rank = results.recall, results.reciprocal_rank
    return {
        f"recall@1 before and after, {what}": f"{found['before']:.3f} -> {found['after']:.3f}",
        f"mean reciprocal rank, {what}": f"{rank['before']:.3f} -> {rank['after']:.3f}",
    }
