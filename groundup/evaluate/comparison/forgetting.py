"""What a model forgets while it is trained further: the same suites before and after, compared item
by item; SUITES lists those of the default. "general": bits per byte of general text, the packaged
one (30 short texts of many kinds, written for this purpose, so that no public model was trained on
them); "multiple_choice": accuracy on questions of the packaged suite, those that fit the context.
Texts that the user names stand in place of the first, evaluation suites in place of the second.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundup.data.reading.data import Data
from groundup.data.reading.source_files import GENERAL_COLUMN, GENERAL_TEXT
from groundup.device import Compute
from groundup.errors import ConfigError, did_you_mean
from groundup.evaluate.comparison.run import paired_difference
from groundup.evaluate.items import Item, request_tokens
from groundup.evaluate.metrics import SHARES
from groundup.evaluate.paired import describe_verdict
from groundup.evaluate.suite import SuiteTask, in_order, items_that_fit, template_for
from groundup.evaluate.suites.registry import SUITES as EVALUATION_SUITES
from groundup.evaluate.task import (
    AT_CHANCE,
    EvaluationTask,
    HeldOut,
    TaskResult,
    language_model,
)
from groundup.evaluate.tasks.text import TEXT, BitsPerByte
from groundup.progress import Progress
from groundup.weights.model_io import OpenModel

PACKAGED_TEXT = Path(__file__).parents[1] / "tasks" / "general.txt"
# Documents of a user's file that are read at most.
MAX_DOCUMENTS = 200
GENERAL, MULTIPLE_CHOICE = "general", "multiple_choice"
# Questions of the suite that are asked: seconds for SmolLM2-135M on two processor cores, twice in
# each fine-tuning (docs/log.md).
QUESTIONS = 40


# Named texts that are not ours.
TEXTS = {
    "wikipedia": Data(GENERAL_TEXT.spec, text=GENERAL_COLUMN, sha256=GENERAL_TEXT.sha256),
}
# Tokens times parameters that one measurement of a suite may take where no number of questions is
# given: all of common_knowledge for a model of 135 million, some minutes on two processor cores.
MAX_WORK = 2e13


def named_text(name: str | Path) -> Data:
    """Where a text is: one of TEXTS, or an address."""
    return TEXTS.get(str(name)) or Data(name)


def general_text(file: str | Path | None, progress: Progress) -> BitsPerByte:
    """Packaged text, or that of a file or address. Raises DataError, ConfigError."""
    if file is None:
        return BitsPerByte(PACKAGED_TEXT.read_text(encoding="utf-8").strip().split("\n\n"), GENERAL)
    (task,) = TEXT.tasks(HeldOut(named_text(file), MAX_DOCUMENTS), "language", progress)
    assert isinstance(task, BitsPerByte)
    return replace(task, name=GENERAL)


def multiple_choice(file: str | Path | None, progress: Progress) -> EvaluationTask:
    """Return the task on a random sample of the packaged questions."""
    return questions_of(MULTIPLE_CHOICE, QUESTIONS, progress)


def questions_of(name: str, count: int | None, progress: Progress) -> "QuestionsTask":
    """Return the task on a random sample of a suite's questions, the same each time; None: of as
    many as can be asked in the time.
    """
    suite = EVALUATION_SUITES[name]
    items = tuple(in_order(suite.read(progress), seed=0))
    return QuestionsTask(suite, items[:count], is_sampled=count is None, of=len(items))


def _known_text(name: str) -> str:
    """Raises ConfigError for a word that is neither a file nor a name."""
    if name in TEXTS or not name.isidentifier() or Path(name).exists():
        return name
    raise ConfigError(
        f"General text or questions {name!r} are neither a file nor a suite.",
        fix=did_you_mean(name, [*TEXTS, *EVALUATION_SUITES]),
    )


@dataclass(frozen=True)
class QuestionsTask(SuiteTask):
    """Questions of a suite, in random order."""

    is_sampled: bool = False
    """Whether only as many are asked as MAX_WORK allows."""
    of: int = 0
    """The questions of the suite."""

    def fitted(self, opened: OpenModel, progress: Progress) -> "QuestionsTask":
        """Return the task on the questions that fit the context and the time; perhaps none."""
        items = items_that_fit(self, {opened.path.name: opened}, progress)
        if self.is_sampled:
            items = self._affordable(items, opened)
        if self.is_sampled and len(items) < self.of:
            progress.say(
                f"{self.name}: {len(items):,} of {self.of:,} questions are measured, the same "
                f"before and after; {self.name}={self.of} asks all."
            )
        return replace(self, items=tuple(items))

    def _affordable(self, items: list[Item], opened: OpenModel) -> list[Item]:
        model, tokenizer = language_model(opened)
        template = template_for(self.suite, self.template, opened)
        parameters, work = sum(each.numel() for each in model.parameters()), 0
        for place, item in enumerate(items):
            tokens = (request_tokens(each, template, tokenizer) for each in item.requests(()))
            work += parameters * sum(tokens)
            if work > MAX_WORK:
                return items[: max(1, place)]
        return items


SUITES: dict[str, Callable[[str | Path | None, Progress], EvaluationTask]] = {
    GENERAL: general_text,
    MULTIPLE_CHOICE: multiple_choice,
}


def suites(general: str | Path | None, progress: Progress) -> tuple[EvaluationTask, ...]:
    """`general`: what is measured in place of the packaged text and questions: files, addresses,
    names of TEXTS and of evaluation suites, between commas, a suite also as NAME=QUESTIONS. Raises
    DataError, ConfigError, and what reading a package raises.
    """
    texts, questions = _named(general)
    found = [general_text(text, progress) for text in texts or (None,)]
    found[1:] = [replace(task, name=text) for task, text in zip(found[1:], texts[1:], strict=True)]
    if not questions:
        return *found, multiple_choice(None, progress)
    return *found, *(questions_of(name, count, progress) for name, count in questions.items())


def general_texts(general: str | Path | None, progress: Progress) -> list[str]:
    """Return the texts on which `suites` measures."""
    texts, _ = _named(general)
    return [each for text in texts or (None,) for each in general_text(text, progress).texts]


def _named(general: str | Path | None) -> tuple[list[str], dict[str, int | None]]:
    """Return the texts, and the suites with the number of their questions."""
    if general is None:
        return [], {}
    parts = [str(general)]
    if not Path(general).exists():
        parts = list(filter(None, map(str.strip, str(general).split(","))))
    texts, questions = list[str](), dict[str, int | None]()
    for part in parts:
        name, _, number = part.partition("=")
        if name not in EVALUATION_SUITES or Path(part).exists():
            texts.append(_known_text(part))
        elif not number:
            questions[name] = None
        elif number.isdecimal() and int(number) > 0:
            questions[name] = int(number)
        else:
            raise ConfigError(
                f"The number of questions of {name} must be 1 or more (got {number!r}).",
                fix=f"Write {name}=300, or {name} alone.",
            )
    return texts, questions


def measure(
    tasks: tuple[EvaluationTask, ...], opened: OpenModel, compute: Compute, progress: Progress
) -> dict[str, TaskResult]:
    """The model's mode is left as it was."""
    training = opened.model.training
    opened.model.eval()
    try:
        fitting = _that_fit(tasks, opened, progress)
        return {
            task.name: task.measure(opened, compute=compute, progress=progress) for task in fitting
        }
    finally:
        opened.model.train(training)


def _that_fit(
    tasks: tuple[EvaluationTask, ...], opened: OpenModel, progress: Progress
) -> Iterator[EvaluationTask]:
    for task in tasks:
        if not isinstance(task, QuestionsTask):
            yield task
        elif (fitted := task.fitted(opened, progress)).items:
            yield fitted


def compare(
    before: Mapping[str, TaskResult], after: Mapping[str, TaskResult]
) -> dict[str, dict[str, Any]]:
    """Before and after of each suite, and their paired difference, as JSON values."""
    found = {}
    for name, first in before.items():
        second, measure = after[name], first.measures[0]
        assert first.per_item is not None and second.per_item is not None
        difference = paired_difference(measure, first.per_item, second.per_item)
        found[name] = {
            "metric": measure.metric,
            "before": measure.value,
            "after": second.measures[0].value,
            "chance": measure.chance,
            "is_chance": measure.is_chance,
            "difference": difference.plain(measure.better),
        }
    return found


def forgetting_lines(forgetting: Mapping[str, Any]) -> list[str]:
    """Return a line for each suite.

    >>> change = {"value": 0.02, "low": 0.01, "high": 0.03, "verdict": "worse"}
    >>> found = {"metric": "bits_per_byte", "before": 1.0, "after": 1.02, "difference": change}
    >>> [line] = forgetting_lines({"general": found})
    >>> line.partition(", ")[0], line.rpartition(": ")[2]
    ('general text: 1.000 -> 1.020 bits per byte', 'worse')
    """
    return [_line(name, found) for name, found in forgetting.items()]


def forgotten(forgetting: Mapping[str, Any]) -> list[str]:
    """Return the names of what became worse."""
    return [name for name, each in forgetting.items() if each["difference"]["verdict"] == "worse"]


def _line(name: str, found: Mapping[str, Any]) -> str:
    change, unit = found["difference"], found["metric"].replace("_", " ")
    scale, digits = 1, 3
    if found["metric"] in SHARES:
        scale, digits, unit = 100, 1, f"% {unit}"
    before, after = (f"{scale * found[side]:.{digits}f}" for side in ("before", "after"))
    if "n" in change and found["metric"] in SHARES:
        unit += f" of {change['n']:,} questions"
    what = {GENERAL: "general text"}.get(name, name.replace("_", " "))
    line = f"{what}: {before} -> {after} {unit}"
    line += f", paired difference {scale * change['value']:+.{digits}f}"
    if change["low"] is not None and change["high"] is not None:
        low, high = (f"{scale * change[bound]:+.{digits}f}" for bound in ("low", "high"))
        line += f" (95 % interval {low} to {high})"
    line += f": {describe_verdict(change['verdict'])}"
    if found.get("is_chance") and name != GENERAL:
        line += f"; before {AT_CHANCE}"
    return line
