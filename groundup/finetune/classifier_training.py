"""The ways to train a classifier (`ClassifierConfig.train`): gradient descent on the head, the last
block, adapters or everything (`trainable_parts`), regressions on hidden states and letters
(`stacked`). Of several the validation messages choose one in `finetune.candidates`.

job = ClassifierJob(opened, messages, config, compute, progress)
job.learner(run).final(run) -> Learned
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from groundup.device import Compute, generator, shortest
from groundup.engine.engine import TEXTS_AT_ONCE, Engine
from groundup.engine.padded_batch import classifier_ids, classifier_windows
from groundup.errors import ModelError
from groundup.evaluate.metrics import Interval, wilson_interval
from groundup.files import sha256_text
from groundup.finetune.config import NO_ENCODER, ClassifierConfig
from groundup.finetune.features import Features, FrozenBlocks, Windows, keep_features
from groundup.finetune.further_trainings import RATES_FOLDER, choose_learning_rate
from groundup.finetune.messages import Messages
from groundup.finetune.order import Lengths, shortest_limit
from groundup.finetune.stacked import PooledBlocks, StackedTraining
from groundup.finetune.time_limit import TimeLimit
from groundup.finetune.trainable_parts import (
    ClassBatches,
    IdInputs,
    Inputs,
    LastBlock,
    ScoreHead,
    WholeModel,
    scores_of,
)
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.model.lora import add_lora
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import BEST_BY, Hooks
from groundup.train.optimizers.adamw import AdamW
from groundup.train.run_lifecycle import load_best
from groundup.train.steps.config import Checkpoints, FitConfig, TrainPrecision
from groundup.train.steps.losses import finetune_loss
from groundup.train.steps.precision import StepClock
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_io import OpenModel, find_model, open_model
from groundup.weights.stacked import Stacked

POSITION_TABLE = "position_embedding.weight"
# The weights of the transformer that learn, as a pattern of their names; adapters are merged into
# the blocks. Of others none.
LEARNS = {"last-block": r"blocks\.{last}\.|final_norm\.", "lora": r"blocks\.", "all": r""}
NONE_LEARNS = r"$."
# About a factor of 2.5 apart, around the usual rate.
LEARNING_RATES: dict[str, tuple[float, ...]] = {
    "head": (1e-3, 3e-3, 1e-2),
    "last-block": (2e-4, 5e-4, 1.2e-3),
    "lora": (2e-4, 5e-4, 1.2e-3),
    "all": (1e-5, 3e-5, 8e-5),
}
WINDOW_TOKENS = (64, 128, 256, 512)
LORA_RANK, LORA_ALPHA = 8, 16.0
# Seconds of steps that are timed before learning rates are tried in a given time, and the share of
# it that they may take.
RATE_CLOCK_S, RATES_SHARE = 0.5, 0.6


@dataclass(frozen=True)
class ClassifierJob:
    """What is learned from what."""

    opened: OpenModel
    messages: Messages
    config: ClassifierConfig
    compute: Compute
    progress: Progress
    limit: TimeLimit | None = None

    @cached_property
    def token_counts(self) -> list[int]:
        """Tokens of each message, whole."""
        tokenizer = self.opened.require_tokenizer()
        return [len(classifier_ids(tokenizer, example.text)) for example in self.messages.examples]

    @cached_property
    def max_tokens(self) -> int:
        """As configured, or from the training messages; at most the model's context."""
        limit = self.config.max_tokens
        if limit is None:
            train = self.messages.rows["train"]
            limit = shortest_limit(self.token_counts[train.start : train.stop], WINDOW_TOKENS)
        return min(limit, self.opened.config.context_tokens)

    @cached_property
    def lengths(self) -> Lengths:
        return Lengths.of_texts(self.token_counts, self.max_tokens, self.config.windows)

    @cached_property
    def texts(self) -> list[Windows]:
        """The windows of each message."""
        tokenizer, windows = self.opened.require_tokenizer(), self.config.windows
        return [
            classifier_windows(tokenizer, e.text, self.max_tokens, windows)
            for e in self.messages.examples
        ]

    def classifier(self) -> Classifier:
        return classifier_from(self.opened, self.messages.labels, self.config, self.max_tokens)

    def frozen(self, model: Classifier) -> FrozenBlocks | None:
        """Return the frozen blocks; None where every block learns."""
        layers = model.config.num_layers
        if self.config.train in ("stacked", "auto"):
            return PooledBlocks(model.transformer, layers, self.compute)
        trained = {"head": 0, "last-block": 1}.get(self.config.train)
        if trained is None:
            return None
        return FrozenBlocks(model.transformer, layers - trained, self.compute)

    def inputs(self) -> dict[str, str | dict[str, dict[str, int]]]:
        """What makes a run another one beside its config, for run.json."""
        model = self.classifier()
        frozen = self.frozen(model)
        if frozen is None:
            fingerprint = self.id_inputs(model).fingerprint
        else:
            fingerprint = frozen.fingerprint(self.texts)
        return {
            "features": fingerprint,
            "labels": sha256_text(repr(self.messages.classes)),
            "splits": self.messages.counts(),
        }

    def id_inputs(self, model: Classifier) -> IdInputs:
        return IdInputs(frozen_fingerprint(model.transformer), self.texts)

    def keep(self, frozen: Sequence[FrozenBlocks]) -> list[Features]:
        """Return the features of all messages, of each of `frozen`, in one reading."""
        return keep_features(
            frozen, self.texts, precision=self.config.precision, progress=self.progress
        )

    def vectors(self) -> tuple[Path | None, torch.Tensor | None]:
        """Return the encoder's folder and its vectors of all messages. Raises ModelError,
        NetworkError.
        """
        if self.config.encoder in ("", NO_ENCODER):
            return None, None
        folder = find_model(self.config.encoder, progress=self.progress)
        engine = Engine(open_model(folder, self.compute), self.compute)
        if engine.opened.kind != "encoder":
            what = f"{self.config.encoder} is {KIND_NAMES[engine.opened.kind]}, and no encoder."
            raise ModelError(what, fix="Use all-minilm-l6-v2.")
        texts, parts = [example.text for example in self.messages.examples], []
        with self.progress.track(f"vectors of {folder.name}", len(texts), "texts") as advance:
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                parts.append(engine.embed(texts[start : start + TEXTS_AT_ONCE]))
                advance(len(parts[-1]))
        return folder, torch.cat(parts)

    def learner(self, run: RunFolder, features: Features | None = None) -> "Learner":
        """Return what `train` asks for, its learning rate chosen. `features`: those of `frozen`, where
        they are read already.
        """
        config = self.config
        model = self.classifier()
        frozen = self.frozen(model)
        if frozen is not None and features is None:
            [features] = self.keep([frozen])
        if isinstance(frozen, PooledBlocks):
            assert features is not None
            encoder, vectors = self.vectors()
            training = StackedTraining(
                self.messages, features, frozen.blocks, self.weights, encoder, vectors
            )
            return Stacking(model, training)
        inputs: Inputs = self.id_inputs(model) if features is None else features

        def try_rate(rate: float, folder: RunFolder) -> FitResult:
            return self.train(self.learning_part(self.classifier()), inputs, rate, folder)

        rate = config.learning_rate or self._only_rate(inputs, run)
        if rate:
            return _Descent(self, inputs, features, rate, [])
        tried = choose_learning_rate(try_rate, run, self.progress, LEARNING_RATES[config.train])
        return _Descent(self, inputs, features, tried[0]["learning_rate"], tried)

    def _only_rate(self, inputs: Inputs, run: RunFolder) -> float | None:
        """The usual learning rate, where there is no time to choose one; noted in the plan, so that
        a resumed run has it too.
        """
        limit, plan, rates = self.limit, run.read_plan(), LEARNING_RATES[self.config.train]
        if limit is None or plan is None:
            return None
        noted = plan["fit"].get("learning_rate")
        if noted or (run.path / RATES_FOLDER).exists():
            return noted
        batches, part = self.batches(inputs), self.learning_part(self.classifier())
        config = fit_config_of(batches, self.config, rates[1])
        loss = finetune_loss(self.messages.kind, self.config.loss)
        clock = StepClock(part, [batches.batch(0)], loss, config, compute=self.compute)
        bf16 = config.precision == "bf16"
        step_s = shortest({bf16: partial(clock.step_s, bf16=bf16)}, seconds=RATE_CLOCK_S)[bf16]
        needed_s = step_s * config.steps * (len(rates) + 1)
        if needed_s < RATES_SHARE * limit.left_s:
            return None
        self.progress.say(
            f"One learning rate, {rates[1]:g}: {len(rates)} to choose from would take about "
            f"{needed_s:.0f} s, and the budget of {limit.budget} leaves {limit.left_s:.0f} s."
        )
        fit_table = {**plan["fit"], "learning_rate": rates[1]}
        run.write_plan(plan["asked"], model=plan["model"], fit=fit_table, planned=plan["planned"])
        return rates[1]

    @property
    def weights(self) -> list[Any]:
        """The weight of each label in the loss."""
        return self.messages.class_weights(balanced=self.config.class_weights == "balanced")

    def plain_head(self, learned: "Learned", progress: Progress) -> Interval:
        """Return the test accuracy of what other programs read of a stacked classifier; of several
        labels, said from 0.5, the share of texts that are all right.
        """
        assert learned.head_scores is not None
        rows = self.messages.rows["test"]
        truth, scores = torch.tensor(self.messages.classes), learned.head_scores(rows)
        truth = truth[rows.start : rows.stop]
        if self.messages.several:
            right = int(((scores > 0) == (truth > 0)).all(dim=1).sum())
        else:
            right = int((scores.argmax(dim=1) == truth).sum())
        progress.say(
            f"Other programs read only the plain head: {100 * right / len(rows):.1f} % of the "
            "test messages are right with it."
        )
        return wilson_interval(right, len(rows))

    def learning_part(self, model: Classifier) -> nn.Module:
        """What is frozen in it requires no gradient."""
        if self.config.train == "last-block":
            return LastBlock(model).requires_grad_(True)
        if self.config.train == "lora":
            add_lora(
                model,
                rank=LORA_RANK,
                alpha=LORA_ALPHA,
                generator=generator(self.config.seed, "lora"),
            )
        if self.config.train == "all":
            model.requires_grad_(True)
        model.score.requires_grad_(True)
        return ScoreHead(model) if self.config.train == "head" else WholeModel(model)

    def batches(self, prepared: Inputs, rows: Sequence[int] | None = None) -> ClassBatches:
        """Of some rows; None: of all training messages."""
        return ClassBatches(
            prepared,
            self.messages.classes,
            self.messages.rows["train"] if rows is None else rows,
            weights=self.weights,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
        )

    def train(
        self,
        part: nn.Module,
        prepared: Inputs,
        rate: float,
        folder: RunFolder,
        rows: Sequence[int] | None = None,
    ) -> FitResult:
        """`rows`: None is all training messages; the test messages are not read."""
        batches = self.batches(prepared, rows)
        hooks = Hooks(
            lambda: self.validate(part, prepared), first_may_be_best=False, progress=self.progress
        )
        loss = finetune_loss(self.messages.kind, self.config.loss)
        return fit(
            part,
            batches,
            loss,
            fit_config_of(batches, self.config, rate),
            folder,
            compute=self.compute,
            hooks=hooks,
        )

    def validate(self, part: nn.Module, prepared: Inputs) -> dict[str, float]:
        rows = self.messages.rows["validation"]
        return self.messages.figures(scores_of(part, prepared, rows, device=self.compute.device))


Scorer = Callable[[Sequence[int]], torch.Tensor]
"""Of some rows of the messages to their scores [rows, N]."""


@dataclass(frozen=True)
class Learned:
    model: Classifier
    scores: Scorer
    figures: Mapping[str, Any]
    """Fields of `ClassifierResults`: what was trained and chosen."""
    stacked: Stacked | None = None
    head_scores: Scorer | None = None
    """Of a stacked one: the scores of its plain head, which other programs read."""


class Learner(Protocol):
    """A way to train, on cached features where there are any."""

    def trained_on(self, rows: Sequence[int], folder: RunFolder) -> Scorer:
        """Train on some rows, in a folder of its own."""

    def final(self, run: RunFolder) -> Learned:
        """Train on all training messages."""


@dataclass(frozen=True)
class _Descent:
    """Gradient descent at the chosen learning rate."""

    job: ClassifierJob
    inputs: Inputs
    features: Features | None
    rate: float
    tried: list[dict[str, Any]]

    def trained_on(self, rows: Sequence[int], folder: RunFolder) -> Scorer:
        part = self.job.learning_part(self.job.classifier())
        load_best(
            part, self.job.train(part, self.inputs, self.rate, folder, rows), folder, Silent()
        )
        return self.scorer(part)

    def scorer(self, part: nn.Module) -> Scorer:
        """Return what scores rows."""
        part.eval()
        return lambda rows: scores_of(part, self.inputs, rows, device=self.job.compute.device)

    def final(self, run: RunFolder) -> Learned:
        """Train on all training messages; adapters are merged last."""
        job, model = self.job, self.job.classifier()
        part = job.learning_part(model)
        fitted = job.train(part, self.inputs, self.rate, run)
        load_best(part, fitted, run, job.progress)
        warn_of_no_gain(fitted, run, job.progress)
        figures = {
            "features": self.features.plain() if self.features else None,
            "trained": job.config.train,
            "trained_parameters": sum(
                each.numel() for each in part.parameters() if each.requires_grad
            ),
            "steps": fitted.steps,
            "best_step": fitted.state.best_step,
            "epochs": job.config.epochs,
            "learning_rate": self.rate,
            "learning_rates": self.tried,
        }
        return Learned(model, self.scorer(part), figures)


def warn_of_no_gain(fitted: FitResult, run: RunFolder, progress: Progress) -> None:
    state, lines = fitted.state, read_lines(run.metrics_file)
    before = next(
        (line[BEST_BY] for line in lines if line.get("event") == "evaluation" and BEST_BY in line),
        None,
    )
    if before is not None and state.best_loss is not None and state.best_loss >= before:
        progress.say(
            "No epoch has a lower loss on the validation messages than the untrained classifier "
            f"({before:.3f}), as where their labels have other shares than in training: the best "
            f"epoch is kept, which ended after step {state.best_step} ({state.best_loss:.3f})."
        )


@dataclass(frozen=True)
class Stacking:
    """Regressions on hidden states and letters, solved to their optimum."""

    model: Classifier
    training: StackedTraining

    def trained_on(self, rows: Sequence[int], folder: RunFolder) -> Scorer:
        """Train on some rows; nothing is written."""
        return partial(self.training.scores, self.training.fit(rows).stacked)

    def final(self, run: RunFolder) -> Learned:
        found = self.training.fit()
        self.model.score.weight.data = torch.from_numpy(found.head).to(self.model.score.weight)
        figures = {
            "features": self.training.features.plain(),
            "trained": "stacked",
            "trained_parameters": sum(
                tensor.numel() for tensor in found.stacked.tensors().values()
            ),
            "stacked": found.chosen,
        }
        by_head = partial(self.training.head_scores, found.head)
        return Learned(
            self.model,
            partial(self.training.scores, found.stacked),
            figures,
            found.stacked,
            by_head,
        )


def classifier_from(
    opened: OpenModel, labels: Sequence[str], config: ClassifierConfig, max_tokens: int
) -> Classifier:
    """All is frozen: what learns is copied, the rest shared, the score head initialised. Raises
    ModelError when it is no language model.
    """
    if not isinstance(opened.model, LanguageModel):
        what = (
            f"{opened.path} is {KIND_NAMES[opened.kind]}; a classifier is made of a language model."
        )
        raise ModelError(what, fix="Use a language model.")
    source = opened.model.transformer
    context_tokens = min(max_tokens, opened.config.context_tokens)
    with torch.device("meta"):
        model = Classifier(
            dataclasses.replace(opened.config, context_tokens=context_tokens), len(labels)
        )
    learns = LEARNS.get(config.train, NONE_LEARNS).format(last=opened.config.num_layers - 1)
    state = {
        name: t.detach().clone() if re.match(learns, name) else t.detach()
        for name, t in source.state_dict().items()
    }
    if POSITION_TABLE in state:
        state[POSITION_TABLE] = state[POSITION_TABLE][:context_tokens].clone()
    model.transformer.load_state_dict(state, assign=True)
    score = nn.Linear(opened.config.width, len(labels), bias=False)
    initialise(score, generator(config.seed, "score head"))
    model.score = score.to(source.embedding.weight)
    return model.requires_grad_(False).eval()


def fit_config_of(batches: ClassBatches, config: ClassifierConfig, rate: float) -> FitConfig:
    """An evaluation after every epoch; float32 on features, as bf16 gains nothing there."""
    precision: TrainPrecision = "float32"
    if config.train in ("lora", "all"):
        precision = config.precision
    return FitConfig(
        steps=config.epochs * batches.batches_per_epoch,
        batch_size=config.batch_size,
        precision=precision,
        compile="off",  # batches of many shapes
        evaluate_every=batches.batches_per_epoch,
        seed=config.seed,
        checkpoints=Checkpoints(every=batches.batches_per_epoch, keep=1),
        optimizer=AdamW(learning_rate=rate, weight_decay=config.weight_decay),
    )
