"""Answers to held-out questions: the base and the chat model, each alone and with the passages that
`groundup ask` reads; and quotations alone.

answers/results.json    questions: how many; arms: of each the figures with intervals; changes:
                        paired differences; items: every answer
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.data.documents import InstructionExample
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import DataError
from groundup.evaluate.metrics import ratio_interval, wilson_interval
from groundup.evaluate.paired import ratio_difference, share_difference
from groundup.evaluate.tasks.answers import write_answers
from groundup.files import atomic_folder, write_json
from groundup.packs.pack import PackRow, pack_rows
from groundup.progress import Progress, Silent
from groundup.recipes.downloads import of_sources
from groundup.recipes.named_stages import AnswersStage
from groundup.recipes.stage import BASE, Stage, StageContext, StageResult, source_content
from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.cite import shown_text
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import contains, declines, exact_match, word_f1
from groundup.retrieve.rankings import AUTO, ranking_of, vectors_for
from groundup.retrieve.vectors import Vectors
from groundup.weights.model_io import OpenModel

Row = dict[str, Any]
# Of the budget, for all of a build together.
SHARE = 0.25
# Opening two models, and writing.
BESIDE_S = 5.0
TIMED, MIN_QUESTIONS = 2, 6
QUOTES = "quotations"


@dataclass
class AnswerMethod:
    """The answers of one way to the first of the questions."""

    name: str
    texts: list[str] = field(default_factory=list)
    """The answer to each question; "" where it has none."""
    cited: list[list[str]] = field(default_factory=list)
    """The documents that each answer cites; nothing of an arm without documents."""
    left_out: int = 0
    """Sentences of the model that failed a check."""
    written: int = 0

    def add(self, answer: Answer, text: str, sources: Sequence[int]) -> None:
        """Add an answer and the documents that it cites."""
        self.texts.append(text)
        if not text:
            sources = ()
        self.cited.append([answer.sources[number - 1].document for number in sources])


@dataclass(frozen=True)
class _Asking:
    """What is asked, and how long an answer may be."""

    index: Index
    vectors: Vectors | None
    table: AnswersStage
    compute: Compute

    def ask(self, question: str, engine: Engine | None) -> Answer:
        """Answer as `groundup ask` does."""
        config = AskConfig(self.table.passages, max_tokens=self.table.answer_tokens)
        rank_by = ranking_of(AUTO, self.vectors)
        *_, answer = ask(
            self.index, question, engine, config, rank_by=rank_by, vectors=self.vectors
        )
        assert isinstance(answer, Answer)
        return answer

    def quotations(self, rows: Sequence[PackRow], progress: Progress) -> AnswerMethod:
        arm = AnswerMethod(QUOTES)
        with progress.track("quotations", len(rows), "questions") as advance:
            for row in rows:
                answer = self.ask(row["question"], None)
                text = " ".join(map(shown_text, answer.quotes))
                arm.add(answer, text, [quote.source for quote in answer.quotes])
                advance()
        return arm

    def both_ways(
        self, name: str, opened: OpenModel, rows: Sequence[PackRow], progress: Progress
    ) -> tuple[AnswerMethod, AnswerMethod]:
        """Return a model's answers to the bare questions, and as `groundup ask` gives them: the
        sentences that passed the checks.
        """
        asked = [InstructionExample(row["question"], "", "", id=row.place) for row in rows]
        tokens = self.table.answer_tokens
        texts = write_answers(opened, asked, tokens, compute=self.compute, progress=progress)
        alone = AnswerMethod(name, [answer_in(text) for text in texts], [[] for _ in texts])
        engine, arm = Engine(opened, self.compute), AnswerMethod(f"{name} with documents")
        with progress.track(f"answers of {arm.name}", len(rows), "questions") as advance:
            for row in rows:
                answer = self.ask(row["question"], engine)
                text = answer_in(" ".join(sentence.text for sentence in answer.sentences))
                arm.add(answer, text, [sentence.source for sentence in answer.sentences])
                arm.left_out += len(answer.omitted)
                arm.written += len(answer.omitted) + len(answer.sentences)
                advance()
        return alone, arm


def run(context: StageContext) -> StageResult:
    """Ask all questions without a model, and as many as the time allows in every way."""
    table, compute, progress = context.table(AnswersStage), context.compute, context.progress
    rows = pack_rows(Path(table.source.spec))
    models, folder = context.models(table.chat), context.build / table.index
    with Index(folder) as index:
        vectors = vectors_for(AUTO, folder, compute.device.type, progress)
        asking = _Asking(index, vectors, table, compute)
        count = context.fix(
            "questions", lambda: affordable_questions(rows, models, asking, context.seconds)
        )
        chosen = evenly_chosen(rows, count)
        rows = [*chosen, *(row for row in rows if row not in chosen)]
        arms = [asking.quotations(rows, progress)]
        for name, opened in models.items():
            arms += asking.both_ways(name, opened, chosen, progress)
    results = {**figures(arms, rows), "of": len(rows), "chat": table.chat}
    with atomic_folder(context.folder) as folder:
        write_json(folder / "results.json", results)
    return describe(results, len(rows))


def evenly_chosen(rows: Sequence[PackRow], count: int) -> list[PackRow]:
    """Answerable and unanswerable ones stay in their proportion."""
    ordered = sorted(rows, key=lambda row: row["answer"] is None)
    count = min(len(ordered), count)
    return [ordered[place * len(ordered) // count] for place in range(count)]


def affordable_questions(
    rows: Sequence[PackRow], models: Mapping[str, OpenModel], asking: _Asking, seconds: float
) -> float:
    few, started = evenly_chosen(rows, TIMED), time.monotonic()
    for opened in models.values():
        asking.both_ways("", opened, few, Silent())
    one_s = (time.monotonic() - started) / len(few)
    return min(len(rows), max(MIN_QUESTIONS, (seconds - BESIDE_S) / one_s))


def answer_in(text: str) -> str:
    """Return a model's text; "" where it declines to answer."""
    return "" if declines(text) else text


def figures(arms: Sequence[AnswerMethod], rows: Sequence[PackRow]) -> dict[str, Any]:
    """Return the figures of every arm, paired with the base alone, and the items."""
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


def arm_figures(arm: AnswerMethod, base: AnswerMethod, rows: Sequence[PackRow]) -> Row:
    answerable = [place for place in range(len(arm.texts)) if rows[place]["answer"] is not None]
    others = [place for place in range(len(arm.texts)) if rows[place]["answer"] is None]
    shared = sum(place < len(base.texts) for place in answerable)

    def each(judge: Callable[[str, str], Any], of: AnswerMethod) -> list[Any]:
        return [
            judge(of.texts[place], rows[place]["answer"])
            for place in answerable
            if place < len(of.texts)
        ]

    def share_of(right: Sequence[bool]) -> Row:
        return {**vars(wilson_interval(sum(right), len(right))), "n": len(right)}

    n, ones = len(answerable), [1.0] * len(answerable)
    found: Row = {"name": arm.name}
    for name, judge in (("contains", contains), ("exact", exact_match)):
        right = each(judge, arm)
        change = share_difference(each(judge, base)[:n], right[:shared])
        found[name] = {**share_of(right), "change": change.plain("higher")}
    f1 = each(word_f1, arm)
    change = ratio_difference(each(word_f1, base)[:n], f1[:shared], ones[:shared])
    found["f1"] = {**vars(ratio_interval(f1, ones)), "n": n, "change": change.plain("higher")}
    found["silent"] = share_of([not arm.texts[place] for place in answerable])
    if others:
        found["refused"] = share_of([not arm.texts[place] for place in others])
    cited = [place for place in answerable if arm.cited[place]]
    if cited:
        found["cited"] = share_of([rows[at]["document"] in arm.cited[at] for at in cited])
    if arm.written:
        found |= {"written": arm.written, "left_out": arm.left_out}
    return found


def describe(results: Mapping[str, Any], of: int) -> StageResult:
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
    thin = [
        f"{counts['answerable']} answerable and {counts['unanswerable']} unanswerable questions: "
        "the intervals are wide."
    ]
    if asked < of:
        thin.insert(0, f"The models were asked {asked} of the {of} questions.")
    facts = {
        arm["name"]: {name: arm[name]["value"] for name in ("contains", "exact", "f1")}
        for arm in results["arms"]
    }
    return StageResult(line, facts, tuple(thin))


def stage(name: str, share: float, needs: Sequence[str]) -> Stage:
    return Stage(
        name,
        3,
        run,
        share,
        describe=lambda recipe: (
            f"the questions of {recipe.of_kind(AnswersStage)[name].source.spec}, "
            "with and without documents"
        ),
        needs=("base", *needs),
        outputs=("results.json",),
        sized_by_budget=True,
        outside=lambda recipe: source_content(recipe.of_kind(AnswersStage)[name].source),
        downloads=lambda recipe: of_sources([recipe.of_kind(AnswersStage)[name].source]),
        kind="answers",
    )
