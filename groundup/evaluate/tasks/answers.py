"""Tasks for chat models: the loss on held-out answers, answers that code can check, and a few
answers to read. Prompts are rendered as in training and in `groundup chat`. Answers are checked by
rules, not by another model: this is reproducible, and stricter than a reader (a right answer in
unexpected words fails).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from groundup.data.documents import ChatExample, to_conversation
from groundup.data.reading.example_splits import without_repeats
from groundup.data.reading.examples import read_chat
from groundup.data.reading.layouts import CHAT_LAYOUTS
from groundup.device import Compute
from groundup.engine.batch import generate_answers
from groundup.engine.sampling import Sampling
from groundup.engine.score import score
from groundup.errors import DataError
from groundup.evaluate.metrics import ratio_interval, wilson_interval
from groundup.evaluate.task import (
    EvaluationTask,
    HeldOut,
    PerItem,
    TaskKind,
    TaskResult,
    as_measure,
    language_model,
)
from groundup.model.heads import LanguageModel
from groundup.progress import Progress
from groundup.tokenizer.chat import Rendered, render
from groundup.weights.hf_families import ModelKind
from groundup.weights.model_io import OpenModel

# Type, answer, and for a label all possible labels.
Check = Mapping[str, Any]

CHECKED_ANSWER_TOKENS = 48
SHOWN_ANSWERS = 4
_NUMBER = re.compile(r"(?<![\w.])[-−]?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")


def evenly(items: Sequence[ChatExample], count: int) -> list[ChatExample]:
    """Sets are ordered by kind."""
    count = min(len(items), count)
    return [items[index * len(items) // count] for index in range(count)]


@dataclass(frozen=True)
class AnswerLoss:
    """Mean nats per supervised token; texts are truncated at `max_tokens`, by default at the
    context.
    """

    examples: Sequence[ChatExample]
    name: str = "answers"
    max_tokens: int | None = None

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """`n` counts answers. Chance: all ids equally likely. Raises DataError when no answer
        begins within `max_tokens`.
        """
        model, tokenizer = language_model(opened)
        whole = (
            render(to_conversation(example), tokenizer, learn_calls=True)
            for example in self.examples
        )
        rendered = [each.cut(self.max_tokens or opened.config.context_tokens) for each in whole]
        rendered = [each for each in rendered if any(each.mask)]
        if not rendered:
            raise DataError(
                "No held-out example has an answer to measure the loss on.",
                fix="Give instructions that have an output.",
            )
        nats, counts = answer_nats(model, rendered, compute=compute)
        found = ratio_interval(nats, counts)
        measure = as_measure(
            "loss_nats",
            found,
            len(rendered),
            chance=math.log(opened.config.vocab_size),
            better="lower",
        )
        details = {"supervised_tokens": sum(counts), "left_out": len(self.examples) - len(rendered)}
        return TaskResult((measure,), details, PerItem(tuple(nats), tuple(counts)))


def answer_nats(
    model: LanguageModel, rendered: Sequence[Rendered], *, compute: Compute
) -> tuple[list[float], list[int]]:
    """Of each text the sum of nats of its supervised tokens, and their number."""
    firsts = [each.mask.index(True) for each in rendered]
    pairs = [
        (each.ids[:first], each.ids[first:]) for each, first in zip(rendered, firsts, strict=True)
    ]
    nats = [
        -math.fsum(
            logprob
            for logprob, counts in zip(each.token_logprobs, text.mask[first:], strict=True)
            if counts
        )
        for each, text, first in zip(
            score(model, pairs, compute=compute), rendered, firsts, strict=True
        )
    ]
    return nats, [sum(each.mask) for each in rendered]


@dataclass(frozen=True)
class CheckedAnswers:
    """The accuracy on the `examples` that have a check."""

    examples: Sequence[ChatExample]
    name: str = "checked answers"
    max_tokens: int = CHECKED_ANSWER_TOKENS

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Chance: a random label; numbers and words are never guessed. Raises DataError without a
        check.
        """
        checks = [(each, each.check) for each in self.examples if each.check is not None]
        if not checks:
            raise DataError(
                "No held-out example has an answer that code can check.",
                fix='Give some a check, as {"type": "number", "answer": "4"}.',
            )
        answers = write_answers(
            opened,
            [example for example, _ in checks],
            self.max_tokens,
            compute=compute,
            progress=progress,
        )
        right = [passes(answer, check) for answer, (_, check) in zip(answers, checks, strict=True)]
        labels, n = [labels_in(check) for _, check in checks], len(checks)
        chance = math.fsum(1 / len(each) for each in labels if each) / n
        measure = as_measure("accuracy", wilson_interval(sum(right), n), n, chance=chance)
        shown = [
            {**show_answer(example, answer), "check": dict(check), "right": is_right}
            for (example, check), answer, is_right in zip(checks, answers, right, strict=True)
        ]
        return TaskResult(
            (measure,), {"right": sum(right), "answers": shown}, PerItem.of_right(right)
        )


@dataclass(frozen=True)
class ShownAnswers:
    """Answers to read, without a metric."""

    examples: Sequence[ChatExample]
    name: str = "shown answers"
    max_tokens: int = CHECKED_ANSWER_TOKENS

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        answers = write_answers(
            opened, self.examples, self.max_tokens, compute=compute, progress=progress
        )
        return TaskResult((), {"answers": list(map(show_answer, self.examples, answers))})


class ShownAnswer(TypedDict):
    """An answer of a model, as JSON values for a page."""

    id: str
    kind: str
    instruction: str
    input: str
    expected: str
    answer: str


def show_answer(example: ChatExample, answer: str) -> ShownAnswer:
    return {
        "id": example.id,
        "kind": example.kind,
        "instruction": example.instruction,
        "input": example.input,
        "expected": example.output,
        "answer": answer,
    }


def write_answers(
    opened: OpenModel,
    examples: Sequence[ChatExample],
    max_tokens: int,
    *,
    compute: Compute,
    progress: Progress,
) -> list[str]:
    """Greedy, as a batch. Raises ModelError."""
    model, tokenizer = language_model(opened)
    prompts = [
        render(to_conversation(each, answer=False), tokenizer, add_generation_prompt=True).ids
        for each in examples
    ]
    sampling = Sampling(temperature=0, max_tokens=max_tokens)
    stop_ids = tokenizer.special.stop_ids
    with progress.track("answers", len(prompts), "answers") as advance:
        texts = generate_answers(
            prompts, model, tokenizer, sampling, compute=compute, stop_ids=stop_ids, done=advance
        )
    return [text.strip() for text in texts]


def passes(answer: str, check: Check) -> bool:
    """Return whether an answer passes its check.

    number  the first number in it (digits) equals the answer
    label   the right one of the check's labels occurs and no other
    word    the word occurs; both as whole words, upper or lower case

    >>> passes("There are 4 of them, or 5.", {"type": "number", "answer": "4"})
    True
    """
    expected = check["answer"]
    if check["type"] == "number":
        found = first_number(answer)
        return found is not None and found == first_number(expected)
    labels = labels_in(check) or [expected]
    return {each.lower() for each in words_found(answer, labels)} == {expected.lower()}


def labels_in(check: Check) -> Sequence[str]:
    """Without labels it is checked as a word."""
    return check.get("labels") or () if check["type"] == "label" else ()


def first_number(text: str) -> float | None:
    """In digits; "1,000" is one thousand."""
    return next(iter(numbers_in(text)), None)


def numbers_in(text: str) -> list[float]:
    """Return the numbers in digits, in order.

    >>> numbers_in("1,000 and -2.5, not B12")
    [1000.0, -2.5]
    """
    return [float(found.replace(",", "").replace("−", "-")) for found in _NUMBER.findall(text)]


def words_found(text: str, words: Sequence[str]) -> list[str]:
    """Return which of `words` (each one word or several) occur as whole words, in any case; of
    nested ones ("spam", "not spam") the longer.

    >>> words_found("It is Not Spam.", ["spam", "not spam"])
    ['Not Spam']
    """
    longest_first = sorted(words, key=len, reverse=True)
    return re.findall(
        rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", text, re.IGNORECASE
    )


def _tasks(data: HeldOut, kind: ModelKind, progress: Progress) -> list[EvaluationTask]:
    """The loss, checked answers where there are any, a few to read; held-out ones, where some are
    marked.
    """
    examples = read_chat(data.data, progress=progress)
    examples = without_repeats(
        [example for example in examples if example.held_out] or examples
    ).examples
    examples = list(data.unseen(examples))
    tasks: list[EvaluationTask] = [AnswerLoss(evenly(examples, data.items))]
    checked = [example for example in examples if example.check]
    if checked:
        tasks.append(CheckedAnswers(evenly(checked, data.items)))
    others = [example for example in examples if not example.check]
    if others:
        tasks.append(ShownAnswers(evenly(others, min(data.items, SHOWN_ANSWERS))))
    return tasks


ANSWERS = TaskKind("answers", _tasks, layouts=CHAT_LAYOUTS)
