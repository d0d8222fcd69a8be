"""A suite: named evaluation items with their template, metrics and chance level; and the task that
measures a model on it.

Which items are measured depends on the suite, the options and the models' contexts alone: every
model gets the same ones, and every number of shots too. Worked examples (shots) are items of the
suite that are not measured.
"""

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.config import AskedTemplate, EvaluationConfig
from groundup.evaluate.items import (
    CONTROL_BITS,
    Choices,
    Count,
    Item,
    Response,
    Shot,
    Template,
    Written,
    bos_of,
    request_tokens,
    respond,
)
from groundup.evaluate.metrics import SHARES, majority_share, ratio_interval, wilson_interval
from groundup.evaluate.task import (
    Better,
    EvaluationTask,
    Measure,
    PerItem,
    TaskResult,
    as_measure,
    language_model,
)
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.weights.model_io import OpenModel

# Of the items, what a page shows.
SHOWN_ITEMS = 8
LOWER_IS_BETTER = ("bits_per_byte", CONTROL_BITS)


@dataclass(frozen=True)
class Suite:
    """Named evaluation items. All are listed in `suites.registry.SUITES`."""

    name: str
    """Its name for users: `groundup evaluate --tasks NAME`."""
    heading: str
    """What it measures, for tables and pages: a few words."""
    read: Callable[[Progress], Sequence[Item]]
    """Read the items; those of packages are fetched once."""
    template: Template = "plain"
    """How it is asked where the model has a chat template; models without one are always asked in
    plain text.
    """
    source: str = "written for groundup"
    """Where the items come from, with the licence."""
    corpus: Callable[[Sequence[Written], Sequence[str]], list[Measure]] | None = None
    """(items, answers) -> measures that are no mean over items (BLEU)."""


@dataclass(frozen=True)
class SuiteTask:
    """A suite with a number of shots, as a task."""

    suite: Suite
    items: tuple[Item, ...]
    shots: tuple[Shot, ...] = ()
    template: AskedTemplate = "auto"
    name: str = field(init=False)
    batch_tokens: int = 2**12

    def __post_init__(self) -> None:
        names = {0: self.suite.name, 1: f"{self.suite.name}, 1 shot"}
        count = len(self.shots)
        name = names.get(count, f"{self.suite.name}, {count} shots")
        object.__setattr__(self, "name", name)

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Raises ModelError for a classifier, or without a tokenizer."""
        _, tokenizer = language_model(opened)
        template = template_for(self.suite, self.template, opened)
        asked = [item.requests(self.shots) for item in self.items]
        flat = list(itertools.chain(*asked))
        # A choice without its question is the same request for many items.
        unique = list(dict.fromkeys(flat))
        found = respond(
            opened,
            unique,
            template,
            compute=compute,
            progress=progress,
            batch_tokens=self.batch_tokens,
        )
        known = dict(zip(unique, found, strict=True))
        responses = (known[request] for request in flat)
        answers = [[next(responses) for _ in requests] for requests in asked]
        counts = [item.counts(each) for item, each in zip(self.items, answers, strict=True)]
        measures = list(self._measures(counts))
        if self.suite.corpus:
            written = [item for item in self.items if isinstance(item, Written)]
            measures += self.suite.corpus(written, [str(each[0]).strip() for each in answers])
        settings = {
            "shots": len(self.shots),
            "template": template,
            "bos": bos_of(tokenizer),
            "prompts": hashlib.sha256(repr(asked).encode()).hexdigest()[:12],
        }
        first = measures[0].metric
        per_item = PerItem(*map(tuple, zip(*(each[first] for each in counts), strict=True)))
        return TaskResult(tuple(measures), self._details(answers, counts), per_item, settings)

    def _measures(self, counts: Sequence[Mapping[str, Count]]) -> Iterable[Measure]:
        chance = chance_levels(self.items)
        for metric in counts[0]:
            totals, numbers = zip(*(each[metric] for each in counts), strict=True)
            found = ratio_interval(totals, numbers)
            if metric.startswith(SHARES):
                found = wilson_interval(round(sum(totals)), len(totals))
            better: Better = "higher"
            if metric in LOWER_IS_BETTER:
                better = "lower"
            yield as_measure(metric, found, len(totals), chance=chance.get(metric), better=better)

    def _details(
        self, answers: Sequence[Sequence[Response]], counts: Sequence[Mapping[str, Count]]
    ) -> dict[str, Any]:
        """Return the first metric of each group, and some items to read."""
        groups: dict[str, list[Count]] = {}
        metric = next(iter(counts[0]))
        for item, each in zip(self.items, counts, strict=True):
            groups.setdefault(item.group, []).append(each[metric])
        by_group = {
            name: {"value": ratio_of(found), "n": len(found)} for name, found in groups.items()
        }
        step = max(1, len(self.items) // SHOWN_ITEMS)
        shown = [
            {"id": item.id, "group": item.group, **item.show(each)}
            for item, each in list(zip(self.items, answers, strict=True))[::step][:SHOWN_ITEMS]
        ]
        return {
            "heading": self.suite.heading,
            "source": self.suite.source,
            "metric": metric,
            "groups": by_group,
            "items": shown,
        }


def ratio_of(counts: Iterable[Count]) -> float:
    totals, numbers = zip(*counts, strict=True)
    return float(sum(totals) / sum(numbers))


def template_for(suite: Suite, asked: AskedTemplate, opened: OpenModel) -> Template:
    """By itself never the chat template of a model that is only pretrained. Raises ConfigError for
    the chat template of a model that has none.
    """
    has_one = opened.require_tokenizer().chat_template is not None
    if asked == "chat" and not has_one:
        what = f"{opened.path} has no chat template, and `template` chat was asked for."
        raise ConfigError(what, fix="Use `template` auto.")
    if asked != "auto":
        return asked
    if has_one and not is_base(opened.path):
        return suite.template
    return "plain"


def is_base(path: Path) -> bool:
    """A pretraining run, whose tokenizer has a chat template that the model has never seen."""
    run = RunFolder(path)
    return run.run_file.is_file() and run.read_run().get("kind") == "pretrain"


def chance_levels(items: Sequence[Item]) -> dict[str, float]:
    """The value of guessing for each metric that has one.

    Of questions with the same choices it is the share of the most frequent answer, if that is more;
    of written answers the value of giving each item the reference of the next one.
    """
    written = [item for item in items if isinstance(item, Written)]
    if len(written) == len(items):
        others = [*written[1:], written[0]]
        counts = [
            each.measure(each, other.reference) for each, other in zip(written, others, strict=True)
        ]
    else:
        counts = [item.guess() for item in items]
    found = {name: ratio_of(each[name] for each in counts) for name in counts[0]}
    if same_choices(items):
        share = majority_share([str(item.answer) for item in items if isinstance(item, Choices)])
        found = {name: max(value, share) for name, value in found.items()}
    return found


def suite_tasks(
    suites: Sequence[Suite],
    models: Mapping[str, OpenModel],
    config: EvaluationConfig,
    progress: Progress,
) -> list[EvaluationTask]:
    """Every model gets the same items; those that don't fit a model's context are left out of all,
    and named.

    Raises ConfigError for more shots than there are items, DataError when nothing is left.
    """
    tasks: list[EvaluationTask] = []
    for suite in suites:
        items = in_order(suite.read(progress), config.seed)
        counts = [0]
        if items[0].shot is not None:
            counts = sorted(set(config.shots))
        if counts[-1] >= len(items):
            raise ConfigError(
                f"`shots` {counts[-1]}: the suite '{suite.name}' has {len(items)} items, and "
                "examples are not measured.",
                fix=f"Give at most {len(items) - 1}; 0 to 8 are usual.",
            )
        pool, rest = shots_first(items, counts[-1])
        shots = [shot for item in pool if (shot := item.shot)]
        of_suite = [
            SuiteTask(suite, tuple(rest[: config.items]), tuple(shots[:count]), config.template)
            for count in counts
        ]
        fitting: list[Item] = []
        while of_suite and not fitting:
            fitting = items_that_fit(of_suite[-1], models, progress)
            if not fitting:
                of_suite.pop()  # with fewer examples there may be room
        tasks += [dataclasses.replace(task, items=tuple(fitting)) for task in of_suite]
    if not tasks:
        named = ", ".join(suite.name for suite in suites)
        raise DataError(
            f"No item of {named} fits the models' contexts.",
            fix="Use a model with a longer context.",
        )
    return tasks


def in_order(items: Sequence[Item], seed: int) -> list[Item]:
    """By hash of seed and id, so that any first part is a random sample."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{seed}/{item.id}".encode()).digest())


def shots_first(items: Sequence[Item], count: int) -> tuple[list[Item], list[Item]]:
    """Of questions with the same choices each answer comes once before one comes twice."""
    seen: Counter[int] = Counter()
    labelled = same_choices(items)
    rounds: list[tuple[int, int]] = []
    for item in items:
        answer = item.answer if labelled and isinstance(item, Choices) else len(rounds)
        rounds.append((seen[answer], len(rounds)))
        seen[answer] += 1
    chosen = [place for _, place in sorted(rounds)[:count]]
    return [items[place] for place in chosen], [
        item for place, item in enumerate(items) if place not in chosen
    ]


def same_choices(items: Sequence[Item]) -> bool:
    choices = {item.choices if isinstance(item, Choices) else None for item in items}
    return len(choices) == 1 and None not in choices


def items_that_fit(
    task: SuiteTask, models: Mapping[str, OpenModel], progress: Progress
) -> list[Item]:
    """Those that fit the context of every model; the others are named."""
    fitting = list(task.items)
    for name, opened in models.items():
        _, tokenizer = language_model(opened)
        template = template_for(task.suite, task.template, opened)
        limit, too_long, before = opened.config.context_tokens, list[Item](), fitting
        fitting = []
        for item in before:
            sizes = [
                request_tokens(each, template, tokenizer) for each in item.requests(task.shots)
            ]
            if max(sizes) > limit:
                too_long.append(item)
            else:
                fitting.append(item)
        if too_long:
            examples = too_long[0].id
            if len(too_long) > 1:
                examples += " and others"
            progress.say(
                f"{task.name}: {len(too_long)} of {len(before)} items are longer than the context "
                f"of {name} ({limit:,} tokens) and are left out for all models ({examples})."
            )
    return fitting
