"""Instruction tuning: LoRA on all matrices of a language model's blocks (or all weights), trained
on answers only. The labels of the prompt are masked, which leaves the loss of the answer and its
end-of-turn token. The run itself is in `chat_training`.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from groundup.data.documents import ChatExample
from groundup.device import Compute
from groundup.evaluate.metrics import Interval
from groundup.evaluate.task import as_measure, describe, language_model
from groundup.evaluate.tasks.answers import AnswerLoss, evenly
from groundup.finetune.chat_training import (
    MEASURED_ROWS,
    ChatJob,
    ChatResults,
    tokens_per_s,
    train_chat,
)
from groundup.finetune.config import ChatConfig
from groundup.finetune.instruction_data import AnswerBatches, InstructionData, make_instruction_data
from groundup.finetune.replay import Replay, read_replay
from groundup.finetune.time_limit import TimeLimit
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.weights.model_io import ModelCard, OpenModel

# An evaluation reads all held-out examples, a third of a step's work for each token: at this
# distance it takes a quarter of the training, and so often it takes at most that.
EVALUATION_SHARE = 4 / 3
EVALUATE_EVERY_TOKENS, EVALUATIONS = 8_000, 8


def fit_chat(
    opened: OpenModel,
    examples: Sequence[ChatExample],
    run: RunFolder,
    config: ChatConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
    limit: TimeLimit | None = None,
) -> ChatResults:
    """Train on the examples that are not held out, in the time that is left of `limit`. Raises
    DataError, ModelError, ConfigError, and what `train_chat` raises.
    """
    progress = progress or Silent()

    def make(rows: Sequence[ChatExample], config: ChatConfig) -> AnswerTraining:
        return AnswerTraining.of(opened, rows, config, compute, progress)

    job = ChatJob(opened, examples, config, make)
    return train_chat(job, run, compute=compute, progress=progress, card=card, limit=limit)


@dataclass(frozen=True)
class AnswerTraining:
    """Training on the assistant's answers; a `ChatMethod`."""

    opened: OpenModel
    data: InstructionData
    batches: AnswerBatches
    config: ChatConfig
    compute: Compute
    progress: Progress
    replay: Replay

    @classmethod
    def of(
        cls,
        opened: OpenModel,
        examples: Sequence[ChatExample],
        config: ChatConfig,
        compute: Compute,
        progress: Progress,
    ) -> "AnswerTraining":
        """Raises DataError, ModelError."""
        _, tokenizer = language_model(opened)
        max_tokens = config.limit(opened.config.context_tokens)
        data = make_instruction_data(examples, tokenizer, max_tokens=max_tokens, seed=config.seed)
        tokens = sum(len(row.ids) for row in data.train)
        replay = read_replay(config, tokens, tokenizer, max_tokens, progress)
        rows = [*data.train, *replay.rows]
        batches = AnswerBatches(rows, batch_size=config.batch_size, seed=config.seed)
        return cls(opened, data, batches, config, compute, progress, replay)

    def begin(self, model: LanguageModel) -> None:
        """The loss needs nothing of the base model."""

    def to_read(self, count: int) -> Sequence[ChatExample]:
        return evenly(self.data.held_out, count)

    def evaluations(self, steps: int) -> int:
        held_out_tokens = (
            len(self.data.held_out) * self.batches.mean_tokens / self.config.batch_size
        )
        tokens = self.batches.mean_tokens * steps
        wanted = max(EVALUATIONS, tokens / EVALUATE_EVERY_TOKENS)
        return max(1, round(min(wanted, tokens / (EVALUATION_SHARE * held_out_tokens))))

    def evaluate(self) -> dict[str, float]:
        limit = self.config.limit(self.opened.config.context_tokens)
        task = AnswerLoss(self.data.held_out, max_tokens=limit)
        result = task.measure(self.opened, compute=self.compute, progress=self.progress)
        (found,) = result.measures
        bounds = {
            "held_out_low": found.low,
            "held_out_high": found.high,
            "held_out_answers": found.n,
        }
        known = {name: float(value) for name, value in bounds.items() if value is not None}
        return {"held_out_loss": found.value, **known}

    def complete(self, results: ChatResults, figures: dict[str, float]) -> ChatResults:
        low, high = figures.get("held_out_low"), figures.get("held_out_high")
        interval = Interval(figures["held_out_loss"], low, high)
        n = int(figures["held_out_answers"])
        after = as_measure("loss_nats", interval, n, better="lower")
        return dataclasses.replace(
            results,
            held_out=after.plain(),
            held_out_line=describe(after),
            supervised_share=self.data.supervised_share,
            mask=self.data.mask.plain(),
            replay=self.replay.plain() if self.replay.rows else None,
        )

    def describe(self, results: ChatResults) -> str:
        before, after = results.held_out_loss["before"], results.held_out_line or ""
        after = after.removeprefix("loss_nats ")
        return f"held-out answers, nats per token: {before:.3f} before, {after} after"

    def card_figures(self, results: ChatResults) -> dict[str, str]:
        assert results.held_out is not None
        loss, n = results.held_out_loss, results.held_out["n"]
        return {
            f"loss on {n} held-out answers before, nats per token": f"{loss['before']:.3f}",
            f"loss on {n} held-out answers after, nats per token": f"{loss['after']:.3f}",
            "tokens read": f"{results.tokens:,}",
        }


def measure_tokens_per_s(
    opened: OpenModel,
    examples: Sequence[ChatExample],
    config: ChatConfig,
    *,
    compute: Compute,
    progress: Progress,
) -> float:
    """Take real steps for a few seconds, in the precision that training would take; nothing is
    kept.
    """
    few = dataclasses.replace(config, batch_size=min(MEASURED_ROWS, config.batch_size))
    method = AnswerTraining.of(opened, examples, few, compute, progress)
    return tokens_per_s(method, opened, compute=compute, progress=progress)
