"""Rollouts: answers that the model in training samples itself, as batches of `fit()`.

    position -> prompts of the round -> groups of answers by the `BatchEngine` -> rewards
        -> advantages -> `RolloutBatch`

Strictly on-policy: each round's answers are sampled by the weights that they update, once, at
temperature 1 and from all tokens, so no importance weight is needed. (Several updates a round would
save sampling and need them; here a round's sampling takes about as long as its update.) Where answers
are sampled in bf16 the two differ by rounding, which is not corrected.

A batch is a function of the weights and the position alone: a resumed run samples the same answers
again. The answers to one prompt are one packed row, which holds their prompt once:

    prompt a a a a b b b c c c c c       numbers in `documents`: -2 (SHARED), then one for each answer
"""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.data.batches.loader import IGNORED_LABEL
from groundup.device import Compute, generator, seed_for
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.errors import GroundupError
from groundup.files import sha256_text
from groundup.finetune.group_relative import advantages
from groundup.finetune.reward_config import RewardConfig
from groundup.finetune.reward_tasks import RewardItem
from groundup.model.heads import LanguageModel
from groundup.model.lora import copy_merged
from groundup.model.metadata import PADDING, SHARED
from groundup.progress import Advance, nothing
from groundup.threads import set_thread_count
from groundup.tokenizer.chat import Conversation, render
from groundup.tokenizer.fast import Tokenizer

# Only full pages of a prompt's keys and values are shared among its answers.
PAGE_TOKENS = 8
MAX_ROWS = 128


@dataclass(frozen=True)
class Rollout:
    """A sampled answer and what it is worth."""

    item: RewardItem
    ids: tuple[int, ...]
    """Those of the answer, the one that ends it included."""
    text: str
    ended: bool
    """Whether it ended by itself, and was not cut."""
    reward: float
    advantage: float = 0.0


@dataclass(frozen=True)
class RolloutBatch:
    """The groups of one round; a row is a prompt with all of its answers."""

    ids: Int[Tensor, "B T"]
    labels: Int[Tensor, "B T"]
    """The next ids in the answers."""
    documents: Int[Tensor, "B T"]
    advantages: Float[Tensor, "B T"]
    """Of the answer that a label is in."""
    answers: int
    beta: float
    figures: Mapping[str, float]
    """For the log: reward, answer_tokens, ended, informative (the share of groups whose answers
    differ in reward).
    """


class AnswerSampler:
    """Answers of a model in training, by its present weights.

    In bf16 they are sampled by a copy of the model without adapters, into which these are merged
    before each call: a step of 64 rows then takes half of the time.
    """

    def __init__(
        self, model: LanguageModel, tokenizer: Tokenizer, compute: Compute, config: RewardConfig
    ) -> None:
        """Call before the model gets its adapters."""
        self._model, self._tokenizer, self._config = model, tokenizer, config
        self.precision = config.sampling
        if config.sampling == "auto":
            self.precision = "bf16" if compute.has_bf16 else "float32"
        self._compute, self._copy = compute, None
        if self.precision == "bf16":
            self._compute = replace(compute, dtype=torch.bfloat16)
            self._copy = copy.deepcopy(model).to(torch.bfloat16).eval().requires_grad_(False)

    def prompt_ids(self, item: RewardItem) -> tuple[int, ...]:
        talk = Conversation(item.prompt)
        return tuple(render(talk, self._tokenizer, add_generation_prompt=True).ids)

    def greedy(self, items: Sequence[RewardItem], done: Advance = nothing) -> list[Rollout]:
        """The most probable answer to each prompt."""
        return self._write(items, lambda number: self._sampling(0.0), done)

    def groups(
        self, items: Sequence[RewardItem], count: int, purpose: str, done: Advance = nothing
    ) -> list[list[Rollout]]:
        """`count` answers to each prompt, drawn from the model's own distribution."""
        seed = seed_for(self._config.seed, purpose)
        asked = [item for item in items for _ in range(count)]
        found = self._write(asked, lambda number: self._sampling(1.0, seed + number), done)
        return [
            with_advantages(found[start : start + count], normalise=self._config.normalise)
            for start in range(0, len(found), count)
        ]

    def _sampling(self, temperature: float, seed: int | None = None) -> Sampling:
        tokens = self._config.answer_tokens
        return Sampling(temperature=temperature, seed=seed, max_tokens=tokens)

    def _write(
        self,
        items: Sequence[RewardItem],
        sampling: Callable[[int], Sampling],
        done: Advance,
    ) -> list[Rollout]:
        with self._current() as model:
            settings = BatchSettings(
                max_waiting=len(items), max_running=MAX_ROWS, page_tokens=PAGE_TOKENS
            )
            engine = BatchEngine(model, self._tokenizer, self._compute, settings)
            stops = self._tokenizer.special.stop_ids
            answers, texts = [], [""] * len(items)
            for number, item in enumerate(items):
                ids = self.prompt_ids(item)
                engine.submit(Request(str(number), ids, sampling(number), stops))
                answers.append(engine.outputs.running[str(number)].scheduled)
            ended = [False] * len(items)
            while engine.busy:
                for name, output in engine.step():
                    if isinstance(output, GroundupError):
                        raise output
                    texts[int(name)] += output.text
                    ended[int(name)] |= output.finish_reason == "stop"
                    done(int(output.finish_reason is not None))
        return [
            Rollout(
                item,
                tuple(answer.ids[answer.prompt_tokens :]),
                text.strip(),
                end,
                item.reward.of(text.strip(), item.row),
            )
            for item, answer, text, end in zip(items, answers, texts, ended, strict=True)
        ]

    @contextlib.contextmanager
    def _current(self) -> Iterator[LanguageModel]:
        """The model with its present weights, in evaluation mode; mode and threads are left as they
        were.
        """
        training, threads = self._model.training, torch.get_num_threads()
        self._model.eval()
        try:
            if self._copy is None:
                yield self._model
            else:
                copy_merged(self._model, self._copy)
                yield self._copy
        finally:
            self._model.train(training)
            if self._compute.thread_counts:
                set_thread_count(threads)


def with_advantages(group: Sequence[Rollout], *, normalise: bool) -> list[Rollout]:
    found = advantages([each.reward for each in group], normalise=normalise)
    return [replace(each, advantage=value) for each, value in zip(group, found, strict=True)]


class OnPolicyBatches:
    """The rounds of a run: a `BatchSource` that the model itself writes."""

    written_by_model = True

    def __init__(
        self, items: Sequence[RewardItem], sampler: AnswerSampler, config: RewardConfig, key: str
    ) -> None:
        """`key`: SHA-256 of the task."""
        self._items, self._sampler, self._config = items, sampler, config
        self.fingerprint = sha256_text(
            f"{key} {config.prompts} {config.group} {config.answer_tokens} {config.beta} "
            f"{config.normalise} {sampler.precision} {config.seed}"
        )
        self._last: tuple[int, RolloutBatch] | None = None

    def items_of(self, position: int) -> list[RewardItem]:
        """The prompts of a round; all come once before any comes again."""
        first = position * self._config.prompts
        return [self._item(first + number) for number in range(self._config.prompts)]

    def _item(self, number: int) -> RewardItem:
        epoch, place = divmod(number, len(self._items))
        random = generator(self._config.seed, f"order of epoch {epoch}")
        return self._items[int(torch.randperm(len(self._items), generator=random)[place])]

    def batch(self, position: int) -> RolloutBatch:
        """The round by the present weights: kept until the next is asked for, since the first is
        also what the speed is measured on.
        """
        if self._last is None or self._last[0] != position:
            groups = self._sampler.groups(
                self.items_of(position), self._config.group, f"answers of round {position}"
            )
            self._last = position, self._packed(groups)
        return self._last[1]

    def _packed(self, groups: Sequence[Sequence[Rollout]]) -> RolloutBatch:
        rows = [packed_row(self._sampler.prompt_ids(group[0].item), group) for group in groups]
        longest = max(len(row.ids) for row in rows)
        padded = [row.padded(longest) for row in rows]
        count = sum(map(len, groups))
        return RolloutBatch(
            torch.tensor([row.ids for row in padded]),
            torch.tensor([row.labels for row in padded]),
            torch.tensor([row.documents for row in padded]),
            torch.tensor([row.advantages for row in padded]),
            count,
            self._config.beta,
            round_figures(groups),
        )


def round_figures(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    answers = [each for group in groups for each in group]
    differing = [len({each.reward for each in group}) > 1 for group in groups]
    return {
        "reward": math.fsum(each.reward for each in answers) / len(answers),
        "answer_tokens": sum(len(each.ids) for each in answers) / len(answers),
        "ended": sum(each.ended for each in answers) / len(answers),
        "informative": sum(differing) / len(differing),
    }


@dataclass(frozen=True)
class PackedRow:
    """A prompt and its answers, token by token."""

    ids: list[int]
    labels: list[int]
    documents: list[int]
    advantages: list[float]

    def padded(self, length: int) -> "PackedRow":
        missing = length - len(self.ids)
        return PackedRow(
            self.ids + [0] * missing,
            self.labels + [IGNORED_LABEL] * missing,
            self.documents + [PADDING] * missing,
            self.advantages + [0.0] * missing,
        )


def packed_row(prompt: Sequence[int], group: Sequence[Rollout]) -> PackedRow:
    """The prompt without its last token, then for each answer that token and the answer without
    its last: each token is followed by its label.
    """
    *shared, last = prompt
    row = PackedRow(
        list(shared),
        [IGNORED_LABEL] * len(shared),
        [SHARED] * len(shared),
        [0.0] * len(shared),
    )
    for number, answer in enumerate(group):
        row.ids.extend([last, *answer.ids[:-1]])
        row.labels.extend(answer.ids)
        row.documents.extend([number] * len(answer.ids))
        row.advantages.extend([answer.advantage] * len(answer.ids))
    return row
