"""Learning from rewards that code can check, by group relative policy optimization (GRPO, Shao et
al. 2024, arXiv:2402.03300): of several answers to a prompt, those with more reward than the others
become more probable.

    task -> rounds of answers (`rollouts`) -> fit() on LoRA adapters -> folder

The model without its adapters is the reference that the KL divergence is measured from, so no second
one is in memory. Some prompts that are not trained on choose the weights that are kept; others are
answered before and after, greedily, which is the score. The folder holds the adapters as after
`finetune chat`; samples.jsonl has sampled answers with their rewards from every evaluation.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from groundup.config import build_config
from groundup.data.documents import ConversationExample
from groundup.data.preparation.trained_on import write_trained_on
from groundup.device import Compute, timed
from groundup.evaluate.comparison.forgetting import compare, forgetting_lines, measure, suites
from groundup.evaluate.metrics import ratio_interval, wilson_interval
from groundup.evaluate.paired import (
    describe_verdict,
    difference_line,
    ratio_difference,
    share_difference,
)
from groundup.evaluate.task import as_measure, describe, language_model
from groundup.evaluate.tasks.answers import numbers_in
from groundup.finetune.adapters import add_adapters, finish_chat
from groundup.finetune.chat_training import evaluation_after
from groundup.finetune.config import training_fields
from groundup.finetune.reward_config import RewardConfig
from groundup.finetune.reward_tasks import RewardItem, RewardTask, task_lines
from groundup.finetune.rollouts import AnswerSampler, OnPolicyBatches, Rollout, RolloutBatch
from groundup.finetune.time_limit import TimeLimit, TimePlan, Workload
from groundup.progress import Progress
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.chat import Message
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.time_budget import StepControl
from groundup.train.optimizers.adamw import AdamW
from groundup.train.run_lifecycle import begin_or_finished, load_best
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import finetune_loss
from groundup.train.steps.precision import MEASURED_S, StepClock, measure_steps, open_kinds
from groundup.weights.model_io import ModelCard, OpenModel

JsonObject = dict[str, Any]
KIND = "reward"
# The figure of which the lowest is the best: 1 - the mean reward of the validating prompts.
MISSED = "validation_missed"
EVALUATIONS = 10
# Without so many rounds there is no run.
FEWEST_ROUNDS = 4
# Of each evaluation, sampled answers that are kept to be read.
SHOWN_PROMPTS, SHOWN_ANSWERS = 3, 4
KEPT_ANSWERS = 24
# An answer that is said this many times as often as the commonest one is wanted is shown as suspect.
MORE_OFTEN = 1.2
# An answer with full reward and more tokens than this many medians is shown as suspect.
LONG = 3


@dataclass(frozen=True)
class RewardResults:
    """What came of it."""

    task: str
    score: JsonObject
    """before, after: mean reward of the held-out prompts with its interval and n; the paired
    difference.
    """
    validation: dict[str, float]
    """before, after: mean reward of the prompts that choose the weights."""
    items: dict[str, int]
    """train, validation, test."""
    rewards: dict[str, str]
    """Their names, and what earns each."""
    answer_tokens: dict[str, float]
    """before, after: of a held-out answer in the mean."""
    ended: dict[str, float]
    """before, after: the share of held-out answers that were not cut."""
    gamed: JsonObject
    """Signs that the reward was earned otherwise than meant (`signs_of_reward_hacking`)."""
    answers: list[JsonObject]
    """Of some held-out prompts: prompt, wanted, before, after, and what each earned."""
    rounds: JsonObject
    """prompts, group, answers (sampled in all), informative (the share of groups that differed in
    reward), kl (nats a token, of the last rounds).
    """
    steps: int
    best_step: int
    """After it the validating prompts earned most; 0: the weights of the start are kept."""
    lora: JsonObject
    """rank, alpha, parameters."""
    precision: str
    sampling: str
    """Precision of the weights that sampled, and answered the held-out prompts."""
    elapsed_s: float
    forgetting: JsonObject
    """General text before and after (`evaluate.comparison.forgetting`)."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "RewardResults":
        """Raises ConfigError."""
        return build_config(cls, values)

    def plain(self) -> JsonObject:
        return dict(vars(self))

    @property
    def lines(self) -> list[str]:
        """The results as sentences."""
        rounds, tokens = self.rounds, self.answer_tokens
        return [
            f"{self.steps:,} rounds of {rounds['prompts']} prompts with {rounds['group']} answers "
            f"each ({self.precision}, sampled in {self.sampling}), {self.elapsed_s:.0f} s",
            f"held-out prompts before: {self.score['before_line']}",
            f"held-out prompts after:  {self.score['after_line']}",
            f"  paired difference {self.score['difference_line']}",
            f"tokens of an answer: {tokens['before']:.1f} before, {tokens['after']:.1f} after; "
            f"KL to the start {rounds['kl']:.3f} nats a token; groups whose answers differed in "
            f"reward: {rounds['informative']:.0%}",
            *forgetting_lines(self.forgetting),
            *self.gamed["lines"],
            self._kept_line,
        ]

    @property
    def _kept_line(self) -> str:
        if self.best_step:
            return f"The weights after round {self.best_step:,} of {self.steps:,} are kept."
        return (
            "No evaluation earned more than the model did at first: it is kept as it was. A task of "
            "which it solves some answers, more rounds or larger groups may help."
        )


class RewardTraining:
    """A model, its task and what samples its answers."""

    def __init__(
        self, opened: OpenModel, task: RewardTask, config: RewardConfig, compute: Compute
    ) -> None:
        """Raises ModelError."""
        self.opened, self.task, self.config, self.compute = opened, task, config, compute
        self.model, tokenizer = language_model(opened)
        self.sampler = AnswerSampler(self.model, tokenizer, compute, config)
        self.batches = OnPolicyBatches(task.train, self.sampler, config, task.fingerprint)

    def answer(self, side: str, progress: Progress) -> list[Rollout]:
        items = self.task.side(side)
        with progress.track(f"{side} answers", len(items), "answers") as advance:
            return self.sampler.greedy(items, advance)

    def evaluate(self, progress: Progress) -> dict[str, float]:
        answers = self.answer("validation", progress)
        reward = mean_reward(answers)
        return {MISSED: 1 - reward, "validation_reward": reward}

    def sample(self, step: int) -> list[JsonObject]:
        """Answers to the first prompts of the coming round, as they would be sampled."""
        items = self.batches.items_of(step)[:SHOWN_PROMPTS]
        groups = self.sampler.groups(items, SHOWN_ANSWERS, f"answers to read {step}")
        return [
            {
                "prompt": each.item.text,
                "wanted": each.item.wanted,
                "text": each.text,
                "reward": each.reward,
                "advantage": round(each.advantage, 4),
            }
            for group in groups
            for each in group
        ]

    def fit_config(self, steps: int, evaluations: int) -> FitConfig:
        config = self.config
        return FitConfig(
            steps=steps,
            batch_size=config.prompts,
            precision=config.precision,
            compile="off",  # batches of many shapes
            evaluate_every=-(-steps // evaluations),
            seed=config.seed,
            optimizer=AdamW(learning_rate=config.learning_rate, weight_decay=0.0),
        )

    def hooks(self, control: StepControl, progress: Progress) -> Hooks:
        return Hooks(
            lambda: self.evaluate(progress),
            best_by=MISSED,
            sample=self.sample,
            progress=progress,
            control=control,
        )


def fit_reward(
    opened: OpenModel,
    task: RewardTask,
    run: RunFolder,
    config: RewardConfig,
    *,
    compute: Compute,
    progress: Progress,
    card: ModelCard | None = None,
    limit: TimeLimit | None = None,
) -> RewardResults:
    """Train in the time of `limit`, measure, save the adapters; returns what results.json holds.

    A stopped run is resumed, a finished one only read. `opened` is changed: open the run folder for
    the result. Raises what `fit` raises, DataError for general text that can't be read, ConfigError
    for a reward that fails, or where there is no time for anything.
    """
    limit, (model, _) = limit or TimeLimit.of(config.budget), language_model(opened)
    tasks = suites(config.general, progress)
    inputs = {
        "base": frozen_fingerprint(model.requires_grad_(False)),  # of all weights
        "task": task.fingerprint,
    }
    finished = begin_or_finished(run, KIND, training_fields(config), inputs)
    if finished is not None:
        return RewardResults.read(finished)
    training = RewardTraining(opened, task, config, compute)
    for line in task_lines(task):
        progress.say(line)
    general = partial(measure, tasks, opened, compute, progress)
    first = limit.compared(general, progress) if limit else general()
    with limit.repeated() if limit else nullcontext():
        before = training.answer("test", progress)
    _warn(before, progress)
    adapted = add_adapters(opened, config)
    fit_config, control = training.fit_config(config.steps, EVALUATIONS), StepControl()
    if limit is not None:
        plan = _plan(training, fit_config, run, limit, progress)
        fit_config = training.fit_config(plan.examples, plan.evaluations)
        control = limit.control(config.steps)
    fitted = fit(
        model,
        training.batches,
        finetune_loss(KIND, config.loss),
        fit_config,
        run,
        compute=compute,
        hooks=training.hooks(control, progress),
    )
    load_best(model, fitted, run, progress, "1 - the reward of validation")
    after = training.answer("test", progress)
    forgotten = compare(first, general() if first else {})
    results = _results(training, fitted, run, (before, after), forgotten)
    write_trained_on(run.path, list(map(_learned, task.train, count())), base=opened.path)
    figures = {
        f"{results.task}, {len(after)} held-out prompts {side}": results.score[f"{side}_line"]
        for side in ("before", "after")
    }
    finish_chat(run, opened, adapted, results.plain(), card, figures, merge=config.merge)
    return results


def _plan(
    training: RewardTraining,
    fit_config: FitConfig,
    run: RunFolder,
    limit: TimeLimit,
    progress: Progress,
) -> TimePlan:
    """How many rounds there is time for. Raises ConfigError."""
    config = training.config

    def round_s() -> float:
        batches: list[RolloutBatch] = []
        sampled_s = timed(lambda: batches.append(training.batches.batch(0)))
        loss, compute = finetune_loss(KIND, config.loss), training.compute
        clock = StepClock(training.model, batches, loss, fit_config, compute=compute)
        kinds = open_kinds(config.precision, training.model.config.width, compute=compute)
        taken = measure_steps(clock, kinds, seconds=MEASURED_S, progress=progress)
        return sampled_s + min(taken.values())

    work = Workload(
        "rounds",
        config.steps,
        1.0,
        fewest=FEWEST_ROUNDS,
        evaluations=EVALUATIONS,
        evaluate=lambda: training.evaluate(progress),
    )
    return limit.plan(run, work, round_s, progress)


def _warn(before: Sequence[Rollout], progress: Progress) -> None:
    """Say where nothing may be learned."""
    if not any(each.reward > 0 for each in before):
        progress.say(
            "No held-out prompt earns anything yet: a model learns from rewards only what it "
            "sometimes does already; else show it examples first (groundup finetune chat)."
        )


def _learned(item: RewardItem, number: int) -> ConversationExample:
    return ConversationExample((*item.prompt, Message("assistant", item.wanted)), str(number))


def mean_reward(answers: Sequence[Rollout]) -> float:
    return math.fsum(each.reward for each in answers) / len(answers)


def _results(
    training: RewardTraining,
    fitted: FitResult,
    run: RunFolder,
    answers: tuple[Sequence[Rollout], Sequence[Rollout]],
    forgotten: JsonObject,
) -> RewardResults:
    """`answers`: to the held-out prompts, before and after."""
    before, after = answers
    config, task, best = training.config, training.task, fitted.state.best_step or 0
    parameters = sum(each.numel() for each in training.model.parameters() if each.requires_grad)
    return RewardResults(
        task=task.name,
        score=compared(before, after),
        validation={
            side: evaluation_after(step, run)["validation_reward"]
            for side, step in (("before", 0), ("after", best))
        },
        items=task.counts,
        rewards=task.rules,
        answer_tokens=_sides(answers, lambda each: len(each.ids)),
        ended=_sides(answers, lambda each: each.ended),
        gamed=signs_of_reward_hacking(after),
        answers=shown_answers(before, after),
        rounds={
            "prompts": config.prompts,
            "group": config.group,
            "answers": fitted.steps * config.prompts * config.group,
            **_logged(run),
        },
        steps=fitted.steps,
        best_step=best,
        lora={"rank": config.rank, "alpha": config.alpha, "parameters": parameters},
        precision=fitted.precision,
        sampling=training.sampler.precision,
        elapsed_s=round(fitted.state.elapsed_s, 1),
        forgetting=forgotten,
    )


def _sides(
    answers: tuple[Sequence[Rollout], Sequence[Rollout]], figure: Callable[[Rollout], float]
) -> dict[str, float]:
    return {
        side: sum(map(figure, found)) / len(found)
        for side, found in zip(("before", "after"), answers, strict=True)
    }


def _logged(run: RunFolder) -> dict[str, float]:
    """Of all rounds, how many groups differed in reward; the divergence of the last tenth."""
    lines = [line for line in read_lines(run.metrics_file) if "kl" in line]
    last = lines[-max(1, len(lines) // 10) :]
    return {
        "informative": sum(line["informative"] for line in lines) / max(1, len(lines)),
        "kl": sum(line["kl"] for line in last) / max(1, len(last)),
    }


def compared(before: Sequence[Rollout], after: Sequence[Rollout]) -> JsonObject:
    """The score on both sides with its interval, and the paired difference: of shares where every
    reward is 0 or 1, else of means.
    """
    first, second = ([each.reward for each in side] for side in (before, after))
    is_share = {*first, *second} <= {0.0, 1.0}
    metric, n = "accuracy" if is_share else "reward", len(first)
    found: JsonObject = {}
    for side, rewards in (("before", first), ("after", second)):
        interval = ratio_interval(rewards, [1.0] * n)
        if is_share:
            interval = wilson_interval(round(sum(rewards)), n)
        scored = as_measure(metric, interval, n)
        found[side], found[f"{side}_line"] = scored.plain(), describe(scored)
    if is_share:
        change = share_difference([bool(each) for each in first], [bool(each) for each in second])
        found["difference_line"] = difference_line(change.plain())
    else:
        change = ratio_difference(first, second, [1.0] * n)
        bounds = ""
        if change.low is not None:
            bounds = f" (95 % interval {change.low:+.3f} to {change.high:+.3f})"
        said = describe_verdict(change.verdict())
        found["difference_line"] = f"{change.value:+.3f}{bounds}: {said}"
    return {"metric": metric, **found, "difference": change.plain()}


def signs_of_reward_hacking(answers: Sequence[Rollout]) -> JsonObject:
    """Where a reward may have been earned otherwise than was meant.

    commonest    the answer that is said most: to how many prompts, and how often it earned something
    several      answers that earned the whole reward by a number and name other numbers, too, that
                 do not stand in the prompt: guesses
    long         answers that earned it with more than LONG times the median's tokens
    """
    n = len(answers)
    said, count = Counter(each.text for each in answers).most_common(1)[0]
    wanted = Counter(each.item.wanted for each in answers)
    best = max(each.reward for each in answers)
    right = [each for each in answers if each.reward == best > 0]
    median = sorted(len(each.ids) for each in answers)[n // 2]
    several = [each for each in right if each.item.reward.name == "number" and _guesses(each)]
    long = [each for each in right if len(each.ids) > LONG * median]
    lines = []
    earned = sum(each.reward > 0 for each in answers if each.text == said)
    commonest = max((times for answer, times in wanted.items() if answer), default=0)
    if count > 1 and count > MORE_OFTEN * commonest:
        lines.append(
            f"One answer is said to {count} of {n} held-out prompts, and earns something for "
            f"{earned}: {said[:60]!r}."
        )
    if several:
        lines.append(f"{len(several)} of {len(right)} right answers name other numbers, too.")
    if long:
        lines.append(
            f"{len(long)} of {len(right)} right answers have more than {LONG} times the median's "
            f"{median} tokens."
        )
    return {
        "lines": lines,
        "commonest": {"answer": said, "said": count, "earned": earned, "n": n},
        "right": len(right),
        "several": [_shown(each) for each in several[:SHOWN_ANSWERS]],
        "long": [_shown(each) for each in long[:SHOWN_ANSWERS]],
    }


def _guesses(answer: Rollout) -> bool:
    known = {*numbers_in(answer.item.text), *numbers_in(answer.item.wanted)}
    return any(each not in known for each in numbers_in(answer.text))


def _shown(answer: Rollout) -> JsonObject:
    return {"prompt": answer.item.text, "wanted": answer.item.wanted, "text": answer.text}


def shown_answers(before: Sequence[Rollout], after: Sequence[Rollout]) -> list[JsonObject]:
    """Some held-out prompts, first those that earn less than before, then wrong ones, then the
    others.
    """
    pairs = sorted(
        zip(before, after, strict=True),
        key=lambda pair: (pair[1].reward >= pair[0].reward, pair[1].reward > 0),
    )
    half = KEPT_ANSWERS // 2
    return [
        {
            "prompt": last.item.text,
            "wanted": last.item.wanted,
            "before": first.text,
            "after": last.text,
            "earned_before": first.reward,
            "earned_after": last.reward,
        }
        for first, last in [*pairs[:half], *pairs[half:][-half:]]
    ]
