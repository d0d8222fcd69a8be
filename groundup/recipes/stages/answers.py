"""Answers to held-out questions: the base and the chat model, each alone and with the passages that
`groundup ask` reads; and quotations alone.

answers/results.json    questions: how many; arms: of each the figures with intervals; changes:
                        paired differences; items: every answer
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.data.documents import InstructionExample
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import DataError
from groundup.evaluate.answer_match import contains, declines, exact_match, word_f1
from groundup.evaluate.metrics import Interval, ratio_interval, wilson_interval
from groundup.evaluate.paired import Difference, ratio_difference, share_difference
from groundup.evaluate.tasks.answers import write_answers
from groundup.files import atomic_folder, write_json
from groundup.packs.pack import PackRow, pack_rows
from groundup.progress import Progress, Silent
from groundup.recipes.named_stages import AnswersStage
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult, source_content
from groundup.retrieve.answer import Answer, AskConfig, Part, ask
from groundup.retrieve.index import Index
from groundup.retrieve.rankings import AUTO, ranking_of, vectors_for
from groundup.retrieve.vectors import Vectors
from groundup.weights.model_io import OpenModel, open_model

# Of the budget, for all of a build together.
SHARE = 0.25
# Opening two models, and writing.
BESIDE_S = 5.0
TIMED, MIN_QUESTIONS = 2, 6
BASE, CHAT, QUOTES = "base", "fine-tuned", "quotations"
WITH = "{} with documents"


@dataclass
class AnswerMethod:
    """The answers of one way to the first of the questions: quotations to all, a model's to as many
    as the time allows.
    """

    name: str
    texts: list[str] = field(default_factory=list)
    """The answer to each question; "" where it has none."""
    cited: list[list[str]] = field(default_factory=list)
    """The documents that each answer cites; nothing of an arm without documents."""
    left_out: int = 0
    """Sentences of the model that failed a check."""
    written: int = 0


@dataclass(frozen=True)
class Documents:
    """What is asked: an index, with its vectors where it has some."""

    index: Index
    vectors: Vectors | None

    def ask(self, question: str, engine: Engine | None, config: AskConfig) -> Iterator[Part]:
        """Answer as `groundup ask` does."""
        return ask(
            self.index,
            question,
            engine,
            config,
            rank_by=ranking_of(AUTO, self.vectors),
            vectors=self.vectors,
        )


def run(context: StageContext) -> StageResult:
    """Ask all questions without a model, and as many as the time allows in every way; write the
    figures.
    """
    table, compute = table_of(context.recipe, context.name), context.compute
    progress = context.progress
    rows = pack_rows(Path(table.source.spec))
    models = {
        BASE: open_model(context.build / "base", compute),
        CHAT: open_model(context.build / table.chat, compute),
    }
    folder = context.build / table.index
    with Index(folder) as index:
        documents = Documents(index, vectors_for(AUTO, folder, compute.device.type, progress))
        count = context.fix(
            "questions", lambda: affordable_questions(rows, models, documents, table, context)
        )
        chosen = evenly_chosen(rows, count)
        arms = [
            quotations(
                [*chosen, *(row for row in rows if row not in chosen)], documents, table, progress
            )
        ]
        for name, opened in models.items():
            arms += [alone(name, opened, chosen, table, compute, progress)]
            arms += [with_documents(name, opened, chosen, documents, table, compute, progress)]
    rows = [*chosen, *(row for row in rows if row not in chosen)]
    results = {**figures(arms, rows), "of": len(rows), "chat": table.chat}
    with atomic_folder(context.folder) as folder:
        write_json(folder / "results.json", results)
    return describe(results, len(rows))


def table_of(recipe: Recipe, name: str) -> AnswersStage:
    """Return the table of the stage."""
    return recipe.of_kind(AnswersStage)[name]


def evenly_chosen(rows: Sequence[PackRow], count: int) -> list[PackRow]:
    """Return `count` of the rows, evenly spaced, answerable and unanswerable in their proportion."""
    ordered = sorted(rows, key=lambda row: row["answer"] is None)
    count = min(len(ordered), count)
    return [ordered[place * len(ordered) // count] for place in range(count)]


def affordable_questions(
    rows: Sequence[PackRow],
    models: Mapping[str, OpenModel],
    documents: Documents,
    table: AnswersStage,
    context: StageContext,
) -> float:
    """Return the number of questions that fit the time, measured on a few asked in all ways."""
    few, started = evenly_chosen(rows, TIMED), time.monotonic()
    for opened in models.values():
        alone("", opened, few, table, context.compute, Silent())
        with_documents("", opened, few, documents, table, context.compute, Silent())
    one_s = (time.monotonic() - started) / len(few)
    return min(len(rows), max(MIN_QUESTIONS, (context.seconds - BESIDE_S) / one_s))


def alone(
    name: str,
    opened: OpenModel,
    rows: Sequence[PackRow],
    table: AnswersStage,
    compute: Compute,
    progress: Progress,
) -> AnswerMethod:
    """Return a model's answers to the bare questions."""
    asked = [InstructionExample(row["question"], "", "", id=row.place) for row in rows]
    texts = write_answers(opened, asked, table.answer_tokens, compute=compute, progress=progress)
    return AnswerMethod(name, [answer_in(text) for text in texts], [[] for _ in texts])


def answer_in(text: str) -> str:
    """Return a model's text; "" where it declines to answer."""
    if declines(text):
        return ""
    return text


def quotations(
    rows: Sequence[PackRow], documents: Documents, table: AnswersStage, progress: Progress
) -> AnswerMethod:
    """Return the sentences that `groundup ask` quotes, without a model."""
    arm, config = AnswerMethod(QUOTES), AskConfig(table.passages)
    with progress.track("quotations", len(rows), "questions") as advance:
        for row in rows:
            *_, answer = documents.ask(row["question"], None, config)
            assert isinstance(answer, Answer)
            parts = [part for quote in answer.quotes for part in (quote.head, quote) if part]
            text = " ".join(part.text for part in parts)
            add(arm, answer, text, [quote.source for quote in answer.quotes])
            advance()
    return arm


def with_documents(
    name: str,
    opened: OpenModel,
    rows: Sequence[PackRow],
    documents: Documents,
    table: AnswersStage,
    compute: Compute,
    progress: Progress,
) -> AnswerMethod:
    """Return a model's answers as `groundup ask` gives them: the sentences that passed the
    checks.
    """
    engine, config = (
        Engine(opened, compute),
        AskConfig(table.passages, max_tokens=table.answer_tokens),
    )
    arm = AnswerMethod(WITH.format(name))
    with progress.track(f"answers of {name} with documents", len(rows), "questions") as advance:
        for row in rows:
            *_, answer = documents.ask(row["question"], engine, config)
            assert isinstance(answer, Answer)
            text = answer_in(" ".join(sentence.text for sentence in answer.sentences))
            add(arm, answer, text, [sentence.source for sentence in answer.sentences])
            arm.left_out += len(answer.omitted)
            arm.written += len(answer.omitted) + len(answer.sentences)
            advance()
    return arm


def add(arm: AnswerMethod, answer: Answer, text: str, sources: Sequence[int]) -> None:
    """Add an answer and the documents that it cites."""
    arm.texts.append(text)
    if not text:
        sources = ()
    arm.cited.append([answer.sources[number - 1].document for number in sources])


def figures(arms: Sequence[AnswerMethod], rows: Sequence[PackRow]) -> dict[str, Any]:
    """Return the figures of every arm, the paired differences from the base alone on the questions
    that it was asked, and the items.
    """
    answerable = sum(row["answer"] is not None for row in rows)
    if not answerable:
        raise DataError(
            "None of the questions has an answer.", fix="Give some an answer and its document."
        )
    base = next(arm for arm in arms if arm.name == BASE)
    return {
        "questions": {"answerable": answerable, "unanswerable": len(rows) - answerable},
        "asked_of_models": len(base.texts),
        "arms": [arm_figures(arm, base, rows) for arm in arms],
        "items": [
            {
                **row.values,
                "answers": {
                    arm.name: {"text": arm.texts[place], "cited": arm.cited[place]}
                    for arm in arms
                    if place < len(arm.texts)
                },
            }
            for place, row in enumerate(rows)
        ],
    }


def arm_figures(arm: AnswerMethod, base: AnswerMethod, rows: Sequence[PackRow]) -> dict[str, Any]:
    """Return the figures of an arm, with their differences from the base alone."""
    answerable = [place for place in range(len(arm.texts)) if rows[place]["answer"] is not None]
    others = [place for place in range(len(arm.texts)) if rows[place]["answer"] is None]
    shared = sum(place < len(base.texts) for place in answerable)

    def each(judge: Callable[[str, str], Any], of: AnswerMethod) -> list[Any]:
        return [
            judge(of.texts[place], rows[place]["answer"])
            for place in answerable
            if place < len(of.texts)
        ]

    n, ones = len(answerable), [1.0] * len(answerable)
    found: dict[str, Any] = {"name": arm.name}
    for name, judge in (("contains", contains), ("exact", exact_match)):
        right = each(judge, arm)
        found[name] = figure_of(
            wilson_interval(sum(right), n),
            n,
            share_difference(each(judge, base)[:n], right[:shared]),
        )
    f1 = each(word_f1, arm)
    found["f1"] = figure_of(
        ratio_interval(f1, ones),
        n,
        ratio_difference(each(word_f1, base)[:n], f1[:shared], ones[:shared]),
    )
    found["silent"] = figure_of(
        wilson_interval(sum(not arm.texts[place] for place in answerable), n), n
    )
    if others:
        found["refused"] = figure_of(
            wilson_interval(sum(not arm.texts[place] for place in others), len(others)), len(others)
        )
    cited = [place for place in answerable if arm.cited[place]]
    if cited:
        right_document = sum(rows[place]["document"] in arm.cited[place] for place in cited)
        found["cited"] = figure_of(wilson_interval(right_document, len(cited)), len(cited))
    if arm.written:
        found |= {"written": arm.written, "left_out": arm.left_out}
    return found


def figure_of(interval: Interval, n: int, change: Difference | None = None) -> dict[str, Any]:
    """Return a figure as JSON values."""
    figure = {**vars(interval), "n": n}
    if change:
        figure["change"] = change.plain("higher")
    return figure


def describe(results: Mapping[str, Any], of: int) -> StageResult:
    """Return how often each way had the answer, and how often it refused what no document
    answers.
    """
    counts, asked = results["questions"], results["asked_of_models"]
    right = ", ".join(
        f"{arm['name']} {100 * arm['contains']['value']:.0f} % of {arm['contains']['n']}"
        for arm in results["arms"]
    )
    refused = [
        f"{arm['name']} {100 * arm['refused']['value']:.0f} % of {arm['refused']['n']}"
        for arm in results["arms"]
        if "refused" in arm
    ]
    line = f"the answer stands in: {right}"
    if refused:
        line += f"; unanswerable refused: {', '.join(refused)}"
    thin = []
    if asked < of:
        thin.append(f"The models were asked {asked} of the {of} questions.")
    thin.append(
        f"{counts['answerable']} answerable and {counts['unanswerable']} unanswerable questions: the intervals are wide."
    )
    facts = {
        arm["name"]: {name: arm[name]["value"] for name in ("contains", "exact", "f1")}
        for arm in results["arms"]
    }
    return StageResult(line, facts, tuple(thin))


def stage(name: str, share: float, needs: Sequence[str]) -> Stage:
    """Return the stage that asks the questions."""
    return Stage(
        name,
        3,
        run,
        share,
        describe=lambda recipe: (
            f"the questions of {table_of(recipe, name).source.spec}, with and without documents"
        ),
        needs=("base", *needs),
        outputs=("results.json",),
        sized_by_budget=True,
        outside=source_content(table_of, name),
        kind="answers",
    )
